"""The agent loop: ask the model, run what it proposes, give it the results, until it has answered.

It promises a conversation that is valid after every step, whatever happens: each message is stored before the next
thing is done, and every proposed call gets exactly one result, by way of the tools, which go to the guard. A tool's
failure is the model's to know; a model's failure is the turn's.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from aiosd import exits
from aiosd.agent.budget import Budget
from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    Message,
    Model,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageDelta,
    UserMessage,
    VerdictDelta,
)
from aiosd.tools import ArgumentError, Tool, ToolContext
from aiosd.types import CallId, JsonValue
from aiosd.wire import Argument, CallDone, CallProposed, Usage
from aiosd.wire import TextDelta as TextEvent

_MAX_CALLS = 32  # in one step
_MAX_ID = 80  # of a call, in characters; the guard takes 100
_MAX_SHOWN = 4096  # of an argument, in an event


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How a turn ended: the answer, and the exit status it deserves (no denied or refused step is a success)."""

    text: str
    exit_status: int
    steps: int


class Loop:
    """One turn's loop. `store` keeps messages and returns when they are kept."""

    def __init__(
        self,
        *,
        model: Model,
        tools: Sequence[Tool],
        system: str,
        budget: Budget,
        context: ToolContext,
        store: Callable[[Sequence[Message]], Awaitable[None]],
    ) -> None:
        self._model = model
        self._tools: Mapping[str, Tool] = {tool.spec.name: tool for tool in tools}
        self._system = system
        self._budget = budget
        self._context = context
        self._store = store
        self._exit_status = exits.OK

    async def run(self, history: Sequence[Message]) -> Answered:
        """Run the turn that the last question of `history` begins. Raises what ends it without an answer.

        A turn that had been begun goes on where it was: with the calls that have no result.
        """
        messages = list(history)
        text, open_calls = _find_begun(messages)
        await self._run_all(open_calls, messages)
        while True:
            self._budget.begin_step()
            message = await self._ask(messages)
            text += message.text
            await self._store([message])
            messages.append(message)
            if not message.calls:
                return Answered(text=text, exit_status=self._exit_status, steps=self._budget.used_steps)
            await self._run_all(message.calls, messages)

    async def _run_all(self, calls: Sequence[ToolCall], messages: list[Message]) -> None:
        for call in calls:
            result = await self._run(call)
            await self._store([result])
            messages.append(result)

    async def _ask(self, messages: Sequence[Message]) -> AssistantMessage:
        request = ModelRequest(
            system=self._system,
            messages=tuple(messages),
            tools=tuple(tool.spec for tool in self._tools.values()),
        )
        text, calls = "", list[ToolCall]()
        taken = {call.id for message in messages if isinstance(message, AssistantMessage) for call in message.calls}
        async for delta in self._model.stream(request):
            match delta:
                case TextDelta():
                    said = delta.text.encode("utf-8", "replace").decode()  # providers may cut a surrogate pair
                    text += said
                    self._context.emit(TextEvent(text=said))
                case CallDelta() if len(calls) < _MAX_CALLS:
                    calls.append(_with_own_id(delta.call, taken))
                case UsageDelta():
                    self._budget.use_tokens(delta.input_tokens + delta.output_tokens)
                    self._context.emit(Usage(input_tokens=delta.input_tokens, output_tokens=delta.output_tokens))
                case VerdictDelta(verdict="not_understood" | "failed"):
                    self._note(exits.FAILED)
                case _:
                    pass
        return AssistantMessage(text=text, calls=tuple(calls))

    async def _run(self, call: ToolCall) -> ToolResult:
        arguments = tuple(Argument(name=name, value=_show(value)) for name, value in call.arguments.items())
        self._context.emit(CallProposed(call=call.id, tool=call.tool, arguments=arguments))
        tool = self._tools.get(call.tool)
        if tool is None:
            return self._fail(call, f"there is no tool {call.tool}; there are {', '.join(self._tools)}")
        try:
            result = await tool.run(call, self._context)
        except ArgumentError as exc:
            return self._fail(call, str(exc))
        self._note(_STATUS_OF_OUTCOME[result.outcome])
        return result

    def _fail(self, call: ToolCall, reason: str) -> ToolResult:
        self._context.emit(
            CallDone(
                call=call.id, outcome="failed", status=-1, reason=reason, duration_ms=0, output_bytes=0, truncated=False
            )
        )
        return ToolResult(call=call.id, text=reason, outcome="failed")

    def _note(self, status: int) -> None:
        """The turn's status is the first that was not success."""
        self._exit_status = self._exit_status or status


_STATUS_OF_OUTCOME = {
    "done": exits.OK,
    "failed": exits.OK,  # a command's own non-zero status is information; the model says what it means
    "denied": exits.DENIED,
    "unanswered": exits.NOBODY_TO_ASK,
    "refused": exits.BROKEN,
    "timed_out": exits.TIMEOUT,
    "cancelled": exits.INTERRUPTED,
}


def _find_begun(messages: Sequence[Message]) -> tuple[str, list[ToolCall]]:
    """What the last turn has said already, and its calls that have no result."""
    text, calls = "", dict[CallId, ToolCall]()
    for message in messages:
        match message:
            case UserMessage():
                text, calls = "", {}
            case AssistantMessage():
                text += message.text
                calls |= {call.id: call for call in message.calls}
            case ToolResult():
                calls.pop(message.call, None)
    return text, list(calls.values())


def _with_own_id(call: ToolCall, taken: set[CallId]) -> ToolCall:
    """`call` under an id that no other of the conversation has: some servers repeat theirs. `taken` grows by it."""
    wanted = call.id[:_MAX_ID]
    own = next(
        each for number in count(1) if (each := CallId(f"{wanted}-{number}" if number > 1 else wanted)) not in taken
    )
    taken.add(own)
    return replace(call, id=own)


def _show(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… [{len(text) - _MAX_SHOWN} more characters]"
