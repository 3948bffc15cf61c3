"""A command's output on its way: what of it clients see as it comes, and what of it goes back to the model. Pure."""

import codecs
from dataclasses import dataclass, field
from typing import Literal, get_args

Stream = Literal["stdout", "stderr"]

_MAX_SHOWN = 64 * 1024  # characters of a call's output in the event log


@dataclass(slots=True)
class CollectedOutput:
    """Both streams. Of what is over `limit` bytes in all, each keeps its head and its tail."""

    limit: int
    _streams: dict[Stream, "_Collected"] = field(init=False)
    _shown: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._streams = {name: _Collected(self.limit) for name in get_args(Stream)}

    def add(self, stream: Stream, data: bytes, *, last: bool = False) -> str:
        """Add bytes; the text that they complete and clients may see. `last` where none of this stream follow."""
        text = self._streams[stream].add(data, last=last)[: max(_MAX_SHOWN - self._shown, 0)]
        self._shown += len(text)
        return text

    @property
    def clipped(self) -> bool:
        """Whether `render` leaves something out."""
        return sum(each.total for each in self._streams.values()) > self.limit

    def render(self) -> str:
        """Standard output, then standard error under a line that says so."""
        out, err = self._streams["stdout"], self._streams["stderr"]
        # Errors are short as a rule: they get a quarter, and what the output leaves.
        err_room = min(err.total, max(self.limit // 4, self.limit - out.total))
        text = out.render(self.limit - err_room)
        if not err.total:
            return text
        return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}[stderr]\n{err.render(err_room)}"


class _Collected:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._head, self._tail = bytearray(), b""
        self.total = 0

    def add(self, data: bytes, *, last: bool) -> str:
        self.total += len(data)
        self._head += data[: max(self._limit - len(self._head), 0)]
        self._tail = (self._tail + data)[-(self._limit // 4) :]
        return self._decoder.decode(data, final=last)

    def render(self, room: int) -> str:
        """At most `room` bytes of it, and a line on how many are left out."""
        if self.total <= room:
            return self._head.decode("utf-8", "replace")
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        head = decoder.decode(self._head[: room * 3 // 4])  # keeps half a character back
        tail = self._tail[-(room // 4) :]
        halves = next((index for index, byte in enumerate(tail[:4]) if byte & 0xC0 != 0x80), 0)
        kept = room * 3 // 4 - len(decoder.getstate()[0]) + len(tail) - halves
        left_out = self.total - kept
        return f"{head}\n[… {left_out} bytes left out …]\n{tail[halves:].decode('utf-8', 'replace')}"
