"""The agent loop: ask the model, run what it proposes, give it the results, until it has answered.

It promises a conversation that is valid after every step, whatever happens: each message is stored before the next
thing is done, and every proposed call gets exactly one result, by way of the tools, which go to the guard. A tool's
failure is the model's to know; a model's failure is the turn's.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from aiosd import exits
from aiosd.agent.budget import Budget
from aiosd.agent.context import BYTES_PER_TOKEN, Context
from aiosd.agent.conversation import find_variables
from aiosd.agent.planned import find_planned
from aiosd.agent.recall import Recall
from aiosd.agent.structured import NUDGE, Answer
from aiosd.agent.summary import Summary, with_summary, write_summary
from aiosd.errors import ContextOverflowError, ModelGarbledError
from aiosd.model.base import (
    AgainDelta,
    AssistantMessage,
    CallDelta,
    Delta,
    FactsDelta,
    KeptDelta,
    Message,
    Model,
    ModelRequest,
    PartDelta,
    ReasoningDelta,
    SentLog,
    StopDelta,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    UsageDelta,
    UserMessage,
    VerdictDelta,
    closing,
)
from aiosd.tools import ArgumentError, Tool, ToolContext, reviewed
from aiosd.types import CallId, JsonObject, JsonValue
from aiosd.wire import Argument, CallDone, CallProposed, Usage
from aiosd.wire import TextDelta as TextEvent
from aiosd.wire_talk import Facts, Notice, ProgressDelta

_MAX_CALLS = 32  # in one step
_MAX_ID = 80  # of a call, in characters; the guard takes 100
_MAX_SHOWN = 4096  # of an argument, in an event
_NOT_TWICE = ("task", "ask_user")  # what a turn that goes on does not begin anew
_OFTEN, _TOO_OFTEN = 3, 6  # the same call in one turn: told, and no longer run
SUMMING_UP = "what was said before is told in short"
_STOPS = {
    "length": "the answer is cut off: it reached max_output_tokens",
    "refused": "the provider withheld the rest of the answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How a turn ended: the answer, and the exit status it deserves (no denied or refused step is a success)."""

    text: str
    exit_status: int
    steps: int


