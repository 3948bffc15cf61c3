"""The filtering proxy of the system bus: reading properties, listing and introspection pass, nothing else.

One xdg-dbus-proxy for the machine, under a uid that may do nothing, so that a hole in the filter has no rights behind
it. Started at the first question that needs the bus; ends with the guard.

Source: xdg-dbus-proxy(1), org.freedesktop.systemd1(5), org.freedesktop.login1(5).
"""

import asyncio
import contextlib
import os
import shutil
import signal

from aiosd.guard.varlink import wait_readable
from aiosd.sandbox.profile import ProfileError

_BUS = "/run/dbus/system_bus_socket"
_READY_DEADLINE_S = 5.0
_NOBODY = 65534

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
    """The proxy, started when first needed. `folder` is the guard's run-time folder."""

    def __init__(self, folder: str) -> None:
        self._folder = f"{folder}/bus"
        self._lock = asyncio.Lock()
        self._pid = self._pidfd = self._lifeline = -1

    async def path(self) -> str:
        """Its socket; ProfileError where there is no bus or no proxy."""
        async with self._lock:
            if self._pidfd < 0 or await self._has_ended():
                await self._start()
            return f"{self._folder}/system"

    async def close(self) -> None:
        """End the proxy."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
        os.close(self._lifeline)
        with contextlib.suppress(ChildProcessError):
            await asyncio.to_thread(os.waitpid, self._pid, 0)
        os.close(self._pidfd)
        self._pidfd = -1

    async def _has_ended(self) -> bool:
        ended, _status = os.waitpid(self._pid, os.WNOHANG)
        if ended:
            os.close(self._lifeline)
            os.close(self._pidfd)
            self._pidfd = -1
        return bool(ended)

    async def _start(self) -> None:
        program = shutil.which("xdg-dbus-proxy", path="/usr/bin:/bin")
        if not os.path.exists(_BUS):
            raise ProfileError(f"the system bus does not run: there is no {_BUS}")
        if program is None:
            raise ProfileError("xdg-dbus-proxy is missing, so the system bus cannot be shown safely; install it")
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        socket_path = f"{self._folder}/system"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket_path)
        ready, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        drop: list[str] = []
        if os.geteuid() == 0:
            os.chown(self._folder, _NOBODY, _NOBODY)
            drop = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs", "--"]
        argv = [*drop, program, "--fd=3", f"unix:path={_BUS}", socket_path, *render_rules()]
        before = os.umask(0)  # the socket's mode: everybody's sandbox may connect, the rules are the limit
        try:
            self._pid = os.posix_spawnp(
                argv[0], argv, {"PATH": "/usr/bin:/bin"}, file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 3)]
            )
        finally:
            os.umask(before)
            os.close(theirs)
        self._pidfd, self._lifeline = os.pidfd_open(self._pid), ready
        try:
            async with asyncio.timeout(_READY_DEADLINE_S):
                await wait_readable(ready)
        except TimeoutError as exc:
            await self.close()
            raise ProfileError("the proxy of the system bus did not start") from exc
        if os.read(ready, 1) != b"x":
            await self.close()
            raise ProfileError("the proxy of the system bus could not start")
