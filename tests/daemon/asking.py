"""A question whose answer is followed event by event, and sessions in the middle of a turn."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.daemon.harness import Daemon

LINES = "application/x-ndjson"
# What the built-in model hands to the guard as it is, and how that is judged.
SLEEP = "run `sleep 1000`"  # runs unasked, until its time is over
ASKS_FIRST = "run `bash -c 'echo begun; sleep 1000'`"  # a person has to approve it


class Stream:
    """An event stream (JSON lines, chunked) on a connection of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._raw = b""
        self._text = b""
        self._ended = False
        while b"\r\n\r\n" not in self._raw:
            piece = connection.recv(65536)
            assert piece, self._raw
            self._raw += piece
        self.head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        assert self.head.startswith(b"HTTP/1.1 200 "), self.head + self._raw

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            line, newline, rest = self._text.partition(b"\n")
            if newline:
                self._text = rest
                yield json.loads(line)
            elif not self._fill():
                return

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of this kind; what comes before it is dropped."""
        for event in self:
            if event["type"] == kind:
                return event
        raise AssertionError(f"the stream ended without {kind}")

    @property
    def whole(self) -> bool:
        """Whether the stream came to its proper end."""
        return self._ended

    def _fill(self) -> bool:
        while not self._ended:
            size, separator, rest = self._raw.partition(b"\r\n")
            if separator and len(rest) >= int(size, 16) + 2:
                count = int(size, 16)
                self._ended = count == 0
                self._text += rest[:count]
                self._raw = rest[count + 2 :]
                return not self._ended
            piece = self.connection.recv(65536)
            if not piece:
                return False
            self._raw += piece
        return False


def send_question(connection: socket.socket, prompt: str, *, path: str = "/v1/ask", **fields: Any) -> None:
    """Send a question and read nothing."""
    body = json.dumps({"prompt": prompt, **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: aios\r\nAccept: {LINES}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@contextmanager
def asking(
    daemon: Daemon, prompt: str, *, uid: int | None = None, path: str = "/v1/ask", **fields: Any
) -> Iterator[Stream]:
    """Ask, and follow the answer."""
    with daemon.connect(uid) as connection:
        send_question(connection, prompt, path=path, **fields)
        yield Stream(connection)


@contextmanager
def reading(daemon: Daemon, session: str, *, after: int = 0, uid: int | None = None) -> Iterator[Stream]:
    """Follow a session's events after a cursor."""
    with daemon.connect(uid) as connection:
        head = f"GET /v1/sessions/{session}/events?after={after} HTTP/1.1\r\nHost: aios\r\nAccept: {LINES}\r\n\r\n"
        connection.sendall(head.encode())
        yield Stream(connection)


@contextmanager
def running_turn(daemon: Daemon, *, uid: int | None = None, prompt: str = SLEEP) -> Iterator[dict[str, Any]]:
    """A session in the middle of a command; its first event. The turn is cancelled at the end."""
    with asking(daemon, prompt, uid=uid) as stream:
        started = stream.until("session_started")
        stream.until("decision")
        yield started
        daemon.api("POST", f"/v1/sessions/{started['session']}/cancel", uid=uid)
        for _event in stream:
            pass


def answer(daemon: Daemon, approval: str, *, approve: bool = True, reason: str = "", uid: int | None = None) -> None:
    """Answer an approval, as a person at the guard."""
    (card,) = daemon.guard("ListPending", {"id": approval}, uid=uid)["approvals"]
    decision = "approve" if approve else "deny"
    parameters = {"id": approval, "digest": card["digest"], "decision": decision, "reason": reason or None}
    assert daemon.guard("Answer", parameters, uid=uid) == {}
