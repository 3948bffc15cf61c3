"""How a daemon that cannot begin answers: every request with the reason, as the problem it is."""

import asyncio
import socket

from aiosd.api.problems import problem_bytes
from aiosd.errors import CannotBeginError

_HEAD_END = b"\r\n\r\n"
_HEAD_S = 5.0
_MAX_HEAD = 64 * 1024


async def refuse(connection: socket.socket, reason: str) -> None:
    """Read one request's head and answer it; nothing else is read. The connection is closed at the end."""
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    with connection:
        try:
            async with asyncio.timeout(_HEAD_S):
                head = b""
                while (
                    _HEAD_END not in head and len(head) < _MAX_HEAD and (data := await loop.sock_recv(connection, 4096))
                ):
                    head += data
                error = CannotBeginError(reason, hint="correct that; the next request finds it")
                await loop.sock_sendall(connection, problem_bytes(error))
        except (OSError, TimeoutError):
            return
