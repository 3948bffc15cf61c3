"""The guard's wire, byte by byte: framing, limits, descriptors, and what is no call at all."""

import array
import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aiosd.guard.varlink import Call, Interface, Server, VarlinkError, wait_readable

DEADLINE_S = 20.0
DESCRIPTION = "interface io.example\nmethod Echo(text: string) -> (text: string)\n"


@dataclass(slots=True)
class Example:
    """An interface whose methods show what a call is."""

    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    oneway: list[str] = field(default_factory=list)
    limit: int = 8

    def interface(self) -> Interface:
        """It."""
        methods = {
            "Echo": self.echo,
            "Quiet": self.quiet,
            "Check": self.check,
            "Broken": self.broken,
            "Refuse": self.refuse,
            "Count": self.count,
            "Stream": self.stream,
            "Wait": self.wait,
        }
        return Interface(
            name="io.example", description=DESCRIPTION, methods=methods, streaming=frozenset({"Stream", "Wait"})
        )

    async def echo(self, call: Call) -> None:
        """Give back a text."""
        self.oneway.append(call.text("text", limit=2_000_000)) if call.oneway else None
        await call.reply({"text": call.text("text", limit=2_000_000), "uid": call.peer.uid})

    async def quiet(self, call: Call) -> None:
        """Say nothing."""

    async def check(self, call: Call) -> None:
        """Read parameters of each kind."""
        await call.reply(
            {
                "text": call.text("text", limit=5),
                "optional": call.optional_text("optional"),
                "number": call.optional_integer("number", default=7, least=1, most=9),
                "flag": call.flag("flag"),
            }
        )

    async def broken(self, _call: Call) -> None:
        """A bug."""
        raise ZeroDivisionError("secret")

    async def refuse(self, _call: Call) -> None:
        """An error of the interface."""
        raise VarlinkError("io.example.No", reason="because")

    async def count(self, call: Call) -> None:
        """How many descriptors came, and that they are open."""
        await call.reply({"count": len([os.fstat(each) for each in call.descriptors])})

    async def stream(self, call: Call) -> None:
        """Three replies."""
        await call.reply({"number": 1}, continues=True)
        await call.reply({"number": 2}, continues=True)
        await call.reply({"number": 3})

    async def wait(self, call: Call) -> None:
        """Begin, and never end."""
        await call.reply({"begun": True}, continues=True)
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


@dataclass(slots=True)
class Client:
    """A connection that sends bytes."""

    connection: socket.socket
    buffer: bytes = b""

    async def send(self, data: bytes) -> None:
        """Send these bytes, as far as they are taken."""
        with suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self.connection, data)

    async def call(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """One call, one reply."""
        await self.send(message(method, **parameters))
        reply = await self.reply()
        assert reply is not None
        return reply

    async def reply(self) -> dict[str, Any] | None:
        """The next reply; None at the end of the connection."""
        async with asyncio.timeout(DEADLINE_S):
            while b"\0" not in self.buffer:
                try:
                    piece = await asyncio.get_running_loop().sock_recv(self.connection, 65536)
                except ConnectionError:
                    piece = b""
                if not piece:
                    assert not self.buffer, self.buffer
                    return None
                self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found


def message(method: str, /, *, more: bool = False, oneway: bool = False, **parameters: Any) -> bytes:
    """A call as it goes over the wire."""
    name = method if "." in method else f"io.example.{method}"
    call = {"method": name, "parameters": parameters, "more": more, "oneway": oneway}
    return json.dumps(call).encode() + b"\0"


@dataclass(slots=True)
class Stage:
    """A server at a socket."""

    path: Path
    example: Example
    server: Server

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A client."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
            await asyncio.get_running_loop().sock_connect(connection, str(self.path))
            yield Client(connection)

    async def serves(self) -> None:
        """The server answers others still."""
        async with self.connected() as client:
            assert (await client.call("Echo", text="on"))["parameters"]["text"] == "on"


@pytest.fixture
async def stage(no_task_left: None, tmp_path: Path) -> AsyncIterator[Stage]:
    """A server that serves the example."""
    example = Example()
    server = Server(example.interface(), version="0.1.0", limit=lambda peer: (f"uid {peer.uid}", example.limit))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(16)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(listener))
            yield Stage(tmp_path / "s", example, server)
            serving.cancel()


ECHOED = {"parameters": {"text": "語", "uid": os.geteuid()}}


