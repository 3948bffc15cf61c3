"""The agent loop: what the model is told, what it may use up, and how a turn ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from aiosd import exits
from aiosd.agent.budget import Budget
from aiosd.agent.loop import Answered, Loop
from aiosd.agent.structured import Answer
from aiosd.errors import BudgetExceededError, ModelUnavailableError, StorageError
from aiosd.guard.client import GuardClient
from aiosd.model.base import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolResult,
    UsageDelta,
    UserMessage,
    VerdictDelta,
)
from aiosd.tools import Tool, ToolContext, all_tools
from aiosd.types import CallId, SessionId
from aiosd.wire import Argument, CallDone, CallProposed, Event, TextDelta, Usage
from tests.doubles.guard import ScriptedGuard, decision, done, output, refusal
from tests.doubles.model import ScriptedModel, Step, call, text

QUESTION = UserMessage(text="how full is the disk?")


@dataclass(slots=True)
class Turn:
    """One turn of a scripted model with a scripted guard: what was emitted, what was stored."""

    guard: ScriptedGuard
    model: ScriptedModel
    budget: Budget = field(default_factory=lambda: Budget(steps=10, tokens=1000, seconds=60))
    result_bytes: int = 4096
    events: list[Event] = field(default_factory=list)
    stored: list[Message] = field(default_factory=list)
    tools: tuple[Tool, ...] = field(default_factory=all_tools)
    answer: Answer | None = None

    async def run(self, *history: Message) -> Answered:
        """Run it to its end."""

        async def store(messages: Sequence[Message]) -> None:
            self.stored += messages

        context = ToolContext(
            guard=GuardClient(self.guard.path),
            session=SessionId("session1"),
            cwd="/srv",
            wait_s=0,
            result_bytes=self.result_bytes,
            emit=self.events.append,
        )
        loop = Loop(
            model=self.model,
            tools=self.tools,
            system="be brief",
            budget=self.budget,
            context=context,
            store=store,
            answer=self.answer,
        )
        return await loop.run(history or [QUESTION])

    @property
    def types(self) -> list[str]:
        """The events' types."""
        return [event.type for event in self.events]

    @property
    def ended(self) -> list[tuple[str, str, str]]:
        """How each call ended: call, outcome, reason."""
        return [(each.call, each.outcome, each.reason) for each in self.events if isinstance(each, CallDone)]


def _turn(guard: ScriptedGuard, *steps: Step, **fields: Any) -> Turn:
    return Turn(guard=guard, model=ScriptedModel(*steps), **fields)


async def test_an_answer_without_calls_is_one_step(guard: ScriptedGuard) -> None:
    turn = _turn(guard, [text("It is "), text("half full."), UsageDelta(input_tokens=9, output_tokens=4)])
    assert await turn.run() == Answered(text="It is half full.", exit_status=exits.OK, steps=1)
    assert turn.events == [
        TextDelta(text="It is "),
        TextDelta(text="half full."),
        Usage(input_tokens=9, output_tokens=4),
    ]
    assert turn.stored == [AssistantMessage(text="It is half full.")]
    assert guard.calls == []


