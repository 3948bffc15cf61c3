"""The `task` tool: a piece of work in a conversation of its own, of which only the answer comes back.

It has its parent's session with the guard, and so its rights; its budget and its way out; but no person to ask and no
tasks of its own. What it proposes is decided, shown and recorded as its parent's proposals are.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from aiosd import exits
from aiosd.model.base import Message, ToolCall, ToolResult, ToolSpec, UserMessage
from aiosd.tools import ToolContext
from aiosd.tools.base import text_argument
from aiosd.types import CallId
from aiosd.wire import CallDone, Event, TextDelta
from aiosd.wire_talk import ProgressDelta

_OUTCOMES = {exits.DENIED: "denied", exits.NOBODY_TO_ASK: "unanswered", exits.BROKEN: "refused"}


class Answer(Protocol):
    """How a conversation ended."""

    @property
    def text(self) -> str:
        """What was said."""
        ...

    @property
    def exit_status(self) -> int:
        """How it went."""
        ...


class Conversation(Protocol):
    """A loop of its own."""

    async def run(self, history: Sequence[Message]) -> Answer:
        """Run it to its end."""
        ...


class Task:
    """`begin` makes the conversation, from where its tools act and what its calls' ids begin with."""

    spec = ToolSpec(
        name="task",
        description="A helper for work that reads much; it knows only `prompt`.",
        parameters={"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
    )

    def __init__(self, begin: Callable[[ToolContext, str], Conversation]) -> None:
        self._begin = begin

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Have it done."""
        prompt = text_argument(call, "prompt")

        def emit(event: Event) -> None:
            context.emit(ProgressDelta(tool="task", text=event.text) if isinstance(event, TextDelta) else event)

        loop = self._begin(replace(context, emit=emit, variables=dict(context.variables)), f"{call.id}.")
        answered = await loop.run([UserMessage(text=prompt)])
        outcome = _OUTCOMES.get(answered.exit_status, "done")
        size = len(answered.text.encode("utf-8", "replace"))
        context.emit(
            CallDone(
                call=call.id,
                outcome="done",
                status=answered.exit_status,
                reason="",
                duration_ms=0,
                output_bytes=size,
                truncated=False,
            )
        )
        text = answered.text or "(it said nothing)"
        return ToolResult(call=CallId(call.id), text=text, outcome=outcome)  # type: ignore[arg-type] # from the table
