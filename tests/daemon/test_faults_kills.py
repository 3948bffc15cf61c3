"""Processes killed at the worst moment: nothing goes on unseen, the record says so, the session can be continued."""

import base64
import itertools
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import asking
from tests.daemon.cards import answered, card_of, own_folder, proposed, said, stored_state
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon, guard_pid, processes_with, wait_until
from tests.daemon.people import OTHER, PERSON, default_person, needs_root

_NUMBERS = itertools.count(10_000 + secrets.randbelow(10**6) * 1000)


@pytest.fixture
def naps() -> str:
    """A `sleep` that no other process runs: its line finds it in the process table."""
    return f"sleep 9{next(_NUMBERS)}"


def _kill_daemon(daemon: Daemon) -> None:
    assert daemon.process is not None
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL


def _kill_guard(daemon: Daemon) -> None:
    os.kill(guard_pid(daemon), signal.SIGKILL)


def _kill_both(daemon: Daemon) -> None:
    assert daemon.process is not None
    guard = guard_pid(daemon)
    daemon.process.send_signal(signal.SIGSTOP)  # so that it does not start another guard in between
    os.kill(guard, signal.SIGKILL)
    _kill_daemon(daemon)


def _outline(daemon: Daemon, session: str) -> list[str]:
    """What became of a session's commands, by the record."""
    return [each.get("decision") or each["outcome"] for each in daemon.records(session=session)]


def _whole(daemon: Daemon, session: str) -> None:
    """The record's chain is whole, the conversation too, and both go on."""
    assert daemon.guard("Verify", uid=os.geteuid()) == {"problems": []}
    events = daemon.ask("how much memory is free?", session=session)
    assert events[-1]["exit_status"] == 0
    assert "GiB" in said(events)


def _last_turn(daemon: Daemon, session: str) -> tuple[str, int]:
    turn = daemon.api("GET", f"/v1/sessions/{session}").json["turns"][-1]
    return turn["state"], turn["exit_status"]


def _events(daemon: Daemon, session: str) -> list[dict[str, Any]]:
    path = f"/v1/sessions/{session}/events?after=0&follow=false"
    return daemon.api("GET", path, accept="application/x-ndjson").events()


# aiosd ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kill", "end"),
    [(_kill_daemon, "cancelled"), (_kill_both, "lost")],
    ids=["aiosd", "aiosd and guard"],
)
def test_when_aiosd_is_killed_in_mid_turn_the_command_ends_and_the_session_goes_on(
    make_daemon: MakeDaemon, naps: str, kill: Callable[[Daemon], None], end: str
) -> None:
    daemon = make_daemon()
    with proposed(daemon, f"bash -c \"trap '' TERM; echo begun; setsid {naps} & {naps}\"") as (stream, card):
        assert answered(daemon, card) == {}
        assert stream.until("output")["text"] == "begun\n"
        kill(daemon)
    wait_until(lambda: not processes_with(naps), "the command to end")
    wait_until(lambda: not processes_with(str(daemon.folder)), "the guard to end")
    daemon.start()
    session = card["session"]
    assert _outline(daemon, session) == ["approved", end]
    assert _last_turn(daemon, session) == ("interrupted", 75)
    events = _events(daemon, session)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["type"], events[-1]["code"]) == ("turn_failed", "interrupted")
    assert stored_state(daemon, card["id"])[0] == "consumed"
    _whole(daemon, session)
    assert _events(daemon, session)[: len(events)] == events


