"""A conversation that nearly fills the model's window: told in short by the model, or by rule where it cannot be."""

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from aiosd.agent.budget import Budget
from aiosd.agent.loop import Loop
from aiosd.agent.summary import ASK, Summary, parse_summary, with_summary
from aiosd.errors import ModelUnavailableError
from aiosd.guard.client import GuardClient
from aiosd.model.base import (
    AgainDelta,
    AssistantMessage,
    CallDelta,
    Delta,
    FactsDelta,
    Message,
    ModelInfo,
    ModelRequest,
    StopDelta,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageDelta,
    UserMessage,
)
from aiosd.tools import ToolContext, all_tools
from aiosd.types import CallId, SessionId
from aiosd.wire import Event, Usage
from tests.doubles.model import check_whole

FACT = "the backup disk is kuromatsu"
QUESTION = "what is the disk called?"
TOKENS = 8192
SAID = TextDelta(text=f"Known so far: {FACT}.")


@dataclass(slots=True)
class Reader:
    """A model that knows what it is told and nothing else; asked for a summary it gives `deltas`, where it was told."""

    deltas: Sequence[Delta] = (SAID, UsageDelta(input_tokens=50, output_tokens=7))
    fails: bool = False
    requests: list[ModelRequest] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        """With a window."""
        return ModelInfo(name="reader", provider="openai", description="", local=True, context_tokens=TOKENS)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """The summary, or the fact."""
        self.requests.append(request)
        check_whole(request.messages)
        told = FACT in repr(request.messages)
        if _is_summing_up(request):
            if self.fails:
                raise ModelUnavailableError("nobody is there")
            for delta in self.deltas if told else ():
                yield delta
            return
        if QUESTION in repr(request.messages[-1]):
            yield TextDelta(text=FACT if told else "I do not know")
        else:
            yield TextDelta(text="So it is.")

    @property
    def summaries(self) -> int:
        """How often it was asked for one."""
        return sum(map(_is_summing_up, self.requests))


def _is_summing_up(request: ModelRequest) -> bool:
    return request.messages[-1] == UserMessage(text=ASK)


@dataclass(slots=True)
class Talk:
    """A conversation of several turns, each with a loop of its own, as sessions have it."""

    model: Reader
    messages: list[Message] = field(default_factory=list)
    summary: Summary | None = None
    summarises: bool = True
    steps: int = 10
    events: list[Event] = field(default_factory=list)

    async def ask(self, words: str) -> str:
        """One turn; its answer."""

        async def store(messages: Sequence[Message]) -> None:
            self.messages += messages

        async def keep(summary: Summary) -> None:
            self.summary = parse_summary(summary.stored())

        context = ToolContext(
            guard=GuardClient("/nowhere"),
            session=SessionId("session1"),
            cwd="/",
            wait_s=0,
            result_bytes=4096,
            emit=self.events.append,
        )
        loop = Loop(
            model=self.model,
            tools=all_tools(),
            system="be brief",
            budget=Budget(steps=self.steps, tokens=10_000, seconds=60),
            context=context,
            store=store,
            keep_summary=keep if self.summarises else None,
        )
        self.messages.append(UserMessage(text=words))
        return (await loop.run(list(self.messages), self.summary)).text

    def grow(self, size: int) -> None:
        """A turn in which a tool said much."""
        call = ToolCall(id=CallId(f"c{len(self.messages)}"), tool="bash", arguments={"command": "x"})
        self.messages += [
            UserMessage(text="look"),
            AssistantMessage(calls=(call,)),
            ToolResult(call=call.id, text="y" * size),
            AssistantMessage(text="seen"),
        ]


async def _told(talk: Talk, *, times: int = 3) -> str:
    """The fact, in what a tool printed; then other talk, in all so many windows of it; then the question."""
    talk.grow(4000)
    found = talk.messages[2]
    assert isinstance(found, ToolResult)
    talk.messages[2] = replace(found, text="y" * 2000 + FACT + "y" * 2000)
    window = TOKENS * 3
    for _ in range(times * window // 4000):
        talk.grow(3900)
        await talk.ask("and now?")
    return await talk.ask(QUESTION)


async def test_a_fact_from_before_is_answered_at_three_times_the_window() -> None:
    talk = Talk(model=Reader())
    assert await _told(talk) == FACT
    assert talk.model.summaries >= 2  # each of the next from the one before
    assert talk.summary is not None
    assert isinstance(talk.messages[talk.summary.upto], UserMessage)
    first = talk.model.requests[-1].messages[0]
    assert isinstance(first, UserMessage)
    assert first.text.startswith("<summary-")
    assert Usage(input_tokens=50, output_tokens=7, cached_tokens=0, cost=0.0) in talk.events


async def test_without_it_rules_shorten_and_what_a_tool_printed_is_left_out() -> None:
    talk = Talk(model=Reader(), summarises=False)
    assert await _told(talk) == "I do not know"
    assert talk.model.summaries == 0


@pytest.mark.parametrize(
    "model",
    [
        Reader(fails=True),
        Reader(deltas=()),
        Reader(deltas=(SAID, CallDelta(call=ToolCall(id=CallId("z"), tool="bash", arguments={})))),
        Reader(deltas=(SAID, FactsDelta(about="disk", said=(), rows=(), missing=()))),
        Reader(deltas=(SAID, StopDelta(reason="refused"))),
        Reader(deltas=(SAID, AgainDelta(reason="it broke off"))),
    ],
    ids=["fails", "nothing", "calls", "built-in", "refused", "broken off"],
)
async def test_where_the_model_gives_none_rules_shorten(model: Reader) -> None:
    talk = Talk(model=model)
    assert await _told(talk, times=2) == "I do not know"
    assert talk.model.summaries > 0
    assert talk.summary is None


async def test_a_step_is_counted_and_none_is_taken_from_the_answer() -> None:
    talk = Talk(model=Reader(), steps=1)
    assert await _told(talk, times=2) == "I do not know"
    assert talk.model.summaries == 0


async def test_it_has_the_same_beginning_as_every_request() -> None:
    talk = Talk(model=Reader())
    for _ in range(5):
        talk.grow(3900)
    await talk.ask("and now?")
    summing, asking = talk.model.requests
    assert (summing.system, summing.tools) == (asking.system, asking.tools)
    assert summing.messages[:-1] == tuple(talk.messages[: len(summing.messages) - 1])


def test_a_summary_stands_before_the_words_of_the_turn_after_it() -> None:
    messages: list[Message] = [UserMessage(text="a"), AssistantMessage(text="b"), UserMessage(text="c")]
    messages.append(AssistantMessage(text="d"))
    assert with_summary(messages, None) == messages
    first, second = with_summary(messages, Summary(upto=2, text="short"))
    assert isinstance(first, UserMessage)
    assert re.fullmatch(r"<(summary-[0-9a-f]{8})>\nshort\n</\1>\n\nc", first.text)
    assert second == messages[3]
    assert with_summary(messages, Summary(upto=1, text="short")) == messages
