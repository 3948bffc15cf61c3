"""The plan, its files and their record: only ours are written, replaced and removed."""

import json
from pathlib import Path

import pytest

from aiosd.setup.plan import Wanted, find_unasked_root, getty_of, make_plan
from aiosd.setup.record import Record
from aiosd.setup.steps import CreateUser, JoinGroup, SetupError, Step, WriteFile, make_file, parse_step, render_step


@pytest.mark.parametrize(
    ("terminal", "unit"),
    [
        ("tty1", "getty@tty1.service"),
        ("ttyS0", "serial-getty@ttyS0.service"),
        ("hvc0", "serial-getty@hvc0.service"),
        ("console", "console-getty.service"),
        ("pts/0", "container-getty@0.service"),
    ],
)
def test_a_terminal_has_a_unit(terminal: str, unit: str) -> None:
    assert getty_of(terminal) == unit


@pytest.mark.parametrize("terminal", ["", "tty0", "tty1.service", "../x", "tty1\nExecStart=x", "/dev/tty1", "pts/ptmx"])
def test_what_is_no_terminal_is_refused(terminal: str) -> None:
    with pytest.raises(SetupError, match="is no terminal"):
        getty_of(terminal)


@pytest.mark.parametrize("user", ["root", "", "-x", "a b", "a\nb", "a/b", "Ai", "x" * 40, "a$"])
def test_what_is_no_name_is_refused(user: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is no name"):
        make_plan(Wanted(user=user), Record(tmp_path / "setup.json"))


def test_a_file_is_written_found_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.d" / "50-x.toml"
    step = make_file(str(path), "a purpose", "one\n")
    assert step.describe() == f"write {path}: a purpose\n      one"
    assert not step.is_done()
    step.do()
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("one\n", 0o644)
    assert step.is_done()
    assert [each.name for each in path.parent.iterdir()] == ["50-x.toml"]
    step.undo()
    assert not path.exists()


def test_a_file_of_somebody_elses_is_neither_written_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "50-x.toml"
    path.write_text("theirs\n", encoding="utf-8")
    step = make_file(str(path), "a purpose", "one\n")
    with pytest.raises(SetupError, match="is not as this writes it"):
        step.is_done()
    assert step.describe_undo() == f"leave {path}: it was changed since"
    step.undo()
    assert path.read_text(encoding="utf-8") == "theirs\n"


def test_our_own_earlier_version_is_replaced(tmp_path: Path) -> None:
    path, record = tmp_path / "x", Record(tmp_path / "setup.json")
    first = make_file(str(path), "", "one\n")
    first.do()
    record.add(first)
    second = make_file(str(path), "", "two\n", was=record.digest_of(str(path)))
    assert not second.is_done()
    assert second.describe().startswith("replace ")
    second.do()
    record.add(second)
    assert [each for each in record.steps if isinstance(each, WriteFile)] == [second]


def test_the_record_is_read_back_and_ends_with_its_last_step(tmp_path: Path) -> None:
    path = tmp_path / "setup.json"
    steps: list[Step] = [
        CreateUser(name="ai"),
        JoinGroup(name="ai", group="systemd-journal", purpose="to read"),
        make_file("/etc/x", "y", "z"),
    ]
    record = Record(path)
    for step in steps:
        record.add(step)
    again = Record(path)
    assert [render_step(step) for step in again.steps] == [render_step(step) for step in steps]
    for step in again.steps[::-1]:
        again.take(step)
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"v": 2, "steps": []}',
        '{"v": 1, "steps": [{"kind": "shell", "name": "x"}]}',
        '{"v": 1, "steps": [{"kind": "user", "name": 1}]}',
        '{"v": 1, "steps": [{"kind": "user"}]}',
        '{"v": 1, "steps": ["x"]}',
    ],
)
def test_a_record_that_we_did_not_write_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "setup.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SetupError, match="is not what a setup wrote"):
        Record(path)


def test_a_record_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "setup.json"
    path.write_text(json.dumps({"v": 1, "steps": []}), encoding="utf-8")
    assert Record(path).steps == []
    path.chmod(0o666)
    with pytest.raises(SetupError, match="others than root"):
        Record(path)


def test_an_unknown_step_is_no_step() -> None:
    with pytest.raises(ValueError, match="no step"):
        parse_step({"kind": "user", "name": "ai", "extra": "x"})


def test_sudoers_that_go_past_us_are_named(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    main = tmp_path / "sudoers"
    main.write_text(
        "# ai ALL=(ALL) NOPASSWD: ALL\nroot ALL=(ALL) ALL\nai ALL=(ALL:ALL) NOPASSWD: ALL\n"
        "bob ALL=(ALL) NOPASSWD: ALL\n%nogroupofais ALL=(ALL) NOPASSWD: ALL\nDefaults:ai !authenticate\n",
        encoding="utf-8",
    )
    (tmp_path / "d" / "x").write_text("%ai ALL=(ALL) NOPASSWD: /usr/bin/pacman\n", encoding="utf-8")
    assert find_unasked_root("ai", (str(main), str(tmp_path / "d"), "/nonexistent")) == [
        f"{main}:3 ai ALL=(ALL:ALL) NOPASSWD: ALL",
        f"{main}:6 Defaults:ai !authenticate",
        f"{tmp_path}/d/x:1 %ai ALL=(ALL) NOPASSWD: /usr/bin/pacman",
    ]
