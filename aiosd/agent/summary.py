"""What was said before the running turn, told in short by the model itself when its window is nearly full.

One request, with the same prompt, tools and messages as ever, so that what a provider has cached serves it too. Turns
go or stay whole, and so do pairs of calls and results; a result can still be asked for by its call's id. A model that
gives no plain text, or fails, changes nothing: the conversation is then shortened by rule (`agent.context`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aiosd.errors import AiosError
from aiosd.model.base import (
    AgainDelta,
    CallDelta,
    FactsDelta,
    Message,
    Model,
    ModelRequest,
    StopDelta,
    TextDelta,
    UsageDelta,
    UserMessage,
    VerdictDelta,
    closing,
)
from aiosd.types import JsonObject

ROLE = "summary"  # of what is stored beside the messages
ASK = (
    "[aios: soon the conversation is longer than you can read. In at most 300 words of its language write down what you"
    " need to go on, as plain text, without calls: what the person said and wants (names, numbers and paths exactly),"
    " what was done and found, what is open, and ids of calls whose results may be wanted again (recall gives them).]"
)
_MOST = 6000  # characters of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the first `upto` messages of a conversation came to."""

    upto: int
    text: str

    def stored(self) -> JsonObject:
        """As it is stored."""
        return {"role": ROLE, "upto": self.upto, "text": self.text}


def parse_summary(stored: JsonObject) -> Summary | None:
    """A stored one; None for a message."""
    match stored:
        case {"role": "summary", "upto": int(upto), "text": str(text)}:
            return Summary(upto=upto, text=text)
        case _:
            return None


def with_summary(messages: Sequence[Message], summary: Summary | None) -> Sequence[Message]:
    """The conversation with its beginning told in short, in front of the words of the turn that comes after it."""
    if summary is None:
        return messages
    first, *rest = messages[summary.upto :]
    if not isinstance(first, UserMessage):
        return messages
    mark = f"summary-{hashlib.sha256(summary.text.encode('utf-8', 'replace')).hexdigest()[:8]}"
    told = f"<{mark}>\n{summary.text}\n</{mark}>\n\n{first.text}"
    return [replace(first, text=told), *rest]


@dataclass(slots=True)
class Written:
    """What the model wrote, and what that took."""

    text: str = ""
    usage: UsageDelta | None = None


async def write_summary(model: Model, request: ModelRequest) -> Written:
    """Ask for it, behind the messages of `request`; without text where none was to be had."""
    asked = replace(request, messages=(*request.messages, UserMessage(text=ASK)))
    written, plain = Written(), True
    try:
        async with closing(model.stream(asked)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        written.text += delta.text
                    case AgainDelta():
                        written.text, plain = "", True
                    case UsageDelta():
                        written.usage = delta
                    case CallDelta() | FactsDelta() | VerdictDelta() | StopDelta(reason="refused"):
                        plain = False
                    case _:
                        pass
    except AiosError:
        plain = False
    text = written.text.encode("utf-8", "replace").decode().strip()
    written.text = text[:_MOST] if plain else ""
    return written
