"""Request bodies to the wire's types: JSON, frames, or for a question plain text. Everything is checked here.

Source: RFC 9110 (media types); `aiosd.frames` for ours.
"""

import json
from typing import Any, TypeVar

from aiohttp import web

from aiosd import frames
from aiosd.errors import InvalidRequestError, TooLargeError, UnsupportedMediaTypeError
from aiosd.wire import AskRequest

_T = TypeVar("_T")
_BODY = "body"
MAX_PROMPT = 64 * 1024  # characters
MAX_WAIT_S = 86_400
MAX_CURSOR = 2**53  # what every JSON reader can count to
_MAX_DIGITS = 10
_FIELDS = (
    *(frames.PROMPT, frames.INPUT, frames.CWD, frames.WANTED, frames.NEWEST),
    *(frames.MODEL, frames.NAME, frames.FORK),
)
_ADAPTERS: dict[Any, Any] = {}  # pydantic's, one for each type that comes in


async def read_body(request: web.Request, *, limit: int) -> None:
    """Read the body, at most `limit` bytes of it, and keep it with the request."""
    body = b""
    too_large = TooLargeError(f"the body is over {limit} bytes", hint="send less, or raise limits.body_bytes")
    if (request.content_length or 0) > limit:
        raise too_large
    while piece := await request.content.readany():
        body += piece
        if len(body) > limit:
            raise too_large
    request[_BODY] = body


def read_json(request: web.Request, kind: type[_T]) -> _T:
    """A JSON body. UnsupportedMediaTypeError or InvalidRequestError for anything else."""
    if request.content_type != "application/json":
        raise UnsupportedMediaTypeError(f"{request.content_type} is not read here", hint="send application/json")
    return _parse_json(request[_BODY], kind)


def _parse_json(body: bytes, kind: type[_T]) -> _T:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - 60 ms, and not for frames

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        parsed: _T = _ADAPTERS[kind].validate_json(body, strict=True)
    except ValidationError as exc:
        first = exc.errors()[0]
        if first["type"] == "int_type" and isinstance(first["input"], float) and first["input"].is_integer():
            # To JSON Schema, and to whoever generates requests from it, 5.0 is an integer.
            return _parse_json(json.dumps(json.loads(body, parse_float=_parse_number)).encode(), kind)
        where = ".".join(map(str, first["loc"])) or "the body"
        raise InvalidRequestError(f"{where}: {first['msg']}", hint="GET /v1/openapi.json has the types") from exc
    return parsed


def _parse_number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def read_ask(request: web.Request) -> AskRequest:
    """A question: JSON, frames or plain text, checked."""
    match request.content_type:
        case frames.MEDIA_TYPE:
            ask = parse_frames(request[_BODY])
        case "text/plain":
            ask = AskRequest(prompt=_decode(request[_BODY]))
        case _:
            ask = read_json(request, AskRequest)
    check_ask(ask.prompt, ask.input, ask.cwd, ask.wait_s)
    return ask


def check_ask(prompt: str, given: str, cwd: str, wait_s: int) -> None:
    """What the types do not say: a question is not empty, a working directory is absolute."""
    if not prompt.strip() and not given.strip():
        raise InvalidRequestError("the question is empty", hint="say what you want to know")
    if len(prompt) > MAX_PROMPT:
        raise InvalidRequestError("the question is over 64 KiB", hint="send long text as input")
    if not cwd.startswith("/") or "\0" in cwd:
        raise InvalidRequestError("cwd is not an absolute path")
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise InvalidRequestError(f"wait_s is not between 0 and {MAX_WAIT_S}")


def parse_frames(body: bytes) -> AskRequest:
    """A question in frames."""
    fields: dict[str, str] = {}
    rest = body
    while rest:
        head, newline, rest = rest.partition(b"\n")
        tag, length = head[:1].decode("ascii", "replace"), head[1:]
        if not newline or not length.isdigit() or len(length) > 9 or int(length) > len(rest):
            raise InvalidRequestError("the body is not made of whole frames")
        fields[tag] = _decode(rest[: int(length)])
        rest = rest[int(length) :]
    wait = fields.pop(frames.WAIT, "0")
    unknown = [tag for tag in fields if tag not in _FIELDS]
    if unknown or not wait.isdecimal() or len(wait) > _MAX_DIGITS:
        raise InvalidRequestError(f"a frame is not known here: {unknown[0] if unknown else frames.WAIT}")
    return AskRequest(
        prompt=fields.get(frames.PROMPT, ""),
        input=fields.get(frames.INPUT, ""),
        session=fields.get(frames.WANTED, ""),
        continue_newest=frames.NEWEST in fields,
        cwd=fields.get(frames.CWD, "/"),
        wait_s=int(wait),
        model=fields.get(frames.MODEL, ""),
        name=fields.get(frames.NAME, ""),
        fork=frames.FORK in fields,
    )


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")
