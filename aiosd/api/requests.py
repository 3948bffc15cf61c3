"""Request bodies to the wire's types: JSON, frames, or for a question plain text. Everything is checked here.

Source: RFC 9110 (media types); `aiosd.frames` for ours.
"""

import base64
import json
import math
from typing import Any, Literal, TypeVar, cast, get_args, get_type_hints

from aiohttp import web

from aiosd import frames
from aiosd.agent.structured import parse_schema
from aiosd.errors import InvalidRequestError, TooLargeError, UnsupportedMediaTypeError
from aiosd.wire_ask import AskRequest, Attachment, Image, TurnRequest

_T = TypeVar("_T")
_BODY = "body"
MAX_PROMPT = 64 * 1024  # characters
MAX_WAIT_S = 86_400
MAX_CURSOR = 2**53  # what every JSON reader can count to
_MAX_DIGITS = 10
_FIELDS = (
    *(frames.PROMPT, frames.INPUT, frames.CWD, frames.WANTED, frames.NEWEST),
    *(
        frames.MODEL,
        frames.NAME,
        frames.FORK,
        frames.PLAN,
        frames.CARRY_OUT,
        frames.YES_TO,
        frames.BUDGET,
        frames.SCHEMA,
    ),
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
    check_turn(ask)
    return ask


def check_turn(ask: TurnRequest) -> None:
    """What the types do not say: a question is not empty, a working directory is absolute, bounds are bounds."""
    if not ask.prompt.strip() and not ask.input.strip() and not ask.files:
        raise InvalidRequestError("the question is empty", hint="say what you want to know")
    if len(ask.prompt) > MAX_PROMPT:
        raise InvalidRequestError("the question is over 64 KiB", hint="send long text as input")
    check_cwd(ask.cwd)
    if not 0 <= ask.wait_s <= MAX_WAIT_S:
        raise InvalidRequestError(f"wait_s is not between 0 and {MAX_WAIT_S}")
    if not 0 <= ask.timeout_s <= MAX_WAIT_S:
        raise InvalidRequestError(f"timeout_s is not between 0 and {MAX_WAIT_S}")
    if not 0 <= ask.max_cost < math.inf:
        raise InvalidRequestError("max_cost is below 0, or no number")
    if ask.schema:
        parse_schema(ask.schema)


def check_cwd(cwd: str) -> None:
    """InvalidRequestError for what is no absolute path."""
    if not cwd.startswith("/") or "\0" in cwd:
        raise InvalidRequestError("cwd is not an absolute path")


def parse_frames(body: bytes) -> AskRequest:
    """A question in frames. A picture is its media type, a blank, and base64; there may be several, and files."""
    fields: dict[str, str] = {}
    images: list[str] = []
    files: list[Attachment] = []
    rest = body
    while rest:
        head, newline, rest = rest.partition(b"\n")
        tag, length = head[:1].decode("ascii", "replace"), head[1:]
        if not newline or not length.isdigit() or len(length) > 9 or int(length) > len(rest):
            raise InvalidRequestError("the body is not made of whole frames")
        content = rest[: int(length)]
        if tag == frames.IMAGE:
            images.append(_decode(content))
        elif tag == frames.FILE:
            name, _, data = content.partition(b"\0")
            files.append(Attachment(name=_decode(name), data=base64.b64encode(data).decode()))
        else:
            fields[tag] = _decode(content)
        rest = rest[int(length) :]
    wait, timeout = fields.pop(frames.WAIT, "0"), fields.pop(frames.TIMEOUT, "0")
    unknown = [tag for tag in fields if tag not in _FIELDS]
    numbers = wait.isdecimal() and timeout.isdecimal() and max(len(wait), len(timeout)) <= _MAX_DIGITS
    if unknown or not numbers:
        raise InvalidRequestError(f"a frame is not known here: {unknown[0] if unknown else frames.WAIT}")
    yes_to = fields.get(frames.YES_TO, "")
    if yes_to not in ("", "auto_allow", "notify"):
        raise InvalidRequestError("nothing stricter than notify runs without a person", hint="say auto_allow or notify")
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
        plan=frames.PLAN in fields,
        carry_out=frames.CARRY_OUT in fields,
        yes_to=cast("Literal['', 'auto_allow', 'notify']", yes_to),
        timeout_s=int(timeout),
        max_cost=_parse_cost(fields[frames.BUDGET]) if frames.BUDGET in fields else 0.0,
        schema=fields.get(frames.SCHEMA, ""),
        images=tuple(map(_parse_image, images)),
        files=tuple(files),
    )


def _parse_cost(text: str) -> float:
    try:
        amount = float(text)
    except ValueError as exc:
        raise InvalidRequestError(f"{text!r} is no amount") from exc
    if amount == 0:
        raise InvalidRequestError("a budget of 0 would be none", hint="say an amount above 0")
    return amount


def _parse_image(text: str) -> Image:
    media_type, _, data = text.partition(" ")
    if media_type not in get_args(get_type_hints(Image)["media_type"]):
        raise InvalidRequestError(f"{media_type} is no picture that models take", hint="png, jpeg, gif or webp")
    return Image(media_type=cast("Any", media_type), data=data)


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")
