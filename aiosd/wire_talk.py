"""The events that only tell: what is thought, and what a person should know.

As `aiosd.wire`, where every other event is; each has the version, its number in the session, and when.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBase:
    """What every event has."""

    v: Literal[1] = 1
    seq: int = 0
    session: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressDelta(EventBase):
    """What the model thinks, or (with `tool`) the arguments it is writing. Only to be shown."""

    type: Literal["progress_delta"] = "progress_delta"
    tool: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(EventBase):
    """What a person should know, in a line. With `void`, the text since the last call is: it comes again."""

    type: Literal["notice"] = "notice"
    text: str
    void: bool
