"""A provider of models on loopback that speaks both wires, says what its script says, and checks what it is asked.

Every request must be whole: roles that a provider takes, each proposed call answered exactly once, and nothing said
before has changed. It runs in threads of its own, so that tests of a daemon and of a coroutine can both use it.
"""

import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any, Literal, Self

_DEADLINE_S = 30.0
_SSE = {"content-type": "text/event-stream; charset=utf-8"}
_JSON = {"content-type": "application/json"}
MESSAGES, COMPLETIONS = "/v1/messages", "/v1/chat/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call to propose. `text` replaces the arguments as they would be written."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    id: str = "call_a"
    text: str = ""

    @property
    def written(self) -> str:
        """The arguments as JSON."""
        return self.text or json.dumps(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """An answer, on whichever wire is asked for it."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    stop: Literal["", "length", "refused"] = ""
    usage: tuple[int, int, int] = (100, 40, 10)  # input, of which cached, output


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """An answer byte by byte; afterwards the connection ends properly, is reset, or hangs until the client ends it.

    Without `length` it is what comes until the end. `head` False: the pieces are all there is, without a status line.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(_SSE))
    pieces: Sequence[bytes] = ()
    then: Literal["end", "reset", "hang"] = "end"
    length: int | None = None
    head: bool = True


Step = Say | Raw | threading.Event


