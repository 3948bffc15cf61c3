"""Files that go with a question: text is added to its input, pictures go as they are. Read as whoever asks."""

from __future__ import annotations

import base64
import os

from aiosd import frames
from aiosd.cli.parse import UsageError

_MAX_FILE = 1024 * 1024
_PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}


def read_attachments(paths: list[str]) -> tuple[bytes, bytes]:
    """What is added to the input, and frames for the pictures."""
    text = pictures = b""
    for path in paths:
        content = _read(path)
        media_type = _find_picture(content)
        if media_type:
            pictures += frames.render(frames.IMAGE, media_type.encode() + b" " + base64.b64encode(content))
            continue
        if b"\0" in content:
            raise UsageError(f"{path} is neither text nor a picture (png, jpeg, gif, webp)", "ask")
        text += f"--- {path}\n".encode("utf-8", "surrogateescape") + content
        text += b"" if content.endswith(b"\n") else b"\n"
    return text, pictures


def read_schema(path: str) -> bytes:
    """A schema, as it is; the daemon says what is wrong with it."""
    return _read(path)


def write_answer(path: str, answer: bytes) -> None:
    """Write the answer to a file, whole or not at all."""
    new = f"{path}.new"
    try:
        with open(new, "wb") as file:
            file.write(answer)
        os.replace(new, path)
    except OSError as exc:
        raise UsageError(f"the answer cannot be written to {path}: {exc.strerror}", "ask") from exc


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE + 1)
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror}", "ask") from exc
    if len(content) > _MAX_FILE:
        raise UsageError(f"{path} is over {_MAX_FILE} bytes; send less of it", "ask")
    return content


def _find_picture(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for magic, media_type in _PICTURES.items() if content.startswith(magic)), "")
