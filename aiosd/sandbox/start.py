"""Starting the launcher: as the guard's own child (direct), or as a unit of its own asked of PID 1 (managed).

Direct is standalone: the sandbox dies with the guard by the parent-death signal. Managed is the installed service: the
guard has no capability, so PID 1 starts the launcher with full rights in a transient unit below the work slice, whose
cgroup stays root's; the sandbox dies with the guard because the worker's socket does, and by `cgroup.kill`.

Source: prctl(2) PR_SET_PDEATHSIG, systemd-run(1), systemd.resource-control(5) Delegate=, cgroups(7).
"""

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
from pathlib import Path
from typing import Protocol

_ROOT = str(Path(__file__).parents[2])
_CODE = f"import sys;sys.path.insert(0,{_ROOT!r});from aiosd.sandbox.launch import main;main()"
_CGROUPS = "/sys/fs/cgroup"
WORK_SLICE = "aios-work.slice"
_SLICE_PATH = f"{_CGROUPS}/aios.slice/{WORK_SLICE}"


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
    """A child process of ours, watched by a descriptor."""

    group = ""

    def __init__(self, argv: list[str], control: int, errors: int) -> None:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._pid = os.posix_spawn(
                argv[0],
                argv,
                {"PATH": "/usr/bin:/bin"},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, control, 0),
                    (os.POSIX_SPAWN_DUP2, null, 1),
                    (os.POSIX_SPAWN_DUP2, errors, 2),
                ],
                setsigmask=(),
            )
        finally:
            os.close(null)
        self._pidfd = os.pidfd_open(self._pid)
        self._exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    @property
    def ended(self) -> bool:
        return self._exited.is_set()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def wait(self) -> None:
        await self._exited.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.waitpid(self._pid, 0)
        self._exited.set()


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
        self.group = f"{_SLICE_PATH}/{unit}"
        super().__init__(argv, control, errors)

    def kill(self) -> None:
        super().kill()
        kill_group(self.group)


def kill_group(path: str) -> None:
    """Kill every process of a cgroup and those below, atomically (cgroups(7), `cgroup.kill`); one that is gone is."""
    with contextlib.suppress(FileNotFoundError):
        Path(path, "cgroup.kill").write_text("1", encoding="ascii")
