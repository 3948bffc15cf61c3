"""The filtering proxy of the system bus: reading properties, listing and introspection pass, nothing else.

One xdg-dbus-proxy for the machine, under a uid that may do nothing, so that a hole in the filter has no rights behind
it. Started at the first question that needs the bus; ends with the guard.

Source: xdg-dbus-proxy(1), org.freedesktop.systemd1(5), org.freedesktop.login1(5).
"""

import asyncio
import contextlib
import os
import shutil
import socket

from aiosd.guard.varlink import wait_readable
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
        argv = [*self._prefix(), program, "--fd=0", f"unix:path={_BUS}", f"{self._folder}/system", *render_rules()]
        self._lifeline, theirs = socket.socketpair()
        before = os.umask(0)  # the socket's mode: everybody's sandbox may connect, the rules are the limit
        try:
            self._process = Process(argv, fds={0: theirs.fileno()})
        except OSError as exc:
            raise ProfileError(f"the proxy of the system bus cannot be started: {exc.strerror}") from exc
        finally:
            os.umask(before)
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

    def _prefix(self) -> list[str]:
        """What becomes the user without rights. Its folder is made, and an old socket taken out of it."""
        if self._managed:
            return [
                "/usr/bin/systemd-run", "--quiet", "--pipe", "--collect", "--no-ask-password",
                "--unit=aios-bus-proxy", "--description=The system bus, read-only, for aios-guard",
                f"--property=User={_MANAGED_USER}", f"--property=RuntimeDirectory={os.path.basename(_MANAGED_FOLDER)}",
                "--property=UMask=0000", "--property=CapabilityBoundingSet=", "--property=NoNewPrivileges=yes",
                "--property=ProtectSystem=strict", "--property=ProtectHome=yes", "--property=PrivateTmp=yes",
                "--property=PrivateDevices=yes", "--property=PrivateNetwork=yes", "--property=RestrictNamespaces=yes",
                "--property=RestrictAddressFamilies=AF_UNIX", "--property=MemoryDenyWriteExecute=yes",
                "--property=SystemCallFilter=@system-service", "--",
            ]  # fmt: skip
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        os.chmod(self._folder, 0o755)  # noqa: S103 - for every sandbox to look into
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._folder}/system")
        if os.geteuid() != 0:
            return []
        os.chown(self._folder, _NOBODY, _NOBODY)
        ids = f"--reuid={_NOBODY}", f"--regid={_NOBODY}"
        return ["/usr/bin/setpriv", *ids, "--clear-groups", "--no-new-privs", "--"]


def _is_cut(lifeline: socket.socket) -> bool:
    """Whether the proxy at its other end is gone."""
    try:
        return lifeline.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
