"""`aios ask` without a terminal: what is asked, what goes where, and the status it ends with."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import ASKS_FIRST, SLEEP, running_turn
from tests.daemon.cards import own_folder
from tests.daemon.conftest import MakeDaemon, running
from tests.daemon.harness import DEADLINE_S, Daemon, _becoming, client_command, processes_with, validator_for
from tests.daemon.people import OTHER, default_person, needs_root
from tests.daemon.terminal import on_terminal

MEMORY = "how much memory is free?"
POLICY = """\
[[rule]]
pattern = ["mkdir"]
tier = "deny"
reason = "Folders are made by the storage team."
match = ["mkdir x"]
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose administrator forbids `mkdir`, and gives commands a second."""
    with running(policy=POLICY, config="[guard]\ntimeout_s = 1\n") as made:
        yield made


def _sessions(daemon: Daemon) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = daemon.api("GET", "/v1/sessions").json["sessions"]
    return sessions


def _turns(daemon: Daemon, session: str) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = daemon.api("GET", f"/v1/sessions/{session}").json["turns"]
    return turns


def _asked(daemon: Daemon) -> str:
    """What the model was asked in the newest session's newest turn: the message as it is kept."""
    path = daemon.state / "users" / f"{default_person()}.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        ((body,),) = database.execute(
            "SELECT body FROM messages WHERE session = ? AND body LIKE '%\"user\"%' ORDER BY number DESC LIMIT 1",
            (_sessions(daemon)[0]["id"],),
        )
    return str(json.loads(body)["text"])


# What is asked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "stdin", "asked"),
    [
        (["how", "much", "memory", "is", "free?"], b"", MEMORY),
        ([MEMORY], b"", MEMORY),
        ([], MEMORY.encode() + b"\n", MEMORY),
        (["what is this?"], b"one\ntwo\n", "what is this?\n\none\ntwo"),
        (["メモリの", "空きは？"], b"", "メモリの 空きは？"),
        ([], "メモリの空きは？".encode(), "メモリの空きは？"),
        (["what", "is", "tar", "-x?"], b"", "what is tar -x?"),
        (["--", "-c"], b"", "-c"),
    ],
)
def test_words_standard_input_and_both_are_the_question(
    daemon: Daemon, words: list[str], stdin: bytes, asked: str
) -> None:
    before = len(_sessions(daemon))
    assert daemon.aios("ask", *words, stdin=stdin).status in (0, 1)
    assert len(_sessions(daemon)) == before + 1
    assert _asked(daemon) == asked


def test_the_answer_goes_to_standard_output_and_what_happens_to_standard_error(daemon: Daemon) -> None:
    ran = daemon.aios("ask", MEMORY)
    assert (ran.status, ran.err) == (0, "› free -b\n")
    assert ran.out == _turns(daemon, _sessions(daemon)[0]["id"])[-1]["answer"]
    assert ran.out.endswith("\n")
    assert "\x1b" not in ran.out + ran.err


def test_what_a_command_prints_draws_nothing(daemon: Daemon) -> None:
    ran = daemon.aios("ask", "run `printf 'a\\033[2Jb\\rc\\342\\200\\256d\\n'`")
    assert ran.status == 0
    assert not {"\x1b", "\r", "\u202e"} & set(ran.out + ran.err)
    assert "[2Jb" in ran.out


def test_a_session_is_continued_by_name_by_id_and_as_the_newest(daemon: Daemon) -> None:
    assert daemon.aios("ask", MEMORY).status == 0
    session = _sessions(daemon)[0]
    assert daemon.aios("ask", "--session", session["name"], MEMORY).status == 0
    assert daemon.aios("ask", "-s", session["id"], MEMORY).status == 0
    assert daemon.aios("ask", MEMORY).status == 0
    assert daemon.aios("ask", f"--session={session['name']}", MEMORY).status == 0
    assert daemon.aios("ask", "-c", MEMORY).status == 0
    assert daemon.aios("ask", "--continue", MEMORY).status == 0
    assert len(_turns(daemon, session["id"])) == 6
    assert _sessions(daemon)[1]["turns"] == 1


