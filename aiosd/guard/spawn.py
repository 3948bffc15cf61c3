"""Starting the guard as aiosd's own child (standalone). Few imports: it is begun before everything heavy is loaded.

Its socket is made by aiosd, so that a client that comes early waits; it ends with aiosd, by a pipe whose writing end
only aiosd has.
"""

import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD")
_LISTENER_FD, _LIFELINE_FD = 3, 4


def _is_ours_alone(name: str) -> bool:
    """Whether a variable is not for the guard: sockets and notifications of aiosd's own, and keys of models."""
    return name.startswith(("LISTEN_", "NOTIFY_")) or any(word in name.upper() for word in _SECRET_WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPlaces:
    """Where the guard keeps what it has."""

    run_dir: str
    state_dir: str
    api_socket: str


class GuardProcess:
    """The guard process. `listener` is its socket; both go when `close` is called."""

    def __init__(self, places: GuardPlaces, listener: socket.socket) -> None:
        self._places = places
        self.listener = listener
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
        environment = {name: value for name, value in os.environ.items() if not _is_ours_alone(name)}
        high = [os.dup(descriptor) for descriptor in (self.listener.fileno(), self._lifeline)]
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

    def hang_up(self) -> None:
        """Turn away one who waits for a guard that will not come."""
        with contextlib.suppress(OSError):
            self.listener.accept()[0].close()

    def close(self) -> None:
        """Let go of it: it ends when it notices."""
        os.close(self._kept)
        os.close(self._lifeline)
        self.listener.close()
