"""A daemon's life from outside: stopping, reloading, its place, whose it is, and what it says when it cannot begin."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.asking import LINES, SLEEP, asking, send_question
from tests.daemon.cards import answered, own_folder, proposed, said
from tests.daemon.conftest import MakeDaemon, running
from tests.daemon.harness import (
    DEADLINE_S,
    Daemon,
    Ran,
    guard_pid,
    processes_with,
    read_replies,
    read_response,
    send_call,
    wait_until,
)
from tests.daemon.people import OTHER, PERSON, needs_root

QUESTION = "how much memory is free?"


def _outcomes(daemon: Daemon, session: str) -> list[str]:
    return [each.get("decision") or each["outcome"] for each in daemon.records(session=session)]


def test_no_ended_sandbox_stays_among_the_processes(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    for _ in range(7):  # more sessions than keep a sandbox
        assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
    assert daemon.process is not None
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    wait_until(lambda: children.read_text(encoding="ascii").split() == [str(guard_pid(daemon))], "the orphans' end")


# Stopping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_refuses_what_is_new_and_lets_a_turn_come_to_its_end(
    make_daemon: MakeDaemon, number: signal.Signals
) -> None:
    daemon = make_daemon()
    place = own_folder(daemon, "place")
    command = f"bash -c 'echo begun; until [ -e {place}/go ]; do sleep 0.05; done; echo reached'"
    with daemon.connect() as early, proposed(daemon, command) as (stream, card):
        assert answered(daemon, card) == {}
        assert stream.until("output")["text"] == "begun\n"
        assert daemon.process is not None
        daemon.process.send_signal(number)
        wait_until(lambda: _refuses_connections(daemon), "the daemon to take no more connections")
        send_question(early, QUESTION)
        refused = read_response(early)
        assert (refused.status, refused.json["code"], refused.json["exit_status"]) == (503, "stopping", 75)
        (place / "go").touch()
        events = list(stream)
        assert "reached" in said(events)
        assert (events[-1]["type"], events[-1]["exit_status"]) == ("turn_done", 0)
        assert daemon.process.wait(DEADLINE_S) == 0
        daemon.process = None
    wait_until(lambda: not processes_with(str(daemon.run_dir)), "the guard to end")
    assert not os.path.exists(daemon.socket_path)
    assert not os.path.exists(daemon.guard_path)
    daemon.start()
    assert _outcomes(daemon, card["session"]) == ["approved", "done"]
    turns = daemon.api("GET", f"/v1/sessions/{card['session']}").json["turns"]
    assert [(turn["state"], turn["exit_status"]) for turn in turns] == [("done", 0)]
    kinds = [record["kind"] for record in daemon.records() if record["kind"] in {"started", "stopped"}]
    assert kinds == ["started", "stopped", "started"]


def _refuses_connections(daemon: Daemon) -> bool:
    try:
        daemon.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_turn_has_so_long_to_end_and_is_then_interrupted(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[daemon]\ndrain_s = 1\n")
    with asking(daemon, SLEEP) as stream:
        session = stream.until("session_started")["session"]
        stream.until("decision")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        failed = stream.until("turn_failed")
        assert (failed["code"], failed["exit_status"]) == ("interrupted", 130)
        assert daemon.process.wait(DEADLINE_S) == 0
        daemon.process = None
    daemon.start()
    assert _outcomes(daemon, session) == ["allowed", "cancelled"]
    events = daemon.ask(QUESTION, session=session)
    assert events[-1]["exit_status"] == 0


# Reloading ------------------------------------------------------------------------------------------------------------


def _tier(daemon: Daemon, command: str) -> str:
    tier: str = daemon.api("POST", "/v1/policy/check", {"command": command}).json["tier"]
    return tier


def _value(daemon: Daemon, key: str) -> str:
    entries = daemon.api("GET", "/v1/config").json["entries"]
    return next(str(entry["value"]) for entry in entries if entry["key"] == key)


def test_a_hangup_reloads_configuration_and_policy_and_keeps_the_old_where_the_new_is_broken(
    make_daemon: MakeDaemon,
) -> None:
    daemon = make_daemon()
    assert daemon.process is not None
    guard = guard_pid(daemon)
    config, policy = daemon.folder / "etc" / "config.toml", daemon.folder / "etc" / "policy.d" / "50-test.toml"
    assert _tier(daemon, "mkdir x") == "require_approval"

    def reload() -> None:
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)

    with asking(daemon, "run `sleep 1`") as stream:  # goes through all of it
        session = stream.until("session_started")["session"]
        daemon.config = "[limits]\nbody_bytes = 5000\n[guard]\noutput_bytes = 10\n"
        daemon.policy = '[[rule]]\npattern = ["mkdir"]\ntier = "deny"\nreason = "No."\nmatch = ["mkdir x"]\n'
        daemon.write_config()
        reload()
        wait_until(lambda: _value(daemon, "limits.body_bytes") == "5000", "the new configuration")
        wait_until(lambda: _tier(daemon, "mkdir x") == "deny", "the new policy")
        assert stream.until("turn_done")["exit_status"] == 0
    assert daemon.api("POST", "/v1/policy/check", b" " * 5001).status == 413
    (done,) = (event for event in daemon.ask("run `seq 20`", session=session) if event["type"] == "call_done")
    assert (done["output_bytes"], done["truncated"]) == (51, True)

    good = config.read_text()
    config.write_text(f"{good}[limit]\nbody_byte = 1\n")
    reload()
    kept = (
        f"the configuration stays as it was: {config}: unknown key 'limit.body_byte'; did you mean 'limits.body_bytes'?"
    )
    wait_until(lambda: kept in daemon.log, "the daemon to say what is wrong")
    assert _value(daemon, "limits.body_bytes") == "5000"

    config.write_text(good)
    policy.write_text(daemon.policy.replace('"deny"', '"denied"'))
    reload()
    wait_until(lambda: f"kept the old policy: {policy}" in daemon.log, "the guard to say what is wrong")
    assert _tier(daemon, "mkdir x") == "deny"
    policy.unlink()
    reload()
    wait_until(lambda: _tier(daemon, "mkdir x") == "require_approval", "the mended policy")
    assert guard_pid(daemon) == guard
    assert daemon.ask("run `true`", session=session)[-1]["exit_status"] == 0


# Its place ------------------------------------------------------------------------------------------------------------


def _try_to_start(daemon: Daemon) -> Ran:
    """One more daemon at the same place, which is not to begin."""
    ran = subprocess.run(
        daemon.command("--standalone"),
        capture_output=True,
        env=daemon.variables(),
        check=False,
        timeout=DEADLINE_S,
        cwd="/",
    )
    return Ran(status=ran.returncode, out=ran.stdout.decode(), err=ran.stderr.decode())


def test_a_second_daemon_at_the_same_place_says_so_and_leaves_the_first_alone(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    session = daemon.ask(QUESTION)[0]["session"]
    hint = "stop it, or set XDG_RUNTIME_DIR to another folder"
    assert _try_to_start(daemon) == Ran(
        status=78, out="", err=f"aiosd: another daemon serves {daemon.socket_path}; {hint}\n"
    )
    assert daemon.ask(QUESTION, session=session)[-1]["exit_status"] == 0
    assert daemon.guard("Verify", uid=os.geteuid()) == {"problems": []}


def test_a_socket_that_a_dead_daemon_left_is_replaced(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    daemon.run_dir.mkdir(parents=True)
    for path in (daemon.socket_path, daemon.guard_path):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
    daemon.start()
    assert daemon.ask(QUESTION)[-1]["exit_status"] == 0


def test_what_is_no_socket_is_not_replaced(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    daemon.write_config()
    daemon.run_dir.mkdir(parents=True)
    Path(daemon.socket_path).write_text("somebody's")
    ran = _try_to_start(daemon)
    assert (ran.status, ran.out) == (78, "")
    assert ran.err.startswith(f"aiosd: {daemon.socket_path}: Address already in use; ")
    assert Path(daemon.socket_path).read_text() == "somebody's"
    assert not daemon.state.exists()


# Whose it is ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own() -> Iterator[Daemon]:
    """An ordinary user's own daemon."""
    with running(uid=PERSON) as made:
        yield made


