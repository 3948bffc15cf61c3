"""Several cards as one numbered list: answered all at once, some, or one by one; each answer is to one card.

A plan of a model's, or whatever waits. Nothing is said yes to that was not shown.
"""

from __future__ import annotations

import termios

from aiosd.cli.answers import Said, give, read_line, read_said
from aiosd.cli.card import draw_card, measure
from aiosd.cli.guard import GuardError
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape
from aiosd.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

_QUESTION = "[y] yes to all  [1 3] to these  [s 2] skip  [n] no to all  (one by one): "


class Review:
    """The cards of a list, by their numbers; what is answered leaves it. `denied`: whether any was said no to."""

    def __init__(self, cards: list[dict[str, Any]], terminal: int, stream: _socket.socket | None) -> None:
        self._left = dict(enumerate(cards, 1))
        self._terminal = terminal
        self._stream = stream
        self.denied = False

    def run(self) -> bool:
        """Show the list and take the answers; False if the turn goes on without them."""
        self._write(f"\n{say('{count} steps wait for your answer', count=len(self._left))}\n")
        for number, card in self._left.items():
            self._write(draw_card(card, columns=measure(self._terminal), number=number))
        termios.tcflush(self._terminal, termios.TCIFLUSH)
        while self._left:
            line = read_line(self._terminal, self._stream, say(_QUESTION))
            if line is None or not self._take(line.strip()):
                return False
            if self._left:
                self._write(f"  {say('left: {numbers}', numbers=' '.join(map(str, self._left)))}\n")
        return True

    def _take(self, line: str) -> bool:
        """Do what a line says; False if the turn goes on without it. What says nothing is asked for again."""
        head, _, rest = line.partition(" ")
        if not line:
            return self._go_through()
        if head.lower() in ("n", "no"):
            self._answer(list(self._left), Said(reason=rest.strip()))
        elif line.lower() in ("y", "yes"):
            self._answer(list(self._left), Said("approve"))
        elif head.lower() in ("s", "skip"):
            self._answer(self._parse(rest) if rest.strip() else list(self._left), Said("skip"))
        else:
            self._answer(self._parse(line), Said("approve"))
        return True

    def _parse(self, text: str) -> list[int]:
        """The numbers in `text`; none where one of them is no number in the list."""
        words = text.replace(",", " ").split()
        numbers = [int(word) for word in words if word.isascii() and word.isdigit()]
        return numbers if len(numbers) == len(words) and set(numbers) <= self._left.keys() else []

    def _go_through(self) -> bool:
        for number, card in list(self._left.items()):
            if number not in self._left:
                continue  # a no to another was one to this too
            self._write(f"\n  {number}. {escape(card['action'], newlines=True)}\n")
            said = read_said(self._terminal, self._stream, card)
            if said is None:
                return False
            self._answer([number], said)
        return True

    def _answer(self, numbers: list[int], said: Said) -> None:
        for number in dict.fromkeys(numbers):
            if (card := self._left.pop(number, None)) is None:
                continue
            try:
                give(card, said)
            except GuardError as exc:
                self._write(f"  {number}. ! {escape(str(exc))}\n")
                continue
            if said.decision == "deny":
                self.denied = True
                self._drop(card["session"])

    def _drop(self, session: str) -> None:
        """A no is one to all that its session has pending."""
        for number in [number for number, card in self._left.items() if card["session"] == session]:
            del self._left[number]

    def _write(self, text: str) -> None:
        write_all(self._terminal, text.encode("utf-8", "backslashreplace"))
