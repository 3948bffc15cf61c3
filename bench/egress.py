"""The proxy's throughput: as much over one tunnel as over loopback directly, in the same run, from the same server.

Direct are two processes, by the proxy three: so that a busy machine does not count against the third, all run before
others where that is allowed.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from aiosd.egress.proxy import Bounds, Connection, Proxy
from aiosd.egress.rules import read_rules

_BYTES = 128 * 1024 * 1024
_PIECE = 1 << 20
_GOAL = 0.5


def measure(rounds: int) -> str:
    """Run it; the figures."""
    direct: list[float] = []
    through: list[float] = []
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    listener = socket.create_server(("127.0.0.1", 0))
    children = [_fork(_serve, server, rounds * 2), _fork(_proxy, listener, port)]
    try:
        _measure(rounds, port, listener.getsockname(), direct, through)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        server.close()
        listener.close()
    ratio = min(direct) / min(through)
    mark = "" if ratio >= _GOAL else "  MISSED"
    mib = _BYTES / (1 << 20)
    return (
        f"direct {mib / min(direct):.0f} MiB/s, by the proxy {mib / min(through):.0f} MiB/s:"
        f" {ratio:.2f} × (goal ≥ {_GOAL:g}){mark}\n"
    )


def _fork(work: Callable[[socket.socket, int], None], listener: socket.socket, number: int) -> int:
    """A process of its own for each side, as they are."""
    child = os.fork()
    if child == 0:
        try:
            work(listener, number)
        finally:
            os._exit(0)
    return child


def _measure(rounds: int, port: int, proxy: tuple[str, int], direct: list[float], through: list[float]) -> None:
    for _ in range(rounds):
        direct.append(_take(socket.create_connection(("127.0.0.1", port))))
        tunnel = socket.create_connection(proxy)
        tunnel.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        while not tunnel.recv(1 << 10).endswith(b"\r\n\r\n"):
            pass
        through.append(_take(tunnel))


def _serve(server: socket.socket, count: int) -> None:
    piece = bytes(_PIECE)
    for _ in range(count):
        connection, _address = server.accept()
        with connection:
            if not connection.recv(1):
                continue
            for _sent in range(_BYTES // _PIECE):
                connection.sendall(piece)


def _proxy(listener: socket.socket, port: int) -> None:
    bounds = Bounds(rules=read_rules((), ()), max_bytes=1 << 40)

    def forget(_made: Connection) -> None:
        """Nobody asks."""

    asyncio.run(Proxy((f"127.0.0.1:{port}",), lambda: bounds, forget).serve(listener))


def _take(connection: socket.socket) -> float:
    """Seconds until everything has come."""
    buffer, left = bytearray(_PIECE), _BYTES
    with connection:
        began = time.perf_counter()
        connection.sendall(b"x")
        while left:
            count = connection.recv_into(buffer)
            assert count
            left -= count
        return time.perf_counter() - began