def test_when_aiosd_is_killed_while_a_card_waits_the_card_is_over(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    place: Path = own_folder(daemon, "place")
    with proposed(daemon, f"touch {place}/made") as (_stream, card):
        _kill_daemon(daemon)
    wait_until(lambda: not processes_with(str(daemon.folder)), "the guard to end")
    daemon.start()
    assert answered(daemon, card)["error"] == "io.aios.Guard.NotPending"
    assert stored_state(daemon, card["id"])[0] == "expired"
    assert _outline(daemon, card["session"]) == ["cancelled"]
    assert _last_turn(daemon, card["session"]) == ("interrupted", 75)
    assert list(place.iterdir()) == []
    _whole(daemon, card["session"])


def test_an_aiosd_that_is_started_again_at_once_waits_for_the_old_guard_to_end(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    session = daemon.ask("how much memory is free?")[0]["session"]
    old = guard_pid(daemon)
    os.kill(old, signal.SIGSTOP)
    _kill_daemon(daemon)
    daemon.launch()
    wait_until(lambda: _is_asked(daemon), "the new daemon to knock at the old guard")
    os.kill(old, signal.SIGCONT)
    daemon.await_answer()
    assert guard_pid(daemon) != old
    _whole(daemon, session)
    kinds = [record["kind"] for record in daemon.records() if record["kind"] in {"started", "stopped"}]
    assert kinds == ["started", "stopped", "started"]


def _is_asked(daemon: Daemon) -> bool:
    """Whether a connection waits at the guard's socket (proc(5), net/unix)."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()
    return sum(line.endswith(daemon.guard_path) for line in lines) > 1


def test_two_guards_never_write_one_record(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    session = daemon.ask("how much memory is free?")[0]["session"]
    other = make_daemon(start=False, environment={"XDG_STATE_HOME": str(daemon.folder / "state")})
    other.launch()
    wait_until(lambda: "another guard writes this record" in other.log, "the second guard to refuse")
    before = daemon.records()
    _whole(daemon, session)
    assert daemon.records()[: len(before)] == before
    assert {record["kind"] for record in daemon.records()} == {"started", "decided", "done"}


# The guard ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("observing", [True, False], ids=["observing", "approved"])
def test_when_the_guard_is_killed_in_mid_command_the_command_ends_and_the_session_goes_on(
    make_daemon: MakeDaemon, naps: str, observing: bool
) -> None:
    daemon = make_daemon()
    if observing:
        with asking(daemon, f"run `{naps}`") as stream:
            session = stream.until("session_started")["session"]
            wait_until(lambda: bool(processes_with(naps)), "the command to run")
            _kill_guard(daemon)
            done, ended = stream.until("call_done"), stream.until("turn_done")
    else:
        with proposed(daemon, f"bash -c \"trap '' TERM; echo begun; setsid {naps} & {naps}\"") as (stream, card):
            session = card["session"]
            assert answered(daemon, card) == {}
            assert stream.until("output")["text"] == "begun\n"
            _kill_guard(daemon)
            done, ended = stream.until("call_done"), stream.until("turn_done")
    assert (done["outcome"], done["reason"]) == ("cancelled", "the guard ended in the middle of a call")
    assert ended["exit_status"] == 130
    wait_until(lambda: not processes_with(naps), "the command to end")
    wait_until(lambda: _guard_answers(daemon), "another guard")
    assert _outline(daemon, session) == ["allowed" if observing else "approved", "lost"]
    lost = daemon.records(session=session)[-1]
    assert lost["reason"] == "the guard ended before the action; its processes ended with it"
    assert _last_turn(daemon, session) == ("done", 130)
    _whole(daemon, session)


def test_when_the_guard_is_killed_while_a_card_waits_it_waits_on_and_runs_once(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    place: Path = own_folder(daemon, "place")
    with proposed(daemon, f"mkdir {place}/made") as (stream, card):
        for _ in range(2):
            _kill_guard(daemon)
            wait_until(lambda: _guard_answers(daemon), "another guard")
        assert card_of(daemon, card["id"]) == card
        assert answered(daemon, card) == {}
        assert stream.until("call_done")["outcome"] == "done"
        assert stream.until("turn_done")["exit_status"] == 0
    assert [each["type"] for each in _events(daemon, card["session"])].count("approval_needed") == 1
    assert (place / "made").is_dir()
    assert stored_state(daemon, card["id"]) == ("consumed", default_person())
    assert answered(daemon, card)["error"] == "io.aios.Guard.NotPending"
    assert _outline(daemon, card["session"]) == ["approved", "done"]
    _whole(daemon, card["session"])


def test_a_yes_to_what_has_changed_while_no_guard_ran_is_asked_about_anew(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    place: Path = own_folder(daemon, "place")
    script = place / "script"
    script.write_text("touch first")
    with proposed(daemon, f"cd {place} && sh script") as (stream, card):
        _kill_guard(daemon)
        script.write_text("touch second")
        other = stream.until("approval_needed")["approval"]
        assert other != card["id"]
        assert answered(daemon, card)["error"] == "io.aios.Guard.NotPending"
        assert answered(daemon, card_of(daemon, other), approve=False) == {}
        assert stream.until("call_done")["outcome"] == "denied"
    assert list(place.iterdir()) == [script]
    assert stored_state(daemon, card["id"])[0] == "expired"


@needs_root
def test_a_guard_that_comes_after_a_killed_one_knows_whose_the_sessions_are(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    session = daemon.ask("how much memory is free?")[0]["session"]
    _kill_guard(daemon)
    wait_until(lambda: _guard_answers(daemon), "another guard")
    proposal = {"session": session, "call": "later", "command": "id -u", "cwd": "/"}
    with daemon.guard_stream("Execute", proposal, uid=OTHER) as replies:
        assert next(replies)["error"] == "io.aios.Guard.NoSession"
    with daemon.guard_stream("Execute", proposal, uid=PERSON) as replies:
        output = next(event for event in replies if event["event"] == "output")
        assert next(event for event in replies if event["event"] == "done")["outcome"] == "done"
    assert base64.b64decode(output["data"]) == f"{PERSON}\n".encode()


def test_a_guard_that_is_killed_again_and_again_comes_back_each_time(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    seen = set()
    for _ in range(3):
        seen.add(guard_pid(daemon))
        _kill_guard(daemon)
        wait_until(lambda: _guard_answers(daemon), "another guard")
        assert daemon.process is not None
        children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text()
        assert children.split() == [str(guard_pid(daemon))]  # nothing of the dead one, and nothing dead
    assert len(seen) == 3
    assert guard_pid(daemon) not in seen
    assert daemon.guard("Verify", uid=os.geteuid()) == {"problems": []}
    assert daemon.ask("how much memory is free?")[-1]["exit_status"] == 0


def _guard_answers(daemon: Daemon) -> bool:
    return bool(daemon.api("GET", "/v1/status").json["guard"] == "ok")


# The sandbox ----------------------------------------------------------------------------------------------------------


def test_when_a_sandbox_is_killed_its_command_is_refused_and_the_next_gets_another(
    make_daemon: MakeDaemon, naps: str
) -> None:
    daemon = make_daemon()
    with asking(daemon, f"run `{naps}`") as stream:
        session = stream.until("session_started")["session"]
        wait_until(lambda: bool(processes_with(naps)), "the command to run")
        (command,) = processes_with(naps)
        os.kill(_parent(command), signal.SIGKILL)  # the worker, first of its pid namespace
        done = stream.until("call_done")
        assert (done["outcome"], done["reason"]) == ("refused", "no sandbox: the worker was lost")
        assert stream.until("turn_done")["exit_status"] == 78
    assert not processes_with(naps)
    assert _outline(daemon, session) == ["allowed", "refused"]
    _whole(daemon, session)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
