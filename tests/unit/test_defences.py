"""docs/defences.md and `make mutants` speak of what there is: every row, its test, its twin, its mutant."""

import re
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
ROWS = [f"A{n}" for n in range(1, 22)] + [f"B{n}" for n in range(1, 10)] + ["D8", "D9"]
_LINK = r"\[(\w+)\]\(\.\./(tests/[\w/]+\.py)#(test_\w+)\)"
_ROW = re.compile(rf"^\| (\w+) \| ([^|]+) \| {_LINK} \| {_LINK} \|$", re.MULTILINE)


def _rows() -> list[tuple[str, ...]]:
    return _ROW.findall((ROOT / "docs" / "defences.md").read_text(encoding="utf-8"))


def _has(path: str, name: str) -> bool:
    return bool(re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))


def test_every_row_stands_in_the_table_once_with_a_test_and_a_twin_that_exist() -> None:
    rows = _rows()
    assert [row[0] for row in rows] == ROWS
    for name, _what, shown, path, test, twin_shown, twin_path, twin in rows:
        assert (f"test_{shown}", f"test_{twin_shown}") == (test, twin), name
        assert _has(path, test), (name, path, test)
        assert _has(twin_path, twin), (name, twin_path, twin)
        assert test != twin, name


def test_every_row_has_its_mutant() -> None:
    assert {mutant.row for mutant in MUTANTS} == set(ROWS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.row} {Path(mutant.file).stem}")
def test_a_mutant_fits_the_source_and_its_test_is_there(mutant: Mutant) -> None:
    for file, old, new in mutant.edits:
        assert (ROOT / file).read_text(encoding="utf-8").count(old) == 1, file
        assert old != new
    path, _, name = mutant.test.partition("::")
    assert (ROOT / path).is_file()
    assert not name or _has(path, name)
