"""Asking PID 1, or a user's manager, for transient units by its private socket: the D-Bus calls of the guard's own.

systemd-run would do, but stays as long as the unit does, and costs as much again as the unit itself. Speaks just enough
D-Bus to start one with descriptors, to change its properties and to stop it; its user alone may connect there.

Source: the D-Bus specification (authentication, message format), org.freedesktop.systemd1(5).
"""

import asyncio
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

PRIVATE = "/run/systemd/private"
_DEADLINE_S = 10.0
_MAX_REPLY = 1 << 20
_METHOD_CALL, _METHOD_RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _SIGNATURE, _UNIX_FDS = 1, 2, 3, 8, 9
_ALIGNMENT = {"y": 1, "g": 1, "v": 1, "b": 4, "u": 4, "i": 4, "h": 4, "s": 4, "o": 4, "a": 4, "t": 8, "(": 8}


class ManagerError(Exception):
    """the service manager does not answer or refuses; its own words are in the message."""


# A property's value with its D-Bus type: text, flag, 64 and 32 bit numbers, list of texts, descriptor, commands.
Value = tuple[str, Any]


def text(value: str) -> Value:
    """A string property."""
    return "s", value


def flag(value: bool) -> Value:
    """A boolean property."""
    return "b", value


def number(value: int) -> Value:
    """A 64 bit property: bytes, counts, microseconds."""
    return "t", value


def number32(value: int) -> Value:
    """A 32 bit property: modes."""
    return "u", value


def texts(values: Sequence[str]) -> Value:
    """A list of strings."""
    return "as", tuple(values)


def descriptor(fd: int) -> Value:
    """A descriptor, handed over."""
    return "h", fd


def command(argv: Sequence[str]) -> Value:
    """A command for ExecStartEx, in which nothing is expanded."""
    return "a(sasas)", ((argv[0], tuple(argv), ("no-env-expand",)),)


def success(number: int) -> Value:
    """A SuccessExitStatus by which an end by this signal is no failure."""
    return "(aiai)", ((), (number,))


async def start_transient_unit(name: str, properties: Sequence[tuple[str, Value]], *, at: str = PRIVATE) -> None:
    """Start a unit; returns when PID 1 has taken the job. ManagerError where it has not."""
    values: list[tuple[str, Value]] = []
    fds: list[int] = []
    for key, (kind, value) in properties:  # descriptors travel beside it; a property holds the index of its own
        values.append((key, (kind, len(fds) if kind == "h" else value)))
        fds += [value] if kind == "h" else []
    arguments = (("s", name), ("s", "fail"), ("a(sv)", values), ("a(sa(sv))", ()))
    await _call(at, "StartTransientUnit", arguments, fds)


async def set_properties(name: str, properties: Sequence[tuple[str, Value]], *, at: str = PRIVATE) -> None:
    """Change what a unit may use, until it ends. ManagerError."""
    await _call(at, "SetUnitProperties", (("s", name), ("b", True), ("a(sv)", properties)))


async def stop_unit(name: str, *, at: str = PRIVATE) -> None:
    """Stop a unit; returns when PID 1 has taken the job. ManagerError."""
    await _call(at, "StopUnit", (("s", name), ("s", "fail")))


