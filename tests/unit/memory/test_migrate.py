"""The schema's migrations: from every released one, killed anywhere, and not at all for what is newer."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from aiosd.errors import StorageError
from aiosd.memory.migrate import list_migrations, migrate
from aiosd.memory.transcripts import Transcripts
from aiosd.wire import TurnInfo
from tests.unit.memory.places import OLD, SCHEMAS, make_released, read_all

ROOT = Path(__file__).parents[3]
Rows = dict[str, list[tuple[object, ...]]]
NEWEST = list_migrations()[-1][0]

_KILLED = """
import os, signal, sqlite3, sys
sys.path.insert(0, {root!r})
from aiosd.memory.migrate import migrate

class Killed(sqlite3.Connection):
    left = {statements}

    def execute(self, *words):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return super().execute(*words)

migrate(sqlite3.connect({path!r}, isolation_level=None, factory=Killed))
"""


def _migrate_killed_after(path: Path, statements: int) -> int:
    code = _KILLED.format(root=str(ROOT), path=str(path), statements=statements)
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False).returncode


def _migrate(path: Path) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        migrate(database)
    finally:
        database.close()


def _keeps(rows: Rows, before: Rows) -> bool:
    """Whether every row of `before` is there, with every column it had; later schemas may add some."""
    return all(
        len(rows[name]) == len(old) and all(new[: len(row)] == row for new, row in zip(rows[name], old, strict=True))
        for name, old in before.items()
    )


def test_every_released_schema_has_its_dump_and_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _text in list_migrations()] == list(range(1, NEWEST + 1))
    assert tuple(range(1, NEWEST + 1)) == SCHEMAS


@pytest.mark.parametrize("schema", [0, *SCHEMAS])
def test_every_released_schema_becomes_the_newest_and_keeps_its_rows(tmp_path: Path, schema: int) -> None:
    path, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    make_released(path, schema)
    _version, _schema, before = read_all(path)
    _migrate(path)
    _migrate(fresh)
    version, tables, rows = read_all(path)
    assert (version, tables) == read_all(fresh)[:2]
    assert version == NEWEST
    assert _keeps(rows, before)


@pytest.mark.parametrize("schema", [0, 1, 2])
def test_a_kill_after_any_statement_leaves_a_released_schema_which_migrates_then(tmp_path: Path, schema: int) -> None:
    whole = tmp_path / "whole.db"
    make_released(whole, schema)
    _migrate(whole)
    for statements in range(100):
        path = tmp_path / f"{statements}.db"
        make_released(path, schema)
        _version, _schema, before = read_all(path)
        status = _migrate_killed_after(path, statements)
        version, tables, rows = read_all(path)
        released = tmp_path / "released.db"
        make_released(released, version)
        assert schema <= version
        assert tables == read_all(released)[1]
        assert _keeps(rows, before)
        _migrate(path)
        assert read_all(path) == read_all(whole)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert statements >= 4


async def test_a_migrated_database_is_used_as_it_was(tmp_path: Path) -> None:
    make_released(tmp_path / "7.db", 1)
    transcripts = Transcripts(tmp_path)
    try:
        found = await transcripts.find(7, "calm-keen-hopper")
        assert found is not None
        assert (found.id, found.title, found.turns, found.state) == (OLD, "ディスクの空きは？", 2, "interrupted")
        turns = await transcripts.turns(7, found.id)  # type: ignore[arg-type] # an id
        assert turns[0] == TurnInfo(
            number=1,
            prompt="ディスクの空きは？",
            answer="/は73%使用中です。",
            state="done",
            started_at="2026-01-02T03:04:05.678Z",
            exit_status=0,
        )
    finally:
        transcripts.close()


def _make_newer(path: Path, *, mode: str, killed: bool) -> None:
    code = f"""
import os, sqlite3
database = sqlite3.connect({str(path)!r}, isolation_level=None)
database.execute("PRAGMA journal_mode={mode}")
database.execute("CREATE TABLE sessions (id TEXT, future TEXT) STRICT")
database.execute("INSERT INTO sessions VALUES ('a', 'b')")
database.execute("PRAGMA user_version = {NEWEST + 1}")
if {killed}:
    os._exit(0)
database.close()
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def _contents(folder: Path) -> dict[str, bytes]:
    """What is stored: not SQLite's shared memory, nor a log that holds nothing."""
    files = {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder)) if not name.endswith("-shm")}
    return {name: data for name, data in files.items() if data}


@pytest.mark.parametrize(
    ("mode", "killed"), [("DELETE", False), ("WAL", False), ("WAL", True)], ids=["plain", "wal", "wal of a killed one"]
)
async def test_a_newer_schema_is_refused_and_not_a_byte_of_it_changes(tmp_path: Path, mode: str, killed: bool) -> None:
    _make_newer(tmp_path / "7.db", mode=mode, killed=killed)
    before = _contents(tmp_path)
    for _ in range(2):
        transcripts = Transcripts(tmp_path)
        try:
            with pytest.raises(StorageError) as caught:
                await transcripts.sessions(7, limit=10)
        finally:
            transcripts.close()
        assert caught.value.message == (
            f"the database has schema {NEWEST + 1}, this version knows {NEWEST}; nothing was changed"
        )
        assert caught.value.hint == "use the newer version again, or move the file away"
        assert _contents(tmp_path) == before


async def test_one_users_newer_database_is_no_other_users_trouble(tmp_path: Path) -> None:
    _make_newer(tmp_path / "7.db", mode="WAL", killed=False)
    transcripts = Transcripts(tmp_path)
    try:
        with pytest.raises(StorageError):
            await transcripts.sessions(7, limit=10)
        async with asyncio.timeout(10):
            assert await transcripts.sessions(8, limit=10) == ()
    finally:
        transcripts.close()
