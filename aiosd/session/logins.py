"""Logins as the login hook tells of them: what waits for the person, and when they were last told.

What is told is a hint and no more: anybody may say that they logged in, and learns and changes only what is their own.
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiosd.errors import StorageError
from aiosd.memory.transcripts import Transcripts, render_time

_LONGEST = timedelta(days=1)  # where nobody is sure that it was seen, it is told again so long
_NAMED = 3


class Logins:
    """When each user was last told: the modification time of a file of theirs in `folder`."""

    def __init__(self, folder: Path, transcripts: Transcripts) -> None:
        self._folder = folder
        self._transcripts = transcripts

    async def failures(self, uid: int) -> tuple[str, int, tuple[str, ...]]:
        """Since when; how many turns were cut short since; names of their newest sessions."""
        since = render_time(await asyncio.to_thread(self._last, uid))
        failed, sessions = 0, tuple[str, ...]()
        if uid in await asyncio.to_thread(self._transcripts.users):  # looking makes no file for who never asked
            failed, sessions = await self._transcripts.failures(uid, since=since, limit=_NAMED)
        return since, failed, sessions

    async def note_told(self, uid: int) -> None:
        """From now on, `failures` are those from now on."""

        def work() -> None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._folder / str(uid)
            path.touch(mode=0o600)
            os.utime(path)

        try:
            await asyncio.to_thread(work)
        except OSError as exc:
            raise StorageError(f"the login cannot be noted: {exc.strerror}", hint="is the disk full?") from exc

    def _last(self, uid: int) -> datetime:
        longest = datetime.now(UTC) - _LONGEST
        try:
            return max(longest, datetime.fromtimestamp((self._folder / str(uid)).stat().st_mtime, UTC))
        except OSError:
            return longest