async def test_a_proposed_call_is_run_and_its_result_goes_back(guard: ScriptedGuard) -> None:
    guard.answers("Execute", decision(), output(b"50%\n"), done())
    turn = _turn(
        guard,
        [text("I look. "), call("bash", command="df", reason="to see", timeout_s=7)],
        [text("Half full.")],
    )
    assert await turn.run() == Answered(text="I look. Half full.", exit_status=exits.OK, steps=2)
    proposed = call("bash", command="df", reason="to see", timeout_s=7).call
    result = ToolResult(call=CallId("call-1"), text="50%\n", outcome="done", status=0)
    assert turn.stored == [
        AssistantMessage(text="I look. ", calls=(proposed,)),
        result,
        AssistantMessage(text="Half full."),
    ]
    assert turn.model.requests[1].messages == (QUESTION, *turn.stored[:2])
    assert turn.model.requests[1].system == "be brief"
    assert [tool.name for tool in turn.model.requests[0].tools] == [
        "bash",
        "read_file",
        "write_file",
        "edit_file",
        "glob",
        "grep",
        "services",
        "journal",
        "packages",
        "observe",
        "web_fetch",
    ]
    assert guard.calls == [
        {
            "method": "Execute",
            "session": "session1",
            "call": "call-1",
            "wait_s": None,
            "command": "df",
            "cwd": "/srv",
            "claim": "to see",
            "timeout_s": 7,
        }
    ]
    assert turn.types == ["text_delta", "call_proposed", "decision", "output", "call_done", "text_delta"]
    assert turn.events[1] == CallProposed(
        call="call-1",
        tool="bash",
        arguments=(
            Argument(name="command", value="df"),
            Argument(name="reason", value="to see"),
            Argument(name="timeout_s", value="7"),
        ),
    )


async def test_each_message_is_stored_before_the_next_thing_happens(guard: ScriptedGuard) -> None:
    """The disk is full when the call is stored: it does not run."""
    turn = _turn(guard, [call("bash", command="df")])

    async def fail(_messages: Sequence[Message]) -> None:
        raise StorageError("the disk is full")

    loop = Loop(
        model=turn.model,
        tools=all_tools(),
        system="",
        budget=turn.budget,
        context=ToolContext(
            guard=GuardClient(guard.path), session=SessionId("s"), cwd="/", wait_s=0, result_bytes=1, emit=print
        ),
        store=fail,
    )
    with pytest.raises(StorageError):
        await loop.run([QUESTION])
    assert guard.calls == []


async def test_several_calls_of_a_step_run_one_after_the_other_each_with_its_result(guard: ScriptedGuard) -> None:
    for name in (b"a", b"b", b"c"):
        guard.answers("Execute", decision(), output(name), done())
    calls = [call("bash", f"call-{name}", command=name) for name in "abc"]
    turn = _turn(guard, calls, [text("done")])
    await turn.run()
    assert [each["command"] for each in guard.calls] == ["a", "b", "c"]
    results = [each for each in turn.stored if isinstance(each, ToolResult)]
    assert [(each.call, each.text) for each in results] == [("call-a", "a"), ("call-b", "b"), ("call-c", "c")]


async def test_of_more_than_32_calls_in_a_step_32_run_and_the_conversation_knows_no_others(
    guard: ScriptedGuard,
) -> None:
    for _ in range(32):
        guard.answers("Execute", decision(), done())
    turn = _turn(
        guard, [call("bash", f"call-{number}", command=f"df {number}") for number in range(40)], [text("done")]
    )
    await turn.run()
    assert len(guard.calls) == 32
    first = turn.stored[0]
    assert isinstance(first, AssistantMessage)
    assert [each.id for each in first.calls] == [f"call-{number}" for number in range(32)]


async def test_two_calls_with_one_id_are_told_apart(guard: ScriptedGuard) -> None:
    """As some servers send them; every call is to be answered exactly once."""
    for name in (b"a", b"b"):
        guard.answers("Execute", decision(), output(name), done())
    turn = _turn(guard, [call("bash", "same", command="a"), call("bash", "same", command="b")], [text("done")])
    await turn.run()
    first, *results = turn.stored[:3]
    assert isinstance(first, AssistantMessage)
    assert [each.arguments["command"] for each in first.calls] == ["a", "b"]
    ids = [each.id for each in first.calls]
    assert len(set(ids)) == 2
    assert [(each.call, each.text) for each in results if isinstance(each, ToolResult)] == list(
        zip(ids, ("a", "b"), strict=True)
    )


