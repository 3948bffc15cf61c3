"""The Unix sockets that a sandbox may reach, found by the launcher as its user and held by descriptor.

What is bound into the sandbox is the socket that was found: one put under its name later is another. In a view of
listed folders (`shown`) there must be no other: what lies in such a folder when the sandbox is made is refused, and
only root can make one there afterwards.

Source: unix(7), proc_net(5), openat2(2), bwrap(1).
"""

from __future__ import annotations

import os
import stat

_MOST = 32
_NOT_BOUND = ("/proc", "/sys", "/dev")


class SocketError(Exception):
    """One cannot be given; nothing may run."""


def find_sockets(paths: tuple[str, ...], shown: tuple[str, ...]) -> dict[str, int]:
    """A descriptor for each of `paths`, by each name that it has inside. Run as the user. Raises SocketError."""
    found: dict[str, int] = {}
    for path in dict.fromkeys(paths):
        real = os.path.realpath(path)
        fd = _open(real, path)
        held = os.fstat(fd)
        now = os.stat(real, follow_symlinks=False)
        if not stat.S_ISSOCK(held.st_mode) or (held.st_dev, held.st_ino) != (now.st_dev, now.st_ino):
            raise SocketError(f"{path} is not a Unix socket")
        if any(_is_within(real, folder) for folder in _NOT_BOUND):
            raise SocketError(f"{path} lies where no socket can be shown")
        found[real] = fd
        name = os.path.normpath(path)
        if shown and name != real and not _is_within(name, "/var/run"):  # no link leads there inside
            found[name] = os.dup(fd)
    if len(found) > _MOST:
        raise SocketError(f"more than {_MOST} sockets are named")
    for folder in shown:
        for other in _read_bound():
            if _is_within(other, folder) and os.path.realpath(other) not in found and _is_socket(other):
                raise SocketError(f"{other} lies in {folder}, and could be reached beside what is named")
    return found


def render_sockets(found: dict[str, int], first: int, shown: tuple[str, ...]) -> list[str]:
    """The arguments of bubblewrap that bind each, when it has them from descriptor `first` on.

    Where no folders are `shown` all of the host is, but for /run.
    """
    out: list[str] = []
    for at, path in enumerate(found):
        if any(_is_within(path, folder) for folder in shown) or (not shown and not _is_within(path, "/run")):
            continue
        out += ["--ro-bind", f"/proc/self/fd/{first + at}", path]
    return out


def _open(real: str, path: str) -> int:
    try:
        return os.open(real, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as exc:
        raise SocketError(f"the socket {path} cannot be given: {exc.strerror}") from exc


def _read_bound() -> list[str]:
    """Where Unix sockets of this network namespace are bound."""
    with open("/proc/self/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.rstrip("\n").split(None, 7) for line in file]
    return [row[7] for row in rows[1:] if len(row) > 7 and row[7].startswith("/")]


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
