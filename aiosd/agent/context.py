"""What of a conversation a model is told, when it is longer than the model can read. Pure; the transcript stays whole.

From the oldest on, a turn becomes the person's words and the answer's beginning, and within the turn now running long
results and arguments are shortened, then its first steps left out. Pairs of calls and results go or stay together, a
person's words go last. How far
that reaches moves in large steps, so that what a provider has cached stays valid in between. What was left out of a
result can be asked for by the call's id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from aiosd.model.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from aiosd.types import JsonObject

BYTES_PER_TOKEN = 3  # at the least, in any language
_WANTED = 0.6  # of the room, once something has to go
_NEARLY, _WORTH = 0.85, 0.3  # of the room
_SHORT = 600  # bytes of a result or an argument that stay
_MAX_WORDS = 2000  # of a person, in an old turn
_MAX_ANSWER = 300
_PICTURE = 5000  # bytes that one takes, about, as text would


@dataclass(slots=True)
class Context:
    """How much of one turn's conversation fits into `room` bytes (0 is any amount)."""

    room: int
    _cut: int = 0  # messages before it are shortened
    _dropped: int = 0  # old turns of which nothing is told any more
    _steps: int = 0  # of the turn now running, as many at its beginning are not told either

    @property
    def shortens(self) -> bool:
        """Whether something is left out."""
        return self._cut > 0

    def is_nearly_full(self, messages: Sequence[Message]) -> bool:
        """Whether the conversation, told as it is, leaves little room."""
        return bool(self.room) and _size(messages) > self.room * _NEARLY

    def fills(self, messages: Sequence[Message]) -> bool:
        """Whether they take enough of the room to be worth a request."""
        return bool(self.room) and _size(messages) > self.room * _WORTH

    def fit(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The conversation as it is to be told."""
        told = self._tell(messages)
        if not self.room or _size(told) <= self.room:
            return told
        wanted = int(self.room * _WANTED)
        last = max(len(messages) - 1, 0)
        while self._cut < last and _size(told) > wanted:
            self._cut = min(self._cut + 1 + (last - self._cut) // 16, last)
            told = self._tell(messages)
        while _size(told) > wanted and len([each for each in told if isinstance(each, UserMessage)]) > 1:
            self._dropped += 1
            told = self._tell(messages)
        steps = sum(isinstance(each, AssistantMessage) for each in _split(messages)[-1])
        while _size(told) > wanted and self._steps < steps - 1:
            self._steps = min(self._steps + 1 + (steps - self._steps) // 4, steps - 1)
            told = self._tell(messages)
        return told

    def tighten(self, messages: Sequence[Message]) -> bool:
        """The model says it is too long: leave out more from now on. Whether there is anything to leave out."""
        before = _size(self._tell(messages))
        self.room = int(min(self.room or before, before) * _WANTED)
        return _size(self.fit(messages)) < before

    def _tell(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        turns = _split(messages)
        told: list[Message] = []
        at = 0
        for number, turn in enumerate(turns):
            at += len(turn)
            if number == len(turns) - 1:
                start = at - len(turn)
                shown = [_shorten(each) if start + index < self._cut else each for index, each in enumerate(turn)]
                told += _drop_steps(shown, self._steps)
            elif at > self._cut:
                told += turn
            elif number >= self._dropped:
                told += _fold(turn)
        if self._dropped and isinstance(told[0], UserMessage):
            told[0] = UserMessage(text=f"[{self._dropped} earlier turns are left out]\n\n{told[0].text}")
        return tuple(told)


def _split(messages: Sequence[Message]) -> list[list[Message]]:
    """The turns: each begins with what the person said."""
    turns: list[list[Message]] = []
    for message in messages:
        if isinstance(message, UserMessage) or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _drop_steps(turn: list[Message], count: int) -> list[Message]:
    """A turn without its first steps, each of them what the model said with all its results."""
    begins = [index for index, each in enumerate(turn) if isinstance(each, AssistantMessage)]
    if not count or not begins:
        return turn
    asked = turn[0]
    words = (
        f"{asked.text}\n\n[{count} earlier steps of this turn are left out]" if isinstance(asked, UserMessage) else ""
    )
    return [UserMessage(text=words), *turn[begins[min(count, len(begins) - 1)] :]]


def _fold(turn: Sequence[Message]) -> list[Message]:
    """An old turn: the person's words, and how the answer began."""
    told: list[Message] = [
        UserMessage(text=_clip(each.text, _MAX_WORDS)) for each in turn if isinstance(each, UserMessage)
    ]
    answer = "".join(each.text for each in turn if isinstance(each, AssistantMessage)).strip()
    return [*told, AssistantMessage(text=_clip(answer or "(no answer)", _MAX_ANSWER))]


def _shorten(message: Message) -> Message:
    match message:
        case UserMessage():
            return UserMessage(text=_clip(message.text, _MAX_WORDS * 4))
        case AssistantMessage():
            return replace(message, calls=tuple(map(_shorten_call, message.calls)))
        case ToolResult():
            more = f"; recall(call={message.call!r}) gives them"
            return replace(message, text=_clip(message.text, _SHORT, more=more))
        case _:
            assert_never(message)


def _shorten_call(call: ToolCall) -> ToolCall:
    arguments: JsonObject = {
        name: _clip(value, _SHORT) if isinstance(value, str) else value for name, value in call.arguments.items()
    }
    return replace(call, arguments=arguments)


def _clip(text: str, most: int, *, more: str = "") -> str:
    """The beginning and the end of a text, about `most` bytes of it, and how much is missing between them."""
    size = _count(text)
    if size <= most + 100:
        return text
    most = most * len(text) // size
    head, tail = text[: most * 2 // 3], text[-most // 3 :]
    return f"{head}\n[… {len(text) - len(head) - len(tail)} characters left out{more} …]\n{tail}"


def _size(messages: Sequence[Message]) -> int:
    return sum(map(_weigh, messages))


def _weigh(message: Message) -> int:
    """About how many bytes a message takes."""
    match message:
        case AssistantMessage():
            calls = sum(60 + _count(call.tool) + _count(str(call.arguments)) for call in message.calls)
            return 20 + _count(message.text) + calls + sum(_count(str(each)) for each in message.kept)
        case UserMessage():
            return 60 + _count(message.text) + _PICTURE * len(message.pictures)
        case _:
            return 60 + _count(message.text)


def _count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
