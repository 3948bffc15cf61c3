"""The system-call filters, interpreted: what they say of every call, on both architectures, for every socket policy.

The numbers here were taken from the kernel's headers, not from the module.
"""

import itertools
import socket

import pytest

from aiosd.sandbox import calls
from aiosd.sandbox.seccomp import SocketPolicy, UnsupportedArchitectureError, render_filters
from tests.unit.sandbox.bpf import SystemCall, check_program, decide, decide_all

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FOREIGN_ARCH = {"i386": 0x40000003, "arm": 0x40000028, "riscv64": 0xC00000F3, "x86_64": 0xC000003E, "zero": 0}

# Refused whatever the arguments, by number.
REFUSED = {
    "x86_64": {
        *(101, 134, 136, 139, 141, 142, 144, 153, 154, 155, 156, 159, 161, 163, 164, 165, 166, 167, 168, 169, 170, 171),
        *(172, 173, 174, 175, 176, 177, 178, 179, 180, 212, 227, 237, 238, 246, 248, 249, 250, 251, 256, 272, 279, 298),
        *(300, 303, 304, 305, 308, 310, 311, 312, 313, 314, 320, 321, 323, 428, 429, 430, 431, 432, 433, 438, 440, 442),
        *(443, 450, 467),
    },
    "aarch64": {
        *(18, 30, 39, 40, 41, 42, 51, 58, 60, 89, 97, 104, 105, 106, 112, 117, 118, 119, 140, 142, 161, 162, 170, 171),
        *(217, 218, 219, 224, 225, 235, 237, 238, 239, 241, 262, 264, 265, 266, 268, 270, 271, 272, 273, 274, 280, 282),
        *(294, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 450, 467),
    },
}
# Not there, it is said, so that callers fall back or do without: io_uring (425 to 427), clone3 (435), process_mrelease,
# lsm_set_self_attr; what no kernel has any more, or has under no number of this machine.
ABSENT = {
    "x86_64": {*range(181, 186), 205, 211, 214, 215, 236, *range(335, 424), 425, 426, 427, 435, 448, 460},
    "aarch64": {*range(244, 260), *range(295, 424), 425, 426, 427, 435, 448, 460},
}
NUMBERS = {
    "clone": {"x86_64": 56, "aarch64": 220},
    "ioctl": {"x86_64": 16, "aarch64": 29},
    "socket": {"x86_64": 41, "aarch64": 198},
    "socketpair": {"x86_64": 53, "aarch64": 199},
    "connect": {"x86_64": 42, "aarch64": 203},
    "accept": {"x86_64": 43, "aarch64": 202},
    "accept4": {"x86_64": 288, "aarch64": 242},
    "bind": {"x86_64": 49, "aarch64": 200},
    "listen": {"x86_64": 50, "aarch64": 201},
    "sendto": {"x86_64": 44, "aarch64": 206},
    "personality": {"x86_64": 135, "aarch64": 92},
    "prlimit64": {"x86_64": 302, "aarch64": 261},
    "sched_setaffinity": {"x86_64": 203, "aarch64": 122},
    "kill": {"x86_64": 62, "aarch64": 129},
}
EVERYWHERE = tuple(SocketPolicy)
BOTH = tuple(itertools.product(AUDIT_ARCH, EVERYWHERE))
HIGH = 1 << 32  # above what the kernel looks at, for a 32-bit argument

