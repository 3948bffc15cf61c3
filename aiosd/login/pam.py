"""The hook's line in the files of /etc/pam.d: put in where it can do no harm, taken out again to the byte.

A file is changed as a whole or not at all, keeps its owner, mode and attributes, and is refused where it is not plainly
one service's own list with a session stack: what is wrong there could keep everybody out of the machine.

Source: pam.d(5) for lines, continuations, `@include`, `include` and `substack`.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HOOK = "/usr/lib/aios/login-hook"
LINE = f"session optional pam_exec.so quiet stdout {HOOK}"
USUAL = ("login", "sshd")  # su is used by scripts far more than by people
OFFERED = ("login", "sshd", "su", "su-l", "gdm-password", "sddm", "lightdm", "lxdm", "ly", "greetd")
_FOLDER = Path("/etc/pam.d")
_MARK = "# Tells aiosd of the login and shows what waits; to take it out: aios login disable"
_MARK_AFTER_NO_END = f"{_MARK} (this line's file had no line end)"
_BLOCK = f"{_MARK}\n{LINE}\n".encode()
_BLOCK_AFTER_NO_END = f"\n{_MARK_AFTER_NO_END}\n{LINE}\n".encode()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MODULES = ("/usr/lib/security", "/usr/lib64/security", "/lib/security", "/lib64/security")
_MAX_BYTES = 64 * 1024
_MAX_DEPTH = 16


class PamError(Exception):
    """A file stays as it is: why, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Pam:
    """The services of one folder."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._folder = folder

    def has(self, service: str) -> bool:
        """Whether the service has a file of its own here."""
        return _NAME.fullmatch(service) is not None and (self._folder / service).exists()

    def hooked(self) -> list[str]:
        """The services whose own file has our line."""
        return [name for name in self._names() if _has_block(self._peek(name))]

    def through(self, service: str) -> str:
        """The file with our line that the session stack of `service` takes in; "" where there is none."""
        return next((name for name in self._included(service) if _has_block(self._peek(name))), "")

    def ordered(self, services: Sequence[str]) -> list[str]:
        """`services`, each once, those that others of them take in before these."""
        distinct = list(dict.fromkeys(services))
        taken = {name for service in distinct for name in self._included(service)}
        return sorted(distinct, key=lambda service: service not in taken)

    def enable(self, service: str) -> bool:
        """Put the line in; False where it is in already. Raises PamError."""
        with self._changing(service) as (content, write):
            if _has_block(content):
                return False
            if _names_hook(content):
                raise PamError(f"{self._folder / service} names {HOOK} in a line that is not ours", "take it out first")
            outer = [name for name in self.hooked() if service in self._included(name)]
            if outer:
                raise PamError(
                    f"{outer[0]} has the line and takes in {service}: it would run twice there",
                    f"first: aios login disable {outer[0]}",
                )
            if not self._has_session(content):
                raise PamError(f"{self._folder / service} has no session stack", "name a service that people log in by")
            write(insert(content))
        return True

    def disable(self, service: str) -> bool:
        """Take the line out; False where it is not in. Raises PamError."""
        with self._changing(service) as (content, write):
            if not _has_block(content):
                if _names_hook(content):
                    raise PamError(
                        f"{self._folder / service} names {HOOK}, but not as it was put in", "take it out by hand"
                    )
                return False
            write(remove(content))
        return True

    @contextmanager
    def _changing(self, service: str) -> Iterator[tuple[bytes, "_Writer"]]:
        if not _NAME.fullmatch(service):
            raise PamError(f"{service!r} is no name of a service", f"the services are the files of {self._folder}")
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            content, status = _read_own(folder, service, str(self._folder / service))
            yield content, _Writer(folder, service, status)
        finally:
            os.close(folder)

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._folder) if _NAME.fullmatch(name))
        except FileNotFoundError:
            return []

    def _peek(self, name: str) -> bytes:
        """A file's content for looking only: nothing where it cannot be read."""
        try:
            with open(self._folder / name, "rb") as file:
                return file.read(_MAX_BYTES)
        except OSError:
            return b""

    def _included(self, service: str, depth: int = 0) -> list[str]:
        """Every file that the session stack of `service` takes in, itself left out."""
        found: list[str] = []
        for name in _inclusions(self._peek(service)) if depth < _MAX_DEPTH else ():
            found += [name, *self._included(name, depth + 1)]
        return list(dict.fromkeys(found))

    def _has_session(self, content: bytes, depth: int = 0) -> bool:
        if any(fields[0] == b"session" and fields[1] not in _TAKING_IN for fields in _lines(content)):
            return True
        return depth < _MAX_DEPTH and any(
            self._has_session(self._peek(name), depth + 1) for name in _inclusions(content)
        )


