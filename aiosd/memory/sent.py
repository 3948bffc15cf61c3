"""What was sent to models: each request with its address, size, digest, sources and price; of the newest ones the text.

Written before a request leaves, in the user's own database; a request that cannot be written down does not leave.
"""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiosd.memory.store import Store
from aiosd.types import SessionId
from aiosd.wire_sent import SentRequest, SentText

_KEPT = 200  # of a user's requests the text
_SELECT = """
    SELECT number, sent.session, coalesce(sessions.name, ''), turn, at, sent.model, address, bytes, digest, sources,
           input_tokens, cached_tokens, output_tokens, cost, error
    FROM sent LEFT JOIN sessions ON sessions.id = sent.session
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a user's requests have cost, and read and written: in one turn, in its session, since midnight (UTC)."""

    turn: float
    session: float
    day: float
    session_tokens: int
    day_tokens: int


class SentRequests:
    """The requests of every user, in the databases of `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(
        self, uid: int, session: SessionId, turn: int, *, model: str, address: str, body: bytes, sources: Sequence[str]
    ) -> int:
        """Write one down; its number."""
        digest, packed = hashlib.sha256(body).hexdigest(), zlib.compress(body, 1)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

        def work(database: sqlite3.Connection) -> int:
            cursor = database.execute(
                "INSERT INTO sent (session, turn, at, model, address, bytes, digest, sources, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (session, turn, now, model, address, len(body), digest, json.dumps(sources), packed),
            )
            number = int(cursor.lastrowid or 0)
            database.execute("UPDATE sent SET body = NULL WHERE number <= ? AND body IS NOT NULL", (number - _KEPT,))
            return number

        return await self._store.run(uid, work)

    def finish(self, uid: int, number: int, *, tokens: tuple[int, int, int], cost: float, error: str) -> None:
        """Write down what became of it: tokens read, of them cached, and written; its price; the error's code or "".

        It is stored before whatever is stored next.
        """

        def work(database: sqlite3.Connection) -> None:
            database.execute(
                "UPDATE sent SET input_tokens = ?, cached_tokens = ?, output_tokens = ?, cost = ?, error = ?"
                " WHERE number = ?",
                (*tokens, cost, error, number),
            )

        self._store.put(uid, work)

    async def spent(self, uid: int, session: SessionId, turn: int) -> Spent:
        """What has been spent so far."""
        today = datetime.now(UTC).strftime("%Y-%m-%d")

        def work(database: sqlite3.Connection) -> Spent:
            of_turn, of_session, session_tokens = database.execute(
                "SELECT coalesce(sum(cost) FILTER (WHERE turn = ?), 0.0), coalesce(sum(cost), 0.0),"
                " coalesce(sum(input_tokens + output_tokens), 0) FROM sent WHERE session = ?",
                (turn, session),
            ).fetchone()
            of_day, day_tokens = database.execute(
                "SELECT coalesce(sum(cost), 0.0), coalesce(sum(input_tokens + output_tokens), 0)"
                " FROM sent WHERE at >= ?",
                (today,),
            ).fetchone()
            return Spent(
                turn=of_turn, session=of_session, day=of_day, session_tokens=session_tokens, day_tokens=day_tokens
            )

        return await self._store.run(uid, work)

    async def list(self, uid: int, *, session: SessionId | None, limit: int) -> tuple[SentRequest, ...]:
        """The newest requests (of one session), oldest first."""

        def work(database: sqlite3.Connection) -> tuple[SentRequest, ...]:
            rows = database.execute(
                f"{_SELECT} WHERE ?1 IS NULL OR sent.session = ?1 ORDER BY number DESC LIMIT ?2", (session, limit)
            ).fetchall()
            return tuple(_read(row) for row in reversed(rows))

        return await self._store.run(uid, work)

    async def show(self, uid: int, number: int) -> SentText | None:
        """One request with its text, "" where that is no longer kept; None where there is no such."""

        def work(database: sqlite3.Connection) -> SentText | None:
            row = database.execute(f"{_SELECT} WHERE number = ?", (number,)).fetchone()
            if row is None:
                return None
            (packed,) = database.execute("SELECT body FROM sent WHERE number = ?", (number,)).fetchone()
            text = zlib.decompress(packed).decode("utf-8", "replace") if packed is not None else ""
            return SentText(request=_read(row), text=text)

        return await self._store.run(uid, work)


def _read(row: tuple[int, str, str, int, str, str, str, int, str, str, int, int, int, float, str]) -> SentRequest:
    return SentRequest(
        number=row[0],
        session=row[1],
        name=row[2],
        turn=row[3],
        at=row[4],
        model=row[5],
        address=row[6],
        bytes=row[7],
        digest=row[8],
        sources=tuple(json.loads(row[9])),
        input_tokens=row[10],
        cached_tokens=row[11],
        output_tokens=row[12],
        cost=row[13],
        error=row[14],
    )
