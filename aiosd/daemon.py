"""aiosd: every room built once, by hand, in order; and the daemon's life: ready, reload, idle, stop."""

import asyncio
import fcntl
import functools
import gc
import logging
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from aiosd.api.app import Door, make_app
from aiosd.api.gate import Gate
from aiosd.api.refusal import refuse
from aiosd.begin import begin
from aiosd.config import Live, Loaded, load_config
from aiosd.errors import AiosError, CannotBeginError
from aiosd.guard.child import end, supervise
from aiosd.guard.client import GuardClient
from aiosd.guard.spawn import GuardProcess
from aiosd.layers import config_folders
from aiosd.memory.transcripts import Transcripts, render_now
from aiosd.model.builtin import BuiltinModel
from aiosd.model.catalog import Catalog
from aiosd.model.keys import Keys
from aiosd.places import Places
from aiosd.session.logins import Logins
from aiosd.session.manager import SessionManager
from aiosd.session.session import Rooms
from aiosd.session.waiting import Waiting
from aiosd.systemd.notify import Manager

_LOG = logging.getLogger(__name__)
_IDLE_CHECK_S = 1.0


async def run_daemon(places: Places, listener: socket.socket, guard: GuardProcess | None) -> None:
    """Serve until idle or told to stop. Raises AiosError when it cannot begin. `guard` is a standalone daemon's own."""
    manager = Manager()
    held = -1
    try:
        if guard:  # whoever started it reads what it says
            begun: tuple[Loaded, int] | None = _load(standalone=True), _hold(places.state_dir)
        else:
            attempt = functools.partial(_attempt, places.state_dir)
            begun = await begin(listener, attempt, expected=CannotBeginError, refuse=refuse, manager=manager)
        if begun is None:
            return
        loaded, held = begun
        live = Live(loaded)
        keys = find_keys(os.environ, standalone=guard is not None)
        models = Catalog(lambda: live.config, keys, BuiltinModel())
        transcripts = Transcripts(places.state_dir / "users")
        logins = Logins(places.state_dir / "logins", transcripts)
        rooms = Rooms(
            transcripts=transcripts,
            waiting=Waiting(places.state_dir / "waiting"),
            guard=GuardClient(places.guard_socket),
            models=models,
            live=live,
            reveal=keys.read,
            mode="standalone" if guard else "system",
        )
        async with asyncio.TaskGroup() as group:
            supervising = group.create_task(supervise(guard)) if guard else None
            try:
                await _serve(listener, rooms, logins, manager, guard)
            finally:
                await models.close()
                transcripts.close()
                if supervising:
                    supervising.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    finally:
        manager.close()
        listener.close()
        if guard:
            await end(guard)
            os.unlink(places.guard_socket)
        if places.made_socket:
            os.unlink(places.api_socket)
        if held >= 0:
            os.close(held)


def _load(*, standalone: bool) -> Loaded:
    return load_config(config_folders(os.environ, standalone=standalone), os.environ, standalone=standalone)


async def _attempt(state_dir: Path) -> tuple[Loaded, int]:
    try:
        loaded = _load(standalone=False)
    except AiosError as exc:
        raise CannotBeginError(f"{exc.message}; {exc.hint}") from exc
    return loaded, _hold(state_dir)


def _hold(folder: Path) -> int:
    """A descriptor that keeps other daemons out of the state until it is closed, whatever ends this one.

    Two would each go on with the turns that wait there. Source: flock(2).
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise CannotBeginError(f"{exc.filename}: {exc.strerror}; the sessions would be kept there") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise CannotBeginError(f"{folder}: another daemon keeps its sessions there; stop one of the two") from exc
    return descriptor


def find_keys(environment: Mapping[str, str], *, standalone: bool) -> Keys:
    """Where the keys of models are for a daemon in this environment."""
    folders = tuple(config_folders(environment, standalone=True)) if standalone else ()
    return Keys(environment=environment, folders=folders, standalone=standalone)


async def _serve(
    listener: socket.socket, rooms: Rooms, logins: Logins, manager: Manager, guard: GuardProcess | None
) -> None:
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    live = rooms.live
    async with asyncio.TaskGroup() as group:
        sessions = SessionManager(rooms, group)
        await sessions.go_on()
        door = Door(
            sessions=sessions,
            logins=logins,
            guard=rooms.guard,
            models=rooms.models,
            sent=rooms.transcripts.sent,
            live=live,
            mode=rooms.mode,
            started_at=render_now(),
        )
        runner = web.AppRunner(make_app(door), handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        assert runner.server is not None
        gate = Gate(runner.server, live, listener, group)
        gate.open()
        background = [
            group.create_task(sessions.maintain()),
            group.create_task(manager.watch()),
            group.create_task(_stop_when_idle(gate, sessions, live, stop)),
            group.create_task(_reload_when_told(reload, live, manager, guard)),
        ]
        manager.ready("ready")
        gc.freeze()  # what was loaded stays
        gc.enable()
        await stop.wait()
        gate.shut()
        manager.stopping()
        await sessions.stop(live.config.daemon.drain_s, leave=guard is None)
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
            gate.shut()
            _LOG.info("idle for %d s, ending", idle_exit_s)
            stop.set()
            return
        await asyncio.sleep(min(max(idle_exit_s - waited_s, 0.05), _IDLE_CHECK_S))


async def _reload_when_told(reload: asyncio.Event, live: Live, manager: Manager, guard: GuardProcess | None) -> None:
    """Read the configuration anew at each SIGHUP. A broken one changes nothing and is told."""
    standalone = guard is not None
    while True:
        await reload.wait()
        reload.clear()
        manager.reloading()
        if guard:
            guard.reload()
        try:
            live.loaded = _load(standalone=standalone)
            manager.ready("ready, configuration reloaded")
        except AiosError as exc:
            _LOG.error("the configuration stays as it was: %s; %s", exc.message, exc.hint)
            manager.ready(f"ready with the old configuration: {exc.message}")
