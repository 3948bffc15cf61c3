"""The databases: one SQLite file per user, opened, migrated and used by one thread, which alone writes them.

What is done in there is for `transcripts` and its siblings to say. An error of the disk or of SQLite reaches the caller
as StorageError, and what was stored before stays.
"""

import asyncio
import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aiosd.errors import StorageError
from aiosd.memory.migrate import migrate, refuse_newer

_T = TypeVar("_T")
_OPEN_FILES = 32


class Store:
    """Every user's database below one folder (0700, the daemon's)."""

    def __init__(self, folder: Path, *, on_open: Callable[[sqlite3.Connection], None]) -> None:
        self._folder = folder
        self._on_open = on_open
        self._seen: set[int] = set()
        self._open: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def run(self, uid: int, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` with the database of `uid`, in one transaction, in the store's thread.

        Cancelling does not tear it: CancelledError comes when the work is done, StorageError if it failed.
        """

        def call() -> _T:
            try:
                database = self._connect(uid)
                database.execute("BEGIN IMMEDIATE")
                try:
                    result = work(database)
                    database.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        database.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError, ValueError) as exc:  # a value: text or JSON that is damaged
                raise StorageError(
                    f"the transcripts cannot be stored: {exc}", hint="is the disk full, or the file damaged?"
                ) from exc
            return result

        future = asyncio.get_running_loop().run_in_executor(self._thread, call)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            future.result()
            raise

    def users(self) -> list[int]:
        """The uids that have a database."""
        return sorted(int(path.stem) for path in self._folder.glob("*.db") if path.stem.isdigit())

    def close(self) -> None:
        """Close every database."""

        def call() -> None:
            while self._open:
                self._open.popitem()[1].close()

        self._thread.submit(call).result()
        self._thread.shutdown()

    def _connect(self, uid: int) -> sqlite3.Connection:
        database = self._open.get(uid)
        if database is not None:
            self._open.move_to_end(uid)
            return database
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{uid}.db"
        refuse_newer(path)
        database = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("PRAGMA foreign_keys=ON")
            database.execute("PRAGMA busy_timeout=5000")
            migrate(database)
            if uid not in self._seen:
                self._on_open(database)
                self._seen.add(uid)
        except BaseException:
            database.close()
            raise
        self._open[uid] = database
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        return database
