"""Requests byte by byte, for what no well-behaved client sends."""

import contextlib
import socket

from tests.daemon.harness import Daemon, Response, read_response


def send(daemon: Daemon, data: bytes, *, uid: int | None = None) -> Response:
    """Send these bytes on a connection of their own; the answer, checked against the document where it can be."""
    with daemon.connect(uid) as connection:
        return exchange(connection, data)


def exchange(connection: socket.socket, data: bytes) -> Response:
    """Send these bytes, as far as the daemon takes them; the answer to its end."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # when it has answered already
        connection.sendall(data)
    return read_response(connection)


def post(path: str, *headers: str, body: bytes = b"") -> bytes:
    """A POST with just these headers."""
    return "".join(f"{line}\r\n" for line in (f"POST {path} HTTP/1.1", "Host: aios", *headers, "")).encode() + body


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")