@needs_root
def test_an_ordinary_users_daemon_has_their_rights_and_serves_them(own: Daemon) -> None:
    assert own.process is not None
    for pid in (own.process.pid, guard_pid(own)):
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{PERSON}\t{PERSON}\t{PERSON}\t{PERSON}\n" in status
    assert own.ask(QUESTION, uid=PERSON)[-1]["exit_status"] == 0
    with proposed(own, f"touch {own.folder}/state/made", uid=PERSON) as (stream, card):
        assert answered(own, card, uid=PERSON) == {}
        assert stream.until("turn_done")["exit_status"] == 0
    assert (own.folder / "state" / "made").stat().st_uid == PERSON
    for path in (own.state / "users", own.state / "guard" / "audit"):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (PERSON, 0o700)
    assert own.guard("Verify", uid=PERSON) == {"problems": []}


@needs_root
@pytest.mark.parametrize("who", [OTHER, 0], ids=["another user", "root"])
def test_an_ordinary_users_daemon_does_nothing_for_anybody_else(own: Daemon, who: int) -> None:
    before = own.records(PERSON)
    response = own.api("POST", "/v1/ask", {"prompt": QUESTION}, LINES, uid=who)
    assert (response.status, response.json["code"]) == (409, "guard_refused")
    assert response.json["detail"] == "a standalone guard without root serves its own user only"
    for method in ("OpenSession", "Evaluate"):
        refused = own.guard(method, {"command": "ls"}, uid=who)
        assert refused["error"] == "io.aios.Guard.NotIdentified"
    assert own.records(PERSON) == before


