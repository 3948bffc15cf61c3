"""The guard's record keeping: the log first, then the journal; on the disk before anything runs that is not observed.

Where the disk takes nothing, what only observes, what is not run and ends are recorded in memory (`trouble` says why);
what changes anything is not run. `decided` has stored the record when it returns, and raises AuditError otherwise. An
end that could not be written anywhere is written before anything else is.
"""

import asyncio
import logging
from collections import deque

from aiosd.audit.journal import JournalSink
from aiosd.audit.log import AuditError, AuditLog, Query
from aiosd.audit.records import Connected, Decided, Decision, Done, Lapsed, Ordered, Outcome, Record, Started, Stopped
from aiosd.types import JsonObject, Tier

_LOG = logging.getLogger(__name__)
_STOPS = ("stop", "kill")


class Ledger:
    """Appends records and answers questions about them."""

    def __init__(self, log: AuditLog, journal: JournalSink) -> None:
        self._log = log
        self._journal = journal
        self._owed: deque[Done] = (
            deque()
        )  # no more than there are actions under way: none begins before they are written

    @property
    def trouble(self) -> str:
        """Why the newest records are in memory alone; "" where they are on the disk."""
        return self._log.trouble

    def started(self, *, version: str, mode: str, kept: frozenset[tuple[str, str]] = frozenset()) -> int:
        """Record the start, and first the actions that an earlier guard did not see the end of; how many of those.

        Those of the sessions and calls `kept` go on.
        """
        lost = [entry for entry in self._log.unfinished() if (str(entry["session"]), str(entry["call"])) not in kept]
        for entry in lost:
            self._append(
                Done(
                    session=str(entry["session"]),
                    call=str(entry["call"]),
                    uid=int(str(entry["uid"])),
                    user=str(entry["user"]),
                    tier=Tier(str(entry["tier"])),
                    outcome=Outcome.LOST,
                    status=-1,
                    duration_ms=0,
                    output_bytes=0,
                    truncated=False,
                    reason="the guard ended before the action; its processes ended with it",
                ),
                volatile=True,
            )
        going_on = tuple(sorted("/".join(each) for each in kept))
        self._append(Started(version=version, mode=mode, kept=going_on), volatile=True)
        return len(lost)

    def stopped(self, reason: str) -> None:
        """Record an end in order."""
        try:
            self._append(Stopped(reason=reason), volatile=True)
        except AuditError as exc:
            _LOG.error("the stop could not be recorded: %s", exc)

    async def decided(self, record: Decided, *, durable: bool = False) -> None:
        """Record a decision; durable unless it only lets something be observed, or where that is wanted."""
        runs = record.decision in (Decision.ALLOWED, Decision.APPROVED)
        observes = record.tier is Tier.AUTO_ALLOW and runs and not durable
        self._append(record, volatile=observes or not runs)
        if not observes and not (self.trouble and not runs):
            await asyncio.to_thread(self._log.sync)

    async def ensure_disk(self) -> None:
        """Raise AuditError where the disk took no record lately, and takes none now."""
        if self.trouble:
            await asyncio.to_thread(self._log.sync)

    async def ordered(self, record: Ordered) -> None:
        """Record what a person ordered; durable, but where it only stops: that is done whatever the disk says."""
        stops = record.order in _STOPS
        self._append(record, volatile=stops)
        if not (self.trouble and stops):
            await asyncio.to_thread(self._log.sync)

    def done(self, record: Done) -> None:
        """Record an end; AuditError where it has to wait."""
        self._owed.append(record)
        self._pay()

    def lapsed(self, record: Lapsed) -> None:
        """Record the end of a lease; AuditError where that is not possible."""
        self._append(record, volatile=True)

    def connected(self, record: Connected) -> None:
        """Record a connection; AuditError where that is not possible."""
        self._append(record, volatile=True)

    async def read(self, query: Query) -> list[JsonObject]:
        """The records that match."""
        return await asyncio.to_thread(self._log.read, query)

    async def verify(self) -> list[str]:
        """What is wrong with the log, in words."""
        problems = await asyncio.to_thread(self._log.verify)
        if self._journal.missed:
            problems.append(f"the journal did not take {self._journal.missed} records since the guard started")
        return problems

    def close(self) -> None:
        """Close both."""
        self._journal.close()
        self._log.close()

    def _pay(self) -> None:
        while self._owed:
            self._write(self._owed[0], volatile=True)
            self._owed.popleft()

    def _append(self, record: Record, *, volatile: bool = False) -> None:
        self._pay()
        self._write(record, volatile=volatile)

    def _write(self, record: Record, *, volatile: bool) -> None:
        self._journal.send(record.kind, self._log.append(record, volatile=volatile))
