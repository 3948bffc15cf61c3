"""Logins as the login hook tells of them: what waits for the person, and when they were last told.

What is told is a hint and no more: anybody may say that they logged in, and learns and changes only what is their own.
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiosd.errors import StorageError
from aiosd.memory.transcripts import Transcripts, render_time

_FIRST = timedelta(days=1)  # who was never told is told of the last day
_NAMED = 3


class Logins:
    """When each user was last told: the modification time of a file of theirs in `folder`."""

    def __init__(self, folder: Path, transcripts: Transcripts) -> None:
        self._folder = folder
        self._transcripts = transcripts

    async def failures(self, uid: int, *, told: bool) -> tuple[str, int, tuple[str, ...]]:
        """Since when; how many turns failed since; names of their newest sessions. `told`: from now on, since now."""
        now = datetime.now(UTC)
        since = render_time(await asyncio.to_thread(self._last, uid, now, told=told))
        failed, sessions = 0, tuple[str, ...]()
        if uid in await asyncio.to_thread(self._transcripts.users):  # looking makes no file for who never asked
            failed, sessions = await self._transcripts.failures(uid, since=since, limit=_NAMED)
        return since, failed, sessions

    def _last(self, uid: int, now: datetime, *, told: bool) -> datetime:
        path = self._folder / str(uid)
        try:
            try:
                last = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except FileNotFoundError:
                last = now - _FIRST
            if told:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.touch(mode=0o600)
                os.utime(path, (now.timestamp(), now.timestamp()))
        except OSError as exc:
            raise StorageError(f"the login cannot be noted: {exc.strerror}", hint="is the disk full?") from exc
        return last
