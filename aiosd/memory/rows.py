"""Rows of the transcripts' tables as values, for every module that reads them."""

from aiosd.wire import SessionInfo, TurnState

SELECT_SESSIONS = """
    SELECT s.id, s.name, s.title, s.created_at, s.used_at,
           (SELECT count(*) FROM turns t WHERE t.session = s.id),
           (SELECT state FROM turns t WHERE t.session = s.id ORDER BY number DESC LIMIT 1)
    FROM sessions s
"""


def read_session(row: tuple[str, str, str, str, str, int, TurnState | None]) -> SessionInfo:
    """A row of SELECT_SESSIONS."""
    session, name, title, created_at, used_at, turns, state = row
    return SessionInfo(
        id=session, name=name, title=title, created_at=created_at, used_at=used_at, turns=turns, state=state or "done"
    )
