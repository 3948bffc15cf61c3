"""Cards: what is asked, drawn from the guard's own record, and the answer, given to the guard.

The model's words stand below what we know, marked as a claim. The default is no; keys typed before the card was shown
do not count. Without a terminal nothing is asked here: somebody can still answer from another one.
"""

from __future__ import annotations

import os
import select
import signal
import termios
from datetime import datetime

from aiosd import exits
from aiosd.cli.guard import GuardError, call
from aiosd.cli.parse import UsageError
from aiosd.cli.show import escape, width, wrap
from aiosd.cli.transport import NoDaemonError, write_all
from aiosd.cli.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

_MAX_CONTENT_LINES = 40
_INDENT = 11
_WRAPPED = "↳ "
_QUESTION = "[y] yes, once   [n] no   [n REASON] no, and tell the model why   (no): "
# Just this command, here, in this session, at most 10 times.
_OR_LEASE = "[y] yes, once  [l] yes, for 30 min  [n] no  [n REASON] no, and why  (no): "
_AGENT_READY_S = 5.0


class Said:
    """What a person answered; no, where nothing else is said."""

    def __init__(self, *, approve: bool = False, reason: str = "", lease: bool = False) -> None:
        self.approve = approve
        self.reason = reason
        self.lease = lease


def run(verb: str, options: dict[str, str], operands: list[str]) -> int:
    """`aios pending`, `aios approve`, `aios deny`; the exit status."""
    try:
        if verb == "pending":
            return _list()
        card = _fetch(operands[0])
        if verb == "deny":
            _answer(card, Said(approve=False, reason=" ".join(operands[1:])))
            write_all(2, f"{say('denied')}\n".encode())
            return exits.OK
        return _approve(card, asked="yes" not in options)
    except GuardError as exc:
        write_all(2, f"aios: {escape(str(exc))}\n".encode())
        return exc.exit_status


def answer_inline(identity: str, stream: _socket.socket | None) -> bool:
    """Show the card in the middle of `aios ask` and take the answer; False if the turn goes on without it."""
    try:
        card = _fetch(identity)
    except GuardError:
        return True  # answered or expired meanwhile: what follows says so
    except NoDaemonError as exc:
        text = say("! approval {id} waits, and cannot be shown: {why}", id=identity, why=exc)
        write_all(2, f"{text}\n".encode(errors="backslashreplace"))
        return True
    terminal = open_terminal()
    if terminal < 0:
        until = _render_moment(card["expires_at"])
        text = say("! waits until {until} for: aios approve {id}  (or: aios deny {id})", until=until, id=identity)
        write_all(2, f"{text}\n".encode())
        return True
    try:
        write_all(terminal, draw_card(card, columns=_measure(terminal)).encode())
        answer = _read_answer(terminal, stream, leasable=card["leasable"])
        if answer is None:
            return False
        _answer(card, answer)
    except GuardError as exc:
        write_all(terminal, f"! {escape(str(exc))}\n".encode())
    finally:
        os.close(terminal)
    return True


def _list() -> int:
    cards = call("ListPending", {})["approvals"]
    if not cards:
        write_all(1, f"{say('nothing waits for an answer')}\n".encode())
        return exits.OK
    for card in cards:
        write_all(1, draw_card(card, columns=_measure(1)).encode())
    write_all(1, f"\n{say('answer with: aios approve ID   or: aios deny ID [REASON]')}\n".encode())
    return exits.OK


def _approve(card: dict[str, Any], *, asked: bool) -> int:
    write_all(2, draw_card(card, columns=_measure(2)).encode())
    if asked:
        terminal = open_terminal()
        if terminal < 0:
            text = say("there is no terminal to ask at; add --yes if you have seen what is asked")
            raise UsageError(text, "approve")
        try:
            said = _read_answer(terminal, None, leasable=card["leasable"]) or Said()
        finally:
            os.close(terminal)
    else:
        said = Said(approve=True)
    _answer(card, said)
    write_all(2, f"{say('approved') if said.approve else say('denied')}\n".encode())
    return exits.OK if said.approve else exits.DENIED


def _fetch(identity: str) -> dict[str, Any]:
    cards = call("ListPending", {"id": identity})["approvals"]
    if not cards:
        text = say("no approval {id} is pending; aios pending lists what is", id=identity)
        raise GuardError(text, exits.BAD_INPUT)
    return dict(cards[0])


