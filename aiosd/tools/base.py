"""What a tool is: a specification for the model, and a run that hands one action to the guard.

A tool plans and reports; it touches nothing itself. Its answer is always a ToolResult: a refusal, a time-out and a bad
argument are results that go back to the model.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, cast, get_args, runtime_checkable

from aiosd.egress.desk import Desk
from aiosd.egress.given import AskPerson, Made
from aiosd.errors import GuardRefusedError, GuardUnavailableError, InvalidRequestError
from aiosd.guard.client import GuardClient
from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.foreign import reads_below
from aiosd.tools.output import CollectedOutput, Stream
from aiosd.types import JsonObject, JsonValue, SessionId
from aiosd.wire import (
    ApprovalNeeded,
    CallDone,
    CallOutcome,
    DecisionMade,
    Event,
    OpaqueInfo,
    Output,
    PartInfo,
    RuleInfo,
    TierName,
    VerdictInfo,
)
from aiosd.wire_talk import Notice

_TITLE = "the network"  # of what was the matter there
_MAX_REFUSALS = 3
NOT_RUN = ("denied", "unanswered", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """Where a turn's tools act: the guard's session, the client's working directory, and who hears of it.

    `most` is the strictest tier that may run ("" is any); with `plan` it is no failure to be above it. `foreign` names
    whence text of others entered the turn, and grows: where `careful`, what would then be announced is asked about.
    What lies below `downloads` (`~` is `home`) is of others, too.
    `egress` serves what a command may reach of the network; without it there is none. `moved` is where commands
    have gone in this turn; `variables` what the session's commands are given. `told` is what the person was told once.
    `keep` takes what commands made for the session; `put_files` gives a guard that does not have them its files.
    """

    guard: GuardClient
    session: SessionId
    cwd: str
    wait_s: int
    result_bytes: int
    emit: Callable[[Event], None]
    most: str = ""
    plan: bool = False
    careful: bool = True
    foreign: set[str] = field(default_factory=set)
    downloads: tuple[str, ...] = ()
    home: str = ""
    egress: Desk | None = None
    moved: dict[Literal["cwd"], str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    keep: Callable[[bytes], Awaitable[None]] | None = None
    put_files: Callable[[], Awaitable[None]] | None = None

    @property
    def place(self) -> str:
        """The working directory: the client's, until a command went elsewhere."""
        return self.moved.get("cwd", self.cwd)


class Tool(Protocol):
    """A tool the model can call."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        ...

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Do what the call proposes, if the guard lets it."""
        ...


@runtime_checkable
class Reviewable(Tool, Protocol):
    """A tool whose action can be shown to a person before its turn comes."""

    def propose(self, call: ToolCall, context: ToolContext) -> JsonObject:
        """What it will propose, as the guard takes it; ArgumentError."""
        ...


class ArgumentError(Exception):
    """A model's argument is missing or of the wrong type; the message is for the model."""


def text_argument(call: ToolCall, name: str, *, default: str | None = None) -> str:
    """A text argument; ArgumentError if it is missing or no text."""
    value = call.arguments.get(name, default)
    if not isinstance(value, str):
        raise ArgumentError(f"{call.tool} needs {name}, a string")
    return value


def integer_argument(call: ToolCall, name: str, *, default: int) -> int:
    """A whole number; ArgumentError if it is none."""
    value = call.arguments.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentError(f"{name} of {call.tool} is a whole number")
    return value


async def perform(
    call: ToolCall, context: ToolContext, method: str, parameters: JsonObject, *, moves: bool = False
) -> ToolResult:
    """Hand one action to the guard and follow it to its end, passing events on. Cancelling interrupts the action.

    With `moves`, what comes later in the turn begins where this one went. ArgumentError for what the guard does not
    take, of which nothing has happened then.
    """
    collected = CollectedOutput(context.result_bytes)
    proposal = {**complete(call, context, parameters), "session": context.session}
    made: list[Made] = []
    try:
        if context.egress is None:
            done = await _follow(call, context, collected, (method, proposal))
        else:
            async with context.egress.channel(made.append, ask_person(call, context)) as channel:
                done = await _follow(call, context, collected, (method, proposal), channel)
    except InvalidRequestError as exc:
        raise ArgumentError(exc.message) from exc
    except GuardRefusedError as exc:
        done = {"outcome": "refused", "status": -1, "reason": exc.message}
    except GuardUnavailableError as exc:
        done = {"outcome": "cancelled", "status": -1, "reason": exc.message}
    finally:
        await _record_connections(call, context, made)
    if done["outcome"] not in NOT_RUN:
        if done.get("foreign"):
            context.foreign.add("files of others")
        if reads_below(parameters, context.downloads, context.home):
            context.foreign.add("downloads")
    if moves and done.get("cwd"):
        context.moved["cwd"] = str(done["cwd"])
    if done.get("job") and done["outcome"] == "done":
        done["reason"] = f"job {done['job']} runs in the background"
    given = done.get("variables")
    if isinstance(given, dict):
        context.variables.clear()
        context.variables.update({name: str(value) for name, value in given.items()})
        told = f"from here on commands are given {', '.join(given) or 'no variables of yours'}"
        done["reason"] = "; ".join(filter(None, (str(done.get("reason") or ""), told)))
    if made:
        done["reason"] = _add_refusals(str(done.get("reason") or ""), made)
    for stream in get_args(Stream):
        _collect(call, context, collected, stream, b"", last=True)
    result = _finish(call, context, done, collected)
    return replace(result, variables=dict(context.variables)) if isinstance(given, dict) else result


