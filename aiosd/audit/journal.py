"""The journal's native protocol: one datagram of length-framed fields, so that no value can make a field.

Standard library only. Where there is no journal this is silent: the guard's own log is the record, the journal where
administrators read it.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL
"""

import contextlib
import json
import os
import socket

from aiosd.audit.records import Kind
from aiosd.types import JsonObject

_SOCKET = "/run/systemd/journal/socket"
_PRIORITY = {"denied": 4, "unanswered": 4, "refused": 4, "lost": 3}  # syslog(3): warning, error; else notice
_MESSAGES = {
    Kind.STARTED: "The guard started",
    Kind.STOPPED: "The guard stopped",
    Kind.DECIDED: "An action was decided",
    Kind.DONE: "An action ended",
    Kind.CONNECTED: "A command used the network",
    Kind.PACKAGES: "Packages changed",
    Kind.ORDERED: "A person gave an order",
    Kind.LAPSED: "A lease ended",
}


class JournalSink:
    """Sends records to journald. Losing one is counted and does not stop anything: `missed`."""

    def __init__(self, path: str = _SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.missed = 0

    def send(self, kind: Kind, record: JsonObject) -> None:
        """Send one record as it stands in the log."""
        if not os.path.exists(self._path):
            return
        try:
            self._socket.sendto(render_entry(kind, record), self._path)
        except OSError:
            self.missed += 1

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()


def render_entry(kind: Kind, record: JsonObject) -> bytes:
    """The datagram: MESSAGE is ours alone; every value of the record is a field of its own, its length before it."""
    outcome = str(record.get("decision", record.get("outcome", "")))
    entry = {
        "MESSAGE": _MESSAGES[kind] + (f": {outcome} ({_name_user(record)}, {record['tier']})" if outcome else ""),
        "MESSAGE_ID": kind.message_id,
        "PRIORITY": str(_PRIORITY.get(outcome, 5)),
        "SYSLOG_IDENTIFIER": "aios",
    }
    for name, value in record.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        entry[f"AIOS_{name.upper()}"] = text
    out = b""
    for name, text in entry.items():
        data = _encode(text)
        out += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return out


def _encode(text: str) -> bytes:
    """Bytes as they came; half of a surrogate pair, which no bytes were, as three of its own."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _name_user(record: JsonObject) -> str:
    name = str(record["user"])
    return name if name.isprintable() and " " not in name else str(record["uid"])
