"""Commands that misbehave: what is left of each in the process table, on the record and in the session."""

import itertools
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import Stream, asking
from tests.daemon.cards import answered, own_folder, proposed, said
from tests.daemon.conftest import running
from tests.daemon.harness import Daemon, processes_with

_NUMBERS = itertools.count(10_000 + secrets.randbelow(10**6) * 1000)
OUTPUT_BYTES = 200_000


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose commands have two seconds."""
    config = f"[guard]\ntimeout_s = 2\noutput_bytes = {OUTPUT_BYTES}\n[agent]\nresult_bytes = 4096\n"
    with running(config=config) as made:
        yield made


@pytest.fixture
def naps() -> str:
    """A `sleep` that no other process runs: its line finds it in the process table."""
    return f"sleep 9{next(_NUMBERS)}"


def _approved(daemon: Daemon, command: str) -> list[dict[str, Any]]:
    """The rest of the turn after a person's yes."""
    with proposed(daemon, command) as (stream, card):
        assert answered(daemon, card) == {}
        return list(stream)


def _done(events: list[dict[str, Any]]) -> dict[str, Any]:
    (done,) = (event for event in events if event["type"] == "call_done")
    return done


def _recorded(daemon: Daemon, session: str) -> dict[str, Any]:
    """The record of the end of a session's only command."""
    decided, done = daemon.records(session=session)
    assert (decided["kind"], done["kind"], decided["call"]) == ("decided", "done", done["call"])
    return done


def _goes_on(daemon: Daemon, session: str) -> None:
    """The session can be continued."""
    events = daemon.ask("how much memory is free?", session=session)
    assert events[-1]["exit_status"] == 0
    assert "GiB" in said(events)


# Time -----------------------------------------------------------------------------------------------------------------


def test_a_command_that_takes_too_long_is_ended_and_its_record_says_so(daemon: Daemon, naps: str) -> None:
    with asking(daemon, f"run `{naps}`") as stream:
        session = stream.until("session_started")["session"]
        stream.until("decision")
        done = stream.until("call_done")
        assert not processes_with(naps)
        assert (done["outcome"], done["status"], done["reason"]) == ("timed_out", -1, "ended after 2 s")
        assert stream.until("turn_done")["exit_status"] == 124
    recorded = _recorded(daemon, session)
    assert (recorded["outcome"], recorded["status"], recorded["reason"]) == ("timed_out", -1, "ended after 2 s")
    assert recorded["duration_ms"] >= 2000
    _goes_on(daemon, session)


def test_a_command_within_its_time_is_not_ended(daemon: Daemon) -> None:
    events = daemon.ask("run `sleep 0.2`")
    assert (_done(events)["outcome"], events[-1]["exit_status"]) == ("done", 0)


@pytest.mark.parametrize(
    "script",
    [
        "echo begun; {0}",
        "trap '' TERM INT HUP; echo begun; {0}",
        "echo begun; {0} & {0} & wait",
        "echo begun; setsid nohup {0} >/dev/null 2>&1 & (trap '' TERM; {0} & {0})",
        "echo begun; (cd /; exec setsid {0}) & while :; do :; done",
    ],
    ids=["plain", "ignores TERM", "with children", "with orphans", "busy"],
)
def test_a_whole_tree_that_takes_too_long_is_ended(daemon: Daemon, naps: str, script: str) -> None:
    events = _approved(daemon, f'bash -c "{script.format(naps)}"')
    assert not processes_with(naps)
    done = _done(events)
    assert (done["outcome"], done["output_bytes"]) == ("timed_out", 6)
    assert events[-1]["exit_status"] == 124
    assert "begun" in said(events)  # what it said until then is not lost
    recorded = _recorded(daemon, done["session"])
    assert (recorded["outcome"], recorded["output_bytes"]) == ("timed_out", 6)
    _goes_on(daemon, done["session"])


# Output ---------------------------------------------------------------------------------------------------------------


def test_ten_megabytes_of_output_are_bounded_and_marked(daemon: Daemon) -> None:
    with asking(daemon, "run `seq 1 1400000`") as stream:
        events = list(stream)
    total = sum(len(str(number)) + 1 for number in range(1, 1_400_001))
    assert total > 10_000_000
    done = _done(events)
    assert (done["outcome"], done["output_bytes"], done["truncated"]) == ("done", total, True)
    shown = [event["text"] for event in events if event["type"] == "output"]
    assert len("".join(shown)) == 64 * 1024  # what clients see of one call
    assert "".join(shown).startswith("1\n2\n3\n")
    assert len(said(events)) < 4096 + 500  # what the model got, and showed
    assert events[-1]["exit_status"] == 0
    recorded = _recorded(daemon, done["session"])
    assert (recorded["outcome"], recorded["output_bytes"], recorded["truncated"]) == ("done", total, True)
    _goes_on(daemon, done["session"])


