"""Trying to break out: run inside a sandbox, it says what gave way, one name a line; nothing where all walls hold.

What it tries does no harm where it works. Run by path, under `python -I -S`; the doctor reads what it says. Without
arguments it tries WALLS; `sockets PATH...` says which of these can be reached, `processes N` and `memory MIB` whether
that much can be had.

Source: unshare(2), mount(2), ptrace(2), ioctl_tty(2), keyctl(2), io_uring_setup(2), kill(2), fork(2), proc(5).
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NEW_USER, _NEW_NS = 0x10000000, 0x00020000
_TIOCSTI, _PTRACE_SEIZE, _KEYCTL_GET_KEYRING = 0x5412, 0x4206, 0
_EPERM, _ENOSYS = 1, 38
_NUMBERS = {"x86_64": (425, 250), "aarch64": (425, 219)}  # io_uring_setup, keyctl
_MIB = 1 << 20


def main() -> None:
    """Try what is asked for."""
    match sys.argv[1:]:
        case ["sockets", *paths]:
            found = [path for path in paths if _succeeds(lambda path=path: _connects(path))]  # type: ignore[misc]
        case ["processes", number]:
            found = ["processes"] if _succeeds(lambda: _forks(int(number))) else []
        case ["memory", mib]:
            found = ["memory"] if _succeeds(lambda: _fills(int(mib))) else []
        case _:
            found = [name for tries in WALLS.values() for name, broken in tries.items() if _succeeds(broken)]
    for name in found:
        print(name, flush=True)


def _succeeds(broken: Callable[[], bool]) -> bool:
    try:
        return broken()
    except (OSError, MemoryError):
        return False


def _writes(path: str) -> bool:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(fd)
    os.unlink(path)
    return True


def _opens_socket(family: int, kind: int = socket.SOCK_STREAM) -> bool:
    socket.socket(family, kind).close()
    return True


def _connects(path: str) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.settimeout(1)
            if one.connect_ex(path) == 0:
                return True
    return False


def _forks(number: int) -> bool:
    """Whether so many processes can be at once; those that could be made end again."""
    reading, writing = os.pipe()
    made = 0
    try:
        for _ in range(number):
            if os.fork() == 0:
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            made += 1
    finally:
        os.close(writing)
        for _ in range(made):
            os.wait()
    return True


def _fills(mib: int) -> bool:
    return len(b"x" * (mib * _MIB)) > 0


def _calls(name: str, *arguments: int | bytes | None, refusals: tuple[int, ...] = ()) -> bool:
    """Whether a function of the C library works; with `refusals`, whether it fails in no way but those."""
    libc = ctypes.CDLL(None, use_errno=True)
    ctypes.set_errno(0)
    failed = getattr(libc, name)(*arguments) == -1
    return ctypes.get_errno() not in refusals if refusals else not failed


def _signals(pid: int) -> bool:
    os.kill(pid, 0)
    return True


def _becomes_root() -> bool:
    os.setuid(0)
    return True


def _reads(path: str) -> bool:
    with open(path, "rb") as file:
        return bool(file.read(1))


def _secrets() -> bool:
    home = os.environ.get("HOME", "/nonexistent")
    return any(os.path.isdir(f"{home}/{name}") and bool(os.listdir(f"{home}/{name}")) for name in (".ssh", ".gnupg"))


def _is_unfiltered() -> bool:
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    return int(status.get("Seccomp_filters", "2")) < 2 or status.get("Seccomp", "0").strip() != "2"


_RING, _KEYS = _NUMBERS.get(os.uname().machine, _NUMBERS["x86_64"])
WALLS: dict[str, dict[str, Callable[[], bool]]] = {
    "files": {
        "a file in /tmp": lambda: _writes(f"/tmp/.aios-probe-{os.getpid()}"),
        "a file at home": lambda: _writes(f"{os.environ.get('HOME', '/')}/.aios-probe-{os.getpid()}"),
        "private keys": _secrets,
    },
    "network": {
        "the network": lambda: _opens_socket(socket.AF_INET),
        "the network (IPv6)": lambda: _opens_socket(socket.AF_INET6),
        "raw packets": lambda: _opens_socket(socket.AF_PACKET, socket.SOCK_RAW),
        "sockets of the host": lambda: _opens_socket(socket.AF_UNIX),
    },
    "processes": {
        "tracing": lambda: _calls("ptrace", _PTRACE_SEIZE, 1, None, None),
        "another's signals": lambda: os.getppid() > 1 and _signals(os.getppid()),
        "the worker's memory": lambda: _reads(f"/proc/{os.getppid()}/environ"),
        "the first process": lambda: _reads("/proc/1/environ"),
    },
    "rights": {
        "root": _becomes_root,
        "a user namespace": lambda: _calls("unshare", _NEW_USER),
        "mounts": lambda: _calls("unshare", _NEW_NS),
    },
    "system calls": {
        "typing into a terminal": lambda: _calls("ioctl", 0, _TIOCSTI, b"x", refusals=(_EPERM,)),
        "kernel keys": lambda: _calls("syscall", _KEYS, _KEYCTL_GET_KEYRING, -3, 0),
        "io_uring": lambda: _calls("syscall", _RING, 0, None, refusals=(_ENOSYS,)),
        "fewer than two filters": _is_unfiltered,
    },
}


if __name__ == "__main__":
    main()
