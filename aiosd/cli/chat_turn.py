"""A turn as a chat shows it: the answer as it comes, a line for each step, long output folded, cards inline.

Everything is added below what is there. The one thing that is rewritten is the line that says how long it has taken,
and only on a terminal, in a chat that is not plain.
"""

from __future__ import annotations

import json
import select
import signal
import time
from contextlib import contextmanager

from aiosd import frames
from aiosd.cli.ask import Turn
from aiosd.cli.keys import ESCAPE, OPEN, Keys
from aiosd.cli.reach import environment, write_all
from aiosd.cli.show import escape, show_output
from aiosd.cli.transport import Answer
from aiosd.words import retell, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator
    from typing import Any

_TICK_S = 0.25
_FOLDED_LINES = 3
_MAX_KEPT = 256 * 1024  # characters of a call's output
_LONG_S = 10.0  # a turn of which one is told when it has ended
_FRAMES = "|/-\\"
_CLEAR = "\r\x1b[K"
_SHOWN_ELSEWHERE = ("ask_user", "todo")  # as a question, as a list
_MARKS = {"open": " ", "doing": ">", "done": "x"}


class ChatTurn(Turn):
    """One turn. `plain` writes text and line ends and nothing else; `folded` is the last output that was cut."""

    def __init__(self, answer: Answer, keys: Keys, *, plain: bool) -> None:
        super().__init__(answer)
        self._keys = keys
        self._plain = plain
        self._began = time.monotonic()
        self._status = ""  # what the line that is rewritten says
        self._drawn = False
        self._output: list[str] = []
        self.folded = ""
        self.exit_status = 0
        self._usage = [0, 0]
        answer.waiting = self._wait

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C interrupts the turn, and the second time leaves it."""
        before = signal.signal(signal.SIGINT, self.on_interrupt)
        try:
            yield
        finally:
            self._clear()
            signal.signal(signal.SIGINT, before)

    def show(self) -> int:
        """Show it to its end; its exit status."""
        for line in self._lines():
            event: dict[str, Any] = json.loads(line)
            if self._show(event):
                return self.exit_status
        raise self.lost()

    def _show(self, event: dict[str, Any]) -> bool:
        """Show one event; whether it was the last."""
        match event["type"]:
            case "session_started":
                self._session = f"{event['session']} {event['name']}".encode()
                self._status = say("thinking")
            case "text_delta":
                self._write(_prose(event["text"]))
            case "progress_delta":
                self._status = say("writing to {tool}", tool=event["tool"]) if event["tool"] else say("thinking")
            case "notice":
                self._line(retell(f"! {escape(event['text'])}"))
            case "call_proposed":
                self._output = []
                self._status = _describe(event)
                if event["tool"] not in _SHOWN_ELSEWHERE:
                    self._line(f"› {self._status}")
            case "decision" if event["verdict"]["tier"] == "notify":
                self._line(retell(f"  announced: {escape(event['verdict']['reason'])}"))
            case "output":
                self._output.append(event["text"])
            case "call_done":
                self._end_call(event)
            case "todo":
                for item in event["items"]:
                    self._line(f"  [{_MARKS.get(item['state'], ' ')}] {escape(item['text'])}")
            case "approval_needed" | "review_needed" | "question":
                self._ask(event)
            case "usage":
                self._usage[0] += event["input_tokens"]
                self._usage[1] += event["output_tokens"]
            case "turn_done" | "turn_failed":
                self._end(event)
                return True
        return False

    def _end_call(self, event: dict[str, Any]) -> None:
        lines = "".join(self._output)[:_MAX_KEPT].splitlines()
        for line in lines[:_FOLDED_LINES]:
            self._line(f"  {show_output(line)}")
        left = len(lines) - _FOLDED_LINES
        if left > 0:
            self.folded = "".join(f"  {show_output(line)}\n" for line in lines)
            how = say("/output shows it all") if self._plain else say("Ctrl-O or /output shows it all")
            self._line(say("  … {left} more lines; {how}", left=left, how=how))
        if event["outcome"] == "failed" and not event["reason"]:
            self._line(retell(f"  ended with status {event['status']}"))
        elif event["outcome"] != "done":
            reason = f": {escape(event['reason'])}" if event["reason"] else ""
            self._line(retell(f"  {event['outcome'].replace('_', ' ')}{reason}"))
        elif event["reason"]:
            self._line(f"  {escape(event['reason'])}")
        self._status = say("thinking")

    def _ask(self, event: dict[str, Any]) -> None:
        """Put a card or a question to the person, and go on."""
        self._clear()
        self._break()
        self.call_person()
        self._keys.release()
        self._answer.waiting = None
        try:
            if event["type"] == "question":
                self._put_question(json.dumps(event).encode())
            elif event["type"] == "review_needed":
                self._review([card["approval"] for card in event["approvals"]])
            else:
                self._ask_person(event["approval"])
        finally:
            self._answer.waiting = self._wait
            self._keys.watch()

    def _end(self, event: dict[str, Any]) -> None:
        self.exit_status = int(event["exit_status"])
        self._clear()
        self._break()
        if event["type"] == "turn_failed":
            hint = f" ({escape(event['hint'])})" if event["hint"] else ""
            self._line(retell(f"! {escape(event['message'])}{hint}"))
        taken = time.monotonic() - self._began
        tokens = f", {self._usage[0]}+{self._usage[1]} tokens" if any(self._usage) else ""
        self._line(f"({taken:.1f} s{tokens})")
        if taken > _LONG_S:
            self.call_person()

    def call_person(self) -> None:
        """Ring, and tell the terminal's own notifications (OSC 9), where somebody may be looking elsewhere."""
        if not self._plain and environment("TERM") not in ("", "dumb", "linux"):
            write_all(2, b"\a\x1b]9;aios waits for you\a")

    def unfold(self) -> None:
        """Show the last output whole."""
        self._clear()
        self._break()
        write_all(1, (self.folded or f"{say('nothing is folded')}\n").encode())

    def _write(self, text: str) -> None:
        self._clear()
        data = text.encode("utf-8", "replace")
        write_all(1, data)
        self._at_line_start = data.endswith(b"\n") if data else self._at_line_start

    def _line(self, text: str) -> None:
        self._clear()
        self._break()
        dim = self._dim and not self._plain
        write_all(2, f"\x1b[2m{text}\x1b[0m\n".encode() if dim else f"{text}\n".encode())

    def _clear(self) -> None:
        if self._drawn:
            write_all(2, _CLEAR.encode())
            self._drawn = False

    def _wait(self, connection: _socket.socket) -> None:
        """Until the daemon says more: heed the keys, and say how long it has taken."""
        watched: list[Any] = [connection, *([self._keys.fd] if self._keys.fd >= 0 else [])]
        while True:
            readable, _, _ = select.select(watched, [], [], None if self._plain else _TICK_S)
            if self._keys.fd in readable:
                self._heed()
            if connection in readable:
                return
            if not self._plain and self._at_line_start:
                self._draw()

    def _heed(self) -> None:
        for key in self._keys.read():
            if key == ESCAPE:
                self._clear()
                self.interrupt()
            elif key == OPEN:
                self.unfold()

    def _draw(self) -> None:
        taken = time.monotonic() - self._began
        frame = _FRAMES[int(taken / _TICK_S) % len(_FRAMES)]
        write_all(2, f"{_CLEAR}{frame} {taken:.0f} s  {self._status[:60]}".encode())
        self._drawn = True


def _describe(event: dict[str, Any]) -> str:
    given = {each["name"]: each["value"] for each in event["arguments"]}
    text = given.get("command") or " ".join([event["tool"], *(given.get(name, "") for name in frames.CALL_WORDS)])
    return escape(" ".join(text.split()))


def _prose(text: str) -> str:
    """An answer's text: any language, emoji, lines; nothing that moves the cursor."""
    if text.isascii():
        return "".join(char if char >= " " or char in "\n\t" else f"\\x{ord(char):02x}" for char in text).replace(
            "\x7f", "\\x7f"
        )
    import unicodedata

    keep = "\n\t\u200c\u200d\xad"
    return "".join(
        rf"\u{{{ord(char):x}}}" if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in keep else char
        for char in text
    )
