"""Commands as root: transient units asked of PID 1, never sudo. Only the installed service has them.

A unit of its own below the work slice, with an environment built from nothing, ended as a whole. What runs is exactly
what was approved: argv by systemd-run with no expansion of anything in it.

Source: systemd-run(1), systemd.exec(5), systemd.kill(5).
"""

import asyncio
import itertools
import marshal
import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosd.sandbox.link import SandboxError, WorkingDirectoryError
from aiosd.sandbox.process import Process
from aiosd.sandbox.start import freeze_group, kill_group
from aiosd.sandbox.units import SYSTEM, WORK_SLICE, slice_path

_ROOT = str(Path(__file__).parents[2])
_TOOL = (
    f"import marshal,sys;sys.path.insert(0,{_ROOT!r});from aiosd.sandbox.file_tools import run;"
    "sys.exit(run(sys.argv[1],marshal.loads(bytes.fromhex(sys.argv[2])),{}))"
)
_CHDIR_FAILED = 200  # systemd.exec(5), EXIT_CHDIR
_MAX_ARGUMENT = 120_000  # execve(2) takes 128 KiB for one


@dataclass(frozen=True, slots=True, kw_only=True)
class RootUnit:
    """One of them, by name, and the slice that it is in."""

    name: str
    within: str
    writes: tuple[str, ...] = ()  # where alone it may write; empty where that is not bounded

    @property
    def group(self) -> str:
        """Its cgroup."""
        return f"{slice_path(self.within)}/{self.name}"

    def freeze(self, on: bool) -> None:
        """Stop it in its tracks, or let it go on."""
        freeze_group(self.group, on=on)


class RootUnits:
    """Starts them. `interpreter` runs the file tools."""

    def __init__(self, interpreter: str) -> None:
        self._interpreter = interpreter
        self._run = secrets.token_hex(3)
        self._numbers = itertools.count(1)

    def name(self, within: str = "", writes: tuple[str, ...] = ()) -> RootUnit:
        """A unit to run, in a session's slice, which writes below `writes` alone where there are some."""
        return RootUnit(name=f"aios-root-{self._run}-{next(self._numbers)}.service", within=within, writes=writes)

    async def run(
        self,
        argv: tuple[str, ...],
        unit: RootUnit,
        *,
        cwd: str,
        environment: tuple[tuple[str, str], ...],
        fds: tuple[int, int, int],
    ) -> int:
        """Run `argv` as root with these descriptors; its exit status. Cancelling ends the unit and waits for that.

        WorkingDirectoryError where `cwd` cannot be entered, SandboxError where the unit cannot be started.
        """
        argv = (
            "/usr/bin/systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--no-ask-password",
            "--service-type=exec", "--expand-environment=no", f"--unit={unit.name}",
            f"--slice={unit.within or WORK_SLICE}",
            "--description=A command as root, for aios-guard", f"--working-directory={cwd}",
            "--property=LimitCORE=0", "--property=TimeoutStopSec=5", "--property=UMask=0022",
            *(f"--property={each}" for each in render_narrow(unit.writes)),
            *(f"--setenv={name}={value}" for name, value in environment), "--", *argv,
        )  # fmt: skip
        try:
            process = Process(argv, fds=dict(enumerate(fds)), environment=dict(environment))  # its PATH finds argv[0]
        except OSError as exc:
            raise SandboxError(f"systemd-run cannot be started: {exc.strerror}") from exc
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            kill_group(unit.group)
            process.send(signal.SIGTERM)
            await process.wait()
            raise
        finally:
            process.close()
        if status == _CHDIR_FAILED:
            raise WorkingDirectoryError(cwd)
        return status if status >= 0 else 128 - status

    def render_tool(self, name: str, arguments: dict[str, Any]) -> tuple[str, ...]:
        """The argv of a file tool as root. SandboxError where its arguments do not fit."""
        packed = marshal.dumps(arguments).hex()
        if len(packed) > _MAX_ARGUMENT:
            raise SandboxError("too much text for one edit as root; edit in smaller pieces")
        return (self._interpreter, "-I", "-S", "-X", "utf8", "-c", _TOOL, name, packed)


def render_narrow(writes: tuple[str, ...]) -> tuple[str, ...]:
    """The properties of a unit that writes below `writes` alone, and cannot mount or load its way past that.

    It holds mistakes, not somebody who is root and asks PID 1 for another unit. Source: systemd.exec(5).
    """
    if not writes:
        return ()
    shared = any(f"{path}/".startswith(("/tmp/", "/var/tmp/")) for path in writes)
    places = (path.replace("\\", "\\\\").replace('"', '\\"') for path in writes)
    return (
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        f"PrivateTmp={'no' if shared else 'yes'}",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_MODULE CAP_SYS_RAWIO",
        *(f'ReadWritePaths="-{place}"' for place in places),
    )


def open_root_units(interpreter: str) -> RootUnits | None:
    """Them, where PID 1 is systemd and this guard is root: else None.

    What runs as root of an earlier guard is ended: one that was killed could not, and its units go on by themselves.
    """
    if os.geteuid() != 0 or not os.path.exists("/run/systemd/system"):
        return None
    for group in Path(SYSTEM.work).glob("**/aios-root-*.service"):
        kill_group(str(group))
    return RootUnits(interpreter)
