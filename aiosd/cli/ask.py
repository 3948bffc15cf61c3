"""`aios ask`: the question as frames, the answer as it comes; cards for approvals; Ctrl-C interrupts the turn.

The answer goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal itself, without the enums
import posix

from aiosd import frames
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import NoDaemonError, environment, write_all
from aiosd.cli.transport import Answer, complain, request
from aiosd.words import render_note, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiosd.cli.progress import Progress

_MAX_INPUT = 1024 * 1024
_AGAIN = ("model", "wait", "timeout", "budget", "output", "schema")  # what holds for carrying out a plan, too
_CARRY_OUT = "[y] carry them out: you are shown each first, and asked  (no): "
_UNANSWERED = b"  unanswered: "  # how a note begins that tells of a call which nobody was asked about
_CALL = "› ".encode()  # how a note begins that tells of a call


def ask(options: dict[str, str], words: list[str]) -> int:
    """Ask one turn; the exit status it deserves."""
    body = _render_question(options, words)
    as_json = "json" in options
    accept = "application/x-ndjson" if as_json else frames.MEDIA_TYPE
    answer = request("POST", "/v1/ask", accept=accept, content_type=frames.MEDIA_TYPE, body=body)
    if answer.status != 200:
        return complain(answer)
    turn = Turn(answer)
    _signal.signal(_signal.SIGINT, turn.on_interrupt)
    status = turn.follow_json() if as_json else turn.follow()
    if "output" in options:
        from aiosd.cli.attach import write_answer

        write_answer(options["output"], turn.said)
    if "plan" in options and turn.left and not as_json and _wants_it_done(turn.left):
        again = {name: value for name, value in options.items() if name in _AGAIN}
        return ask({**again, "session": turn.session_id, "carry-out": ""}, words)
    return status


def _wants_it_done(count: int) -> bool:
    """Whether the person at the terminal has the plan carried out: then its steps are proposed, and shown, as such."""
    from aiosd.cli.answers import open_terminal, read_line

    terminal = open_terminal()
    if terminal < 0:
        return False
    try:
        left = say("one step was left undone") if count == 1 else say("{count} steps were left undone", count=count)
        write_all(terminal, f"\n{left}\n".encode())
        said = read_line(terminal, None, say(_CARRY_OUT)) or ""
    finally:
        posix.close(terminal)
    return said.strip().lower() in ("y", "yes")


def _render_question(options: dict[str, str], words: list[str]) -> bytes:
    prompt = " ".join(words)
    given = b"" if posix.isatty(0) else _read_input()
    attached = _read_attached(options)
    if not prompt.strip() and not given.strip() and not attached:
        raise UsageError("ask what? Put the question behind it, or on standard input", "ask")
    for name in ("wait", "timeout"):
        if not (options.get(name, "0").isascii() and options.get(name, "0").isdecimal()):
            raise UsageError(f"--{name} takes a whole number of seconds", "ask")
    try:
        cwd = posix.getcwdb()
    except OSError:
        cwd = b"/"
    out = frames.render(frames.PROMPT, prompt.encode("utf-8", "surrogateescape")) + frames.render(frames.CWD, cwd)
    if given:
        out += frames.render(frames.INPUT, given)
    if "session" in options:
        out += frames.render(frames.WANTED, options["session"].encode("utf-8", "surrogateescape"))
    if "continue" in options:
        out += frames.render(frames.NEWEST, b"")
    if "fork" in options:
        out += frames.render(frames.FORK, b"")
    if "name" in options:
        out += frames.render(frames.NAME, options["name"].encode("utf-8", "surrogateescape"))
    for name, tag in _VALUES.items():
        if name in options:
            out += frames.render(tag, options[name].encode("utf-8", "surrogateescape"))
    if "plan" in options:
        out += frames.render(frames.PLAN, b"")
    if "carry-out" in options:
        out += frames.render(frames.CARRY_OUT, b"")
    if "schema" in options:
        from aiosd.cli.attach import read_schema

        out += frames.render(frames.SCHEMA, read_schema(options["schema"]))
    return out + attached


_VALUES = {
    "model": frames.MODEL,
    "wait": frames.WAIT,
    "timeout": frames.TIMEOUT,
    "yes-to": frames.YES_TO,
    "budget": frames.BUDGET,
}


def _read_attached(options: dict[str, str]) -> bytes:
    if "attach" not in options:
        return b""
    from aiosd.cli.attach import read_attachments

    return read_attachments(options["attach"].split("\0"))


def _read_input() -> bytes:
    pieces, size = [], 0
    while piece := posix.read(0, 65536):
        size += len(piece)
        if size > _MAX_INPUT:
            raise UsageError(f"standard input is over {_MAX_INPUT} bytes; send less of it", "ask")
        pieces.append(piece)
    return b"".join(pieces)


class Turn:
    """The answer of one turn, read to its end."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._pieces = answer.pieces()
        self._buffer = b""
        self._session = b""
        self._interrupted = False
        self._at_line_start = True
        self.said = b""  # the answer since the last call
        self.left = 0  # calls that a plan left undone
        self._dim = posix.isatty(2) and not environment("NO_COLOR") and environment("TERM") not in ("", "dumb")

    def follow(self) -> int:
        """Print frames until the last; the exit status in it."""
        progress = self._show_progress() if self._dim else None
        for tag, content in self._frames():
            if progress:
                progress.clear()
            if tag == frames.TEXT:
                write_all(1, content)
                self.said += content
                self._at_line_start = content.endswith(b"\n")
            elif tag == frames.VOID:
                self.said = b""
                self._break()
            elif tag == frames.NOTE:
                if content.startswith(_CALL):
                    self.said = b""
                    if progress:
                        progress.status = content[len(_CALL) :]
                self.left += content.startswith(_UNANSWERED)
                if self._dim or content.startswith(_CALL):
                    self._break()
                note = render_note(content)
                write_all(2, b"\x1b[2m%s\x1b[0m\n" % note if self._dim else note + b"\n")
            elif tag == frames.SESSION:
                self._session = content
            elif tag == frames.APPROVAL:
                self._ask_person(content.partition(b" ")[0].decode())
            elif tag == frames.REVIEW:
                self._review(content.decode().split())
            elif tag == frames.QUESTION:
                self._put_question(content)
            elif tag == frames.EXIT:
                self._break()
                return int(content)
            if progress:
                progress.may_draw = self._at_line_start
        raise self.lost()

    def _break(self) -> None:
        """End the line of the answer that is not at its end."""
        if not self._at_line_start:
            write_all(1, b"\n")
            self._at_line_start = True

    def _show_progress(self) -> Progress:
        """Say how long it takes, from now on."""
        from aiosd.cli.progress import Progress

        progress = Progress()
        self._answer.waiting = progress.wait
        return progress

    def follow_json(self) -> int:
        """Print the events as they are, until the last."""
        import json

        for line in self._lines():
            write_all(1, line)
            event = json.loads(line)
            if event["type"] == "session_started":
                self._session = f"{event['session']} {event['name']}".encode()
            elif event["type"] == "approval_needed":
                self._ask_person(event["approval"])
            elif event["type"] == "review_needed":
                self._review([card["approval"] for card in event["approvals"]])
            elif event["type"] == "question":
                self._put_question(line)
            elif event["type"] == "text_delta":
                self.said += event["text"].encode("utf-8", "replace")
            elif event["type"] == "call_proposed" or event.get("void"):
                self.said = b""
            elif event["type"] in ("turn_done", "turn_failed"):
                return int(event["exit_status"])
        raise self.lost()

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._session.partition(b" ")[0].decode()

    @property
    def session_name(self) -> str:
        """The session's name."""
        return self._session.partition(b" ")[2].decode()

    def on_interrupt(self, _number: int, _frame: object) -> None:
        """Ctrl-C: tell the daemon to end the turn, and read on to its end; the second time just leave."""
        if self._interrupted or not self._session:
            raise KeyboardInterrupt
        write_all(2, b"\n")
        self.interrupt()

    def interrupt(self) -> None:
        """Have the turn end."""
        self._interrupted = True
        name = self._session.partition(b" ")[0].decode()
        if request("POST", f"/v1/sessions/{name}/cancel", accept="application/json").status != 200:
            raise KeyboardInterrupt

    def _ask_person(self, approval: str) -> None:
        from aiosd.cli.approvals import answer_inline

        if not answer_inline(approval, self._answer.connection):
            self._tell_over()

    def _review(self, approvals: list[str]) -> None:
        from aiosd.cli.approvals import review_inline

        if not review_inline(approvals, self._answer.connection):
            self._tell_over()

    def _tell_over(self) -> None:
        if not self._interrupted:
            write_all(2, f"\n({say('it was answered elsewhere, or is over')})\n".encode())

    def _put_question(self, content: bytes) -> None:
        from aiosd.cli.questions import answer_inline

        answer_inline(self._session.partition(b" ")[0].decode(), content, self._answer.connection)

    def lost(self) -> NoDaemonError:
        """The error for a stream that ended before the turn did."""
        text = say("the daemon ended in the middle of the turn")
        return NoDaemonError(f"{text}\n  {say('go on with: aios ask --session {name} ...', name=self.session_name)}")

    def _frames(self) -> Iterator[tuple[str, bytes]]:
        while True:
            head, newline, rest = self._buffer.partition(b"\n")
            size = int(head[1:]) if newline else 0
            if newline and len(rest) >= size:
                self._buffer = rest[size:]
                yield head[:1].decode(), rest[:size]
            elif not self._fill():
                return

    def _lines(self) -> Iterator[bytes]:
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                yield line + newline
            elif not self._fill():
                return

    def _fill(self) -> bool:
        try:
            piece = next(self._pieces, b"")
        except NoDaemonError as exc:
            raise self.lost() from exc
        self._buffer += piece
        return bool(piece)
