"""Secrets that the proxy puts in: where, for whom, over what, and that none of it comes back."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aiosd.egress.given import Held
from aiosd.egress.hosts import parse_host
from aiosd.egress.http import parse_head
from aiosd.egress.proxy import Bounds, Connection, Proxy
from aiosd.egress.rules import read_rules
from aiosd.egress.secret import Blotter, find_target, put_in
from aiosd.errors import ModelKeyError
from tests.doubles.certificate import make_certificate
from tests.unit.guard.conftest import no_thread_left, nothing_left  # noqa: F401 - fixtures

DEADLINE_S = 20.0
VALUE = "ghp-canary-0123456789"
MARK = "aios-secret-forge"
TLS_HANDSHAKE = b"\x16"  # how a TLS client begins. Source: RFC 8446, section 5.1


def held(*hosts: str, headers: tuple[str, ...] = ("authorization",), name: str = "forge") -> Held:
    return Held(placeholder=f"aios-secret-{name}", credential=name, hosts=hosts, headers=headers)


def reveal(name: str) -> str:
    if name == "forge":
        return VALUE
    raise ModelKeyError(f"there is no key {name}")


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("named", "asked", "connected"),
    [
        ("named.example", ("named.example", 80), (443, True)),
        ("named.example", ("named.example", 443), (443, True)),
        ("https://Named.Example./", ("named.example", 80), (443, True)),
        ("named.example:8443", ("named.example", 8443), (8443, True)),
        ("http://named.example:8080", ("named.example", 8080), (8080, False)),
        ("named.example", ("named.example", 8080), None),
        ("named.example:8443", ("named.example", 80), None),
        ("named.example", ("sub.named.example", 80), None),
        ("named.example", ("other.example", 80), None),
        ("named.example", ("named.example.evil.example", 80), None),
    ],
)
def test_a_value_is_for_the_host_and_port_that_are_named(
    named: str, asked: tuple[str, int], connected: tuple[int, bool] | None
) -> None:
    target = find_target([held(named)], parse_host(asked[0]), asked[1])
    assert (target and (target.port, target.tls)) == connected


@pytest.mark.parametrize(
    ("field_name", "value", "out"),
    [
        ("Authorization", f"Bearer {MARK}", f"Bearer {VALUE}"),
        ("authorization", f"token {MARK}", f"token {VALUE}"),
        ("Authorization", basic(f"me:{MARK}"), basic(f"me:{VALUE}")),
        ("Authorization", basic("me:other"), basic("me:other")),
        ("Authorization", "Basic not base64", "Basic not base64"),
        ("Authorization", "Bearer aios-secret-other", "Bearer aios-secret-other"),
        ("User-Agent", MARK, MARK),
        ("X-Api-Key", MARK, MARK),
    ],
)
def test_a_value_goes_into_the_named_headers_only(field_name: str, value: str, out: str) -> None:
    head = f"GET http://named.example/{MARK} HTTP/1.1\r\n{field_name}: {value}\r\nAccept-Encoding: gzip\r\n\r\n"
    target = find_target([held("named.example")], "named.example", 80)
    assert target is not None
    request, blots = put_in(parse_head(head.encode()), target, reveal)
    assert request.fields[0] == (field_name, out)
    assert MARK in request.target  # an address is no header
    assert (VALUE.encode() in blots) is (out != value)
    assert len(request.fields) == (2 if out == value else 1)  # what was packed could not be blotted out


def test_other_headers_are_for_who_names_them() -> None:
    target = find_target([held("named.example", headers=("x-api-key",))], "named.example", 80)
    assert target is not None
    head = f"GET http://named.example/ HTTP/1.1\r\nX-Api-Key: {MARK}\r\nAuthorization: {MARK}\r\n\r\n"
    request, _blots = put_in(parse_head(head.encode()), target, reveal)
    assert request.fields == (("X-Api-Key", VALUE), ("Authorization", MARK))


@pytest.mark.parametrize("size", [1, 2, 5, 7, 1000])
def test_what_must_not_come_back_is_blotted_out_however_it_is_cut(size: int) -> None:
    blotter = Blotter((b"abcabd", b"xyz"))
    said = b"ab abcabcabd xy xyz abca"
    out = b"".join(blotter.feed(said[at : at + size]) for at in range(0, len(said), size)) + blotter.end()
    assert out == b"ab abc****** xy *** abca"


@dataclass(slots=True)
class Forge:
    """A server by TLS that says back what it was told, and the proxy before it."""

    port: int = 0
    proxy: int = 0
    heard: list[bytes] = field(default_factory=list)
    reports: list[Connection] = field(default_factory=list)

    async def say(self, data: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy)
        async with asyncio.timeout(DEADLINE_S):
            writer.write(data.encode())
            answer = await reader.read(-1)
            writer.close()
            await writer.wait_closed()
        return answer

    async def reported(self) -> Connection:
        async with asyncio.timeout(DEADLINE_S):
            while not self.reports:  # noqa: ASYNC110 - it comes after the client's own end
                await asyncio.sleep(0.005)
        return self.reports[0]

    async def ask(self, *fields: str, path: str = "/", host: str = "127.0.0.1", body: str = "") -> bytes:
        head = "".join(f"{each}\r\n" for each in fields)
        return await self.say(f"POST http://{host}:{self.port}{path} HTTP/1.1\r\n{head}\r\n{body}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    return certificate[0]


@asynccontextmanager
async def forge(
    context: ssl.SSLContext | None, *, secrets: str = "127.0.0.1:{port}", name: str = "forge", deny: str = ""
) -> AsyncIterator[Forge]:
    there = Forge()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # nobody asked anything
            head = await reader.readexactly(1)
            if head == TLS_HANDSHAKE:
                writer.close()
                return
            head += await reader.readuntil(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"), 0)
            there.heard.append(head + (await reader.readexactly(length) if length else b""))
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nyou said " + there.heard[-1])
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    there.port = server.sockets[0].getsockname()[1]
    listener = socket.create_server(("127.0.0.1", 0))
    there.proxy = listener.getsockname()[1]
    bounds = Bounds(
        rules=read_rules((), (deny,) if deny else ()),
        idle_s=10,
        max_bytes=1 << 20,
        secrets=(held(secrets.format(port=there.port), name=name),),
    )
    granted = (f"127.0.0.1:{there.port}",)
    proxy = Proxy(granted, lambda: bounds, there.reports.append, None, reveal)
    async with server, asyncio.TaskGroup() as group:
        serving = group.create_task(proxy.serve(listener))
        try:
            yield there
        finally:
            serving.cancel()
            listener.close()


async def test_a_request_by_http_goes_out_by_tls_with_the_value_and_its_echo_is_blotted_out(
    trusted: ssl.SSLContext,
) -> None:
    async with forge(trusted) as there:
        said = await there.ask(f"Authorization: Bearer {MARK}", "Content-Length: 5", body="hello")
        (heard,) = there.heard
        assert f"Authorization: Bearer {VALUE}\r\n".encode() in heard
        assert heard.endswith(b"\r\n\r\nhello")
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert said.endswith(b"hello")
        assert VALUE.encode() not in said
        assert b"Bearer " + b"*" * len(VALUE) in said
        report = await there.reported()
        assert (report.host, report.port, report.refused) == ("127.0.0.1", there.port, "")
        assert report.moved.sent > 5
        assert report.moved.received > 100
        assert VALUE not in repr(report)


async def test_a_value_is_given_to_nobody_whose_certificate_is_not_trusted(
    certificate: tuple[ssl.SSLContext, Path],
) -> None:
    async with forge(certificate[0]) as there:
        said = await there.ask(f"Authorization: Bearer {MARK}")
        assert said.startswith(b"HTTP/1.1 403 ")
        assert b"cannot be trusted with a secret: self-signed certificate" in said
        assert there.heard == []
        assert "cannot be trusted" in (await there.reported()).refused


async def test_a_value_goes_out_in_the_open_only_where_somebody_wrote_http(trusted: ssl.SSLContext) -> None:
    del trusted
    async with forge(None) as there:
        assert (await there.ask(f"Authorization: Bearer {MARK}")).startswith(b"HTTP/1.1 403 ")
        assert there.heard == []
    async with forge(None, secrets="http://127.0.0.1:{port}") as there:
        assert (await there.ask(f"Authorization: Bearer {MARK}")).startswith(b"HTTP/1.1 200 ")
        assert f"Bearer {VALUE}".encode() in there.heard[0]


async def test_to_a_host_that_is_not_named_the_placeholder_goes_and_nothing_else() -> None:
    async with forge(None, secrets="named.example") as there:
        await there.ask(f"Authorization: Bearer {MARK}")
        assert f"Bearer {MARK}".encode() in there.heard[0]
        assert VALUE.encode() not in there.heard[0]


async def test_a_host_that_is_denied_gets_no_value(trusted: ssl.SSLContext) -> None:
    async with forge(trusted, deny="127.0.0.1 shut") as there:
        said = await there.ask(f"Authorization: Bearer {MARK}")
        assert b"is denied by egress.deny (shut)" in said
        assert there.heard == []


async def test_without_the_credential_nothing_is_sent_and_it_is_said(trusted: ssl.SSLContext) -> None:
    async with forge(trusted, name="lost") as there:
        said = await there.ask("Authorization: Bearer aios-secret-lost")
        assert b"there is no key lost" in said
        assert there.heard == []
        assert (await there.ask("Accept: */*")).startswith(b"HTTP/1.1 200 ")
