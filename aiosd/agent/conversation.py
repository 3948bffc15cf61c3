"""The conversation as it is stored, and as a model takes it: messages to JSON and back."""

from collections.abc import Sequence
from typing import assert_never, cast

from aiosd.errors import StorageError
from aiosd.model.base import AssistantMessage, Message, Picture, ToolCall, ToolResult, UserMessage
from aiosd.types import CallId, JsonObject, JsonValue


def render_message(message: Message) -> JsonObject:
    """One message as stored."""
    match message:
        case UserMessage():
            pictures: list[JsonValue] = [
                {"media_type": each.media_type, "data": each.data} for each in message.pictures
            ]
            words: JsonObject = {"role": "user", "text": message.text}
            return {**words, "pictures": pictures} if pictures else words
        case AssistantMessage():
            calls: list[JsonValue] = [_render_call(call) for call in message.calls]
            stored: JsonObject = {"role": "assistant", "text": message.text, "calls": calls}
            return {**stored, "kept": list(message.kept)} if message.kept else stored
        case ToolResult():
            result: JsonObject = {
                "role": "tool",
                "call": message.call,
                "text": message.text,
                "outcome": message.outcome,
                "status": message.status,
                "truncated": message.truncated,
            }
            besides: JsonObject = {"command": message.command, "place": message.place}
            given: JsonObject = {} if message.variables is None else {"variables": dict(message.variables)}
            return {**result, **{name: value for name, value in besides.items() if value}, **given}
        case _:
            assert_never(message)


def parse_message(stored: JsonObject) -> Message:
    """A stored message. StorageError for what no version of this wrote."""
    match stored:
        case {"role": "user", "text": str(text)}:
            given = stored.get("pictures")
            return UserMessage(
                text=text,
                pictures=tuple(
                    Picture(media_type=str(each["media_type"]), data=str(each["data"]))
                    for each in (given if isinstance(given, list) else [])
                    if isinstance(each, dict)
                ),
            )
        case {"role": "assistant", "text": str(text), "calls": list(calls)}:
            kept = stored.get("kept")
            return AssistantMessage(
                text=text,
                calls=tuple(_parse_call(cast("JsonObject", call)) for call in calls),
                kept=tuple(each for each in kept if isinstance(each, dict)) if isinstance(kept, list) else (),
            )
        case {"role": "tool", "call": str(call), "text": str(text), "outcome": str(outcome)}:
            status, given = stored.get("status"), stored.get("variables")
            return ToolResult(
                call=CallId(call),
                text=text,
                outcome=outcome,  # type: ignore[arg-type] # as render_message wrote it
                status=status if isinstance(status, int) else None,
                truncated=bool(stored.get("truncated")),
                command=str(stored.get("command", "")),
                place=str(stored.get("place", "")),
                variables={name: str(value) for name, value in given.items()} if isinstance(given, dict) else None,
            )
        case _:
            raise StorageError("a stored message cannot be read", hint="start a new session")


def find_variables(history: Sequence[Message]) -> dict[str, str]:
    """What a session's commands are given after `history`."""
    changed = (each.variables for each in reversed(history) if isinstance(each, ToolResult))
    return next((given for given in changed if given is not None), {})


def _render_call(call: ToolCall) -> JsonObject:
    stored: JsonObject = {"id": call.id, "tool": call.tool, "arguments": call.arguments}
    return {**stored, "fault": call.fault} if call.fault else stored


def _parse_call(stored: JsonObject) -> ToolCall:
    arguments = stored["arguments"]
    return ToolCall(
        id=CallId(str(stored["id"])),
        tool=str(stored["tool"]),
        arguments=arguments if isinstance(arguments, dict) else {},
        fault=str(stored.get("fault", "")),
    )
