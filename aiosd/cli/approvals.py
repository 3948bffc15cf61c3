"""Cards: what is asked, drawn from the guard's own record, and the answer, given to the guard.

The model's words stand below what we know, marked as a claim. The default is no; keys typed before the card was shown
do not count. Without a terminal nothing is asked here: somebody can still answer from another one.
"""

from __future__ import annotations

import os
import select
import termios

from aiosd import exits
from aiosd.cli.guard import GuardError, call
from aiosd.cli.parse import UsageError
from aiosd.cli.show import escape
from aiosd.cli.transport import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

_TOOL_LABEL = {"bash": "run"}
_MAX_CONTENT_LINES = 40


def run(verb: str, options: dict[str, str], operands: list[str]) -> int:
    """`aios pending`, `aios approve`, `aios deny`; the exit status."""
    try:
        if verb == "pending":
            return _list()
        card = _fetch(operands[0])
        if verb == "deny":
            _answer(card, approve=False, reason=" ".join(operands[1:]))
            write_all(2, b"denied\n")
            return exits.OK
        return _approve(card, asked="yes" not in options)
    except GuardError as exc:
        write_all(2, f"aios: {exc}\n".encode())
        return exits.DENIED


def answer_inline(identity: str, stream: _socket.socket) -> None:
    """Show the card in the middle of `aios ask` and take the answer, unless the turn goes on without it."""
    try:
        card = _fetch(identity)
    except GuardError:
        return  # answered or expired meanwhile
    terminal = _open_terminal()
    if terminal < 0:
        write_all(
            2,
            f"! waits until {card['expires_at']} for: aios approve {identity}   (or: aios deny {identity})\n".encode(),
        )
        return
    try:
        write_all(terminal, _draw(card).encode())
        answer = _read_answer(terminal, stream)
        if answer is None:
            write_all(terminal, b"\n(it was answered elsewhere, or is over)\n")
            return
        approve, reason = answer
        _answer(card, approve=approve, reason=reason)
    except GuardError as exc:
        write_all(terminal, f"! {exc}\n".encode())
    finally:
        os.close(terminal)


def _list() -> int:
    cards = call("ListPending", {})["approvals"]
    if not cards:
        write_all(1, b"nothing waits for an answer\n")
        return exits.OK
    for card in cards:
        write_all(1, _draw(card).encode() + b"\n")
    write_all(1, b"answer with: aios approve ID   or: aios deny ID [REASON]\n")
    return exits.OK


def _approve(card: dict[str, Any], *, asked: bool) -> int:
    write_all(2, _draw(card).encode())
    if asked:
        terminal = _open_terminal()
        if terminal < 0:
            raise UsageError("there is no terminal to ask at; add --yes if you have seen what is asked", "approve")
        try:
            answer = _read_answer(terminal, None)
        finally:
            os.close(terminal)
        approve, reason = answer or (False, "")
    else:
        approve, reason = True, ""
    _answer(card, approve=approve, reason=reason)
    write_all(2, b"approved\n" if approve else b"denied\n")
    return exits.OK


def _fetch(identity: str) -> dict[str, Any]:
    cards = call("ListPending", {"id": identity})["approvals"]
    if not cards:
        raise GuardError(f"no approval {identity} is pending; aios pending lists what is")
    return dict(cards[0])


def _answer(card: dict[str, Any], *, approve: bool, reason: str) -> None:
    decision = "approve" if approve else "deny"
    call("Answer", {"id": card["id"], "digest": card["digest"], "decision": decision, "reason": reason or None})


def _draw(card: dict[str, Any]) -> str:
    """The card, one fact a line, the whole action, nothing cut silently."""
    label = _TOOL_LABEL.get(card["tool"], "do")
    as_whom = "root" if card["run_as"] == "root" else f"{card['user']} (uid {card['uid']})"
    rows = [(label, escape(card["action"], newlines=True)), ("as", escape(as_whom))]
    if card["content"]:
        rows.append(("with", _shorten(escape(card["content"].replace("\0", "\n"), newlines=True))))
    if card["cwd"]:
        rows.append(("in", escape(card["cwd"])))
    rows += [("within", escape(card["confinement"])), ("because", escape(card["reason"]))]
    for rule in card["rules"]:
        rows.append(
            ("rule", escape(f"{rule['name']} ({rule['file']}:{rule['line']})" if rule["file"] else rule["name"]))
        )
    if card["claim"]:
        rows.append(("claim", f"the model says: {escape(card['claim'])}"))
    out = f"\n── approval {card['id']} " + "─" * 40 + "\n"
    for name, text in rows:
        first, *more = text.split("\n")
        out += f"  {name:8} {first}\n" + "".join(f"  {'':8} {line}\n" for line in more)
    return out + f"  {'until':8} {card['expires_at']}\n"


def _shorten(text: str) -> str:
    lines = text.split("\n")
    if len(lines) <= _MAX_CONTENT_LINES:
        return text
    left_out = len(lines) - _MAX_CONTENT_LINES
    return "\n".join([*lines[:_MAX_CONTENT_LINES], f"[{left_out} more lines; all of it: varlinkctl … ListPending]"])


def _open_terminal() -> int:
    """The terminal of this process, -1 where it has none."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return -1


def _read_answer(terminal: int, stream: _socket.socket | None) -> tuple[bool, str] | None:
    """y, n, or n with a reason; None when the turn's stream moves on first."""
    termios.tcflush(terminal, termios.TCIFLUSH)
    write_all(terminal, b"  [y] yes, once   [n] no   [n REASON] no, and tell the model why   (no): ")
    watched: list[Any] = [terminal] if stream is None else [terminal, stream]
    readable, _, _ = select.select(watched, [], [])
    if terminal not in readable:
        return None
    words = os.read(terminal, 4096).decode("utf-8", "replace").strip()
    if words.lower() in ("y", "yes"):
        return True, ""
    head, _, reason = words.partition(" ")
    return False, (reason.strip() if head.lower() in ("n", "no") else words)
