"""The gate before HTTP: how many connections one person may have, and how long a request's head may take.

A connection that is turned away gets a whole HTTP answer that says why. Identity is SO_PEERCRED of the connection.
"""

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import cast

from aiohttp import web

from aiosd.accepting import accept
from aiosd.api.problems import map_exception, problem_bytes, problem_response
from aiosd.config import Live
from aiosd.errors import InvalidRequestError, RequestTimeoutError, TooManyRequestsError

_LOG = logging.getLogger(__name__)
_AT_ONCE = 64  # accepted before anything else is done
_RETRY_S = 0.5
_HEAD_END = b"\r\n\r\n"
_MAX_SAID = 200


def read_uid(connection: socket.socket) -> tuple[int, int]:
    """uid and gid of a connection's peer, by SO_PEERCRED."""
    _pid, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid, gid


class Gate:
    """Accepts connections and makes the protocol of each, with aiohttp's behind it.

    A connection counts from the moment it is accepted; what comes once the gate is shut stays in the service manager's
    copy of the socket, for the next daemon: between the two nobody is lost.
    """

    def __init__(self, server: web.Server, live: Live, listener: socket.socket, group: asyncio.TaskGroup) -> None:
        self._server = server
        self._live = live
        self._listener = listener
        self._group = group
        self._retry: asyncio.TimerHandle | None = None
        self._arriving = 0
        self._connected: Counter[int] = Counter()
        self.idle_since = asyncio.get_running_loop().time()

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._connected.total() + self._arriving

    def open(self) -> None:
        """Accept from now on."""
        self._retry = None
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def shut(self) -> None:
        """Accept nothing more. What was accepted is served."""
        self._pause()
        self._listener.close()

    def _pause(self) -> None:
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
        if self._retry:
            self._retry.cancel()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection = accept(self._listener)
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:  # out of descriptors
                _LOG.warning("cannot accept: %s", exc.strerror)
                self._pause()
                self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self.open)
                return
            connection.setblocking(False)
            self._arriving += 1
            self._group.create_task(self._take(connection))

    async def _take(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self, connection)
        except OSError:  # gone already
            connection.close()
        finally:
            self._arriving -= 1

    def __call__(self) -> asyncio.Protocol:
        """A new connection's protocol."""
        return _Gated(self._server, self._enter, self._leave, self._live.config.limits.request_s)

    def _enter(self, uid: int) -> bool:
        if self._connected[uid] >= self._live.config.limits.connections_per_user:
            return False
        self._connected[uid] += 1
        return True

    def _leave(self, uid: int) -> None:
        self._connected[uid] -= 1
        self.idle_since = asyncio.get_running_loop().time()


class _Http(web.RequestHandler):
    """aiohttp's protocol, whose own errors are problems too, and which nobody's bad requests make talk in the log."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no request, or to what went wrong where no handler saw it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        if status >= 500:
            error = map_exception(exc if isinstance(exc, Exception) else RuntimeError(message))
        else:
            error = InvalidRequestError(f"this is no HTTP request: {' '.join((message or '').split())[:_MAX_SAID]}")
        response = problem_response(error)
        response.force_close()
        return response


class _Gated(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol once the connection is let in."""

    def __init__(
        self, server: web.Server, enter: Callable[[int], bool], leave: Callable[[int], None], deadline_s: float
    ) -> None:
        # aiohttp's own time, after which it hangs up without a word, is past ours.
        self._inner = _Http(server, loop=asyncio.get_running_loop(), keepalive_timeout=2 * deadline_s)
        self._enter = enter
        self._leave = leave
        self._deadline_s = deadline_s
        self._transport: asyncio.Transport | None = None
        self._uid = -1
        self._entered = False
        self._tail: bytes | None = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._uid, _gid = read_uid(transport.get_extra_info("socket"))
        if not self._enter(self._uid):
            self._turn_away(
                TooManyRequestsError(
                    "too many connections of yours are open", hint="close one; limits.connections_per_user"
                )
            )
            return
        self._entered = True
        self._timer = asyncio.get_running_loop().call_later(self._deadline_s, self._expire)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._entered:
            return
        if self._tail is not None:
            seen = self._tail + data
            if _HEAD_END in seen:
                self._tail = None
                self._stop_timer()
            else:
                self._tail = seen[-len(_HEAD_END) :]
        self._inner.data_received(data)

    def eof_received(self) -> None:
        if self._entered:
            self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._entered:
            self._entered = False
            self._leave(self._uid)
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _expire(self) -> None:
        self._turn_away(RequestTimeoutError("the request's head did not arrive in time", hint="limits.request_s"))

    def _turn_away(self, error: TooManyRequestsError | RequestTimeoutError) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(problem_bytes(error))
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
