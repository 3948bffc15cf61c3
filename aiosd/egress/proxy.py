"""The proxy of one sandbox: HTTP (CONNECT and plain) and SOCKS5 on one listener, onto one decision per connection.

The listener is the sandbox's own, handed over by the guard, so whoever connects is that sandbox, and its grants hold.
The lists of the configuration are asked anew at each connection; a host that none of them names is put to a person
where the configuration says so, once for each command. Every connection is told to `report`, whatever became
of it. What a plain request says is passed on for the host that was decided about, and for one request only.

Source: RFC 9110 and 9112 (HTTP), RFC 1928 (SOCKS5).
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from aiosd.egress.asked import Questions
from aiosd.egress.connect import Connected, NotConnectedError, open_connection
from aiosd.egress.exchange import Bound, NotTrustedError, exchange
from aiosd.egress.given import AskPerson, Held
from aiosd.egress.hosts import Host, HostError, parse_host, parse_host_port, render_host
from aiosd.egress.http import HeadError, Request, copy_body, parse_head, render_head, render_refusal
from aiosd.egress.relay import Moved, relay, wait_for
from aiosd.egress.rules import Rules, Ruling, decide
from aiosd.egress.secret import Reveal, Target, find_target, put_in
from aiosd.egress.tls import HELLO_BYTES, RECORD_HEAD, hello_length, is_tls, read_server_name
from aiosd.errors import AiosError

_HEAD_S, _LINGER_S, _MAX_HEAD = 15.0, 1.0, 32 * 1024
_MAX_AT_ONCE = 64
_SOCKS, _CONNECT, _NO_AUTHENTICATION = 5, 1, 0
_REFUSED, _FAILED, _NOT_SUPPORTED = 2, 4, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The configuration in force: its lists, a parent proxy, and what one connection may use up.

    `asks`: a host that no list names is put to a person.
    """

    rules: Rules
    asks: bool = False
    parent: tuple[Host, int] | None = None
    idle_s: int = 120
    max_bytes: int = 1 << 30
    max_s: int = 3600
    secrets: tuple[Held, ...] = ()


@dataclass(slots=True, kw_only=True)
class Connection:
    """One connection that a sandbox wanted, and what became of it: `refused` is why not, "" where it was made."""

    host: str = ""
    port: int = 0
    address: str = ""
    refused: str = ""
    moved: Moved = field(default_factory=Moved)


class _RefusedError(Exception):
    """This connection is not made; the message goes to the client and on the record."""


