"""The tools that touch nothing: `ask_user` puts a question to the person, `todo` shows what is to be done."""

from collections.abc import Awaitable, Callable
from typing import cast, get_args

from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools import ArgumentError, ToolContext
from aiosd.tools.base import text_argument
from aiosd.types import CallId, JsonObject, JsonValue
from aiosd.wire import CallDone, CallOutcome
from aiosd.wire_talk import Question, TodoItem, TodoList, TodoState

_MAX_CHOICES = 9
_MAX_ITEMS = 50
_NOBODY = "nobody answered: go on without it, or say what you would need to know"


class AskUser:
    """`wait` returns what the person says, None where nobody does in time."""

    spec = ToolSpec(
        name="ask_user",
        description="Ask the person what only they decide; never for permission.",
        parameters={
            "type": "object",
            "properties": {
                "question": {"type": "string"},
                "choices": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["question"],
        },
    )

    def __init__(self, wait: Callable[[CallId, Callable[[], None]], Awaitable[str | None]]) -> None:
        self._wait = wait

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Ask, and wait."""
        text = text_argument(call, "question")
        choices = tuple(map(str, _list(call, "choices")))[:_MAX_CHOICES]
        answer = await self._wait(call.id, lambda: context.emit(Question(call=call.id, text=text, choices=choices)))
        if answer is None:
            _finish(call, context, "failed", _NOBODY)
            return ToolResult(call=call.id, text=_NOBODY, outcome="failed")
        _finish(call, context, "done", "")
        return ToolResult(call=call.id, text=answer)


class Todo:
    """Shows the whole list each time."""

    spec = ToolSpec(
        name="todo",
        description="In work of several steps: show the whole list, again at each change.",
        parameters={
            "type": "object",
            "properties": {
                "items": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"text": {"type": "string"}, "state": {"enum": list(get_args(TodoState))}},
                    },
                }
            },
            "required": ["items"],
        },
    )

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Show it."""
        items = tuple(map(_parse_item, _list(call, "items")[:_MAX_ITEMS]))
        context.emit(TodoList(items=items))
        _finish(call, context, "done", "")
        left = sum(each.state != "done" for each in items)
        return ToolResult(call=call.id, text=f"shown; {left} left")


def _parse_item(given: JsonValue) -> TodoItem:
    item: JsonObject = given if isinstance(given, dict) else {}
    state = item.get("state")
    if not isinstance(item.get("text"), str) or state not in get_args(TodoState):
        raise ArgumentError(f"each item of todo has text and a state: {', '.join(get_args(TodoState))}")
    return TodoItem(text=str(item["text"]), state=cast("TodoState", state))


def _list(call: ToolCall, name: str) -> list[JsonValue]:
    value = call.arguments.get(name, [])
    if not isinstance(value, list):
        raise ArgumentError(f"{call.tool} needs {name}, a list")
    return value


def _finish(call: ToolCall, context: ToolContext, outcome: CallOutcome, reason: str) -> None:
    context.emit(
        CallDone(call=call.id, outcome=outcome, status=0, reason=reason, duration_ms=0, output_bytes=0, truncated=False)
    )
