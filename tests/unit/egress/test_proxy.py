"""The proxy on real sockets: what is asked of it, what a server behind it gets, and what is told of each connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from aiosd.egress.given import AskPerson
from aiosd.egress.proxy import Bounds, Connection, Proxy
from aiosd.egress.rules import read_rules
from tests.unit.egress.test_hosts import make_hello
from tests.unit.guard.conftest import no_thread_left, nothing_left  # noqa: F401 - fixtures

LOCALHOST = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)[0][4][0]  # 127.0.0.1, or ::1

DEADLINE_S = 20.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfine\n"


@dataclass(slots=True)
class Outside:
    """A server that keeps what it is told, answers once and hangs up; the proxy before it, and what that reports."""

    port: int = 0
    proxy: int = 0
    heard: list[bytes] = field(default_factory=list)
    reports: list[Connection] = field(default_factory=list)

    async def say(self, data: bytes, *, then: bytes = b"") -> bytes:
        """Everything that the proxy answers, to its end; `then` is said when it has answered something."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy)
        async with asyncio.timeout(DEADLINE_S):
            writer.write(data)
            first = b""
            if then:
                first = await reader.read(65536)
                writer.write(then)
            rest = b""
            with suppress(ConnectionResetError):  # where it is stopped in the middle
                while piece := await reader.read(65536):
                    rest += piece
                writer.close()
                await writer.wait_closed()
        return first + rest

    async def reported(self) -> tuple[str, int, str, str]:
        """The one report, when it has come."""
        async with asyncio.timeout(DEADLINE_S):
            while not self.reports:  # noqa: ASYNC110 - it comes after the client's own end
                await asyncio.sleep(0.005)
        (made,) = self.reports
        return made.host, made.port, made.address, made.refused


@asynccontextmanager
async def outside(
    *granted: str,
    answer: bytes = ANSWER,
    allow: tuple[str, ...] = (),
    max_bytes: int = 1 << 20,
    idle_s: int = 10,
    max_s: int = 60,
    parent: bool = False,
    ask: AskPerson | None = None,
    bounds: Callable[[Bounds], Bounds] = lambda made: made,
) -> AsyncIterator[Outside]:
    there = Outside()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read(65536)
        while b"more\n" in heard and b"end\n" not in heard and (piece := await reader.read(65536)):
            heard += piece
        there.heard.append(heard)
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    there.port = server.sockets[0].getsockname()[1]
    listener = socket.create_server(("127.0.0.1", 0))
    there.proxy = listener.getsockname()[1]
    made = Bounds(
        rules=read_rules(tuple(each.format(port=there.port) for each in allow), ()),
        asks=ask is not None,
        max_bytes=max_bytes,
        idle_s=idle_s,
        max_s=max_s,
        parent=("127.0.0.1", there.port) if parent else None,
    )
    given = tuple(each.format(port=there.port) for each in granted)
    proxy = Proxy(given, lambda: bounds(made), there.reports.append, ask)
    async with server, asyncio.TaskGroup() as group:
        serving = group.create_task(proxy.serve(listener))
        try:
            yield there
        finally:
            serving.cancel()
            listener.close()


async def test_a_plain_request_reaches_the_host_that_was_granted_and_is_written_anew() -> None:
    async with outside("127.0.0.1:{port}") as there:
        request = (
            f"GET http://127.0.0.1:{there.port}/a?b HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: x\r\n"
            "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nAccept: */*\r\n\r\n"
        )
        assert await there.say(request.encode()) == ANSWER
        assert there.heard == [
            f"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:{there.port}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
        ]
        assert await there.reported() == ("127.0.0.1", there.port, "127.0.0.1", "")
        assert there.reports[0].moved.received == len(ANSWER)


