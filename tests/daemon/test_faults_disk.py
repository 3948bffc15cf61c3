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
from tests.daemon.cards import answered, own_folder, proposed, said
from tests.daemon.conftest import running
from tests.daemon.harness import DEADLINE_S, Daemon, guard_pid, processes_with, wait_until
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
    with running(start=False) as made, _small_disk(made, "guard") as place:
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


def _ask_until_refused(daemon: Daemon, **fields: Any) -> list[dict[str, Any]]:
    for _ in range(_TRIES):
        events = daemon.ask(QUESTION, **fields)
        if events[-1].get("exit_status") != 0:
            return events
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


def test_what_cannot_be_recorded_is_not_run_and_the_client_learns_why(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    before = daemon.ask(QUESTION)[0]["session"]
    with _full(disk):
        events = _ask_until_refused(daemon)
        done = _done(events)
        assert (done["outcome"], done["status"]) == ("refused", -1)
        assert done["reason"] == "nothing was run: the record cannot be written: No space left on device"
        assert not [event for event in events if event["type"] == "output"]
        assert (events[-1]["type"], events[-1]["exit_status"]) == ("turn_done", 78)
        assert "No space left on device" in said(events)
        lines = _lines(disk)
        direct = daemon.guard("OpenSession")["session"]
        parameters = {"session": direct, "call": "call-1", "command": "free -b", "cwd": "/"}
        with daemon.guard_stream("Execute", parameters) as replies:
            assert next(replies)["event"] == "decision"
            assert next(replies) == {
                "error": "io.aios.Guard.CannotRecord",
                "reason": "nothing was run: the record cannot be written: No space left on device",
            }
        assert _lines(disk) == lines  # no half of a line either
        assert daemon.records(session=before)[-1]["kind"] == "done"  # what is there can be read
    assert daemon.records(session=events[0]["session"]) == []
    assert _lines(disk)[: len(lines)] == lines
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


def test_an_end_that_cannot_be_recorded_is_recorded_when_there_is_room(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    place = own_folder(daemon, "late")
    with proposed(daemon, f"bash -c 'echo begun; until [ -e {place}/go ]; do sleep 0.05; done'") as (stream, card):
        assert answered(daemon, card) == {}
        stream.until("output")
        with _full(disk):
            _ask_until_refused(daemon)
            (place / "go").touch()
            done = stream.until("call_done")
            assert (done["outcome"], done["status"]) == ("done", 0)
            assert done["reason"].startswith("its end is not on the record yet: ")
            assert stream.until("turn_done")["exit_status"] == 0
            assert [each["kind"] for each in daemon.records(session=card["session"])] == ["decided"]
    _works(daemon)
    decided, ended = daemon.records(session=card["session"])
    assert (decided["decision"], ended["outcome"], ended["status"]) == ("approved", "done", 0)


def test_a_guard_that_cannot_write_at_its_start_comes_back_when_it_can(recorded: tuple[Daemon, Path]) -> None:
    daemon, disk = recorded
    session = daemon.ask(QUESTION)[0]["session"]
    assert daemon.process is not None
    lines = _lines(disk)
    killed = guard_pid(daemon)
    with ExitStack() as stack:
        with _stopped(daemon):  # so that it does not start another guard too early
            os.kill(killed, signal.SIGKILL)
            stack.enter_context(_read_only(disk))
        wait_until(lambda: "Read-only file system" in daemon.log, "the next guard to say that it cannot write")
        response = daemon.api("POST", "/v1/ask", {"prompt": QUESTION}, LINES)
        assert (response.status, response.json["code"]) == (503, "guard_unavailable")
        assert daemon.api("GET", "/v1/status").json["guard"] == "unavailable"
        assert daemon.aios("pending").status == 69
        assert _lines(disk) == lines
    wait_until(lambda: bool(daemon.api("GET", "/v1/status").json["guard"] == "ok"), "a guard")
    assert "Traceback" not in daemon.log
    assert _lines(disk)[: len(lines)] == lines
    assert daemon.ask(QUESTION, session=session)[-1]["exit_status"] == 0
    _works(daemon)


def test_a_standalone_daemon_whose_guard_cannot_write_does_not_begin() -> None:
    with running(start=False) as daemon, _small_disk(daemon, "guard") as disk:
        daemon.stop()
        lines = _lines(disk)
        with _read_only(disk):
            daemon.launch()
            assert daemon.process is not None
            assert daemon.process.wait(DEADLINE_S) == 78
            daemon.process = None
        said_last = daemon.log.splitlines()[-2:]
        assert said_last[0].startswith(f"aios-guard: {disk}")
        assert "Read-only file system" in said_last[0]
        assert said_last[1] == "aiosd: the guard cannot work here; it has said why"
        assert not os.path.exists(daemon.socket_path)
        assert not os.path.exists(daemon.guard_path)
        daemon.start()
        assert _lines(disk)[: len(lines)] == lines
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


def _problem_when_full(daemon: Daemon, body: dict[str, Any]) -> dict[str, Any]:
    """The first answer that says so."""
    for _ in range(_TRIES):
        response = daemon.api("POST", "/v1/ask", body, LINES)
        if response.status != 200:
            assert response.status == 507
            problem: dict[str, Any] = response.json
            return problem
        assert response.events()[-1]["type"] in {"turn_done", "turn_failed"}
    raise AssertionError("the disk is not full")


def test_a_turn_that_cannot_be_stored_is_not_begun(transcribed: tuple[Daemon, Path]) -> None:
    daemon, disk = transcribed
    first = daemon.ask(QUESTION)
    session = first[0]["session"]
    with _full(disk):
        problem = _problem_when_full(daemon, {"prompt": QUESTION, "session": session})
        assert (problem["code"], problem["exit_status"]) == ("storage", 78)
        assert problem["detail"].startswith("the transcripts cannot be stored: ")
        assert problem["hint"] == "is the disk full, or the file damaged?"
        records = daemon.records()
        new = _problem_when_full(daemon, {"prompt": QUESTION})
        assert new["code"] == "storage"
        assert daemon.records() == records  # nothing was run for them
        ran = daemon.aios("ask", "how", "much", "memory", "is", "free?")
        assert (ran.status, ran.out) == (78, "")
        assert "the transcripts cannot be stored" in ran.err
        assert _turns(daemon, session)[0] == ("done", 0)  # what is there can be read
        assert daemon.api("GET", "/v1/status").json["running_turns"] == 0
    again = daemon.ask(QUESTION, session=session)
    assert again[-1]["exit_status"] == 0
    path = f"/v1/sessions/{session}/events?after=0&follow=false"
    events = daemon.api("GET", path, accept=LINES).events()
    assert events[: len(first)] == first
    assert events[-len(again) :] == again
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))


