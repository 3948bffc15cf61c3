"""Who is at the other end: nobody, somebody else, something that is no daemon, one that ends in mid-sentence."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiosd.cli.reach import START_HINT
from tests.daemon.people import OTHER, PERSON, acting_as, needs_root
from tests.unit.cli.scripted import listening, run_client

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path, open to all."""
    with tempfile.TemporaryDirectory(prefix="aios-", dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def _chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_without_a_daemon_it_says_where_it_looked_and_how_to_start_one(place: Path) -> None:
    for verb in ("status", "sessions", "models", "doctor", "ask"):
        ran = run_client(verb, stdin=b"why?", AIOS_SOCKET=f"{place}/none.sock")
        assert (ran.status, ran.out) == (69, "")
        assert ran.err == f"aios: no daemon answers at {place}/none.sock (there is no such socket)\n  {START_HINT}\n"
    for words in (["log"], ["pending"], ["approve", "1"], ["deny", "1"], ["log", "--verify"]):
        ran = run_client(*words, AIOS_SOCKET=f"{place}/none.sock")
        assert (ran.status, ran.out) == (69, "")
        assert ran.err == f"aios: no guard answers at {place}/guard.sock (No such file or directory)\n  {START_HINT}\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 200, "AF_UNIX path too long"),
        ("file", "Connection refused"),
        ("shut", "Permission denied"),
    ],
)
def test_why_a_socket_cannot_be_used_is_said(place: Path, name: str, reason: str) -> None:
    (place / "file").touch()
    (place / "shut").touch(mode=0o000)
    uid = PERSON if os.geteuid() == 0 else None
    if name == "file":
        (place / "file").chmod(0o666)
    ran = run_client("status", uid=uid, AIOS_SOCKET=f"{place}/{name}")
    assert ran.status == 69
    assert ran.err.startswith(f"aios: no daemon answers at {place}/{name} ({reason})\n")


def test_a_path_that_is_no_text_is_told_too(place: Path) -> None:
    ran = run_client("status", AIOS_SOCKET=os.fsencode(place) + b"/\xff")
    assert (ran.status, ran.out) == (69, "")
    assert "/\\udcff (there is no such socket)" in ran.err


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 6\r\n\r\nwhole\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(b"who", b"le\n"),
        HEAD + b"transfer-encoding: chunked\r\n\r\n6;x=y\r\nwhole\n\r\n0\r\n\r\n",
    ],
)
def test_an_answer_is_printed_as_it_is(place: Path, answer: bytes) -> None:
    with listening(place / "a.sock", answer) as daemon:
        ran = run_client("status", AIOS_SOCKET=f"{place}/a.sock")
    assert (ran.status, ran.out, ran.err) == (0, "whole\n", "")
    assert daemon.got.startswith(b"GET /v1/status HTTP/1.1\r\nHost: aios\r\nAccept: text/plain\r\n")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "the daemon ended in the middle of its answer"),
        (HEAD, "the daemon ended in the middle of its answer"),
        (HEAD + b"Content-Length: 9\r\n\r\nhalf", "the daemon ended in the middle of its answer"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "the daemon ended in the middle of its answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "what answers there is not aiosd"),
        (b"HTTP/1.1\r\n\r\n", "what answers there is not aiosd"),
    ],
)
def test_half_an_answer_is_no_answer(place: Path, answer: bytes, told: str) -> None:
    with listening(place / "a.sock", answer):
        ran = run_client("status", AIOS_SOCKET=f"{place}/a.sock")
    assert ran.status == 69
    assert ran.err.startswith(f"aios: {told}")
    assert "Traceback" not in ran.err


def test_a_question_that_is_turned_away_before_it_was_read_is_told_why(place: Path) -> None:
    problem = json.dumps({"detail": "over the limit", "hint": "send less", "exit_status": 65}).encode()
    said = b"HTTP/1.1 413 X\r\nContent-Length: %d\r\n\r\n%s" % (len(problem), problem)
    with listening(place / "a.sock", said, reads=1):
        ran = run_client("ask", "why?", stdin=b"x" * 900_000, AIOS_SOCKET=f"{place}/a.sock")
    assert (ran.status, ran.out, ran.err) == (65, "", "aios: over the limit\n  send less\n")


def test_a_problem_says_what_happened_and_what_to_do_and_draws_nothing(place: Path) -> None:
    problem = json.dumps({"detail": "no \x1b[2J", "hint": "look\n  as root", "exit_status": 78}).encode()
    said = b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n%s" % (len(problem), problem)
    with listening(place / "a.sock", said):
        ran = run_client("status", AIOS_SOCKET=f"{place}/a.sock")
    assert (ran.status, ran.err) == (78, "aios: no \\u{1b}[2J\n  look\\u{a}  as root\n")


