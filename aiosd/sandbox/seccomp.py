"""The system-call filter of a sandbox, assembled by hand: classic BPF that bubblewrap installs by `--seccomp FD`.

Pure: a `SocketPolicy` and an architecture in, bytes out. It owns the list of calls that no sandbox of ours may make and
the rules for sockets; namespaces, mounts and capabilities are other walls. A foreign architecture and the x32 numbers
kill the process, so that no second numbering of the calls is left unchecked; numbers that nobody has weighed here, as
the kernel of tomorrow has, do not exist.

Source: seccomp(2), linux/filter.h, linux/seccomp.h; numbers from asm/unistd_64.h and asm-generic/unistd.h.
"""

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_KILL = 0x80000000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

_LD_ABS, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_NR_OFFSET, _ARCH_OFFSET = 0, 4

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE, _NETLINK_SOCK_DIAG = 0, 4
_CLONE_NEW = 0x7E020000  # every namespace flag of clone(2)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


class SocketPolicy(StrEnum):
    """Which sockets a sandbox may make. A refused family is EAFNOSUPPORT: nss, ss and ip then go on quietly."""

    NONE = "none"
    NETLINK = "netlink"  # route and sock_diag only, and no connect, listen or accept
    UNIX = "unix"
    LOOPBACK = "loopback"  # inet and inet6, in a network of its own without any way out
    LOOPBACK_UNIX = "loopback and unix"
    INTERNET = "internet"  # unix, inet, inet6, netlink route


@dataclass(frozen=True, slots=True, kw_only=True)
class _Architecture:
    audit: int
    x32: bool
    numbers: dict[str, int]


# fmt: off
_X86_64 = _Architecture(audit=0xC000003E, x32=True, numbers={
    "_sysctl": 156, "accept": 43, "accept4": 288, "acct": 163, "add_key": 248, "adjtimex": 159, "bpf": 321,
    "chroot": 161, "clock_adjtime": 305, "clock_settime": 227, "clone": 56, "clone3": 435, "connect": 42,
    "create_module": 174, "delete_module": 176, "fanotify_init": 300, "finit_module": 313, "fsconfig": 431,
    "fsmount": 432, "fsopen": 430, "fspick": 433, "get_kernel_syms": 177, "init_module": 175, "io_uring_enter": 426,
    "io_uring_register": 427, "io_uring_setup": 425, "ioctl": 16, "ioperm": 173, "iopl": 172, "ioprio_set": 251,
    "kcmp": 312, "kexec_file_load": 320, "kexec_load": 246, "keyctl": 250, "listen": 50, "lookup_dcookie": 212,
    "mbind": 237, "migrate_pages": 256, "modify_ldt": 154, "mount": 165, "mount_setattr": 442, "move_mount": 429,
    "move_pages": 279, "name_to_handle_at": 303, "nfsservctl": 180, "open_by_handle_at": 304, "open_tree": 428,
    "open_tree_attr": 467, "perf_event_open": 298, "personality": 135, "pidfd_getfd": 438, "pivot_root": 155,
    "prlimit64": 302, "process_madvise": 440, "process_vm_readv": 310, "process_vm_writev": 311, "ptrace": 101,
    "query_module": 178, "quotactl": 179, "quotactl_fd": 443, "reboot": 169, "request_key": 249, "sched_setattr": 314,
    "sched_setparam": 142, "sched_setscheduler": 144, "set_mempolicy": 238, "setdomainname": 171, "sethostname": 170,
    "setns": 308, "setpriority": 141, "settimeofday": 164, "socket": 41, "socketpair": 53, "swapoff": 168,
    "swapon": 167, "sysfs": 139, "umount2": 166, "unshare": 272, "uselib": 134, "userfaultfd": 323, "ustat": 136,
    "vhangup": 153,
})
_AARCH64 = _Architecture(audit=0xC00000B7, x32=False, numbers={
    "accept": 202, "accept4": 242, "acct": 89, "add_key": 217, "adjtimex": 171, "bpf": 280, "chroot": 51,
    "clock_adjtime": 266, "clock_settime": 112, "clone": 220, "clone3": 435, "connect": 203, "delete_module": 106,
    "fanotify_init": 262, "finit_module": 273, "fsconfig": 431, "fsmount": 432, "fsopen": 430, "fspick": 433,
    "init_module": 105, "io_uring_enter": 426, "io_uring_register": 427, "io_uring_setup": 425, "ioctl": 29,
    "ioprio_set": 30, "kcmp": 272, "kexec_file_load": 294, "kexec_load": 104, "keyctl": 219, "listen": 201,
    "lookup_dcookie": 18, "mbind": 235, "migrate_pages": 238, "mount": 40, "mount_setattr": 442, "move_mount": 429,
    "move_pages": 239, "name_to_handle_at": 264, "nfsservctl": 42, "open_by_handle_at": 265, "open_tree": 428,
    "open_tree_attr": 467, "perf_event_open": 241, "personality": 92, "pidfd_getfd": 438, "pivot_root": 41,
    "prlimit64": 261, "process_madvise": 440, "process_vm_readv": 270, "process_vm_writev": 271, "ptrace": 117,
    "quotactl": 60, "quotactl_fd": 443, "reboot": 142, "request_key": 218, "sched_setattr": 274, "sched_setparam": 118,
    "sched_setscheduler": 119, "set_mempolicy": 237, "setdomainname": 162, "sethostname": 161, "setns": 268,
    "setpriority": 140, "settimeofday": 170, "socket": 198, "socketpair": 199, "swapoff": 225, "swapon": 224,
    "umount2": 39, "unshare": 97, "userfaultfd": 282, "vhangup": 58,
})
# fmt: on
_ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64}

