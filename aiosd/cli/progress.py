"""The line that says how long a turn has taken and what it does now: rewritten in place, gone before anything is said.

It comes after a second without a word, and only where standard error is a terminal.
"""

from __future__ import annotations

import select
import time

from aiosd.cli.reach import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

_AFTER_S = 1.0
_TICK_S = 0.25
_FRAMES = b"|/-\\"
_DRAW, _CLEAR = b"\r\x1b[K", b"\r\x1b[2K"
_MAX_STATUS = 60


class Progress:
    """One turn's line; `status` is what it does now, without control characters."""

    def __init__(self) -> None:
        self.status = b"thinking"
        self.may_draw = True  # not in the middle of a line of the answer
        self._began = time.monotonic()
        self._drawn = False

    def wait(self, connection: _socket.socket) -> None:
        """Return when the daemon says more."""
        timeout_s = _AFTER_S
        while not select.select([connection], [], [], timeout_s)[0]:
            timeout_s = _TICK_S
            if not self.may_draw:
                continue
            taken_s = time.monotonic() - self._began
            frame = _FRAMES[int(taken_s / _TICK_S) % len(_FRAMES)]
            shown = self.status.decode("utf-8", "replace")[:_MAX_STATUS].encode()
            write_all(2, b"%s%c %d s  %s" % (_DRAW, frame, int(taken_s), shown))
            self._drawn = True

    def clear(self) -> None:
        """Take the line away, if it is there."""
        if self._drawn:
            write_all(2, _CLEAR)
            self._drawn = False
