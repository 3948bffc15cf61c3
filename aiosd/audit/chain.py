"""What makes the log's lines fit together: a key that only the guard reads, and the newest head, kept beside the log.

The key is 32 random bytes: the credential `aios.audit-key` where the service manager gives one, else `audit.key` beside
the log's folder, made at the first start, 0600. `audit.head` there holds number and HMAC of the newest record, up to
which number records were on the disk for sure, and in which boot, signed with the same key: so cutting off the end of
the log shows, and is told from what a power cut took.
"""

import errno
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import NamedTuple

_KEY_BYTES = 32
_CREDENTIAL = "aios.audit-key"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Head(NamedTuple):
    """The newest record, the newest that was on the disk for sure, and the boot in which that was written down."""

    sequence: int = 0
    digest: str = "0" * 64
    synced: int = 0
    boot: str = "-"


class ChainError(Exception):
    """The key cannot be used; the message says what to do."""


class Chain:
    """Signs lines, and remembers the newest. `folder` is the log's; key and head lie beside it. `boot` is its id."""

    def __init__(self, folder: Path, boot: str) -> None:
        self._boot = boot or "-"
        self._key = _load_key(folder.with_name(f"{folder.name}.key"))
        self._path = folder.with_name(f"{folder.name}.head")
        self._writable = True
        self._fd = self._open()
        self.head = self._read_head()

    def close(self) -> None:
        """Let go of the head."""
        os.close(self._fd)

    def open_anew(self) -> None:
        """Where the head was opened to be read alone, open it for writing. OSError."""
        if not self._writable:
            os.close(self._fd)
            self._fd = os.open(self._path, _FLAGS, 0o600)
            self._writable = True

    def _open(self) -> int:
        """The head, to be read alone where the disk takes no writing."""
        try:
            return os.open(self._path, _FLAGS, 0o600)
        except OSError as exc:
            if exc.errno not in (errno.EROFS, errno.ENOSPC):
                raise
            self._writable = False
            path = self._path if self._path.exists() else os.devnull
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def sign(self, text: str) -> str:
        """The HMAC-SHA256 of a line."""
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def fits(self, text: str, stated: str) -> bool:
        """Whether a line carries the HMAC that only we could make."""
        return hmac.compare_digest(self.sign(text).encode(), stated.encode("utf-8", "surrogatepass"))

    def write_head(self, sequence: int, digest: str) -> None:
        """Remember the newest record. OSError where that cannot be."""
        self._write(Head(sequence, digest, self.head.synced, self._boot))

    def note_synced(self, sequence: int) -> None:
        """Remember that all records up to `sequence` are on the disk. OSError where that cannot be."""
        self._write(self.head._replace(synced=max(sequence, self.head.synced), boot=self._boot))

    def sync(self) -> None:
        """Return when the head is on the disk."""
        os.fdatasync(self._fd)

    def _write(self, head: Head) -> None:
        self.head = head
        text = f"{head.sequence:020d} {head.digest} {head.synced:020d} {head.boot}"
        os.pwrite(self._fd, f"{text} {self.sign(text)}\n".encode(), 0)

    def _read_head(self) -> Head:
        """The newest record by the head, nothing where it says nothing that we signed."""
        *words, signature = os.pread(self._fd, 4096, 0).decode("ascii", "replace").split() or [""]
        if not self.fits(" ".join(words), signature):
            return Head()
        match words:
            case [sequence, digest, synced, boot]:
                return Head(int(sequence), digest, int(synced), boot)
            case [sequence, digest]:  # as releases before 0.2 wrote it
                return Head(int(sequence), digest, int(sequence))
            case _:
                return Head()


def _load_key(path: Path) -> bytes:
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    if given and Path(given, _CREDENTIAL).exists():
        path = Path(given, _CREDENTIAL)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(_KEY_BYTES)
        _write_whole(path, key)
    if len(key) < _KEY_BYTES:
        raise ChainError(f"{path}: the key of the record has fewer than {_KEY_BYTES} bytes; restore it")
    return key


def _write_whole(path: Path, content: bytes) -> None:
    """Write a new file that is there whole or not at all, though the disk is full or the power cut. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.write(fd, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    finally:
        os.close(fd)
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