def report(call: ToolCall, context: ToolContext, outcome: CallOutcome, text: str) -> ToolResult:
    """The end of a call that was no action: nothing was decided, and what it says is `text`."""
    collected = CollectedOutput(context.result_bytes)
    for last in (False, True):
        _collect(call, context, collected, "stdout", b"" if last else text.encode(), last=last)
    return _finish(call, context, {"outcome": outcome, "output_bytes": len(text.encode())}, collected)


def ask_person(call: ToolCall, context: ToolContext) -> AskPerson:
    """Puts a host that the command of a call wants to reach to a person, by the guard."""

    async def ask(host: str, port: int) -> str:
        why = "the guard gave no answer"
        wanted: JsonObject = {"session": context.session, "call": call.id, "host": host, "port": port}
        try:
            async with context.guard.stream("Reach", wanted) as events:
                async for event in events:
                    if event.get("event") == "approval":
                        approval, expires_at = str(event["approval"]), str(event["expires_at"])
                        context.emit(ApprovalNeeded(call=call.id, approval=approval, expires_at=expires_at))
                    elif event.get("event") == "done":
                        why = "" if event.get("outcome") == "approved" else str(event.get("reason"))
        except (GuardUnavailableError, GuardRefusedError, InvalidRequestError) as exc:
            return f"{host}:{port} is in no list, and nobody could be asked: {exc.message}"
        return why

    return ask


def complete(call: ToolCall, context: ToolContext, parameters: JsonObject) -> JsonObject:
    """What is proposed to the guard, with what the turn bounds it by."""
    proposal: JsonObject = {**parameters, "call": call.id, "wait_s": context.wait_s or None}
    if context.most:
        proposal["most"] = context.most
    if context.careful and context.foreign:
        proposal["careful"] = ", ".join(sorted(context.foreign))
    return proposal


def _list_foreign(verdict: VerdictInfo) -> set[str]:
    """Whose words a command shows: whoever can write to the journal has words in it."""
    return {facet for part in verdict.parts for facet in part.facets if facet == "journal"}


async def _follow(
    call: ToolCall,
    context: ToolContext,
    collected: CollectedOutput,
    asked: tuple[str, JsonObject],
    channel: int = -1,
) -> JsonObject:
    """The last event of an action, the others passed on. While it waits for an answer the guard may be another one."""
    shown = _Shown(channel)
    while True:
        try:
            return await _follow_one(call, context, collected, asked, shown)
        except GuardUnavailableError:
            if not shown.waiting or not await context.guard.keeps(context.session, call.id):
                raise
            if context.put_files:
                await context.put_files()