class Loop:
    """One turn's loop. `store` keeps messages and returns when they are kept; `log` is told what is sent to a model.

    `prefix` begins the ids of its calls. Where there is an `answer`, its tool gives the turn's answer and ends it. With
    `keep_summary`, which keeps one, the turns before are told in short when the window is nearly full, by `summariser`:
    a model of its own, as a chain does not ask again who once gave no answer.
    """

    def __init__(
        self,
        *,
        model: Model,
        tools: Sequence[Tool],
        system: str,
        budget: Budget,
        context: ToolContext,
        store: Callable[[Sequence[Message]], Awaitable[None]],
        log: SentLog | None = None,
        prefix: str = "",
        answer: Answer | None = None,
        keep_summary: Callable[[Summary], Awaitable[None]] | None = None,
        summariser: Model | None = None,
    ) -> None:
        self._model = model
        self._messages: list[Message] = []
        own = (Recall(self._messages), *((answer,) if answer else ()))
        self._tools: Mapping[str, Tool] = {tool.spec.name: tool for tool in (*tools, *own)}
        self._answer = answer
        self._system = system
        self._budget = budget
        self._context = context
        self._store = store
        self._log = log
        self._prefix = prefix
        self._nudged = False
        self._keep_summary = keep_summary
        self._summariser = summariser or model
        self._summary: Summary | None = None
        self._began = 0  # the running turn, among the messages
        self._made: Counter[str] = Counter()  # how often each call was proposed
        self._exit_status = exits.OK
        told = len(system) + sum(map(_count_told, (tool.spec for tool in self._tools.values())))
        tokens = model.info.context_tokens
        self._window = Context(max(tokens * BYTES_PER_TOKEN - told, told) if tokens else 0)

    async def run(
        self, history: Sequence[Message], summary: Summary | None = None, *, planned: bool = False
    ) -> Answered:
        """Run the turn that the last question of `history` begins. Raises what ends it without an answer.

        A turn that had been begun goes on where it was: with the calls that have no result. With `planned` the calls
        that the turn before left undone as a plan are done first, and the model hears of them as its own. `summary` is
        what the beginning of `history` came to, where it was told in short before.
        """
        self._messages.extend(history)
        self._context.variables.update(find_variables(history))
        self._summary = summary
        self._began = max((at for at, each in enumerate(history) if isinstance(each, UserMessage)), default=0)
        if planned and (calls := find_planned(history)):
            taken = {each.id for said in history if isinstance(said, AssistantMessage) for each in said.calls}
            own = tuple(_with_own_id(call, taken, prefix=self._prefix) for call in calls)
            await self._keep(AssistantMessage(text="", calls=own))
        text, open_calls = _find_begun(self._messages)
        await self._run_all(open_calls, again=not planned)
        while True:
            self._budget.begin_step()
            message = await self._ask()
            text += message.text
            await self._keep(message)
            await self._run_all(message.calls)
            if self._answer:
                if self._answer.is_given:
                    return self._end(self._answer.render(self._context.emit))
                if not message.calls:
                    await self._nudge()
            elif not message.calls:
                return self._end(text)

    def _end(self, text: str) -> Answered:
        return Answered(text=text, exit_status=self._exit_status, steps=self._budget.used_steps)

    async def _nudge(self) -> None:
        """Ask for the answer in its form; ModelGarbledError where that has been asked before."""
        if self._nudged:
            raise ModelGarbledError("the model gave no answer that fits the schema", hint="ask another model")
        self._nudged = True
        await self._keep(UserMessage(text=NUDGE))

    async def _run_all(self, calls: Sequence[ToolCall], *, again: bool = False) -> None:
        async with reviewed(calls, self._tools, self._context):
            for call in calls:
                lost = again and call.tool in _NOT_TWICE
                await self._keep(self._fail(call, "interrupted by the daemon's end") if lost else await self._run(call))

    async def _keep(self, message: Message) -> None:
        await self._store([message])
        self._messages.append(message)

    async def _ask(self) -> AssistantMessage:
        """The model's next message; what it cannot read at once is shortened until it can."""
        await self._sum_up()
        while True:
            told = with_summary(self._messages, self._summary)
            try:
                return await self._read(self._request(told))
            except ContextOverflowError:
                if not self._window.tighten(told):
                    raise
                text = "the conversation is longer than the model can read: its older part is told in short"
                self._context.emit(Notice(text=text, void=True))

    def _request(self, told: Sequence[Message]) -> ModelRequest:
        messages = self._window.fit(told)
        less = self._window.shortens or self._summary is not None
        return ModelRequest(
            system=self._system,
            messages=messages,
            tools=tuple(tool.spec for name, tool in self._tools.items() if less or name != Recall.spec.name),
            log=self._log,
        )

    async def _sum_up(self) -> None:
        """Have what came before this turn told in short, where it takes the room that the turn needs; once in a turn.

        Where the model gives nothing, or has no step left for it, the rules of `Context` alone shorten.
        """
        if self._keep_summary is None or not self._window.is_nearly_full(with_summary(self._messages, self._summary)):
            return
        if self._began <= (self._summary.upto if self._summary else 0):
            return
        before = with_summary(self._messages[: self._began], self._summary)
        if not self._window.fills(before) or not self._budget.spare_step():
            return
        keep, self._keep_summary = self._keep_summary, None
        self._context.emit(ProgressDelta(tool="", text=SUMMING_UP))
        written = await write_summary(self._summariser, self._request(before))
        if written.usage:
            self._tell(written.usage)
        if written.text:
            self._summary = Summary(upto=self._began, text=written.text)
            self._window = Context(self._window.room)
            await keep(self._summary)

    async def _read(self, request: ModelRequest) -> AssistantMessage:
        text, calls, kept = list[str](), list[ToolCall](), list[JsonObject]()
        known = {
            each.id for message in self._messages if isinstance(message, AssistantMessage) for each in message.calls
        }
        taken = set(known)
        async with closing(self._model.stream(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        piece = delta.text.encode("utf-8", "replace").decode()  # providers may cut a surrogate pair
                        text.append(piece)
                        self._context.emit(
                            ProgressDelta(tool="", text=piece) if self._answer else TextEvent(text=piece)
                        )
                    case CallDelta() if len(calls) < _MAX_CALLS:
                        calls.append(_with_own_id(delta.call, taken, prefix=self._prefix))
                    case KeptDelta():
                        kept.append(delta.block)
                    case AgainDelta():
                        text, calls, kept, taken = [], [], [], set(known)
                        self._context.emit(Notice(text=delta.reason, void=True))
                    case _:
                        self._tell(delta)
        return AssistantMessage(text="".join(text), calls=tuple(calls), kept=tuple(kept))

    def _tell(self, delta: Delta) -> None:
        """What is not part of the message."""
        match delta:
            case ReasoningDelta():
                self._context.emit(ProgressDelta(tool="", text=delta.text))
            case PartDelta():
                self._context.emit(ProgressDelta(tool=delta.tool, text=delta.text))
            case UsageDelta():
                self._budget.use_tokens(delta.input_tokens + delta.output_tokens)
                self._context.emit(
                    Usage(
                        input_tokens=delta.input_tokens,
                        output_tokens=delta.output_tokens,
                        cached_tokens=delta.cached_tokens,
                        cost=delta.cost,
                    )
                )
            case StopDelta():
                self._context.emit(Notice(text=_STOPS[delta.reason], void=False))
                self._note(exits.FAILED)
            case FactsDelta():
                self._context.emit(Facts(about=delta.about, said=delta.said, rows=delta.rows, missing=delta.missing))
            case VerdictDelta(verdict="not_understood" | "failed"):
                self._note(exits.FAILED)
            case _:
                pass

    async def _run(self, call: ToolCall) -> ToolResult:
        arguments = tuple(Argument(name=name, value=_show(value)) for name, value in call.arguments.items())
        self._context.emit(CallProposed(call=call.id, tool=call.tool, arguments=arguments))
        tool = self._tools.get(call.tool)
        if call.fault:
            return self._fail(call, call.fault)
        if tool is None:
            return self._fail(call, f"there is no tool {call.tool}; there are {', '.join(self._tools)}")
        key = json.dumps([call.tool, call.arguments], sort_keys=True)
        self._made[key] += 1
        if self._made[key] >= _TOO_OFTEN:
            return self._fail(call, f"this was proposed {self._made[key]} times in this turn and is no longer run")
        try:
            result = await tool.run(call, self._context)
        except ArgumentError as exc:
            return self._fail(call, str(exc))
        if not (self._context.plan and result.outcome == "unanswered"):
            self._note(_STATUS_OF_OUTCOME[result.outcome])
        if self._made[key] >= _OFTEN:
            self._context.emit(Notice(text=f"the same call for the {self._made[key]}. time in this turn", void=False))
            again = f"[the {self._made[key]}. time with these arguments: do something else, or say what is in the way]"
            result = replace(result, text=f"{result.text}\n{again}")
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
    "skipped": exits.OK,  # by a person, who wants the rest
    "unanswered": exits.NOBODY_TO_ASK,
    "refused": exits.BROKEN,
    "timed_out": exits.TIMEOUT,
    "cancelled": exits.INTERRUPTED,
}


def _count_told(spec: ToolSpec) -> int:
    """About how many bytes a tool takes in a request."""
    return 50 + len(spec.name) + len(spec.description) + len(str(spec.parameters))


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


def _with_own_id(call: ToolCall, taken: set[CallId], *, prefix: str) -> ToolCall:
    """`call` under an id that no other of the conversation has: some servers repeat theirs. `taken` grows by it."""
    wanted = f"{prefix}{call.id}"[:_MAX_ID]
    own = next(
        each for number in count(1) if (each := CallId(f"{wanted}-{number}" if number > 1 else wanted)) not in taken
    )
    taken.add(own)
    return replace(call, id=own)


def _show(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… [{len(text) - _MAX_SHOWN} more characters]"
