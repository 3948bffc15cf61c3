"""The head of an HTTP request to a proxy, read strictly and written anew, and the one body that belongs to it.

What two programs could read differently (two lengths, a length and chunks, odd white space) is refused. What goes on is
for the host in the request line, whatever its Host field said, and the connection ends with the answer.

Source: RFC 9112 sections 2 to 7, RFC 9110 section 7.6.1.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[!-~]+")
_SCHEME = "http://"
Send = Callable[[bytes], Awaitable[None]]
# Of this connection, not of the request; and the proxy's own.
_DROPPED = frozenset(("host", "connection", "keep-alive", "te", "trailer", "upgrade"))
_MAX_LINE = 8192
_OVER = "its body is over egress.max_mib, which an administrator can raise"
_PIECE = 256 * 1024


class HeadError(Exception):
    """It is no request that can be passed on; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request's first line and fields. `length` of its body in bytes; -1 where it comes in chunks."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    length: int

    def split_target(self) -> tuple[str, str]:
        """The authority and the path of an absolute target. HeadError for another."""
        if not self.target.lower().startswith(_SCHEME):
            raise HeadError("a proxy takes http://HOST/PATH, or CONNECT for https")
        authority, slash, path = self.target[len(_SCHEME) :].partition("/")
        if "?" in authority:
            authority, _, query = authority.partition("?")
            slash, path = "/", f"?{query}"
        if not authority or "@" in authority or "#" in self.target:
            raise HeadError(f"{self.target[:100]!r} names no host alone")
        return authority, f"{slash or '/'}{path}"


def parse_head(data: bytes) -> Request:
    """Read a head, its empty line included. Raises HeadError."""
    try:
        first, *lines = data.removesuffix(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
    except ValueError:
        raise HeadError("the first line is no request") from None
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target) or version not in ("HTTP/1.1", "HTTP/1.0"):
        raise HeadError("the first line is no request")
    fields = tuple(_parse_field(line) for line in lines)
    lengths = [value for name, value in fields if name.lower() == "content-length"]
    codings = [value.lower() for name, value in fields if name.lower() == "transfer-encoding"]
    if codings:
        if lengths or codings != ["chunked"]:
            raise HeadError("its body is told in two ways")
        return Request(method=method, target=target, fields=fields, length=-1)
    if len(set(lengths)) > 1 or not all(each.isascii() and each.isdigit() and len(each) < 16 for each in lengths):
        raise HeadError("its length is no number")
    return Request(method=method, target=target, fields=fields, length=int(lengths[0]) if lengths else 0)


def _parse_field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    value = value.strip(" \t")
    if not colon or not _TOKEN.fullmatch(name) or any(char < " " and char != "\t" for char in value):
        raise HeadError(f"{line[:40]!r} is no field")
    return name, value


def render_head(request: Request, path: str, host: str) -> bytes:
    """The head as it goes on, to `host`."""
    named = {
        word.strip().lower() for name, value in request.fields if name.lower() == "connection"
        for word in value.split(",")
    }  # fmt: skip
    dropped = (_DROPPED | named) - {"content-length", "transfer-encoding"}
    kept = [
        f"{name}: {value}\r\n"
        for name, value in request.fields
        if name.lower() not in dropped and not name.lower().startswith("proxy-")
    ]
    return f"{request.method} {path} HTTP/1.1\r\nHost: {host}\r\n{''.join(kept)}Connection: close\r\n\r\n".encode(
        "latin-1"
    )


def render_refusal(status: int, reason: str) -> bytes:
    """An answer of the proxy's own, in words."""
    body = f"aios: {reason}\n".encode("utf-8", "replace")
    named = {400: "Bad Request", 403: "Forbidden"}[status]
    head = f"HTTP/1.1 {status} {named}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def copy_body(request: Request, source: socket.socket, send: Send, *, most: int) -> int:
    """Pass on the body of one request, and not a byte after it; how many bytes. HeadError where it is malformed."""
    if request.length >= 0:
        if request.length > most:
            raise HeadError(_OVER)
        return await _copy(source, send, request.length)
    total = 0
    while True:
        line = await _copy_line(source, send)
        size, _, _extension = line.partition(b";")
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,12}", size.strip()):
            raise HeadError("a chunk has no length")
        count = int(size, 16)
        total += len(line) + 2
        if count == 0:
            while trailer := await _copy_line(source, send):
                total += len(trailer) + 2
            return total
        total += await _copy(source, send, count + 2)
        if total > most:
            raise HeadError(_OVER)


async def _copy(source: socket.socket, send: Send, count: int) -> int:
    loop = asyncio.get_running_loop()
    left = count
    while left:
        data = await loop.sock_recv(source, min(left, _PIECE))
        if not data:
            raise HeadError("its body is cut off")
        await send(data)
        left -= len(data)
    return count


async def _copy_line(source: socket.socket, send: Send) -> bytes:
    """Pass on one line of a chunked body; it without its end."""
    loop = asyncio.get_running_loop()
    line = b""
    while not line.endswith(b"\r\n"):
        data = await loop.sock_recv(source, 1)
        if not data or len(line) > _MAX_LINE:
            raise HeadError("its body is cut off")
        line += data
    await send(line)
    return line[:-2]
