"""A Varlink server: NUL-framed JSON on a Unix socket, with descriptors and the kernel's word for who calls.

It owns framing, limits, introspection and errors; what a method does is its handler's business. One call at a time on a
connection; a streaming caller that closes cancels its call, which is how an action is interrupted.

Source: https://varlink.org (Service, Interface-Definition, Wire Protocol); unix(7) for SCM_RIGHTS and SO_PEERCRED.
"""

import array
import asyncio
import json
import logging
import os
import re
import select
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from aiosd.accepting import accept
from aiosd.types import JsonObject, JsonValue

_LOG = logging.getLogger(__name__)
_MAX_MESSAGE = 1024 * 1024
_MAX_DESCRIPTORS = 4
_MESSAGE_DEADLINE_S = 10.0
_WRITE_DEADLINE_S = 60.0
_SO_PEERPIDFD = 77
_METHOD = re.compile(r"[\w.-]{1,200}")
_SERVICE = "org.varlink.service"
_SERVICE_IDL = """interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
"""


class VarlinkError(Exception):
    """An error reply: its qualified name, and parameters for people."""

    def __init__(self, name: str, **parameters: JsonValue) -> None:
        super().__init__(name, parameters)
        self.name = name
        self.parameters: JsonObject = dict(parameters)


def invalid_parameter(name: str) -> VarlinkError:
    """The error for a parameter that is missing, of the wrong type or not possible."""
    return VarlinkError(f"{_SERVICE}.InvalidParameter", parameter=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end, by SO_PEERCRED: pid as seen from here (0: another pid namespace's)."""

    pid: int
    uid: int
    gid: int


@dataclass(slots=True, kw_only=True)
class Call:
    """One call. `descriptors` are the server's to close; a handler that keeps one duplicates it.

    `connection` is there to be asked about the peer; reading and writing it is the server's.
    """

    method: str
    parameters: JsonObject
    peer: Peer
    more: bool
    oneway: bool
    descriptors: list[int]
    connection: socket.socket
    send: Callable[[JsonObject], Awaitable[None]]
    answered: bool = field(default=False)

    async def reply(self, parameters: JsonObject, *, continues: bool = False) -> None:
        """Send a reply; `continues` where more follow, which only a caller that asked for more can take."""
        self.answered = not continues
        if self.oneway:
            return
        message: JsonObject = {"parameters": parameters}
        if continues:
            message["continues"] = True
        await self.send(message)

    def text(self, name: str, *, limit: int = 4096) -> str:
        """A required text parameter."""
        value = self.parameters.get(name)
        if not isinstance(value, str) or len(value) > limit or "\0" in value:
            raise invalid_parameter(name)
        return value

    def optional_text(self, name: str, *, limit: int = 4096) -> str:
        """A text parameter, "" where it is absent or null."""
        return "" if self.parameters.get(name) is None else self.text(name, limit=limit)

    def optional_integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """A whole number within bounds, `default` where it is absent or null."""
        value = self.parameters.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise invalid_parameter(name)
        return value

    def flag(self, name: str) -> bool:
        """A boolean parameter, false where it is absent or null."""
        value = self.parameters.get(name)
        if value is not None and not isinstance(value, bool):
            raise invalid_parameter(name)
        return bool(value)


Handler = Callable[[Call], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """An interface: its description, its methods, and which of those must be called with `more`."""

    name: str
    description: str
    methods: Mapping[str, Handler]
    streaming: frozenset[str] = frozenset()


class Server:
    """Serves one interface (and `org.varlink.service`). `limit`: as whose a peer's connections count, and how many."""

    def __init__(self, interface: Interface, *, version: str, limit: Callable[[Peer], tuple[str, int]]) -> None:
        self._interface = interface
        self._version = version
        self._limit = limit
        self._connected: Counter[str] = Counter()
        self._arriving = 0
        self._shut = False
        self.idle_since = asyncio.get_running_loop().time()

    @property
    def connections(self) -> int:
        """How many are open, each from the moment it is accepted."""
        return self._connected.total() + self._arriving

    def shut(self) -> None:
        """Accept nothing more: what comes now stays in the socket, for the next guard. What was accepted is served."""
        self._shut = True

    async def serve(self, listener: socket.socket) -> None:
        """Accept until shut or cancelled. Every connection is a task of this call's own group."""
        async with asyncio.TaskGroup() as group:
            while True:
                await wait_readable(listener)
                if self._shut:
                    return
                try:
                    connection = accept(listener)
                except BlockingIOError:
                    continue
                except OSError as exc:  # out of descriptors, or gone before it was accepted
                    _LOG.warning("cannot accept: %s", exc.strerror)
                    await asyncio.sleep(0.1)
                    continue
                self._arriving += 1
                group.create_task(self._arrive(connection))

    async def _arrive(self, connection: socket.socket) -> None:
        self._arriving -= 1  # from here on it counts as a user's
        await self.serve_connection(connection)

    async def serve_connection(self, connection: socket.socket) -> None:
        """Serve one accepted connection to its end, and close it."""
        connection.setblocking(False)
        with connection:
            try:
                peer = read_peer(connection)
            except OSError:
                return
            whose, limit = self._limit(peer)
            if self._connected[whose] >= limit:
                _LOG.warning("%s has %d connections, one more is refused", whose, limit)
                return
            self._connected[whose] += 1
            try:
                await _Connection(connection, peer, self._dispatch).run()
            except* (OSError, TimeoutError, ValueError) as group:
                _LOG.info("connection of uid %d ended: %s", peer.uid, group.exceptions[0])
            finally:
                self._connected[whose] -= 1
                self.idle_since = asyncio.get_running_loop().time()

    async def _dispatch(self, call: Call) -> None:
        try:
            await self._find(call)(call)
            if not call.answered:
                await call.reply({})
        except VarlinkError as exc:
            if not call.oneway:
                await call.send({"error": exc.name, "parameters": exc.parameters})
        except (OSError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001 - a bug ends its call, not the guard
            _LOG.exception("a call of %s failed", call.method)
            if not call.oneway:
                await call.send({"error": f"{self._interface.name}.Internal", "parameters": {"reason": "see the log"}})

    def _find(self, call: Call) -> Handler:
        interface, _dot, method = call.method.rpartition(".")
        if interface == _SERVICE:
            own = {"GetInfo": self._get_info, "GetInterfaceDescription": self._get_description}
            if method in own:
                return own[method]
            raise VarlinkError(f"{_SERVICE}.MethodNotFound", method=call.method)
        if interface != self._interface.name:
            raise VarlinkError(f"{_SERVICE}.InterfaceNotFound", interface=interface)
        if method not in self._interface.methods:
            raise VarlinkError(f"{_SERVICE}.MethodNotFound", method=call.method)
        if method in self._interface.streaming and not call.more:
            raise VarlinkError(f"{_SERVICE}.ExpectedMore")
        return self._interface.methods[method]

    async def _get_info(self, call: Call) -> None:
        await call.reply(
            {
                "vendor": "aiosd",
                "product": "aios-guard",
                "version": self._version,
                "url": "",
                "interfaces": [_SERVICE, self._interface.name],
            }
        )

    async def _get_description(self, call: Call) -> None:
        wanted = call.text("interface")
        descriptions = {_SERVICE: _SERVICE_IDL, self._interface.name: self._interface.description}
        if wanted not in descriptions:
            raise VarlinkError(f"{_SERVICE}.InterfaceNotFound", interface=wanted)
        await call.reply({"description": descriptions[wanted]})


class _Connection:
    """One client: a reader that keeps watching for its end, and one call at a time."""

    def __init__(self, connection: socket.socket, peer: Peer, dispatch: Handler) -> None:
        self._socket = connection
        self._peer = peer
        self._dispatch = dispatch
        self._calls: asyncio.Queue[Call | None] = asyncio.Queue(4)
        self._gone = asyncio.Event()
        self._buffer = b""
        self._descriptors: list[int] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read())
            gone = group.create_task(self._gone.wait())
            try:
                while (call := await self._calls.get()) is not None:
                    task = group.create_task(self._dispatch(call))
                    await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
                    if call.more:
                        task.cancel()
                    await asyncio.wait({task})
                    _close_all(call.descriptors)
            finally:
                reader.cancel()
                gone.cancel()
                _close_all(self._descriptors)

    async def _read(self) -> None:
        try:
            while (message := await self._read_message()) is not None:
                await self._calls.put(self._parse(message))
        finally:
            self._gone.set()
        await self._calls.put(None)

    async def _read_message(self) -> bytes | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _MESSAGE_DEADLINE_S if self._buffer else None
        while b"\0" not in self._buffer:
            if len(self._buffer) > _MAX_MESSAGE:
                raise ValueError("a message is over the limit")
            try:
                data, ancillary, flags, _address = self._socket.recvmsg(
                    65536, socket.CMSG_SPACE(4 * _MAX_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                async with asyncio.timeout_at(deadline):
                    await wait_readable(self._socket)
                continue
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._descriptors += array.array("i", payload[: len(payload) // 4 * 4])
            if flags & socket.MSG_CTRUNC or len(self._descriptors) > _MAX_DESCRIPTORS:
                raise ValueError("too many descriptors")
            if not data:
                return None
            self._buffer += data
            deadline = deadline or loop.time() + _MESSAGE_DEADLINE_S
        message, _, self._buffer = self._buffer.partition(b"\0")
        return message

    def _parse(self, message: bytes) -> Call:
        try:
            request = json.loads(message)
        except RecursionError as exc:
            raise ValueError("a message is nested too deeply") from exc
        if not isinstance(request, dict):
            request = {}
        method, parameters = request.get("method"), request.get("parameters") or {}
        if (
            not isinstance(method, str)
            or not isinstance(parameters, dict)
            or not re.fullmatch(r"[\w.-]{1,200}", method)
        ):
            raise ValueError("a message names no method")
        descriptors, self._descriptors = self._descriptors, []
        return Call(
            method=method,
            parameters=parameters,
            peer=self._peer,
            more=request.get("more") is True,
            oneway=request.get("oneway") is True,
            descriptors=descriptors,
            connection=self._socket,
            send=self._send,
        )

    async def _send(self, message: JsonObject) -> None:
        data = json.dumps(message, separators=(",", ":")).encode() + b"\0"
        async with asyncio.timeout(_WRITE_DEADLINE_S):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)


def read_peer(connection: socket.socket) -> Peer:
    """SO_PEERCRED of a connected Unix socket; OSError if it is none."""
    pid, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid == 0xFFFFFFFF:
        raise OSError("the peer has no credentials")
    return Peer(pid=pid, uid=uid, gid=gid)


def open_peer_pidfd(connection: socket.socket) -> int:
    """A descriptor of the peer's process (Linux 6.5), the caller's to close; -1 where the kernel has none to give."""
    try:
        return int(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD))
    except OSError:
        return -1


def has_hung_up(connection: socket.socket) -> bool:
    """Whether the peer has closed the connection, not only said that it sends no more."""
    poll = select.poll()
    poll.register(connection, 0)
    return bool(poll.poll(0))


async def wait_readable(source: socket.socket | int) -> None:
    """Return when a read of a descriptor would not block. Its deadline is the caller's."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    descriptor = source if isinstance(source, int) else source.fileno()  # of a socket the selector asks six times more

    def tell() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
