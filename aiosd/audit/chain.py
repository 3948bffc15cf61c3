"""What makes the log's lines fit together: a key that only the guard reads, and the newest head, kept beside the log.

The key is 32 random bytes: the credential `aios.audit-key` where the service manager gives one, else `audit.key` beside
the log's folder, made at the first start, 0600. `audit.head` there holds number and HMAC of the newest record, signed
with the same key, so that cutting off the end of the log shows.
"""

import errno
import hashlib
import hmac
import os
import secrets
from pathlib import Path

_KEY_BYTES = 32
_CREDENTIAL = "aios.audit-key"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_NO_HEAD = (0, "0" * 64)


class ChainError(Exception):
    """The key cannot be used; the message says what to do."""


class Chain:
    """Signs lines, and remembers the newest. `folder` is the log's; key and head lie beside it."""

    def __init__(self, folder: Path) -> None:
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
        self.head = (sequence, digest)
        text = f"{sequence:020d} {digest}"
        os.pwrite(self._fd, f"{text} {self.sign(text)}\n".encode(), 0)

    def sync(self) -> None:
        """Return when the head is on the disk."""
        os.fdatasync(self._fd)

    def _read_head(self) -> tuple[int, str]:
        """The newest record by the head, nothing where it says nothing that we signed."""
        words = os.pread(self._fd, 4096, 0).decode("ascii", "replace").split()
        if len(words) != 3 or not self.fits(f"{words[0]} {words[1]}", words[2]):
            return _NO_HEAD
        return int(words[0]), words[1]


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