async def test_a_second_request_behind_the_first_goes_nowhere() -> None:
    async with outside("127.0.0.1:{port}") as there:
        one = f"GET http://127.0.0.1:{there.port}/one HTTP/1.1\r\n\r\n"
        assert await there.say((one + one.replace("one", "two")).encode()) == ANSWER
        assert [heard.split()[1] for heard in there.heard] == [b"/one"]


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ("Content-Length: 9\r\n", b"more\nend\n"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nmore\n\r\n4\r\nend\n\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_is_passed_on_and_not_a_byte_after_it(fields: str, body: bytes) -> None:
    async with outside("127.0.0.1:{port}") as there:
        head = f"POST http://127.0.0.1:{there.port}/ HTTP/1.1\r\n{fields}\r\n".encode()
        assert await there.say(head + body + b"GET /smuggled HTTP/1.1\r\n\r\n") == ANSWER
        assert there.heard[0].partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    "request_line",
    [
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nContent-Length: +1\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nBad Name: x\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\n folded: x\r\n",
        "GET http://user@127.0.0.1:{port}/ HTTP/1.1\r\n",
        "GET ftp://127.0.0.1:{port}/ HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
        "GET http://127.0.0.1:{port}/ HTTP/2\r\n",
        "GET  http://127.0.0.1:{port}/ HTTP/1.1\r\n",
        "CONNECT 127.0.0.1 HTTP/1.1\r\n",
        "CONNECT evil.example\0.127.0.0.1:{port} HTTP/1.1\r\n",
        "nonsense\r\n",
    ],
)
async def test_a_request_that_could_be_read_in_two_ways_is_refused(request_line: str) -> None:
    async with outside("127.0.0.1:{port}") as there:
        said = await there.say(request_line.format(port=there.port).encode() + b"\r\n")
        assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert there.heard == []


@pytest.mark.parametrize(
    ("granted", "target", "why"),
    [
        (
            (),
            "127.0.0.1",
            "is not granted: the rule's network names no host; an administrator can add it in /etc/aios/policy.d",
        ),
        (("other.example",), "127.0.0.1", "is not granted: the rule's network names other.example;"),
        (("*",), "127.0.0.1", "is not in egress.allow, where an administrator can add it"),
        (("any",), "127.0.0.1", "is not granted"),
        (
            ("any",),
            "localhost",
            f"localhost leads to {LOCALHOST}, this machine itself; no name may, and an administrator can",
        ),
        (("localhost",), "localhost", f"localhost leads to {LOCALHOST}, this machine itself"),
    ],
)
async def test_what_is_not_granted_is_refused_in_words_and_nothing_is_connected(
    granted: tuple[str, ...], target: str, why: str
) -> None:
    async with outside(*granted) as there:
        for request in (
            f"GET http://{target}:{there.port}/ HTTP/1.1\r\n\r\n",
            f"CONNECT {target}:{there.port} HTTP/1.1\r\n\r\n",
        ):
            there.reports.clear()
            said = await there.say(request.encode())
            assert said.startswith(b"HTTP/1.1 403 Forbidden\r\n"), said
            assert why in said.decode()
            host, port, address, refused = await there.reported()
            assert (host, port, address) == (target, there.port, "")
            assert why in refused
        assert there.heard == []


async def test_the_configuration_can_grant_what_a_rule_leaves_to_it() -> None:
    async with outside("*", allow=("127.0.0.1:{port}",)) as there:
        assert await there.say(f"GET http://127.0.0.1:{there.port}/ HTTP/1.1\r\n\r\n".encode()) == ANSWER


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    async with outside("127.0.0.1:{port}", answer=b"back") as there:
        said = await there.say(f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\n".encode(), then=b"there\n")
        assert said == b"HTTP/1.1 200 Connection established\r\n\r\nback"
        assert there.heard == [b"there\n"]
        await there.reported()
        assert (there.reports[0].moved.sent, there.reports[0].moved.received) == (6, 4)


def socks(host: bytes, port: int, *, kind: int = 3, command: int = 1) -> bytes:
    name = bytes([len(host)]) + host if kind == 3 else host
    return b"\5\1\0" + bytes([5, command, 0, kind]) + name + port.to_bytes(2, "big")


async def test_socks_carries_bytes_too() -> None:
    async with outside("127.0.0.1:{port}", answer=b"back") as there:
        said = await there.say(socks(b"127.0.0.1", there.port), then=b"there\n")
        assert said.startswith(b"\5\0")
        assert said.endswith(b"\5\0\0\1" + bytes(6) + b"back")
        assert there.heard == [b"there\n"]


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (lambda port: socks(b"evil.example\0.127.0.0.1", port), b"\5\0\5\4"),
        (lambda port: socks(b"localhost", port), b"\5\0\5\2"),
        (lambda port: socks(bytes([127, 0, 0, 2]), port, kind=1), b"\5\0\5\2"),
        (lambda port: socks(bytes(15) + b"\1", port, kind=4), b"\5\0\5\2"),
        (lambda port: socks(b"127.0.0.1", port, command=2), b"\5\0\5\7"),
        (lambda port: socks(b"127.0.0.1", port, command=3), b"\5\0\5\7"),
        (lambda port: b"\5\1\2" + bytes([port % 2]), b"\5\xff"),
    ],
)
async def test_socks_refuses_what_http_refuses(request_bytes: Callable[[int], bytes], answer: bytes) -> None:
    async with outside("127.0.0.1:{port}") as there:
        assert (await there.say(request_bytes(there.port))).startswith(answer)
        assert there.heard == []


