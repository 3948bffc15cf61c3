"""A session's files during one turn: put to the guard before it begins, taken from it as commands change them."""

import contextlib
import logging
import os
from collections.abc import Callable

from aiosd.errors import AiosError
from aiosd.guard.client import GuardClient
from aiosd.memory.files import SessionFiles
from aiosd.sandbox.bundle import BundleError
from aiosd.sandbox.parts import put_in_memory
from aiosd.types import SessionId
from aiosd.wire import Event
from aiosd.wire_talk import Notice

_LOG = logging.getLogger(__name__)
_END_S = 5.0
_NAMED = 5


class Belongings:
    """The files of a session of `uid`, for one turn; `emit` tells the person of what was made."""

    def __init__(
        self, guard: GuardClient, files: SessionFiles, uid: int, session: SessionId, emit: Callable[[Event], None]
    ) -> None:
        self._guard = guard
        self._files = files
        self._uid = uid
        self._session = session
        self._emit = emit
        self._there = False

    async def begin(self) -> None:
        """Put there what is kept; a guard that does not take it is told of, and the turn goes on without."""
        uploads, outputs = await self._files.read(self._uid, self._session)
        if uploads or outputs:
            try:
                await self._put(uploads, outputs)
            except AiosError as exc:
                self._emit(Notice(text=f"the session's files are not there: {exc.message}", void=False))

    async def keep(self, outputs: bytes) -> None:
        """Keep what commands made; StorageError where that cannot be."""
        self._there = True
        try:
            made = await self._files.keep_outputs(self._uid, self._session, outputs)
        except BundleError as exc:  # of a sandbox, whose word nobody takes
            _LOG.warning("what session %s made is not kept: %s", self._session, exc)
            return
        if made:
            named = ", ".join(each.path for each in made[:_NAMED]) + (", …" if len(made) > _NAMED else "")
            self._emit(Notice(text=f"kept with the session: {named}", void=False))

    async def end(self) -> None:
        """Have the guard hold nothing of it any more: it is put there again when the session goes on."""
        if self._there:
            with contextlib.suppress(AiosError):
                await self._put(b"", b"", deadline_s=_END_S)

    async def _put(self, uploads: bytes, outputs: bytes, *, deadline_s: float = 30.0) -> None:
        self._there = True
        bundles = put_in_memory(uploads + outputs)
        try:
            await self._guard.call(
                "PutFiles",
                {"session": self._session, "uploads": len(uploads)},
                files_fd=bundles,
                deadline_s=deadline_s,
            )
        finally:
            os.close(bundles)
