"""A booted machine to test on: systemd as PID 1, PAM, D-Bus, polkit, a journal, pacman.

`Testbed.boot` starts one on a fresh overlay by the scripts in `testbed/`; `Guest` runs commands in it and reads it.
Nothing here waits without a deadline, and whatever a deadline cuts off is killed, in the guest too. A guest ends with
its context, and a killed test process takes its guests with it (a pipe that it alone holds: `TB_LIFELINE` of boot.sh).

All calls block: a test that is a coroutine calls them by `asyncio.to_thread`.
"""

import contextlib
import io
import itertools
import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, TypeVar, overload

from tests.system.command import (
    PATIENCE_S,
    CompletedGuest,
    GuestError,
    GuestTimeoutError,
    GuestUnavailableError,
    Running,
    bounded,
)

__all__ = [
    "REPOSITORY",
    "SCRIPTS",
    "CompletedGuest",
    "Guest",
    "GuestError",
    "GuestTimeoutError",
    "GuestUnavailableError",
    "Running",
    "Testbed",
]

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent / "testbed"
UNAVAILABLE = 69  # EX_UNAVAILABLE of the scripts: this machine lacks something
POLL_S = 0.025

_LAUNCHERS = {
    # No site, no user folder, no environment: what runs for people with rights starts the same whoever calls it. The
    # client skips the interpreter's teardown too, a millisecond of each call.
    "/usr/bin/aios": """\
#!/usr/bin/python3 -IS
import sys
sys.path[:0] = ["/usr/lib/aios"]
from aiosd.cli.main import main
import posix
status = main()
sys.stdout.flush()
sys.stderr.flush()
posix._exit(status or 0)
""",
    "/usr/bin/aiosd": """\
#!/usr/bin/python3 -I
import sys
sys.path[:0] = ["/usr/lib/aios"]
from aiosd.__main__ import main
sys.exit(main())
""",
    "/usr/bin/aios-guard": """\
#!/usr/bin/python3 -I
import sys
sys.path[:0] = ["/usr/lib/aios"]
from aiosd.guard.__main__ import main
sys.exit(main())
""",
}

# script(1) would do, but spins for ever when its command ends before its input.
_ON_A_TERMINAL = """\
import os, pty, sys
status = os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:]))
sys.exit(status if status >= 0 else 128 - status)
"""

_T = TypeVar("_T")
_serial = itertools.count(1)


