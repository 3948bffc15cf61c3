"""A session's event log: numbered, stored first and then shown, read by any number of clients each at their own pace.

A reader that is slow reads from the store and holds nobody up; the newest events are kept in memory for those that are
not. `append` never waits; `drain` (one at a time) carries what was appended to the store and to the readers.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict

from aiosd.memory.transcripts import Transcripts, render_now
from aiosd.types import SessionId
from aiosd.wire import Event

_IN_MEMORY = 256
_PAGE = 128

Numbered = tuple[int, str, str]  # number, type, JSON


class EventLog:
    """The log of one session of `uid`, going on after event `last_seq`. `keep` says how many events stay stored."""

    def __init__(
        self, transcripts: Transcripts, uid: int, session: SessionId, *, last_seq: int, keep: Callable[[], int]
    ) -> None:
        self._transcripts = transcripts
        self._keep = keep
        self._uid = uid
        self._session = session
        self._appended: list[Numbered] = []
        self._recent: deque[Numbered] = deque(maxlen=_IN_MEMORY)
        self._numbered = last_seq
        self._shown = last_seq
        self._changed = asyncio.Event()
        self._waiting = asyncio.Event()

    @property
    def last_seq(self) -> int:
        """The number of the newest event that readers can see."""
        return self._shown

    def append(self, event: Event) -> None:
        """Number an event and hand it to `drain`."""
        self._numbered += 1
        body = {**asdict(event), "seq": self._numbered, "session": self._session, "at": render_now()}
        # Half of a surrogate pair, which JSON can hold and UTF-8 cannot, stays an escape.
        text = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
        self._appended.append((self._numbered, event.type, text))
        self._waiting.set()

    async def drain_forever(self) -> None:
        """Store and show events as they are appended, until cancelled."""
        while True:
            await self._waiting.wait()
            await self.drain()

    async def drain(self, *, then: Callable[[], None] = lambda: None) -> None:
        """Store what was appended, call `then`, and show it, without a pause. StorageError leaves it appended."""
        self._waiting.clear()
        batch = list(self._appended)
        if batch:
            numbered = [(seq, body) for seq, _, body in batch]
            try:
                await self._transcripts.append_events(self._uid, self._session, numbered, keep=self._keep())
            except asyncio.CancelledError:  # comes when they are stored
                self._show(batch)
                raise
        then()
        self._show(batch)

    def show_unstored(self) -> None:
        """Show what was appended though it could not be stored: the last resort, so that readers learn of it."""
        self._show(list(self._appended))

    def _show(self, batch: list[Numbered]) -> None:
        del self._appended[: len(batch)]
        self._recent.extend(batch)
        if batch:
            self._shown = batch[-1][0]
        while self._recent and self._recent[0][0] <= self._shown - self._keep():
            self._recent.popleft()  # as in the store
        self._changed.set()
        self._changed = asyncio.Event()

    async def read(self, after: int, *, running: Callable[[], bool]) -> AsyncIterator[Numbered]:
        """The events after a cursor, and on while `running` says that a turn adds to them."""
        while True:
            changed = self._changed
            goes_on = running()
            batch = await self._page(after)
            for numbered in batch:
                after = numbered[0]
                yield numbered
            if not batch:
                if not goes_on:
                    return
                await changed.wait()

    async def _page(self, after: int) -> list[Numbered]:
        if after >= self._shown:
            return []
        if self._recent and self._recent[0][0] <= after + 1:
            return [numbered for numbered in self._recent if numbered[0] > after][:_PAGE]
        stored = await self._transcripts.events(self._uid, self._session, after=after, limit=_PAGE)
        return [(seq, str(json.loads(body)["type"]), body) for seq, body in stored if seq <= self._shown]
