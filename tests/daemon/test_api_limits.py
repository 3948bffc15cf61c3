"""The limits of the API, each by its effect, and that what is within them goes through."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon.asking import LINES, SLEEP, running_turn, send_question
from tests.daemon.conftest import MakeDaemon, running
from tests.daemon.harness import Daemon, Response, read_response, wait_until
from tests.daemon.people import OTHER, needs_root
from tests.daemon.raw import chunked, exchange, post, send

JSON = "Content-Type: application/json"


def _code(response: Response) -> tuple[int, str, int]:
    return response.status, response.json["code"], response.json["exit_status"]


def _command(size: int) -> bytes:
    """A body of this size that asks about a command."""
    frame = b'{"command": "ls", "padding": ""}'
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


@pytest.fixture(scope="module")
def small() -> Iterator[Daemon]:
    """A daemon with small limits."""
    config = "[limits]\nbody_bytes = 5000\nrequest_s = 1\nconnections_per_user = 5\nturns_per_user = 2\n"
    with running(config=config) as made:
        yield made


# Bodies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "status"), [(4999, 200), (5000, 200), (5001, 413), (500_000, 413)])
def test_a_body_has_a_bound_however_its_length_is_told(small: Daemon, size: int, status: int) -> None:
    body = _command(size)
    counted = send(small, post("/v1/policy/check", JSON, f"Content-Length: {size}", body=body))
    pieces = [body[start : start + 1000] for start in range(0, size, 1000)]
    in_chunks = send(small, post("/v1/policy/check", JSON, "Transfer-Encoding: chunked", body=chunked(*pieces)))
    for response in (counted, in_chunks):
        small.check("POST", "/v1/policy/check", response)
        assert response.status == status
        if status == 413:
            assert _code(response) == (413, "too_large", 65)
            assert response.json["detail"] == "the body is over 5000 bytes"
            assert response.json["hint"] == "send less, or raise limits.body_bytes"


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(small: Daemon) -> None:
    with small.connect() as connection:
        connection.sendall(post("/v1/policy/check", JSON, f"Content-Length: {10**15}"))
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 413 ")


def test_a_body_without_end_is_refused_where_it_passes_the_bound(small: Daemon) -> None:
    head = post("/v1/policy/check", JSON, "Transfer-Encoding: chunked")
    with small.connect() as connection:
        connection.sendall(head + chunked(b"x" * 6000, end=False))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_compressed_body_is_bounded_by_what_it_grows_to(small: Daemon) -> None:
    body = gzip.compress(_command(3_000_000))
    headers = (JSON, "Content-Encoding: gzip", f"Content-Length: {len(body)}")
    response = send(small, post("/v1/policy/check", *headers, body=body))
    assert response.status in {400, 413}
    fits = gzip.compress(_command(4000))
    headers = (JSON, "Content-Encoding: gzip", f"Content-Length: {len(fits)}")
    assert send(small, post("/v1/policy/check", *headers, body=fits)).status == 200


# Time -----------------------------------------------------------------------------------------------------------------


def test_a_request_that_does_not_arrive_in_time_ends_the_connection_and_says_why(small: Daemon) -> None:
    parts = {
        "nothing": b"",
        "half a head": b"GET /v1/status HTTP/1.1\r\nHost: aios\r\nX: y",
        "half a body": post("/v1/policy/check", JSON, "Content-Length: 100", body=b'{"command"'),
        "half the chunks": post("/v1/ask", JSON, "Transfer-Encoding: chunked", body=chunked(b'{"pro', end=False)),
    }
    with contextlib.ExitStack() as stack:
        connections = {name: stack.enter_context(small.connect()) for name in parts}
        for name, connection in connections.items():
            connection.sendall(parts[name])
        answers = {name: _read_some(connection) for name, connection in connections.items()}
    for name, response in answers.items():
        assert _code(response) == (408, "request_timeout", 75), name
    assert answers["nothing"].json["detail"] == "the request's head did not arrive in time"
    assert answers["half a body"].json["detail"] == "the request did not arrive in time"


def _read_some(connection: socket.socket) -> Response:
    """An answer by its length: the daemon goes on reading a body for a while, so that the client gets to read this."""
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    return Response(status=int(head.split()[1]), headers={}, body=body)


def test_a_head_that_comes_drop_by_drop_has_the_same_time(small: Daemon) -> None:
    ended = threading.Event()
    with small.connect() as connection:

        def drip() -> None:
            with contextlib.suppress(OSError):
                for byte in b"GET /v1/status HTTP/1.1\r\nX: " + b"y" * 10_000:
                    connection.sendall(bytes((byte,)))
                    if ended.wait(0.05):
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert _code(read_response(connection)) == (408, "request_timeout", 75)
        finally:
            ended.set()
            dripping.join()


def test_a_request_that_takes_its_time_within_the_limit_is_served(small: Daemon) -> None:
    body = b'{"command": "ls"}'
    data = post("/v1/policy/check", JSON, f"Content-Length: {len(body)}", body=body)
    with small.connect() as connection:
        for start in range(0, len(data), 20):
            connection.sendall(data[start : start + 20])
        assert read_response(connection).status == 200


def test_an_answer_may_take_longer_than_a_request(small: Daemon) -> None:
    """The time is for the request to arrive, not for the turn."""
    assert small.ask("run `sleep 1.3`")[-1]["exit_status"] == 0


# Connections and turns ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _held(daemon: Daemon, count: int, uid: int | None = None) -> Iterator[list[socket.socket]]:
    """Connections that are open and have asked nothing yet."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(daemon.connect(uid)) for _ in range(count)]


