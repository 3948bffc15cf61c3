"""Leases: a person's yes to one exact command that holds for a while, for so many times, in one session and folder.

Never for what runs as root, destroys, runs another program, or is not known word by word. A lease is bound to the boot,
to the policy it was given under, and to the programs' bytes (in its folder also to the folder's inode). Each use is
taken in one transaction and recorded as the decision it is; what is used up, over or revoked stays in the store, and
its end has a record of its own (`lapsing`).
"""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiosd.guard.approvals import Approval, Approvals, Approver
from aiosd.policy import CommandAction, Verdict
from aiosd.policy.judge import judge
from aiosd.policy.knowledge import Effect, load_knowledge
from aiosd.types import JsonObject, RunAs, Tier

MOST_S: Final = 24 * 3600
MOST_USES: Final = 1000
USUAL_S: Final = 30 * 60
USUAL_USES: Final = 10
_NEVER: Final = frozenset((Effect.RUNS, Effect.DESTRUCTIVE, Effect.UNKNOWN, Effect.ROOT))
_KEPT: Final = 1000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS leases (
    id TEXT PRIMARY KEY,
    uid INTEGER NOT NULL,
    user TEXT NOT NULL,
    line TEXT NOT NULL,
    session TEXT NOT NULL,
    cwd TEXT NOT NULL,
    policy TEXT NOT NULL,
    boot TEXT NOT NULL,
    granted_by INTEGER NOT NULL,
    granted_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL,
    revoked INTEGER NOT NULL,
    files TEXT NOT NULL DEFAULT '',
    told INTEGER NOT NULL DEFAULT 0
) STRICT;
"""
_OPEN: Final = "boot = ? AND revoked = 0 AND used < uses AND expires_at > ?"
_REACHING: Final = (
    f"SELECT id FROM leases WHERE {_OPEN} AND uid = ?"  # noqa: S608
    " AND line = ? AND session IN ('', ?) AND cwd IN ('', ?) AND policy = ?"
    " AND files = CASE cwd WHEN '' THEN ? ELSE ? END LIMIT 1"
)
_FIELDS: Final = "id, uid, user, line, session, cwd, boot, granted_by, granted_at, expires_at, uses, used, revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How far a lease reaches: seconds, times, and whether only in the session and the folder it was given in."""

    seconds: int = USUAL_S
    uses: int = USUAL_USES
    session: bool = True
    cwd: bool = True