@pytest.mark.parametrize(
    ("asked", "through"), [("127.0.0.1", True), ("", True), ("other.example", False), ("evil.example", False)]
)
async def test_tls_must_ask_for_the_host_that_was_named(asked: str, through: bool) -> None:
    async with outside("127.0.0.1:{port}") as there:
        said = await there.say(f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\n".encode(), then=make_hello(asked))
        assert said.endswith(ANSWER) is through
        assert bool(there.heard and there.heard[0]) is through
        refused = (await there.reported())[3]
        assert refused == (
            ""
            if through
            else f"127.0.0.1:{there.port} was ended, as its TLS asks for {asked} by name, which no setting allows:"
            " connect to that host itself"
        )


async def test_a_connection_ends_at_its_bound_of_bytes() -> None:
    async with outside("127.0.0.1:{port}", answer=bytes(300_000), max_bytes=200_000) as there:
        said = await there.say(f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\n".encode(), then=b"x")
        assert len(said) < 210_000
        refused = (await there.reported())[3]
        assert refused.startswith(f"127.0.0.1:{there.port} was ended after ")
        assert refused.endswith(" bytes, as it was going over egress.max_mib, which an administrator can raise")


async def test_a_connection_within_its_bound_of_bytes_ends_by_itself() -> None:
    async with outside("127.0.0.1:{port}", answer=bytes(150_000), max_bytes=200_000) as there:
        said = await there.say(f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\n".encode(), then=b"x")
        assert said.endswith(bytes(150_000))
        assert (await there.reported())[3] == ""
        assert there.reports[0].moved.received == 150_000


async def test_a_connection_without_a_byte_ends_by_itself() -> None:
    async with outside("127.0.0.1:{port}", idle_s=1) as there:
        assert await there.say(f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\n".encode()) == (
            b"HTTP/1.1 200 Connection established\r\n\r\n"
        )
        assert (await there.reported())[3] == (
            f"127.0.0.1:{there.port} was ended as nothing moved for 1 s, which is egress.idle_s,"
            " and an administrator can raise it"
        )


async def test_a_connection_on_which_bytes_still_move_ends_at_its_bound_of_time() -> None:
    async with outside("127.0.0.1:{port}", max_s=1) as there:
        reader, writer = await asyncio.open_connection("127.0.0.1", there.proxy)
        async with asyncio.timeout(DEADLINE_S):
            writer.write(f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            while not there.reports:
                writer.write(b"more\n")
                await asyncio.sleep(0.02)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        (made,) = there.reports
        assert made.refused == (
            f"127.0.0.1:{there.port} was ended after 1 s, which is egress.max_s, and an administrator can raise it"
        )
        assert made.moved.sent > len(b"more\n")


async def test_a_parent_proxy_is_asked_for_the_host() -> None:
    established = b"HTTP/1.1 200 fine\r\n\r\nfrom far"
    async with outside("far.example", answer=established, parent=True) as there:
        said = await there.say(b"CONNECT far.example:443 HTTP/1.1\r\n\r\n")
        assert said == b"HTTP/1.1 200 Connection established\r\n\r\nfrom far"
        assert there.heard == [b"CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n"]
        assert (await there.say(b"CONNECT near.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403 ")
        assert len(there.heard) == 1


async def test_what_a_parent_proxy_refuses_is_told_as_its_own_word() -> None:
    async with outside("far.example", answer=b"HTTP/1.1 403 Forbidden\r\n\r\n", parent=True) as there:
        said = await there.say(b"CONNECT far.example:443 HTTP/1.1\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 403 ")
        assert b"the parent proxy says 403 to far.example:443; egress.parent is it" in said


async def test_what_a_client_leaves_half_said_ends_nothing_else() -> None:
    async with outside("127.0.0.1:{port}") as there:
        for half in (b"G", b"\5", b"CONNECT 127.0.0.1:1 HT", b"\5\1\0\5\1\0\3\xffabc"):
            reader, writer = await asyncio.open_connection("127.0.0.1", there.proxy)
            writer.write(half)
            writer.write_eof()
            await reader.read(-1)
            writer.close()
            await writer.wait_closed()
        assert await there.say(f"GET http://127.0.0.1:{there.port}/ HTTP/1.1\r\n\r\n".encode()) == ANSWER


class _Person:
    """Says the same to every question, and keeps what was asked."""

    def __init__(self, answer: str = "") -> None:
        self.asked: list[tuple[str, int]] = []
        self._answer = answer

    async def __call__(self, host: str, port: int) -> str:
        self.asked.append((host, port))
        return self._answer


_TUNNELLED = b"HTTP/1.1 200 fine\r\n\r\nfrom far"


async def test_a_host_that_no_list_names_is_put_to_a_person_once_and_a_yes_reaches_it() -> None:
    person = _Person()
    async with outside("*", answer=_TUNNELLED, parent=True, ask=person) as there:
        for _again in range(2):
            assert (await there.say(b"CONNECT far.example:443 HTTP/1.1\r\n\r\n")).endswith(b"from far")
        assert person.asked == [("far.example", 443)]
        assert (await there.say(b"CONNECT FAR.example.:80 HTTP/1.1\r\n\r\n")).endswith(b"from far")
        assert person.asked == [("far.example", 443), ("far.example", 80)]
        assert {report.refused for report in there.reports} <= {""}


async def test_a_no_refuses_every_connection_to_it_with_its_words() -> None:
    person = _Person("a person said no to far.example:443")
    async with outside("*", answer=_TUNNELLED, parent=True, ask=person) as there:
        for _again in range(2):
            said = await there.say(b"CONNECT far.example:443 HTTP/1.1\r\n\r\n")
            assert said.endswith(b"aios: a person said no to far.example:443\n")
        assert person.asked == [("far.example", 443)]
        assert there.heard == []


@pytest.mark.parametrize(
    ("granted", "target", "why"),
    [
        (("far.example",), "near.example", "is not granted: the rule's network names far.example"),
        (("*",), "shut.example", "is denied by egress.deny"),
        (("*",), "169.254.169.254", "on the link, where cloud metadata lies"),
        (("*",), "0x7f.1", "127.0.0.1, this machine itself"),
        (("*",), "10.0.0.8", "a private address"),
    ],
)
async def test_nobody_is_asked_about_what_they_may_not_allow(granted: tuple[str, ...], target: str, why: str) -> None:
    person = _Person()
    rules = read_rules((), ("shut.example",))
    async with outside(
        *granted, answer=_TUNNELLED, parent=True, ask=person, bounds=lambda made: replace(made, rules=rules)
    ) as there:
        said = await there.say(f"CONNECT {target}:443 HTTP/1.1\r\n\r\n".encode())
        assert why in said.decode()
        assert (person.asked, there.heard) == ([], [])
        if "*" in granted:
            assert (await there.say(b"CONNECT far.example:443 HTTP/1.1\r\n\r\n")).endswith(b"from far")


async def test_a_yes_opens_no_private_address_and_none_that_was_denied_meanwhile() -> None:
    deny: list[str] = []

    async def answer(host: str, port: int) -> str:
        deny.extend(["far.example"] if host == "far.example" else [])
        return ""

    async with outside("*", ask=answer, bounds=lambda made: replace(made, rules=read_rules((), tuple(deny)))) as there:
        said = await there.say(f"GET http://localhost:{there.port}/ HTTP/1.1\r\n\r\n".encode())
        assert f"localhost leads to {LOCALHOST}, this machine itself".encode() in said
        assert b"far.example:80 is denied" in await there.say(b"GET http://far.example/ HTTP/1.1\r\n\r\n")
        assert there.heard == []


async def test_one_question_at_a_time_and_no_more_than_sixteen() -> None:
    open_at_once: list[int] = [0, 0]

    async def answer(_host: str, _port: int) -> str:
        open_at_once[0] += 1
        open_at_once[1] = max(open_at_once)
        await asyncio.sleep(0)
        open_at_once[0] -= 1
        return ""

    async with outside("*", answer=_TUNNELLED, parent=True, ask=answer) as there:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(there.say(f"CONNECT h{number}.example:443 HTTP/1.1\r\n\r\n".encode()))
                for number in range(18)
            ]
        said = sorted(task.result()[:12] for task in asked)
        assert said == [b"HTTP/1.1 200"] * 16 + [b"HTTP/1.1 403"] * 2
        assert open_at_once[1] == 1
