"""Starting one simple command: words to argv, redirections, the program found, and the process.

Runs in the worker, under its rules: built-in modules only, nothing read but what the command itself would read.

Source: posix_spawn(3), execve(2), setsid(2).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal itself, without the enums that cost 2 ms
import posix

from aiosd.sandbox.expand import CannotStartError, expand_words
from aiosd.sandbox.foreign import look_at, look_at_words
from aiosd.sandbox.libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_SCOPES = bytes(16) + (3).to_bytes(8, "little")  # no file rights, no network rights; abstract sockets and signals
_NOT_FOUND, _NOT_RUNNABLE = 127, 126
_ENOENT = 2
_DEFAULTED = (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT, _signal.SIGTERM, _signal.SIGCHLD)


def spawn(
    words: Any, redirects: Any, environment: dict[str, str], standard: tuple[int, int, int], *, gate: int, shut: bool
) -> int:
    """Start one simple command: its pid, or minus the status it fails with.

    At a `gate` (-1: none) it waits before it runs; `shut` it is kept from signalling anything but its own children.
    """
    table = dict(enumerate(standard))
    opened: list[int] = []
    try:
        try:
            argv = expand_words(words, environment)
            look_at_words(argv[1:])
            for redirect in redirects:
                _redirect(redirect, table, opened, environment)
            program = _find(argv[0], environment.get("PATH", ""))
        except CannotStartError as exc:
            _say(standard[2], exc.args[0])
            return -int(exc.args[1])
        try:
            if gate >= 0 or shut:
                return _fork(program, argv, environment, table, gate=gate, shut=shut)
            return posix.posix_spawn(
                program,
                argv,
                environment,
                file_actions=[(posix.POSIX_SPAWN_DUP2, fd, target) for target, fd in sorted(table.items())],
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULTED,
            )
        except OSError as exc:
            _say(standard[2], f"{argv[0]}: {posix.strerror(exc.errno or 0)}")
            return -_status_of(exc)
    finally:
        for fd in opened:
            posix.close(fd)


def _fork(
    program: str, argv: list[str], environment: dict[str, str], table: dict[int, int], *, gate: int, shut: bool
) -> int:
    """As posix_spawn would, with a stop at the gate; twice its cost, as the interpreter is copied."""
    pid = posix.fork()
    if pid:
        return pid
    try:
        _signal.set_wakeup_fd(-1)
        for number in _DEFAULTED:
            _signal.signal(number, _signal.SIG_DFL)
        posix.setsid()
        if gate >= 0:
            pass_gate(gate)
        if shut:
            shut_in()
        for target, fd in sorted(table.items()):
            posix.dup2(fd, target)
        posix.execve(program, argv, environment)
    except OSError as exc:
        _say(table[2], f"{argv[0]}: {posix.strerror(exc.errno or 0)}")
        posix._exit(_status_of(exc))
    finally:
        posix._exit(_NOT_RUNNABLE)


def shut_in() -> None:
    """In a forked child: a Landlock domain of its own, so that not even the worker can be signalled; else it ends."""
    ruleset = call("syscall", _LANDLOCK_CREATE, _SCOPES, len(_SCOPES), 0)
    if ruleset < 0 or call("syscall", _LANDLOCK_RESTRICT, ruleset, 0) != 0:
        posix._exit(71)
    posix.close(ruleset)


def pass_gate(gate: int) -> None:
    """In a forked child: say that it is there, and go on when the guard has placed it; it ends where it may not."""
    try:
        posix.write(gate, b"?")
        if posix.read(gate, 1) != b"y":
            posix._exit(_NOT_RUNNABLE)
    except OSError:
        posix._exit(_NOT_RUNNABLE)


def _status_of(error: OSError) -> int:
    """What a shell says where a program that is there cannot be run: it may be its interpreter that is not."""
    return _NOT_FOUND if error.errno == _ENOENT else _NOT_RUNNABLE


def _say(fd: int, text: str) -> None:
    try:
        posix.write(fd, f"aios: {text}\n".encode("utf-8", "surrogateescape"))
    except OSError:
        pass


def _find(name: str, path: str) -> str:
    if "/" in name:
        if not posix.access(name, posix.F_OK):
            raise CannotStartError(f"{name}: No such file or directory", _NOT_FOUND)
        return name
    for folder in path.split(":"):
        candidate = f"{folder}/{name}"
        if posix.access(candidate, posix.X_OK) and posix.stat(candidate).st_mode & 0o170000 == 0o100000:
            return candidate
    raise CannotStartError(f"{name}: command not found", _NOT_FOUND)


def _redirect(redirect: Any, table: dict[int, int], opened: list[int], environment: dict[str, str]) -> None:
    kind, fd = redirect[0], redirect[1]
    if kind == "discard":
        opened.append(posix.open("/dev/null", posix.O_WRONLY | posix.O_CLOEXEC))
        table[fd] = opened[-1]
    elif kind == "duplicate":
        source = redirect[2]
        if source not in table:
            raise CannotStartError(f"{source}: Bad file descriptor", 1)
        table[fd] = table[source]
    else:
        names = expand_words((redirect[2],), environment)
        name = names[0]
        try:
            if len(names) != 1:
                raise CannotStartError(f"{redirect[2][0]}: ambiguous redirect", 1)
            flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY
            opened.append(posix.open(name, flags))
            look_at(opened[-1])
            if posix.fstat(opened[-1]).st_mode & 0o170000 != 0o100000:
                raise CannotStartError(f"{name}: not a regular file", 1)
        except OSError as exc:
            raise CannotStartError(f"{name}: {posix.strerror(exc.errno or 0)}", 1) from exc
        table[0] = opened[-1]