async def _call(at: str, member: str, arguments: Sequence[Value], fds: Sequence[int] = ()) -> None:
    call = _render_call(member, arguments, len(fds))
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as connection:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await loop.sock_connect(connection, at)
                # BEGIN with the rest: were it read together with the call, its descriptors would count as an attack.
                uid = str(os.geteuid()).encode().hex()
                begin = f"\0AUTH EXTERNAL {uid}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
                await loop.sock_sendall(connection, begin.encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    answer += await _receive(connection)
                if not answer.startswith(b"OK ") or b"AGREE_UNIX_FD" not in answer:
                    raise ManagerError(f"the service manager does not let us in: {answer!r}")
                sent = socket.send_fds(connection, [call], fds)
                await loop.sock_sendall(connection, call[sent:])
                _check_reply(await _read_reply(connection))
        except TimeoutError as exc:
            raise ManagerError("the service manager does not answer") from exc
        except OSError as exc:
            raise ManagerError(f"{at}: {exc.strerror}") from exc


async def _receive(connection: socket.socket) -> bytes:
    data = await asyncio.get_running_loop().sock_recv(connection, 65536)
    if not data:
        raise ManagerError("the service manager closed the connection")
    return data


async def _read_reply(connection: socket.socket) -> bytes:
    """The first message that answers a call; signals before it are passed over."""
    data = b""
    while True:
        while len(data) < 16 or len(data) < _length(data):
            data += await _receive(connection)
            if len(data) > _MAX_REPLY:
                raise ManagerError("the service manager sent more than it may")
        size = _length(data)
        message, data = data[:size], data[size:]
        if message[1] in {_METHOD_RETURN, _ERROR}:
            return message


def _length(data: bytes) -> int:
    if data[0:1] != b"l":
        raise ManagerError("the service manager does not speak little-endian D-Bus")
    body, _serial, fields = struct.unpack_from("<III", data, 4)
    return 16 + (int(fields) + 7) // 8 * 8 + int(body)


def _check_reply(message: bytes) -> None:
    if message[1] != _ERROR:
        return
    body_size = struct.unpack_from("<I", message, 4)[0]
    body = message[len(message) - body_size :]
    size = struct.unpack_from("<I", body)[0] if len(body) >= 4 else 0
    raise ManagerError(body[4 : 4 + size].decode("utf-8", "replace") or "the service manager refuses without a word")


def _render_call(member: str, arguments: Sequence[Value], descriptors: int) -> bytes:
    body = _Writer()
    for kind, value in arguments:
        body.put(kind, value)
    fields = (
        (_PATH, ("o", "/org/freedesktop/systemd1")),
        (_INTERFACE, ("s", "org.freedesktop.systemd1.Manager")),
        (_MEMBER, ("s", member)),
        (_SIGNATURE, ("g", "".join(kind for kind, _value in arguments))),
        (_UNIX_FDS, ("u", descriptors)),
    )
    head = _Writer()
    head.data += struct.pack("<cBBBII", b"l", _METHOD_CALL, 0, 1, len(body.data), 1)
    head.put("a(yv)", fields)
    head.align(8)
    return bytes(head.data + body.data)


class _Writer:
    """Marshals values by their D-Bus types, each at its alignment."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def put(self, kind: str, value: Any) -> None:
        self.align(_ALIGNMENT[kind[0]])
        match kind[0]:
            case "s" | "o":
                encoded = value.encode("utf-8", "surrogateescape")
                self.data += struct.pack("<I", len(encoded)) + encoded + b"\0"
            case "g":
                self.data += bytes([len(value)]) + value.encode() + b"\0"
            case "y":
                self.data.append(value)
            case "t":
                self.data += struct.pack("<Q", value)
            case "a":
                self._put_array(kind[1:], value)
            case "(":
                for member, each in zip(_split(kind[1:-1]), value, strict=True):
                    self.put(member, each)
            case "v":
                self.put("g", value[0])
                self.put(*value)
            case _:  # b, u, i and h are 32 bits
                self.data += struct.pack("<I", value)

    def _put_array(self, kind: str, values: Sequence[Any]) -> None:
        place = len(self.data)
        self.data += bytes(4)
        self.align(_ALIGNMENT[kind[0]])  # padding before the first element is not part of the length
        first = len(self.data)
        for each in values:
            self.put(kind, each)
        struct.pack_into("<I", self.data, place, len(self.data) - first)


def _split(kinds: str) -> list[str]:
    """A signature's complete types."""
    out: list[str] = []
    start = depth = 0
    for index, char in enumerate(kinds):
        depth += (char == "(") - (char == ")")
        if depth == 0 and char != "a":
            out.append(kinds[start : index + 1])
            start = index + 1
    return out
