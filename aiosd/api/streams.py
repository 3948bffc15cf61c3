"""The event stream in the forms clients ask for: server-sent events, JSON lines, plain text, frames.

Each form is a pure function from an event to bytes; the stream itself follows the session's log at the client's pace.
"""

import json
from collections.abc import AsyncIterator, Callable

from aiosd import frames
from aiosd.api.text import escape, escape_prose
from aiosd.errors import InvalidRequestError
from aiosd.session.events import Numbered
from aiosd.types import JsonObject, JsonValue

_NEW_LINE = "\n"
Form = Callable[[Numbered], bytes]


def choose_form(accept: str) -> tuple[str, Form]:
    """The media type and form for an Accept header; server-sent events where it does not matter."""
    for wanted in (part.partition(";")[0].strip().lower() for part in accept.split(",")):
        if wanted in _FORMS:
            return wanted, _FORMS[wanted]
        if wanted in ("", "*/*", "text/*"):
            return "text/event-stream", _FORMS["text/event-stream"]
    raise InvalidRequestError(f"there is no {accept} of this", hint=f"accept one of {', '.join(_FORMS)}")


def _as_sse(numbered: Numbered) -> bytes:
    seq, kind, body = numbered
    return f"id: {seq}\nevent: {kind}\ndata: {body}\n\n".encode()


def _as_lines(numbered: Numbered) -> bytes:
    return f"{numbered[2]}\n".encode()


def _as_text(numbered: Numbered) -> bytes:
    """The answer as it is written; what a person must know or do in brackets on lines of their own."""
    event = _load(numbered)
    match event["type"]:
        case "text_delta":
            return escape_prose(str(event["text"])).encode()
        case "approval_needed":
            return f"[waits for: aios approve {event['approval']}]\n".encode()
        case "review_needed":
            return f"[waits for: aios approve {_list_cards(event)}]\n".encode()
        case "call_done" if event["reason"]:
            return f"[{event['outcome']}: {escape(str(event['reason']))}]\n".encode()
        case "question":
            choices = "".join(f" / {each}" for each in _items(event["choices"]))
            return f"[asks: {escape(str(event['text']) + choices)}]\n".encode()
        case "notice":
            return f"{_NEW_LINE if event['void'] else ''}[{escape(str(event['text']))}]\n".encode()
        case "turn_failed":
            return f"[failed: {escape(str(event['message']))}]\n".encode()
        case "turn_done":
            return b"\n"
        case _:
            return b""


def _as_frames(numbered: Numbered) -> bytes:
    """What the terminal client prints where."""
    event = _load(numbered)
    match event["type"]:
        case "session_started":
            return frames.render(frames.SESSION, f"{event['session']} {event['name']}".encode())
        case "text_delta":
            return frames.render(frames.TEXT, escape_prose(str(event["text"])).encode())
        case "call_proposed":
            return _render_note(f"› {_describe_call(event)}")
        case "decision":
            return _render_note(_describe_decision(event))
        case "approval_needed":
            return frames.render(frames.APPROVAL, f"{event['approval']} {event['expires_at']}".encode())
        case "review_needed":
            return frames.render(frames.REVIEW, _list_cards(event).encode())
        case "call_done":
            return _render_note(_describe_end(event))
        case "question":
            asked = {name: event[name] for name in ("call", "text", "choices")}
            return frames.render(frames.QUESTION, json.dumps(asked).encode())
        case "todo":
            return b"".join(_render_note(line) for line in _describe_list(event))
        case "notice":
            void = frames.render(frames.VOID, b"") if event["void"] else b""
            return void + _render_note(f"! {event['text']}")
        case "turn_failed":
            hint = f" ({event['hint']})" if event["hint"] else ""
            failed = _render_note(f"! {event['message']}{hint}")
            return failed + frames.render(frames.EXIT, str(event["exit_status"]).encode())
        case "turn_done":
            return frames.render(frames.EXIT, str(event["exit_status"]).encode())
        case _:
            return b""


_FORMS: dict[str, Form] = {
    "text/event-stream": _as_sse,
    "application/x-ndjson": _as_lines,
    "text/plain": _as_text,
    frames.MEDIA_TYPE: _as_frames,
}


async def render_stream(events: AsyncIterator[Numbered], form: Form) -> AsyncIterator[bytes]:
    """The stream's bytes, event by event."""
    async for numbered in events:
        data = form(numbered)
        if data:
            yield data


def _render_note(text: str) -> bytes:
    """A line for people, whatever it quotes; "" is none."""
    return frames.render(frames.NOTE, escape(text).encode()) if text else b""


def _list_cards(event: JsonObject) -> str:
    return " ".join(str(_field(card, "approval")) for card in _items(event["approvals"]))


def _load(numbered: Numbered) -> JsonObject:
    event: JsonObject = json.loads(numbered[2])
    return event


def _describe_call(event: JsonObject) -> str:
    arguments = {str(_field(item, "name")): str(_field(item, "value")) for item in _items(event["arguments"])}
    named = (arguments.get(name, "") for name in frames.CALL_WORDS)
    shown = arguments.get("command") or " ".join([str(event["tool"]), *named])
    return " ".join(shown.split())


def _describe_decision(event: JsonObject) -> str:
    """Only an announcement: what is denied ends at once, and its end says why."""
    verdict = event["verdict"]
    return f"  announced: {_field(verdict, 'reason')}" if _field(verdict, "tier") == "notify" else ""


def _describe_end(event: JsonObject) -> str:
    instead = f"  run instead: {event['command']}" if event["command"] else ""
    outcome, reason = event["outcome"], event["reason"]
    if outcome == "done":
        return f"  {reason}" if reason and not instead else instead
    if outcome == "failed" and not reason:
        return f"  ended with status {event['status']}"
    return f"  {str(outcome).replace('_', ' ')}{f': {reason}' if reason else ''}"


def _describe_list(event: JsonObject) -> list[str]:
    marks = {"open": " ", "doing": ">", "done": "x"}
    items = [(marks[str(_field(each, "state"))], _field(each, "text")) for each in _items(event["items"])]
    return [f"  [{mark}] {text}" for mark, text in items]


def _items(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _field(value: JsonValue, name: str) -> JsonValue:
    return value.get(name) if isinstance(value, dict) else None
