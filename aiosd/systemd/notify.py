"""Telling the service manager how the daemon is: ready, reloading, stopping, one line of status, and that it lives.

Without a manager (no NOTIFY_SOCKET) every call does nothing. Source: sd_notify(3), by sdnotify.
"""

import asyncio
import os
import socket
import time

from sdnotify import SystemdNotifier

_PATIENCE_S = 1.0  # with a manager that does not read: nothing else goes on here meanwhile


class Manager:
    """The service manager."""

    def __init__(self) -> None:
        self._notifier = SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        self._socket: socket.socket | None = self._notifier and self._notifier.socket
        if self._socket is not None:
            self._socket.settimeout(_PATIENCE_S)

    def ready(self, status: str) -> None:
        """Start-up, or a reload, is over."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload begins; systemd wants the moment on its own clock."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end begins."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows."""
        self._tell(f"STATUS={text}")

    async def watch(self) -> None:
        """Say at half the watchdog's time that the loop turns; until cancelled."""
        interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
        if not interval_s or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return
        while True:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(interval_s)

    def close(self) -> None:
        """Nothing more is told."""
        if self._socket is not None:
            self._socket.close()

    def _tell(self, state: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(state)
