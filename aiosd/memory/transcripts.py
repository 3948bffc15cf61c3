"""Transcripts: sessions, their turns, the conversation as the model sees it, and the events a client reads back.

Everything is one user's; whoever asks has been identified before. A turn that was running when the daemon ended is
found `interrupted` at the next start, its conversation made whole: every proposed call has a result.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiosd import exits
from aiosd.errors import StorageError
from aiosd.memory.archive import Archive
from aiosd.memory.files import SessionFiles
from aiosd.memory.rows import SELECT_SESSIONS, read_session
from aiosd.memory.sent import SentRequests
from aiosd.memory.store import Store
from aiosd.types import JsonObject, SessionId
from aiosd.wire import SessionInfo, TurnInfo, TurnState

_INTERRUPTED = "the daemon ended before this turn did"
_NO_RESULT = "interrupted: the turn ended before this call did"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A turn that has been started: its number, the model it asks ("" is the configured one), the conversation."""

    number: int
    model: str
    messages: tuple[str, ...]


class Transcripts:
    """The transcripts of every user."""

    def __init__(self, folder: Path) -> None:
        self._store = Store(folder, on_open=self._recover)
        self.sent = SentRequests(self._store)
        self.archive = Archive(self._store)
        self.files = SessionFiles(self._store)
        self._spared: frozenset[SessionId] = frozenset()

    def spare(self, sessions: frozenset[SessionId]) -> None:
        """Turns of `sessions` that were running go on: they are not found interrupted. For before anything is read."""
        self._spared = sessions

    def trouble(self, uid: int) -> str:
        """Why what `uid` says is kept in memory alone; "" where it is on the disk."""
        return self._store.trouble(uid)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    async def create(self, uid: int, session: SessionId, names: Sequence[str], title: str) -> str:
        """Create a session; its name: the first of `names` that is free."""

        def work(database: sqlite3.Connection) -> str:
            now = render_now()
            for name in (*names, session):
                cursor = database.execute(
                    "INSERT OR IGNORE INTO sessions (id, name, title, created_at, used_at) VALUES (?, ?, ?, ?, ?)",
                    (session, name, title, now, now),
                )
                if cursor.rowcount:
                    return name
            raise sqlite3.IntegrityError("no free name")

        return await self._store.run(uid, work)

    async def find(self, uid: int, wanted: str) -> SessionInfo | None:
        """A session by id or name; by "" the newest one."""

        def work(database: sqlite3.Connection) -> SessionInfo | None:
            if wanted:
                rows = database.execute(SELECT_SESSIONS + " WHERE s.id = ?1 OR s.name = ?1", (wanted,))
            else:
                rows = database.execute(SELECT_SESSIONS + " ORDER BY s.used_at DESC, s.rowid DESC LIMIT 1")
            row = rows.fetchone()
            return read_session(row) if row else None

        return await self._store.run(uid, work)

    async def sessions(self, uid: int, *, limit: int) -> tuple[SessionInfo, ...]:
        """The newest sessions, the last used first."""

        def work(database: sqlite3.Connection) -> tuple[SessionInfo, ...]:
            rows = database.execute(SELECT_SESSIONS + " ORDER BY s.used_at DESC, s.rowid DESC LIMIT ?", (limit,))
            return tuple(map(read_session, rows))

        return await self._store.run(uid, work)

    async def turns(self, uid: int, session: SessionId) -> tuple[TurnInfo, ...]:
        """The turns of a session, oldest first."""

        def work(database: sqlite3.Connection) -> tuple[TurnInfo, ...]:
            rows = database.execute(
                "SELECT number, prompt, answer, state, started_at, exit_status FROM turns"
                " WHERE session = ? ORDER BY number",
                (session,),
            )
            return tuple(
                TurnInfo(number=number, prompt=prompt, answer=answer, state=state, started_at=at, exit_status=status)
                for number, prompt, answer, state, at, status in rows
            )

        return await self._store.run(uid, work)

    async def failures(self, uid: int, *, since: str, limit: int) -> tuple[int, tuple[str, ...]]:
        """How many turns were cut short after `since`; names of their sessions, the newest first.

        Cut short: by an error, for want of an answer, by the daemon's end. What a person has read, said no to or
        interrupted is no news to them.
        """
        known = (-1, exits.OK, exits.FAILED, exits.DENIED, exits.INTERRUPTED)

        def work(database: sqlite3.Connection) -> tuple[int, tuple[str, ...]]:
            rows = database.execute(
                "SELECT s.name, count(*) FROM turns t JOIN sessions s ON s.id = t.session"
                " WHERE t.exit_status NOT IN (?, ?, ?, ?, ?) AND t.ended_at > ?"
                " GROUP BY s.id ORDER BY max(t.ended_at) DESC",
                (*known, since),
            ).fetchall()
            return sum(count for _name, count in rows), tuple(name for name, _count in rows[:limit])

        return await self._store.run(uid, work)

    async def begin_turn(
        self,
        uid: int,
        session: SessionId,
        prompt: str,
        message: JsonObject,
        *,
        cwd: str = "/",
        wait_s: int = 0,
        model: str = "",
    ) -> Begun:
        """Start a turn with the person's message. `cwd` and `wait_s` are what it needs to go on.

        `model` is the one that the session asks from now on, where it is not "".
        """

        def work(database: sqlite3.Connection) -> Begun:
            now = render_now()
            chosen = _choose_model(database, session, model)
            row = database.execute("SELECT coalesce(max(number), 0) + 1 FROM turns WHERE session = ?", (session,))
            (number,) = row.fetchone()
            database.execute(
                "INSERT INTO turns (session, number, prompt, state, started_at, cwd, wait_s)"
                " VALUES (?, ?, ?, 'running', ?, ?, ?)",
                (session, number, prompt, now, cwd, wait_s),
            )
            database.execute("UPDATE sessions SET used_at = ? WHERE id = ?", (now, session))
            _append_messages(database, session, number, [message])
            return Begun(number=number, model=chosen, messages=_read_messages(database, session))

        return await self._store.run(uid, work)

    async def running_turn(self, uid: int, session: SessionId) -> tuple[Begun, str, str, int] | None:
        """The turn that has not ended, what was asked, its `cwd` and `wait_s`; None where all have."""

        def work(database: sqlite3.Connection) -> tuple[Begun, str, str, int] | None:
            row = database.execute(
                "SELECT number, prompt, cwd, wait_s FROM turns WHERE session = ? AND state = 'running'", (session,)
            ).fetchone()
            if row is None:
                return None
            model, messages = _choose_model(database, session, ""), _read_messages(database, session)
            return Begun(number=int(row[0]), model=model, messages=messages), str(row[1]), str(row[2]), int(row[3])

        return await self._store.run(uid, work)

    async def append_messages(self, uid: int, session: SessionId, turn: int, messages: Sequence[JsonObject]) -> None:
        """Add to the conversation."""
        await self._store.run(uid, lambda database: _append_messages(database, session, turn, messages))

    async def messages(self, uid: int, session: SessionId) -> list[JsonObject]:
        """The conversation, oldest first."""
        return parse_messages(await self._store.run(uid, lambda database: _read_messages(database, session)))

    async def end_turn(
        self, uid: int, session: SessionId, turn: int, *, answer: str, state: TurnState, exit_status: int
    ) -> None:
        """End a turn, and make its conversation whole."""

        def work(database: sqlite3.Connection) -> None:
            _complete_turn(database, session, turn)
            database.execute(
                "UPDATE turns SET answer = ?, state = ?, exit_status = ?, ended_at = ?"
                " WHERE session = ? AND number = ?",
                (answer, state, exit_status, render_now(), session, turn),
            )

        await self._store.run(uid, work)

    async def append_events(
        self, uid: int, session: SessionId, events: Sequence[tuple[int, str]], *, keep: int
    ) -> None:
        """Store events (number, JSON); of the session's the newest `keep` stay."""

        def work(database: sqlite3.Connection) -> None:
            database.executemany("INSERT INTO events VALUES (?, ?, ?)", [(session, seq, body) for seq, body in events])
            oldest = events[-1][0] - keep
            if oldest > 0:
                database.execute("DELETE FROM events WHERE session = ? AND seq <= ?", (session, oldest))

        await self._store.run(uid, work)

    async def events(self, uid: int, session: SessionId, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Up to `limit` stored events after a cursor, oldest first."""

        def work(database: sqlite3.Connection) -> list[tuple[int, str]]:
            return database.execute(
                "SELECT seq, body FROM events WHERE session = ? AND seq > ? ORDER BY seq LIMIT ?",
                (session, after, limit),
            ).fetchall()

        return await self._store.run(uid, work)

    async def last_seq(self, uid: int, session: SessionId) -> int:
        """The number of the newest event, 0 where there is none."""

        def work(database: sqlite3.Connection) -> int:
            row = database.execute("SELECT coalesce(max(seq), 0) FROM events WHERE session = ?", (session,))
            return int(row.fetchone()[0])

        return await self._store.run(uid, work)

    async def prune(self, uid: int, *, in_use: frozenset[SessionId], keep_days: int, keep_bytes: int) -> int:
        """Delete sessions that are too old, and the oldest while the file is too large; how many."""

        def work(database: sqlite3.Connection) -> int:
            oldest = render_time(datetime.now(UTC) - timedelta(days=keep_days))
            database.execute("DELETE FROM sent WHERE at < ?", (oldest,))
            rows = database.execute("SELECT id, used_at FROM sessions ORDER BY used_at, rowid").fetchall()
            deleted = 0
            for session, used_at in rows:
                if session in in_use or (used_at >= oldest and _used_bytes(database) <= keep_bytes):
                    continue
                database.execute("DELETE FROM sessions WHERE id = ?", (session,))
                deleted += 1
            return deleted

        return await self._store.run(uid, work)

    def users(self) -> list[int]:
        """The uids that have transcripts."""
        return self._store.users()

    def _recover(self, database: sqlite3.Connection) -> None:
        """At the first opening since the daemon's start: what was running then was interrupted."""
        database.execute("BEGIN IMMEDIATE")
        running = database.execute("SELECT session, number FROM turns WHERE state = 'running'").fetchall()
        for session, turn in running:
            if session in self._spared:
                continue
            _complete_turn(database, session, turn)
            (seq,) = database.execute(
                "SELECT coalesce(max(seq), 0) + 1 FROM events WHERE session = ?", (session,)
            ).fetchone()
            event: JsonObject = {
                "v": 1,
                "seq": seq,
                "session": session,
                "at": render_now(),
                "type": "turn_failed",
                "code": "interrupted",
                "message": _INTERRUPTED,
                "hint": f"continue it: aios ask --session {session} …",
                "exit_status": 75,
            }
            database.execute("INSERT INTO events VALUES (?, ?, ?)", (session, seq, json.dumps(event)))
            database.execute(
                "UPDATE turns SET state = 'interrupted', exit_status = 75, ended_at = ?"
                " WHERE session = ? AND number = ?",
                (render_now(), session, turn),
            )
        database.execute("COMMIT")


def parse_messages(stored: Sequence[str]) -> list[JsonObject]:
    """A conversation as it was stored. StorageError where that is damaged."""
    try:
        return [json.loads(body) for body in stored]
    except ValueError as exc:
        raise StorageError(
            f"the transcripts cannot be stored: {exc}", hint="is the disk full, or the file damaged?"
        ) from exc


def complete_calls(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The tool results that a conversation lacks: every call must have one, or no model will take it."""
    open_calls: dict[str, None] = {}
    for message in messages:
        if message.get("role") == "assistant":
            calls = message.get("calls")
            for call in calls if isinstance(calls, list) else []:
                if isinstance(call, dict):
                    open_calls[str(call["id"])] = None
        elif message.get("role") == "tool":
            open_calls.pop(str(message.get("call")), None)
    return [
        {"role": "tool", "call": call, "text": _NO_RESULT, "outcome": "cancelled", "status": None, "truncated": False}
        for call in open_calls
    ]


def render_now() -> str:
    """The time, as records and events carry it."""
    return render_time(datetime.now(UTC))


def render_time(moment: datetime) -> str:
    """UTC in RFC 3339 with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _append_messages(database: sqlite3.Connection, session: str, turn: int, messages: Sequence[JsonObject]) -> None:
    row = database.execute("SELECT coalesce(max(number), 0) FROM messages WHERE session = ?", (session,)).fetchone()
    database.executemany(
        "INSERT INTO messages VALUES (?, ?, ?, ?)",
        [(session, row[0] + i, turn, json.dumps(body)) for i, body in enumerate(messages, 1)],
    )


def _read_messages(database: sqlite3.Connection, session: str) -> tuple[str, ...]:
    rows = database.execute("SELECT body FROM messages WHERE session = ? ORDER BY number", (session,))
    return tuple(body for (body,) in rows)


def _complete_turn(database: sqlite3.Connection, session: str, turn: int) -> None:
    """Every call of a turn has a result."""
    bodies = database.execute(
        "SELECT body FROM messages WHERE session = ? AND turn = ? ORDER BY number", (session, turn)
    ).fetchall()
    missing = complete_calls([json.loads(body) for (body,) in bodies])
    if missing:
        _append_messages(database, session, turn, missing)


def _choose_model(database: sqlite3.Connection, session: str, wanted: str) -> str:
    if wanted:
        database.execute("UPDATE sessions SET model = ? WHERE id = ?", (wanted, session))
    row = database.execute("SELECT model FROM sessions WHERE id = ?", (session,)).fetchone()
    return str(row[0]) if row else wanted


def _used_bytes(database: sqlite3.Connection) -> int:
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
