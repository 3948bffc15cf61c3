"""A full disk under record or transcripts: nothing runs unrecorded, nobody is misled, nothing stored is lost."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import LINES, asking
from tests.daemon.cards import answered, own_folder, proposed
from tests.daemon.conftest import running
from tests.daemon.harness import Daemon, guard_pid, wait_until
from tests.daemon.people import default_person, needs_root

pytestmark = needs_root

QUESTION = "how much memory is free?"
_TRIES = 40  # what is written in part of a page that is there already needs no room


@contextmanager
def _small_disk(daemon: Daemon, name: str) -> Iterator[Path]:
    """A file system of one MiB at a folder of the state; the daemon is started on it, and ended before it goes."""
    place = daemon.state / name
    place.mkdir(parents=True, mode=0o700)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)], check=True)
    try:
        daemon.start()
        yield place
    finally:
        if daemon.process is not None:
            daemon.stop()
        subprocess.run(["/bin/umount", str(place)], check=True)


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Daemon, Path]]:
    """A daemon whose record is on a small disk."""
    policy = '[permissions]\nnotify = ["uname"]\n'
    with running(start=False, policy=policy) as made, _small_disk(made, "guard") as place:
        yield made, place


@pytest.fixture(scope="module")
def transcribed() -> Iterator[tuple[Daemon, Path]]:
    """A daemon whose transcripts are on a small disk."""
    with running(start=False) as made, _small_disk(made, "users") as place:
        yield made, place


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    """The disk has no room inside the context."""
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            for size in (65536, 4096):
                while True:
                    try:
                        file.write(b"x" * size)
                    except OSError:
                        break
            yield
        finally:
            ballast.unlink()


def _lines(disk: Path) -> list[bytes]:
    (log,) = (disk / "audit").iterdir()
    return log.read_bytes().splitlines()


def _done(events: list[dict[str, Any]]) -> dict[str, Any]:
    (done,) = (event for event in events if event["type"] == "call_done")
    return done


_IN_MEMORY = "the record is kept in memory, as the disk takes nothing: No space left on device"


def _ask_until_in_memory(daemon: Daemon) -> str:
    """Ask until nothing fits on the disk any more; the session in which that was first said."""
    for _ in range(_TRIES):
        events = daemon.ask(QUESTION)
        assert events[-1]["exit_status"] == 0
        if [event for event in events if event["type"] == "notice"]:
            return str(events[0]["session"])
    raise AssertionError("the disk is not full")


def _works(daemon: Daemon) -> None:
    """Everything does, and the record is whole: each allowed command has its end, in an unbroken chain."""
    assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
    assert daemon.guard("Verify", uid=0) == {"problems": []}
    records = daemon.records(limit=1000)
    allowed = [(each["session"], each["call"]) for each in records if each.get("decision") in {"allowed", "approved"}]
    ended = [(each["session"], each["call"]) for each in records if each["kind"] == "done"]
    assert sorted(ended) == sorted(allowed)


# The record -----------------------------------------------------------------------------------------------------------


def test_what_observes_is_recorded_in_memory_while_the_disk_is_full_and_what_changes_is_refused(
    recorded: tuple[Daemon, Path],
) -> None:
    daemon, disk = recorded
    reserve = daemon.run_dir / "record.jsonl"
    before = daemon.ask(QUESTION)[0]["session"]
    with _full(disk):
        session = _ask_until_in_memory(daemon)
        lines = _lines(disk)
        events = daemon.ask(QUESTION, session=session)
        assert (_done(events)["outcome"], _done(events)["status"]) == ("done", 0)
        assert [event["text"] for event in events if event["type"] == "notice"] == [_IN_MEMORY]
        assert (events[-1]["type"], events[-1]["exit_status"]) == ("turn_done", 0)
        assert daemon.records(session=before)[-1]["kind"] == "done"  # what is there can be read
        assert [each["kind"] for each in daemon.records(session=session)][-2:] == ["decided", "done"]
        assert daemon.guard("Verify", uid=0) == {"problems": []}
        assert reserve.stat().st_mode & 0o777 == 0o600
        assert daemon.api("GET", "/v1/status").json["volatile"] == "No space left on device"
        assert "\nrecord    in memory alone: No space left on device\n" in daemon.aios("status").out
        (check,) = (each for each in daemon.api("GET", "/v1/doctor").json["checks"] if each["name"] == "record")
        assert (check["state"], check["remedy"][:12]) == ("weaker", "make room on")
        refused = daemon.ask("run `uname`")  # announced, so it has to be on the disk first
        assert _done(refused)["reason"] == "nothing was run: the record cannot be written: No space left on device"
        assert not [event for event in refused if event["type"] == "output"]
        assert (refused[-1]["type"], refused[-1]["exit_status"]) == ("turn_done", 78)
        assert _lines(disk) == lines  # no half of a line either
    assert daemon.ask("run `uname`")[-1]["exit_status"] == 0
    _works(daemon)
    assert not reserve.exists()
    assert _lines(disk)[: len(lines)] == lines
    assert [each["kind"] for each in daemon.records(session=session)] == ["decided", "done"] * 2
    assert daemon.api("GET", "/v1/status").json["volatile"] == ""
    (check,) = (each for each in daemon.api("GET", "/v1/doctor").json["checks"] if each["name"] == "record")
    assert (check["state"], check["detail"]) == ("ok", "on the disk")


def test_a_stop_holds_though_it_cannot_be_stored(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    with _full(disk):
        _ask_until_in_memory(daemon)
        assert daemon.aios("stop").status == 0
        assert _done(daemon.ask(QUESTION))["outcome"] == "refused"
        assert daemon.records()[-1]["decision"] == "refused"
    assert daemon.aios("thaw").status == 0
    _works(daemon)


def test_a_card_that_cannot_be_stored_is_not_shown_and_its_command_not_run(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    place = own_folder(daemon, "unseen")
    with _full(disk):
        events = daemon.ask(f"run `touch {place}/made`")
        done = _done(events)
        assert done["outcome"] == "refused"
        assert done["reason"].startswith("nothing was run: the approval cannot be stored: ")
        assert "approval_needed" not in [event["type"] for event in events]
        assert events[-1]["exit_status"] == 78
        assert daemon.guard("ListPending") == {"approvals": []}
    assert list(place.iterdir()) == []
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert answered(daemon, card) == {}
        assert stream.until("turn_done")["exit_status"] == 0
    assert (place / "made").exists()
    _works(daemon)


def test_a_yes_that_cannot_be_stored_lets_nothing_run(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    place = own_folder(daemon, "unstored")
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        with _full(disk):
            for _ in range(_TRIES):
                refused = answered(daemon, card)
                if refused:
                    break
            assert refused["error"] == "io.aios.Guard.CannotRecord"
            assert refused["reason"].startswith("the answer was not taken: the approval cannot be stored: ")
            assert list(place.iterdir()) == []
        assert answered(daemon, card) == {}  # it still waits, and can be answered now
        assert stream.until("turn_done")["exit_status"] == 0
    assert (place / "made").exists()
    _works(daemon)


def test_an_end_is_recorded_in_memory_while_there_is_no_room_and_moved_then(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    place = own_folder(daemon, "late")
    with proposed(daemon, f"bash -c 'echo begun; until [ -e {place}/go ]; do sleep 0.05; done'") as (stream, card):
        assert answered(daemon, card) == {}
        stream.until("output")
        with _full(disk):
            _ask_until_in_memory(daemon)
            lines = _lines(disk)
            (place / "go").touch()
            done = stream.until("call_done")
            assert (done["outcome"], done["status"], done["reason"]) == ("done", 0, "")
            assert stream.until("turn_done")["exit_status"] == 0
            assert [each["kind"] for each in daemon.records(session=card["session"])] == ["decided", "done"]
            assert _lines(disk) == lines
    _works(daemon)
    decided, ended = daemon.records(session=card["session"])
    assert (decided["decision"], ended["outcome"], ended["status"]) == ("approved", "done", 0)


def test_a_guard_that_starts_on_a_disk_of_which_it_can_only_read_observes(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    session = daemon.ask(QUESTION)[0]["session"]
    assert daemon.process is not None
    lines = _lines(disk)
    killed = guard_pid(daemon)
    with ExitStack() as stack:
        with _stopped(daemon):  # so that it does not start another guard too early
            os.kill(killed, signal.SIGKILL)
            stack.enter_context(_read_only(disk))
        wait_until(lambda: bool(daemon.api("GET", "/v1/status").json["guard"] == "ok"), "a guard")
        _observes_only(daemon)
        assert _lines(disk) == lines
    assert "Traceback" not in daemon.log
    assert daemon.ask(QUESTION, session=session)[-1]["exit_status"] == 0
    assert _lines(disk)[: len(lines)] == lines
    _works(daemon)


def _observes_only(daemon: Daemon) -> None:
    """What reads is run, and said to be on record in memory; what is announced, and what is asked about, is not."""
    events = daemon.ask(QUESTION)
    assert (_done(events)["outcome"], events[-1]["exit_status"]) == ("done", 0)
    (notice,) = (event["text"] for event in events if event["type"] == "notice")
    assert notice.endswith(": Read-only file system")
    place = own_folder(daemon, "readonly")
    refused = daemon.ask(f"run `touch {place}/made`", wait_s=1)
    assert _done(refused)["outcome"] in {"refused", "unanswered"}
    assert list(place.iterdir()) == []
    assert daemon.guard("Verify", uid=0) == {"problems": []}
    assert "Read-only file system" in daemon.aios("status").out


def test_a_standalone_daemon_begins_on_a_disk_of_which_it_can_only_read() -> None:
    with running(start=False) as daemon, _small_disk(daemon, "guard") as disk:
        daemon.stop()
        lines = _lines(disk)
        with _read_only(disk):
            daemon.start()
            _observes_only(daemon)
            daemon.stop()
            assert _lines(disk) == lines
            assert (daemon.run_dir / "record.jsonl").exists()  # for the next guard
        daemon.start()
        assert _lines(disk)[: len(lines)] == lines
        assert len(_lines(disk)) > len(lines) + 3
        _works(daemon)


@contextmanager
def _stopped(daemon: Daemon) -> Iterator[None]:
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    """The disk takes no more writing inside the context. It is busy as long as a killed process is not quite gone."""
    remount = ["/bin/mount", "-o", "remount,ro", str(disk)]
    wait_until(lambda: subprocess.run(remount, check=False, stderr=subprocess.DEVNULL).returncode == 0, "the remount")
    try:
        yield
    finally:
        subprocess.run(["/bin/mount", "-o", "remount,rw", str(disk)], check=True)


# Transcripts ----------------------------------------------------------------------------------------------------------


def _turns(daemon: Daemon, session: str) -> list[tuple[str, int]]:
    detail = daemon.api("GET", f"/v1/sessions/{session}").json
    return [(turn["state"], turn["exit_status"]) for turn in detail["turns"]]


_SAID = "what is said is kept in memory, as the disk takes nothing: "


def _ask_until_said_in_memory(daemon: Daemon, **fields: Any) -> list[dict[str, Any]]:
    """The first turn that says so."""
    for _ in range(_TRIES):
        events = daemon.ask(QUESTION, **fields)
        assert events[-1]["exit_status"] == 0
        if _said_in_memory(events):
            return events
    raise AssertionError("the disk is not full")


def _said_in_memory(events: list[dict[str, Any]]) -> bool:
    return any(event["type"] == "notice" and event["text"].startswith(_SAID) for event in events)


def _until_stored(daemon: Daemon) -> None:
    wait_until(lambda: not _said_in_memory(daemon.ask(QUESTION)), "the disk to be written again")


def _read_events(daemon: Daemon, session: str) -> list[dict[str, Any]]:
    path = f"/v1/sessions/{session}/events?after=0&follow=false"
    return daemon.api("GET", path, accept=LINES).events()


def test_a_turn_that_the_disk_does_not_take_is_kept_in_memory_and_stored_then() -> None:
    with running(start=False) as daemon, _small_disk(daemon, "users") as disk:
        _kept_and_stored(daemon, disk)


def _kept_and_stored(daemon: Daemon, disk: Path) -> None:
    first = daemon.ask(QUESTION)
    session = first[0]["session"]
    with _full(disk):
        told = _ask_until_said_in_memory(daemon, session=session)
        assert _done(told)["outcome"] == "done"
        new = daemon.ask(QUESTION)
        assert _said_in_memory(new)
        ran = daemon.aios("ask", "how", "much", "memory", "is", "free?")
        assert ran.status == 0
        assert f"! {_SAID}" in ran.err
        assert {status for _state, status in _turns(daemon, session)} == {0}
        assert _read_events(daemon, session)[: len(first)] == first
        checks = daemon.api("GET", "/v1/doctor").json["checks"]
        assert [each["state"] for each in checks if each["name"] == "sessions"] == ["weaker"]
    _until_stored(daemon)
    assert [each for each in daemon.api("GET", "/v1/doctor").json["checks"] if each["name"] == "sessions"] == []
    daemon.stop()
    daemon.start()
    events = _read_events(daemon, session)
    assert events[: len(first)] == first
    assert events[-len(told) :] == told
    assert _read_events(daemon, new[0]["session"])[: len(new)] == new
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))


def test_a_turn_whose_disk_fills_up_goes_on_and_says_so(transcribed: tuple[Daemon, Path]) -> None:
    daemon, disk = transcribed
    place = own_folder(daemon, "going")
    command = f"bash -c 'echo begun; until [ -e {place}/go ]; do sleep 0.05; done; echo reached > {place}/end'"
    with asking(daemon, f"run `{command}`") as stream:
        needed = stream.until("approval_needed")
        (card,) = daemon.guard("ListPending", {"id": needed["approval"]})["approvals"]
        assert answered(daemon, card) == {}
        stream.until("output")
        with _full(disk):
            _ask_until_said_in_memory(daemon)
            (place / "go").touch()
            assert stream.until("notice")["text"].startswith(_SAID)
            assert stream.until("turn_done")["exit_status"] == 0
    decided, ended = daemon.records(session=card["session"])
    assert (decided["decision"], decided["uid"]) == ("approved", default_person())
    assert ended["outcome"] == "done"
    _until_stored(daemon)
    assert [state for state, _status in _turns(daemon, card["session"])] == ["done"]


def test_what_was_said_in_memory_alone_is_lost_with_the_daemon_and_the_rest_is_whole() -> None:
    with running(start=False) as daemon, _small_disk(daemon, "users") as disk:
        session = daemon.ask(QUESTION)[0]["session"]
        with _full(disk):
            _ask_until_said_in_memory(daemon, session=session)
            daemon.stop()
            assert "is lost: database or disk is full" in daemon.log
        daemon.start()
        assert daemon.ask(QUESTION, session=session)[-1]["exit_status"] == 0
        assert {state for state, _status in _turns(daemon, session)} <= {"done", "interrupted"}
        numbers = [event["seq"] for event in _read_events(daemon, session)]
        assert numbers == sorted(set(numbers))


def test_everything_on_a_disk_of_which_it_can_only_read_is_answered_still() -> None:
    with running(start=False) as daemon, _small_disk(daemon, "") as disk:
        session = daemon.ask(QUESTION)[0]["session"]
        daemon.stop()
        with _read_only(disk):
            daemon.start()
            events = daemon.ask(QUESTION, session=session)
            assert (_done(events)["outcome"], events[-1]["exit_status"]) == ("done", 0)
            notices = [event["text"] for event in events if event["type"] == "notice"]
            assert len(notices) == 2
            assert daemon.guard("Verify", uid=0) == {"problems": []}
            assert daemon.ask("what can you do?")[-1]["exit_status"] == 0
        _until_stored(daemon)
        _works(daemon)
        assert len(_turns(daemon, session)) == 2
