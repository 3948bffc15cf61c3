"""The guard as aiosd's own child, for standalone use: the same guard, without root and without systemd.

It is started again when it ends, with a growing pause, and ends with aiosd: it holds the reading end of a pipe whose
writing end only aiosd has. Its socket is made here, so that a client that comes early waits.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_LIVED_S = 10.0
_END_DEADLINE_S = 70.0
_LISTENER_FD, _LIFELINE_FD = 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPlaces:
    """Where the guard keeps what it has."""

    run_dir: str
    state_dir: str
    api_socket: str


class GuardChild:
    """The guard process of a standalone daemon."""

    def __init__(self, places: GuardPlaces, listener: socket.socket) -> None:
        self._places = places
        self._listener = listener
        self._lifeline, self._kept = os.pipe2(os.O_CLOEXEC)
        self.pid = 0

    def start(self) -> None:
        """Start it, without waiting for it."""
        interpreter = getattr(sys, "_base_executable", sys.executable)
        root = str(Path(__file__).parents[2])
        code = f"import sys;sys.path.insert(0,{root!r});from aiosd.guard.__main__ import main;main()"
        options = [
            *("--standalone", "--listen-fd", str(_LISTENER_FD), "--lifeline-fd", str(_LIFELINE_FD)),
            *("--run-dir", self._places.run_dir, "--state-dir", self._places.state_dir),
            *("--api-socket", self._places.api_socket),
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LISTEN_", "NOTIFY_"))}
        high = [os.dup(descriptor) for descriptor in (self._listener.fileno(), self._lifeline)]
        try:
            self.pid = os.posix_spawn(
                interpreter,
                [interpreter, "-I", "-S", "-c", code, *options],
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, high[0], 100),
                    (os.POSIX_SPAWN_DUP2, high[1], _LIFELINE_FD),
                    (os.POSIX_SPAWN_DUP2, 100, _LISTENER_FD),
                    (os.POSIX_SPAWN_CLOSE, 100),
                ],
            )
        finally:
            for descriptor in high:
                os.close(descriptor)

    def reload(self) -> None:
        """Tell it to read its policy anew."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGHUP)

    async def supervise(self) -> None:
        """Start it again whenever it ends; until cancelled."""
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while True:
            began = loop.time()
            status = await self._wait()
            if loop.time() - began > _LIVED_S:
                pause_s = _FIRST_PAUSE_S
            _LOG.error("the guard ended with %d; starting it again in %.1f s", status, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self.start()

    async def stop(self) -> None:
        """End it in order and wait for that."""
        os.close(self._kept)
        if self.pid:
            try:
                async with asyncio.timeout(_END_DEADLINE_S):
                    await self._wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
        os.close(self._lifeline)

    async def _wait(self) -> int:
        pid = self.pid
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return 0
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        _pid, raw = os.waitpid(pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(raw)
