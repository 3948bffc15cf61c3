"""The steps of a setup: each says what it would do, whether that is so already, does it, and takes it back.

What a step did is kept as a few texts (`facts`), from which it can be made again to be undone. It takes back only what
it did: a file that was changed since, a group the user was in before, a home with its files stay.
"""

import grp
import hashlib
import os
import pwd
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_DEADLINE_S = 60


class SetupError(Exception):
    """A step cannot be done or undone: why, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Step(Protocol):
    """One thing that a setup changes."""

    def describe(self) -> str:
        """What `do` does, in one line; below it, indented, the content of a file as it is written."""

    def is_done(self) -> bool:
        """Whether nothing is to do. SetupError where it can never be done."""

    def do(self) -> None:
        """Do it. SetupError where that fails."""

    def describe_undo(self) -> str:
        """What `undo` does, or why it does nothing."""

    def undo(self) -> None:
        """Take back what `do` did, as far as it is still that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUser:
    """A user with a home, a group of its own, and no password."""

    name: str
    shell: str = "/bin/bash"

    def describe(self) -> str:
        return f"create the user {self.name}, with a home, {self.shell}, no password and no rights of root"

    def is_done(self) -> bool:
        uid = _find_uid(self.name)
        if uid == 0:
            raise SetupError(f"{self.name} is root", "name a user of its own for the AI: --user NAME")
        return uid is not None

    def do(self) -> None:
        run("useradd", "--create-home", "--user-group", "--shell", self.shell, "--comment", "AI", self.name)

    def describe_undo(self) -> str:
        return f"remove the user {self.name}; its home stays"

    def undo(self) -> None:
        if _find_uid(self.name) is not None:
            run("userdel", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinGroup:
    """A user in one group more."""

    name: str
    group: str
    purpose: str

    def describe(self) -> str:
        return f"put {self.name} into the group {self.group}, {self.purpose}"

    def is_done(self) -> bool:
        try:
            return self.name in grp.getgrnam(self.group).gr_mem
        except KeyError as exc:
            raise SetupError(f"there is no group {self.group}", "it comes with systemd: systemd-sysusers") from exc

    def do(self) -> None:
        run("usermod", "--append", "--groups", self.group, self.name)

    def describe_undo(self) -> str:
        return f"take {self.name} out of the group {self.group}"

    def undo(self) -> None:
        if self.is_done():
            run("gpasswd", "--delete", self.name, self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """A file of ours, root's. `digest` is of its content; `content` is empty where it is only to be undone.

    `then` is a command to run after it is written or removed, in words; `was` the digest of our own earlier version.
    """

    path: str
    purpose: str
    digest: str
    then: str = ""
    was: str = ""
    content: str = ""

    def describe(self) -> str:
        text = "".join(f"\n      {line}" for line in self.content.splitlines())
        if self.was:
            return f"replace {self.path}: {self.purpose}{text}"
        return f"write {self.path}: {self.purpose}{text}"

    def is_done(self) -> bool:
        now = _find_digest(self.path)
        if now not in ("", self.digest, self.was):
            raise SetupError(
                f"{self.path} is there and is not as this writes it", "move it away, or keep it and leave this out"
            )
        return now == self.digest

    def do(self) -> None:
        write_file(Path(self.path), self.content)
        self._run_then()

    def describe_undo(self) -> str:
        if _find_digest(self.path) in ("", self.digest):
            return f"remove {self.path}"
        return f"leave {self.path}: it was changed since"

    def undo(self) -> None:
        if _find_digest(self.path) != self.digest:
            return
        path = Path(self.path)
        path.unlink()
        if (
            path.parent.name.endswith(".d")
            and path.parent.parent.parent.name == "systemd"
            and not any(path.parent.iterdir())
        ):
            path.parent.rmdir()
        self._run_then()

    def _run_then(self) -> None:
        if self.then:
            run(*self.then.split())


_KINDS = {"user": CreateUser, "group": JoinGroup, "file": WriteFile}


def render_step(step: Step) -> dict[str, str]:
    """What is kept of a step that was done."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(step, cls))
    facts: dict[str, str] = asdict(step)  # type: ignore[call-overload] # every kind is a dataclass of texts
    return {"kind": kind, **{name: value for name, value in facts.items() if name not in ("content", "was")}}


def parse_step(facts: dict[str, str]) -> Step:
    """A step that was done, to be undone. ValueError for what `render_step` has not made."""
    given = dict(facts)
    kind = _KINDS.get(given.pop("kind", ""))
    if kind is None or not all(isinstance(value, str) for value in given.values()):
        raise ValueError(f"no step: {facts}")
    try:
        step: Step = kind(**given)
    except TypeError as exc:
        raise ValueError(f"no step: {facts}") from exc
    return step


def make_file(path: str, purpose: str, content: str, *, then: str = "", was: str = "") -> WriteFile:
    """The step that writes `content`."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    return WriteFile(
        path=path, purpose=purpose, digest=digest, then=then, was="" if was == digest else was, content=content
    )


def write_file(path: Path, content: str) -> None:
    """Write a file of root's that everybody may read, whole or not at all; its folder is made."""
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o644)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}", "is the disk full, or read-only?") from exc


def run(*argv: str) -> None:
    """Run one of the system's tools. SetupError with its words where it fails."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            timeout=_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise SetupError(f"{argv[0]} cannot be run: {exc}", "put it right and run this again") from exc
    if done.returncode:
        raise SetupError(
            f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}", "put it right and run this again"
        )


def _find_uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _find_digest(path: str) -> str:
    """Of a file's content; "" where there is none."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}", "move it away") from exc
