"""A command's standard streams: what it reads, and what it writes, passed on as it comes and up to a bound."""

import base64
import os
import tempfile
from collections.abc import Awaitable, Callable

from aiosd.guard.varlink import wait_readable
from aiosd.types import JsonObject

_CHUNK = 64 * 1024
_MAX_COMPLAINT = 8 * 1024

Tell = Callable[[JsonObject], Awaitable[None]]


class Output:
    """What a command writes, passed on up to a bound."""

    def __init__(self, limit: int, tell: Tell) -> None:
        self._limit = limit
        self._tell = tell
        self._gone = False
        self._complaints = b""
        self.total = 0

    @property
    def complaint(self) -> str:
        """The end of what came on standard error."""
        return self._complaints.decode("utf-8", "replace")

    async def pump(self, source: int, name: str) -> None:
        """Pass on until the end of `source`."""
        while True:
            try:
                data = os.read(source, _CHUNK)
            except BlockingIOError:
                await wait_readable(source)
                continue
            if not data:
                return
            if name == "stderr":
                self._complaints = (self._complaints + data)[-_MAX_COMPLAINT:]
            room = max(self._limit - self.total, 0)
            self.total += len(data)
            if room and not self._gone:
                encoded = base64.b64encode(data[:room]).decode("ascii")
                try:
                    await self._tell({"event": "output", "stream": name, "data": encoded})
                except (OSError, TimeoutError):  # its reader is gone: the connection's end will cancel the action
                    self._gone = True


def open_input(content: bytes) -> int:
    """A descriptor to read `content` from, or at once the end; the caller's to close."""
    if not content:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        return os.dup(file.fileno())
