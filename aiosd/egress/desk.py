"""Where the guard hands over the listener of a sandbox: one channel for each action, one proxy behind it.

A sandbox that may reach somebody has a network of its own with no way out and one listener in it, which the guard takes
from there and sends here by descriptor, with the hosts that the command's rule names. Whoever connects to that listener
is that sandbox, and nobody else can be. The proxy ends with the action.
"""

import array
import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from aiosd.egress.given import AskPerson, Lists, Made
from aiosd.errors import ModelKeyError

_MAX_PACKET = 64 * 1024


def _have_none(name: str) -> str:
    raise ModelKeyError(f"there is no key {name}")


class Desk:
    """Makes channels. `lists` is asked anew at each connection, `reveal` for the value of a credential at each use."""

    def __init__(self, lists: Callable[[], Lists], reveal: Callable[[str], str] = _have_none) -> None:
        self._lists = lists
        self._reveal = reveal

    @asynccontextmanager
    async def channel(self, report: Callable[[Made], None], ask: AskPerson | None = None) -> AsyncIterator[int]:
        """A descriptor to hand to the guard with an action; what comes back by it is served until the context ends.

        `ask` puts a host that no list names to a person, where the configuration says so.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with ours, theirs:
                async with asyncio.TaskGroup() as group:
                    serving = group.create_task(self._serve(ours, report, ask))
                    try:
                        yield theirs.fileno()
                    finally:
                        serving.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # what was done meanwhile speaks for itself

    async def _serve(self, channel: socket.socket, report: Callable[[Made], None], ask: AskPerson | None) -> None:
        """Serve each listener that comes, side by side, until cancelled."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        loop.add_reader(channel, arrived.set)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await arrived.wait()
                    arrived.clear()
                    granted, listener = _receive(channel)
                    if listener is not None:
                        group.create_task(self._serve_listener(listener, granted, report, ask))
        finally:
            loop.remove_reader(channel)

    async def _serve_listener(
        self,
        listener: socket.socket,
        granted: tuple[str, ...],
        report: Callable[[Made], None],
        ask: AskPerson | None,
    ) -> None:
        from aiosd.egress.bounds import make_bounds  # noqa: PLC0415 - most daemons end before anything is reached
        from aiosd.egress.proxy import Connection, Proxy  # noqa: PLC0415

        def tell(made: Connection) -> None:
            sent, received = made.moved.sent, made.moved.received
            report(
                Made(
                    host=made.host,
                    port=made.port,
                    address=made.address,
                    refused=made.refused,
                    sent=sent,
                    received=received,
                )
            )

        with listener, suppress(OSError):
            await Proxy(granted, lambda: make_bounds(self._lists()), tell, ask, self._reveal).serve(listener)


def _receive(channel: socket.socket) -> tuple[tuple[str, ...], socket.socket | None]:
    """A listener and its grants; None for what is none."""
    try:
        data, ancillary, _flags, _address = channel.recvmsg(_MAX_PACKET, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        return (), None
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) // fds.itemsize * fds.itemsize])
    if not data or len(fds) != 1:
        return (), None
    granted = json.loads(data).get("granted", [])
    return tuple(map(str, granted)), socket.socket(fileno=fds[0])
