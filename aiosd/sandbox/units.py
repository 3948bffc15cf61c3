"""Starting the launcher as a unit of its own, asked of a service manager; and the slices in which sessions run.

Of PID 1 by the installed service: the guard has no capability, so PID 1 starts the launcher with full rights in a
transient unit below the work slice, whose cgroup stays root's. Of the user's own manager by a standalone guard, where
there is one: what that may count and bound of cgroups has been delegated to it. Either way the sandbox dies with the
guard because the worker's socket does, and by `cgroup.kill`.

Source: systemd.resource-control(5) Delegate=, user@.service(5), cgroups(7).
"""

import contextlib
import errno
import itertools
import os
import secrets
import signal
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiosd.sandbox.limits import SessionLimits
from aiosd.sandbox.manager import (
    PRIVATE,
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
from aiosd.sandbox.start import (
    DirectStarter,
    Launched,
    Starter,
    freeze_group,
    is_populated,
    kill_group,
    render_launcher,
)

WORK_SLICE = "aios-work.slice"
_CGROUPS = "/sys/fs/cgroup"
_BELOW = f"aios.slice/{WORK_SLICE}"
_OF_SESSION = f"{WORK_SLICE.removesuffix('.slice')}-"
_COLLECT = ("CollectMode", text("inactive-or-failed"))
_SUBGROUP = ("DelegateSubgroup", text("worker"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """A service manager: its private socket, and the cgroup of its work slice."""

    address: str
    work: str


SYSTEM = Manager(address=PRIVATE, work=f"{_CGROUPS}/{_BELOW}")


async def find_starter(environment: Mapping[str, str]) -> Starter:
    """How a standalone guard starts launchers: by its user's own manager where that serves, else by itself."""
    manager = find_user_manager(environment)
    if manager is not None:
        try:
            await ManagedStarter(manager).try_out()
        except OSError:
            return DirectStarter(ahead=True)
        return ManagedStarter(manager)
    return DirectStarter(ahead=True)


def find_user_manager(environment: Mapping[str, str]) -> Manager | None:
    """The manager of who runs this; None for root, and where there is none or it has no cgroup of theirs."""
    uid = os.geteuid()
    address = f"{environment.get('XDG_RUNTIME_DIR', '/nonexistent')}/systemd/private"
    group = f"{_CGROUPS}/user.slice/user-{uid}.slice/user@{uid}.service"
    try:
        owners = {os.stat(address).st_uid, os.stat(group).st_uid}
    except OSError:
        return None
    return Manager(address=address, work=f"{group}/{_BELOW}") if uid and owners == {uid} else None


def slice_path(name: str, manager: Manager = SYSTEM) -> str:
    """The cgroup of a session's slice; for "" the one of all work."""
    return f"{manager.work}/{name}".rstrip("/")


def slice_of(group: str) -> str:
    """The session's slice that the cgroup `group` lies in; "" where that is none."""
    name = Path(group).parent.name
    return name if name.startswith(_OF_SESSION) and name.endswith(".slice") else ""


class SliceMaker:
    """Asks a service manager for the slices in which sessions run what they run. What it raises is OSError."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def open(self, limits: SessionLimits) -> str:
        """A new one; its name."""
        name = f"{_OF_SESSION}{secrets.token_hex(6)}.slice"
        with _no_manager():
            properties = (("Description", text("A session of aios-guard")), *_bound(limits))
            await start_transient_unit(name, properties, at=self._manager.address)
        return name

    async def limit(self, name: str, limits: SessionLimits) -> None:
        """Hold one to other limits from now on."""
        with _no_manager():
            await set_properties(name, _bound(limits), at=self._manager.address)

    async def close_empty(self, keep: Container[str]) -> set[str]:
        """Take those away in which nothing runs, but for `keep`; which."""
        closed: set[str] = set()
        for path in Path(self._manager.work).glob(f"{_OF_SESSION}*.slice"):
            if path.name in keep or is_populated(str(path)):
                continue
            with contextlib.suppress(ManagerError):  # it has gone by itself
                await stop_unit(path.name, at=self._manager.address)
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
    """Has a service manager start launchers, each in a unit of its own, in a session's slice or that of all work."""

    parent = 0

    def __init__(
        self, manager: Manager = SYSTEM, name: str = "", *, run: str = "", numbers: Iterator[int] | None = None
    ) -> None:
        self.manager = manager
        self._slice = name
        self._run = run or secrets.token_hex(3)  # tells the units of this guard from those of one before
        self._numbers = numbers or itertools.count(1)

    def within(self, name: str) -> Starter:
        """One that starts them in a session's slice."""
        return ManagedStarter(self.manager, name, run=self._run, numbers=self._numbers)

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
                    _COLLECT,
                    ("Delegate", flag(True)),
                    _SUBGROUP,
                    ("TasksMax", number(1024)),
                    ("OOMPolicy", text("continue")),
                    ("SuccessExitStatus", success(signal.SIGKILL)),  # how each is ended
                    ("TimeoutStopUSec", number(5_000_000)),
                    ("StandardInputFileDescriptor", descriptor(control)),
                    ("StandardOutputFileDescriptor", descriptor(null)),
                    ("StandardErrorFileDescriptor", descriptor(errors)),
                    ("ExecStartEx", command(render_launcher(interpreter))),
                ),
                at=self.manager.address,
            )
        except ManagerError as exc:
            raise OSError(errno.EIO, str(exc)) from exc
        finally:
            os.close(null)
        return _Unit(f"{slice_path(self._slice, self.manager)}/{unit}")

    async def close(self) -> None:
        """Nothing is kept ready here: no unit can be in a slice that is not known yet."""

    async def try_out(self) -> None:
        """Start a unit that does nothing. OSError where this manager takes none of ours."""
        with _no_manager():
            name, delegated = f"aios-try-{self._run}.service", (("Delegate", flag(True)), _SUBGROUP)
            properties = (("Slice", text(WORK_SLICE)), _COLLECT, *delegated, ("ExecStartEx", command(("/bin/true",))))
            await start_transient_unit(name, properties, at=self.manager.address)


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