class _Writer:
    """Replaces one file, atomically, by one of the same owner, mode and attributes."""

    def __init__(self, folder: int, name: str, status: os.stat_result) -> None:
        self._folder = folder
        self._name = name
        self._status = status

    def __call__(self, content: bytes) -> None:
        new = f".{self._name}.aios-new"
        self._unlink(new)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(new, flags, 0o600, dir_fd=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                self._take_over(descriptor)
                os.fsync(descriptor)
            now = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            if (now.st_ino, now.st_mtime_ns) != (self._status.st_ino, self._status.st_mtime_ns):
                raise PamError(f"{self._name} was changed at the same time", "try again")
            os.rename(new, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)
        except BaseException:
            self._unlink(new)
            raise

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._folder)

    def _take_over(self, descriptor: int) -> None:
        old = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            for name in os.listxattr(old):  # access lists, SELinux labels
                os.setxattr(descriptor, name, os.getxattr(old, name))
        finally:
            os.close(old)
        os.fchown(descriptor, self._status.st_uid, self._status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(self._status.st_mode))


def insert(content: bytes) -> bytes:
    """`content` with our line at its end. PamError where a line could not stand there."""
    last = content.rstrip(b"\n").rpartition(b"\n")[2]
    if last.endswith(b"\\"):
        raise PamError("its last line goes on after its end", "complete it, or take its backslash away")
    return content + (_BLOCK if content.endswith(b"\n") else _BLOCK_AFTER_NO_END)


def remove(content: bytes) -> bytes:
    """`content` as it was before `insert`, what else has changed kept."""
    return content.replace(_BLOCK_AFTER_NO_END, b"").replace(_BLOCK, b"")


def check_hook(hook: str = HOOK, modules: Sequence[str] = _MODULES) -> None:
    """PamError where the line would lead nowhere, or where somebody else than root could change what it starts."""
    reinstall = "install the package anew"
    try:
        status = os.lstat(hook)
    except OSError as exc:
        raise PamError(f"{hook}: {exc.strerror}", "install the package; the hook is a part of it") from exc
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IXOTH:
        raise PamError(f"{hook} is not a program that everybody may run", reinstall)
    for path in (Path(hook), *Path(hook).parents):
        status = os.stat(path)
        if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PamError(f"{path} can be changed by others than root", f"chown root {path}; chmod go-w {path}")
    folders = (*map(Path, modules), *Path("/usr/lib").glob("*/security"))
    if not any((folder / "pam_exec.so").exists() for folder in folders):
        raise PamError("there is no pam_exec.so", "install PAM's modules (Arch: pam; Debian: libpam-modules)")


def _read_own(folder: int, name: str, path: str) -> tuple[bytes, os.stat_result]:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError as exc:
        raise PamError(f"there is no {path}", "aios login status lists what there is") from exc
    except OSError as exc:
        raise PamError(
            f"{path}: {exc.strerror}", "it must be a plain file; a link is somebody else's to change"
        ) from exc
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PamError(f"{path} is not a plain file", "name another service")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PamError(f"{path} can be changed by others than root", f"chown root {path}; chmod go-w {path}")
        content = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MAX_BYTES or b"\0" in content:
        raise PamError(f"{path} is not a list of PAM modules", "name another service")
    return content, status


_TAKING_IN = (b"include", b"substack")


def _has_block(content: bytes) -> bool:
    return _BLOCK in content or _BLOCK_AFTER_NO_END in content


def _names_hook(content: bytes) -> bool:
    return any(HOOK.encode() in fields for fields in _lines(content))


def _lines(content: bytes) -> Iterator[list[bytes]]:
    """The fields of each line that says something, the type in small letters without its dash; at least two."""
    for line in content.replace(b"\\\n", b" ").split(b"\n"):
        fields = line.partition(b"#")[0].split()
        if len(fields) > 1:
            yield [fields[0].lower().removeprefix(b"-"), *fields[1:]]


def _inclusions(content: bytes) -> Iterator[str]:
    """The names of the files that the session stack takes in."""
    for fields in _lines(content):
        if fields[0] == b"@include":
            yield os.fsdecode(fields[1])
        elif fields[0] == b"session" and fields[1] in _TAKING_IN and len(fields) > 2:
            yield os.fsdecode(fields[2])
