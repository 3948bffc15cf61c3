"""A machine with a kernel of its own, User-Mode Linux: for limits that hold, a clock to set, and a cut of the power."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.system.command import PATIENCE_S, CompletedGuest, GuestError, GuestUnavailableError, bounded
from tests.system.guest import SCRIPTS, UNAVAILABLE, Testbed

__all__ = ["Machine", "booted"]


class Machine:
    """One such machine. `share` on this machine is /run/h in it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.share = folder / "uml" / name / "share"

    def run(self, argv: Sequence[str], *, user: str | None = None, check: bool = True) -> CompletedGuest:
        """Run `argv` as a transient service, in a PAM session for a `user`; there is no input."""
        options = ["-t", f"{PATIENCE_S:.0f}", *(["-u", user] if user else [])]
        done = self._script("uml-run.sh", *options, "--", *argv)
        return done.checked() if check else done

    def put(self, path: str, content: bytes) -> None:
        """Write a file, root's."""
        (self.share / "put").write_bytes(content)
        self.run(["cp", "/run/h/put", path])

    def start(self, argv: Sequence[str], *, user: str) -> "subprocess.Popen[bytes]":
        """Start `argv` and come back at once; who starts it ends it."""
        command = [str(SCRIPTS / "uml-run.sh"), self.name, "-u", user, "--", *argv]
        return subprocess.Popen(command, env=self._environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def boot(self, *, again: bool = False) -> None:
        """Boot it; `again` with the disk that it has."""
        self._script("uml-boot.sh", environment={"TB_KEEP": "1"} if again else {}).checked()

    def cut_power(self, *, keep: bool) -> None:
        """End it between two instructions; what it had not brought to its disk is lost."""
        self._script("uml-stop.sh", "--kill", environment={"TB_KEEP": "1"} if keep else {}).checked()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "AIOS_TESTBED": str(self.folder)}

    def _script(self, script: str, *words: str, environment: dict[str, str] | None = None) -> CompletedGuest:
        variables = {**self._environment(), **(environment or {})}
        return bounded([str(SCRIPTS / script), self.name, *words], env=variables, timeout_s=2 * PATIENCE_S)


@contextlib.contextmanager
def booted(testbed: Testbed) -> Iterator[Machine]:
    """A running machine, gone at the end. Raises GuestUnavailableError where there cannot be one."""
    environment = {**os.environ, "AIOS_TESTBED": str(testbed.folder)}
    built = bounded([str(SCRIPTS / "uml-build.sh")], env=environment, timeout_s=10 * PATIENCE_S)
    if built.status == UNAVAILABLE:
        raise GuestUnavailableError(built.stderr.strip().splitlines()[-1])
    built.checked()
    machine = Machine(f"sysu{os.getpid()}", testbed.folder)
    try:
        try:
            machine.boot()
        except GuestError as exc:
            raise GuestUnavailableError(str(exc)) from exc
        yield machine
    finally:
        machine.cut_power(keep=False)
        shutil.rmtree(testbed.folder / "uml" / machine.name, ignore_errors=True)
