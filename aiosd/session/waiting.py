"""Which turns wait for an answer, kept on disk: a daemon that comes after one that died goes on with them.

One file a turn, named by uid and session, with the id of the call that waits. Nothing is trusted to be there: the guard
says which cards have outlived their daemon.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from aiosd.types import CallId, SessionId

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingTurn:
    """The turn now running in `session` of `uid`, at its call `call`."""

    uid: int
    session: SessionId
    call: CallId


class Waiting:
    """The files below one folder, the daemon's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, turn: WaitingTurn) -> None:
        """From now on `turn` waits. Where that cannot be kept, it is interrupted if the daemon dies."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path(turn.uid, turn.session).write_text(turn.call, encoding="utf-8")
        except OSError as exc:
            _LOG.warning("a turn that waits for an answer would not survive this daemon: %s", exc.strerror)

    def remove(self, uid: int, session: SessionId) -> None:
        """The turn waits no more."""
        try:
            self._path(uid, session).unlink(missing_ok=True)
        except OSError as exc:
            _LOG.warning("a turn that waits no more is still noted: %s", exc.strerror)

    def read(self) -> list[WaitingTurn]:
        """What waited when the last daemon ended."""
        found: list[WaitingTurn] = []
        for path in sorted(self._folder.glob("*-*")):
            uid, _, session = path.name.partition("-")
            if uid.isdigit():
                call = path.read_text(encoding="utf-8", errors="replace")
                found.append(WaitingTurn(uid=int(uid), session=SessionId(session), call=CallId(call)))
        return found

    def _path(self, uid: int, session: SessionId) -> Path:
        return self._folder / f"{uid}-{session}"
