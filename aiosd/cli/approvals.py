"""`aios pending`, `approve`, `deny`, `skip`, and the cards that appear in the middle of a turn.

Without a terminal nothing is asked here: somebody can still answer from another one.
"""

from __future__ import annotations

import os

from aiosd import exits
from aiosd.cli.answers import Said, give, open_terminal, read_said
from aiosd.cli.card import draw_card, measure, render_moment
from aiosd.cli.guard import GuardError, call
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import NoDaemonError, write_all
from aiosd.cli.review import Review
from aiosd.cli.show import escape
from aiosd.cli.transport import tell
from aiosd.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any


def run(verb: str, options: dict[str, str], operands: list[str]) -> int:
    """Run one verb; its exit status."""
    try:
        if verb == "pending":
            return _list()
        if verb == "approve" and len(operands) > 1:
            return _approve_all([fetch(identity) for identity in dict.fromkeys(operands)], options)
        card = fetch(operands[0])
        if verb == "approve":
            return _approve(card, options)
        give(card, Said(verb, reason=" ".join(operands[1:])))
    except GuardError as exc:
        tell(2, f"aios: {escape(str(exc))}\n")
        return exc.exit_status
    write_all(2, f"{_tell(verb)}\n".encode())
    return exits.OK


def answer_inline(identity: str, stream: _socket.socket | None) -> bool:
    """Show the card in the middle of `aios ask` and take the answer; False if the turn goes on without it."""
    try:
        card = fetch(identity)
    except GuardError:
        return True  # answered or expired meanwhile: what follows says so
    except NoDaemonError as exc:
        text = say("! approval {id} waits, and cannot be shown: {why}", id=identity, why=exc)
        write_all(2, f"{text}\n".encode(errors="backslashreplace"))
        return True
    terminal = open_terminal()
    if terminal < 0:
        until = render_moment(card["expires_at"])
        text = say("! waits until {until} for: aios approve {id}  (or: aios deny {id})", until=until, id=identity)
        write_all(2, f"{text}\n".encode())
        return True
    try:
        write_all(terminal, draw_card(card, columns=measure(terminal)).encode())
        said = read_said(terminal, stream, card)
        if said is None:
            return False
        give(card, said)
    except GuardError as exc:
        tell(terminal, f"! {escape(str(exc))}\n")
    finally:
        os.close(terminal)
    return True


def review_inline(identities: list[str], stream: _socket.socket | None) -> bool:
    """Show several cards as one list in the middle of a turn; False if the turn goes on without the answers."""
    terminal = open_terminal()
    if terminal < 0:
        text = say("! waits for: aios approve {ids}", ids=" ".join(identities))
        write_all(2, f"{text}\n".encode())
        return True
    try:
        return Review([fetch(identity) for identity in identities], terminal, stream).run()
    except (GuardError, NoDaemonError) as exc:
        write_all(terminal, f"! {escape(str(exc))}\n".encode())
        return True
    finally:
        os.close(terminal)


def fetch(identity: str) -> dict[str, Any]:
    """A pending card; GuardError where there is none."""
    cards = call("ListPending", {"id": identity})["approvals"]
    if not cards:
        text = say("no approval {id} is pending; aios pending lists what is", id=identity)
        raise GuardError(text, exits.BAD_INPUT)
    return dict(cards[0])


def _list() -> int:
    cards = call("ListPending", {})["approvals"]
    if not cards:
        write_all(1, f"{say('nothing waits for an answer')}\n".encode())
        return exits.OK
    for number, card in enumerate(cards, 1):
        write_all(1, draw_card(card, columns=measure(1), number=number).encode())
    write_all(1, f"\n{say('answer with: aios approve ID ...   aios skip ID   aios deny ID [REASON]')}\n".encode())
    return exits.OK


def _approve(card: dict[str, Any], options: dict[str, str]) -> int:
    write_all(2, draw_card(card, columns=measure(2)).encode())
    if "edit" in options:
        said = Said("edit", line=options["edit"])
    elif "yes" in options:
        said = Said("approve")
    else:
        terminal = _need_terminal()
        try:
            said = read_said(terminal, None, card) or Said()
        finally:
            os.close(terminal)
    give(card, said)
    write_all(2, f"{_tell(said.decision)}\n".encode())
    return exits.DENIED if said.decision == "deny" else exits.OK


def _approve_all(cards: list[dict[str, Any]], options: dict[str, str]) -> int:
    """Approve several, each by its own digest."""
    if "edit" in options:
        raise UsageError(say("one line is put in the place of one: name one ID with --edit"), "approve")
    if "yes" in options:
        for card in cards:
            write_all(2, draw_card(card, columns=measure(2)).encode())
            give(card, Said("approve"))
        write_all(2, f"{say('approved')}\n".encode())
        return exits.OK
    terminal = _need_terminal()
    try:
        review = Review(cards, terminal, None)
        review.run()
    finally:
        os.close(terminal)
    return exits.DENIED if review.denied else exits.OK


def _need_terminal() -> int:
    terminal = open_terminal()
    if terminal < 0:
        text = say("there is no terminal to ask at; add --yes if you have seen what is asked")
        raise UsageError(text, "approve")
    return terminal


def _tell(decision: str) -> str:
    match decision:
        case "approve":
            return say("approved")
        case "skip":
            return say("skipped")
        case "edit":
            return say("it is judged anew, and asked about again where it has to be: aios pending")
        case _:
            return say("denied")
