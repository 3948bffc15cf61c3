"""What was shown is what runs: a script, a program or a directory changed under an open card ends it."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.cards import answered, own_folder, proposed
from tests.daemon.conftest import running
from tests.daemon.harness import Daemon
from tests.daemon.people import default_person


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One for all."""
    with running() as made:
        yield made


@pytest.fixture
def place(daemon: Daemon) -> Path:
    """A folder of the person's, with a script."""
    folder = own_folder(daemon, f"f{secrets.token_hex(4)}")
    _write(folder / "script", "echo good > made")
    return folder


def _write(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(path, default_person(), default_person())


def _swap_folder(place: Path) -> None:
    place.rename(place.with_name(f"{place.name}-old"))
    place.mkdir()
    if os.geteuid() == 0:
        os.chown(place, default_person(), default_person())
    _write(place / "script", "echo good > made")


@pytest.mark.parametrize(
    "command", ["./script; touch other", "sh script", "sh ./script; touch other", "sh $PWD/x || sh script"]
)
def test_b4_a_script_changed_under_its_card_does_not_run(daemon: Daemon, place: Path, command: str) -> None:
    with proposed(daemon, command, cwd=str(place)) as (stream, card):
        assert any(line.endswith(f" {place}/script") for line in card["files"]), card["files"]
        _write(place / "script", "echo evil > made")
        assert answered(daemon, card) == {}
        done = stream.until("call_done")
        assert (done["outcome"], "has changed since this was shown" in done["reason"]) == ("refused", True)
        stream.until("turn_done")
    assert [path.name for path in place.iterdir()] == ["script"]
    assert [each["decision"] for each in daemon.records(session=card["session"])] == ["refused"]


def test_b4_a_directory_swapped_under_a_card_is_not_entered(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, "sh script", cwd=str(place)) as (stream, card):
        _swap_folder(place)
        assert answered(daemon, card) == {}
        assert stream.until("call_done")["outcome"] == "refused"
        stream.until("turn_done")
    assert [path.name for path in place.iterdir()] == ["script"]


def test_b4_twin_what_has_not_changed_runs(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, "sh script", cwd=str(place)) as (stream, card):
        os.utime(place / "script")
        assert answered(daemon, card) == {}
        assert stream.until("call_done")["outcome"] == "done"
        stream.until("turn_done")
    assert (place / "made").read_text() == "good\n"


def test_a_command_about_a_device_is_asked_about_and_not_read_to_its_end(daemon: Daemon, place: Path) -> None:
    line = f"head -c 3 /dev/zero > {place}/zeros"
    with proposed(daemon, line) as (stream, card):
        assert not any("/dev/zero" in each for each in card["files"])
        assert answered(daemon, card) == {}
        assert stream.until("call_done")["outcome"] == "done"
    assert (place / "zeros").read_bytes() == b"\0\0\0"