@needs_root
def test_the_guard_lets_nobody_into_anothers_session_nor_speak_for_others(daemon: Daemon) -> None:
    session = daemon.ask(QUESTION)[0]["session"]
    before = daemon.records()
    inside = {"session": session, "call": "call-9", "command": "id", "cwd": "/"}
    for method, parameters in (("Execute", inside), ("CloseSession", inside)):
        with daemon.connect(OTHER, daemon.guard_path) as connection:
            send_call(connection, method, parameters, more=method == "Execute")
            refused = next(read_replies(connection))
        assert refused["error"] == "io.aios.Guard.NoSession"
    for method in ("OpenSession", "Evaluate", "Ping", "Diagnose"):
        refused = daemon.guard(method, {"client": True, "command": "id"}, uid=OTHER)
        assert refused == {"error": "io.aios.Guard.NotEntitled", "reason": "only aiosd speaks for others"}
    assert daemon.guard("OpenSession", {"session": session}, uid=OTHER)["error"] == "io.aios.Guard.NoSession"
    assert daemon.guard("Records", uid=OTHER) == {"records": []}
    assert daemon.guard("Records", {"user": str(PERSON)}, uid=OTHER)["error"] == "io.aios.Guard.NotEntitled"
    assert daemon.guard("Verify", uid=OTHER)["error"] == "io.aios.Guard.NotEntitled"
    assert daemon.records() == before
    with daemon.guard_stream("Execute", inside, uid=PERSON) as replies:
        assert next(replies)["event"] == "decision"
        assert {reply["event"]: reply for reply in (next(replies), next(replies))}["done"]["outcome"] == "done"


# What it says when it cannot begin ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "said_of_it"),
    [
        ("[limits]\nbody_byte = 1\n", "unknown key 'limits.body_byte'; did you mean 'limits.body_bytes'?"),
        ("[guard]\ntimeouts = 1\n", "unknown key 'guard.timeouts'; did you mean 'guard.timeout_s'?"),
        ("[guard]\ntimeout_s = 0\n", "guard.timeout_s must be a whole number of at least 1; correct guard.timeout_s"),
        (
            "[daemon]\ndrain_s = 0\n",
            "daemon.drain_s: Input should be greater than or equal to 1 (it is 0); correct daemon.drain_s",
        ),
        ("[daemon\n", "not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
    ],
)
def test_a_broken_configuration_is_told_with_file_key_and_the_nearest_right_one(
    make_daemon: MakeDaemon, config: str, said_of_it: str
) -> None:
    daemon = make_daemon(start=False)
    daemon.write_config()
    path = daemon.folder / "etc" / "config.d" / "20-mine.toml"
    path.parent.mkdir()
    path.write_text(config)
    ran = _try_to_start(daemon)
    assert (ran.status, ran.out) == (78, "")
    assert f"aiosd: {path}: {said_of_it}" in ran.err
    assert "Traceback" not in ran.err
    assert not os.path.exists(daemon.socket_path)
    path.unlink()
    daemon.start()
    assert daemon.ask(QUESTION)[-1]["exit_status"] == 0


def test_a_place_for_sessions_that_is_none_is_told(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    daemon.state.parent.mkdir(parents=True, exist_ok=True)
    daemon.state.write_text("a file")
    ran = _try_to_start(daemon)
    assert ran.status == 78
    assert f"aiosd: {daemon.state}: " in ran.err
    assert "Traceback" not in ran.err
    daemon.state.unlink()
    daemon.start()
    assert daemon.ask(QUESTION)[-1]["exit_status"] == 0


def test_a_broken_policy_is_told_with_its_file_and_line(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False, policy='[[rule]]\npattern = ["ls"]\ntier = "denied"\nreason = "x"\n')
    daemon.write_config()
    ran = _try_to_start(daemon)
    assert ran.status == 78
    first, last = ran.err.splitlines()
    assert first.startswith(f"aios-guard: {daemon.folder}/etc/policy.d/50-test.toml:3: ")
    assert last == "aiosd: the guard cannot work here; it has said why"
    assert not os.path.exists(daemon.guard_path)
