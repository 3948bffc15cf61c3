"""Trying to break out: run inside a sandbox, it says which walls gave way, one name a line; nothing where all hold.

What it tries does no harm where it works. Run by path, under `python -I -S`; the doctor reads what it says.

Source: unshare(2), mount(2), ptrace(2), ioctl_tty(2), keyctl(2), io_uring_setup(2), kill(2).
"""

from __future__ import annotations

import ctypes
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NEW_USER, _NEW_NS = 0x10000000, 0x00020000
_TIOCSTI, _PTRACE_SEIZE, _KEYCTL_GET_KEYRING = 0x5412, 0x4206, 0
_EPERM, _ENOSYS = 1, 38
_NUMBERS = {"x86_64": (425, 250), "aarch64": (425, 219)}  # io_uring_setup, keyctl


def main() -> None:
    """Try everything."""
    for name, broken in TRIES.items():
        try:
            if broken():
                print(name, flush=True)
        except OSError:
            continue


def _writes(path: str) -> bool:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(fd)
    os.unlink(path)
    return True


def _opens_socket(family: int, kind: int = socket.SOCK_STREAM) -> bool:
    socket.socket(family, kind).close()
    return True


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


_RING, _KEYS = _NUMBERS.get(os.uname().machine, _NUMBERS["x86_64"])
TRIES: dict[str, Callable[[], bool]] = {
    "a file in /tmp": lambda: _writes(f"/tmp/.aios-probe-{os.getpid()}"),
    "a file at home": lambda: _writes(f"{os.environ.get('HOME', '/')}/.aios-probe-{os.getpid()}"),
    "the network": lambda: _opens_socket(socket.AF_INET),
    "the network (IPv6)": lambda: _opens_socket(socket.AF_INET6),
    "sockets of the host": lambda: _opens_socket(socket.AF_UNIX),
    "raw packets": lambda: _opens_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "a user namespace": lambda: _calls("unshare", _NEW_USER),
    "mounts": lambda: _calls("unshare", _NEW_NS),
    "tracing": lambda: _calls("ptrace", _PTRACE_SEIZE, 1, None, None),
    "another's signals": lambda: os.getppid() > 1 and _signals(os.getppid()),
    "typing into a terminal": lambda: _calls("ioctl", 0, _TIOCSTI, b"x", refusals=(_EPERM,)),
    "kernel keys": lambda: _calls("syscall", _KEYS, _KEYCTL_GET_KEYRING, -3, 0),
    "io_uring": lambda: _calls("syscall", _RING, 0, None, refusals=(_ENOSYS,)),
    "root": _becomes_root,
    "the worker's memory": lambda: os.getppid() == 1 and _reads("/proc/1/environ"),
    "private keys": _secrets,
}


if __name__ == "__main__":
    main()
