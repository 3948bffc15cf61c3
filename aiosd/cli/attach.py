"""Files that go with a question, and what comes back into one. Read and written as whoever asks."""

from __future__ import annotations

import os

from aiosd import frames
from aiosd.cli.parse import UsageError

_MAX_FILE = 1024 * 1024


def read_attachments(paths: list[str]) -> bytes:
    """Frames for the files."""
    return b"".join(frames.render(frames.FILE, os.fsencode(path) + b"\0" + _read(path)) for path in paths)


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
