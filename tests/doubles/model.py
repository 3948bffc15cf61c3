"""A model that says what its script says, and checks what any provider would: a conversation that is whole."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    Delta,
    Message,
    ModelInfo,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
)
from aiosd.types import CallId, JsonValue

# A step: what is streamed, in order. An exception is raised there; an event is waited for.
Step = Sequence[Delta | Exception | asyncio.Event]


class ScriptedModel:
    """Answers requests with `steps`, one each; of one conversation, or of any where that is said."""

    info = ModelInfo(name="scripted", provider="tests", description="says what it is told to", local=True)

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.requests: list[ModelRequest] = []
        self.waiting = asyncio.Event()  # it has come to an event of its script
        self.one_conversation = True
        self.closed = 0  # how many streams have come to an end, whatever that was

    def says(self, *steps: Step) -> None:
        """Add steps."""
        self._steps += steps

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """The next step."""
        check_whole(request.messages)
        if self.requests and self.one_conversation:
            before = self.requests[-1].messages
            assert request.messages[: len(before)] == before, "what was said before has changed"
        self.requests.append(request)
        assert self._steps, "the model was asked more often than its script says"
        try:
            for each in self._steps.pop(0):
                if isinstance(each, Exception):
                    raise each
                if isinstance(each, asyncio.Event):
                    self.waiting.set()
                    await each.wait()
                else:
                    yield each
        finally:
            self.closed += 1


def check_whole(messages: Sequence[Message]) -> None:
    """A person begins; every call is answered exactly once, and before anything else is said."""
    assert isinstance(messages[0], UserMessage)
    assert not isinstance(messages[-1], AssistantMessage)
    wanted: list[CallId] = []
    for message in messages:
        match message:
            case ToolResult():
                assert message.call in wanted, f"{message.call} was not proposed, or was answered before"
                wanted.remove(message.call)
            case AssistantMessage():
                assert not wanted, f"{wanted} have no result"
                wanted = [call.id for call in message.calls]
                assert len(set(wanted)) == len(wanted)
            case UserMessage():
                assert not wanted, f"{wanted} have no result"
    assert not wanted, f"{wanted} have no result"


def text(said: str) -> TextDelta:
    """A piece of the answer."""
    return TextDelta(text=said)


def call(tool: str, identity: str = "call-1", /, **arguments: JsonValue) -> CallDelta:
    """A tool call."""
    return CallDelta(call=ToolCall(id=CallId(identity), tool=tool, arguments=arguments))