@needs_root
def test_who_has_no_session_can_continue_none(daemon: Daemon) -> None:
    ran = daemon.aios("ask", "-c", MEMORY, uid=OTHER)
    assert (ran.status, ran.out) == (65, "")
    assert ran.err == "aios: there is no session yet\n  aios sessions lists them\n"
    assert daemon.aios("ask", MEMORY, uid=OTHER).status == 0
    assert daemon.aios("ask", "-c", MEMORY, uid=OTHER).status == 0


@pytest.mark.parametrize(
    "question", [MEMORY, "frobnicate the quux", "run `mkdir /tmp/x`", "run `false`", "run `printf '\\377\\n'`"]
)
def test_json_is_the_events_one_a_line_each_as_described(daemon: Daemon, question: str) -> None:
    openapi = daemon.api("GET", "/v1/openapi.json").json
    answer = openapi["paths"]["/v1/ask"]["post"]["responses"]["200"]["content"]["application/x-ndjson"]
    validator = validator_for(openapi, answer["schema"])
    ran = daemon.aios("ask", "--json", question)
    events = [json.loads(line) for line in ran.out.splitlines()]
    for event in events:
        validator.validate(event)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["session"] for event in events} == {_sessions(daemon)[0]["id"]}
    assert (events[0]["type"], events[-1]["type"]) == ("session_started", "turn_done")
    assert (ran.status, ran.err) == (events[-1]["exit_status"], "")


# What it ends with ----------------------------------------------------------------------------------------------------


def test_what_is_not_understood_is_not_a_success(daemon: Daemon) -> None:
    ran = daemon.aios("ask", "frobnicate the quux")
    assert (ran.status, ran.err) == (1, "")
    assert ran.out.startswith("I did not understand that.")


def test_a_denied_step_is_not_a_success_and_never_ran(daemon: Daemon) -> None:
    place = own_folder(daemon, "denied")
    ran = daemon.aios("ask", f"run `mkdir {place}/made`")
    assert ran.status == 77
    assert ran.err == f"› mkdir {place}/made\n  denied: Folders are made by the storage team.\n"
    assert "Folders are made by the storage team." in ran.out
    assert list(place.iterdir()) == []
    (decided,) = daemon.records(session=_sessions(daemon)[0]["id"])
    assert (decided["kind"], decided["decision"], decided["tier"]) == ("decided", "denied", "deny")


def test_a_failed_command_is_an_answer(daemon: Daemon) -> None:
    ran = daemon.aios("ask", "run `false`")
    assert ran.err == "› false\n  ended with status 1\n"
    assert "1" in ran.out


def test_nobody_to_ask_is_a_denial_of_its_own(daemon: Daemon) -> None:
    place = own_folder(daemon, "unanswered")
    ran = daemon.aios("ask", "--wait", "1", f"run `touch {place}/made`")
    assert ran.status == 79
    first, second, third = ran.err.splitlines()
    assert first == f"› touch {place}/made"
    assert second.startswith("! waits until 20")
    assert third == "  unanswered: nobody answered in time; that is a no"
    assert list(place.iterdir()) == []
    (decided,) = daemon.records(session=_sessions(daemon)[0]["id"])
    assert (decided["decision"], decided["approver"]) == ("unanswered", -1)
    assert daemon.guard("ListPending")["approvals"] == []


def test_a_command_that_runs_out_of_time_says_so_and_is_gone(daemon: Daemon) -> None:
    ran = daemon.aios("ask", "run `sleep 1017`")
    assert ran.status == 124
    assert ran.err.startswith("› sleep 1017\n  timed out")
    assert not processes_with("sleep 1017 ")
    decided, done = daemon.records(session=_sessions(daemon)[0]["id"])
    assert (decided["decision"], done["outcome"]) == ("allowed", "timed_out")


