"""The sessions the guard knows: an id, the person whom the kernel named for it, and whose rights its sandboxes have.

A session belongs to the uid that opened it first; nobody else can use or reopen it until the guard has had nothing to
do for a while. The guard notes what it opened where it alone writes and no boot reads what another wrote, so the one
that comes after a guard that ended in the middle of its work knows them. Nothing else is believed: whoever opens a
session is read from a socket each time.
"""

import contextlib
import logging
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiosd.guard.session_files import SessionFiles
from aiosd.sandbox.link import Identity
from aiosd.types import Principal, SessionId

_LOG = logging.getLogger(__name__)
_ID = re.compile(r"[a-z0-9]{8,40}")
_NOTE = re.compile(r"([a-z0-9]{8,40}) (?:([0-9]{1,10}) ([0-9]{1,10})|closed)")
_MAX_SESSIONS = 10_000


class SessionError(Exception):
    """The session cannot be opened or is not the caller's (the two are told apart only in the message)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSession:
    """One open session, and what it keeps."""

    id: SessionId
    principal: Principal
    identity: Identity
    files: SessionFiles = field(default_factory=SessionFiles, compare=False)


class Sessions:
    """Every open session, oldest first; noted in the file `notes`."""

    def __init__(self, notes: Path) -> None:
        self._open: dict[SessionId, GuardSession] = {}
        self._notes = notes
        self._noted = 0

    async def take_up(self, load: Callable[[int, int], Awaitable[tuple[Principal, Identity] | None]]) -> None:
        """Open again what an earlier guard of this boot noted, each for the person that `load` finds by uid and gid."""
        people: dict[tuple[int, int], tuple[Principal, Identity] | None] = {}
        for session_id, whose in self._read_notes().items():
            if whose not in people:
                people[whose] = await load(*whose)
            person = people[whose]
            if person is not None:
                self._open[session_id] = GuardSession(id=session_id, principal=person[0], identity=person[1])
        self._write_notes()

    def forget(self) -> None:
        """Leave nothing to the next guard: nobody needs it."""
        self._notes.unlink(missing_ok=True)

    def _read_notes(self) -> dict[SessionId, tuple[int, int]]:
        found: dict[SessionId, tuple[int, int]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._notes.read_text(encoding="ascii", errors="replace").splitlines():
                noted = _NOTE.fullmatch(line)
                if noted is None:
                    continue  # the last one, which was being written when its guard died
                if noted[2] is None:
                    found.pop(SessionId(noted[1]), None)
                else:
                    found[SessionId(noted[1])] = int(noted[2]), int(noted[3])
        return found

    def _write_notes(self) -> None:
        """Note anew all that is open, and nothing else."""
        lines = [_note(each) for each in self._open.values()]
        self._noted = len(lines)
        self._append("".join(lines), anew=True)

    def _append(self, text: str, *, anew: bool = False) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if anew else os.O_APPEND)
        try:
            fd = os.open(self._notes, flags, 0o600)
            try:
                os.write(fd, text.encode("ascii"))
            finally:
                os.close(fd)
        except OSError as exc:
            _LOG.warning("were this guard killed, the next one would not know its sessions: %s", exc.strerror)

    def open(self, wanted: str, principal: Principal, identity: Identity) -> GuardSession:
        """Open session `wanted` (a new id for "") for `principal`; again if it is theirs already."""
        if wanted and not _ID.fullmatch(wanted):
            raise SessionError("a session id is 8 to 40 of a-z and 0-9")
        session_id = SessionId(wanted or secrets.token_hex(13))
        known = self._open.pop(session_id, None)
        if known is not None and known.principal.uid != principal.uid:
            self._open[session_id] = known
            raise SessionError(f"there is no session {session_id} of yours")
        if len(self._open) >= _MAX_SESSIONS:
            del self._open[next(iter(self._open))]
        files = known.files if known is not None else SessionFiles()
        session = GuardSession(id=session_id, principal=principal, identity=identity, files=files)
        self._open[session_id] = session
        if known is None:
            self._noted += 1
            if self._noted > 2 * _MAX_SESSIONS:
                self._write_notes()
            else:
                self._append(_note(session))
        return session

    def get(self, session_id: str) -> GuardSession:
        """An open session; SessionError if there is none."""
        session = self._open.get(SessionId(session_id))
        if session is None:
            raise SessionError(f"there is no open session {session_id}")
        return session

    def close(self, session_id: str) -> None:
        """Forget a session."""
        if self._open.pop(SessionId(session_id), None) is not None:
            self._noted += 1
            self._append(f"{session_id} closed\n")

    def is_open(self, session_id: SessionId) -> bool:
        """Whether there is that session."""
        return session_id in self._open

    @property
    def held_bytes(self) -> int:
        """How much the files of all sessions take."""
        return sum(len(each.files.uploads) + len(each.files.outputs) for each in self._open.values())

    def __len__(self) -> int:
        return len(self._open)


def _note(session: GuardSession) -> str:
    return f"{session.id} {session.principal.uid} {session.principal.gid}\n"
