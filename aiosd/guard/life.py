"""The guard's life after its rooms are built: ready, reload, watchdog, status, idle, stop.

It returns when the guard is to end: by a signal, after what runs was given time; when a standalone guard's aiosd has
gone, at once; or, a system's guard, when nobody has needed it for a while.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiosd.guard.activation import notify
from aiosd.guard.approvals import Approvals
from aiosd.guard.door import Door
from aiosd.guard.jobs import Jobs
from aiosd.guard.sessions import Sessions
from aiosd.guard.settings import LiveSettings
from aiosd.guard.varlink import Server
from aiosd.guard.workers import Workers

_LOG = logging.getLogger(__name__)
_DRAIN_S = 60.0
_SWEEP_S = 5.0
IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What decides when it ends. `reload` reads policy and settings anew and says in words what came of it."""

    server: Server
    door: Door
    approvals: Approvals
    workers: Workers
    live: LiveSettings
    jobs: Jobs
    sessions: Sessions
    reload: Callable[[], str]
    lifeline_fd: int

    async def run(self) -> str:
        """Until the end; why it came."""
        stop, hung_up, orphaned = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, hung_up.set)
        if self.lifeline_fd >= 0:
            loop.add_reader(self.lifeline_fd, self._on_lifeline, stop, orphaned)
        idle = asyncio.Event()
        notify(f"READY=1\nSTATUS={self._status()}")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._reload_when_told(hung_up)),
                group.create_task(self._sweep(stop, idle)),
                group.create_task(keep_watchdog()),
            ]
            await stop.wait()
            if not orphaned.is_set():
                notify("STATUS=waiting for what runs to end")
                self.door.leave()
                await self._drain(orphaned)
            for task in tasks:
                task.cancel()
        if self.lifeline_fd >= 0 or idle.is_set():
            self.sessions.forget()
        notify("STOPPING=1")
        return "aiosd ended" if orphaned.is_set() else IDLE if idle.is_set() else "signal"

    def _on_lifeline(self, stop: asyncio.Event, orphaned: asyncio.Event) -> None:
        if not os.read(self.lifeline_fd, 64):
            asyncio.get_running_loop().remove_reader(self.lifeline_fd)
            orphaned.set()
            stop.set()

    async def _drain(self, orphaned: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            waiting = {group.create_task(self.door.idle.wait()), group.create_task(orphaned.wait())}
            _done, pending = await asyncio.wait(waiting, timeout=_DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()

    async def _reload_when_told(self, hung_up: asyncio.Event) -> None:
        while True:
            await hung_up.wait()
            hung_up.clear()
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
            said = self.reload()
            _LOG.info("%s", said)
            notify(f"READY=1\nSTATUS={said}")

    async def _sweep(self, stop: asyncio.Event, idle: asyncio.Event) -> None:
        """Look after idle sandboxes, the status line, and whether the guard itself is needed."""
        loop = asyncio.get_running_loop()
        shown = ""
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self.workers.sweep()
            if self._status() != shown:
                shown = self._status()
                notify(f"STATUS={shown}")
            busy = self.server.connections or self.door.under_way or self.jobs.running or self.approvals.open
            unused_s = loop.time() - self.server.idle_since
            if self.lifeline_fd < 0 and not busy and unused_s >= self.live.now.idle_exit_s:
                self.server.shut()
                _LOG.info("idle for %d s, ending", unused_s)
                idle.set()
                stop.set()
                return

    def _status(self) -> str:
        return f"{self.door.under_way} running, {self.approvals.open} waiting for an answer"


async def keep_watchdog() -> None:
    """Tell the service manager at half its time that the loop turns; nothing where it does not ask for that."""
    interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while interval_s:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
