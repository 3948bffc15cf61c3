"""Starting the launcher: as the guard's own child (direct), or as a unit of its own asked of PID 1 (managed).

Direct is standalone: the sandbox dies with the guard by the parent-death signal. Managed is the installed service: the
guard has no capability, so PID 1 starts the launcher with full rights in a transient unit below the work slice, whose
cgroup stays root's; the sandbox dies with the guard because the worker's socket does, and by `cgroup.kill`.

Source: prctl(2) PR_SET_PDEATHSIG, systemd.resource-control(5) Delegate=, cgroups(7).
"""

import contextlib
import errno
import itertools
import os
import secrets
import signal
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from aiosd.sandbox.limits import SessionLimits
from aiosd.sandbox.manager import (
    ManagerError,
    Value,
    command,
    descriptor,
    flag,
    number,
    set_properties,
    start_transient_unit,
    stop_unit,
    success,
    text,
)
from aiosd.sandbox.process import Process

_ROOT = str(Path(__file__).parents[2])
_CODE = f"import sys;sys.path.insert(0,{_ROOT!r});from aiosd.sandbox.launch import main;main()"
_CGROUPS = "/sys/fs/cgroup"
WORK_SLICE = "aios-work.slice"
SLICE_PATH = f"{_CGROUPS}/aios.slice/{WORK_SLICE}"
_OF_SESSION = f"{WORK_SLICE.removesuffix('.slice')}-"


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


class _Child:
    """A launcher that is a child of ours."""

    group = ""

    def __init__(self, argv: list[str], control: int, errors: int) -> None:
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


class DirectStarter:
    """Starts launchers as children of this process."""

    def __init__(self) -> None:
        self.parent = os.getpid()

    async def start(self, interpreter: str, control: int, errors: int) -> Launched:
        """Start one."""
        return _Child([interpreter, "-I", "-S", "-X", "utf8", "-c", _CODE], control, errors)

    def within(self, name: str) -> Starter:  # noqa: ARG002 - there are none
        """Itself."""
        return self


def slice_path(name: str) -> str:
    """The cgroup of a session's slice; for "" the one of all work."""
    return f"{SLICE_PATH}/{name}".rstrip("/")


def slice_of(group: str) -> str:
    """The session's slice that the cgroup `group` lies in; "" where that is none."""
    name = Path(group).parent.name
    return name if name.startswith(_OF_SESSION) and name.endswith(".slice") else ""


class SliceMaker:
    """Asks PID 1 for the slices in which sessions run what they run. What it raises is OSError."""

    async def open(self, limits: SessionLimits) -> str:
        """A new one; its name."""
        name = f"{_OF_SESSION}{secrets.token_hex(6)}.slice"
        with _no_manager():
            await start_transient_unit(name, (("Description", text("A session of aios-guard")), *_bound(limits)))
        return name

    async def limit(self, name: str, limits: SessionLimits) -> None:
        """Hold one to other limits from now on."""
        with _no_manager():
            await set_properties(name, _bound(limits))

    async def close_empty(self, keep: Container[str]) -> set[str]:
        """Take those away in which nothing runs, but for `keep`; which."""
        closed: set[str] = set()
        for path in Path(SLICE_PATH).glob(f"{_OF_SESSION}*.slice"):
            if path.name in keep or is_populated(str(path)):
                continue
            with contextlib.suppress(ManagerError):  # it has gone by itself
                await stop_unit(path.name)
            closed.add(path.name)
        return closed


@contextlib.contextmanager
def _no_manager() -> Iterator[None]:
    try:
        yield
    except ManagerError as exc:
        raise OSError(errno.EIO, str(exc)) from exc


def _bound(limits: SessionLimits) -> tuple[tuple[str, Value], ...]:
    return (
        ("MemoryMax", number(limits.session_memory_mib * 1024 * 1024)),
        ("MemorySwapMax", number(0)),
        ("TasksMax", number(limits.session_processes)),
    )


class ManagedStarter:
    """Has PID 1 start launchers, each in a unit of its own."""

    parent = 0

    def __init__(self, name: str = "", *, run: str = "", numbers: Iterator[int] | None = None) -> None:
        self._slice = name
        self._run = run or secrets.token_hex(3)  # tells the units of this guard from those of one before
        self._numbers = numbers or itertools.count(1)

    def within(self, name: str) -> Starter:
        """One that starts them in a session's slice."""
        return ManagedStarter(name, run=self._run, numbers=self._numbers)

    async def start(self, interpreter: str, control: int, errors: int) -> Launched:
        """Start one."""
        unit = f"aios-sandbox-{self._run}-{next(self._numbers)}.service"
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            await start_transient_unit(
                unit,
                (
                    ("Description", text("A sandbox of aios-guard")),
                    ("Slice", text(self._slice or WORK_SLICE)),
                    ("CollectMode", text("inactive-or-failed")),
                    ("Delegate", flag(True)),
                    ("DelegateSubgroup", text("worker")),
                    ("TasksMax", number(1024)),
                    ("OOMPolicy", text("continue")),
                    ("SuccessExitStatus", success(signal.SIGKILL)),  # how each is ended
                    ("TimeoutStopUSec", number(5_000_000)),
                    ("StandardInputFileDescriptor", descriptor(control)),
                    ("StandardOutputFileDescriptor", descriptor(null)),
                    ("StandardErrorFileDescriptor", descriptor(errors)),
                    ("ExecStartEx", command((interpreter, "-I", "-S", "-X", "utf8", "-c", _CODE))),
                ),
            )
        except ManagerError as exc:
            raise OSError(errno.EIO, str(exc)) from exc
        finally:
            os.close(null)
        return _Unit(f"{slice_path(self._slice)}/{unit}")


class _Unit:
    """A transient unit. What becomes of it shows at its socket; it needs no waiting for."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._stopped = False

    def kill(self) -> None:
        kill_group(self.group)

    def freeze(self, *, on: bool) -> None:
        self._stopped = on
        freeze_group(self.group, on=on)

    def kill_stopped(self, worker: int) -> None:  # noqa: ARG002 - its cgroups know
        if self._stopped:
            for command in Path(self.group).glob("command-*"):
                kill_group(str(command))
            self.freeze(on=False)

    async def wait(self) -> None:
        return

    def close(self) -> None:
        return


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
