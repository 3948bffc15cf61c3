"""What sessions keep for their sandboxes: the person's `uploads` and what commands made in `outputs`, as bundles."""

import sqlite3
from collections.abc import Sequence

from aiosd.errors import NotFoundError, StorageError, TooLargeError
from aiosd.memory.store import Store
from aiosd.sandbox.bundle import OUTPUTS, UPLOADS, BundleError, parse_bundle, render_bundle
from aiosd.types import SessionId
from aiosd.wire import FileInfo

_MAX_NAME = 200  # bytes
_MODE = 0o644


class SessionFiles:
    """The files of every user's sessions, in the databases of `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, uid: int, session: SessionId) -> tuple[bytes, bytes]:
        """The two bundles, uploads first."""
        return await self._store.run(uid, lambda database: _read(database, session))

    async def add(
        self, uid: int, session: SessionId, given: Sequence[tuple[str, bytes]], *, most: int
    ) -> tuple[FileInfo, ...]:
        """Put files into `uploads`, each by a name that is free there; where they are. TooLargeError."""

        def work(database: sqlite3.Connection) -> tuple[FileInfo, ...]:
            uploads, outputs = _read(database, session)
            files = parse_bundle(uploads)
            taken = {path for path, _mode, _content in files}
            added = []
            for name, content in given:
                path = _choose(name, taken)
                taken.add(path)
                files.append((path, _MODE, content))
                added.append(FileInfo(path=path, bytes=len(content)))
            if sum(len(content) for _path, _mode, content in files) > most:
                raise TooLargeError(
                    f"the session would keep over {most // (1024 * 1024)} MiB",
                    hint="send less, or raise guard.session_files_mib",
                )
            _write(database, session, render_bundle(files), outputs)
            return tuple(added)

        return await self._store.run(uid, work)

    async def keep_outputs(self, uid: int, session: SessionId, outputs: bytes) -> tuple[FileInfo, ...]:
        """Keep what commands made, in the place of what was there; what is new or another now. BundleError."""
        found = parse_bundle(outputs)
        if not all(path.startswith(f"{OUTPUTS}/") for path, _mode, _content in found):
            raise BundleError("what commands made lies outside of its folder")

        def work(database: sqlite3.Connection) -> tuple[FileInfo, ...]:
            uploads, before = _read(database, session)
            _write(database, session, uploads, outputs)
            known = {path: content for path, _mode, content in parse_bundle(before)}
            return tuple(
                FileInfo(path=path, bytes=len(content)) for path, _mode, content in found if known.get(path) != content
            )

        return await self._store.run(uid, work)

    async def list(self, uid: int, session: SessionId) -> tuple[FileInfo, ...]:
        """What there is, by path."""
        uploads, outputs = await self.read(uid, session)
        found = sorted(_parse(uploads) + _parse(outputs))
        return tuple(FileInfo(path=path, bytes=len(content)) for path, _mode, content in found)

    async def get(self, uid: int, session: SessionId, path: str) -> bytes:
        """One file. NotFoundError."""
        for bundle in await self.read(uid, session):
            for found, _mode, content in _parse(bundle):
                if found == path:
                    return content
        raise NotFoundError(f"the session keeps no file {path}", hint="aios sessions NAME lists them")


def _parse(bundle: bytes) -> list[tuple[str, int, bytes]]:
    try:
        return parse_bundle(bundle)
    except BundleError as exc:
        raise StorageError(f"the session's files cannot be read: {exc}", hint="start a new session") from exc


def _read(database: sqlite3.Connection, session: SessionId) -> tuple[bytes, bytes]:
    row = database.execute("SELECT uploads, outputs FROM files WHERE session = ?", (session,)).fetchone()
    return (bytes(row[0]), bytes(row[1])) if row else (b"", b"")


def _write(database: sqlite3.Connection, session: SessionId, uploads: bytes, outputs: bytes) -> None:
    if uploads or outputs:
        database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (session, uploads, outputs))
    else:
        database.execute("DELETE FROM files WHERE session = ?", (session,))


def _choose(name: str, taken: set[str]) -> str:
    """Where a file of that name (or path) lies in `uploads`."""
    base = "".join(char if char.isprintable() else "_" for char in name.rpartition("/")[2])
    base = base.encode("utf-8", "replace")[:_MAX_NAME].decode("utf-8", "ignore")
    if base in ("", ".", ".."):
        base = "file"
    stem, dot, ending = base.rpartition(".")
    path, number = f"{UPLOADS}/{base}", 1
    while path in taken:
        number += 1
        path = f"{UPLOADS}/{stem}-{number}.{ending}" if stem and dot else f"{UPLOADS}/{base}-{number}"
    return path
