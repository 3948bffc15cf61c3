"""The file tools, run in a child of the worker: so they obey the mounts, the user and the limits of a command.

`run` writes its answer to descriptor 1 and its complaint to 2, reads new content from 0, and returns an exit status: 0
done, 1 not possible (the complaint says why and what to do), FOREIGN done with files of others. What the kernel cannot
hold of folder policies, the ends of names and the sizes of files, it holds itself, by where a file really lies. Imports
stand where they are used: most calls need none.

Source: rename(2), open(2), glob(7).
"""

from __future__ import annotations

import posix

from aiosd.sandbox.bundle import BundleError, pack, unpack
from aiosd.sandbox.folders import find_hold, make_fence
from aiosd.sandbox.foreign import look_at, look_at_words, take_seen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from aiosd.sandbox.folders import Fence, Hold

FOREIGN = 64
_MAX_READ = 4 * 1024 * 1024
_MAX_LINES = 2000
_MAX_MATCHES = 1000
_MAX_GREP_FILE = 8 * 1024 * 1024
_MAX_DEPTH = 64
_FOLDER, _REGULAR, _LINK = 0o040000, 0o100000, 0o120000
_ENOENT, _EACCES, _EROFS = 2, 13, 30

_MAX_STEPS = 100  # up to a folder that is there, and along links

_fences: list[Fence] = []  # of this call, at most one


class _NotPossibleError(Exception):
    pass


def run(name: str, arguments: dict[str, Any], environment: dict[str, str]) -> int:
    """Run one tool; its exit status. Besides its own, `arguments` may hold the `fence` of the folder policies."""
    _fences.clear()
    if fence := arguments.pop("fence", ()):
        resolved = [(_real_place(entry[0]), *entry[1:]) for entry in fence]
        _fences.append(make_fence(entry for entry in resolved if entry[0]))
    del environment  # the tools take nothing from it
    tools: dict[str, Callable[..., None]] = {
        "read_file": _read_file, "write_file": _write_file, "edit_file": _edit_file, "glob": _glob, "grep": _grep,
        "pack": _pack, "unpack": _unpack,
    }  # fmt: skip
    try:
        tools[name](**arguments)
    except (_NotPossibleError, BundleError) as exc:
        _write(2, f"{exc}\n")
        return 1
    except OSError as exc:
        path = str(arguments.get("path", name))
        _write(2, f"{path}: {posix.strerror(exc.errno or 0)}{_explain(path, exc.errno)}\n")
        return 1
    return FOREIGN if take_seen() else 0


def _real_place(path: str, flags: int = 0) -> str:
    """Where a file or folder really lies; "" where it is not to be found."""
    try:
        fd = posix.open(path or ".", posix.O_PATH | posix.O_CLOEXEC | flags)
    except OSError:
        return ""
    place = posix.readlink(f"/proc/self/fd/{fd}")
    posix.close(fd)
    return place


def _check_place(place: str, path: str) -> Hold | None:
    """What the folder policies say of a file that lies, or is to lie, at `place`; None where there are none."""
    if not _fences:
        return None
    hold = find_hold(_fences[0], place)
    if hold.refuses(place):
        raise _NotPossibleError(f"{path}: a folder policy for {hold.path} gives no files of this kind")
    return hold


def _explain(path: str, number: int | None) -> str:
    """Whose word a refusal of the kernel was, where it was a folder policy's."""
    if number not in (_ENOENT, _EACCES, _EROFS) or not _fences:
        return ""
    for _ in range(_MAX_STEPS):
        if _real_place(path):
            break
        parent = path.rstrip("/").rpartition("/")[0]
        try:
            target = posix.readlink(path)
            path = target if target[:1] == "/" else f"{parent}/{target}"
        except OSError:
            path = parent or "/"
    hold = find_hold(_fences[0], _real_place(path))
    if not hold.read:
        return f"; a folder policy for {hold.path} denies it, and an administrator can change that"
    if number == _EROFS and hold.write is False:
        return f"; a folder policy for {hold.path} makes it read-only, and an administrator can change that"
    return ""


def _pack(most: int) -> None:
    """Ours: what the session keeps, to standard output."""
    _write_bytes(1, pack(most))


def _unpack() -> None:
    """Ours: what the session keeps, from standard input."""
    unpack(_read_all(0, 1 << 40))


def _write(fd: int, text: str) -> None:
    _write_bytes(fd, text.encode("utf-8", "surrogateescape"))


