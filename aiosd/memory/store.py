"""The databases: one SQLite file per user, opened, migrated and used by one thread, which alone writes them.

What is done in there is for `transcripts` and its siblings to say; what comes while the thread is busy is done
together, in one transaction of each user's. Where the disk takes nothing, a user's database goes on as a copy in memory
(`trouble` says why), and is put back as a whole when the disk takes it. Any other error of the disk or of SQLite
reaches the caller as StorageError, and what was stored before stays.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

from aiosd.errors import StorageError
from aiosd.memory.migrate import migrate, refuse_newer

_T = TypeVar("_T")
_OPEN_FILES = 32
_MOST_COPIED = 64 * 1024 * 1024
_AGAIN_S = 1.0
_NO_DISK = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)
_LOG = logging.getLogger(__name__)


class _Job(Generic[_T]):
    """Work with the database of `uid`, done anew where nothing of it was kept; `future` is whoever waits for it."""

    def __init__(self, uid: int, work: Callable[[sqlite3.Connection], _T]) -> None:
        self.uid = uid
        self.future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._work = work
        self._results: list[_T] = []
        self._error: BaseException | None = None

    def do(self, database: sqlite3.Connection) -> None:
        """Do it."""
        self._results = [self._work(database)]

    def fail(self, error: BaseException) -> None:
        """It cannot be done."""
        self._error = error

    def settle(self) -> None:
        """Say what came of it; in the loop's thread."""
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._results[0])
        else:
            self.future.set_exception(self._error)


