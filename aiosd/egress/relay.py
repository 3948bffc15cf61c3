"""Bytes between two connected sockets, moved by the kernel, counted, and stopped at a bound.

Source: splice(2), fcntl(2) F_SETPIPE_SZ.
"""

import asyncio
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031
_SPLICE_F_MOVE, _SPLICE_F_NONBLOCK = 1, 2


@dataclass(slots=True)
class Moved:
    """How many bytes went out and came in, and what stopped it ("" where both sides ended)."""

    sent: int = 0
    received: int = 0
    stopped: str = ""

    @property
    def total(self) -> int:
        """Both ways."""
        return self.sent + self.received


def over_bytes(moved: Moved) -> str:
    """Why a connection was ended that carried too much."""
    return f"was ended after {moved.total} bytes, as it was going over egress.max_mib, which an administrator can raise"


def over_all_time(max_s: float) -> str:
    """Why a connection was ended that lasted too long."""
    return f"was ended after {max_s:.0f} s, which is egress.max_s, and an administrator can raise it"


def over_time(idle_s: float) -> str:
    """Why a connection was ended on which nothing moved."""
    return f"was ended as nothing moved for {idle_s:.0f} s, which is egress.idle_s, and an administrator can raise it"


class _StoppedError(Exception):
    pass


async def wait_for(sock: socket.socket, *, writing: bool = False) -> None:
    """Return when a socket can be read (or written) without waiting."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    if writing:
        loop.add_writer(sock, tell)
    else:
        loop.add_reader(sock, tell)
    try:
        await ready
    finally:
        if writing:
            loop.remove_writer(sock)
        else:
            loop.remove_reader(sock)


async def relay(
    inside: socket.socket,
    outside: socket.socket,
    moved: Moved,
    *,
    idle_s: float,
    max_bytes: int,
    max_s: float,
    first: Callable[[], Awaitable[str]] | None = None,
    both: bool = True,
) -> None:
    """Move bytes both ways until both sides have ended; where not `both`, only what comes in, until its end.

    `first` looks at what goes out before any of it does: a non-empty answer of it stops everything, as do `idle_s`
    without a byte either way, more than `max_bytes`, and `max_s` altogether.
    """
    last = [asyncio.get_running_loop().time()]
    end = last[0] + max_s

    async def pump(source: socket.socket, target: socket.socket, *, out: bool) -> None:
        if out and first is not None and (why := await first()):
            raise _StoppedError(why)
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(write_end, _F_SETPIPE_SZ, _CHUNK)
            while count := await _splice(source, write_end):
                if moved.total + count > max_bytes:
                    raise _StoppedError(over_bytes(moved))
                last[0] = asyncio.get_running_loop().time()
                if out:
                    moved.sent += count
                else:
                    moved.received += count
                await _drain(read_end, target, count)
            target.shutdown(socket.SHUT_WR)
        finally:
            os.close(read_end)
            os.close(write_end)

    async def watch() -> None:
        while (left := min(last[0] + idle_s, end) - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 - it moves on
            await asyncio.sleep(left)
        raise _StoppedError(over_time(idle_s) if last[0] + idle_s < end else over_all_time(max_s))

    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            pumps = {group.create_task(pump(outside, inside, out=False))}
            if both:
                pumps.add(group.create_task(pump(inside, outside, out=True)))
            await asyncio.wait(pumps, return_when=asyncio.ALL_COMPLETED)
            watching.cancel()
    except* _StoppedError as stopped:
        moved.stopped = str(stopped.exceptions[0])
    except* OSError:
        pass  # one side is gone, which is an end like another


async def _splice(source: socket.socket, pipe: int) -> int:
    """The next bytes of `source` in the pipe, which is empty; how many, 0 at its end."""
    await asyncio.sleep(0)  # others' turn, too, while this one never runs dry
    while True:
        try:
            return os.splice(source.fileno(), pipe, _CHUNK, flags=_SPLICE_F_MOVE | _SPLICE_F_NONBLOCK)
        except BlockingIOError:
            await wait_for(source)


async def _drain(pipe: int, target: socket.socket, count: int) -> None:
    while count:
        try:
            count -= os.splice(pipe, target.fileno(), count, flags=_SPLICE_F_MOVE | _SPLICE_F_NONBLOCK)
        except BlockingIOError:
            await wait_for(target, writing=True)
