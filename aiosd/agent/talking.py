"""The tools that touch nothing: `ask_user` puts a question to the person, `todo` shows what is to be done."""

from collections.abc import Awaitable, Callable, Mapping

from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools import ArgumentError, ToolContext
from aiosd.tools.base import text_argument
from aiosd.types import CallId, JsonValue
from aiosd.wire import CallDone, CallOutcome
from aiosd.wire_talk import Question, TodoItem, TodoList, TodoState

_MAX_CHOICES = 9
_MAX_ITEMS = 50
_STATES: Mapping[str, TodoState] = {"[ ]": "open", "[>]": "doing", "[x]": "done"}
_NOBODY = "nobody answered: go on without it, or say what you would need to know"


class AskUser:
    """`wait` returns what the person says, None where nobody does in time."""

    spec = ToolSpec(
        name="ask_user",
        description="Ask what only the person decides, never permission.",
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
        description="Several steps: show all at each change, as `[ ] open`, `[>] doing`, `[x] done`.",
        parameters={
            "type": "object",
            "properties": {"items": {"type": "array", "items": {"type": "string"}}},
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
    text = given if isinstance(given, str) else ""
    state, words = _STATES.get(text[:3]), text[3:].strip()
    if state is None or not words:
        raise ArgumentError(f"each item of todo is a text behind one of {', '.join(_STATES)}")
    return TodoItem(text=words, state=state)


def _list(call: ToolCall, name: str) -> list[JsonValue]:
    value = call.arguments.get(name, [])
    if not isinstance(value, list):
        raise ArgumentError(f"{call.tool} needs {name}, a list")
    return value


def _finish(call: ToolCall, context: ToolContext, outcome: CallOutcome, reason: str) -> None:
    context.emit(
        CallDone(call=call.id, outcome=outcome, status=0, reason=reason, duration_ms=0, output_bytes=0, truncated=False)
    )
