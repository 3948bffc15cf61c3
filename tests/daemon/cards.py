"""Proposals that wait for a person: the turn that waits, its card, and what the guard has stored of it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.daemon.asking import Stream, asking
from tests.daemon.harness import Daemon
from tests.daemon.people import default_person


@contextmanager
def proposed(
    daemon: Daemon, command: str, *, uid: int | None = None, **fields: Any
) -> Iterator[tuple[Stream, dict[str, Any]]]:
    """A turn that waits for an answer to `command`, and its card."""
    with asking(daemon, f"run `{command}`", uid=uid, **fields) as stream:
        needed = stream.until("approval_needed")
        yield stream, card_of(daemon, needed["approval"], uid=uid)


def card_of(daemon: Daemon, approval: str, *, uid: int | None = None) -> dict[str, Any]:
    """The card of a pending approval, from the guard."""
    cards: list[dict[str, Any]] = daemon.guard("ListPending", {"id": approval}, uid=uid)["approvals"]
    assert len(cards) == 1
    return cards[0]


def answered(
    daemon: Daemon, card: dict[str, Any], *, approve: bool = True, uid: int | None = None, **changed: Any
) -> dict[str, Any]:
    """Answer by a card, with what is `changed` of it; what the guard says, `{}` where it takes the answer."""
    decision = "approve" if approve else "deny"
    return daemon.guard(
        "Answer", {"id": card["id"], "digest": card["digest"], "decision": decision, **changed}, uid=uid
    )


def stored_state(daemon: Daemon, approval: str) -> tuple[str, int | None]:
    """State and answering uid of an approval in the guard's own store."""
    ((state, answered_by),) = _stored(daemon, "SELECT state, answered_by FROM approvals WHERE id = ?", approval)
    return state, answered_by


def stored_states(daemon: Daemon, session: str) -> set[str]:
    """The states of all approvals that a session asked for."""
    return {
        state for (state,) in _stored(daemon, "SELECT state FROM approvals WHERE record ->> 'session' = ?", session)
    }


def _stored(daemon: Daemon, query: str, value: str) -> list[tuple[Any, ...]]:
    path = daemon.state / "guard" / "approvals.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(query, (value,)).fetchall()


def own_folder(daemon: Daemon, name: str) -> Path:
    """A folder of the person's, below the daemon's, where their commands can leave something."""
    folder = daemon.folder / name
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, default_person(), default_person())
    return folder


def said(events: list[dict[str, Any]]) -> str:
    """The answer."""
    return "".join(event["text"] for event in events if event["type"] == "text_delta")