def complaint(status: int, message: str, *, headers: dict[str, str] | None = None, **fields: Any) -> Raw:
    """An error as providers tell it."""
    body = json.dumps({"error": {"message": message, **fields}}).encode()
    return Raw(status=status, headers={**_JSON, **(headers or {})}, pieces=(body,), length=len(body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes

    @property
    def turns(self) -> list[tuple[str, Any]]:
        """The conversation, on either wire: ("user"|"assistant", text), ("call", id), ("result", (id, text))."""
        return list(_normalise(self.body["messages"]))

    @property
    def system(self) -> str:
        """The prompt."""
        if self.path.endswith("/messages"):
            return str(self.body["system"][0]["text"])
        return str(self.body["messages"][0]["content"])

    @property
    def results(self) -> dict[str, str]:
        """The tool results by call."""
        return dict(each for kind, each in self.turns if kind == "result")


class ScriptedProvider:
    """Answers requests with its steps, one each; an event in the script holds the answer after it back."""

    def __init__(self, *steps: Step) -> None:
        self.asked: list[Asked] = []
        self.faults: list[str] = []
        self.waiting = threading.Event()  # it has come to an event of its script
        self.abandoned = threading.Event()  # a client ended a connection that hung
        self.one_conversation = True
        self._steps = list(steps)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()

    def says(self, *steps: Step) -> None:
        """Add steps."""
        with self._lock:
            self._steps += steps

    def clear(self) -> None:
        """Forget what it was to say, and what it was asked."""
        with self._lock:
            self._steps.clear()
            self.asked.clear()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """The base_url of either wire."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def everything(self) -> bytes:
        """Every byte it was ever sent, headers and bodies."""
        return b"\n".join(repr(each.headers).encode() + each.raw for each in self.asked)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_DEADLINE_S)
        if kind is None:
            assert self.faults == []

    def _start(self, work: Any, *words: Any) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(_DEADLINE_S)
            asked = _read(connection)
            if asked is not None:
                self._answer(connection, asked)
        with self._lock:
            self._open.discard(connection)

    def _answer(self, connection: socket.socket, asked: Asked) -> None:
        with self._lock:
            self.faults += [*_find_faults(asked), *self._find_changes(asked)]
            self.asked.append(asked)
            step: Step = self._steps.pop(0) if self._steps else complaint(418, "the script is over")
        if isinstance(step, threading.Event):
            self.waiting.set()
            step.wait(_DEADLINE_S)
            with self._lock:
                step = self._steps.pop(0)
        assert not isinstance(step, threading.Event)
        raw = render_answer(step, asked.path) if isinstance(step, Say) else step
        if raw.head:
            headers = {**raw.headers, "connection": "close"}
            if raw.length is not None:
                headers["content-length"] = str(raw.length)
            lines = [f"HTTP/1.1 {raw.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            for piece in raw.pieces:
                connection.sendall(piece)
            if raw.then == "hang":
                self.waiting.set()
                connection.recv(1)
        except ConnectionError:  # a client that leaves with something unread resets the connection
            pass
        if raw.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif raw.then == "hang":
            self.abandoned.set()

    def _find_changes(self, asked: Asked) -> list[str]:
        if not self.one_conversation or not self.asked or self.asked[-1].path != asked.path:
            return []
        before = self.asked[-1].turns
        return [] if asked.turns[: len(before)] == before else ["what was said before has changed"]


def _read(connection: socket.socket) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "content-length" not in headers:
        return None  # somebody looks whether there is a server
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return Asked(path=first.split()[1], headers=headers, body=json.loads(body), raw=body)


def _find_faults(asked: Asked) -> Iterator[str]:
    """What a provider would refuse."""
    body = asked.body
    if body.get("stream") is not True or not body.get("model"):
        yield "no stream, or no model"
    roles = [message["role"] for message in body["messages"]]
    if asked.path == MESSAGES:
        if asked.headers.get("anthropic-version") != "2023-06-01" or not body.get("max_tokens"):
            yield "no version, or no max_tokens"
        if roles[0] != "user" or any(one == other for one, other in pairwise(roles)):
            yield f"roles are not in turn: {roles}"
        if any(not block.get("text", "x").strip() for message in body["messages"] for block in message["content"]):
            yield "an empty text"
    elif asked.path != COMPLETIONS or roles[0] != "system" or "system" in roles[1:]:
        yield f"{asked.path} with {roles}"
    wanted: list[str] = []
    turns = asked.turns
    if not turns or turns[-1][0] not in ("user", "result"):
        yield "nothing is asked"
    for kind, what in turns:
        if kind == "result":
            if what[0] not in wanted:
                yield f"{what[0]} was not proposed, or was answered before"
                continue
            wanted.remove(what[0])
        elif kind == "call":
            if what in wanted:
                yield f"{what} was proposed twice"
            wanted.append(what)
        elif wanted:
            yield f"{wanted} have no result"
    if wanted:
        yield f"{wanted} have no result"


def _normalise(messages: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for message in messages:
        content = message["content"]
        match message["role"]:
            case "system":
                continue
            case "tool":
                yield "result", (message["tool_call_id"], content)
            case role if isinstance(content, str):
                if content:
                    yield role, content
                for call in message.get("tool_calls", ()):
                    json.loads(call["function"]["arguments"])
                    yield "call", call["id"]
            case role:
                for block in content:
                    match block["type"]:
                        case "text":
                            yield role, block["text"]
                        case "tool_use":
                            yield "call", block["id"]
                        case "tool_result":
                            yield "result", (block["tool_use_id"], block["content"])
                        case "image" | "image_url":
                            yield role, block
                        case kept:
                            yield kept, {name: value for name, value in block.items() if name != "cache_control"}


def render_answer(say: Say, path: str) -> Raw:
    """An answer as the wire of `path` streams it."""
    events = _render_messages(say) if path == MESSAGES else _render_completions(say)
    return Raw(pieces=tuple(events))


def _render_messages(say: Say) -> Iterator[bytes]:
    fresh, cached, made = say.usage[0] - say.usage[1], say.usage[1], say.usage[2]
    usage = {"input_tokens": fresh, "cache_read_input_tokens": cached, "output_tokens": 1}
    yield _event("message_start", message={"id": "msg_1", "role": "assistant", "content": [], "usage": usage})
    yield _event("ping")
    for index, (block, deltas) in enumerate(_blocks(say)):
        yield _event("content_block_start", index=index, content_block=block)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    reason = {"length": "max_tokens", "refused": "refusal"}.get(say.stop) or ("tool_use" if say.calls else "end_turn")
    yield _event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": made})
    yield _event("message_stop")


def _blocks(say: Say) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    if say.thinking:
        yield (
            {"type": "thinking", "thinking": "", "signature": ""},
            [*_cut("thinking_delta", "thinking", say.thinking), {"type": "signature_delta", "signature": "signed"}],
        )
    if say.text:
        yield {"type": "text", "text": ""}, list(_cut("text_delta", "text", say.text))
    for call in say.calls:
        start = {"type": "tool_use", "id": call.id, "name": call.tool, "input": {}}
        yield start, list(_cut("input_json_delta", "partial_json", call.written))


def _cut(kind: str, name: str, text: str) -> Iterator[dict[str, Any]]:
    for at in range(0, len(text), 7):
        yield {"type": kind, name: text[at : at + 7]}


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _render_completions(say: Say) -> Iterator[bytes]:
    yield chunk({"role": "assistant", "content": ""})
    for part in _cut("", "text", say.thinking):
        yield chunk({"reasoning_content": part["text"]})
    for part in _cut("", "text", say.text):
        yield chunk({"content": part["text"]})
    for index, call in enumerate(say.calls):
        yield chunk(_call_part(index, "", id=call.id, type="function", name=call.tool))
        for part in _cut("", "text", call.written):
            yield chunk(_call_part(index, part["text"]))
    reason = {"length": "length", "refused": "content_filter"}.get(say.stop) or ("tool_calls" if say.calls else "stop")
    yield chunk({}, finish_reason=reason)
    sent, cached, made = say.usage
    usage = {"prompt_tokens": sent, "completion_tokens": made, "prompt_tokens_details": {"cached_tokens": cached}}
    yield _data({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _call_part(index: int, text: str, *, name: str = "", **fields: Any) -> dict[str, Any]:
    function = {"arguments": text, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": index, "function": function, **fields}]}


def chunk(delta: dict[str, Any], *, finish_reason: str | None = None) -> bytes:
    """A chunk of a completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _data({"id": "c1", "object": "chat.completion.chunk", "choices": [choice]})


def _data(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()
