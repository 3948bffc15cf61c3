"""The time that a question names: in words, and as the logs write it."""

import re
from datetime import datetime, timedelta

from aiosd.model.builtin.render.outcome import Seen
from aiosd.model.builtin.text import clip

_AGO = re.compile(r"-(\d+)(min|h|d|w|month)")
_SECONDS = {"min": 60, "h": 3600, "d": 86_400, "w": 604_800, "month": 2_592_000}
_MOMENT = len("2026-11-21T12:00:00")
_NEVER = "9999"  # after every date


def render_when(seen: Seen, slot: str = "when") -> str:
    """The time that a question names, in words."""
    say, value = seen.say, seen.slot(slot)
    if f"when_{value}" in say.sentences:
        return say(f"when_{value}")
    if ago := _AGO.fullmatch(value):
        return say("when_last", span=say.duration(int(ago[1]) * _SECONDS[ago[2]]))
    return say("when_since", day=clip(value, 20)) if value else say("when_ever")


def read_span(seen: Seen) -> tuple[str, str]:
    """The beginning and the end of the time that was asked for, as the logs write it: by the clock of the machine."""
    asked, now = seen.slot("when"), seen["now"].out.strip()[:19]
    if asked in {"", "ever"} or len(now) != _MOMENT:
        return "", _NEVER
    try:
        moment = datetime.fromisoformat(now)
    except ValueError:
        return "", _NEVER
    if ago := _AGO.fullmatch(asked):
        return f"{moment - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]]):%Y-%m-%d %H:%M}", _NEVER
    today, yesterday = (f"{moment - timedelta(days=days):%Y-%m-%d}" for days in (0, 1))
    named = {"today": (today, _NEVER), "yesterday": (yesterday, today), "since_yesterday": (yesterday, _NEVER)}
    return named.get(asked, (asked, _NEVER))