async def test_a_call_in_one_piece_byte_by_byte_and_several_at_once(stage: Stage) -> None:
    async with stage.connected() as client:
        await client.send(message("Echo", text="語"))
        assert await client.reply() == ECHOED
        for byte in message("Echo", text="語"):
            await client.send(bytes([byte]))
        assert await client.reply() == ECHOED
        await client.send(b"".join(message("Echo", text=str(number)) for number in range(50)) + b'{"method":"io.ex')
        assert [(await client.reply() or {})["parameters"]["text"] for _ in range(50)] == list(map(str, range(50)))
        await client.send(b'ample.Echo","parameters":{"text":"late"}}\0')
        assert (await client.reply() or {})["parameters"]["text"] == "late"


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"no json\0",
        b"\xff\xfe\xfd\0",
        b"[]\0",
        b"null\0",
        b'"io.example.Echo"\0',
        b"{}\0",
        b'{"method":1}\0',
        b'{"method":""}\0',
        b'{"method":"io.example.Echo\\n"}\0',
        b'{"method":"%s"}\0' % (b"x" * 201),
        b'{"method":"io.example.Echo","parameters":[1]}\0',
        b'{"method":"io.example.Echo","parameters":"x"}\0',
        b'{"method":"io.example.Echo","parameters":{"text":' + b"9" * 5000 + b"}}\0",
        b"[" * 200_000 + b"\0",
        b'{"a":' * 100_000 + b"\0",
        b"x" * (1024 * 1024 + 70_000),
    ],
    ids=lambda data: repr(data[:24]),
)
async def test_what_is_no_call_ends_its_connection_and_no_other(stage: Stage, data: bytes) -> None:
    async with stage.connected() as client:
        await client.send(message("Echo", text="語"))
        assert await client.reply() == ECHOED
        await client.send(data)
        assert await client.reply() is None
    await stage.serves()


