"""aiosd's way to the guard: Varlink over its socket, one connection a call. The only way aiosd has to the machine.

A streaming call is interrupted by hanging up, which leaving `stream`'s context early does; that waits a while for what
ran to end. What the guard refuses comes as GuardRefusedError; a guard that does not answer as GuardUnavailableError.
"""

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosd.errors import AiosError, GuardRefusedError, GuardUnavailableError, InvalidRequestError
from aiosd.types import CallId, JsonObject, SessionId

_INTERFACE = "io.aios.Guard"
_CALL_DEADLINE_S = 30.0
_INTERRUPT_DEADLINE_S = 4.0
_NEXT_GUARD_S = 120.0  # one that ends lets what runs go on for a minute
_LOOK_S = 0.5
_LIMIT = 4 * 1024 * 1024  # of an answer
_MAX_MESSAGE = 1024 * 1024  # the guard takes no longer one
_FIRST = 16 * 1024  # bytes that a new connection's buffer surely takes
_PIECE = 64 * 1024
_HINT = "aios doctor tells more; the guard's own words are in its log"


class GuardClient:
    """Speaks to the guard at one socket."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._leaving = False

    def leave(self) -> None:
        """From now on hang up without a word: this process ends, and whoever comes next goes on."""
        self._leaving = True

    async def call(
        self,
        method: str,
        parameters: JsonObject | None = None,
        *,
        client_fd: int = -1,
        files_fd: int = -1,
        deadline_s: float = _CALL_DEADLINE_S,
    ) -> JsonObject:
        """One call, one answer. With `client_fd`, about the person at the other end of that socket.

        By `files_fd` a session's files go to the guard.
        """
        message: JsonObject = {"method": f"{_INTERFACE}.{method}", "parameters": dict(parameters or {})}
        if client_fd >= 0:
            message["parameters"] = {**(parameters or {}), "client": True}
        async with self._send(message, max(client_fd, files_fd)) as connection:
            try:
                async with asyncio.timeout(deadline_s):
                    return await connection.receive()
            except TimeoutError as exc:
                raise GuardUnavailableError(f"the guard took over {deadline_s:.0f} s", hint=_HINT) from exc

    async def list_kept(self) -> frozenset[tuple[SessionId, CallId]]:
        """The calls that wait for an answer and whose proposer the guard has lost."""
        kept = (await self.call("ListKept")).get("kept")
        return frozenset(
            (SessionId(str(each["session"])), CallId(str(each["call"])))
            for each in (kept if isinstance(kept, list) else [])
            if isinstance(each, dict)
        )

    async def keeps(self, session: SessionId, call: CallId) -> bool:
        """Whether the guard that came after one that ended still asks about `call`; it is waited for a while."""
        deadline = asyncio.get_running_loop().time() + _NEXT_GUARD_S
        while True:
            await asyncio.sleep(_LOOK_S)  # where both are being stopped, this one leaves before it wakes the next guard
            try:
                return (session, call) in await self.list_kept()
            except GuardUnavailableError:
                if asyncio.get_running_loop().time() >= deadline:
                    raise

    @asynccontextmanager
    async def stream(
        self, method: str, parameters: JsonObject, *, egress_fd: int = -1
    ) -> AsyncIterator[AsyncIterator[JsonObject]]:
        """A streaming call: its events, the last one (`done`) included. Leaving early interrupts what runs.

        By `egress_fd` the guard hands over the listener of a sandbox that may reach the network.
        """
        message: JsonObject = {"method": f"{_INTERFACE}.{method}", "parameters": parameters, "more": True}
        if egress_fd >= 0:
            message["parameters"] = {**parameters, "egress": True}
        async with self._send(message, egress_fd) as connection:
            try:
                yield connection.receive_all()
            except BaseException:
                if not self._leaving:
                    await connection.interrupt()
                raise

    @asynccontextmanager
    async def _send(self, message: JsonObject, descriptor: int) -> AsyncIterator["_Connection"]:
        data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\0"
        if len(data) > _MAX_MESSAGE:
            raise InvalidRequestError(
                f"it is more than the guard takes at once, {_MAX_MESSAGE} bytes", hint="send less"
            )
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
            try:
                await loop.sock_connect(connection, self._path)
                # A new connection's buffer is empty, so the first bytes, which carry the descriptor, go at once.
                sent = socket.send_fds(connection, [data[:_FIRST]], [descriptor] if descriptor >= 0 else [])
                if sent < len(data):
                    await loop.sock_sendall(connection, data[sent:])
            except OSError as exc:
                raise GuardUnavailableError(f"{self._path}: {exc.strerror}", hint=_HINT) from exc
            yield _Connection(connection)


class _Connection:
    """One call under way: its answers as they come."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._rest = bytearray()
        self._waiting: deque[bytearray] = deque()

    async def receive(self) -> JsonObject:
        """The next answer's parameters; an error answer is raised."""
        while not self._waiting:
            try:
                data = await asyncio.get_running_loop().sock_recv(self._socket, _PIECE)
            except OSError as exc:
                raise GuardUnavailableError("the guard ended in the middle of a call", hint=_HINT) from exc
            if not data:
                raise GuardUnavailableError("the guard ended in the middle of a call", hint=_HINT)
            self._rest += data
            if b"\0" in data:
                *whole, self._rest = self._rest.split(b"\0")
                self._waiting.extend(whole)
            if len(self._rest) > _LIMIT:
                raise GuardUnavailableError("the guard sent more than it may", hint=_HINT)
        message = json.loads(self._waiting.popleft())
        error, parameters = message.get("error"), message.get("parameters") or {}
        if error is None:
            return dict(parameters)
        raise _map_error(str(error), parameters)

    async def receive_all(self) -> AsyncIterator[JsonObject]:
        """Every event, the last one (`done`) included."""
        while True:
            event = await self.receive()
            yield event
            if event.get("event") == "done":
                return
            await asyncio.sleep(0)  # what never has to wait for its next piece lets the others run all the same

    async def interrupt(self) -> None:
        """Say that nobody listens any more, and wait until the guard, having ended the action, has hung up too."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_INTERRUPT_DEADLINE_S):
                self._socket.shutdown(socket.SHUT_WR)
                while await asyncio.get_running_loop().sock_recv(self._socket, _PIECE):  # noqa: ASYNC110
                    await asyncio.sleep(0)


def _map_error(name: str, parameters: JsonObject) -> AiosError:
    if name.endswith(".InvalidParameter"):
        return InvalidRequestError(f"the guard does not take {parameters.get('parameter')} as it was given")
    if name.endswith(".NotReady"):
        return GuardUnavailableError(
            f"the guard runs nothing: {parameters.get('reason')}", hint="correct that; the next call finds it"
        )
    return GuardRefusedError(str(parameters.get("reason", name)), hint=f"the guard says {name.rpartition('.')[2]}")
