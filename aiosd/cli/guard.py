"""The guard's socket, for approvals and the record: answered to the guard itself, not by way of the daemon.

The guard must be root's, or for a standalone one this user's own; anybody else's is not believed.
"""

from __future__ import annotations

import json
import os
import socket
import struct

from aiosd import exits
from aiosd.cli.reach import START_HINT, NoDaemonError, environment, socket_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_INTERFACE = "io.aios.Guard"


# What the guard's errors end a command line with; any other is a bug.
EXIT_STATUSES = {
    "NoSession": exits.BAD_INPUT,
    "NotPending": exits.BAD_INPUT,
    "DigestDiffers": exits.RETRY_LATER,
    "NotIdentified": exits.DENIED,
    "NotEntitled": exits.DENIED,
    "CannotRecord": exits.BROKEN,
    "NotReady": exits.BROKEN,
    "InvalidParameter": exits.BAD_INPUT,
    "Internal": exits.INTERNAL,
}


class GuardError(Exception):
    """The guard refuses: its reason, and the exit status that it deserves."""

    def __init__(self, reason: str, exit_status: int) -> None:
        super().__init__(reason)
        self.exit_status = exit_status


class HungGuardError(NoDaemonError):
    """The guard is there and does not answer in time; `uid` is whose it is."""

    def __init__(self, uid: int) -> None:
        super().__init__("the guard does not answer")
        self.uid = uid


def call(method: str, parameters: dict[str, Any], *, patience_s: float | None = None) -> dict[str, Any]:
    """One call; its answer. Raises GuardError for what it refuses, NoDaemonError where no guard answers (in time)."""
    return next(follow(method, parameters, more=False, patience_s=patience_s))


def follow(
    method: str, parameters: dict[str, Any], *, more: bool = True, patience_s: float | None = None
) -> Iterator[dict[str, Any]]:
    """A streaming call: its replies as they come. Leaving early, or the end of this process, interrupts what runs."""
    with _connect() as connection:
        connection.settimeout(patience_s)
        try:
            message: dict[str, Any] = {"method": f"{_INTERFACE}.{method}", "parameters": parameters}
            if more:
                message["more"] = True
            connection.sendall(json.dumps(message).encode() + b"\0")
            data = b""
            while True:
                while b"\0" not in data:
                    piece = connection.recv(65536)
                    if not piece:
                        raise NoDaemonError("the guard ended before it answered")
                    data += piece
                reply, _, data = data.partition(b"\0")
                message = json.loads(reply)
                if message.get("error"):
                    raise _make_error(message)
                yield dict(message.get("parameters") or {})
                if not message.get("continues"):
                    return
        except TimeoutError as exc:
            raise HungGuardError(_find_owner(connection)) from exc
        except OSError as exc:
            raise NoDaemonError(f"the guard ended before it answered ({exc.strerror})") from exc


def _find_owner(connection: socket.socket) -> int:
    """Whose the socket is. Source: unix(7), SO_PEERCRED."""
    _pid, uid, _gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _make_error(message: dict[str, Any]) -> GuardError:
    given, name = message.get("parameters") or {}, str(message["error"]).rpartition(".")[2]
    reason = given.get("reason") or " ".join([name, *map(str, given.values())])
    return GuardError(reason, EXIT_STATUSES.get(name, exits.INTERNAL))


def _connect() -> socket.socket:
    """A connection to the guard, which is beside a daemon's socket, whether or not that daemon runs."""
    wanted = environment("AIOS_GUARD_SOCKET")
    paths = [wanted] if wanted else [os.path.join(os.path.dirname(path), "guard.sock") for path in socket_paths()]
    reason = ""
    for path in paths:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            uid = _find_owner(connection)
        except OSError as exc:
            connection.close()
            reason = reason or f"no guard answers at {path} ({exc.strerror or exc})"
        else:
            if uid in (0, os.geteuid()):
                return connection
            connection.close()
            reason = f"{path} is served by uid {uid}, which is not to be believed; it must be root or you"
    raise NoDaemonError(f"{reason}\n  {START_HINT}")