# Calls with rules of their own below; every other number of the tables is refused whatever its arguments.
_NEWEST = 469  # of the calls that were weighed here; what a later kernel adds does not exist inside
_RULED = frozenset("clone clone3 ioctl socket socketpair connect listen accept accept4 prlimit64 personality".split())
_ABSENT = frozenset({"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"})  # ENOSYS: callers fall back


class UnsupportedArchitectureError(Exception):
    """There is no table of numbers for this machine; nothing is confined here, so nothing runs."""


def render_filter(sockets: SocketPolicy, *, machine: str) -> bytes:
    """The filter program for `machine` (as uname(2) names it), 8 bytes an instruction."""
    arch = _ARCHITECTURES.get(machine)
    if arch is None:
        raise UnsupportedArchitectureError(f"no system-call table for {machine}")
    program = [_load(_ARCH_OFFSET), _jump(_JEQ, arch.audit, 1, 0), _ret(_KILL), _load(_NR_OFFSET)]
    if arch.x32:
        program += [_jump(_JGE, 0x40000000, 0, 1), _ret(_KILL)]
    program += [_jump(_JGE, _NEWEST + 1, 0, 1), _refuse(errno.ENOSYS)]
    for name, number in arch.numbers.items():
        if name in _ABSENT:
            program += [_jump(_JEQ, number, 0, 1), _refuse(errno.ENOSYS)]
        elif name not in _RULED:
            program += [_jump(_JEQ, number, 0, 1), _refuse(errno.EPERM)]
    program += _when(arch.numbers["clone"], [_argument(0), _jump(_JSET, _CLONE_NEW, 0, 1), _refuse(errno.EPERM)])
    program += _when(
        arch.numbers["ioctl"],  # compared as 32 bits: the kernel looks at no more
        [_argument(1), _jump(_JEQ, _TIOCSTI, 1, 0), _jump(_JEQ, _TIOCLINUX, 0, 1), _refuse(errno.EPERM)],
    )
    program += _when(arch.numbers["prlimit64"], [_argument(0), _jump(_JEQ, 0, 1, 0), _refuse(errno.EPERM)])
    program += _when(
        arch.numbers["personality"],
        [_argument(0), _jump(_JEQ, 0, 2, 0), _jump(_JEQ, 0xFFFFFFFF, 1, 0), _refuse(errno.EPERM)],
    )
    for instructions in _socket_rules(arch, sockets):
        program += instructions
    program.append(_ret(_ALLOW))
    return b"".join(program)


def _socket_rules(arch: _Architecture, sockets: SocketPolicy) -> Iterator[list[bytes]]:
    refused = _refuse(errno.EAFNOSUPPORT)
    # Two ends of one process's own, whatever the policy; other families would be made, and their modules loaded, first.
    yield _when(arch.numbers["socketpair"], [_argument(0), _jump(_JEQ, _AF_UNIX, 1, 0), refused])
    match sockets:
        case SocketPolicy.NONE:
            yield _when(arch.numbers["socket"], [refused])
        case SocketPolicy.NETLINK:
            yield _when(
                arch.numbers["socket"],
                [
                    _argument(0),
                    _jump(_JEQ, _AF_NETLINK, 1, 0),
                    refused,
                    _argument(2),
                    _jump(_JEQ, _NETLINK_ROUTE, 2, 0),
                    _jump(_JEQ, _NETLINK_SOCK_DIAG, 1, 0),
                    refused,
                ],
            )
            # The host's network namespace: nothing may be reached or served, whatever descriptor turns up.
            for name in ("connect", "listen", "accept", "accept4"):
                yield _when(arch.numbers[name], [_refuse(errno.EPERM)])
        case SocketPolicy.LOOPBACK:
            yield _when(
                arch.numbers["socket"],
                [_argument(0), _jump(_JEQ, _AF_INET, 2, 0), _jump(_JEQ, _AF_INET6, 1, 0), refused],
            )
        case SocketPolicy.LOOPBACK_UNIX:
            yield _when(
                arch.numbers["socket"],
                [
                    _argument(0),
                    _jump(_JEQ, _AF_UNIX, 3, 0),
                    _jump(_JEQ, _AF_INET, 2, 0),
                    _jump(_JEQ, _AF_INET6, 1, 0),
                    refused,
                ],
            )
        case SocketPolicy.UNIX:
            yield _when(arch.numbers["socket"], [_argument(0), _jump(_JEQ, _AF_UNIX, 1, 0), refused])
        case SocketPolicy.INTERNET:
            yield _when(
                arch.numbers["socket"],
                [
                    _argument(0),
                    _jump(_JEQ, _AF_UNIX, 6, 0),
                    _jump(_JEQ, _AF_INET, 5, 0),
                    _jump(_JEQ, _AF_INET6, 4, 0),
                    _jump(_JEQ, _AF_NETLINK, 1, 0),
                    refused,
                    _argument(2),
                    _jump(_JEQ, _NETLINK_ROUTE, 0, 1),
                    _ret(_ALLOW),
                    refused,
                ],
            )


def _when(number: int, body: list[bytes]) -> list[bytes]:
    """`body` for one call; where it decides nothing the call is allowed (its arguments have replaced the number)."""
    return [_jump(_JEQ, number, 0, len(body) + 1), *body, _ret(_ALLOW)]


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", _LD_ABS, 0, 0, offset)


def _argument(index: int) -> bytes:
    return _load(16 + 8 * index)  # the low word; both architectures are little-endian


def _jump(code: int, value: int, when_true: int, when_false: int) -> bytes:
    return struct.pack("HBBI", code, when_true, when_false, value)


def _ret(action: int) -> bytes:
    return struct.pack("HBBI", _RET, 0, 0, action)


def _refuse(number: int) -> bytes:
    return _ret(_ERRNO | number)