def test_connections_of_one_user_are_bounded_and_another_user_is_served(make_daemon: MakeDaemon) -> None:
    made = make_daemon(config="[limits]\nconnections_per_user = 3\n")
    with _held(made, 3) as held:
        wait_until(lambda: _is_refused(made), "the fourth connection to be refused")
        response = made.api("GET", "/v1/status")
        assert _code(response) == (429, "too_many_requests", 75)
        assert response.json["detail"] == "too many connections of yours are open"
        assert response.json["hint"] == "close one; limits.connections_per_user"
        ran = made.aios("status")
        assert (ran.status, ran.out) == (75, "")
        assert ran.err == (
            "aios: too many connections of yours are open\n  close one; limits.connections_per_user\n"
        )  # fmt: skip
        held[0].sendall(b"GET /v1/models HTTP/1.1\r\nHost: aios\r\n\r\n")
        assert read_response(held[0]).status == 200
    wait_until(lambda: not _is_refused(made), "the closed connections to count no more")


def _is_refused(daemon: Daemon) -> bool:
    return daemon.api("GET", "/v1/status").status == 429


@needs_root
def test_one_users_connections_are_not_anothers(make_daemon: MakeDaemon) -> None:
    made = make_daemon(config="[limits]\nconnections_per_user = 3\n")
    with _held(made, 3):
        wait_until(lambda: _is_refused(made), "the fourth connection to be refused")
        assert made.api("GET", "/v1/status", uid=OTHER).status == 200
        assert made.ask("how much memory is free?", uid=OTHER)[-1]["exit_status"] == 0


def test_turns_of_one_user_are_bounded(make_daemon: MakeDaemon) -> None:
    made = make_daemon(config="[limits]\nturns_per_user = 2\n")
    with running_turn(made), running_turn(made):
        response = made.api("POST", "/v1/ask", {"prompt": "how much memory is free?"}, LINES)
        assert _code(response) == (429, "too_many_requests", 75)
        assert response.json["detail"] == "2 turns of yours run already"
        assert response.json["hint"] == "wait for one, or raise limits.turns_per_user"
        assert made.api("GET", "/v1/status").json["running_turns"] == 2
        assert made.aios("ask", "how", "much", "memory", "is", "free?").status == 75
    assert made.ask("how much memory is free?")[-1]["exit_status"] == 0


def test_turns_that_are_asked_for_at_once_are_bounded_too(make_daemon: MakeDaemon) -> None:
    made = make_daemon(config="[limits]\nturns_per_user = 3\n")
    with _held(made, 12) as connections:
        for connection in connections:
            send_question(connection, SLEEP)
        heads = [connection.recv(12) for connection in connections]
        assert sorted(heads) == [b"HTTP/1.1 200"] * 3 + [b"HTTP/1.1 429"] * 9
        for session in made.api("GET", "/v1/sessions").json["sessions"]:
            made.api("POST", f"/v1/sessions/{session['id']}/cancel")
        wait_until(lambda: made.api("GET", "/v1/status").json["running_turns"] == 0, "the turns to end")


@needs_root
def test_one_users_turns_are_not_anothers(make_daemon: MakeDaemon) -> None:
    made = make_daemon(config="[limits]\nturns_per_user = 1\n")
    with running_turn(made):
        assert made.api("POST", "/v1/ask", {"prompt": "?"}, LINES).status == 429
        assert made.ask("how much memory is free?", uid=OTHER)[-1]["exit_status"] == 0


# Events ---------------------------------------------------------------------------------------------------------------


def _events(daemon: Daemon, session: str, after: int) -> list[dict[str, Any]]:
    path = f"/v1/sessions/{session}/events?after={after}&follow=false"
    return daemon.api("GET", path, accept=LINES).events()


def test_of_a_sessions_events_the_newest_are_kept(make_daemon: MakeDaemon) -> None:
    made = make_daemon(config="[limits]\nevents_per_session = 100\n")
    started = made.ask("how much memory is free?")
    session, each = started[0]["session"], len(started)
    turns = 100 // each + 3
    for _ in range(turns - 1):
        made.ask("how much memory is free?", session=session)
    last = turns * each
    kept = [event["seq"] for event in _events(made, session, 0)]
    assert kept == list(range(last - 99, last + 1))
    assert [event["seq"] for event in _events(made, session, 3)] == kept  # a cursor before the oldest
    assert [event["seq"] for event in _events(made, session, last - 2)] == [last - 1, last]
    assert _events(made, session, last) == []
    assert _events(made, session, last + 1000) == []
    assert len(made.api("GET", f"/v1/sessions/{session}").json["turns"]) == turns  # turns are no events


def test_connections_that_were_answered_count_no_more(small: Daemon) -> None:
    for _ in range(12):
        assert small.api("GET", "/v1/models").status == 200


def test_nonsense_in_great_number_leaves_the_daemon_as_it_was(small: Daemon) -> None:
    for _ in range(30):
        with small.connect() as connection:
            exchange(connection, b"\x00\r\n\r\n")
    assert small.ask("how much memory is free?")[-1]["exit_status"] == 0
