"""The guard's socket, for approvals and the record: answered to the guard itself, not by way of the daemon.

The guard must be root's, or for a standalone one this user's own; anybody else's is not believed.
"""

from __future__ import annotations

import json
import os
import socket
import struct

from aiosd.cli.transport import NoDaemonError, connect, environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INTERFACE = "io.aios.Guard"


class GuardError(Exception):
    """The guard refuses; its reason."""


def call(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """One call; its answer. Raises GuardError for what it refuses, NoDaemonError where no guard answers."""
    path = _find_path()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
        except OSError as exc:
            raise NoDaemonError(f"no guard answers at {path} ({exc.strerror})") from exc
        _pid, uid, _gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (0, os.geteuid()):
            raise NoDaemonError(f"{path} is served by uid {uid}, which is not to be believed; it must be root or you")
        connection.sendall(json.dumps({"method": f"{_INTERFACE}.{method}", "parameters": parameters}).encode() + b"\0")
        data = b""
        while not data.endswith(b"\0"):
            piece = connection.recv(65536)
            if not piece:
                raise NoDaemonError("the guard ended before it answered")
            data += piece
    message = json.loads(data[:-1])
    if message.get("error"):
        reason = (message.get("parameters") or {}).get("reason") or message["error"]
        raise GuardError(str(reason))
    return dict(message.get("parameters") or {})


def _find_path() -> str:
    """$AIOS_GUARD_SOCKET, else the socket beside the daemon's."""
    wanted = environment("AIOS_GUARD_SOCKET")
    if wanted:
        return wanted
    connection, path = connect()
    connection.close()
    return os.path.join(os.path.dirname(path), "guard.sock")
