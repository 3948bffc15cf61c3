"""The calls of one step, shown to a person together before the first of them is done.

The guard makes the cards, each with its own digest, and each is answered once. Where fewer than two calls ask anybody,
nothing is shown, and every call asks when its turn comes.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiosd.errors import GuardRefusedError, GuardUnavailableError, InvalidRequestError
from aiosd.model.base import ToolCall
from aiosd.tools.base import ArgumentError, Reviewable, Tool, ToolContext, complete
from aiosd.types import JsonObject, JsonValue
from aiosd.wire import CardInfo, ReviewNeeded


@asynccontextmanager
async def reviewed(calls: Sequence[ToolCall], tools: Mapping[str, Tool], context: ToolContext) -> AsyncIterator[None]:
    """While the calls are done, in order, what a person has answered about them counts."""
    proposals = list(_propose(calls, tools, context))
    if context.most or len(proposals) < 2:
        yield
        return
    async with contextlib.AsyncExitStack() as open_calls:
        with contextlib.suppress(GuardRefusedError, GuardUnavailableError, InvalidRequestError):
            asked: JsonObject = {"session": context.session, "proposals": proposals}
            events = await open_calls.enter_async_context(context.guard.stream("Review", asked))
            await _show(events, context)
        yield


def _propose(calls: Sequence[ToolCall], tools: Mapping[str, Tool], context: ToolContext) -> list[JsonValue]:
    proposals: list[JsonValue] = []
    for call in calls:
        tool = tools.get(call.tool)
        if isinstance(tool, Reviewable) and not call.fault:
            with contextlib.suppress(ArgumentError):  # it is told when its turn comes
                proposals.append(complete(call, context, tool.propose(call, context)))
    return proposals


async def _show(events: AsyncIterator[JsonObject], context: ToolContext) -> None:
    """Tell of the cards, and return when each has its answer, or their time is over."""
    async for event in events:
        if event.get("event") != "review":
            return
        context.emit(ReviewNeeded(approvals=tuple(map(_parse, _list(event.get("approvals"))))))


def _parse(given: JsonValue) -> CardInfo:
    card = given if isinstance(given, dict) else {}
    return CardInfo(
        call=str(card.get("call")), approval=str(card.get("approval")), expires_at=str(card.get("expires_at"))
    )


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
