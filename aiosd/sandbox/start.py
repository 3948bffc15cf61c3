"""Starting the launcher as the guard's own child (`units`: as a unit), and what is done to a cgroup as a whole.

A child is what there is without a service manager: the sandbox dies with the guard by the parent-death signal.

Source: prctl(2) PR_SET_PDEATHSIG, cgroups(7).
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from aiosd.sandbox.process import Process

_ROOT = str(Path(__file__).parents[2])
_CODE = f"import sys;sys.path.insert(0,{_ROOT!r});from aiosd.sandbox.launch import %s as main;main()"
_LATER_S = 0.05  # so that it is not in the way of the one that was just started


class Launched(Protocol):
    """A launcher that was started, on its way to being a sandbox. `group` is its cgroup, "" where it has none."""

    group: str

    def kill(self) -> None:
        """Kill the sandbox."""
        ...

    def freeze(self, *, on: bool) -> None:
        """Stop everything in it in its tracks, or let it go on."""
        ...

    def kill_stopped(self, worker: int) -> None:
        """Where it was stopped, kill what `worker` (a pid) runs, and only then let the rest go on, which tidies up."""
        ...

    async def wait(self) -> None:
        """Until the process that was started here has ended, where there is one."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Starter(Protocol):
    """A way to start launchers. `parent` is what their parent's pid must be, 0 where that is PID 1's business."""

    parent: int

    async def start(self, interpreter: str, control: int, errors: int) -> Launched:
        """Start one with these descriptors as standard input and error. OSError where that fails."""
        ...

    def within(self, name: str) -> "Starter":
        """A starter of those in this slice."""
        ...

    async def close(self) -> None:
        """Keep nothing ready any longer."""
        ...


class _Child:
    """A launcher that is a child of ours."""

    group = ""

    def __init__(self, argv: tuple[str, ...], control: int, errors: int) -> None:
        # bubblewrap is two processes, and the second waits for a word of the first, for ever if that one is dead.
        self._process = Process(argv, fds={0: control, 2: errors}, group=True)
        self._stopped = False

    def kill(self) -> None:
        self._process.send(signal.SIGKILL)

    def freeze(self, *, on: bool) -> None:
        self._stopped = on
        _signal(_walk_tree(self._process.pid), signal.SIGSTOP if on else signal.SIGCONT)

    def kill_stopped(self, worker: int) -> None:
        if self._stopped:
            _signal(set(_walk_tree(worker)) - {worker}, signal.SIGKILL)
            self.freeze(on=False)

    async def wait(self) -> None:
        await self._process.wait()

    def close(self) -> None:
        self._process.close()


def render_launcher(interpreter: str, main: str = "main") -> tuple[str, ...]:
    """The argv of a launcher; with `main_ahead`, of one that waits until it is needed."""
    return (interpreter, "-I", "-S", "-X", "utf8", "-c", _CODE % main)


class DirectStarter:
    """Starts launchers as children of this process.

    With `ahead` it keeps one that waits: half of what a sandbox takes to begin is the start of an interpreter.
    """

    def __init__(self, *, ahead: bool = False) -> None:
        self.parent = os.getpid()
        self._keeps = ahead
        self._ahead: tuple[_Child, socket.socket] | None = None

    async def start(self, interpreter: str, control: int, errors: int) -> Launched:
        """Start one."""
        child = await self._take(control, errors) or _Child(render_launcher(interpreter), control, errors)
        if self._keeps:
            asyncio.get_running_loop().call_later(_LATER_S, self._prepare, interpreter)
        return child

    def within(self, name: str) -> Starter:  # noqa: ARG002 - there are none
        """Itself."""
        return self

    async def close(self) -> None:
        """Keep none any longer."""
        self._keeps = False
        if self._ahead is not None:
            (child, ours), self._ahead = self._ahead, None
            ours.close()
            await _end(child)

    def _prepare(self, interpreter: str) -> None:
        if not self._keeps or self._ahead is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._ahead = _Child(render_launcher(interpreter, "main_ahead"), theirs.fileno(), null), ours
        except OSError:
            ours.close()
        finally:
            theirs.close()
            os.close(null)

    async def _take(self, control: int, errors: int) -> _Child | None:
        """The one that waits, told to begin; None where none does."""
        if self._ahead is None:
            return None
        (child, ours), self._ahead = self._ahead, None
        with ours:
            try:
                socket.send_fds(ours, [b"1"], [control, errors])
            except OSError:
                await _end(child)
                return None
        return child


async def _end(child: _Child) -> None:
    child.kill()
    await child.wait()
    child.close()


def is_populated(group: str) -> bool:
    """Whether any process is in a cgroup or below; not where it is gone."""
    try:
        return "populated 1" in Path(group, "cgroup.events").read_text(encoding="ascii")
    except OSError:
        return os.path.isdir(group)


def kill_group(path: str) -> None:
    """Kill every process of a cgroup and those below, atomically (cgroups(7), `cgroup.kill`); one that is gone is."""
    _order(f"{path}/cgroup.kill", "1")


def freeze_group(path: str, *, on: bool) -> None:
    """Stop every process of a cgroup and those below in its tracks, or let it go on; one that is gone is."""
    _order(f"{path}/cgroup.freeze", "1" if on else "0")


def _order(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="ascii")
    except OSError as exc:  # ENODEV where the group goes between the opening of its file and the writing
        if exc.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _walk_tree(pid: int) -> Iterator[int]:
    """A process and its descendants, those too that are born meanwhile."""
    seen: set[int] = set()
    fresh = {pid}
    while fresh:
        yield from fresh
        seen |= fresh
        fresh = {child for each in seen for child in _children(each)} - seen


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found.update(map(int, Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii").split()))
    return found