class Store:
    """Every user's database below one folder (0700, the daemon's)."""

    def __init__(self, folder: Path, *, on_open: Callable[[sqlite3.Connection], None]) -> None:
        self._folder = folder
        self._on_open = on_open
        self._seen: set[int] = set()
        self._open: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._memory: dict[int, sqlite3.Connection] = {}
        self._why: dict[int, str] = {}
        self._tried_at = 0.0
        self._waiting: list[_Job[Any]] = []
        self._busy = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def run(self, uid: int, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """`work` with the database of `uid`, all of it or nothing, in the store's thread; what it did is stored then.

        Cancelling does not tear it: CancelledError comes when the work is done, StorageError if it failed.
        """
        job = self._add(_Job(uid, work))
        try:
            return await asyncio.shield(job.future)
        except asyncio.CancelledError:
            await asyncio.wait({job.future})
            job.future.result()
            raise

    def put(self, uid: int, work: Callable[[sqlite3.Connection], None]) -> None:
        """As `run`, when nobody waits for it: stored before all that is wanted later; a failure is logged."""
        self._add(_Job(uid, work)).future.add_done_callback(_tell_failure)

    def _add(self, job: _Job[_T]) -> _Job[_T]:
        if not self._waiting:  # a moment later, so that what is wanted in the same breath goes along
            asyncio.get_running_loop().call_soon(self._begin)
        self._waiting.append(job)
        return job

    def _begin(self) -> None:
        """Have the thread do what waits, unless it is busy."""
        if self._waiting and not self._busy:
            batch, self._waiting, self._busy = self._waiting, [], True
            self._thread.submit(self._do_all, asyncio.get_running_loop(), batch)

    def _do_all(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Job[Any]]) -> None:
        for uid in dict.fromkeys(job.uid for job in batch):
            self._do_together(uid, [job for job in batch if job.uid == uid])
        loop.call_soon_threadsafe(self._settle, batch)

    def _settle(self, batch: Sequence[_Job[Any]]) -> None:
        self._busy = False
        for job in batch:
            job.settle()
        self._begin()

    def _do_together(self, uid: int, jobs: Sequence[_Job[Any]]) -> None:
        """All in one transaction; where one fails or the disk does, each in its own, so that it fails alone."""
        if len(jobs) > 1:
            with contextlib.suppress(Exception):
                _transact(self._connect(uid), lambda database: _do_each(jobs, database))
                return
        for job in jobs:
            try:
                self._do(uid, job)
            except BaseException as exc:  # noqa: BLE001 - whoever waits for it gets it
                job.fail(exc)

    def _do(self, uid: int, job: _Job[Any]) -> None:
        """One of them. StorageError."""
        try:
            try:
                _transact(self._connect(uid), job.do)
            except sqlite3.Error as exc:
                if uid in self._memory or (getattr(exc, "sqlite_errorcode", 0) & 0xFF) not in _NO_DISK:
                    raise
                self._go_on_in_memory(uid, exc)
                _transact(self._memory[uid], job.do)
        except (sqlite3.Error, OSError, ValueError) as exc:  # a value: text or JSON that is damaged
            raise StorageError(
                f"the transcripts cannot be stored: {exc}", hint="is the disk full, or the file damaged?"
            ) from exc

    def trouble(self, uid: int) -> str:
        """Why the newest of `uid` is in memory alone; "" where it is on the disk."""
        return self._why.get(uid, "")

    def users(self) -> list[int]:
        """The uids that have a database."""
        return sorted(int(path.stem) for path in self._folder.glob("*.db") if path.stem.isdigit())

    def close(self) -> None:
        """Close every database."""

        def call() -> None:
            for job in self._waiting:
                self._do_together(job.uid, [job])
            for uid in list(self._memory):
                if not self._put_back(uid):
                    _LOG.error("what uid %d said since the disk took nothing is lost: %s", uid, self._why[uid])
                    self._memory.pop(uid).close()
            while self._open:
                self._open.popitem()[1].close()

        self._thread.submit(call).result()
        self._thread.shutdown()

    def _connect(self, uid: int) -> sqlite3.Connection:
        if uid in self._memory and not (self._may_try() and self._put_back(uid)):
            return self._memory[uid]
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

    def _go_on_in_memory(self, uid: int, why: sqlite3.Error) -> None:
        """Copy what is there into memory. sqlite3.Error where it is too much, or cannot be read."""
        path = self._folder / f"{uid}.db"
        memory = sqlite3.connect(":memory:", isolation_level=None, cached_statements=64)
        try:
            if path.exists():
                if path.stat().st_size > _MOST_COPIED:
                    raise why
                _copy(self._open.pop(uid, None), path, memory)
            migrate(memory)
            if uid not in self._seen:
                self._on_open(memory)
                self._seen.add(uid)
        except BaseException:
            memory.close()
            raise
        self._memory[uid], self._why[uid] = memory, str(why)
        self._tried_at = time.monotonic()

    def _may_try(self) -> bool:
        return time.monotonic() - self._tried_at >= _AGAIN_S

    def _put_back(self, uid: int) -> bool:
        """Make the database on the disk what the one in memory is, whole or not at all; whether it is."""
        self._tried_at = time.monotonic()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.closing(sqlite3.connect(self._folder / f"{uid}.db", isolation_level=None)) as database:
                database.execute("PRAGMA synchronous=FULL")
                self._memory[uid].backup(database)
        except (sqlite3.Error, OSError) as exc:
            self._why[uid] = str(exc)
            return False
        self._memory.pop(uid).close()
        del self._why[uid]
        return True


def _do_each(jobs: Sequence[_Job[Any]], database: sqlite3.Connection) -> None:
    for job in jobs:
        job.do(database)


def _tell_failure(future: asyncio.Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()):
        _LOG.error("%s", error)


def _transact(database: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
    database.execute("BEGIN IMMEDIATE")
    try:
        result = work(database)
        database.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    return result


def _copy(opened: sqlite3.Connection | None, path: Path, memory: sqlite3.Connection) -> None:
    """Everything into `memory`. On a disk that takes no writing only a file that nobody writes can be read."""
    if opened is not None:
        with contextlib.closing(opened):
            opened.backup(memory)
        return
    for how in ("mode=ro", "immutable=1"):
        try:
            with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as database:
                database.backup(memory)
        except sqlite3.OperationalError:
            if how == "immutable=1":
                raise
        else:
            return
