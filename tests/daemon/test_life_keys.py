"""Each configuration key that no other test shows by its effect: what happens with it, and what without."""

import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import SLEEP, asking
from tests.daemon.cards import answered, own_folder, proposed
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon, guard_pid, processes_with, read_replies, send_call, wait_until
from tests.daemon.people import default_person, needs_root

QUESTION = "how much memory is free?"
THIRSTY = 'aiosd.daemon.BuiltinModel = __import__("tests.doubles.thirsty", fromlist=["x"]).ThirstyModel'
SWEEPING = "aiosd.session.manager._SWEEP_S = 0.1"


def _end(events: list[dict[str, Any]]) -> tuple[Any, ...]:
    last = events[-1]
    return last["type"], last.get("code"), last["exit_status"]


# [agent] --------------------------------------------------------------------------------------------------------------


def test_agent_model_names_a_model_that_there_is(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False, config='[agent]\nmodel = "builtins"\n')
    daemon.launch()
    assert daemon.process is not None
    assert daemon.process.wait(30) == 78
    daemon.process = None
    file = daemon.folder / "etc" / "config.toml"
    assert f"aiosd: {file}: agent.model: there is no model 'builtins'; did you mean 'builtin'?\n" in daemon.log


def test_agent_max_seconds_ends_a_turn_and_what_it_runs(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[agent]\nmax_seconds = 1\n")
    with asking(daemon, SLEEP) as stream:
        session = stream.until("session_started")["session"]
        failed = stream.until("turn_failed")
    assert (failed["code"], failed["exit_status"]) == ("budget_exceeded", 80)
    assert failed["message"] == "the turn took its 1 s"
    assert [each.get("decision") or each["outcome"] for each in daemon.records(session=session)] == [
        "allowed",
        "cancelled",
    ]
    assert not [pid for pid in processes_with("sleep 1000") if _is_below(pid, guard_pid(daemon))]
    assert daemon.ask(QUESTION, session=session)[-1]["exit_status"] == 0


@pytest.mark.parametrize(
    ("tokens", "end"),
    [(600, ("turn_failed", "budget_exceeded", 80)), (601, ("turn_done", None, 0))],
    ids=["spent", "not spent"],
)
def test_agent_max_tokens_bounds_a_turn(make_daemon: MakeDaemon, tokens: int, end: tuple[Any, ...]) -> None:
    """Two answers of 600 tokens: the second is not asked for when there is nothing left."""
    daemon = make_daemon(config=f"[agent]\nmax_tokens = {tokens}\n", patches=(THIRSTY,))
    assert _end(daemon.ask(QUESTION)) == end


@pytest.mark.parametrize(
    ("steps", "end"),
    [(1, ("turn_failed", "budget_exceeded", 80)), (2, ("turn_done", None, 0))],
)
def test_agent_max_steps_bounds_a_turn(make_daemon: MakeDaemon, steps: int, end: tuple[Any, ...]) -> None:
    daemon = make_daemon(config=f"[agent]\nmax_steps = {steps}\n")
    assert _end(daemon.ask(QUESTION)) == end


@pytest.mark.parametrize(("size", "cut"), [(1024, True), (2048, False)])
def test_agent_result_bytes_bounds_what_the_model_gets(make_daemon: MakeDaemon, size: int, cut: bool) -> None:
    daemon = make_daemon(config=f"[agent]\nresult_bytes = {size}\n")
    (done,) = (event for event in daemon.ask("run `seq 1 500`") if event["type"] == "call_done")
    assert (done["output_bytes"], done["truncated"]) == (1892, cut)


# [sessions] -----------------------------------------------------------------------------------------------------------


def _sessions(daemon: Daemon) -> set[str]:
    return {session["id"] for session in daemon.api("GET", "/v1/sessions").json["sessions"]}


def test_sessions_keep_days_bounds_the_age_of_transcripts(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    old, new = (daemon.ask(QUESTION)[0]["session"] for _ in range(2))
    daemon.stop()
    with closing(sqlite3.connect(daemon.state / "users" / f"{default_person()}.db")) as database, database:
        database.execute("UPDATE sessions SET used_at = '2020-01-01T00:00:00.000Z' WHERE id = ?", (old,))
    daemon.config = "[sessions]\nkeep_days = 40000\n"
    daemon.patches = (SWEEPING,)
    daemon.start()
    assert daemon.ask("run `sleep 0.5`")[-1]["exit_status"] == 0
    assert {old, new} < _sessions(daemon)
    daemon.stop()
    daemon.config = "[sessions]\nkeep_days = 30\n"
    daemon.start()
    wait_until(lambda: old not in _sessions(daemon), "the old session to go")
    assert new in _sessions(daemon)


def test_sessions_keep_mib_bounds_the_size_of_transcripts(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    made = [daemon.ask("?", input="x" * 600_000)[0]["session"] for _ in range(4)]
    assert set(made) == _sessions(daemon)
    daemon.stop()
    daemon.config = "[sessions]\nkeep_mib = 1\n"
    daemon.patches = (SWEEPING,)
    daemon.start()
    wait_until(lambda: made[0] not in _sessions(daemon), "the oldest session to go")
    assert made[-1] in _sessions(daemon)


# [guard] --------------------------------------------------------------------------------------------------------------


def test_guard_max_timeout_s_bounds_what_a_proposal_may_ask_for(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[guard]\ntimeout_s = 1\nmax_timeout_s = 2\n")
    parameters = {"session": daemon.guard("OpenSession")["session"], "call": "c", "command": "sleep 1.5", "cwd": "/"}
    with daemon.guard_stream("Execute", {**parameters, "timeout_s": 3}) as replies:
        assert next(replies) == {"error": "org.varlink.service.InvalidParameter", "parameter": "timeout_s"}
    for timeout, outcome in ((None, "timed_out"), (2, "done")):
        with daemon.guard_stream("Execute", {**parameters, "timeout_s": timeout}) as replies:
            assert next(replies)["event"] == "decision"
            assert next(replies)["outcome"] == outcome


def test_guard_approval_wait_s_bounds_how_long_a_card_waits(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[guard]\napproval_wait_s = 1\n")
    place = own_folder(daemon, "place")
    for wait_s in (0, 86_400):  # who asks may shorten it, not lengthen it
        with proposed(daemon, f"touch {place}/made", wait_s=wait_s) as (stream, _card):
            assert stream.until("call_done")["outcome"] == "unanswered"
            assert stream.until("turn_done")["exit_status"] == 79
    assert list(place.iterdir()) == []


@needs_root
@pytest.mark.parametrize("user", ["games", "daemon"])
def test_guard_observe_user_says_with_whose_rights_root_observes(make_daemon: MakeDaemon, user: str) -> None:
    daemon = make_daemon(config=f'[guard]\nobserve_user = "{user}"\n')
    output = [event["text"] for event in daemon.ask("run `id -un`", uid=0) if event["type"] == "output"]
    assert output == [f"{user}\n"]


def test_guard_connections_per_user_bounds_the_guards_socket(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[guard]\nconnections_per_user = 2\n")
    who = default_person()
    with daemon.connect(who, daemon.guard_path) as one, daemon.connect(who, daemon.guard_path) as two:
        for connection in (one, two):
            send_call(connection, "Ping", {})
            assert next(read_replies(connection))["mode"] == "standalone"
        with daemon.connect(who, daemon.guard_path) as third:
            assert third.recv(1) == b""
        send_call(one, "Ping", {})
        assert next(read_replies(one))["mode"] == "standalone"
    wait_until(lambda: _answers(daemon), "the closed connections to count no more")


def test_it_bounds_not_how_much_aiosd_does_for_people_at_once(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[guard]\nconnections_per_user = 2\n")
    place = own_folder(daemon, "place")
    with ExitStack() as stack:
        waiting = [stack.enter_context(proposed(daemon, f"touch {place}/{number}")) for number in range(3)]
        who = default_person()
        with daemon.connect(who, daemon.guard_path) as one, daemon.connect(who, daemon.guard_path) as two:
            for connection in (one, two):
                send_call(connection, "Ping", {})
                assert next(read_replies(connection))["pending"] == 3
        wait_until(lambda: _answers(daemon), "the closed connections to count no more")
        for stream, card in waiting:
            assert answered(daemon, card) == {}
            assert stream.until("turn_done")["exit_status"] == 0
    assert sorted(os.listdir(place)) == ["0", "1", "2"]


def _answers(daemon: Daemon) -> bool:
    try:
        return "mode" in daemon.guard("Ping")
    except (StopIteration, OSError):
        return False


def test_guard_spare_workers_says_how_many_sandboxes_are_kept_ready(make_daemon: MakeDaemon) -> None:
    with_spares, without = make_daemon(), make_daemon(config="[guard]\nspare_workers = 0\n")
    for daemon in (with_spares, without):
        assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
    wait_until(lambda: _sandboxes(with_spares) > 1, "a sandbox ahead of the next question")
    assert _sandboxes(without) == 1


def test_guard_worker_idle_s_says_how_long_a_sandbox_stays(make_daemon: MakeDaemon) -> None:
    staying, going = make_daemon(), make_daemon(config="[guard]\nworker_idle_s = 0\n")
    for daemon in (staying, going):
        assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
        assert _sandboxes(daemon) > 0
    wait_until(lambda: _sandboxes(going) == 0, "the sandboxes to end")
    assert _sandboxes(staying) > 0


def _sandboxes(daemon: Daemon) -> int:
    """How many children the guard has, but for the launcher that waits to be one."""
    guard = guard_pid(daemon)
    children = [
        child
        for thread in os.listdir(f"/proc/{guard}/task")
        for child in Path(f"/proc/{guard}/task/{thread}/children").read_text().split()
    ]
    return sum(b"main_ahead" not in _read_line(child) for child in children)


def _read_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return b"main_ahead"


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
        if pid == ancestor:
            return True
    return False
