"""A conversation longer than the model can read: what stays, that it is whole, and told the same way for a while."""

import asyncio
from dataclasses import replace

import pytest

from aiosd.agent.context import BYTES_PER_TOKEN, Context
from aiosd.errors import ContextOverflowError
from aiosd.model.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from aiosd.types import CallId
from aiosd.wire_talk import Notice
from tests.doubles.guard import ScriptedGuard, decision, done, output
from tests.doubles.model import ScriptedModel, call, check_whole, text
from tests.unit.agent.test_loop import QUESTION, Turn

ROOM = 12_000  # bytes


def _turn(number: int, *, size: int = 400) -> list[Message]:
    identity = CallId(f"call-{number}")
    return [
        UserMessage(text=f"{number}. look at this."),
        AssistantMessage(calls=(ToolCall(id=identity, tool="bash", arguments={"command": "x" * 50}),)),
        ToolResult(call=identity, text=f"<{number}>" + "数" * size + f"</{number}>"),
        AssistantMessage(text=f"seen {number}"),
    ]


def _conversation(turns: int) -> list[Message]:
    messages = [each for number in range(turns) for each in _turn(number)]
    messages[0] = UserMessage(text="0. look at this. The backup disk is called kuromatsu.")
    return [*messages, UserMessage(text="what is the backup disk called?")]


def _size(messages: tuple[Message, ...]) -> int:
    return sum(len(repr(each).encode()) for each in messages)


def test_what_fits_is_told_as_it_is() -> None:
    messages = _conversation(3)
    assert Context(ROOM).fit(messages) == tuple(messages)
    assert Context(0).fit(_conversation(100)) == tuple(_conversation(100))


@pytest.mark.parametrize("times", [1.5, 3, 20])
def test_a_longer_one_is_whole_and_keeps_what_the_person_said(times: float) -> None:
    messages = _conversation(int(times * ROOM / 1400))
    told = Context(ROOM).fit(messages)
    check_whole(told)
    assert _size(told) < _size(tuple(messages))
    if times <= 3:
        assert "kuromatsu" in repr(told[0])
    else:
        assert "earlier turns are left out" in repr(told[0])
    assert told[-1] == messages[-1]


def test_one_long_turn_is_shortened_from_its_beginning_with_handles_on_what_is_left_out() -> None:
    steps = [each for number in range(6) for each in _turn(number, size=800)[1:3]]
    messages = [UserMessage(text="read it all"), *steps]
    window = Context(ROOM)
    told = window.fit(messages)
    check_whole(told)
    assert window.shortens
    first, last = told[2], told[-1]
    assert isinstance(first, ToolResult)
    assert "recall(call='call-0')" in first.text
    assert first.text.startswith("<0>")
    assert first.text.endswith("</0>")
    assert last == messages[-1]


def test_the_beginning_stays_the_same_while_a_conversation_grows_for_a_while() -> None:
    messages: list[Message] = [UserMessage(text="read it all")]
    window, changes, before = Context(ROOM), 0, tuple[Message, ...]()
    for number in range(60):
        messages += _turn(number)[1:3]
        told = window.fit(messages)
        check_whole(told)
        changes += told[: len(before)] != before
        before = told
        assert window.fit(messages) == told
        assert _size(told) < 2 * ROOM
    assert 1 <= changes <= 15
    assert "earlier steps of this turn are left out" in repr(before[0])


async def test_a_fact_is_known_after_three_times_what_the_model_can_read(guard: ScriptedGuard) -> None:
    """The scripted model answers from what it is told, and refuses what is too long for it."""
    tokens = ROOM // BYTES_PER_TOKEN
    model = ScriptedModel([call("recall", "r-1", call="call-1")], [text("kuromatsu")])
    model.one_conversation = False
    model.info = replace(model.info, context_tokens=tokens + 2000)
    turn = Turn(guard=guard, model=model)
    history = _conversation(3 * ROOM // 1400)
    answered = await turn.run(*history)
    assert answered.text == "kuromatsu"
    first, second = model.requests
    assert "kuromatsu" in repr(first.messages)
    assert first.tools == second.tools
    assert "recall" in [tool.name for tool in first.tools]
    assert _size(first.messages) < _size(tuple(history)) / 2
    recalled = next(each for each in second.messages if isinstance(each, ToolResult) and each.call == "r-1")
    assert recalled.text.startswith("<1>")


async def test_a_model_that_finds_it_too_long_is_told_less(guard: ScriptedGuard) -> None:
    model = ScriptedModel([text("It is"), ContextOverflowError("too long")], [text("kuromatsu")])
    model.one_conversation = False
    turn = Turn(guard=guard, model=model)
    assert (await turn.run(*_conversation(30))).text == "kuromatsu"
    one, two = model.requests
    assert _size(two.messages) < _size(one.messages)
    assert ["recall" in [tool.name for tool in each.tools] for each in (one, two)] == [False, True]
    assert [each.void for each in turn.events if isinstance(each, Notice)] == [True]
    short = Turn(guard=guard, model=ScriptedModel([ContextOverflowError("too long")]))
    with pytest.raises(ContextOverflowError):
        await short.run(QUESTION)


async def test_a_large_result_is_given_in_parts(guard: ScriptedGuard) -> None:
    guard.answers("Execute", decision(), output(b"0123456789" * 300), done())
    turn = Turn(
        guard=guard,
        model=ScriptedModel(
            [call("bash", "a", command="cat x")],
            [call("recall", "b", call="a", offset=2990)],
            [call("recall", "c", call="nothing")],
            [text("ok")],
        ),
        result_bytes=4096,
    )
    await asyncio.wait_for(turn.run(), 10)
    results = {each.call: each.text for each in turn.stored if isinstance(each, ToolResult)}
    assert results[CallId("b")] == "0123456789"
    assert results[CallId("c")] == "there is no result of nothing"
