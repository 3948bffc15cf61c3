"""`aios sessions` and `aios session …`: found, named, watched, read out, deleted."""

from __future__ import annotations

import json
import posix

from aiosd import exits, frames
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape, show_output
from aiosd.cli.transport import Answer, complain, fetch, request, tell
from aiosd.words import is_japanese, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")


def show(options: dict[str, str], operands: list[str]) -> int:
    """`aios sessions`; the exit status."""
    if operands and "search" in options:
        raise UsageError("sessions takes a name or --search, not both", "sessions")
    if operands:
        return _read(f"/v1/sessions/{path_part(operands[0])}")
    path = f"/v1/sessions?search={quote(options['search'])}" if "search" in options else "/v1/sessions"
    return _list(path) if is_japanese() else fetch("GET", path)


def _list(path: str) -> int:
    """The table, its head and its states told again; its rows begin with names and end with what was asked."""
    from aiosd.cli.retold import render_sessions

    answer = request("GET", path, accept=_JSON)
    if answer.status != 200:
        return complain(answer)
    write_all(1, render_sessions(json.loads(answer.whole())).encode("utf-8", "surrogateescape"))
    return exits.OK


def run(verb: str, options: dict[str, str], operands: list[str]) -> int:
    """`aios session VERB`; the exit status."""
    path = f"/v1/sessions/{path_part(operands[0])}"
    match verb:
        case "rename":
            body = json.dumps({"name": operands[1]}).encode()
            return _tell(request("POST", f"{path}/rename", accept=_JSON, content_type=_JSON, body=body), say("renamed"))
        case "delete":
            return _tell(request("DELETE", path, accept=_JSON), say("deleted"))
        case "export":
            return _export(options, path)
        case "file":
            return _read_file(options, f"{path}/files?path={quote(operands[1])}")
        case _:
            return _attach(path)


_JSON = "application/json"


def _export(options: dict[str, str], path: str) -> int:
    if len(options) > 1:
        raise UsageError("session export takes --json or --script, not both", "session export")
    if "json" not in options:
        return fetch("GET", f"{path}/export?script=true") if "script" in options else _read(f"{path}/export")
    answer = request("GET", f"{path}/export", accept=_JSON)
    if answer.status != 200:
        return complain(answer)
    write_all(1, answer.whole() + b"\n")
    return exits.OK


def _read_file(options: dict[str, str], path: str) -> int:
    """A file that a session keeps, as it is; at a terminal without what would move its cursor."""
    answer = request("GET", path, accept="application/octet-stream")
    if answer.status != 200:
        return complain(answer)
    content = answer.whole()
    if "output" in options:
        from aiosd.cli.attach import write_answer

        write_answer(options["output"], content)
    elif posix.isatty(1):
        lines = content.decode("utf-8", "replace").split("\n")
        write_all(1, "\n".join(map(show_output, lines)).encode())
    else:
        write_all(1, content)
    return exits.OK


def _read(path: str) -> int:
    """A session as text, whose values are told by the client where its words are not the daemon's English."""
    if not is_japanese():
        return fetch("GET", path)
    from aiosd.cli.retold import render_markdown, render_session

    answer = request("GET", path, accept=_JSON)
    if answer.status != 200:
        return complain(answer)
    render = render_markdown if path.endswith("/export") else render_session
    write_all(1, render(json.loads(answer.whole())).encode("utf-8", "surrogateescape"))
    return exits.OK


def _attach(path: str) -> int:
    """The newest turn from its beginning on, as whoever asked sees it; Ctrl-C leaves and interrupts nothing."""
    from aiosd.cli.ask import Turn

    answer = request("GET", path, accept=_JSON)
    if answer.status != 200:
        return complain(answer)
    detail: dict[str, Any] = json.loads(answer.whole())
    if not detail["turns"]:
        tell(2, "nothing was asked there yet\n")
        return exits.OK
    newest = detail["turns"][-1]
    write_all(2, f"> {escape(newest['prompt'])}\n".encode())
    stream = request("GET", f"{path}/events?after={detail['turn_seq']}", accept=frames.MEDIA_TYPE)
    if stream.status != 200:
        return complain(stream)
    try:
        return Turn(stream).follow()
    except KeyboardInterrupt:
        tell(2, "\n(the turn goes on)\n")
        return exits.INTERRUPTED


def _tell(answer: Answer, done: str) -> int:
    if answer.status != 200:
        return complain(answer)
    write_all(2, f"{done}: {json.loads(answer.whole())['name']}\n".encode())
    return exits.OK


def path_part(name: str) -> str:
    """A session's name or id as part of a path; UsageError for what is neither."""
    if not name or not all(char.isascii() and (char.isalnum() or char == "-") for char in name):
        raise UsageError(f"{name!r} is no name of a session; aios sessions lists them")
    return name


def quote(text: str) -> str:
    """A value in a query. Source: RFC 3986, section 2."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))
