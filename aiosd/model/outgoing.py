"""What leaves the machine: a request as it may go to a provider, without secrets, tool results marked as data. Pure.

Redaction is the record's own (`aiosd.audit.redact`), and beyond it every secret the daemon itself holds, letter for
letter. The same text always becomes the same text, so that what a provider has cached stays valid.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import assert_never

from aiosd.audit.redact import redact
from aiosd.model.base import AssistantMessage, Message, ModelRequest, ToolCall, ToolResult, UserMessage
from aiosd.types import CallId, JsonObject, JsonValue

_MARK = "[redacted]"
_MIN_SECRET = 6  # characters: what is shorter is part of other words
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_MAX_SOURCE = 200
_MAX_SOURCES = 100
_ABOUT = ("command", "url", "path", "pattern", "what", "unit", "name")  # of a call, what says best whence its text is

Secrets = frozenset[str]


def find_secrets(environment: Mapping[str, str]) -> Secrets:
    """The values of variables whose names speak of a secret."""
    return frozenset(
        value
        for name, value in environment.items()
        if len(value) >= _MIN_SECRET and any(word in name.upper() for word in _SECRET_WORDS)
    )


def prepare(request: ModelRequest, secrets: Secrets) -> ModelRequest:
    """The request as it may leave."""
    calls = {
        call.id: call for message in request.messages if isinstance(message, AssistantMessage) for call in message.calls
    }
    return replace(
        request,
        system=clean(request.system, secrets),
        messages=tuple(_prepare(message, calls, secrets) for message in request.messages),
    )


def _prepare(message: Message, calls: Mapping[CallId, ToolCall], secrets: Secrets) -> Message:
    match message:
        case UserMessage():
            return replace(message, text=clean(message.text, secrets))
        case AssistantMessage():
            cleaned = tuple(replace(call, arguments=_clean_object(call.arguments, secrets)) for call in message.calls)
            return replace(message, text=clean(message.text, secrets), calls=cleaned)
        case ToolResult():
            call = calls.get(message.call)
            return replace(message, text=_mark(call.tool if call else "tool", message, clean(message.text, secrets)))
        case _:
            assert_never(message)


def _mark(tool: str, result: ToolResult, text: str) -> str:
    """The result between marks that nothing in it can close: their name is made from it."""
    name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    status = "" if result.status is None else f" status={result.status}"
    return f"<data-{name} from={tool} outcome={result.outcome}{status}>\n{text}\n</data-{name}>"


def clean(text: str, secrets: Secrets) -> str:
    """`text` without secrets."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, _MARK)
    return _redact(text)


@lru_cache(maxsize=512)
def _redact(text: str) -> str:
    """The record's redaction, remembered: a conversation is sent again with each step."""
    return redact(text)


def _clean_object(value: JsonObject, secrets: Secrets) -> JsonObject:
    return {name: _clean_value(each, secrets, name) for name, each in value.items()}


def _clean_value(value: JsonValue, secrets: Secrets, name: str = "") -> JsonValue:
    match value:
        case str() if name and len(value) <= _MAX_SOURCE and redact(f"{name}={value}") == f"{name}={_MARK}":
            return _MARK
        case str():
            return clean(value, secrets)
        case list():
            return [_clean_value(each, secrets) for each in value]
        case dict():
            return _clean_object(value, secrets)
        case _:
            return value


def list_sources(request: ModelRequest) -> tuple[str, ...]:
    """Where the texts of a request come from: the prompt, the person, each tool's result by what was asked of it."""
    calls: dict[CallId, ToolCall] = {}
    found: dict[str, None] = {"prompt": None}
    for message in request.messages:
        match message:
            case UserMessage():
                found["person"] = None
                if message.pictures:
                    found["pictures"] = None
            case AssistantMessage():
                calls |= {call.id: call for call in message.calls}
                found["model"] = None
            case ToolResult():
                found[_describe(calls.get(message.call))] = None
            case _:
                assert_never(message)
    sources = list(found)
    left = len(sources) - _MAX_SOURCES
    return tuple(sources if left <= 0 else [*sources[:_MAX_SOURCES], f"and {left} more"])


def _describe(call: ToolCall | None) -> str:
    if call is None:
        return "tool"
    about = next((str(call.arguments[name]) for name in _ABOUT if call.arguments.get(name)), "")
    return redact(f"{call.tool}: {' '.join(about.split())}"[:_MAX_SOURCE].rstrip(": "))
