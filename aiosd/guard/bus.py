"""The filtering proxy of the system bus: reading properties, listing and introspection pass, nothing else.

One xdg-dbus-proxy for the machine, under a uid that may do nothing, so that a hole in the filter has no rights behind
it. Started at the first question that needs the bus; ends with the guard.

Source: xdg-dbus-proxy(1), org.freedesktop.systemd1(5), org.freedesktop.login1(5).
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket

from aiosd.guard.varlink import wait_readable
from aiosd.sandbox.manager import (
    ManagerError,
    command,
    descriptor,
    flag,
    number,
    number32,
    start_transient_unit,
    text,
    texts,
)
from aiosd.sandbox.process import Process
from aiosd.sandbox.profile import ProfileError

_BUS = "/run/dbus/system_bus_socket"
_READY_DEADLINE_S = 5.0
_NOBODY = 65534
_MANAGED_USER, _MANAGED_FOLDER = "aios-bus", "/run/aios-bus"

_MANAGER = (
    "ListUnits ListUnitsByPatterns ListUnitsByNames ListUnitsFiltered ListUnitFiles ListUnitFilesByPatterns ListJobs "
    "GetUnit GetUnitByPID LoadUnit GetUnitFileState GetDefaultTarget GetUnitProcesses"
).split()
_LOGIN = "ListSessions ListSessionsEx ListUsers ListSeats ListInhibitors".split()
_READABLE = (
    ("org.freedesktop.systemd1", "/org/freedesktop/systemd1"),
    ("org.freedesktop.login1", "/org/freedesktop/login1"),
    ("org.freedesktop.timedate1", "/org/freedesktop/timedate1"),
    ("org.freedesktop.hostname1", "/org/freedesktop/hostname1"),
    ("org.freedesktop.locale1", "/org/freedesktop/locale1"),
)


def runs_systemd() -> bool:
    """Whether this machine was booted with systemd (sd_booted(3))."""
    return os.path.exists("/run/systemd/system")


def render_rules() -> list[str]:
    """The proxy's rules. Never `--talk`: it would pass every method."""
    rules = ["--filter", "--see=org.freedesktop.*"]
    for name, path in _READABLE:
        rules.append(f"--call={name}=org.freedesktop.DBus.Introspectable.Introspect")
        for pattern in (path, f"{path}/*"):
            rules += [
                f"--call={name}=org.freedesktop.DBus.Properties.{method}@{pattern}" for method in ("Get", "GetAll")
            ]
    manager, login = "org.freedesktop.systemd1", "org.freedesktop.login1"
    rules += [f"--call={manager}={manager}.Manager.{method}@/org/freedesktop/systemd1" for method in _MANAGER]
    rules += [f"--call={login}={login}.Manager.{method}@/org/freedesktop/login1" for method in _LOGIN]
    return rules


class BusProxy:
    """The proxy, started when first needed: in `folder`, or `managed` in a unit of its own."""

    def __init__(self, folder: str, *, managed: bool) -> None:
        self._folder = _MANAGED_FOLDER if managed else f"{folder}/bus"
        self._managed = managed
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._lifeline: socket.socket | None = None

    async def path(self) -> str:
        """Its socket; ProfileError where there is no bus or no proxy."""
        async with self._lock:
            if self._lifeline is None or _is_cut(self._lifeline):
                await self.close()
                await self._start()
            return f"{self._folder}/system"

    async def close(self) -> None:
        """End the proxy: it stops when its lifeline does."""
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None
        if self._process is not None:
            await self._process.wait()
            self._process.close()
            self._process = None

    async def _start(self) -> None:
        program = shutil.which("xdg-dbus-proxy", path="/usr/bin:/bin")
        if not os.path.exists(_BUS):
            raise ProfileError(f"the system bus does not run: there is no {_BUS}")
        if program is None:
            raise ProfileError("xdg-dbus-proxy is missing, so the system bus cannot be shown safely; install it")
        argv = [program, "--fd=0", f"unix:path={_BUS}", f"{self._folder}/system", *render_rules()]
        self._lifeline, theirs = socket.socketpair()
        try:
            if self._managed:
                await self._start_unit(argv, theirs.fileno())
            else:
                self._start_child(argv, theirs.fileno())
        except (OSError, ManagerError) as exc:
            raise ProfileError(f"the proxy of the system bus cannot be started: {exc}") from exc
        finally:
            theirs.close()
        try:
            async with asyncio.timeout(_READY_DEADLINE_S):
                await wait_readable(self._lifeline)
        except TimeoutError as exc:
            await self.close()
            raise ProfileError("the proxy of the system bus did not start") from exc
        if self._lifeline.recv(1) != b"x":
            await self.close()
            raise ProfileError("the proxy of the system bus could not start")

    def _start_child(self, argv: list[str], lifeline: int) -> None:
        """As a child, which becomes the user without rights where we are root."""
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        os.chmod(self._folder, 0o755)  # noqa: S103 - for every sandbox to look into
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._folder}/system")
        drop: list[str] = []
        if os.geteuid() == 0:
            os.chown(self._folder, _NOBODY, _NOBODY)
            ids = f"--reuid={_NOBODY}", f"--regid={_NOBODY}"
            drop = ["/usr/bin/setpriv", *ids, "--clear-groups", "--no-new-privs", "--"]
        before = os.umask(0)  # the socket's mode: everybody's sandbox may connect, the rules are the limit
        try:
            self._process = Process([*drop, *argv], fds={0: lifeline})
        finally:
            os.umask(before)

    async def _start_unit(self, argv: list[str], lifeline: int) -> None:
        """In a unit, which is the user without rights and has its folder."""
        await start_transient_unit(
            f"aios-bus-proxy-{secrets.token_hex(3)}.service",
            (
                ("Description", text("The system bus, to be read only, for aios-guard")),
                ("CollectMode", text("inactive-or-failed")),
                ("User", text(_MANAGED_USER)),
                ("RuntimeDirectory", texts((os.path.basename(_MANAGED_FOLDER),))),
                ("UMask", number32(0)),
                ("CapabilityBoundingSet", number(0)),
                ("NoNewPrivileges", flag(True)),
                ("ProtectSystem", text("strict")),
                ("ProtectHome", text("yes")),
                ("PrivateTmp", flag(True)),
                ("PrivateDevices", flag(True)),
                ("PrivateNetwork", flag(True)),
                ("MemoryDenyWriteExecute", flag(True)),
                ("StandardInputFileDescriptor", descriptor(lifeline)),
                ("ExecStartEx", command(argv)),
            ),
        )


def _is_cut(lifeline: socket.socket) -> bool:
    """Whether the proxy at its other end is gone."""
    try:
        return lifeline.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
