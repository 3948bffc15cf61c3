"""Starting the launcher: as the guard's own child (direct), or as a unit of its own asked of PID 1 (managed).

Direct is standalone: the sandbox dies with the guard by the parent-death signal. Managed is the installed service: the
guard has no capability, so PID 1 starts the launcher with full rights in a transient unit below the work slice, whose
cgroup stays root's; the sandbox dies with the guard because the worker's socket does, and by `cgroup.kill`.

Source: prctl(2) PR_SET_PDEATHSIG, systemd-run(1), systemd.resource-control(5) Delegate=, cgroups(7).
"""

import contextlib
import itertools
import os
import secrets
import signal
from pathlib import Path
from typing import Protocol

from aiosd.sandbox.process import Process

_ROOT = str(Path(__file__).parents[2])
_CODE = f"import sys;sys.path.insert(0,{_ROOT!r});from aiosd.sandbox.launch import main;main()"
_CGROUPS = "/sys/fs/cgroup"
WORK_SLICE = "aios-work.slice"
SLICE_PATH = f"{_CGROUPS}/aios.slice/{WORK_SLICE}"


class Launched(Protocol):
    """A launcher that was started, on its way to being a sandbox. `group` is its cgroup, "" where it has none."""

    group: str

    @property
    def ended(self) -> bool:
        """Whether the process that was started has ended (for a managed one that says nothing of the sandbox)."""
        ...

    def kill(self) -> None:
        """Kill the sandbox."""
        ...

    async def wait(self) -> None:
        """Until the process that was started here has ended."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Starter(Protocol):
    """A way to start launchers. `parent` is what their parent's pid must be, 0 where that is PID 1's business."""

    parent: int

    def start(self, interpreter: str, control: int, errors: int) -> Launched:
        """Start one with these descriptors as standard input and error. OSError where that fails."""
        ...


class _Child:
    """A launcher that is a child of ours."""

    group = ""

    def __init__(self, argv: list[str], control: int, errors: int) -> None:
        self._process = Process(argv, fds={0: control, 2: errors})

    @property
    def ended(self) -> bool:
        return self._process.ended

    def kill(self) -> None:
        self._process.send(signal.SIGKILL)

    async def wait(self) -> None:
        await self._process.wait()

    def close(self) -> None:
        self._process.close()


class DirectStarter:
    """Starts launchers as children of this process."""

    def __init__(self) -> None:
        self.parent = os.getpid()

    def start(self, interpreter: str, control: int, errors: int) -> Launched:
        """Start one."""
        return _Child([interpreter, "-I", "-S", "-X", "utf8", "-c", _CODE], control, errors)


class ManagedStarter:
    """Has PID 1 start launchers, each in a unit of its own."""

    parent = 0

    def __init__(self) -> None:
        self._run = secrets.token_hex(3)  # tells the units of this guard from those of one before
        self._numbers = itertools.count(1)

    def start(self, interpreter: str, control: int, errors: int) -> Launched:
        """Start one."""
        unit = f"aios-sandbox-{self._run}-{next(self._numbers)}.service"
        argv = [
            "/usr/bin/systemd-run", "--quiet", "--pipe", "--collect", "--no-ask-password", "--expand-environment=no",
            f"--unit={unit}", f"--slice={WORK_SLICE}", "--description=A sandbox of aios-guard",
            "--property=Delegate=yes", "--property=DelegateSubgroup=worker", "--property=TasksMax=1024",
            "--property=OOMPolicy=continue", "--property=TimeoutStopSec=5",
            "--", interpreter, "-I", "-S", "-X", "utf8", "-c", _CODE,
        ]  # fmt: skip
        return _Unit(argv, control, errors, unit)


class _Unit(_Child):
    """A transient unit; the child of ours is the systemd-run that asked for it, and ends when it has started."""

    def __init__(self, argv: list[str], control: int, errors: int, unit: str) -> None:
        self.group = f"{SLICE_PATH}/{unit}"
        super().__init__(argv, control, errors)

    def kill(self) -> None:
        super().kill()
        kill_group(self.group)


def kill_group(path: str) -> None:
    """Kill every process of a cgroup and those below, atomically (cgroups(7), `cgroup.kill`); one that is gone is."""
    with contextlib.suppress(FileNotFoundError):
        Path(path, "cgroup.kill").write_text("1", encoding="ascii")
