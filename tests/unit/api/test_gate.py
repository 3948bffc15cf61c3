"""Who connects to a daemon that is about to end is served by it, or by the next one; never by neither."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from aiosd.api.gate import Gate
from aiosd.config import Live, load_config

REQUEST = b"GET / HTTP/1.1\r\nHost: aios\r\nConnection: close\r\n\r\n"
DEADLINE_S = 10


@asynccontextmanager
async def gated(listener: socket.socket, name: str) -> AsyncIterator[Gate]:
    """A gate, not yet open, whose server answers each request with `name`."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=name)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None
    async with asyncio.TaskGroup() as group:
        gate = Gate(runner.server, Live(load_config([], {})), listener.dup(), group)
        yield gate
        gate.shut()
        await runner.cleanup()


async def read_all(connection: socket.socket) -> bytes:
    """What is answered, to the end."""
    loop, read = asyncio.get_running_loop(), b""
    async with asyncio.timeout(DEADLINE_S):
        while piece := await loop.sock_recv(connection, 65536):
            read += piece
    return read


async def connections(gate: Gate, wanted: int) -> None:
    """Return when so many are open."""
    async with asyncio.timeout(DEADLINE_S):
        while gate.connections != wanted:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)


def ask(path: Path) -> socket.socket:
    """A connection with a request on it; nobody needs to have accepted it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.connect(str(path))
    connection.sendall(REQUEST)
    connection.setblocking(False)
    return connection


def bound(path: Path) -> socket.socket:
    """A listening socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(path))
    listener.listen(16)
    return listener


async def test_who_comes_when_it_is_shut_waits_for_the_next_daemon(tmp_path: Path) -> None:
    with bound(tmp_path / "s") as listener:
        async with gated(listener, "first") as first:
            first.open()
            with ask(tmp_path / "s") as early:
                assert (await read_all(early)).endswith(b"first")
            first.shut()
            with ask(tmp_path / "s") as late:
                await asyncio.sleep(0)
                assert first.connections == 0
                async with gated(listener, "second") as second:
                    second.open()
                    assert (await read_all(late)).endswith(b"second")


async def test_who_was_accepted_when_it_is_shut_counts_and_is_served(tmp_path: Path) -> None:
    with bound(tmp_path / "s") as listener:
        async with gated(listener, "first") as gate:
            gate.open()
            with ask(tmp_path / "s") as connection:
                await connections(gate, 1)
                gate.shut()
                assert (await read_all(connection)).endswith(b"first")
            await connections(gate, 0)


async def test_out_of_descriptors_it_accepts_again_when_there_are_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with bound(tmp_path / "s") as listener, ask(tmp_path / "s") as connection:
        async with gated(listener, "first") as gate:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, hard))
            taken = []
            try:
                with suppress(OSError):
                    while True:
                        taken.append(os.dup(0))
                gate.open()
                async with asyncio.timeout(DEADLINE_S):
                    while not caplog.records:  # noqa: ASYNC110 - nobody is told
                        await asyncio.sleep(0)
                assert caplog.messages == ["cannot accept: Too many open files"]
            finally:
                for fd in taken:
                    os.close(fd)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert (await read_all(connection)).endswith(b"first")


async def test_the_last_descriptors_are_for_whoever_is_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir("/proc/self/fd"))) + 129
    first_kept = most - min(64, most // 4)
    with bound(tmp_path / "s") as listener, ask(tmp_path / "s") as connection:
        async with gated(listener, "first") as gate:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            taken = []
            try:
                while (fd := os.dup(0)) < first_kept - 1:
                    taken.append(fd)
                taken.append(fd)
                gate.open()
                async with asyncio.timeout(DEADLINE_S):
                    while not caplog.records:  # noqa: ASYNC110 - nobody is told
                        await asyncio.sleep(0)
                assert caplog.messages == ["cannot accept: few descriptors are left"]
                assert gate.connections == 0
                os.close(taken.pop())
                assert (await read_all(connection)).endswith(b"first")
            finally:
                for fd in taken:
                    os.close(fd)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
