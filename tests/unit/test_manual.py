"""What the package makes from the code: every page and completion is there, and says what the code says."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from aiosd.audit.records import Kind
from aiosd.cli.table import EXIT_STATUSES, VERBS

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """All files that packaging/generate.py makes, by name."""
    folder = tmp_path_factory.mktemp("made")
    command = [sys.executable, str(_ROOT / "packaging/generate.py"), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}


def test_each_page_and_completion_is_made(made: Mapping[str, str]) -> None:
    pages = {path.stem for path in (_ROOT / "docs/man").glob("*.in")}
    assert set(made) == {*pages, "aios.bash", "aios.zsh", "aios.fish"}
    assert pages == {"aios.1", "aios-config.5", "aios-policy.5", "aiosd.8", "aios-guard.8"}


def test_no_place_is_left_to_be_filled(made: Mapping[str, str]) -> None:
    assert [name for name, text in made.items() if re.search(r'^\.\\" @', text, re.MULTILINE)] == []


def test_pages_name_every_verb_status_and_record(made: Mapping[str, str]) -> None:
    said = {name: text.replace("\\-", "-") for name, text in made.items()}
    assert [name for name, *_ in VERBS if f"\\fBaios {name}\\fR" not in said["aios.1"]] == []
    assert [status for status, _ in EXIT_STATUSES if f".B {status}\n" not in said["aios.1"]] == []
    assert [kind for kind in Kind if f"\\fB{kind.value}\\fR, {kind.message_id}" not in said["aios-guard.8"]] == []


def test_completions_know_every_verb(made: Mapping[str, str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert [name for name, *_ in VERBS if name.split()[0] not in made[f"aios.{shell}"]] == []