# A call, its arguments, what is said of it.
ARGUMENTS: list[tuple[str, tuple[int, ...], str]] = [
    ("clone", (17,), "allow"),  # SIGCHLD: a fork
    ("clone", (0x3D0F00,), "allow"),  # a thread
    ("clone", (0x4111,), "allow"),  # a vfork
    *(("clone", (flag | 17,), "EPERM") for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000)),
    *(("clone", (flag | 17,), "EPERM") for flag in (0x10000000, 0x20000000, 0x40000000, 0x7E020000)),
    ("clone", (0x10000000 | HIGH,), "EPERM"),
    ("ioctl", (0, 0x5401), "allow"),  # TCGETS
    ("ioctl", (0, 0x5413), "allow"),  # TIOCGWINSZ
    ("ioctl", (0, 0x5412), "EPERM"),  # TIOCSTI
    ("ioctl", (0, 0x541C), "EPERM"),  # TIOCLINUX
    ("ioctl", (0, 0x5412 | HIGH), "EPERM"),
    ("ioctl", (0, 0x541C | 0xFFFFFFFF00000000), "EPERM"),
    ("ioctl", (0x5412, 0x5401), "allow"),
    ("personality", (0,), "allow"),
    ("personality", (0xFFFFFFFF,), "allow"),  # asks
    ("personality", (0x0040000,), "EPERM"),  # ADDR_NO_RANDOMIZE
    ("personality", (0x0000008,), "EPERM"),  # PER_LINUX32
    ("prlimit64", (0, 7), "allow"),
    ("prlimit64", (1, 7), "EPERM"),
    ("prlimit64", (4242, 7), "EPERM"),
    ("prlimit64", (0xFFFFFFFF, 7), "EPERM"),
    ("sched_setaffinity", (0,), "allow"),
    ("sched_setaffinity", (4242,), "EPERM"),
    ("kill", (1, 9), "allow"),
    ("bind", (3,), "allow"),
    ("sendto", (3,), "allow"),
    ("socketpair", (socket.AF_UNIX, socket.SOCK_STREAM), "allow"),
    ("socketpair", (socket.AF_UNIX | HIGH, socket.SOCK_STREAM), "allow"),
    *(("socketpair", (family, 1), "EAFNOSUPPORT") for family in (0, 2, 10, 16, 30, 40)),
]
FAMILIES = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "alg": 38, "vsock": 40, "unspecified": 0}
ALLOWED_FAMILIES = {
    SocketPolicy.NONE: set[str](),
    SocketPolicy.NETLINK: set[str](),
    SocketPolicy.UNIX: {"unix"},
    SocketPolicy.LOOPBACK: {"inet", "inet6"},
    SocketPolicy.LOOPBACK_UNIX: {"unix", "inet", "inet6"},
    SocketPolicy.INTERNET: {"unix", "inet", "inet6"},
}
NETLINK_PROTOCOLS = {SocketPolicy.NONE: set[int](), SocketPolicy.NETLINK: {0, 4}, SocketPolicy.UNIX: set[int]()} | {
    SocketPolicy.INTERNET: {0},
    SocketPolicy.LOOPBACK: set[int](),
    SocketPolicy.LOOPBACK_UNIX: set[int](),
}


PROGRAMS = {(machine, policy): render_filters(policy, machine=machine) for machine, policy in BOTH}


def say(machine: str, policy: SocketPolicy, number: int, *arguments: int) -> str:
    call = SystemCall(number=number, arch=AUDIT_ARCH[machine], arguments=arguments)
    return decide_all(PROGRAMS[machine, policy], call)


@pytest.mark.parametrize(("machine", "policy"), BOTH)
def test_all_calls_from_0_to_1023_by_number(machine: str, policy: SocketPolicy) -> None:
    said = {number: say(machine, policy, number) for number in range(1024)}
    expected = dict.fromkeys(range(470), "allow") | dict.fromkeys(range(470, 1024), "ENOSYS")
    expected |= dict.fromkeys(REFUSED[machine], "EPERM") | dict.fromkeys(ABSENT[machine], "ENOSYS")
    expected[NUMBERS["socket"][machine]] = expected[NUMBERS["socketpair"][machine]] = "EAFNOSUPPORT"  # family 0
    if policy is SocketPolicy.NETLINK:
        expected |= {NUMBERS[name][machine]: "EPERM" for name in ("connect", "listen", "accept", "accept4")}
    assert said == expected


