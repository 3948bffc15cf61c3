"""docs/errors.md against the code, both ways: the guard's errors, the codes of approvals, the exit statuses."""

import ast
import re
from pathlib import Path

import pytest

from aiosd import exits
from aiosd.cli.guard import EXIT_STATUSES as GUARD_STATUSES
from aiosd.cli.table import EXIT_STATUSES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
GUARD = ROOT / "aiosd" / "guard"


def _rows(head: str) -> list[list[str]]:
    """The rows of the table with this first line, as cells."""
    lines = PAGE.split(head, 1)[1].splitlines()[2:]
    table = lines[: next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


GUARD_ROWS = _rows("| error | store | exit | what happened | what to do |")
PROTOCOL_ROWS = _rows("| error | exit | what happened | what to do |")
EXIT_ROWS = _rows("| exit | name | what happened | what to do |")


def _declared(text: str) -> list[str]:
    return re.findall(r"^error (\w+) \(", text, re.MULTILINE)


def test_the_guards_errors_are_those_of_its_interface() -> None:
    text = (GUARD / "io.aios.Guard.varlink").read_text(encoding="utf-8")
    assert [f"`{name}`" for name in _declared(text)] == [row[0] for row in GUARD_ROWS]


def test_the_protocols_errors_are_those_of_its_description() -> None:
    text = (GUARD / "varlink.py").read_text(encoding="utf-8")
    assert [f"`{name}`" for name in _declared(text)] == [row[0] for row in PROTOCOL_ROWS]


def test_no_error_is_raised_that_is_not_declared() -> None:
    name = re.compile(r'f"\{_?(?:NAME|SERVICE|self\._interface\.name)\}\.([A-Z]\w+)"')
    raised = {each for path in GUARD.glob("*.py") for each in name.findall(path.read_text("utf-8"))}
    named = {row[0].strip("`") for row in [*GUARD_ROWS, *PROTOCOL_ROWS]}
    assert raised
    assert raised <= named


def test_each_error_ends_the_client_with_the_status_on_the_page() -> None:
    guards = {row[0].strip("`"): int(row[2]) for row in GUARD_ROWS}
    protocols = {row[0].strip("`"): int(row[1]) for row in PROTOCOL_ROWS}
    told = {**guards, **protocols}
    assert told == {name: GUARD_STATUSES.get(name, exits.INTERNAL) for name in told}
    assert GUARD_STATUSES.keys() <= told.keys()


def _constants(path: Path, callee: str) -> set[str]:
    """The first arguments of the calls of `callee` in a module."""
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return {
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == callee and isinstance(call.args[0], ast.Constant)
    }


def test_the_codes_of_approvals_are_those_of_the_store() -> None:
    told = [code for row in GUARD_ROWS for code in re.findall(r"`(\w+)`", row[1])]
    raised = {code for path in GUARD.glob("*.py") for code in _constants(path, "ApprovalError")}
    assert len(set(told)) == len(told)
    assert set(told) == raised


def test_exit_statuses_are_those_of_the_code_with_their_names() -> None:
    named = {value: name for name, value in vars(exits).items() if name.isupper()}
    assert {int(row[0]): row[1].strip("`") for row in EXIT_ROWS} == named
    assert [int(row[0]) for row in EXIT_ROWS] == [status for status, _about in EXIT_STATUSES]


@pytest.mark.parametrize("row", [*GUARD_ROWS, *PROTOCOL_ROWS, *EXIT_ROWS], ids=lambda row: f"{row[0]} {row[1]}")
def test_every_row_says_what_happened(row: list[str]) -> None:
    assert row[-2].endswith(".")
    assert not row[-1] or row[-1].endswith(".")
