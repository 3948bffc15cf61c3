"""Where a daemon's sockets and files are, and a standalone one's guard: what is settled before anything heavy loads."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from aiosd.errors import ConfigError
from aiosd.guard.spawn import GuardPlaces, GuardProcess
from aiosd.systemd.activation import make_folder, make_listener, runtime_folder, take_passed

_SYSTEM_SOCKET, _SYSTEM_GUARD = "/run/aios/aiosd.sock", "/run/aios/guard.sock"
_SYSTEM_STATE = "/var/lib/aios"
_OLD_GUARD_S = 10.0  # for the guard of a daemon that was killed, which ends by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where this daemon's sockets and files are. `made_socket`: the API's is our own, not systemd's."""

    api_socket: str
    made_socket: bool
    guard_socket: str
    run_dir: str
    state_dir: Path
    guard_state_dir: Path


def find_places(*, standalone: bool) -> tuple[socket.socket, Places]:
    """The socket to serve, passed by systemd or our own, and where everything is."""
    passed = take_passed("api")
    if not standalone:
        if passed is None:
            raise ConfigError("no socket was passed", hint="start aiosd.socket by systemd, or use aiosd --standalone")
        state = Path(os.environ.get("STATE_DIRECTORY", _SYSTEM_STATE))
        places = Places(
            api_socket=_SYSTEM_SOCKET,
            made_socket=False,
            guard_socket=_SYSTEM_GUARD,
            run_dir="/run/aios",
            state_dir=state,
            guard_state_dir=Path("/var/lib/aios-guard"),
        )
        return passed, places
    api_socket = str(passed.getsockname()) if passed else os.path.join(runtime_folder(os.environ), "aiosd.sock")
    run_dir = os.path.dirname(api_socket)
    make_folder(run_dir)
    state = _standalone_state(os.environ.get("XDG_STATE_HOME", ""))
    places = Places(
        api_socket=api_socket,
        made_socket=passed is None,
        guard_socket=os.path.join(run_dir, "guard.sock"),
        run_dir=run_dir,
        state_dir=state,
        guard_state_dir=state / "guard",
    )
    return passed or make_listener(api_socket), places


def _standalone_state(base: str) -> Path:
    if base:
        return Path(base) / "aios"
    return Path("/var/lib/aios-standalone") if os.geteuid() == 0 else Path.home() / ".local/state/aios"


def start_guard(places: Places) -> GuardProcess:
    """The guard of a standalone daemon, started; it loads while the daemon does."""
    guard = GuardProcess(
        GuardPlaces(run_dir=places.run_dir, state_dir=str(places.guard_state_dir), api_socket=places.api_socket),
        make_listener(places.guard_socket, patience_s=_OLD_GUARD_S),
    )
    guard.start()
    return guard