def _answer(card: dict[str, Any], said: Said) -> None:
    answer: dict[str, Any] = {
        "id": card["id"],
        "digest": card["digest"],
        "decision": "approve" if said.approve else "deny",
        "reason": said.reason or None,
    }
    if said.lease:
        answer["lease"] = {}
    proving = said.approve and card["run_as"] == "root" and os.geteuid() != 0
    agent = _start_agent() if proving else 0
    try:
        call("Answer", answer)
    finally:
        if agent:
            os.kill(agent, signal.SIGTERM)
            os.waitpid(agent, 0)


def _start_agent() -> int:
    """Polkit's agent for this process on this terminal, ready to ask for a password; its pid, 0 where there is none.

    The guard has polkit ask who approves what runs as root, and refuses where nothing can ask.
    """
    ready, told = os.pipe()
    words = ["pkttyagent", "--process", str(os.getpid()), "--notify-fd", "3"]
    try:
        pid = os.posix_spawnp(
            words[0],
            words,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, told, 3)],
        )
    except OSError:
        pid = 0
    os.close(told)
    if pid:
        select.select([ready], [], [], _AGENT_READY_S)
    os.close(ready)
    return pid


def draw_card(card: dict[str, Any], *, columns: int) -> str:
    """The card, one fact a line, the whole action, nothing cut silently.

    What is longer than a line goes on behind a mark that no text can contain, and never where the names of the facts
    stand: so no text looks like another fact, however wide the terminal is.
    """
    label = say("run") if card["tool"] == "bash" else say("do")
    named = f"uid {card['uid']}" if card["user"] == str(card["uid"]) else f"{card['user']} (uid {card['uid']})"
    as_whom = say("root, for {who}", who=named) if card["run_as"] == "root" else named
    rows = [(label, escape(card["action"], newlines=True)), (say("as"), escape(as_whom))]
    if card["content"]:
        rows.append((say("with"), _shorten(escape(card["content"].replace("\0", "\n"), newlines=True))))
    if card["cwd"]:
        rows.append((say("in"), escape(card["cwd"])))
    rows += [(say("within"), escape(card["confinement"])), (say("because"), escape(card["reason"]))]
    for rule in card["rules"]:
        text = f"{rule['name']} ({rule['file']}:{rule['line']})" if rule["file"] else rule["name"]
        rows.append((say("rule"), escape(text)))
    if card["claim"]:
        rows.append((say("claim"), say("the model says: {claim}", claim=escape(card["claim"]))))
    rows.append((say("until"), _render_moment(card["expires_at"])))
    head = f"\n── {say('approval')} {escape(card['id'])} "
    out = head.ljust(min(columns, 72) - width(head) + len(head), "─") + "\n"
    for name, text in rows:
        for number, line in enumerate(text.split("\n")):
            first, *more = wrap(line, max(columns - _INDENT - len(_WRAPPED), 16))
            shown = "" if number else name
            out += f"  {shown}{' ' * (8 - width(shown))} {first}\n"
            out += "".join(f"{'':{_INDENT}}{_WRAPPED}{piece}\n" for piece in more)
    return out


def _render_moment(text: str) -> str:
    """A time of the wire as a person reads it: here, and to the second."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _measure(terminal: int) -> int:
    """How many columns there are; 80 where there is no telling."""
    try:
        return os.get_terminal_size(terminal).columns or 80
    except OSError:
        return 80


def _shorten(text: str) -> str:
    lines = text.split("\n")
    if len(lines) <= _MAX_CONTENT_LINES:
        return text
    left_out = len(lines) - _MAX_CONTENT_LINES
    text = say("[{count} more lines; all of it: varlinkctl … ListPending]", count=left_out)
    return "\n".join([*lines[:_MAX_CONTENT_LINES], text])


def open_terminal() -> int:
    """The terminal of this process, -1 where it has none."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return -1


def _read_answer(terminal: int, stream: _socket.socket | None, *, leasable: bool) -> Said | None:
    """y, l, n, or n with a reason; None when the turn's stream moves on first. What is neither is asked for again."""
    termios.tcflush(terminal, termios.TCIFLUSH)
    watched: list[Any] = [terminal] if stream is None else [terminal, stream]
    while True:
        write_all(terminal, f"  {say(_OR_LEASE) if leasable else say(_QUESTION)}".encode())
        readable, _, _ = select.select(watched, [], [])
        if terminal not in readable:
            return None
        line = os.read(terminal, 4096)
        head, _, reason = line.decode("utf-8", "replace").strip().partition(" ")
        if head.lower() in ("y", "yes") and not reason:
            return Said(approve=True)
        if head.lower() == "l" and leasable and not reason:
            return Said(approve=True, lease=True)
        if head.lower() in ("", "n", "no"):
            write_all(terminal, b"" if line.endswith(b"\n") else b"\n")
            return Said(reason=reason.strip())
