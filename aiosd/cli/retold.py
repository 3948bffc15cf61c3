"""A session for who reads another language: laid out as the daemon does it, with our words about it told again.

What was asked, answered and printed stays as it is, so it is made from the values and not from the daemon's text.
"""

from __future__ import annotations

import unicodedata

from aiosd.cli.show import width
from aiosd.words import retell, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_SHOWN = 2000  # of a result
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # Hangul fillers, the empty Braille cell
_PROSE = frozenset("\n\t\u200c\u200d\xad")  # joiners belong to words and emoji


def render_sessions(listed: dict[str, Any]) -> str:
    """`aios sessions`."""
    rows = [(say("NAME"), say("LAST USED (UTC)"), say("STATE"), say("ABOUT"))]
    for each in listed["sessions"]:
        used = each["used_at"][:16].replace("T", " ")
        rows.append((_escape(each["name"]), used, _tell_state(each["state"]), _escape(each["title"])))
    if len(rows) == 1:
        return say("no sessions yet") + "\n"
    widths = [max(width(row[column]) for row in rows) for column in range(3)]
    padded = ([cell + " " * (space - width(cell)) for cell, space in zip(row, widths, strict=False)] for row in rows)
    return "".join("  ".join([*cells, row[-1]]).rstrip() + "\n" for cells, row in zip(padded, rows, strict=True))


def render_session(detail: dict[str, Any]) -> str:
    """`aios sessions NAME`."""
    out = f"{detail['session']['name']}  {detail['session']['id']}\n"
    for turn in detail["turns"]:
        ended = "" if turn["state"] == "done" else f" [{_tell_state(turn['state'])}]"
        out += f"\n{turn['number']}. {_minute(turn)}  {_escape(turn['prompt'])}{ended}\n"
        out += "".join(f"   {_escape(line)}\n" for line in turn["answer"].splitlines())
    if detail["files"]:
        out += f"\n{say('Files')}:\n"
        out += "".join(f"   {_escape(each['path'])}  {each['bytes']} bytes\n" for each in detail["files"])
    return out


def render_markdown(export: dict[str, Any]) -> str:
    """`aios session export`."""
    out = f"# {_escape(export['session']['name'])}\n\n{_escape(export['session']['title'])}\n"
    for turn in export["turns"]:
        out += f"\n## {turn['number']}. {_minute(turn)} UTC\n\n"
        out += "".join(f"> {line}\n" for line in _escape_prose(turn["prompt"]).splitlines())
        for step in turn["steps"]:
            shown = step["result"][:_MAX_SHOWN] + ("…" if len(step["result"]) > _MAX_SHOWN else "")
            command = _describe(step)
            fence = _fence(shown + command)
            out += f"\n{fence}console\n$ {_escape_prose(command)}\n{_escape_prose(shown).rstrip()}\n{fence}\n"
            out += f"({_tell_end(step)})\n"
        answer = _escape_prose(turn["answer"]).strip()
        out += f"\n{answer}\n" if answer else ""
        out += "" if turn["state"] == "done" else f"\n*{_tell_state(turn['state'])}*\n"
    if export["files"]:
        out += f"\n## {say('Files')}\n\n"
        out += "".join(f"- {_escape(each['path'])} ({each['bytes']} bytes)\n" for each in export["files"])
    return out


def _minute(turn: dict[str, Any]) -> str:
    moment: str = turn["started_at"]
    return moment[:16].replace("T", " ")


def _tell_state(state: str) -> str:
    match state:
        case "done":
            return say("done")
        case "running":
            return say("running")
        case "interrupted":
            return say("interrupted")
        case _:
            return say("failed")


def _tell_end(step: dict[str, Any]) -> str:
    """The tier, what became of the call, and the status that a command ended with."""
    ended = retell(step["outcome"].replace("_", " "))
    if step["status"] > 0:
        ended = say("{outcome}, status {status}", outcome=ended, status=step["status"])
    return f"{step['tier']}, {ended}" if step["tier"] else ended


def _describe(step: dict[str, Any]) -> str:
    given = {argument["name"]: argument["value"] for argument in step["arguments"]}
    if step["tool"] == "bash":
        return str(given.get("command", ""))
    return " ".join([step["tool"], *(f"{name}={value[:200]}" for name, value in given.items() if name != "reason")])


def _escape(text: str) -> str:
    """One line of theirs, without what moves the cursor or hides."""
    return "".join(rf"\u{{{ord(char):x}}}" if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp") or char in _BLANK_LETTERS


def _escape_prose(text: str) -> str:
    """Lines of theirs, in any language."""
    return "".join(
        rf"\u{{{ord(char):x}}}" if char not in _PROSE and unicodedata.category(char) in ("Cc", "Cf", "Cs") else char
        for char in text
    )


def _fence(text: str) -> str:
    """Longer than any row of back quotes in the text."""
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return "`" * max(3, longest + 1)
