"""The sessions the guard knows: an id, the person whom the kernel named for it, and whose rights its sandboxes have.

A session belongs to the uid that opened it first; nobody else can use or reopen it while this guard lives. Nothing is
taken from a stored one: who asks is read from a socket each time.
"""

import re
import secrets
from dataclasses import dataclass, field

from aiosd.guard.session_files import SessionFiles
from aiosd.sandbox.link import Identity
from aiosd.types import Principal, SessionId

_ID = re.compile(r"[a-z0-9]{8,40}")
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
    """Every open session, oldest first."""

    def __init__(self) -> None:
        self._open: dict[SessionId, GuardSession] = {}

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
        return session

    def get(self, session_id: str) -> GuardSession:
        """An open session; SessionError if there is none."""
        session = self._open.get(SessionId(session_id))
        if session is None:
            raise SessionError(f"there is no open session {session_id}")
        return session

    def close(self, session_id: str) -> None:
        """Forget a session."""
        self._open.pop(SessionId(session_id), None)

    @property
    def held_bytes(self) -> int:
        """How much the files of all sessions take."""
        return sum(len(each.files.uploads) + len(each.files.outputs) for each in self._open.values())

    def __len__(self) -> int:
        return len(self._open)
