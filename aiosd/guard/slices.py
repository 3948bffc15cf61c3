"""What all commands of one session may use together: a slice for each session that runs something.

A sandbox is made ready before it is known whose it will be, and no unit can leave its slice. So it is made in a slice
that is nobody's yet, and the session that takes it takes the slice with it. One in which nothing runs is taken away.
Without a service manager to ask every name is "", and each process is bounded by itself.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from aiosd.guard.settings import LiveSettings
from aiosd.sandbox.limits import SessionLimits
from aiosd.sandbox.link import Identity, SandboxError
from aiosd.types import SessionId

_LOG = logging.getLogger(__name__)
_Key = TypeVar("_Key", SessionId, Identity)


class Maker(Protocol):
    """Who makes slices. What it raises is OSError."""

    async def open(self, limits: SessionLimits) -> str:
        """A new one; its name."""
        ...

    async def limit(self, name: str, limits: SessionLimits) -> None:
        """Hold one to other limits from now on."""
        ...

    async def close_empty(self, keep: Container[str]) -> set[str]:
        """Take those away in which nothing runs, but for `keep`; which."""
        ...


class Slices:
    """The slices of this guard's sessions, by `maker`; None where there is nobody to ask."""

    def __init__(self, live: LiveSettings, maker: Maker | None) -> None:
        self._live = live
        self._maker = maker
        self._of: dict[SessionId, str] = {}
        self._ahead: dict[Identity, str] = {}
        self._bounds: dict[str, SessionLimits] = {}
        self._held: Counter[str] = Counter()
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def of(self, session: SessionId) -> AsyncIterator[str]:
        """The session's slice, which stays while something is begun in it. SandboxError where there can be none."""
        async with self._holding(self._of, session) as name:
            yield name

    @asynccontextmanager
    async def ahead(self, identity: Identity) -> AsyncIterator[str]:
        """The slice of whichever session of these rights comes next. SandboxError."""
        async with self._holding(self._ahead, identity) as name:
            yield name

    async def take(self, session: SessionId, identity: Identity, name: str) -> bool:
        """Whether what was made ready in `name` may be this session's, whose slice it is then."""
        async with self._opening:
            if name and session not in self._of and self._ahead.get(identity) == name:
                self._of[session] = self._ahead.pop(identity)
            return self._of.get(session, "") == name

    def keep(self, session: SessionId, name: str) -> None:
        """Say that a session of an earlier guard has something running in `name`."""
        if name:
            self._of[session] = name

    async def tidy(self) -> None:
        """Take the empty ones away, hold the others to the limits in force. Called at the start and now and then."""
        if self._maker is None:
            return
        async with self._opening:
            gone = await self._maker.close_empty(+self._held)
            self._of = {session: name for session, name in self._of.items() if name not in gone}
            self._ahead = {identity: name for identity, name in self._ahead.items() if name not in gone}
            self._bounds = {name: bound for name, bound in self._bounds.items() if name not in gone}
            for name in {*self._of.values(), *self._ahead.values()}:
                try:
                    await self._bound(name)
                except OSError as exc:  # it has the limits that it had
                    _LOG.warning("%s keeps its old limits: %s", name, exc.strerror)

    async def _bound(self, name: str) -> None:
        limits = self._live.now.session_limits
        if self._maker is not None and self._bounds.get(name) != limits:
            await self._maker.limit(name, limits)
            self._bounds[name] = limits

    @asynccontextmanager
    async def _holding(self, names: dict[_Key, str], key: _Key) -> AsyncIterator[str]:
        if self._maker is None:
            yield ""
            return
        async with self._opening:
            try:
                if (name := names.get(key, "")) == "":
                    limits = self._live.now.session_limits
                    name = names[key] = await self._maker.open(limits)
                    self._bounds[name] = limits
                await self._bound(name)
            except OSError as exc:
                raise SandboxError(f"the service manager gives the session no cgroup: {exc.strerror}") from exc
            self._held[name] += 1
        try:
            yield name
        finally:
            self._held[name] -= 1
