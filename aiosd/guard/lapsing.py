"""The ends of leases on the record: one record for each, whatever ended it, also where no guard ran at that time.

An end is recorded first and marked in the store afterwards: where the guard dies between the two, it is told twice
rather than never.
"""

import asyncio
import contextlib
import logging

from aiosd.audit.log import AuditError
from aiosd.audit.records import Lapsed
from aiosd.guard.leases import Leases
from aiosd.guard.ledger import Ledger

_LOG = logging.getLogger(__name__)
_LONGEST_S = 3600.0
_AGAIN_S = 60.0


class Lapsing:
    """Watches the leases of `leases`."""

    def __init__(self, leases: Leases, ledger: Ledger) -> None:
        self._leases = leases
        self._ledger = ledger

    async def watch(self) -> None:
        """Record each end when it comes, until this is cancelled; first those that came before."""
        while True:
            self._leases.changed.clear()
            try:
                await self.record()
                wait_s = min(await self._leases.seconds_left(), _LONGEST_S)
            except AuditError as exc:
                _LOG.error("the end of a lease is not on the record yet: %s", exc)
                wait_s = _AGAIN_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._leases.changed.wait()

    async def record(self) -> int:
        """Record the ends that are not recorded; how many. AuditError."""
        ended = await self._leases.ended()
        for lease in ended:
            self._ledger.lapsed(
                Lapsed(
                    lease=str(lease["id"]),
                    uid=int(str(lease["uid"])),
                    user=str(lease["user"]),
                    session=str(lease["session"]),
                    cwd=str(lease["cwd"]),
                    action=str(lease["line"]),
                    how=str(lease["state"]),
                    used=int(str(lease["used"])),
                    uses=int(str(lease["uses"])),
                    approver=int(str(lease["granted_by"])),
                )
            )
            await self._leases.settle(str(lease["id"]))
        return len(ended)