class Guest:
    """One booted machine. Users: alice (wheel, sudo, systemd-journal), bob, carol, builder; passwords are the names."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    # Commands

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        properties: Sequence[str] = (),
        check: bool = True,
        timeout_s: float = PATIENCE_S,
    ) -> CompletedGuest:
        """Run `argv`: for a `user` (root too) in a PAM session with a unit and a user manager, without one by `enter`.

        `properties` are unit properties ("MemoryMax=64M") and ask for a unit in any case. A status other than 0 raises,
        unless `check` is off.
        """
        if user is None and not properties:
            return self.enter(argv, stdin=stdin, env=env, check=check, timeout_s=timeout_s)
        unit, command = self._unit_command(argv, user, env, properties)
        try:
            done = bounded(command, stdin=stdin, timeout_s=timeout_s, shown=argv)
        except GuestTimeoutError:
            self._kill_unit(unit)
            raise
        return done.checked() if check else done

    def enter(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout_s: float = PATIENCE_S,
    ) -> CompletedGuest:
        """Run `argv` as root in the guest's namespaces: the fast way, without PAM and without a unit."""
        done = bounded(self._enter_command(argv, env), stdin=stdin, timeout_s=timeout_s, shown=argv)
        return done.checked() if check else done

    def start(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        properties: Sequence[str] = (),
    ) -> Running:
        """Start `argv` as `run` does and come back at once; use it as a context."""
        if user is None and not properties:
            command = self._enter_command(argv, env)
            return self._running(command, lambda: None)
        unit, command = self._unit_command(argv, user, env, properties)
        return self._running(command, lambda: self._kill_unit(unit))

    def terminal(self, argv: Sequence[str], *, user: str, env: Mapping[str, str] | None = None) -> Running:
        """Start `argv` on a terminal of the guest's own, 80 by 24: it echoes, and lines end in "\\r\\n"."""
        sized = ["sh", "-c", 'stty rows 24 cols 80; exec "$@"', "terminal", *argv]
        return self.start(["python3", "-c", _ON_A_TERMINAL, *sized], user=user, env={"TERM": "xterm", **(env or {})})

    # Files

    def put(self, path: str, content: str | bytes, *, mode: int = 0o644, owner: str = "root") -> None:
        """Write a file whole, or not at all; missing folders are made, root's. `owner` is "user" or "user:group"."""
        script = (
            'set -e; new=$1.put; mkdir -p "$(dirname "$1")"; cat > "$new"; '
            'chown "$2" "$new"; chmod "$3" "$new"; mv -fT "$new" "$1"'
        )
        owner = owner if ":" in owner else f"{owner}:"
        self.enter(["sh", "-c", script, "put", path, owner, f"{mode:o}"], stdin=content)

    def put_tree(self, source: Path, destination: str) -> None:
        """Copy a folder's content, root's there, without byte-code and .git; what is there already stays."""

        def cleaned(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            if {"__pycache__", ".git"} & set(Path(member.name).parts):
                return None
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            member.mode = 0o755 if member.mode & 0o100 or member.isdir() else 0o644
            return member

        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, arcname=".", filter=cleaned)
        self.enter(
            ["sh", "-c", 'mkdir -p "$1" && tar -C "$1" -xpf -', "put_tree", destination], stdin=packed.getvalue()
        )

    def read(self, path: str) -> str:
        return self.enter(["cat", path]).stdout

    def exists(self, path: str) -> bool:
        return self.enter(["test", "-e", path], check=False).status == 0

    def install_tree(self, repository: Path = REPOSITORY) -> None:
        """Put the working tree's code where the package will: `/usr/lib/aios/aiosd`, compiled, launchers in `/usr/bin`.

        Code only: no units, users or configuration.
        """
        self.enter(["rm", "-rf", "/usr/lib/aios/aiosd"])
        self.put_tree(repository / "aiosd", "/usr/lib/aios/aiosd")
        self.enter(["python3", "-m", "compileall", "-q", "/usr/lib/aios"])
        for path, text in _LAUNCHERS.items():
            self.put(path, text, mode=0o755)

    # What the machine says

    def journal(self, *matches: str) -> list[dict[str, str]]:
        """All entries for journalctl's `matches` ("_SYSTEMD_UNIT=x", "-u", "x", …), oldest first.

        Bytes are decoded as UTF-8 with replacement; values of a field that comes more than once are joined by newlines.
        """
        self.enter(["journalctl", "--sync"])
        lines = self.enter(["journalctl", "--no-pager", "--output=json", "--all", *matches], check=False).stdout
        return [{key: _field(value) for key, value in json.loads(line).items()} for line in lines.splitlines()]

    def unit(self, name: str) -> dict[str, str]:
        """A unit's properties, as systemctl shows them; lines of a property that comes more than once are joined."""
        properties: dict[str, str] = {}
        for line in self.enter(["systemctl", "show", "--all", name]).stdout.splitlines():
            key, _, value = line.partition("=")
            properties[key] = f"{properties[key]}\n{value}" if key in properties else value
        return properties

    def units(self, *patterns: str, state: str | None = None) -> list[str]:
        """Names of the loaded units that fit the patterns and are in `state` ("failed", "active", …)."""
        command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager"]
        states = [f"--state={state}"] if state else []
        return [line.split()[0] for line in self.enter([*command, *states, *patterns]).stdout.splitlines()]

    @overload
    def wait_for(self, condition: Callable[[], _T], *, deadline_s: float = PATIENCE_S) -> _T: ...

    @overload
    def wait_for(self, condition: Sequence[str], *, deadline_s: float = PATIENCE_S) -> CompletedGuest: ...

    def wait_for(
        self, condition: Callable[[], _T] | Sequence[str], *, deadline_s: float = PATIENCE_S
    ) -> _T | CompletedGuest:
        """Poll until `condition` gives something true, or, an argv for `enter`, exits with 0; what it gave."""
        until = time.monotonic() + deadline_s
        while True:
            if callable(condition):
                given: _T | CompletedGuest = condition()
                done = bool(given)
            else:
                given = completed = self.enter(condition, check=False)
                done = completed.status == 0
            if done:
                return given
            if time.monotonic() >= until:
                raise GuestTimeoutError(f"{condition!r} did not come true in {deadline_s} s; last: {given!r}")
            time.sleep(POLL_S)

    # Life

    def reboot(self, *, soft: bool = False, deadline_s: float = PATIENCE_S) -> None:
        """Reboot, or soft-reboot (user space only), and wait until the machine runs again; what was written stays."""
        mark = self._boot_mark(soft=soft)
        self.enter(["systemctl", "soft-reboot" if soft else "reboot"], check=False)

        def again() -> bool:
            try:
                return self._boot_mark(soft=soft) not in ("", mark) and self.state(timeout_s=15) == "running"
            except GuestTimeoutError:  # a question that PID 1 took while it went away is never answered
                return False

        self.wait_for(again, deadline_s=deadline_s)

    def state(self, *, timeout_s: float = PATIENCE_S) -> str:
        """PID 1's word on the machine: "running", "degraded", "starting", …; empty while there is none."""
        return self.enter(["systemctl", "is-system-running"], check=False, timeout_s=timeout_s).stdout.strip()

    def stop(self, *, kill: bool = False, keep: bool = False) -> None:
        """Power off, or kill; nothing is left here, but what it changed if `keep`. Done twice, it does nothing."""
        command = [str(SCRIPTS / "stop.sh"), self.name, *(["--kill"] if kill else [])]
        environment = {**_environment(self.folder), **({"TB_KEEP": "1"} if keep else {})}
        bounded(command, env=environment, timeout_s=PATIENCE_S).checked()

    # Inside

    def _boot_mark(self, *, soft: bool) -> str:
        """What differs after a reboot."""
        asked = ["systemctl", "show", "--property=SoftRebootsCount", "--value"]
        boot_id = ["cat", "/proc/sys/kernel/random/boot_id"]
        return self.enter(asked if soft else boot_id, check=False, timeout_s=15).stdout.strip()

    def _enter_command(self, argv: Sequence[str], env: Mapping[str, str] | None) -> list[str]:
        assert not isinstance(argv, str), "an argv, not a line"
        given = ["env", *(f"{key}={value}" for key, value in env.items())] if env else []
        return ["env", f"AIOS_TESTBED={self.folder}", str(SCRIPTS / "enter.sh"), self.name, *given, *argv]

    def _unit_command(
        self, argv: Sequence[str], user: str | None, env: Mapping[str, str] | None, properties: Sequence[str]
    ) -> tuple[str, list[str]]:
        assert not isinstance(argv, str), "an argv, not a line"
        unit = f"guest-{os.getpid()}-{next(_serial)}.service"
        options = ["-n", unit]
        if user is not None:
            options += ["-u", user]
        for key, value in {"LANG": "C.UTF-8", **(env or {})}.items():
            options += ["-e", f"{key}={value}"]
        for text in properties:
            options += ["-p", text]
        return unit, ["env", f"AIOS_TESTBED={self.folder}", str(SCRIPTS / "run.sh"), self.name, *options, "--", *argv]

    def _kill_unit(self, unit: str) -> None:
        self.enter(["systemctl", "kill", "--signal=KILL", unit], check=False)

    def _running(self, command: list[str], kill_inside: Callable[[], None]) -> Running:
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # Running closes it
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        return Running(process, errors, kill_inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Testbed:
    """The cached root and the sessions booted from it, in `folder`."""

    __test__: ClassVar[bool] = False  # not a test class, whatever pytest makes of the name
    folder: Path

    @classmethod
    def build(cls, folder: Path | None = None, *, deadline_s: float = 1800) -> Self:
        """Build the root, or find it up to date. Raises GuestUnavailableError where this machine cannot."""
        folder = folder or Path(os.environ.get("AIOS_TESTBED", "/var/tmp/aios-testbed"))
        done = bounded([str(SCRIPTS / "build-root.sh")], env=_environment(folder), timeout_s=deadline_s)
        if done.status == UNAVAILABLE:
            raise GuestUnavailableError(done.stderr.strip().splitlines()[-1])
        done.checked()
        return cls(folder=folder)

    def stamp(self) -> str:
        """The name of the recipe that the root is made by."""
        command = ["bash", "-c", f". {SCRIPTS}/lib.sh; recipe_stamp", f"{SCRIPTS}/lib.sh"]
        return bounded(command, timeout_s=PATIENCE_S).checked().stdout.strip()

    def fresh(
        self,
        suite: str,
        command: Sequence[str],
        *,
        repository: Path = REPOSITORY,
        dirty: bool = False,
        keep: str | None = None,
        limit_s: float = 3600,
    ) -> CompletedGuest:
        """Run `command` in a clean clone on a machine that has nothing but Debian's base; see fresh.sh.

        `dirty` takes what is not committed along; `keep` names a run whose changes the next one of that name finds.
        """
        options = ["--repo", str(repository), "--limit", f"{limit_s:g}"]
        options += ["--dirty"] if dirty else []
        options += ["--keep", keep] if keep else []
        return bounded(
            [str(SCRIPTS / "fresh.sh"), *options, suite, *command],
            env=_environment(self.folder),
            timeout_s=limit_s + 600,  # the first run of a suite builds its base
            shown=command,
            grace_s=30,
        )

    def drop_fresh(self, name: str) -> None:
        """Forget what runs with this `keep` changed."""
        bounded(
            [str(SCRIPTS / "fresh.sh"), "--drop", name], env=_environment(self.folder), timeout_s=PATIENCE_S
        ).checked()

    @contextlib.contextmanager
    def boot(self, *options: str, name: str | None = None, layer: Path | None = None) -> Iterator[Guest]:
        """A running guest on a fresh overlay, killed at the end; `options` are systemd-nspawn's."""
        name = name or f"sysx{os.getpid()}-{next(_serial)}"
        guest = Guest(name, self.folder)
        with self._lifeline() as lifeline:
            try:
                environment = {"TB_LAYER": str(layer)} if layer else {}
                self._boot(name, options, lifeline, environment)
                yield guest
            finally:
                guest.stop(kill=True)

    def make_layer(self, folder: Path, prepare: Callable[[Guest], None]) -> None:
        """Keep in `folder`, which must not exist, what `prepare` changes on a machine: a `layer` for others."""
        guest = Guest(f"sysx{os.getpid()}-{next(_serial)}", self.folder)
        session = self.folder / "run" / guest.name
        with self._lifeline() as lifeline:
            try:
                self._boot(guest.name, (), lifeline, {"TB_UPPER": "disk"})
                prepare(guest)
                guest.stop(keep=True)
                kept = session / "changes/upper"
                for name in ("etc/machine-id", "var/log/journal", "var/lib/systemd/random-seed"):
                    bounded(["rm", "-rf", str(kept / name)], timeout_s=PATIENCE_S).checked()
                folder.parent.mkdir(exist_ok=True)
                kept.rename(folder)
            finally:
                guest.stop(kill=True)

    @contextlib.contextmanager
    def _lifeline(self) -> Iterator[int]:
        reading, writing = os.pipe()
        try:
            yield reading
        finally:
            os.close(writing)
            os.close(reading)

    def _boot(self, name: str, options: Sequence[str], lifeline: int, environment: Mapping[str, str]) -> None:
        command = [str(SCRIPTS / "boot.sh"), name, *options]
        variables = {**_environment(self.folder), "TB_LIFELINE": str(lifeline), **environment}
        bounded(command, env=variables, timeout_s=PATIENCE_S, keep=(lifeline,)).checked()


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "AIOS_TESTBED": str(folder)}


def _field(value: object) -> str:
    """A field of journalctl's JSON: text; bytes as a list of numbers; several values as a list; null for none."""
    match value:
        case str():
            return value
        case list() if all(isinstance(item, int) for item in value):
            return bytes(value).decode(errors="replace")
        case list():
            return "\n".join(_field(item) for item in value)
        case _:
            return ""