# What is the model's to know ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proposed", "said"),
    [
        (
            call("shell", command="df"),
            f"there is no tool shell; there are {', '.join(tool.spec.name for tool in all_tools())}, recall",
        ),
        (call("bash"), "bash needs command, a string"),
        (call("bash", command=["df"]), "bash needs command, a string"),
        (call("bash", command="df", timeout_s="soon"), "timeout_s of bash is a whole number"),
        (call("bash", command="df", timeout_s=True), "timeout_s of bash is a whole number"),
        (call("bash", command="df", reason=1), "bash needs reason, a string"),
        (call("read_file", path=1), "read_file needs path, a string"),
        (call("read_file", path=""), "read_file needs path, a string"),
        (call("write_file", path="/x"), "write_file needs content, a string"),
        (call("write_file", path="/x", content=None), "write_file needs content, a string"),
    ],
)
async def test_a_call_that_cannot_be_is_told_to_the_model_which_may_do_better(
    guard: ScriptedGuard, proposed: Any, said: str
) -> None:
    turn = _turn(guard, [proposed], [text("then not")])
    assert await turn.run() == Answered(text="then not", exit_status=exits.OK, steps=2)
    assert turn.stored[1] == ToolResult(call=CallId("call-1"), text=said, outcome="failed")
    assert turn.ended == [("call-1", "failed", said)]
    assert guard.calls == []


async def test_an_argument_that_the_guard_does_not_take_is_told_to_the_model_too(guard: ScriptedGuard) -> None:
    guard.answers("Execute", refusal("org.varlink.service.InvalidParameter", parameter="timeout_s"))
    turn = _turn(guard, [call("bash", command="df", timeout_s=100_000)], [text("then not")])
    assert (await turn.run()).exit_status == exits.OK
    said = "the guard does not take timeout_s as it was given"
    assert turn.stored[1] == ToolResult(call=CallId("call-1"), text=said, outcome="failed")
    assert turn.ended == [("call-1", "failed", said)]


@pytest.mark.parametrize(
    ("ending", "text_back", "status"),
    [
        (done("failed", 3), "out", exits.OK),
        (done("denied", -1, reason="no rule allows it"), "out\n[denied: no rule allows it]", exits.DENIED),
        (done("skipped", -1, reason="go on"), "out\n[skipped: go on]", exits.OK),
        (done("refused", -1, reason="no sandbox"), "out\n[refused: no sandbox]", exits.BROKEN),
        (done("unanswered", -1, reason="nobody"), "out\n[unanswered: nobody]", exits.NOBODY_TO_ASK),
        (done("timed_out", -1, reason="ended after 60 s"), "out\n[timed_out: ended after 60 s]", exits.TIMEOUT),
        (done("cancelled", -1, reason="interrupted"), "out\n[cancelled: interrupted]", exits.INTERRUPTED),
    ],
    ids=lambda value: value["outcome"] if isinstance(value, dict) else None,
)
async def test_an_outcome_that_is_no_success_is_no_success_of_the_turn_though_the_model_says_so(
    guard: ScriptedGuard, ending: dict[str, Any], text_back: str, status: int
) -> None:
    guard.answers("Execute", decision(), output(b"out"), ending)
    guard.answers("Execute", decision(), done())
    turn = _turn(guard, [call("bash", command="x")], [call("bash", "call-2", command="y")], [text("All is well.")])
    assert (await turn.run()).exit_status == status
    result = turn.stored[1]
    assert isinstance(result, ToolResult)
    assert (result.text, result.outcome) == (text_back, ending["outcome"])
    assert result.status == (3 if ending["outcome"] == "failed" else None)
    assert turn.ended == [("call-1", ending["outcome"], ending["reason"]), ("call-2", "done", "")]


async def test_the_model_is_told_what_a_person_put_in_the_place_of_its_command(guard: ScriptedGuard) -> None:
    guard.answers("Execute", decision(), output(b"out"), {**done(), "command": "id -u"})
    turn = _turn(guard, [call("bash", command="id")], [text("ok")])
    assert (await turn.run()).exit_status == exits.OK
    result = turn.stored[1]
    assert isinstance(result, ToolResult)
    assert (result.text, result.command) == ("[a person ran this instead: id -u]\nout", "id -u")


