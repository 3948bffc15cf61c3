"""The OpenAI chat completions wire. Pure. Source: platform.openai.com, "Chat completions", "Streaming".

Spoken by OpenAI, OpenRouter, Ollama, llama.cpp, vLLM, LM Studio, LiteLLM and others, each with ways of its own: calls
without ids or with an index used twice, arguments as objects, reasoning under two names, usage in any of the last
events, an answer at once though a stream was asked for. All of that is read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never
from urllib.parse import urlsplit

from aiosd.config import ModelTable
from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    Delta,
    Message,
    ModelRequest,
    PartDelta,
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

_END = "[DONE]"
_OFFICIAL = "api.openai.com"
_OPTIONAL = ("stream_options", "reasoning_effort")
_NEW_LIMIT, _OLD_LIMIT = "max_completion_tokens", "max_tokens"


class OpenAI:
    """A Wire."""

    def url(self, base_url: str) -> str:
        """`base_url` ends with its /v1, as everywhere on this wire."""
        return f"{(base_url or f'https://{_OFFICIAL}/v1').rstrip('/')}/chat/completions"

    def headers(self, key: str) -> dict[str, str]:
        """The key."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def render(self, request: ModelRequest, table: ModelTable) -> JsonObject:
        """The body. Only OpenAI itself has the new name of the limit for certain; others have the old one."""
        official = urlsplit(self.url(table.base_url)).hostname == _OFFICIAL
        body: JsonObject = {
            "model": table.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            _NEW_LIMIT if official else _OLD_LIMIT: table.max_output_tokens,
        }
        if table.effort:
            body["reasoning_effort"] = table.effort
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in request.tools
            ]
        system: list[JsonValue] = [{"role": "system", "content": request.system}] if request.system else []
        body["messages"] = [*system, *_render_messages(request.messages)]
        return body

    def adapt(self, body: JsonObject, complaint: str) -> JsonObject | None:
        """Without an optional field, or with the limit under its other name."""
        for name in _OPTIONAL:
            if name in body and name in complaint:
                return {key: value for key, value in body.items() if key != name}
        for name, other in ((_OLD_LIMIT, _NEW_LIMIT), (_NEW_LIMIT, _OLD_LIMIT)):
            if name in body and name in complaint:
                return {other if key == name else key: value for key, value in body.items()}
        return None

    def unfold(self, whole: JsonObject) -> JsonObject:
        """A whole completion with its message as the one delta."""
        choice = get_object(whole, "choices", 0)
        return {**whole, "choices": [{**choice, "delta": choice.get("message")}]} if choice else whole

    def reader(self) -> "Reader":
        """For one answer."""
        return Reader()


def _render_messages(messages: tuple[Message, ...]) -> list[JsonValue]:
    """What a person said in two messages becomes one: some models' templates want roles in turn."""
    rendered: list[JsonValue] = []
    last_text = ""
    for message in messages:
        match message:
            case UserMessage():
                if message.pictures:
                    rendered.append({"role": "user", "content": _render_pictures(message)})
                    last_text = ""
                    continue
                text = f"{last_text}\n\n{message.text}" if last_text else message.text
                if last_text:
                    rendered.pop()
                rendered.append({"role": "user", "content": text})
                last_text = text
                continue
            case AssistantMessage():
                if message.text or message.calls:
                    rendered.append(_render_assistant(message))
                    last_text = ""
            case ToolResult():
                rendered.append({"role": "tool", "tool_call_id": render_id(message.call), "content": message.text})
                last_text = ""
            case _:
                assert_never(message)
    return rendered


def _render_assistant(message: AssistantMessage) -> JsonObject:
    rendered: JsonObject = {"role": "assistant", "content": message.text}
    if message.calls:
        rendered["tool_calls"] = [
            {
                "id": render_id(call.id),
                "type": "function",
                "function": {
                    "name": render_tool(call.tool),
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in message.calls
        ]
    return rendered


def _render_pictures(message: UserMessage) -> list[JsonValue]:
    content: list[JsonValue] = [{"type": "text", "text": message.text}]
    for picture in message.pictures:
        url: JsonObject = {"url": f"data:{picture.media_type};base64,{picture.data}"}
        content.append({"type": "image_url", "image_url": url})
    return content


@dataclass(slots=True)
class _Call:
    """A call in the making."""

    id: str
    tool: str = ""
    text: str = ""


@dataclass(slots=True)
class Reader:
    """Reads one answer."""

    _calls: list[_Call] = field(default_factory=list)
    _at: dict[int, _Call] = field(default_factory=dict)
    _usage: JsonObject = field(default_factory=dict)
    _finish: str = ""
    _done: bool = False
    _anything: bool = False

    def read(self, data: str) -> Iterator[Delta]:
        """What an event says."""
        if data.strip() == _END:
            self._done = True
            return
        chunk = parse_object(data)
        if chunk is None or not ({"choices", "usage", "error", "object", "id"} & chunk.keys()):
            raise garbled("the model sent what is no event of the chat completions protocol")
        if chunk.get("error"):
            raise failure_of_event(chunk["error"])
        self._usage = get_object(chunk, "usage") or self._usage
        choice = get_object(chunk, "choices", 0)
        self._finish = get_text(choice, "finish_reason") or self._finish
        delta = get_object(choice, "delta")
        if thought := get_text(delta, "reasoning_content") or get_text(delta, "reasoning"):
            yield ReasoningDelta(text=thought)
        if text := get_text(delta, "content") or get_text(delta, "refusal"):
            self._anything = True
            yield TextDelta(text=text)
        for part in get_list(delta, "tool_calls"):
            yield from self._add(get_object(part))

    def end(self) -> Iterator[Delta]:
        """The calls, which no event closes; usage, and how it stopped."""
        if not self._finish and not (self._done and (self._anything or self._calls)):
            raise garbled("the model's answer broke off")
        for call in self._calls:
            arguments, fault = parse_arguments(call.text)
            yield CallDelta(call=ToolCall(id=CallId(call.id), tool=call.tool, arguments=arguments, fault=fault))
        sent, made = get_count(self._usage, "prompt_tokens"), get_count(self._usage, "completion_tokens")
        if sent or made:
            cached = get_count(self._usage, "prompt_tokens_details", "cached_tokens")
            yield UsageDelta(input_tokens=sent, output_tokens=made, cached_tokens=cached)
        if self._finish == "length":
            yield StopDelta(reason="length")
        elif self._finish == "content_filter":
            yield StopDelta(reason="refused")

    def _add(self, part: JsonObject) -> Iterator[Delta]:
        """A piece of a call: a new one where its index is new, or another id or name begins at the same index."""
        index, identity, tool = get_count(part, "index"), get_text(part, "id"), get_text(part, "function", "name")
        call = self._at.get(index)
        if call is None or (identity and identity != call.id) or (tool and call.text and not identity):
            call = self._at[index] = _Call(id=identity or f"call-{len(self._calls) + 1}")
            self._calls.append(call)
        call.tool = call.tool or tool
        given = get(part, "function", "arguments")
        text = given if isinstance(given, str) else json.dumps(given) if isinstance(given, dict) else ""
        call.text += text
        if text:
            yield PartDelta(tool=call.tool, text=text)
