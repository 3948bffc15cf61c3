"""Sessions as a person keeps them: searched, named anew, copied, read out whole, deleted."""

import json
import sqlite3
from collections.abc import Sequence

from aiosd.memory.rows import SELECT_SESSIONS, read_session
from aiosd.memory.store import Store
from aiosd.types import JsonObject, SessionId
from aiosd.wire import SessionInfo

_MATCHES = """
    WHERE s.name LIKE ?1 ESCAPE '\\' OR s.title LIKE ?1 ESCAPE '\\' OR EXISTS (
        SELECT 1 FROM turns t WHERE t.session = s.id AND (t.prompt LIKE ?1 ESCAPE '\\' OR t.answer LIKE ?1 ESCAPE '\\')
    )
"""


class Archive:
    """The sessions of every user, in the databases of `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def search(self, uid: int, text: str, *, limit: int) -> tuple[SessionInfo, ...]:
        """The newest sessions in which `text` stands: in the name, a question or an answer."""
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"

        def work(database: sqlite3.Connection) -> tuple[SessionInfo, ...]:
            order = " ORDER BY s.used_at DESC, s.rowid DESC LIMIT ?2"
            return tuple(map(read_session, database.execute(SELECT_SESSIONS + _MATCHES + order, (pattern, limit))))

        return await self._store.run(uid, work)

    async def rename(self, uid: int, session: SessionId, name: str) -> bool:
        """Name it; False where another one has that name."""

        def work(database: sqlite3.Connection) -> bool:
            return bool(
                database.execute("UPDATE OR IGNORE sessions SET name = ? WHERE id = ?", (name, session)).rowcount
            )

        return await self._store.run(uid, work)

    async def delete(self, uid: int, session: SessionId) -> None:
        """Delete it with all that was said; what is on the guard's record stays there."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM sessions WHERE id = ?", (session,))

        await self._store.run(uid, work)

    async def fork(self, uid: int, session: SessionId, copy: SessionId, names: Sequence[str]) -> str:
        """Copy it with its conversation, under the first of `names` that is free; that name."""

        def work(database: sqlite3.Connection) -> str:
            for name in (*names, copy):
                made = database.execute(
                    "INSERT OR IGNORE INTO sessions (id, name, title, created_at, used_at, model)"
                    " SELECT ?, ?, title, created_at, used_at, model FROM sessions WHERE id = ?",
                    (copy, name, session),
                )
                if made.rowcount:
                    break
            else:
                raise sqlite3.IntegrityError("no free name")
            database.execute(
                "INSERT INTO turns"
                " (session, number, prompt, answer, state, exit_status, started_at, ended_at, cwd, wait_s)"
                " SELECT ?, number, prompt, answer, state, exit_status, started_at, ended_at, cwd, wait_s"
                " FROM turns WHERE session = ?",
                (copy, session),
            )
            database.execute(
                "INSERT INTO messages (session, number, turn, body)"
                " SELECT ?, number, turn, body FROM messages WHERE session = ?",
                (copy, session),
            )
            database.execute(
                "INSERT INTO files SELECT ?, uploads, outputs FROM files WHERE session = ?", (copy, session)
            )
            return name

        return await self._store.run(uid, work)

    async def turn_seq(self, uid: int, session: SessionId) -> int:
        """The cursor before the newest turn's first event."""

        def work(database: sqlite3.Connection) -> int:
            row = database.execute(
                "SELECT coalesce(max(seq) - 1, 0) FROM events"
                " WHERE session = ? AND json_extract(body, '$.type') = 'session_started'",
                (session,),
            )
            return int(row.fetchone()[0])

        return await self._store.run(uid, work)

    async def read(self, uid: int, session: SessionId) -> tuple[list[tuple[int, JsonObject]], dict[str, str]]:
        """The conversation, each message with its turn's number; and the tier of each call that was decided."""

        def work(database: sqlite3.Connection) -> tuple[list[tuple[int, JsonObject]], dict[str, str]]:
            messages = database.execute(
                "SELECT turn, body FROM messages WHERE session = ? ORDER BY number", (session,)
            ).fetchall()
            tiers = database.execute(
                "SELECT json_extract(body, '$.call'), json_extract(body, '$.verdict.tier') FROM events"
                " WHERE session = ? AND json_extract(body, '$.type') = 'decision'",
                (session,),
            ).fetchall()
            return [(turn, json.loads(body)) for turn, body in messages], dict(tiers)

        return await self._store.run(uid, work)