async def test_the_first_failure_gives_the_turn_its_status(guard: ScriptedGuard) -> None:
    guard.answers("Execute", decision(), done("denied", -1, reason="no"))
    guard.answers("Execute", decision(), done("timed_out", -1, reason="late"))
    turn = _turn(guard, [call("bash", "a", command="x"), call("bash", "b", command="y")], [text("ok")])
    assert (await turn.run()).exit_status == exits.DENIED


@pytest.mark.parametrize(
    ("verdict", "status"), [("answered", exits.OK), ("not_understood", exits.FAILED), ("failed", exits.FAILED)]
)
async def test_a_model_may_say_itself_that_it_did_not_do_it(guard: ScriptedGuard, verdict: Any, status: int) -> None:
    turn = _turn(guard, [text("hm"), VerdictDelta(verdict=verdict)])
    assert (await turn.run()).exit_status == status


@pytest.mark.parametrize(
    ("replies", "outcome", "reason"),
    [
        ((), "cancelled", "the guard ended in the middle of a call"),
        ((decision(), output(b"out")), "cancelled", "the guard ended in the middle of a call"),
        ((decision(), b'{"parameters": {"ev'), "cancelled", "the guard ended in the middle of a call"),
        ((b"x" * (5 * 1024 * 1024),), "cancelled", "the guard sent more than it may"),
        ((refusal("io.aios.Guard.NoSession", reason="there is no session s"),), "refused", "there is no session s"),
        ((refusal("io.aios.Guard.CannotRecord", reason="nothing was run: full"),), "refused", "nothing was run: full"),
        ((refusal("io.aios.Guard.Internal"),), "refused", "io.aios.Guard.Internal"),
    ],
    ids=["closes", "closes in the middle", "half a message", "too much", "no session", "no record", "a bug"],
)  # fmt: skip
async def test_a_guard_that_fails_is_a_result_and_the_turn_goes_on(
    guard: ScriptedGuard, replies: Any, outcome: str, reason: str
) -> None:
    guard.answers("Execute", *replies)
    turn = _turn(guard, [call("bash", command="x")], [text("It did not work.")])
    answered = await turn.run()
    assert answered.exit_status == (exits.INTERRUPTED if outcome == "cancelled" else exits.BROKEN)
    assert turn.ended == [("call-1", outcome, reason)]
    result = turn.stored[1]
    assert isinstance(result, ToolResult)
    assert result.text.endswith(f"[{outcome}: {reason}]")


async def test_no_guard_is_a_result_too(guard: ScriptedGuard) -> None:
    turn = _turn(guard, [call("bash", command="x")], [text("It did not work.")])
    turn.guard = ScriptedGuard(path="/nonexistent/guard.sock")
    assert (await turn.run()).exit_status == exits.INTERRUPTED
    assert turn.ended == [("call-1", "cancelled", "/nonexistent/guard.sock: No such file or directory")]


async def test_what_is_shown_of_an_argument_has_a_bound_and_what_runs_has_none(guard: ScriptedGuard) -> None:
    line = "echo " + "x" * 10_000
    guard.answers("Execute", decision(), done())
    turn = _turn(guard, [call("bash", command=line)], [text("ok")])
    await turn.run()
    assert guard.calls[0]["command"] == line
    shown = turn.events[0]
    assert isinstance(shown, CallProposed)
    assert shown.arguments == (Argument(name="command", value=f"{line[:4096]}… [{len(line) - 4096} more characters]"),)


# Ends without an answer -----------------------------------------------------------------------------------------------


async def test_a_model_that_fails_ends_the_turn(guard: ScriptedGuard) -> None:
    turn = _turn(guard, [text("I thi"), ModelUnavailableError("the provider answered 529", hint="try again later")])
    with pytest.raises(ModelUnavailableError):
        await turn.run()
    assert turn.stored == []
    assert turn.model.closed == 1


