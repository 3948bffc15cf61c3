"""What a person answers to a card: read from the terminal, given to the guard.

The default is no; keys typed before the card was shown do not count, and what is no answer is asked for again.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios

from aiosd.cli.card import is_connection
from aiosd.cli.guard import call
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape
from aiosd.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

_QUESTION = "[y] yes, once  [s] skip  [n] no  [n REASON] no, and why  (no): "
_OR_EDIT = "[y] yes, once  [e] edit  [s] skip  [n] no  [n REASON] no, and why  (no): "
# Just this command, here, in this session, at most 10 times.
_OR_LEASE = "[y] yes, once  [l] yes, for 30 min  [e] edit  [s] skip  [n REASON] no  (no): "
_TERM = re.compile(r"([1-9][0-9]{0,3})([mhx])")  # l 5m, l 2h, l 3x, l 1h 20x
# What a lease is for besides: just one of the two that it is for otherwise, or neither.
_REACHES = {
    "session": {"cwd": False},
    "folder": {"session": False},
    "anywhere": {"cwd": False, "session": False},
}
# A connection: to this host, for this command, or until the session ends.
_OR_SESSION = "[y] this command  [l] this session  [n] no  [n REASON] no, and why  (no): "
_MOST_S, _MOST_USES = 24 * 3600, 1000
_SESSION_TERMS = {"seconds": _MOST_S, "uses": _MOST_USES, "cwd": False}
_LOOK_AGAIN_S = 0.5
_EDIT = "instead: "
_AGENT_READY_S = 5.0


class Said:
    """What a person answered: approve, deny, skip or edit; no, where nothing else is said."""

    def __init__(
        self, decision: str = "deny", *, reason: str = "", lease: dict[str, Any] | None = None, line: str = ""
    ) -> None:
        self.decision = decision
        self.reason = reason
        self.lease = lease
        self.line = line


def open_terminal() -> int:
    """The terminal of this process, -1 where it has none."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return -1


def read_said(terminal: int, stream: _socket.socket | None, card: dict[str, Any]) -> Said | None:
    """The answer to `card`; None when the question is over first."""
    editable = card["tool"] == "bash" and card["uid"] == os.geteuid()
    question = say(_OR_LEASE) if card["leasable"] else say(_OR_EDIT) if editable else say(_QUESTION)
    if is_connection(card):
        question = say(_OR_SESSION)
    termios.tcflush(terminal, termios.TCIFLUSH)
    while (line := read_line(terminal, stream, question, waits=card["id"])) is not None:
        head, _, rest = line.strip().partition(" ")
        match head.lower():
            case "y" | "yes" if not rest:
                return Said("approve")
            case "l" if card["leasable"] and (terms := _parse_terms(rest, card)) is not None:
                return Said("approve", lease=terms)
            case "s" | "skip":
                return Said("skip", reason=rest.strip())
            case "e" | "edit" if editable and (put := rest.strip() or edit_line(terminal, card["action"])):
                return Said("edit", line=put)
            case "" | "n" | "no":
                return Said(reason=rest.strip())
    return None


def read_line(terminal: int, stream: _socket.socket | None, question: str, *, waits: str = "") -> str | None:
    """One line of the person's; None when the stream has something first.

    While the approval `waits` is pending it may: a command that asks about a host runs on.
    """
    write_all(terminal, f"  {question}".encode())
    watched: list[Any] = [terminal] if stream is None else [terminal, stream]
    readable, _, _ = select.select(watched, [], [])
    while terminal not in readable:
        if not waits or not call("ListPending", {"id": waits})["approvals"]:
            return None
        readable, _, _ = select.select([terminal], [], [], _LOOK_AGAIN_S)
    line = os.read(terminal, 4096)
    write_all(terminal, b"" if line.endswith(b"\n") else b"\n")
    return line.decode("utf-8", "replace")


def edit_line(terminal: int, line: str) -> str:
    """The line as a person changes it; "" where they do not. What could mislead on a terminal is typed anew."""
    try:
        import readline
    except ImportError:
        return (read_line(terminal, None, say(_EDIT)) or "").strip()
    kept = os.dup(0), os.dup(1)
    os.dup2(terminal, 0)
    os.dup2(terminal, 1)
    shown = line if escape(line) == line else ""
    readline.set_startup_hook(lambda: readline.insert_text(shown))
    try:
        if sys.stdin is None or sys.stdin.fileno() != 0:
            return ""
        changed = input(f"  {say(_EDIT)}").strip()
    except EOFError:
        return ""
    finally:
        readline.set_startup_hook(None)
        for number, fd in enumerate(kept):
            os.dup2(fd, number)
            os.close(fd)
    return "" if changed == line.strip() else changed


def give(card: dict[str, Any], said: Said) -> str:
    """Give the guard an answer to `card`; the lease that came of it. GuardError, NoDaemonError."""
    answer: dict[str, Any] = {
        "id": card["id"],
        "digest": card["digest"],
        "decision": said.decision,
        "reason": said.reason or None,
    }
    if said.lease is not None:
        answer["lease"] = said.lease
    if said.line:
        answer["command"] = said.line
    proving = said.decision == "approve" and card["run_as"] == "root" and os.geteuid() != 0
    agent = _start_agent() if proving else 0
    try:
        return str(call("Answer", answer).get("lease") or "")
    finally:
        if agent:
            os.kill(agent, signal.SIGTERM)
            os.waitpid(agent, 0)


def _parse_terms(text: str, card: dict[str, Any]) -> dict[str, Any] | None:
    """How far a lease is to reach: for so many minutes or hours, so many times, where; None where that is no term."""
    if is_connection(card):
        return None if text else _SESSION_TERMS
    terms: dict[str, Any] = {}
    for word in text.split():
        if word in _REACHES and terms.keys().isdisjoint({"cwd", "session"}):
            terms |= _REACHES[word]
            continue
        found = _TERM.fullmatch(word)
        if found is None:
            return None
        number = int(found[1])
        terms |= {"uses": number} if found[2] == "x" else {"seconds": number * {"m": 60, "h": 3600}[found[2]]}
    return terms if terms.get("uses", 1) <= _MOST_USES and terms.get("seconds", 1) <= _MOST_S else None


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