def test_an_error_that_is_no_problem_is_a_bug_of_ours(place: Path) -> None:
    with listening(place / "a.sock", b"HTTP/1.1 502 X\r\nContent-Length: 2\r\n\r\nno"):
        ran = run_client("status", AIOS_SOCKET=f"{place}/a.sock")
    assert (ran.status, ran.err) == (70, "aios: the daemon answered 502\n")


@contextmanager
def _socket_of(uid: int, path: Path) -> Iterator[None]:
    """A listening socket that `uid` made, as anybody could in /tmp."""
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o777)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with acting_as(uid):
            listener.bind(str(path))
            listener.listen(1)
        path.chmod(0o777)
        yield


@needs_root
def test_a_socket_that_somebody_else_put_where_ours_would_be_gets_no_question(place: Path) -> None:
    with _socket_of(OTHER, place / "aios" / "aiosd.sock"):
        ran = run_client("ask", "secret", uid=PERSON, XDG_RUNTIME_DIR=str(place))
    assert (ran.status, ran.out) == (69, "")
    assert f"({place}/aios/aiosd.sock is somebody else's)" in ran.err


@needs_root
def test_a_guard_that_is_neither_roots_nor_ours_is_not_believed(place: Path) -> None:
    with _socket_of(OTHER, place / "aios" / "guard.sock"):
        ran = run_client("pending", uid=PERSON, XDG_RUNTIME_DIR=str(place))
    assert (ran.status, ran.out) == (69, "")
    assert f"{place}/aios/guard.sock is served by uid {OTHER}, which is not to be believed" in ran.err


def _guard_says(place: Path, reply: object) -> tuple[int, str, str]:
    said = reply if isinstance(reply, bytes) else json.dumps(reply).encode() + b"\0"
    with listening(place / "guard.sock", said):
        ran = run_client("pending", AIOS_GUARD_SOCKET=f"{place}/guard.sock")
    return ran.status, ran.out, ran.err


@pytest.mark.parametrize(
    ("reply", "status", "told"),
    [
        ({"error": "io.aios.Guard.NotEntitled", "parameters": {"reason": "for root\x1b"}}, 77, "for root\\u{1b}"),
        ({"error": "io.aios.Guard.CannotRecord", "parameters": {"reason": "disk full"}}, 78, "disk full"),
        ({"error": "io.aios.Guard.Internal", "parameters": {"reason": "see the log"}}, 70, "see the log"),
        ({"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": "x"}}, 65, "InvalidParameter x"),
        ({"error": "org.varlink.service.PermissionDenied"}, 70, "PermissionDenied"),
        (b"", 69, "the guard ended before it answered"),
        (b'{"parameters"', 69, "the guard ended before it answered"),
    ],
)  # fmt: skip
def test_what_the_guard_refuses_is_told_with_the_status_it_deserves(
    place: Path, reply: object, status: int, told: str
) -> None:
    assert _guard_says(place, reply) == (status, "", f"aios: {told}\n")


def test_the_guard_is_believed_when_it_is_ours(place: Path) -> None:
    assert _guard_says(place, {"parameters": {"approvals": []}}) == (0, "nothing waits for an answer\n", "")


def test_the_guard_is_found_beside_a_daemon_that_does_not_run(place: Path) -> None:
    with listening(place / "guard.sock", b'{"parameters":{"approvals":[]}}\0') as guard:
        ran = run_client("pending", AIOS_SOCKET=f"{place}/aiosd.sock")
    assert (ran.status, ran.out) == (0, "nothing waits for an answer\n")
    assert json.loads(guard.got[:-1]) == {"method": "io.aios.Guard.ListPending", "parameters": {}}


def test_of_a_list_of_sessions_what_was_asked_is_not_told_again(place: Path) -> None:
    english = ["NAME  LAST USED (UTC)   STATE  ABOUT", "one   2026-05-01 10:20  done   a person said no", ""]
    one = {"name": "one", "used_at": "2026-05-01T10:20:00.000Z", "state": "running", "title": "a person said no"}
    with listening(place / "a.sock", _answer("\n".join(english))):
        plain = run_client("sessions", AIOS_SOCKET=f"{place}/a.sock")
    with listening(place / "b.sock", _answer(json.dumps({"sessions": [one]}))):
        told = run_client("sessions", AIOS_SOCKET=f"{place}/b.sock", LC_MESSAGES="ja_JP.UTF-8")
    assert (plain.status, plain.out.split("\n"), plain.err) == (0, english, "")
    assert (told.status, told.err) == (0, "")
    head, row, end = told.out.split("\n")
    assert head.split() == ["名前", "最終利用", "(UTC)", "状態", "説明"]
    assert row.startswith("one   2026-05-01 10:20")
    assert row.endswith("  a person said no")
    assert (row.split()[3], end) == ("動作中", "")


def _answer(body: str) -> bytes:
    return HEAD + f"Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()
