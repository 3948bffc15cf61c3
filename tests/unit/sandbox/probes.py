"""System calls really made, each in a child of its own; prints what became of each as JSON. Run under a filter or not.

A probe is written so that it succeeds for root without a filter. What a child says is its errno, 0 for success; what
the kernel killed says the signal, negative.
"""

import ctypes
import json
import mmap
import os
import platform
import pty
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial

X86 = platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# fmt: off
NUMBERS = {
    "ioctl": (16, 29), "clone": (56, 220), "unshare": (272, 97), "setns": (308, 268), "ptrace": (101, 117),
    "keyctl": (250, 219), "add_key": (248, 217), "bpf": (321, 280), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "personality": (135, 92), "prlimit64": (302, 261), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "setpriority": (141, 140), "sched_setscheduler": (144, 119),
    "ioprio_set": (251, 30), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "kcmp": (312, 272),
    "name_to_handle_at": (303, 264), "quotactl": (179, 60), "reboot": (169, 142), "socketpair": (53, 199),
}
# fmt: on
ALIKE = {"io_uring_setup": 425, "open_tree": 428, "fsopen": 430, "mount_setattr": 442, "clone3": 435, "pidfd_open": 434}
ALIKE |= {"pidfd_getfd": 438, "open_tree_attr": 467, "move_mount": 429, "process_madvise": 440}
NEWUSER, NEWNS, NEWNET, NEWPID = 0x10000000, 0x00020000, 0x40000000, 0x20000000
HIGH = 1 << 32


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char]) -> int:
    """Make a call; its result. OSError says why not."""
    number = ALIKE[name] if name in ALIKE else NUMBERS[name][0 if X86 else 1]
    given = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *given))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def push_input(*, high: int) -> None:
    """TIOCSTI into a terminal of our own."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            call("ioctl", 0, 0x5412 | high, ctypes.create_string_buffer(b"x"))
        except OSError as exc:
            os._exit(exc.errno or 255)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    if os.waitstatus_to_exitcode(status):
        raise OSError(os.waitstatus_to_exitcode(status), "TIOCSTI")


def clone(flags: int) -> None:
    """A child by the raw call."""
    if call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)
    os.wait()


def with_child(act: Callable[[int], object]) -> None:
    """Do something to a child that waits."""
    hold, let_go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(let_go)
        os.read(hold, 1)
        os._exit(0)
    try:
        act(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def read_memory(pid: int, name: str = "process_vm_readv") -> None:
    """Eight bytes of another process, at an address that both have."""
    ours = ctypes.create_string_buffer(8)
    local = struct.pack("QQ", ctypes.addressof(ours), 8)
    call(name, pid, local, 1, local, 1, 0)


def take_descriptor(pid: int) -> None:
    """Its descriptor 0."""
    call("pidfd_getfd", call("pidfd_open", pid, 0), 0, 0)


def join_namespace(kind: str) -> None:
    """Join the namespace we are in."""
    with open(f"/proc/self/ns/{kind}", encoding="ascii") as own:
        call("setns", own.fileno(), 0)


def run_code(code: bytes) -> None:
    """Machine code of our own."""
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    os._exit(0)


PROBES: dict[str, Callable[[], object]] = {
    "TIOCSTI": lambda: push_input(high=0),
    "TIOCSTI with high bits": lambda: push_input(high=HIGH),
    "clone plain": lambda: clone(0),
    "clone NEWUSER": lambda: clone(NEWUSER),
    "clone NEWNS": lambda: clone(NEWNS),
    "clone NEWNET": lambda: clone(NEWNET),
    "clone NEWPID": lambda: clone(NEWPID),
    "clone3": lambda: call("clone3", ctypes.create_string_buffer(64), 8),
    "unshare user": lambda: call("unshare", NEWUSER),
    "unshare mounts": lambda: call("unshare", NEWNS),
    "unshare nothing": lambda: call("unshare", 0),
    "setns net": lambda: join_namespace("net"),
    "setns uts": lambda: join_namespace("uts"),
    "io_uring_setup": lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(120)),
    "ptrace traceme": lambda: call("ptrace", 0, 0, 0, 0),
    "ptrace seize": lambda: with_child(lambda pid: call("ptrace", 0x4206, pid, 0, 0)),
    "keyctl": lambda: call("keyctl", 0, 2**32 - 2, 1),  # the process keyring
    "add_key": lambda: call("add_key", b"user", b"probe", b"x", 1, 2**32 - 2),
    "bpf": lambda: call("bpf", 0, struct.pack("IIII", 2, 4, 4, 1) + bytes(104), 120),  # an array of one
    "process_vm_readv": lambda: with_child(read_memory),
    "process_vm_writev": lambda: with_child(lambda pid: read_memory(pid, "process_vm_writev")),
    "pidfd_getfd": lambda: with_child(take_descriptor),
    "personality asked": lambda: call("personality", 0xFFFFFFFF),
    "personality no randomisation": lambda: call("personality", 0x0040000),
    "prlimit own": lambda: resource.prlimit(0, resource.RLIMIT_NOFILE),
    "prlimit of another": lambda: with_child(lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE)),
    "mount": lambda: call("mount", b"none", b"/nonexistent-probe", b"tmpfs", 0, 0),
    "fsopen": lambda: call("fsopen", b"tmpfs", 0),
    "open_tree": lambda: call("open_tree", 2**64 - 100, b"/", 1),
    "mount_setattr": lambda: call("mount_setattr", 2**64 - 100, b"/nonexistent-probe", 0, bytes(32), 32),
    "umount2": lambda: call("umount2", b"/nonexistent-probe", 0),
    "setpriority": lambda: call("setpriority", 0, 0, 0),
    "sched_setscheduler": lambda: call("sched_setscheduler", 0, 0, struct.pack("i", 0)),
    "ioprio_set": lambda: call("ioprio_set", 1, 0, (2 << 13) | 4),
    "perf_event_open": lambda: call(
        "perf_event_open", struct.pack("IIQ", 1, 128, 0) + bytes(112), 0, 2**64 - 1, 2**64 - 1, 0
    ),
    "userfaultfd": lambda: call("userfaultfd", 1),
    "kcmp": lambda: call("kcmp", os.getpid(), os.getpid(), 0, 0, 0),
    "reboot": lambda: call("reboot", 0, 0, 0, 0),  # wrong magic numbers: EINVAL
    "socketpair unix": socket.socketpair,
    "socketpair inet": lambda: socket.socketpair(socket.AF_INET),
    "kill own child": lambda: with_child(lambda pid: os.kill(pid, signal.SIGCONT)),
    "the x32 numbers": lambda: libc.syscall(ctypes.c_long(0x40000000 | 39)),
    # mov $20, %eax; int $0x80; ret
    "the i386 numbers": lambda: run_code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"),
}
if not X86:
    del PROBES["the x32 numbers"], PROBES["the i386 numbers"]
for _family in ("UNIX", "INET", "INET6", "PACKET"):
    _kind = socket.SOCK_RAW if _family == "PACKET" else socket.SOCK_STREAM
    PROBES[f"socket {_family}"] = partial(socket.socket, getattr(socket, f"AF_{_family}"), _kind)
for _protocol in (0, 4, 9, 12, 15, 16):
    PROBES[f"netlink {_protocol}"] = partial(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, _protocol)


def reach(name: str) -> int:
    """What becomes of one probe."""
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            PROBES[name]()
            status = 0
        except OSError as exc:
            status = exc.errno or 255
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: reach(name) for name in PROBES}))
