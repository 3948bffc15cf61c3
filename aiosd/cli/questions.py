"""A question of the model's, put to the person at their terminal; the answer goes back to the daemon.

It looks like a question and never like a card: nothing is approved by it.
"""

from __future__ import annotations

import json
import os
import select
import termios

from aiosd.cli.answers import open_terminal
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape
from aiosd.cli.transport import request
from aiosd.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

_MAX_ANSWER = 4096


def answer_inline(session: str, content: bytes, stream: _socket.socket) -> bool:
    """Ask what a frame of the daemon's asks; False if the turn goes on without the answer."""
    asked = json.loads(content)
    choices = [escape(str(each)) for each in asked["choices"]]
    terminal = open_terminal()
    if terminal < 0:
        write_all(2, f"? {escape(str(asked['text']))}\n  ({say('nobody is here to answer')})\n".encode())
        send(session, str(asked["call"]), "")
        return True
    try:
        shown = "".join(f"  {number}. {choice}\n" for number, choice in enumerate(choices, 1))
        write_all(terminal, f"\n? {escape(str(asked['text']), newlines=True)}\n{shown}".encode())
        answer = _read(terminal, stream, choices)
    finally:
        os.close(terminal)
    if answer is None:
        return False
    send(session, str(asked["call"]), answer)
    return True


def send(session: str, call: str, text: str) -> bool:
    """Give an answer; whether the question still waited."""
    body = json.dumps({"call": call, "text": text}).encode()
    path = f"/v1/sessions/{session}/answer"
    answer = request("POST", path, accept="application/json", content_type="application/json", body=body)
    return answer.status == 200 and bool(json.loads(answer.whole())["answered"])


def choose(line: str, choices: list[str]) -> str:
    """What was typed: the choice of that number, or the words themselves."""
    text = line.strip()
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= len(choices):
        return choices[int(text) - 1]
    return text


def _read(terminal: int, stream: _socket.socket, choices: list[str]) -> str | None:
    """A line, None when the turn moves on first."""
    termios.tcflush(terminal, termios.TCIFLUSH)
    write_all(terminal, f"  {say('number or words: ') if choices else say('answer: ')}".encode())
    watched: list[Any] = [terminal, stream]
    readable, _, _ = select.select(watched, [], [])
    if terminal not in readable:
        return None
    return choose(os.read(terminal, _MAX_ANSWER).decode("utf-8", "replace"), choices)
