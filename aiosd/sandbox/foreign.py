"""Whose words a file holds, by who owns it and who may write it: others' are not to be trusted by who reads them.

A file or folder is foreign where neither its reader nor root owns it, or everybody may write it. Where the owners of
others cannot be told apart (a sandbox without an identity map), what lies outside the system's own folders and is not
the reader's is foreign. Built-in modules only: it runs in the worker and in the file tools.

Source: user_namespaces(7), stat(2).
"""

from __future__ import annotations

import posix

_FOLDER, _REGULAR = 0o040000, 0o100000
_BY_ALL = 0o002
_OVERFLOW = 65534
_SYSTEM = (
    "/usr/",
    "/etc/",
    "/bin/",
    "/sbin/",
    "/lib",
    "/boot/",
    "/opt/",
    "/proc/",
    "/sys/",
    "/run/",
    "/var/lib/",
    "/var/log/",
)
_MOST_WORDS = 200
_QUOTES = str.maketrans("\"'=", "   ")

_seen: list[str] = []  # what an action was given that is foreign


def take_seen() -> bool:
    """Whether anything foreign was looked at since this was asked last."""
    found = bool(_seen)
    _seen.clear()
    return found


def look_at_words(words: list[str]) -> None:
    """Look at what the arguments of a command name. A word may be a whole line, or an option with its value."""
    tokens = [token for word in words[:_MOST_WORDS] for token in (word, *word.translate(_QUOTES).split())]
    for token in dict.fromkeys(tokens[:_MOST_WORDS]):
        try:
            fd = posix.open(token, posix.O_PATH | posix.O_CLOEXEC)
        except (OSError, ValueError):
            continue
        look_at(fd)
        posix.close(fd)


def look_at(fd: int) -> None:
    """Look at an open file or folder."""
    status = posix.fstat(fd)
    if status.st_mode & 0o170000 not in (_REGULAR, _FOLDER):
        return
    place = posix.readlink(f"/proc/self/fd/{fd}")
    if status.st_mode & _BY_ALL or not _is_trusted(status.st_uid, place):
        _seen.append(place)


def _is_trusted(owner: int, place: str) -> bool:
    if owner in (0, posix.geteuid()):
        return True
    return owner == _OVERFLOW and not _tells_owners() and f"{place}/".startswith(_SYSTEM)


def _tells_owners() -> bool:
    """Whether other users' ids are seen as they are here."""
    fd = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    count = sum(int(line.split()[2]) for line in posix.read(fd, 4096).splitlines())
    posix.close(fd)
    return count > 1