def test_a_turn_whose_disk_fills_up_fails_with_a_name_and_its_command_is_on_the_record(
    transcribed: tuple[Daemon, Path],
) -> None:
    daemon, disk = transcribed
    place = own_folder(daemon, "going")
    command = f"bash -c 'echo begun; until [ -e {place}/go ]; do sleep 0.05; done; echo reached > {place}/end'"
    with asking(daemon, f"run `{command}`") as stream:
        needed = stream.until("approval_needed")
        (card,) = daemon.guard("ListPending", {"id": needed["approval"]})["approvals"]
        assert answered(daemon, card) == {}
        stream.until("output")
        with _full(disk):
            _problem_when_full(daemon, {"prompt": QUESTION})
            (place / "go").touch()
            failed = stream.until("turn_failed")
            assert (failed["code"], failed["exit_status"]) == ("storage", 78)
            assert failed["message"].startswith("the transcripts cannot be stored: ")
            assert not list(stream)
    wait_until(lambda: not processes_with(str(place)), "the command to end")
    decided, ended = daemon.records(session=card["session"])
    assert (decided["decision"], decided["uid"]) == ("approved", default_person())
    assert ended["outcome"] in {"done", "cancelled"}
    again = daemon.ask(QUESTION, session=card["session"])
    assert again[-1]["exit_status"] == 0
    assert [state for state, _status in _turns(daemon, card["session"])][-1] == "done"


def test_a_session_interrupted_by_a_full_disk_is_whole_after_a_restart() -> None:
    with running(start=False) as daemon, _small_disk(daemon, "users") as disk:
        _restart_on_a_full_disk(daemon, disk)


def _restart_on_a_full_disk(daemon: Daemon, disk: Path) -> None:
    session = daemon.ask(QUESTION)[0]["session"]
    with _full(disk):
        _problem_when_full(daemon, {"prompt": QUESTION, "session": session})
        daemon.stop()
    daemon.start()
    again = daemon.ask(QUESTION, session=session)
    assert again[-1]["exit_status"] == 0
    assert {state for state, _status in _turns(daemon, session)} <= {"done", "failed", "interrupted"}
    path = f"/v1/sessions/{session}/events?after=0&follow=false"
    numbers = [event["seq"] for event in daemon.api("GET", path, accept=LINES).events()]
    assert numbers == sorted(set(numbers))
