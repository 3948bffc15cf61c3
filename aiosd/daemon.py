"""aiosd: every room built once, by hand, in order; and the daemon's life: ready, reload, idle, stop."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from aiosd.api.app import Door, make_app
from aiosd.api.gate import Gate
from aiosd.config import Config, Live, load_config
from aiosd.errors import AiosError, ConfigError
from aiosd.guard.child import GuardChild, GuardPlaces
from aiosd.guard.client import GuardClient
from aiosd.layers import config_folders
from aiosd.memory.transcripts import Transcripts, render_now
from aiosd.model.base import Model
from aiosd.model.builtin import BuiltinModel
from aiosd.session.manager import SessionManager
from aiosd.session.session import Rooms
from aiosd.systemd.activation import make_folder, make_listener, runtime_folder, take_passed
from aiosd.systemd.notify import Manager

_LOG = logging.getLogger(__name__)
_SYSTEM_SOCKET, _SYSTEM_GUARD = "/run/aios/aiosd.sock", "/run/aios/guard.sock"
_SYSTEM_STATE = "/var/lib/aios"
_IDLE_CHECK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where this daemon's sockets and files are. `made_socket`: the API's is our own, not systemd's."""

    api_socket: str
    made_socket: bool
    guard_socket: str
    run_dir: str
    state_dir: Path
    guard_state_dir: Path


async def run_daemon(*, standalone: bool) -> None:
    """Serve until idle or told to stop. Raises AiosError when it cannot begin."""
    loaded = load_config(config_folders(os.environ, standalone=standalone), os.environ)
    model = choose_model(loaded.config)
    manager = Manager()
    listener, places = find_places(standalone=standalone)
    os.umask(0o077)
    async with _guard(places, standalone=standalone) as guard:
        transcripts = Transcripts(places.state_dir / "users")
        try:
            rooms = Rooms(transcripts=transcripts, guard=guard.client, model=model, live=Live(loaded))
            await _serve(listener, rooms, manager, guard.reload, standalone=standalone)
        finally:
            transcripts.close()
            listener.close()
            if places.made_socket:
                os.unlink(places.api_socket)


def choose_model(config: Config) -> Model:
    """The model that the configuration names."""
    builtin = BuiltinModel()
    if config.agent.model != builtin.info.name:
        raise ConfigError(
            f"agent.model: there is no model {config.agent.model!r}", hint=f"did you mean {builtin.info.name!r}?"
        )
    return builtin


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _GuardRoom:
    """The way to the guard, and how to tell it to read its policy anew (systemd tells the system's own)."""

    client: GuardClient
    reload: Callable[[], None]


@asynccontextmanager
async def _guard(places: Places, *, standalone: bool) -> AsyncIterator[_GuardRoom]:
    """The guard; standalone it is started here, and ends here."""
    client = GuardClient(places.guard_socket)
    if not standalone:
        yield _GuardRoom(client=client, reload=lambda: None)
        return
    listener = make_listener(places.guard_socket)
    guard_places = GuardPlaces(
        run_dir=places.run_dir, state_dir=str(places.guard_state_dir), api_socket=places.api_socket
    )
    child = GuardChild(guard_places, listener)
    child.start()
    try:
        async with asyncio.TaskGroup() as group:
            supervising = group.create_task(child.supervise())
            try:
                yield _GuardRoom(client=client, reload=child.reload)
            finally:
                supervising.cancel()
    finally:
        await child.stop()
        listener.close()
        os.unlink(places.guard_socket)


async def _serve(
    listener: socket.socket, rooms: Rooms, manager: Manager, reload_guard: Callable[[], None], *, standalone: bool
) -> None:
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    live = rooms.live
    async with asyncio.TaskGroup() as group:
        sessions = SessionManager(rooms, group)
        door = Door(
            sessions=sessions,
            guard=rooms.guard,
            models=(rooms.model.info,),
            live=live,
            mode="standalone" if standalone else "system",
            started_at=render_now(),
        )
        runner = web.AppRunner(make_app(door), handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        assert runner.server is not None
        gate = Gate(runner.server, live)
        # create_server, not create_unix_server: that would unlink a socket which is systemd's (from Python 3.13 on).
        server = await loop.create_server(gate, sock=listener)
        background = [
            group.create_task(sessions.maintain()),
            group.create_task(manager.watch(lambda: True)),
            group.create_task(_stop_when_idle(gate, sessions, live, stop)),
            group.create_task(_reload_when_told(reload, live, manager, reload_guard, standalone=standalone)),
        ]
        manager.ready("ready")
        gc.collect()
        gc.freeze()
        await stop.wait()
        manager.stopping()
        server.close()
        await sessions.stop(live.config.daemon.drain_s)
        await runner.cleanup()
        for task in background:
            task.cancel()


async def _stop_when_idle(gate: Gate, sessions: SessionManager, live: Live, stop: asyncio.Event) -> None:
    """End when nothing was connected and nothing ran for a while. The next connection starts a new daemon."""
    loop = asyncio.get_running_loop()
    while True:
        idle_exit_s = live.config.daemon.idle_exit_s
        idle = gate.connections == 0 and sessions.running_count == 0
        waited_s = loop.time() - gate.idle_since if idle else 0.0
        if idle and waited_s >= idle_exit_s:
            _LOG.info("idle for %d s, ending", idle_exit_s)
            stop.set()
            return
        await asyncio.sleep(min(max(idle_exit_s - waited_s, 0.05), _IDLE_CHECK_S))


async def _reload_when_told(
    reload: asyncio.Event, live: Live, manager: Manager, reload_guard: Callable[[], None], *, standalone: bool
) -> None:
    """Read the configuration anew at each SIGHUP. A broken one changes nothing and is told."""
    while True:
        await reload.wait()
        reload.clear()
        manager.reloading()
        reload_guard()
        try:
            loaded = load_config(config_folders(os.environ, standalone=standalone), os.environ)
            choose_model(loaded.config)
            live.loaded = loaded
            manager.ready("ready, configuration reloaded")
        except AiosError as exc:
            _LOG.error("the configuration stays as it was: %s; %s", exc.message, exc.hint)
            manager.ready(f"ready with the old configuration: {exc.message}")
