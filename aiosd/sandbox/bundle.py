"""A session's own files: what lies in its folders, as one text of bytes that is carried from sandbox to sandbox.

In every sandbox a session has a place of its own, empty at first: `outputs`, which is carried on, and `uploads`, which
is put there anew each time; the rest goes with the sandbox. A bundle holds regular files alone, each by a path below
the place, with its mode and bytes, in order of the paths. Who made one is not trusted by who reads it.

Built-in modules only: packing and unpacking run in the worker.

Source: open(2), lstat(2).
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACE = "/dev/session"
OUTPUTS, UPLOADS = "outputs", "uploads"
MAX_FILES = 1000
_MAX_PATH = 1000  # bytes
_MAX_DEPTH = 16
_FOLDER, _REGULAR = 0o040000, 0o100000
_HEAD = 3  # fields of a head

File = tuple[str, int, bytes]  # path below the place, mode, content


class BundleError(ValueError):
    """It is no bundle, or too much for one; the message says which."""


def render_bundle(files: Iterable[File]) -> bytes:
    """Files as one text of bytes; of nothing it is empty."""
    parts = []
    for path, mode, content in sorted(files):
        parts += [b"%d %o %s\n" % (len(content), mode & 0o777, path.encode("utf-8", "surrogateescape")), content]
    return b"".join(parts)


def parse_bundle(data: bytes) -> list[File]:
    """The files of a bundle. BundleError for anything that `render_bundle` does not make."""
    files: list[File] = []
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        words = data[at:end].split(b" ", _HEAD - 1) if end >= 0 else []
        if len(words) != _HEAD or not words[0].isdigit() or len(words[0]) > 10:
            raise BundleError("a head cannot be read")
        path = words[2].decode("utf-8", "surrogateescape")
        start, at = end + 1, end + 1 + int(words[0])
        if at > len(data) or not is_path(path):
            raise BundleError("a file is not whole, or lies outside of its folder")
        files.append((path, _read_mode(words[1]), data[start:at]))
        if len(files) > MAX_FILES:
            raise BundleError(f"there are over {MAX_FILES} files")
    return files


def _read_mode(text: bytes) -> int:
    try:
        return int(text, 8) & 0o777
    except ValueError as exc:
        raise BundleError("a head cannot be read") from exc


def is_path(path: str) -> bool:
    """Whether it names a file in one of the two folders, by no way around."""
    names = path.split("/")
    return (
        names[0] in (OUTPUTS, UPLOADS)
        and 1 < len(names) <= _MAX_DEPTH
        and not any(name in ("", ".", "..") for name in names)
        and "\n" not in path
        and "\0" not in path
        and len(path.encode("utf-8", "surrogateescape")) <= _MAX_PATH
    )


def make_place(place: str = PLACE) -> None:
    """The two folders, empty; where there is no such place, nothing."""
    for name in (OUTPUTS, UPLOADS):
        try:
            posix.mkdir(f"{place}/{name}", 0o755)
        except OSError:
            return


def look(place: str = PLACE) -> tuple[tuple[str, int, int, int], ...]:
    """What lies in `outputs`, so that a change shows; () where nothing does."""
    found = []
    for path, status in _walk(f"{place}/{OUTPUTS}"):
        found.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
        if len(found) > MAX_FILES:
            break
    return tuple(found)


def pack(most: int, place: str = PLACE) -> bytes:
    """The regular files of `outputs`. BundleError where they are over `most` bytes, or too many."""
    files: list[File] = []
    left = most
    for path, status in _walk(f"{place}/{OUTPUTS}"):
        name = path[len(place) + 1 :]
        if not is_path(name):
            raise BundleError(f"{name!r} is no name that can be kept")
        fd = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
        content = _read(fd, left + 1)
        posix.close(fd)
        left -= len(content)
        if left < 0:
            raise BundleError(f"{OUTPUTS} holds over {most // (1024 * 1024)} MiB")
        files.append((name, status.st_mode & 0o777, content))
        if len(files) > MAX_FILES:
            raise BundleError(f"{OUTPUTS} holds over {MAX_FILES} files")
    return render_bundle(files)


def unpack(data: bytes, place: str = PLACE) -> None:
    """Make the place hold what the bundle does, and nothing else."""
    files = parse_bundle(data)
    _clear(place, depth=0)
    make_place(place)
    for path, mode, content in files:
        folder = place
        for name in path.split("/")[:-1]:
            folder = f"{folder}/{name}"
            if not _is_folder(folder):
                posix.mkdir(folder, 0o755)
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
        fd = posix.open(f"{place}/{path}", flags, mode | 0o600)
        written = 0
        while written < len(content):
            written += posix.write(fd, memoryview(content)[written:])
        posix.close(fd)


def _is_folder(path: str) -> bool:
    try:
        return posix.lstat(path).st_mode & 0o170000 == _FOLDER
    except OSError:
        return False


def _read(fd: int, most: int) -> bytes:
    pieces = []
    while most > 0 and (piece := posix.read(fd, min(most, 1 << 20))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _walk(folder: str, depth: int = 1) -> Iterator[tuple[str, posix.stat_result]]:
    """Every regular file below, with its status; not through links."""
    try:
        names = sorted(posix.listdir(folder))
    except OSError:
        return
    for name in names:
        path = f"{folder}/{name}"
        try:
            status = posix.lstat(path)
        except OSError:
            continue
        kind = status.st_mode & 0o170000
        if kind == _REGULAR:
            yield path, status
        elif kind == _FOLDER and depth < _MAX_DEPTH:
            yield from _walk(path, depth + 1)


def _clear(folder: str, depth: int) -> None:
    """Take away everything in it, as far as it lets us."""
    for name in posix.listdir(folder) if depth < 100 else ():
        path = f"{folder}/{name}"
        try:
            if posix.lstat(path).st_mode & 0o170000 == _FOLDER:
                posix.chmod(path, 0o700)
                _clear(path, depth + 1)
                posix.rmdir(path)
            else:
                posix.unlink(path)
        except OSError:
            continue
