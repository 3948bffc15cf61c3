"""Server-sent events: bytes in, whole events out. Pure. Source: the HTML standard, section 9.2.6.

Only what providers use: the event's type and its data; ids, retry times and comments are passed over.
"""

from dataclasses import dataclass

from aiosd.errors import ModelGarbledError

_MAX_EVENT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its type, "message" where none is said, and its data."""

    type: str
    data: str


class Parser:
    """Fed with pieces of a stream however they were cut; gives the events that are whole.

    ModelGarbledError for an event without end. What is not whole at the stream's end is dropped, as the standard says.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._size = 0
        self._type = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that `piece` completes."""
        self._size += len(piece)
        if self._size > _MAX_EVENT:
            raise ModelGarbledError(f"the model sent an event of over {_MAX_EVENT} bytes")
        *lines, self._buffer = _split(self._buffer + piece)
        found = [event for line in lines if (event := self._take(line)) is not None]
        if found:
            self._size = len(self._buffer)
        return found

    def _take(self, line: bytes) -> ServerEvent | None:
        if not line:
            event = ServerEvent(self._type or "message", "\n".join(self._data)) if self._data else None
            self._type, self._data = "", []
            return event
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        return None


def _split(data: bytes) -> list[bytes]:
    """Lines, ended by CR, LF or both, and the rest. A CR at the very end stays in the rest: its LF may come."""
    if b"\r" not in data:
        return data.split(b"\n")
    held = b"\r" if data.endswith(b"\r") else b""
    lines = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    lines[-1] += held
    return lines
