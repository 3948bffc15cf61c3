"""Commands on this machine and in guests: run to an end within a deadline, or started, talked to and killed."""

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

PATIENCE_S = 180.0  # for what is done in seconds, on the slowest of machines


class GuestError(Exception):
    """Something about a guest that a test did not expect."""


class GuestUnavailableError(GuestError):
    """This machine cannot have guests; the text says what it lacks."""


class GuestTimeoutError(GuestError):
    """A deadline passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedGuest:
    """What a command in the guest left.

    `status` is 125 where there is no guest, and of `run` with a unit 1 where a signal ended the command.
    """

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def checked(self) -> Self:
        if self.status:
            raise GuestError(
                f"{shlex.join(self.argv)}: status {self.status}\n{self.stdout[-2000:]}{self.stderr[-4000:]}"
            )
        return self


class Running:
    """A command in the guest that still runs; by `Guest.start` and `Guest.terminal`. Leaving its context kills it."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], kill_inside: Callable[[], None]) -> None:
        self._process = process
        self._errors = errors
        self._kill_inside = kill_inside
        self._seen = b""

    def send(self, text: str) -> None:
        """Write to its stdin: lines end in "\\n", Ctrl-C on a terminal is "\\x03"."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def end_of_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def expect(self, pattern: str, *, deadline_s: float = PATIENCE_S) -> re.Match[str]:
        """Read stdout until `pattern` is found after the last match; what comes later is left for the next call."""
        until = time.monotonic() + deadline_s
        while True:
            text = self._seen.decode(errors="replace")
            if found := re.search(pattern, text):
                self._seen = text[found.end() :].encode()
                return found
            if not self._read(until):
                raise GuestTimeoutError(f"no {pattern!r}; stdout: {text[-2000:]!r}, stderr: {self.stderr()[-2000:]!r}")

    def wait(self, *, deadline_s: float = PATIENCE_S) -> CompletedGuest:
        """Wait for its end; `stdout` is what no `expect` has taken."""
        until = time.monotonic() + deadline_s
        while self._read(until):
            pass
        try:
            status = self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired as exc:
            raise GuestTimeoutError(f"still running after {deadline_s} s; stdout: {self._seen[-2000:]!r}") from exc
        argv = tuple(map(str, self._process.args)) if isinstance(self._process.args, (list, tuple)) else ()
        return CompletedGuest(
            argv=argv, status=status, stdout=self._seen.decode(errors="replace"), stderr=self.stderr()
        )

    def stderr(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def kill(self) -> None:
        """End it now, in the guest and here."""
        if self._process.poll() is None:
            self._kill_inside()
            kill_group(self._process)

    def _read(self, until: float) -> bool:
        """One more piece of stdout; False at its end or when the time is up."""
        assert self._process.stdout is not None
        left = until - time.monotonic()
        if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
            return False
        piece = os.read(self._process.stdout.fileno(), 65536)
        self._seen += piece
        return bool(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._errors.close()


def kill_group(process: "subprocess.Popen[bytes]", grace_s: float = 0) -> None:
    """Kill a process that was started as the leader of its session, and reap it."""
    if grace_s:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def bounded(
    command: Sequence[str],
    *,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float,
    keep: Sequence[int] = (),
    shown: Sequence[str] | None = None,
    grace_s: float = 0,
) -> CompletedGuest:
    """Run a command of this machine to its end.

    Past the deadline its process group is killed, after `grace_s` seconds to tidy up, and GuestTimeoutError raised.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        pass_fds=keep,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout_s)
        except subprocess.TimeoutExpired as exc:
            kill_group(process, grace_s)
            seen = ((exc.stdout or b"") + (exc.stderr or b"")).decode(errors="replace")
            raise GuestTimeoutError(
                f"{shlex.join(shown or command)}: not done in {timeout_s} s\n{seen[-4000:]}"
            ) from None
        except BaseException:
            kill_group(process, grace_s)
            raise
    return CompletedGuest(
        argv=tuple(shown or command),
        status=process.returncode,
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
    )
