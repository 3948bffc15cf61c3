"""The Anthropic Messages wire. Pure. Source: docs.anthropic.com, "Messages", "Streaming", "Prompt caching".

The prompt and the tools, and the conversation up to its end, are marked for the provider's cache. Signed reasoning is
kept and given back unchanged, as the provider demands of a turn that uses tools.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from aiosd.config import ModelTable
from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    Delta,
    KeptDelta,
    Message,
    ModelRequest,
    PartDelta,
    Picture,
    ReasoningDelta,
    StopDelta,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageDelta,
    UserMessage,
)
from aiosd.model.failures import failure_of_event, garbled
from aiosd.model.fields import get, get_count, get_list, get_object, get_text, parse_arguments, parse_object
from aiosd.model.names import render_id, render_tool
from aiosd.types import CallId, JsonObject, JsonValue

_VERSION = "2023-06-01"
_THINKING = {"low": 1024, "medium": 4096, "high": 16384}  # tokens
_CACHED: JsonObject = {"cache_control": {"type": "ephemeral"}}
_SIGNED = ("thinking", "redacted_thinking")
_NOTHING = "(nothing)"


class Anthropic:
    """A Wire."""

    def url(self, base_url: str) -> str:
        """`base_url` with or without its /v1."""
        base = (base_url or "https://api.anthropic.com").rstrip("/")
        return f"{base}/messages" if base.endswith("/v1") else f"{base}/v1/messages"

    def headers(self, key: str) -> dict[str, str]:
        """The key and the version of the protocol."""
        return {"anthropic-version": _VERSION, **({"x-api-key": key} if key else {})}

    def render(self, request: ModelRequest, table: ModelTable) -> JsonObject:
        """The body."""
        most = table.max_output_tokens
        body: JsonObject = {"model": table.model, "max_tokens": most, "stream": True}
        if table.effort:
            budget = _THINKING[table.effort]
            body["max_tokens"] = most + budget
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        if request.system:
            body["system"] = [{"type": "text", "text": request.system, **_CACHED}]
        if request.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
                for tool in request.tools
            ]
        body["messages"] = _render_messages(request.messages, signed=bool(table.effort))
        return body

    def adapt(self, body: JsonObject, complaint: str) -> JsonObject | None:
        """Without reasoning, where the model has none."""
        if "thinking" in body and "thinking" in complaint:
            return {name: value for name, value in body.items() if name != "thinking"}
        return None

    def unfold(self, whole: JsonObject) -> JsonObject:
        """The message as an event of our own."""
        return {"type": "whole", "message": whole}

    def reader(self) -> "Reader":
        """For one answer."""
        return Reader()


def _render_messages(messages: tuple[Message, ...], *, signed: bool) -> list[JsonValue]:
    """Roles in turn: what a person and what tools said stands together. The last block carries the cache's mark."""
    rendered: list[tuple[str, list[JsonValue]]] = []
    for message in messages:
        role, blocks = _render_message(message, signed=signed)
        if not blocks:
            continue
        if rendered and rendered[-1][0] == role:
            rendered[-1][1].extend(blocks)
        else:
            rendered.append((role, blocks))
    last = rendered[-1][1][-1] if rendered else None
    if isinstance(last, dict):
        rendered[-1][1][-1] = {**last, **_CACHED}
    return [{"role": role, "content": blocks} for role, blocks in rendered]


def _render_message(message: Message, *, signed: bool) -> tuple[str, list[JsonValue]]:
    match message:
        case UserMessage():
            words: JsonObject = {"type": "text", "text": message.text if message.text.strip() else _NOTHING}
            return "user", [*map(_render_picture, message.pictures), words]
        case ToolResult():
            result: JsonObject = {
                "type": "tool_result",
                "tool_use_id": render_id(message.call),
                "content": message.text,
            }
            return "user", [{**result, "is_error": True} if message.is_error else result]
        case AssistantMessage():
            blocks: list[JsonValue] = [each for each in message.kept if signed and each.get("type") in _SIGNED]
            if message.text.strip():
                blocks.append({"type": "text", "text": message.text.rstrip()})
            return "assistant", [*blocks, *map(_render_call, message.calls)]
        case _:
            assert_never(message)


def _render_picture(picture: Picture) -> JsonObject:
    source: JsonObject = {"type": "base64", "media_type": picture.media_type, "data": picture.data}
    return {"type": "image", "source": source}