@pytest.mark.parametrize("words", [["-s", "no-such-one"], ["--session", "../../x"], ["-s", "x" * 300]])
def test_a_session_that_is_not_there_is_no_success_and_begins_nothing(daemon: Daemon, words: list[str]) -> None:
    before = _sessions(daemon)
    ran = daemon.aios("ask", *words, MEMORY)
    assert (ran.status, ran.out) == (65, "")
    assert ran.err.startswith("aios: ")
    assert _sessions(daemon) == before


@pytest.mark.parametrize("wait", ["86401", "9" * 30])
def test_a_wait_that_is_too_long_is_refused(daemon: Daemon, wait: str) -> None:
    before = _sessions(daemon)
    ran = daemon.aios("ask", "--wait", wait, MEMORY)
    assert (ran.status, ran.out) == (65, "")
    assert _sessions(daemon) == before


def test_a_busy_session_is_for_later(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with running_turn(daemon, prompt=SLEEP) as started:
        ran = daemon.aios("ask", "--session", started["name"], MEMORY)
        assert (ran.status, ran.out) == (75, "")
        assert ran.err.startswith(f"aios: a turn runs in {started['name']}\n  ")
    assert len(_turns(daemon, started["session"])) == 1
    assert daemon.aios("ask", "--session", started["name"], MEMORY).status == 0


def test_a_spent_budget_has_a_status_of_its_own(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[agent]\nmax_steps = 1\n")
    ran = daemon.aios("ask", MEMORY)
    assert ran.status == 80
    assert ran.err.splitlines()[-1].startswith("! ")
    assert _turns(daemon, _sessions(daemon)[0]["id"])[-1]["state"] == "failed"


def test_a_daemon_that_is_killed_in_the_middle_says_how_to_go_on(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with subprocess.Popen(
        [*client_command(), "ask", ASKS_FIRST],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"AIOS_SOCKET": daemon.socket_path},
        start_new_session=True,
        **_becoming(default_person()),
    ) as client:
        assert client.stderr is not None
        assert client.stderr.readline().startswith("› bash -c".encode())
        assert client.stderr.readline().startswith(b"! waits until ")
        name = _sessions(daemon)[0]["name"]
        assert daemon.process is not None
        daemon.process.kill()
        out, err = client.communicate(timeout=DEADLINE_S)
    assert (client.returncode, out) == (69, b"")
    assert err.decode() == (
        f"aios: the daemon ended in the middle of the turn\n  go on with: aios ask --session {name} ...\n"
    )
    assert daemon.process.wait(DEADLINE_S) == -9
    daemon.process = None


def test_an_answer_of_the_built_in_model_comes_as_data_too(daemon: Daemon) -> None:
    ran = daemon.aios("ask", "--json", MEMORY)
    (facts,) = [event for event in map(json.loads, ran.out.splitlines()) if event["type"] == "facts"]
    total = next(value for fact in facts["said"] for value in fact["values"] if value["name"] == "total")
    kibibytes = Path("/proc/meminfo").read_text(encoding="ascii").split()[1]
    assert (facts["about"], total["number"]) == ("memory", int(kibibytes) * 1024)


def test_of_two_the_person_is_asked_which_and_gets_that_answer(daemon: Daemon) -> None:
    with on_terminal(daemon, "ask", "process memory cpu") as terminal:
        asked = terminal.wait_for("number or words: ")
        terminal.type("2")
        assert terminal.end() == 0
    assert "? Which do you mean?\n  1. CPU and the busiest processes\n  2. processes by memory\n" in asked
    assert "--sort=-rss" in terminal.plain
    assert " uses the most: " in terminal.plain
    nobody = daemon.aios("ask", "process memory cpu")
    assert nobody.status == 1
    assert nobody.out.startswith("I am not sure which you mean: CPU and the busiest processes, or processes by memory.")
