"""What the client says is in both languages, and which one it is follows locale(7)."""

import ast
import posix
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import aiosd.cli
from aiosd.cli.japanese import JAPANESE, NOTES
from aiosd.cli.words import is_japanese, render_note, say

_VARIABLES = (b"LC_ALL", b"LC_MESSAGES", b"LANG")


@pytest.fixture
def environment() -> Iterator[dict[bytes, bytes]]:
    """The variables of the process as the client reads them, without any that names a language."""
    kept = {name: posix.environ[name] for name in _VARIABLES if name in posix.environ}
    for name in _VARIABLES:
        posix.environ.pop(name, None)
    yield posix.environ
    for name in _VARIABLES:
        posix.environ.pop(name, None)
    posix.environ.update(kept)


def _said() -> set[str]:
    """Every text that the client says, from its source."""
    texts = set()
    for path in Path(aiosd.cli.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = {
            target.id: str(node.value.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                text = node.args[0]
                assert isinstance(text, ast.Constant | ast.Name)
                texts.add(str(text.value) if isinstance(text, ast.Constant) else named[text.id])
    return texts


def _fields(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field}


def test_all_that_is_said_is_in_the_catalogue_and_nothing_else_is() -> None:
    assert _said() == set(JAPANESE)
    assert [text for text, japanese in JAPANESE.items() if _fields(text) != _fields(japanese)] == []


@pytest.mark.parametrize(
    ("variables", "japanese"),
    [
        ({}, False),
        ({b"LANG": b"ja_JP.UTF-8"}, True),
        ({b"LANG": b"ja"}, True),
        ({b"LANG": b"en_US.UTF-8"}, False),
        ({b"LANG": b"jam_JM"}, False),
        ({b"LANG": b"en_US.UTF-8", b"LC_MESSAGES": b"ja_JP.UTF-8"}, True),
        ({b"LANG": b"ja_JP.UTF-8", b"LC_MESSAGES": b"C"}, False),
        ({b"LANG": b"ja_JP.UTF-8", b"LC_ALL": b"C.UTF-8"}, False),
        ({b"LC_MESSAGES": b"C", b"LC_ALL": b"ja_JP.UTF-8"}, True),
        ({b"LANG": b"ja_JP.UTF-8", b"LC_ALL": b""}, True),
    ],
)
def test_the_first_variable_that_is_set_decides(
    environment: dict[bytes, bytes], variables: dict[bytes, bytes], japanese: bool
) -> None:
    environment.update(variables)
    assert is_japanese() is japanese
    assert say("approved") == ("許可しました" if japanese else "approved")


def test_what_stands_in_a_field_is_never_read_as_a_format(environment: dict[bytes, bytes]) -> None:
    assert say("root, for {who}", who="{claim} {0}") == "root, for {claim} {0}"
    environment[b"LANG"] = b"ja_JP.UTF-8"
    assert say("root, for {who}", who="{claim} {0}") == "root（依頼者: {claim} {0}）"


def test_a_line_about_a_call_keeps_what_it_quotes(environment: dict[bytes, bytes]) -> None:
    assert render_note(b"  denied: no {x}") == b"  denied: no {x}"
    environment[b"LANG"] = b"ja_JP.UTF-8"
    assert render_note(b"  denied: no {x}").decode() == "  拒否: no {x}"
    assert render_note("› denied".encode()).decode() == "› denied"
    assert all(render_note(english.encode()).decode() == japanese for english, japanese in NOTES.items())