async def test_steps_are_bounded(guard: ScriptedGuard) -> None:
    steps = [[call("bash", f"call-{number}", command="df")] for number in range(5)]
    turn = _turn(guard, *steps, budget=Budget(steps=3, tokens=1000, seconds=60))
    for _ in range(5):
        guard.answers("Execute", decision(), done())
    with pytest.raises(BudgetExceededError) as caught:
        await turn.run()
    assert (caught.value.message, caught.value.hint) == (
        "the turn took its 3 steps",
        "continue the session, or raise agent.max_steps in the configuration",
    )
    assert len(turn.model.requests) == 3
    assert len(turn.stored) == 6  # the last call has its result


async def test_the_last_step_may_answer(guard: ScriptedGuard) -> None:
    guard.answers("Execute", decision(), done())
    steps = ([call("bash", command="df")], [text("ok")])
    assert (await _turn(guard, *steps, budget=Budget(steps=2, tokens=1, seconds=60)).run()).steps == 2


async def test_tokens_are_bounded(guard: ScriptedGuard) -> None:
    guard.answers("Execute", decision(), done())
    step: Step = [call("bash", command="df"), UsageDelta(input_tokens=60, output_tokens=40)]
    turn = _turn(guard, step, [text("ok")], budget=Budget(steps=10, tokens=100, seconds=60))
    with pytest.raises(BudgetExceededError) as caught:
        await turn.run()
    assert caught.value.message == "the turn took its 100 tokens"
    guard.answers("Execute", decision(), done())
    again = _turn(guard, step, [text("ok")], budget=Budget(steps=10, tokens=101, seconds=60))
    assert (await again.run()).text == "ok"


async def test_cancelling_in_the_middle_of_the_model_ends_its_request(guard: ScriptedGuard) -> None:
    turn = _turn(guard, [text("I thi"), asyncio.Event()])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(turn.run())
        await turn.model.waiting.wait()
        running.cancel()
    assert running.cancelled()
    assert turn.model.closed == 1
    assert turn.types == ["text_delta"]


async def test_cancelling_in_the_middle_of_a_command_interrupts_it(guard: ScriptedGuard) -> None:
    guard.answers("Execute", decision(), output(b"so far"), asyncio.Event())
    turn = _turn(guard, [call("bash", command="sleep 1000")])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(turn.run())
        await guard.waiting.wait()
        running.cancel()
    async with asyncio.timeout(10):
        await guard.interrupted.wait()
    assert running.cancelled()
    assert len(turn.stored) == 1  # the result is for whoever ends the turn


async def test_the_history_is_given_as_it_was(guard: ScriptedGuard) -> None:
    history = (
        UserMessage(text="before?"),
        AssistantMessage(text="", calls=(ToolCall(id=CallId("old"), tool="gone", arguments={"x": [1, None]}),)),
        ToolResult(call=CallId("old"), text="…", outcome="cancelled"),
        QUESTION,
    )
    turn = _turn(guard, [text("ok")])
    await turn.run(*history)
    assert turn.model.requests[0].messages == history


async def test_an_id_that_the_conversation_has_had_is_not_had_twice(guard: ScriptedGuard) -> None:
    """The record tells actions apart by it; and what is too long for the guard is cut."""
    for _ in range(3):
        guard.answers("Execute", decision(), done())
    proposed = [call("bash", name, command="x") for name in ("old", "", "y" * 500)]
    history = (
        UserMessage(text="before?"),
        AssistantMessage(text="", calls=(ToolCall(id=CallId("old"), tool="bash", arguments={}),)),
        ToolResult(call=CallId("old"), text=""),
        QUESTION,
    )
    await _turn(guard, proposed, [text("ok")]).run(*history)
    assert [each["call"] for each in guard.calls] == ["old-2", "", "y" * 80]