class Leases:
    """The leases, in the store of the approvals."""

    def __init__(self, store: Approvals, *, boot: str) -> None:
        self._store = store
        self._boot = boot
        self.changed = asyncio.Event()  # something may have ended, or ends at another time than before

    async def open(self) -> None:
        """Make the table, and forget all but the newest thousand. AuditError."""

        def work(database: sqlite3.Connection) -> None:
            database.executescript(_SCHEMA)
            there = {column[1] for column in database.execute("PRAGMA table_info(leases)")}
            for column, declared in (("files", "TEXT NOT NULL DEFAULT ''"), ("told", "INTEGER NOT NULL DEFAULT 0")):
                if column not in there:
                    database.execute(f"ALTER TABLE leases ADD COLUMN {column} {declared}")
            database.execute("DELETE FROM leases WHERE rowid <= (SELECT max(rowid) FROM leases) - ?", (_KEPT,))

        await self._store.transact(work)

    async def grant(self, approval: Approval, terms: Terms, *, by: int) -> str:
        """A lease for what `approval` asked, from now on; its id."""
        identity, now = f"L{secrets.token_hex(4)}", time.time()
        row = (
            identity, approval.uid, approval.user, approval.action, approval.session if terms.session else "",
            approval.cwd if terms.cwd else "", approval.policy, self._boot, by,
            now, now + terms.seconds, terms.uses, 0, 0, _render_files(approval, cwd=terms.cwd), 0,
        )  # fmt: skip

        def work(database: sqlite3.Connection) -> None:
            database.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

        await self._store.transact(work)
        self.changed.set()
        return identity

    async def take(self, approval: Approval) -> tuple[str, int] | None:
        """Use one for what would be asked now: its id and who gave it; None where there is none."""

        def work(database: sqlite3.Connection) -> tuple[str, int] | None:
            row: tuple[str, int] | None = database.execute(
                f"UPDATE leases SET used = used + 1 WHERE id = ({_REACHING}) RETURNING id, granted_by",  # noqa: S608
                self._wanted(approval),
            ).fetchone()
            return row

        taken = await self._store.transact(work)
        if taken:
            self.changed.set()
        return taken

    async def reaches(self, approval: Approval) -> bool:
        """Whether there is one for what would be asked; none is used."""
        found = await self._store.transact(
            lambda database: database.execute(_REACHING, self._wanted(approval)).fetchone()
        )
        return found is not None

    def _wanted(self, approval: Approval) -> tuple[str | int | float, ...]:
        wanted = (approval.uid, approval.action, approval.session, approval.cwd, approval.policy)
        files = (_render_files(approval, cwd=False), _render_files(approval, cwd=True))
        return (self._boot, time.time(), *wanted, *files)

    async def list(self, who: Approver) -> Sequence[JsonObject]:
        """Those of `who` (root: all), newest first, with what became of each."""

        def work(database: sqlite3.Connection) -> Sequence[tuple[object, ...]]:
            return database.execute(f"SELECT {_FIELDS} FROM leases ORDER BY granted_at DESC").fetchall()  # noqa: S608

        rows = map(self._describe, await self._store.transact(work))
        return [row for row in rows if who.uid in (0, row["uid"])]

    async def ended(self) -> Sequence[JsonObject]:
        """Those that are over and of which nobody has been told, oldest first."""
        query = f"SELECT {_FIELDS} FROM leases WHERE told = 0 AND NOT ({_OPEN}) ORDER BY granted_at"  # noqa: S608
        found = await self._store.transact(
            lambda database: database.execute(query, (self._boot, time.time())).fetchall()
        )
        return list(map(self._describe, found))

    async def settle(self, identity: str) -> None:
        """Its end has been told."""
        await self._store.transact(
            lambda database: database.execute("UPDATE leases SET told = 1 WHERE id = ?", (identity,))
        )

    async def seconds_left(self) -> float:
        """Until the next of those that are open is over by its time; infinity where none is open."""
        query, now = f"SELECT min(expires_at) FROM leases WHERE {_OPEN}", time.time()  # noqa: S608
        (soonest,) = await self._store.transact(lambda database: database.execute(query, (self._boot, now)).fetchone())
        return float("inf") if soonest is None else max(soonest - now, 0.0)

    async def revoke(self, who: Approver, *, identity: str = "", uid: int = -1, session: str = "") -> int:
        """End open leases that `who` may end: one, or those of a person or session; how many that were."""

        def work(database: sqlite3.Connection) -> int:
            return database.execute(
                f"UPDATE leases SET revoked = 1 WHERE {_OPEN} AND ? IN ('', id) AND ? IN (-1, uid)"  # noqa: S608
                " AND ? IN ('', session) AND ? IN (0, uid)",
                (self._boot, time.time(), identity, uid, session, 0 if who.administers else who.uid),
            ).rowcount

        revoked = await self._store.transact(work)
        if revoked:
            self.changed.set()
        return revoked

    def _describe(self, values: tuple[object, ...]) -> JsonObject:
        row = dict(zip(_FIELDS.split(", "), values, strict=True))
        state = "open"
        if row.pop("revoked"):
            state = "revoked"
        elif int(str(row["used"])) >= int(str(row["uses"])):
            state = "used up"
        elif row["boot"] != self._boot or float(str(row["expires_at"])) <= time.time():
            state = "over"
        del row["boot"]
        described: JsonObject = {key: value for key, value in row.items() if isinstance(value, str | int | float)}
        return {**described, "state": state}


def _render_files(approval: Approval, *, cwd: bool) -> str:
    """The hashes of what it stands on; the folder's line, the first, where the lease is for that folder."""
    return "\n".join(approval.files if cwd else approval.files[1:])


def may_be_leased(verdict: Verdict, action: object) -> bool:
    """Whether a yes to this may hold for longer than once."""
    if not isinstance(action, CommandAction) or verdict.program is None or verdict.tier is not Tier.REQUIRE_APPROVAL:
        return False
    if verdict.run_as is not RunAs.USER:
        return False
    judged = [judge(load_knowledge(), command.argv) for command in verdict.program.commands()]
    return all(each.known and _NEVER.isdisjoint(c.effect for c in each.concerns) for each in judged)