def test_every_name_is_in_one_list_and_has_a_number() -> None:
    lists = (calls.ALLOWED, calls.REFUSED, calls.RULED)
    listed = frozenset[str]().union(*lists)
    assert sum(map(len, lists)) == len(listed)
    assert listed - set(calls.X86_64) - set(calls.AARCH64) == set()
    for numbers in (calls.X86_64, calls.AARCH64):
        assert len(set(numbers.values())) == len(numbers)
        assert set(numbers) - listed <= {"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"}


@pytest.mark.parametrize("machine", AUDIT_ARCH)
@pytest.mark.parametrize(("name", "arguments", "expected"), ARGUMENTS)
def test_a_call_by_its_arguments(machine: str, name: str, arguments: tuple[int, ...], expected: str) -> None:
    said = {policy: say(machine, policy, NUMBERS[name][machine], *arguments) for policy in EVERYWHERE}
    assert said == dict.fromkeys(EVERYWHERE, expected)


@pytest.mark.parametrize(("machine", "policy"), BOTH)
def test_a_socket_by_family_and_protocol(machine: str, policy: SocketPolicy) -> None:
    number = NUMBERS["socket"][machine]
    for (name, family), kind, protocol, high in itertools.product(
        FAMILIES.items(), (1, 2, 3, 0x80001), (0, 4, 6, 9, 12, 15, 16, 17), (0, HIGH)
    ):
        allowed = name in ALLOWED_FAMILIES[policy] or (name == "netlink" and protocol in NETLINK_PROTOCOLS[policy])
        said = say(machine, policy, number, family | high, kind, protocol | high)
        assert (name, kind, protocol, said) == (name, kind, protocol, "allow" if allowed else "EAFNOSUPPORT")


@pytest.mark.parametrize(("machine", "policy"), BOTH)
def test_a_second_numbering_kills(machine: str, policy: SocketPolicy) -> None:
    foreign = [arch for arch in (*FOREIGN_ARCH.values(), AUDIT_ARCH["aarch64"]) if arch != AUDIT_ARCH[machine]]
    for program, otherwise in zip(PROGRAMS[machine, policy], ("ENOSYS", "allow"), strict=True):  # each by itself
        for arch, number in itertools.product(foreign, (0, 1, 39, 101, 500, 0x40000027)):
            assert decide(program, SystemCall(number=number, arch=arch)) == "kill"
        x32 = {decide(program, SystemCall(number=0x40000000 | n, arch=AUDIT_ARCH[machine])) for n in (0, 39, 101, 547)}
        assert x32 == ({"kill"} if machine == "x86_64" else {otherwise})


def test_the_first_is_the_same_for_all_and_the_second_is_about_sockets_alone() -> None:
    for machine in AUDIT_ARCH:
        assert len({PROGRAMS[machine, policy][0] for policy in EVERYWHERE}) == 1
    about = {NUMBERS[name]["x86_64"]: name for name in ("socket", "connect", "listen", "accept", "accept4")}
    for policy in EVERYWHERE:
        second = PROGRAMS["x86_64", policy][1]
        said = {n: decide(second, SystemCall(number=n, arch=AUDIT_ARCH["x86_64"])) for n in range(1024)}
        refused = {about[n]: what for n, what in said.items() if what != "allow"}
        used = dict.fromkeys(("connect", "listen", "accept", "accept4"), "EPERM")
        assert refused == {"socket": "EAFNOSUPPORT"} | (used if policy is SocketPolicy.NETLINK else {})


@pytest.mark.parametrize(("machine", "policy"), BOTH)
def test_the_kernel_would_load_the_program(machine: str, policy: SocketPolicy) -> None:
    first, second = map(check_program, PROGRAMS[machine, policy])
    assert first < 600
    assert second < 60


@pytest.mark.parametrize("machine", ["", "i686", "armv7l", "riscv64", "ppc64le", "X86_64"])
def test_a_machine_without_a_table_gets_no_filter(machine: str) -> None:
    with pytest.raises(UnsupportedArchitectureError, match="no system-call table"):
        render_filters(SocketPolicy.NONE, machine=machine)
