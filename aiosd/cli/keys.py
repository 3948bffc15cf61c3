"""The keyboard while a turn runs: Esc interrupts, Ctrl-O opens what was folded, and nothing else counts.

The terminal gives each key at once then, without an echo; signals stay as they are. Source: termios(3).
"""

from __future__ import annotations

import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

ESCAPE, OPEN = "escape", "open"
_LFLAG, _CC = 3, 6
_KEYS = {b"\x1b": ESCAPE, b"\x0f": OPEN}


class Keys:
    """The keys of terminal `fd`, as a context; -1 is none."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._before: list[Any] = []

    def __enter__(self) -> Keys:
        self.watch()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.release()

    def watch(self) -> None:
        """Take each key as it comes."""
        if self.fd < 0 or self._before:
            return
        self._before = termios.tcgetattr(self.fd)
        now = termios.tcgetattr(self.fd)
        now[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
        now[_CC][termios.VMIN], now[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self.fd, termios.TCSADRAIN, now)

    def release(self) -> None:
        """Give the terminal back as it was."""
        if self._before:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self._before)
            self._before = []

    def read(self) -> Iterator[str]:
        """The keys that were pressed, of those that count. An arrow, which begins with Esc too, does not."""
        data = os.read(self.fd, 64)
        if data in _KEYS:
            yield _KEYS[data]