class _Shown:
    """The card that was told of, and whether it still waits; `channel` for the network of what it is about."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.approval = ""
        self.waiting = False


async def _follow_one(
    call: ToolCall,
    context: ToolContext,
    collected: CollectedOutput,
    asked: tuple[str, JsonObject],
    shown: _Shown,
) -> JsonObject:
    done: JsonObject = {"outcome": "refused", "status": -1, "reason": "the guard gave no answer"}
    made = b""
    async with context.guard.stream(*asked, egress_fd=shown.channel) as events:
        async for event in events:
            shown.waiting = event.get("event") == "approval"
            match event.get("event"):
                case "decision" if not shown.approval:
                    verdict = parse_verdict(_object(event["verdict"]))
                    context.emit(DecisionMade(call=call.id, verdict=verdict))
                    context.foreign.update(_list_foreign(verdict))
                case "approval":
                    approval, expires_at = str(event["approval"]), str(event["expires_at"])
                    if approval != shown.approval:
                        context.emit(ApprovalNeeded(call=call.id, approval=approval, expires_at=expires_at))
                    shown.approval = approval
                case "output":
                    _collect(call, context, collected, event["stream"], base64.b64decode(str(event["data"])))
                case "files":
                    made += base64.b64decode(str(event["data"]))
                    if not event.get("more") and context.keep:
                        await context.keep(made)
                case "done":
                    done = event
                    if why := str(event.get("volatile") or ""):
                        _tell_once(context, f"the record is kept in memory, as the disk takes nothing: {why}")
    return done


def _tell_once(context: ToolContext, text: str) -> None:
    if text not in context.told:
        context.told.add(text)
        context.emit(Notice(text=text, void=False))


async def _record_connections(call: ToolCall, context: ToolContext, made: Sequence[Made]) -> None:
    """Put what a command wanted to reach on the guard's record."""
    with suppress(GuardUnavailableError, GuardRefusedError):
        for each in made:
            await context.guard.call(
                "Connected",
                {
                    "session": context.session,
                    "call": call.id,
                    "host": each.host,
                    "port": each.port,
                    "address": each.address,
                    "refused": each.refused,
                    "sent": each.sent,
                    "received": each.received,
                },
            )


def _add_refusals(reason: str, made: Sequence[Made]) -> str:
    """The reason with what the proxy refused: the command itself was told no more than that there is no connection."""
    refused = dict.fromkeys(f"{_TITLE}: {each.refused}" for each in made if each.refused)
    return "; ".join([*([reason] if reason else []), *list(refused)[:_MAX_REFUSALS]])


def _collect(
    call: ToolCall,
    context: ToolContext,
    collected: CollectedOutput,
    name: JsonValue,
    data: bytes,
    *,
    last: bool = False,
) -> None:
    stream: Stream = "stderr" if name == "stderr" else "stdout"
    text = collected.add(stream, data, last=last)
    if text:
        context.emit(Output(call=call.id, stream=stream, text=text))


def _finish(call: ToolCall, context: ToolContext, done: JsonObject, collected: CollectedOutput) -> ToolResult:
    outcome = cast("CallOutcome", done["outcome"])
    reason = str(done.get("reason") or "")
    status = _integer(done.get("status"), -1)
    truncated = bool(done.get("truncated")) or collected.clipped
    command = str(done.get("command") or "")
    context.emit(
        CallDone(
            call=call.id,
            outcome=outcome,
            status=status,
            reason=reason,
            duration_ms=_integer(done.get("duration_ms"), 0),
            output_bytes=_integer(done.get("output_bytes"), 0),
            truncated=truncated,
            command=command,
        )
    )
    body = collected.render()
    if reason:
        body = f"{body}\n[{outcome}: {reason}]" if body else f"[{outcome}: {reason}]"
    result = ToolResult(
        call=call.id,
        text=body,
        outcome=outcome,
        status=status if status >= 0 else None,
        truncated=truncated,
        command=command,
        place=context.place if context.plan and outcome == "unanswered" else "",
    )
    return replace(result, text=f"{result.instead}{body}")


def parse_verdict(given: JsonObject) -> VerdictInfo:
    """The guard's verdict as it goes to clients."""
    opaque = given.get("opaque")
    return VerdictInfo(
        tier=cast("TierName", given["tier"]),
        reason=str(given["reason"]),
        confinement=str(given["confinement"]),
        run_as="root" if given["run_as"] == "root" else "user",
        opaque=OpaqueInfo(position=_integer(opaque.get("position"), 0), reason=str(opaque.get("reason")))
        if isinstance(opaque, dict)
        else None,
        parts=tuple(_parse_part(_object(part)) for part in _list(given["parts"])),
    )


def _parse_part(part: JsonObject) -> PartInfo:
    return PartInfo(
        text=str(part["text"]),
        tier=cast("TierName", part["tier"]),
        reason=str(part["reason"]),
        suggest=str(part["suggest"]),
        remedy=str(part["remedy"]),
        facets=tuple(map(str, _list(part["facets"]))),
        rules=tuple(
            RuleInfo(
                name=str(rule["name"]),
                tier=cast("TierName", rule["tier"]),
                file=str(rule["file"]),
                line=_integer(rule["line"], 0),
            )
            for rule in map(_object, _list(part["rules"]))
        ),
    )


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _integer(value: JsonValue, default: int) -> int:
    return value if isinstance(value, int) else default