def _write_bytes(fd: int, data: bytes) -> None:
    while data:
        data = data[posix.write(fd, data) :]


def _read_all(fd: int, limit: int) -> bytes:
    pieces = []
    while limit > 0:
        piece = posix.read(fd, min(limit, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _split(text: str) -> list[str]:
    """Its lines with their ends, which are newlines only, as for every other tool that counts them."""
    pieces = text.split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + pieces[-1:] * (pieces[-1] != "")


def _refuse_link(path: str) -> None:
    if posix.lstat(path).st_mode & 0o170000 == _LINK:
        raise _NotPossibleError(f"{path} is a symbolic link to {posix.readlink(path)}; name that file")


def _open_regular(path: str, flags: int = 0) -> tuple[int, Any]:
    """A regular file, opened without hanging on a pipe or touching a device."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY | flags)
    status = posix.fstat(fd)
    kind = status.st_mode & 0o170000
    if kind != _REGULAR:
        posix.close(fd)
        what = "a folder; use glob to list it" if kind == _FOLDER else "not a regular file"
        raise _NotPossibleError(f"{path} is {what}")
    try:
        _check_place(posix.readlink(f"/proc/self/fd/{fd}") if _fences else path, path)
    except _NotPossibleError:
        posix.close(fd)
        raise
    return fd, status


def _read_file(path: str, offset: int = 1, limit: int = _MAX_LINES) -> None:
    fd, status = _open_regular(path)
    look_at(fd)
    data = _read_all(fd, _MAX_READ)
    posix.close(fd)
    if b"\0" in data[:8192]:
        raise _NotPossibleError(f"{path} is binary ({status.st_size} bytes); use a command such as file or od")
    lines = _split(data.decode("utf-8", "replace"))
    first = max(offset, 1) - 1
    shown = lines[first : first + max(limit, 1)]
    _write(1, "".join(shown))
    last = first + len(shown)
    if last < len(lines):
        _write(2, f"[lines {first + 1} to {last}; go on with offset={last + 1}]\n")
    elif status.st_size > len(data) and shown:
        _write(2, f"[lines {first + 1} to {last}; what follows is over 4 MiB into the file: use tail, or sed -n]\n")
    elif status.st_size > len(data):
        _write(2, f"[the first 4 MiB of the file have {len(lines)} lines]\n")


def _write_file(path: str) -> None:
    content = _read_all(0, 1 << 40)
    existed = _replace(path, content)
    _write(1, f"{'replaced' if existed else 'created'} {path} ({len(content)} bytes)\n")


def _edit_file(path: str, old: str, new: str, replace_all: bool = False) -> None:
    if not old:
        raise _NotPossibleError("old is empty; to make a file use write_file")
    _refuse_link(path)
    fd, _status = _open_regular(path, posix.O_NOFOLLOW)
    data = _read_all(fd, 1 << 40)
    posix.close(fd)
    wanted = old.encode("utf-8", "surrogateescape")
    count = data.count(wanted)
    if count == 0:
        raise _NotPossibleError(f"{path} does not contain that text; read it again, white space counts")
    if count > 1 and not replace_all:
        raise _NotPossibleError(f"{path} contains that text {count} times; give more of what stands around it")
    _replace(path, data.replace(wanted, new.encode("utf-8", "surrogateescape")))
    _write(1, f"edited {path} ({count} replacement{'s' if count > 1 else ''})\n")


def _replace(path: str, content: bytes) -> bool:
    """Put `content` at `path` in one step: a reader sees the old file or the new one. Whether there was an old one."""
    parent, slash, name = path.rpartition("/")
    hold = _check_place(f"{_real_place(parent + slash).rstrip('/')}/{name}", path) if _fences else None
    if hold is not None and hold.max_bytes and len(content) > hold.max_bytes:
        most = hold.max_bytes // (1024 * 1024)
        raise _NotPossibleError(f"{path}: a folder policy for {hold.path} gives a file at most {most} MiB")
    mode, existed, owner = 0o644, True, None
    try:
        status = posix.lstat(path)
    except FileNotFoundError:
        existed = False
    else:
        _refuse_link(path)
        if status.st_mode & 0o170000 != _REGULAR:
            raise _NotPossibleError(f"{path} is not a regular file")
        mode, owner = status.st_mode & 0o7777, (status.st_uid, status.st_gid)
    folder, slash, name = path.rpartition("/")
    short = name.encode("utf-8", "surrogateescape")[:200].decode("utf-8", "ignore")
    temporary = f"{folder}{slash}.{short}.{posix.urandom(6).hex()}"
    fd = posix.open(temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC, mode)
    try:
        while content:
            content = content[posix.write(fd, content) :]
        if existed:
            posix.fchmod(fd, mode)
            if owner != (posix.geteuid(), posix.getegid()) and owner is not None:
                posix.fchown(fd, *owner)
        posix.fsync(fd)
        posix.rename(temporary, path)
    except OSError:
        posix.unlink(temporary)
        raise
    finally:
        posix.close(fd)
    return existed


def _walk(base: str, levels: int = _MAX_DEPTH) -> Iterator[tuple[str, bool]]:
    """Every path down to `levels` folders below `base`, with whether it is a folder, in order, not through links."""
    try:
        with posix.scandir(base or ".") as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in listed:
        path = f"{base}/{entry.name}" if base not in ("", "/") else base + entry.name
        folder = entry.is_dir(follow_symlinks=False)
        yield path, folder
        if folder and levels:
            yield from _walk(path, levels - 1)


def _compile_glob(pattern: str) -> Any:
    r"""`*` and `?` within a name, `**` across folders, `[...]`; anchored at both ends."""
    import re

    out, i = "", 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**/", i):
            out += "(?:.*/)?"
            i += 3
        elif pattern.startswith("**", i):
            out += ".*"
            i += 2
        elif char == "[" and "]" in pattern[i + 2 :]:
            end = pattern.index("]", i + 2)
            inner = pattern[i + 1 : end]
            negated = inner[0] in "!^"
            members = "".join(each if each == "-" else re.escape(each) for each in inner[negated:])
            out += f"[{'^' * negated}{members}]"
            i = end + 1
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
            i += 1
    try:
        return re.compile(out + r"\Z", re.DOTALL)
    except re.error as exc:
        raise _NotPossibleError(f"{pattern} is not a file name pattern: {exc}") from exc


def _relative(path: str, base: str) -> str:
    return path[len(base.rstrip("/")) + 1 :] if base else path


def _glob(pattern: str, path: str = "") -> None:
    if path and posix.stat(path).st_mode & 0o170000 != _FOLDER:
        raise _NotPossibleError(f"{path} is not a folder")
    wanted, count = _compile_glob(pattern), 0
    for found, folder in _walk(path, _MAX_DEPTH if "**" in pattern else pattern.count("/")):
        if wanted.match(_relative(found, path)):
            count += 1
            if count > _MAX_MATCHES:
                _write(2, f"[stopped after {_MAX_MATCHES} paths; narrow the pattern]\n")
                return
            _write(1, found + ("/" if folder else "") + "\n")
    if not count:
        _write(2, "no path matches\n")


def _grep(pattern: str, path: str = "", glob: str = "", ignore_case: bool = False) -> None:
    import re

    try:
        wanted = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as exc:
        raise _NotPossibleError(f"the pattern is not a regular expression: {exc}") from exc
    chosen = _compile_glob(glob) if glob else None
    single = bool(path) and posix.stat(path).st_mode & 0o170000 != _FOLDER
    count, shown = 0, ""
    for found, folder in [(path, False)] if single else _walk(path):
        name = found.rpartition("/")[2]
        if folder or (chosen and not (chosen.match(_relative(found, path)) or chosen.match(name))):
            continue
        for number, line in _lines(found, complain=single):
            if wanted.search(line):
                count += 1
                if count > _MAX_MATCHES:
                    _write(2, f"[stopped after {_MAX_MATCHES} lines; narrow the search]\n")
                    return
                if found != shown:
                    shown = found
                    look_at_words([found])
                _write(1, f"{found}:{number}:{line[:500]}\n")
    if not count:
        _write(2, "no line matches\n")


def _lines(path: str, *, complain: bool) -> Iterator[tuple[int, str]]:
    try:
        fd, _status = _open_regular(path)
    except (OSError, _NotPossibleError):
        if complain:
            raise
        return
    data = _read_all(fd, _MAX_GREP_FILE)
    posix.close(fd)
    if b"\0" not in data[:8192]:
        for number, line in enumerate(_split(data.decode("utf-8", "replace")), 1):
            yield number, line.removesuffix("\n")