async def test_the_largest_message_is_taken_whole(stage: Stage) -> None:
    async with stage.connected() as client:
        text = "x" * (1024 * 1024 - 200)
        assert (await client.call("Echo", text=text))["parameters"]["text"] == text


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("Nothing", {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "io.example.Nothing"}}),
        ("__init__", {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "io.example.__init__"}}),
        ("io.other.Echo", {"error": "org.varlink.service.InterfaceNotFound", "parameters": {"interface": "io.other"}}),
        ("Echo.", {"error": "org.varlink.service.InterfaceNotFound", "parameters": {"interface": "Echo"}}),
        (
            "org.varlink.service.Nothing",
            {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "org.varlink.service.Nothing"}},
        ),
        ("Stream", {"error": "org.varlink.service.ExpectedMore", "parameters": {}}),
        ("Echo", {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": "text"}}),
        ("Refuse", {"error": "io.example.No", "parameters": {"reason": "because"}}),
        ("Broken", {"error": "io.example.Internal", "parameters": {"reason": "see the log"}}),
        ("Quiet", {"parameters": {}}),
    ],
)
async def test_each_error_has_its_name_and_the_connection_goes_on(
    stage: Stage, method: str, error: dict[str, Any]
) -> None:
    async with stage.connected() as client:
        assert await client.call(method) == error
        assert (await client.call("Echo", text="on"))["parameters"]["text"] == "on"


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ({"text": "12345"}, ""),
        ({"text": "123456"}, "text"),
        ({"text": 1}, "text"),
        ({"text": None}, "text"),
        ({"text": ["a"]}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "a", "optional": None, "number": None, "flag": None}, ""),
        ({"text": "a", "optional": 1}, "optional"),
        ({"text": "a", "number": 0}, "number"),
        ({"text": "a", "number": 10}, "number"),
        ({"text": "a", "number": True}, "number"),
        ({"text": "a", "number": 1.5}, "number"),
        ({"text": "a", "number": "5"}, "number"),
        ({"text": "a", "number": 10**30}, "number"),
        ({"text": "a", "flag": 1}, "flag"),
        ({"text": "a", "flag": "true"}, "flag"),
        ({"text": "a", "unknown": {"deep": [1]}}, ""),
    ],
)
async def test_parameters_are_of_their_type_and_within_bounds(
    stage: Stage, parameters: dict[str, Any], refused: str
) -> None:
    async with stage.connected() as client:
        reply = await client.call("Check", **parameters)
    if refused:
        assert reply == {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": refused}}
    else:
        assert reply == {"parameters": {"text": parameters["text"], "optional": "", "number": 7, "flag": False}}


async def test_a_oneway_call_is_done_and_not_answered(stage: Stage) -> None:
    async with stage.connected() as client:
        await client.send(message("Echo", oneway=True, text="quiet") + message("Refuse", oneway=True))
        assert await client.call("Echo", text="next") == {"parameters": {"text": "next", "uid": os.geteuid()}}
    assert stage.example.oneway == ["quiet"]


async def test_a_stream_has_its_replies_in_order_and_says_which_is_the_last(stage: Stage) -> None:
    async with stage.connected() as client:
        await client.send(message("Stream", more=True) + message("Echo", text="after"))
        assert [await client.reply() for _ in range(3)] == [
            {"parameters": {"number": 1}, "continues": True},
            {"parameters": {"number": 2}, "continues": True},
            {"parameters": {"number": 3}},
        ]
        assert (await client.reply() or {})["parameters"]["text"] == "after"


async def test_a_streaming_caller_that_goes_away_interrupts_its_call(stage: Stage) -> None:
    async with stage.connected() as client:
        await client.send(message("Wait", more=True))
        assert await client.reply() == {"parameters": {"begun": True}, "continues": True}
        assert not stage.example.cancelled.is_set()
    async with asyncio.timeout(DEADLINE_S):
        await stage.example.cancelled.wait()
    await stage.serves()


async def _comes_to_its_end(reading: int) -> None:
    """The pipe ends, as it does when the last copy of its other end is closed."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            await wait_readable(reading)
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


async def test_descriptors_come_with_their_call_and_are_closed_after_it(stage: Stage) -> None:
    async with stage.connected() as client:
        reading, writing = os.pipe()
        for count in (1, 4):
            rights = array.array("i", [writing] * count)
            client.connection.sendmsg([message("Count")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            assert await client.reply() == {"parameters": {"count": count}}
        assert await client.call("Count") == {"parameters": {"count": 0}}
        os.close(writing)
        await _comes_to_its_end(reading)


async def test_too_many_descriptors_end_the_connection_and_are_closed(stage: Stage) -> None:
    reading, writing = os.pipe()
    async with stage.connected() as client:
        rights = array.array("i", [writing] * 50)
        client.connection.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        assert await client.reply() is None
    os.close(writing)
    await _comes_to_its_end(reading)
    await stage.serves()


async def test_one_user_has_so_many_connections_and_no_more(stage: Stage) -> None:
    stage.example.limit = 2
    async with stage.connected() as first, stage.connected() as second:
        for client in (first, second):
            assert (await client.call("Echo", text="in"))["parameters"]["text"] == "in"
        async with stage.connected() as third:
            await third.send(message("Echo", text="in"))
            assert await third.reply() is None
        assert stage.server.connections == 2
        assert (await first.call("Echo", text="still"))["parameters"]["text"] == "still"
    while stage.server.connections:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.001)
    await stage.serves()


async def test_it_describes_itself(stage: Stage) -> None:
    async with stage.connected() as client:
        assert (await client.call("org.varlink.service.GetInfo"))["parameters"] == {
            "vendor": "aiosd",
            "product": "aios-guard",
            "version": "0.1.0",
            "url": "",
            "interfaces": ["org.varlink.service", "io.example"],
        }
        wanted = "org.varlink.service.GetInterfaceDescription"
        assert await client.call(wanted, interface="io.example") == {"parameters": {"description": DESCRIPTION}}
        assert (
            "method GetInfo()"
            in (await client.call(wanted, interface="org.varlink.service"))["parameters"]["description"]
        )
        assert (await client.call(wanted, interface="io.none"))["error"] == "org.varlink.service.InterfaceNotFound"


async def test_who_comes_when_it_is_shut_waits_for_the_next_server(tmp_path: Path) -> None:
    example = Example()
    first, second = (
        Server(example.interface(), version="0.1.0", limit=lambda peer: (f"uid {peer.uid}", example.limit))
        for _ in range(2)
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(16)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(first.serve(listener))
            stage = Stage(tmp_path / "s", example, first)
            async with stage.connected() as early:
                assert (await early.call("Echo", text="語")) == ECHOED
                assert first.connections == 1
                first.shut()
                async with stage.connected() as late:
                    await late.send(message("Echo", text="語"))
                    assert (await early.call("Echo", text="語")) == ECHOED
                    assert first.connections == 1
                    serving.cancel()
                    await asyncio.wait({serving})
                    serving = group.create_task(second.serve(listener))
                    assert await late.reply() == ECHOED
                    assert second.connections == 1
            serving.cancel()
