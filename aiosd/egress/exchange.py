"""One plain request to a host that is named for a secret: by TLS, with the value in it, and its answer."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

from aiosd.egress.hosts import render_host
from aiosd.egress.http import Request, copy_body, render_head
from aiosd.egress.relay import Moved, over_all_time, over_bytes, over_time
from aiosd.egress.secret import Blotter, Target

_HANDSHAKE_S, _CLOSE_S = 15.0, 2.0
_PIECE = 64 * 1024


class NotTrustedError(Exception):
    """The host is not who it was named as, or does not speak TLS; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What one exchange may use up."""

    idle_s: float
    max_bytes: int
    max_s: float


async def exchange(
    client: socket.socket,
    outside: socket.socket,
    *,
    request: Request,
    path: str,
    target: Target,
    blots: tuple[bytes, ...],
    moved: Moved,
    bound: Bound,
) -> None:
    """Say the request to `target`, over its connection `outside`, and give the answer to `client`.

    Raises NotTrustedError before anything is said; what stops it later is in `moved`.
    """
    reader, writer = await _connect(outside, target)
    loop = asyncio.get_running_loop()
    end = loop.time() + bound.max_s

    async def say(data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        moved.sent += len(data)

    blotter = Blotter(blots)
    try:
        default = 443 if target.tls else 80
        shown = render_host(target.host) if target.port == default else f"{render_host(target.host)}:{target.port}"
        async with asyncio.timeout_at(min(loop.time() + bound.idle_s, end)):
            await say(render_head(request, path, shown))
            await copy_body(request, client, say, most=bound.max_bytes)
        while True:
            async with asyncio.timeout_at(min(loop.time() + bound.idle_s, end)):
                data = await reader.read(_PIECE)
            if not data:
                break
            if moved.total + len(data) > bound.max_bytes:
                moved.stopped = over_bytes(moved)
                return
            moved.received += len(data)
            await loop.sock_sendall(client, blotter.feed(data))
        await loop.sock_sendall(client, blotter.end())
    except TimeoutError:
        moved.stopped = over_time(bound.idle_s) if loop.time() < end else over_all_time(bound.max_s)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await writer.wait_closed()


async def _connect(outside: socket.socket, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = socket.socket(fileno=outside.detach())
    try:
        if not target.tls:
            return await asyncio.open_connection(sock=sock)
        context = await asyncio.to_thread(ssl.create_default_context)
        context.set_alpn_protocols(["http/1.1"])
        return await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=str(target.host), ssl_handshake_timeout=_HANDSHAKE_S
        )
    except (ssl.SSLError, ConnectionError, TimeoutError) as exc:
        sock.close()
        why = getattr(exc, "verify_message", "") or exc
        raise NotTrustedError(
            f"{render_host(target.host)}:{target.port} cannot be trusted with a secret: {why}"
        ) from exc
    except BaseException:
        sock.close()
        raise
