"""The `recall` tool: what was left out of an earlier result, by its call's id, from the conversation alone.

A model is told of it once something is left out, when what a provider has cached is void anyway.
"""

from collections.abc import Sequence

from aiosd.model.base import Message, ToolCall, ToolResult, ToolSpec
from aiosd.tools import ArgumentError, ToolContext
from aiosd.tools.base import integer_argument, text_argument
from aiosd.wire import CallDone


class Recall:
    """A Tool over the conversation `messages`, which grows."""

    spec = ToolSpec(
        name="recall",
        description="What was left out of a result, from `offset` on.",
        parameters={
            "type": "object",
            "properties": {"call": {"type": "string"}, "offset": {"type": "integer"}},
            "required": ["call"],
        },
    )

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """The part of it that fits."""
        wanted, offset = text_argument(call, "call"), max(integer_argument(call, "offset", default=0), 0)
        found = [each.text for each in self._messages if isinstance(each, ToolResult) and each.call == wanted]
        if not found:
            raise ArgumentError(f"there is no result of {wanted}")
        text = found[0][offset : offset + context.result_bytes // 4]
        left = len(found[0]) - offset - len(text)
        if left > 0:
            text += f"\n[… {left} more; recall(call={wanted!r}, offset={offset + len(text)}) …]"
        context.emit(
            CallDone(
                call=call.id,
                outcome="done",
                status=0,
                reason="",
                duration_ms=0,
                output_bytes=len(text.encode("utf-8", "replace")),
                truncated=left > 0,
            )
        )
        return ToolResult(call=call.id, text=text or "(nothing is left out)", status=0)
