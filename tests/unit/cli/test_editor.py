"""What a chat completes."""

import os
from pathlib import Path

import pytest

from aiosd.cli.editor import complete, find_history

COMMANDS = ("/help", "/model", "/models", "/policy check")


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("/mo", [("/model", -3), ("/models", -3)]),
        ("/policy ch", [("/policy check", -10)]),
        ("/", [(each, -1) for each in COMMANDS]),
        ("what is ", []),
        ("what is nginx", []),
        ("first\n/mo", []),
    ],
)
def test_commands_are_completed_at_the_beginning(before: str, offered: list[tuple[str, int]]) -> None:
    assert complete(before, COMMANDS) == offered


def test_paths_are_completed_behind_an_at_and_in_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ac").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "ab" / "日本").touch()
    monkeypatch.chdir(tmp_path)
    assert complete("look at @a", COMMANDS) == [("@ab/", -2), ("@ac", -2)]
    assert complete("look at @ab/", COMMANDS) == [("@ab/日本", -4)]
    assert complete(f"!ls {tmp_path}/a", COMMANDS)[1] == (f"{tmp_path}/ac", -len(f"{tmp_path}/a"))
    assert complete("@.h", COMMANDS) == [("@.hidden", -3)]
    assert complete("@nowhere/x", COMMANDS) == []


def test_the_history_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = Path(find_history())
    assert path.parent.parent == tmp_path
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.path.samefile(find_history(), path)
