"""What is written for people is true: links lead somewhere, each promise has its test, help is what help prints."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aiosd import exits
from aiosd.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_AIOS = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from aiosd.cli.main import main; sys.exit(main())"


def _links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]


def _blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_something(page: Path) -> None:
    for link in _links(page):
        path, _, place = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if place and target.suffix == ".py":
            assert place in _functions(target), link


def test_each_promise_has_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = re.split(r"^- ", text.partition("## What we promise")[2], flags=re.MULTILINE)[1:]
    assert len(promises) > 20
    for promise in promises:
        links = _LINK.findall(promise)
        assert links, promise
        assert all(link.startswith("tests/") and "#test_" in link for link in links), promise


def test_each_way_out_has_a_test_and_a_twin() -> None:
    rows = {}
    for line in (ROOT / "docs/escapes.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"[CN][0-9]+", cells[0]):
            rows[cells[0]] = cells
    assert list(rows) == [*(f"C{number}" for number in range(1, 15)), *(f"N{number}" for number in range(1, 8))]
    for name, (_name, _way, closed_by, tried_by, twin) in rows.items():
        if closed_by.startswith("there are no "):  # such things at all
            assert (tried_by, twin) == ("", ""), name
            continue
        assert all(link.startswith("../tests/") and "#test_" in link for link in _LINK.findall(tried_by)), name
        assert _LINK.findall(tried_by), name
        assert twin in ("in it", "in them") or _LINK.findall(twin), name


def test_the_readme_shows_the_help_that_is_printed() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _AIOS, "help"], check=True, capture_output=True, text=True, timeout=30
    )
    (shown,) = [block for block in _blocks(ROOT / "README.md", "text") if block.startswith("usage: ")]
    assert shown == ran.stdout


def test_the_readme_names_the_exit_statuses_there_are() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"Exit statuses: (.*?)\.", text, re.DOTALL)
    named = {int(number) for number in re.findall(r"\b\d+\b", said)}
    assert named == {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}


def test_the_readme_names_the_rooms_there_are() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| room |")[2].partition("\n\n")[0]
    named = set(
        re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if line.count("|") > 2))
    )
    folders = {path.name for path in (ROOT / "aiosd").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert folders <= named, folders - named
    assert named - folders <= {path.stem for path in (ROOT / "aiosd").glob("*.py")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_make_is_told_to_do_it_can(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}|`|\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_every_configuration_key_that_a_page_names_exists() -> None:
    keys = {entry.key for entry in load_config([], {}).entries}
    pattern = re.compile(rf"`((?:{'|'.join({key.partition('.')[0] for key in keys})})\.[a-z_]+)`")
    named = {(page.name, key) for page in PAGES for key in pattern.findall(page.read_text(encoding="utf-8"))}
    assert named
    assert {entry for entry in named if entry[1] not in keys} == set()


_LINES_ROW = re.compile(r"^\| [^|]+ \| ([\d,]+) \| `(guard|policy|sandbox|audit)`: ([^|]+) \|", re.MULTILINE)
_GUARD_ROOMS = ("guard", "policy", "sandbox", "audit")
_LINES_OFF = 150  # by so much a row may have grown before it is counted anew


def test_the_guards_lines_are_all_counted() -> None:
    """docs/decisions/guard-lines.md: each module of the four rooms in one row, and each row as long as it says."""
    text = (ROOT / "docs" / "decisions" / "guard-lines.md").read_text(encoding="utf-8")
    named: list[str] = []
    for said, room, modules in _LINES_ROW.findall(text):
        files = [ROOT / "aiosd" / room / f"{name}.py" for name in re.findall(r"`(\w+)`", modules)]
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        told = int(said.replace(",", ""))
        assert abs(lines - told) <= _LINES_OFF, f"{room} {modules}: write {round(lines, -2):,} into guard-lines.md"
        named += [f"{room}/{file.name}" for file in files]
    there = [f"{room}/{file.name}" for room in _GUARD_ROOMS for file in (ROOT / "aiosd" / room).glob("*.py")]
    assert sorted(named) == sorted(there), "each module of the guard's rooms stands in one row of guard-lines.md"
    plain = sum(
        len((ROOT / "aiosd" / "policy" / f"{name}.py").read_text(encoding="utf-8").splitlines())
        for name in ("words", "recogniser", "judge", "rules")
    )
    assert plain < 1100
