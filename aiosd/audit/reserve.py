"""Where the log's newest lines are while the disk takes none: a small file in memory, gone with the machine's power.

They are lines of the log like any other, in its chain and with its key. `AuditLog` puts them there, and moves them to
the disk, oldest first, as soon as that takes one again. It is bounded: when it is full nothing is recorded any more.
"""

import errno
import os
from pathlib import Path

_MOST_BYTES = 1024 * 1024


class Reserve:
    """The lines in one file (0600, the guard's), of which there is none as long as the disk works."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[bytes] = _read(path)

    def append(self, line: bytes) -> None:
        """Keep one more line. OSError where it cannot be."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.path, flags, 0o600)
        try:
            size = os.fstat(fd).st_size
            if size + len(line) > _MOST_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if os.write(fd, line) != len(line):
                os.ftruncate(fd, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(fd)
        self.lines.append(line)

    def clear(self) -> None:
        """Forget them: they are on the disk."""
        self.path.unlink(missing_ok=True)
        self.lines = []


def _read(path: Path) -> list[bytes]:
    """Its whole lines; what a crash tore is none."""
    try:
        return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    except FileNotFoundError:
        return []
