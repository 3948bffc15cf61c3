"""How a guard that cannot begin answers: every method with the reason."""

import re
import socket
import time
from pathlib import Path

from aiosd import __version__
from aiosd.guard.activation import notify
from aiosd.guard.life import keep_watchdog
from aiosd.guard.varlink import Call, Interface, Server, VarlinkError

_NAME = "io.aios.Guard"
_CONNECTIONS = 16


class Manager:
    """The service manager, as `begin` tells it."""

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is over."""
        notify(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload begins."""
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    async def watch(self) -> None:
        """The watchdog's due, until cancelled."""
        await keep_watchdog()


async def refuse(connection: socket.socket, reason: str) -> None:
    """Serve one connection: whatever is called, the reason. The connection is closed at the end."""

    async def answer(_call: Call) -> None:
        raise VarlinkError(f"{_NAME}.NotReady", reason=reason)

    description = Path(__file__).with_name(f"{_NAME}.varlink").read_text(encoding="utf-8")
    methods = dict.fromkeys(re.findall(r"^method (\w+)", description, re.MULTILINE), answer)
    interface = Interface(name=_NAME, description=description, methods=methods)
    await Server(interface, version=__version__, limit=lambda peer: (f"uid {peer.uid}", _CONNECTIONS)).serve_connection(
        connection
    )
