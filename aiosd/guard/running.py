"""What runs now, and by whose session: so that it can be stopped in its tracks, let go on, or ended.

A stop is kept on the disk: whoever is stopped stays so until somebody entitled lets them go on, also in the next guard.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiosd.guard.sessions import GuardSession

EVERYBODY = -1
MARK = "stop-everything"  # beside the stored stops: root's order while no guard answered (`mark`)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose actions are meant: one session's, all of a uid's, or everybody's."""

    uid: int = EVERYBODY
    session: str = ""

    def holds(self, uid: int, session: str) -> bool:
        """Whether that session of that uid is meant."""
        return self.uid in (EVERYBODY, uid) and self.session in ("", session)

    def within(self, other: "Scope") -> bool:
        """Whether everything that is meant here is meant there."""
        return other.uid in (EVERYBODY, self.uid) and other.session in ("", self.session)


class Running:
    """The actions under way, and who is stopped. `path` keeps the latter."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = path.with_name(MARK)
        self._held: dict[object, tuple[GuardSession, Callable[[bool], None]]] = {}
        self._acting: dict[asyncio.Task[object], GuardSession] = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._stopped = _load(path)

    def why_stopped(self, session: GuardSession) -> str:
        """Why nothing of this session may run now; "" where it may."""
        if any(scope.holds(session.principal.uid, session.id) for scope in self._stopped) or self._mark.exists():
            return "stopped by a person; aios thaw lets it go on"
        return ""

    @contextmanager
    def holding(self, session: GuardSession, freeze: Callable[[bool], None]) -> Iterator[None]:
        """While something of `session` runs, which `freeze` stops (true) and lets go on (false)."""
        key = object()
        self._held[key] = (session, freeze)
        try:
            yield
        finally:
            del self._held[key]

    @contextmanager
    def acting(self, session: GuardSession) -> Iterator[None]:
        """While the current task does an action of `session`: what `end` cancels."""
        task = asyncio.current_task()
        assert task is not None
        self._acting[task] = session
        try:
            yield
        finally:
            del self._acting[task]
            self._ended.discard(task)

    def was_ended(self) -> bool:
        """Whether the current task was cancelled by `end`, and goes on to say so."""
        task = asyncio.current_task()
        if task not in self._ended:
            return False
        task.uncancel()
        return True

    def stop(self, scope: Scope) -> int:
        """Stop what runs of `scope` in its tracks, and let nothing of it begin; how many actions run.

        Where the disk does not take it, it holds as long as this guard lives.
        """
        self._stopped = {*(each for each in self._stopped if not each.within(scope)), scope}
        try:
            _store(self._path, self._stopped)
        except OSError as exc:
            _LOG.error("the order to stop cannot be stored, and holds until this guard ends: %s", exc)
        return self._freeze(scope, on=True)

    def thaw(self, scope: Scope) -> int:
        """Let `scope` go on; how many actions do. OSError."""
        self._stopped = {each for each in self._stopped if not each.within(scope)}
        _store(self._path, self._stopped)
        return self._freeze(scope, on=False)

    def end(self, scope: Scope) -> int:
        """End what runs of `scope`; how many actions that were."""
        chosen = [task for task, session in self._acting.items() if scope.holds(session.principal.uid, session.id)]
        for task in chosen:
            self._ended.add(task)
            task.cancel()
        return len(chosen)

    def _freeze(self, scope: Scope, *, on: bool) -> int:
        chosen = [each for each in self._held.values() if scope.holds(each[0].principal.uid, each[0].id)]
        for session, freeze in chosen:
            if on or not self.why_stopped(session):
                freeze(on)
        return len(chosen)


def _load(path: Path) -> set[Scope]:
    try:
        return {Scope(uid=int(uid), session=str(session)) for uid, session in json.loads(path.read_text("utf-8"))}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, TypeError):
        return {Scope()}  # somebody was stopped, and it cannot be read who: all are


def _store(path: Path, scopes: set[Scope]) -> None:
    if not scopes:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(sorted((scope.uid, scope.session) for scope in scopes), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
