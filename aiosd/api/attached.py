"""What comes with a question: pictures are shown to the model, short text is told to it, and all of it is kept."""

import base64
import binascii

from aiosd.errors import InvalidRequestError
from aiosd.model.base import Picture
from aiosd.session.turn import Ask
from aiosd.wire_ask import Attachment, TurnRequest

_MAX_TOLD = 64 * 1024  # bytes of a text
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def make_ask(ask: TurnRequest, *, name: str = "", fork: bool = False) -> Ask:
    """The turn that is asked for. InvalidRequestError for files that are no base64."""
    pictures = [Picture(media_type=each.media_type, data=each.data) for each in ask.images]
    told, files = ask.input, []
    for each in ask.files:
        content = _decode(each)
        files.append((each.name, content))
        media_type = _find_picture(content)
        if media_type:
            pictures.append(Picture(media_type=media_type, data=each.data))
        elif len(content) <= _MAX_TOLD and b"\0" not in content:
            text = content.decode("utf-8", "replace")
            told += f"--- {each.name}\n{text}" + ("" if text.endswith("\n") else "\n")
    return Ask(
        prompt=ask.prompt,
        input=told,
        cwd=ask.cwd,
        wait_s=ask.wait_s,
        model=ask.model,
        name=name,
        fork=fork,
        plan=ask.plan,
        carry_out=ask.carry_out,
        yes_to=ask.yes_to,
        timeout_s=ask.timeout_s,
        max_cost=ask.max_cost,
        schema=ask.schema,
        pictures=tuple(pictures),
        files=tuple(files),
    )


def _decode(given: Attachment) -> bytes:
    try:
        return base64.b64decode(given.data, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidRequestError(f"{given.name} is not in base64") from exc


def _find_picture(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for magic, media_type in _PICTURES.items() if content.startswith(magic)), "")