def test_the_guard_passes_on_no_more_than_it_may(daemon: Daemon) -> None:
    session = daemon.guard("OpenSession")["session"]
    parameters = {"session": session, "call": "call-1", "command": "head -c 5000000 /dev/zero", "cwd": "/"}
    with daemon.guard_stream("Execute", parameters) as replies:
        events = list(itertools.takewhile(lambda event: event.get("event") != "done", replies))
    passed = sum(len(event["data"]) * 3 // 4 - event["data"].count("=") for event in events if "data" in event)
    assert passed == OUTPUT_BYTES
    recorded = _recorded(daemon, session)
    assert (recorded["output_bytes"], recorded["truncated"]) == (5_000_000, True)


def test_output_within_the_bounds_is_whole_and_not_marked(daemon: Daemon) -> None:
    events = daemon.ask("run `seq 1 500`")
    done = _done(events)
    assert (done["output_bytes"], done["truncated"]) == (1892, False)
    assert "".join(event["text"] for event in events if event["type"] == "output") == "".join(
        f"{number}\n" for number in range(1, 501)
    )
    assert not _recorded(daemon, done["session"])["truncated"]


def test_output_that_never_ends_ends_with_the_commands_time(daemon: Daemon) -> None:
    with proposed(daemon, "touch /nowhere/x; yes") as (stream, card):
        assert answered(daemon, card) == {}
        done = stream.until("call_done")
        assert (done["outcome"], done["truncated"]) == ("timed_out", True)
        assert done["output_bytes"] > OUTPUT_BYTES
        assert stream.until("turn_done")["exit_status"] == 124
    assert _recorded(daemon, card["session"])["outcome"] == "timed_out"
    _goes_on(daemon, card["session"])


# What stays in the background -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "{0} & echo started",
        "setsid {0} & disown; echo started",
        "(trap '' TERM HUP; {0}) & echo started",
        "(setsid nohup {0} & ) ; echo started",
    ],
    ids=["a job", "a session of its own", "ignores TERM", "an orphan"],
)
def test_what_a_command_leaves_in_the_background_ends_with_it_and_holds_up_nothing(
    daemon: Daemon, naps: str, script: str
) -> None:
    """It holds the pipe open: whoever waited for the end of the output would wait for it."""
    events = _approved(daemon, f'bash -c "{script.format(naps)}"')
    assert not processes_with(naps)
    done = _done(events)
    assert (done["outcome"], done["status"]) == ("done", 0)
    assert "started" in said(events)
    assert events[-1]["exit_status"] == 0
    assert _recorded(daemon, done["session"])["outcome"] == "done"


# Cancelling -----------------------------------------------------------------------------------------------------------


def _cancelled(daemon: Daemon, stream: Stream, session: str) -> None:
    assert daemon.api("POST", f"/v1/sessions/{session}/cancel").json == {"cancelled": True}
    failed = stream.until("turn_failed")
    assert (failed["code"], failed["exit_status"]) == ("interrupted", 130)
    assert not list(stream)


@pytest.fixture(scope="module")
def patient() -> Iterator[Daemon]:
    """A daemon whose commands have their usual time."""
    with running() as made:
        yield made


def test_cancelling_in_mid_command_ends_the_command_and_the_record_says_so(patient: Daemon, naps: str) -> None:
    with proposed(patient, f"bash -c \"trap '' TERM; echo begun; {naps} & {naps}\"") as (stream, card):
        assert answered(patient, card) == {}
        assert stream.until("output")["text"] == "begun\n"  # while it runs
        _cancelled(patient, stream, card["session"])
    recorded = _recorded(patient, card["session"])
    assert (recorded["outcome"], recorded["reason"]) == ("cancelled", "interrupted")
    assert not processes_with(naps)
    detail = patient.api("GET", f"/v1/sessions/{card['session']}").json
    assert [(turn["state"], turn["exit_status"]) for turn in detail["turns"]] == [("interrupted", 130)]
    _goes_on(patient, card["session"])


def test_cancelling_an_observing_command_leaves_its_sandbox_usable(patient: Daemon, naps: str) -> None:
    with asking(patient, f"run `{naps}`") as stream:
        session = stream.until("session_started")["session"]
        stream.until("decision")
        _cancelled(patient, stream, session)
    assert _recorded(patient, session)["outcome"] == "cancelled"
    assert not processes_with(naps)
    _goes_on(patient, session)


def test_a_client_that_goes_away_does_not_end_its_command(patient: Daemon) -> None:
    place: Path = own_folder(patient, "gone")
    command = f"bash -c 'until [ -e {place}/go ]; do sleep 0.05; done; echo reached'"
    with proposed(patient, command) as (_stream, card):
        assert answered(patient, card) == {}
    (place / "go").touch()
    path = f"/v1/sessions/{card['session']}/events?after=0"
    events = patient.api("GET", path, accept="application/x-ndjson").events()
    assert "reached" in said(events)
    assert events[-1]["exit_status"] == 0
    assert _recorded(patient, card["session"])["outcome"] == "done"