class Proxy:
    """Serves one listener. `granted` are the hosts of the command's rule; `bounds` is asked at each connection."""

    def __init__(
        self,
        granted: tuple[str, ...],
        bounds: Callable[[], Bounds],
        report: Callable[[Connection], None],
        ask: AskPerson | None = None,
        reveal: Reveal | None = None,
    ) -> None:
        self._granted = granted
        self._bounds = bounds
        self._report = report
        self._reveal = reveal
        self._questions = Questions(ask) if ask else None

    async def serve(self, listener: socket.socket) -> None:
        """Accept until cancelled. Its connections end with it."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        room = asyncio.Semaphore(_MAX_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                await room.acquire()
                client, _address = await loop.sock_accept(listener)
                group.create_task(self._serve(client)).add_done_callback(lambda _task: room.release())

    async def _serve(self, client: socket.socket) -> None:
        client.setblocking(False)
        with client:
            wanted = Connection()
            try:
                async with asyncio.timeout(_HEAD_S):
                    first = await _peek(client, 1)
                if first == bytes([_SOCKS]):
                    await self._socks(client, wanted)
                elif first:
                    await self._http(client, wanted)
                if wanted.refused or not wanted.host:
                    await _hang_up(client)
            except (OSError, TimeoutError):
                wanted.refused = wanted.refused or ("" if wanted.moved.total else "the client left")
            finally:
                if wanted.host:
                    self._report(wanted)

    async def _open(self, wanted: Connection, host: Host, port: int) -> Connected:
        """Decide about a host, and connect. Raises _RefusedError, which is on `wanted` too."""
        wanted.host, wanted.port = render_host(host), port
        ruling = await self._decide(host, port)
        bounds = self._bounds()
        wanted.refused = ruling.refused
        if not wanted.refused:
            try:
                connected = await open_connection(host, port, ruling, parent=bounds.parent)
            except NotConnectedError as exc:
                wanted.refused = str(exc)
            else:
                wanted.address = connected.address
                return connected
        raise _RefusedError(wanted.refused)

    async def _decide(self, host: Host, port: int) -> Ruling:
        bounds = self._bounds()
        ruling = decide(bounds.rules, self._granted, host, port)
        if not (ruling.unknown and bounds.asks and self._questions):
            return ruling
        why = await self._questions.ask(host, port)
        ruling = decide(self._bounds().rules, self._granted, host, port)  # it took a while
        if not ruling.unknown:
            return ruling
        internal = any(entry.covers(host, port) for entry in self._bounds().rules.internal)
        return replace(ruling, refused=why) if why else Ruling(internal=internal)

    async def _relay(
        self,
        client: socket.socket,
        connected: Connected,
        wanted: Connection,
        *,
        name: str | None = None,
        both: bool = True,
    ) -> None:
        bounds = self._bounds()

        async def check_name() -> str:
            return await _why_other_name(client, str(name))

        await relay(
            client,
            connected.socket,
            wanted.moved,
            idle_s=bounds.idle_s,
            max_bytes=bounds.max_bytes,
            max_s=bounds.max_s,
            first=check_name if name is not None else None,
            both=both,
        )
        wanted.refused = wanted.refused or _describe_stop(wanted)

    async def _http(self, client: socket.socket, wanted: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_HEAD_S):
                request = parse_head(await _read_head(client))
            if request.method == "CONNECT":
                host, port = parse_host_port(request.target)
                connected = await self._open(wanted, host, port)
                with connected.socket:
                    await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await self._relay(client, connected, wanted, name=str(host))
            else:
                await self._plain(client, request, wanted)
        except (HeadError, HostError) as exc:
            await loop.sock_sendall(client, render_refusal(400, str(exc)))
        except _RefusedError as exc:
            await loop.sock_sendall(client, render_refusal(403, str(exc)))

    async def _plain(self, client: socket.socket, request: Request, wanted: Connection) -> None:
        authority, path = request.split_target()
        host, port = parse_host_port(authority, 80)
        if self._reveal and (target := find_target(self._bounds().secrets, host, port)):
            await self._exchange(client, request, path, wanted, target=target, reveal=self._reveal)
            return
        connected = await self._open(wanted, host, port)
        with connected.socket:
            shown = render_host(host) if port == 80 else f"{render_host(host)}:{port}"
            head = render_head(request, path, shown)
            await asyncio.get_running_loop().sock_sendall(connected.socket, head)
            wanted.moved.sent += len(head)
            bounds = self._bounds()

            async def send(data: bytes) -> None:
                await asyncio.get_running_loop().sock_sendall(connected.socket, data)

            async with asyncio.timeout(min(bounds.idle_s, bounds.max_s)):
                wanted.moved.sent += await copy_body(request, client, send, most=bounds.max_bytes)
            await self._relay(client, connected, wanted, both=False)  # what the client says now is of no request

    async def _exchange(
        self,
        client: socket.socket,
        request: Request,
        path: str,
        wanted: Connection,
        *,
        target: Target,
        reveal: Reveal,
    ) -> None:
        """A plain request to a host that is named for a secret."""
        connected = await self._open(wanted, target.host, target.port)
        bounds = self._bounds()
        with connected.socket:
            try:
                request, blots = put_in(request, target, reveal)
                await exchange(
                    client,
                    connected.socket,
                    request=request,
                    path=path,
                    target=target,
                    blots=blots,
                    moved=wanted.moved,
                    bound=Bound(idle_s=bounds.idle_s, max_bytes=bounds.max_bytes, max_s=bounds.max_s),
                )
            except (AiosError, NotTrustedError) as exc:
                wanted.refused = exc.message if isinstance(exc, AiosError) else str(exc)
                raise _RefusedError(wanted.refused) from exc
        wanted.refused = wanted.refused or _describe_stop(wanted)

    async def _socks(self, client: socket.socket, wanted: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_HEAD_S):
                methods = (await _read(client, 2))[1]
                if _NO_AUTHENTICATION not in await _read(client, methods):
                    await loop.sock_sendall(client, bytes([_SOCKS, 0xFF]))
                    return
                await loop.sock_sendall(client, bytes([_SOCKS, _NO_AUTHENTICATION]))
                _version, command, _zero, kind = await _read(client, 4)
                text = await _read_socks_host(client, kind)
                port = int.from_bytes(await _read(client, 2), "big")
            if command != _CONNECT or not port:
                await loop.sock_sendall(client, _socks_reply(_NOT_SUPPORTED))
                return
            host = parse_host(text)
            connected = await self._open(wanted, host, port)
        except (HostError, UnicodeDecodeError):
            await loop.sock_sendall(client, _socks_reply(_FAILED))
        except _RefusedError:
            await loop.sock_sendall(client, _socks_reply(_REFUSED))
        else:
            with connected.socket:
                await loop.sock_sendall(client, _socks_reply(0))
                await self._relay(client, connected, wanted, name=str(host))


def _describe_stop(wanted: Connection) -> str:
    return f"{wanted.host}:{wanted.port} {wanted.moved.stopped}" if wanted.moved.stopped else ""


async def _why_other_name(client: socket.socket, name: str) -> str:
    """Why what a client begins to say is not for the host it named; "" where it is, or is not TLS."""
    await wait_for(client)
    async with asyncio.timeout(_HEAD_S):
        if not is_tls(await _peek(client, 1)):
            return ""
        hello = await _peek(client, RECORD_HEAD)
        hello = await _peek(client, min(hello_length(hello), HELLO_BYTES))
    try:
        asked = read_server_name(hello)
    except ValueError:
        return "was ended, as its TLS begins with no ClientHello, which no setting allows"
    if asked in (name, "") and (asked or _is_address(name)):
        return ""
    other = f"its TLS asks for {asked or 'no host'} by name"
    return f"was ended, as {other}, which no setting allows: connect to that host itself"


def _is_address(name: str) -> bool:
    try:
        return not isinstance(parse_host(name), str)
    except HostError:
        return False


async def _hang_up(client: socket.socket) -> None:
    """End a connection so that what was answered arrives: with something unread a close would take it back."""
    client.shutdown(socket.SHUT_WR)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while await asyncio.get_running_loop().sock_recv(client, _MAX_HEAD):
                pass


async def _peek(client: socket.socket, count: int) -> bytes:
    """The next `count` bytes, which stay to be read; fewer at the end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)  # so that fewer do not count as something to read
    try:
        await wait_for(client)
        return client.recv(count, socket.MSG_PEEK)
    finally:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


