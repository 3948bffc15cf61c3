"""Root's order to stop everything, left in a file while the guard hung or could not begin: heeded before anything else.

Whoever may write the guard's own folder may leave it. It is heeded at the start and before every call: what waits for
an answer is denied, leases are over, nothing begins until somebody thaws. It is taken away when that is done.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path

from aiosd.audit.log import AuditError
from aiosd.guard.varlink import Call, Handler, Interface

_LOG = logging.getLogger(__name__)
_KILL = "kill"


class StopMark:
    """The file; `stop` takes the order, and is told whether what runs is to be ended too."""

    def __init__(self, path: Path, stop: Callable[[bool], Coroutine[None, None, None]]) -> None:
        self._path = path
        self._stop = stop
        self._heeding = asyncio.Lock()

    async def heed(self) -> None:
        """Take the order, if there is one; what cannot be done now is done before the next call."""
        if not self._path.exists():
            return
        async with self._heeding:
            try:
                await self._stop(self._path.read_text(encoding="ascii", errors="replace").strip() == _KILL)
                self._path.unlink()
            except FileNotFoundError:
                return
            except (AuditError, OSError) as exc:
                _LOG.error("the order to stop everything (%s) was not wholly done: %s", self._path, exc)

    def before(self, interface: Interface) -> Interface:
        """The interface, each method of which heeds the mark first."""

        def heeding(method: Handler) -> Handler:
            async def heed_first(call: Call) -> None:
                await self.heed()
                await method(call)

            return heed_first

        return replace(interface, methods={name: heeding(method) for name, method in interface.methods.items()})
