"""Databases as releases left them, and what is in a database."""

import sqlite3
from pathlib import Path

DATA = Path(__file__).parents[2] / "data"
SCHEMAS = (1, 2, 3, 4, 5)  # every released one
OLD = "0123456789abcdef0123456789"  # the session in them


def make_released(path: Path, schema: int) -> None:
    """Write the database that the release with this schema left; schema 0 is an empty file."""
    with open(path, "wb"):
        pass
    if schema:
        database = sqlite3.connect(path)
        database.executescript((DATA / f"transcripts-schema-{schema}.sql").read_text(encoding="utf-8"))
        database.close()


def read_all(path: Path) -> tuple[int, dict[str, str], dict[str, list[tuple[object, ...]]]]:
    """The schema's number, the text of every table and index, and all rows."""
    database = sqlite3.connect(path)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        schema = {
            name: " ".join(text.split())
            for name, text in database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        }
        rows = {
            name: database.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2').fetchall()
            for name in schema
            if schema[name].startswith("CREATE TABLE")
        }
    finally:
        database.close()
    return version, schema, rows
