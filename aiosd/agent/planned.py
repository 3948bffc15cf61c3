"""The plan that a turn left: the calls which it proposed and did not do, as they were proposed, each in its place.

Carried out are those, to the letter, and not what a model makes of the same words a second time.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import replace

from aiosd.model.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from aiosd.types import CallId

_PLACES = ("cwd", "path")  # arguments that are relative to where the turn was


def find_planned(history: Sequence[Message]) -> tuple[ToolCall, ...]:
    """What the last turn of `history` that is over left undone as a plan, in order; the turn now beginning is none."""
    calls: dict[CallId, ToolCall] = {}
    planned: dict[str, ToolCall] = {}
    turn = list(history[:-1]) if history and isinstance(history[-1], UserMessage) else list(history)
    begins = max((at for at, message in enumerate(turn) if isinstance(message, UserMessage)), default=0)
    for message in turn[begins:]:
        match message:
            case AssistantMessage():
                calls |= {call.id: call for call in message.calls}
            case ToolResult() if message.place and message.call in calls:
                call = _in_place(calls[message.call], message.place)
                planned.setdefault(json.dumps([call.tool, call.arguments], sort_keys=True), call)
            case _:
                pass
    return tuple(planned.values())


def _in_place(call: ToolCall, place: str) -> ToolCall:
    """The call with where it was to be done written out."""
    given = {"cwd": "."} if call.tool == "bash" else {}
    found = {
        name: os.path.normpath(os.path.join(place, value))
        for name, value in (given | call.arguments).items()
        if name in _PLACES and isinstance(value, str)
    }
    return replace(call, arguments={**call.arguments, **found})
