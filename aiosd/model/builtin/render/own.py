"""What the agent itself did and waits for: the guard's record and its approvals, as the guard gives them."""

import json
from typing import Any

from aiosd.model.builtin.render.outcome import Reading, Seen, no_answer
from aiosd.model.builtin.render.when import read_span, render_when
from aiosd.model.builtin.text import Answer, Table, clip

_SHOWN = 15
_TEXT_COLUMNS = 90


def pending_approvals(seen: Seen) -> Answer:
    """From the guard: what waits for an answer of this person's."""
    say, reading = seen.say, seen["pending"]
    if reading.result.outcome != "done":
        return no_answer(seen, reading)
    found = _objects(reading)
    if not found:
        return Answer(sentences=(say("approvals_none"),))
    rows = tuple((_text(entry, "id"), _text(entry, "user"), _text(entry, "action")) for entry in found[:_SHOWN])
    table = Table(headings=("ID", say("col_user"), say("col_user_action")), rows=rows)
    return Answer(sentences=(say.count("approvals_some", len(found)),), table=table)


def record(seen: Seen) -> Answer:
    """From the guard: the last decisions about this person's actions. What was asked about comes first."""
    say, reading = seen.say, seen["record"]
    if reading.result.outcome != "done":
        return no_answer(seen, reading)
    since, until = read_span(seen)
    found = [entry for entry in _objects(reading) if entry.get("kind") == "decided" and since <= _at(entry) < until]
    if not found:
        named = bool(seen.slot("when"))
        return Answer(sentences=(say("record_none_then", when=render_when(seen)) if named else say("record_none"),))
    ran = [entry for entry in found if entry.get("decision") == "allowed"]
    looked = [entry for entry in ran if entry.get("tier") == "auto_allow" or entry.get("tool") == "observe"]
    told = [entry for entry in ran if entry not in looked]
    approved = [entry for entry in found if entry.get("decision") == "approved"]
    others = [entry for entry in found if entry not in looked]
    rows = tuple(
        (_at(entry), say(f"decision_{_text(entry, 'decision')}"), _text(entry, "action"))
        for entry in (*reversed(others), *reversed(looked))
        if f"decision_{_text(entry, 'decision')}" in say.sentences
    )
    refused = len(found) - len(ran) - len(approved)
    counts = {"approved": len(approved), "refused": refused, "looked": len(looked)}
    sentences = [say.count("record_some", len(found), **{name: str(count) for name, count in counts.items()})]
    sentences += [say.count("record_told", len(told))] if told else []
    headings = (f"{say('col_when')} (UTC)", say("col_decision"), say("col_user_action"))
    return Answer(sentences=tuple(sentences), table=Table(headings=headings, rows=rows[:_SHOWN]))


def _at(entry: dict[str, Any]) -> str:
    return _text(entry, "at")[:19].replace("T", " ")


def _objects(reading: Reading) -> list[dict[str, Any]]:
    """A JSON object a line."""
    found = []
    for line in reading.lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _text(entry: dict[str, Any], key: str) -> str:
    return clip(str(entry.get(key, "")), _TEXT_COLUMNS)
