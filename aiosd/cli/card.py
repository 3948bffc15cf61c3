"""The card: what is asked, drawn from the guard's own record, one fact a line.

The model's words stand below what we know, marked as a claim. What is longer than a line goes on behind a mark that no
text can contain, and never where the names of the facts stand: so no text looks like another fact.
"""

from __future__ import annotations

import os
from datetime import datetime

from aiosd.cli.show import escape, width, wrap
from aiosd.words import retell, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_CONTENT_LINES = 40
_HASH_DIGITS = 64
_INDENT = 11
_WRAPPED = "↳ "


def draw_card(card: dict[str, Any], *, columns: int, number: int = 0) -> str:
    """The card, the whole action, nothing cut silently; with the `number` it has in a list."""
    named = f"uid {card['uid']}" if card["user"] == str(card["uid"]) else f"{card['user']} (uid {card['uid']})"
    as_whom = say("root, for {who}", who=named) if card["run_as"] == "root" else named
    rows = [*_draw_action(card), (say("as"), escape(as_whom))]
    if card["content"] and not is_connection(card):
        rows.append((say("with"), _shorten(escape(card["content"].replace("\0", "\n"), newlines=True))))
    if card["cwd"]:
        rows.append((say("in"), escape(card["cwd"])))
    rows += [(say("checked"), escape(text)) for text in _list_files(card["files"])]
    rows += [(say("within"), retell(escape(card["confinement"]))), (say("because"), retell(escape(card["reason"])))]
    for rule in card["rules"]:
        text = f"{rule['name']} ({rule['file']}:{rule['line']})" if rule["file"] else rule["name"]
        rows.append((say("rule"), escape(text)))
    if card.get("leasable") and card["tool"] == "bash":
        rows.append(
            (
                say("lease"),
                say(
                    "l: 10 times in 30 min, in this session and folder (otherwise: l 2h 20x, l session|folder|anywhere)"
                ),
            )
        )
    if card["claim"]:
        rows.append((say("claim"), say("the model says: {claim}", claim=escape(card["claim"]))))
    rows.append((say("until"), render_moment(card["expires_at"])))
    listed = f"{number}. " if number else ""
    head = f"\n── {listed}{say('approval')} {escape(card['id'])} "
    out = head.ljust(min(columns, 72) - width(head) + len(head), "─") + "\n"
    for name, text in rows:
        for place, line in enumerate(text.split("\n")):
            first, *more = wrap(line, max(columns - _INDENT - len(_WRAPPED), 16))
            shown = "" if place else name
            out += f"  {shown}{' ' * (8 - width(shown))} {first}\n"
            out += "".join(f"{'':{_INDENT}}{_WRAPPED}{piece}\n" for piece in more)
    return out


def is_connection(card: dict[str, Any]) -> bool:
    """Whether it asks about a host that a running command wants to reach."""
    return bool(card["tool"] == "connect")


def _draw_action(card: dict[str, Any]) -> list[tuple[str, str]]:
    """What is asked, by its name."""
    if is_connection(card):
        command, where = escape(card["content"], newlines=True), escape(card["action"].removeprefix("connect to "))
        return [(say("reach"), where), (say("for"), say("{command} wants to connect to it", command=command))]
    return [(say("run") if card["tool"] == "bash" else say("do"), escape(card["action"], newlines=True))]


def _list_files(files: list[str]) -> list[str]:
    """The programs and scripts that must still be these bytes when it runs, by their hashes."""
    paths: dict[str, list[str]] = {}
    for line in files:
        digest, _, path = line.lstrip("\\").partition("  ")
        if len(digest) == _HASH_DIGITS:  # the folder's line has none; it is shown above
            paths.setdefault(digest, []).append(path)
    return [f"{', '.join(each)} (sha256 {digest[:16]}...)" for digest, each in paths.items()]


def render_moment(text: str) -> str:
    """A time of the wire as a person reads it: here, and to the second."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def measure(terminal: int) -> int:
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
