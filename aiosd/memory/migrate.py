"""Bringing a database to this version's schema: numbered SQL files, each in a transaction of its own.

`PRAGMA user_version` is the number of the last one applied, set in the same transaction, so that a kill between two
statements leaves the schema before it. A database of a newer version is refused and not touched.
"""

import contextlib
import re
import sqlite3
from functools import cache
from pathlib import Path

from aiosd.errors import StorageError

_FOLDER = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(\d{4})_\w+\.sql")


def refuse_newer(path: Path) -> None:
    """StorageError where there is a database of a newer version. It is only read: to open it for writing changes it."""
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        version, newest = _read_version(database), list_migrations()[-1][0]
    if version > newest:
        raise StorageError(
            f"the database has schema {version}, this version knows {newest}; nothing was changed",
            hint="use the newer version again, or move the file away",
        )


def migrate(database: sqlite3.Connection) -> None:
    """Apply what is missing. `database` is in autocommit mode, and not of a newer version."""
    version = _read_version(database)
    for number, script in list_migrations():
        if number > version:
            _apply(database, number, script)


@cache
def list_migrations() -> tuple[tuple[int, str], ...]:
    """Every migration, its number and its text, in order."""
    found = []
    for path in sorted(_FOLDER.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match:
            found.append((int(match[1]), path.read_text(encoding="utf-8")))
    return tuple(found)


def _read_version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def _apply(database: sqlite3.Connection, number: int, script: str) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in _split(script):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {number}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


def _split(script: str) -> list[str]:
    """The statements of a script (executescript would commit the transaction it is in)."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
