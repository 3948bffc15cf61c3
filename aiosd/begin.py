"""A process that cannot begin says why, to its service manager and to whoever connects, until it can.

It tries again whenever somebody connects or a reload is asked, and before it answers: whoever comes after the repair is
served, and nobody waits for an answer that will not come. Both processes begin so when systemd holds their socket.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol, TypeVar

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_CONNECTIONS = 16
_IDLE_S = 600.0


class ServiceManager(Protocol):
    """What is told of it: sd_notify(3)'s READY with a line of status, RELOADING, and the watchdog's due."""

    def ready(self, status: str) -> None: ...
    def reloading(self) -> None: ...
    async def watch(self) -> None: ...


async def begin(
    listener: socket.socket,
    attempt: Callable[[], Awaitable[_T]],
    *,
    expected: type[Exception],
    refuse: Callable[[socket.socket, str], Coroutine[None, None, None]],
    manager: ServiceManager,
) -> _T | None:
    """What `attempt` gives when it first succeeds; None when told to stop, or when nobody has come for a while.

    Each `expected` failure is told to who is connected by `refuse`, which owns the connection it is given.
    """
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    stop, again = asyncio.Event(), asyncio.Event()
    shown = ""
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(manager.watch())]
        try:
            while not stop.is_set():
                try:
                    return await attempt()
                except expected as exc:
                    reason = str(exc)
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, stop.set)
                loop.add_signal_handler(signal.SIGHUP, again.set)
                if reason != shown:
                    _LOG.error("cannot begin: %s", reason)
                    shown = reason
                manager.ready(f"cannot begin: {reason}")
                background = [task for task in background if not task.done()]
                room = max(_CONNECTIONS - len(background), 1)
                background += [
                    group.create_task(refuse(connection, reason)) for connection in _accept_waiting(listener, room)
                ]
                if not await _wait_for_any(listener, stop, again):
                    return None
                if again.is_set():
                    again.clear()
                    manager.reloading()
            return None
        finally:
            for task in background:
                task.cancel()


def _accept_waiting(listener: socket.socket, most: int) -> list[socket.socket]:
    accepted: list[socket.socket] = []
    with contextlib.suppress(OSError):  # none is left, or there are no descriptors
        while len(accepted) < most:
            accepted.append(listener.accept()[0])
    return accepted


async def _wait_for_any(listener: socket.socket, stop: asyncio.Event, again: asyncio.Event) -> bool:
    """Whether something came: a connection, or one of the events."""
    loop = asyncio.get_running_loop()
    connected = asyncio.Event()
    loop.add_reader(listener, connected.set)
    try:
        async with asyncio.TaskGroup() as group:
            waits = {group.create_task(event.wait()) for event in (connected, stop, again)}
            done, _pending = await asyncio.wait(waits, timeout=_IDLE_S, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
    finally:
        loop.remove_reader(listener)
    return bool(done)