async def _read_head(client: socket.socket) -> bytes:
    """What comes up to the empty line, and nothing after it. HeadError where it is too long or cut off."""
    loop = asyncio.get_running_loop()
    head = b""
    while b"\r\n\r\n" not in head:
        await wait_for(client)
        seen = client.recv(_MAX_HEAD, socket.MSG_PEEK)
        end = (head[-3:] + seen).find(b"\r\n\r\n")
        count = len(seen) if end < 0 else end + 4 - len(head[-3:])
        data = await loop.sock_recv(client, count)
        if not data or len(head) > _MAX_HEAD:
            raise HeadError("the head is cut off or too long")
        head += data
    return head


async def _read(client: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        piece = await loop.sock_recv(client, count - len(data))
        if not piece:
            raise OSError("it ended in the middle")
        data += piece
    return data


async def _read_socks_host(client: socket.socket, kind: int) -> str:
    match kind:
        case 1:
            return str(ipaddress.IPv4Address(await _read(client, 4)))
        case 3:
            return (await _read(client, (await _read(client, 1))[0])).decode("ascii")
        case 4:
            return str(ipaddress.IPv6Address(await _read(client, 16)))
        case _:
            raise HostError("an address of an unknown kind")


def _socks_reply(status: int) -> bytes:
    return bytes([_SOCKS, status, 0, 1, 0, 0, 0, 0, 0, 0])