def _render_call(call: ToolCall) -> JsonObject:
    return {"type": "tool_use", "id": render_id(call.id), "name": render_tool(call.tool), "input": call.arguments}


@dataclass(slots=True)
class _Block:
    """A content block in the making."""

    start: JsonObject
    text: str = ""
    signature: str = ""


@dataclass(slots=True)
class Reader:
    """Reads one answer."""

    _blocks: dict[int, _Block] = field(default_factory=dict)
    _input: int = 0
    _cached: int = 0
    _output: int = 0
    _stop: str = ""

    def read(self, data: str) -> Iterator[Delta]:
        """What an event says."""
        event = parse_object(data)
        if event is None:
            raise garbled("the model sent what is no event of the Messages protocol")
        match event.get("type"):
            case "message_start":
                self._note_usage(get_object(event, "message", "usage"))
            case "content_block_start":
                block = self._blocks[get_count(event, "index")] = _Block(get_object(event, "content_block"))
                if text := get_text(block.start, "text"):
                    yield TextDelta(text=text)
            case "content_block_delta":
                yield from self._add(self._blocks.get(get_count(event, "index")), get_object(event, "delta"))
            case "content_block_stop":
                yield from _finish(self._blocks.pop(get_count(event, "index"), None))
            case "message_delta":
                self._stop = get_text(event, "delta", "stop_reason") or self._stop
                self._note_usage(get_object(event, "usage"))
            case "error":
                raise failure_of_event(event.get("error"))
            case "whole":
                yield from self._read_whole(get_object(event, "message"))
            case str():
                pass  # ping, message_stop, and what they add
            case _:
                raise garbled("the model sent what is no event of the Messages protocol")

    def end(self) -> Iterator[Delta]:
        """Usage, and how it stopped."""
        if not self._stop:
            raise garbled("the model's answer broke off")
        for index in sorted(self._blocks):
            yield from _finish(self._blocks[index])
        if self._input or self._output:
            yield UsageDelta(input_tokens=self._input, output_tokens=self._output, cached_tokens=self._cached)
        if self._stop in ("max_tokens", "model_context_window_exceeded"):
            yield StopDelta(reason="length")
        elif self._stop == "refusal":
            yield StopDelta(reason="refused")

    def _add(self, block: _Block | None, delta: JsonObject) -> Iterator[Delta]:
        if block is None:
            return
        match delta.get("type"):
            case "text_delta":
                yield TextDelta(text=get_text(delta, "text"))
            case "thinking_delta":
                block.text += get_text(delta, "thinking")
                yield ReasoningDelta(text=get_text(delta, "thinking"))
            case "signature_delta":
                block.signature += get_text(delta, "signature")
            case "input_json_delta":
                block.text += get_text(delta, "partial_json")
                yield PartDelta(tool=get_text(block.start, "name"), text=get_text(delta, "partial_json"))

    def _read_whole(self, message: JsonObject) -> Iterator[Delta]:
        self._stop = get_text(message, "stop_reason")
        self._note_usage(get_object(message, "usage"))
        for each in get_list(message, "content"):
            block = _Block(get_object(each), text=get_text(each, "thinking"), signature=get_text(each, "signature"))
            if text := get_text(each, "text"):
                yield TextDelta(text=text)
            yield from _finish(block)

    def _note_usage(self, usage: JsonObject) -> None:
        """Counts are running totals; a later event need not repeat them all."""
        if get(usage, "input_tokens") is not None:
            self._cached = get_count(usage, "cache_read_input_tokens")
            written = get_count(usage, "cache_creation_input_tokens")
            self._input = get_count(usage, "input_tokens") + self._cached + written
        self._output = get_count(usage, "output_tokens") or self._output


def _finish(block: _Block | None) -> Iterator[Delta]:
    """What a whole block is beyond the text that was streamed."""
    if block is None:
        return
    match block.start.get("type"):
        case "thinking" if block.text or block.signature:
            yield KeptDelta(block={"type": "thinking", "thinking": block.text, "signature": block.signature})
        case "redacted_thinking":
            yield KeptDelta(block=block.start)
        case "tool_use":
            arguments, fault = parse_arguments(block.text)
            call = ToolCall(
                id=CallId(get_text(block.start, "id") or "call"),
                tool=get_text(block.start, "name"),
                arguments=arguments or get_object(block.start, "input"),
                fault=fault,
            )
            yield CallDelta(call=call)
