"""The card on a real terminal: what each answer does, to the machine, the record and the conversation."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.cards import own_folder, stored_state
from tests.daemon.harness import Daemon, processes_with, wait_until
from tests.daemon.people import default_person
from tests.daemon.terminal import QUESTION, approval_on, on_terminal


@pytest.fixture
def place(daemon: Daemon, request: pytest.FixtureRequest) -> Path:
    """A folder of the person's."""
    return own_folder(daemon, re.sub(r"\W", "", request.node.name)[-24:])


def _newest(daemon: Daemon) -> dict[str, Any]:
    """The newest session with its turns."""
    name = daemon.api("GET", "/v1/sessions").json["sessions"][0]["id"]
    detail: dict[str, Any] = daemon.api("GET", f"/v1/sessions/{name}").json
    return detail


def _recorded(daemon: Daemon) -> list[tuple[Any, ...]]:
    """What the record has of the newest session."""
    return [
        (each["kind"], *((each["decision"], each["approver"]) if each["kind"] == "decided" else (each["outcome"],)))
        for each in daemon.records(session=_newest(daemon)["session"]["id"])
    ]


def test_yes_lets_it_run_once_and_the_record_says_who_said_so(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        card = terminal.wait_for(QUESTION)
        assert not (place / "made").exists()
        terminal.type("y")
        assert terminal.end() == 0
    me = default_person()
    assert f"  run      touch {place}/made\n  as       uid {me}\n  in       /\n" in card or os.geteuid() != 0
    assert "  because  It changes files.\n" in card
    assert (place / "made").exists()
    assert _recorded(daemon) == [("decided", "approved", me), ("done", "done")]
    assert stored_state(daemon, approval_on(card)) == ("consumed", me)


def test_l_lets_it_run_and_the_same_again_for_a_while(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        assert "[l] yes, for 30 min" in terminal.wait_for(QUESTION)
        for wrong in ("l 1d", "l 25h", "l 1001x", "l session folder"):  # no terms: asked again
            terminal.type(wrong)
        terminal.wait_for(QUESTION, times=5)
        terminal.type("l folder 2h 3x")
        assert terminal.end() == 0
    assert (place / "made").exists()
    (lease,) = daemon.guard("ListLeases")["leases"]
    assert (lease["uses"], lease["expires_at"] - lease["granted_at"], lease["cwd"]) == (3, 7200, "/")
    assert lease["session"] == ""
    assert f"    touch {place}/made\n" in daemon.aios("lease", "list").out
    with on_terminal(daemon, "ask", f"run `rm {place}/made`") as terminal:
        assert "[l]" not in terminal.wait_for(QUESTION)
        terminal.type("l")  # no answer here: asked again
        terminal.wait_for(QUESTION)
        terminal.type("n")
        assert terminal.end() == 77
    assert (place / "made").exists()


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("n", "a person said no"),
        ("", "a person said no"),
        ("no", "a person said no"),
        ("n use /tmp instead", "use /tmp instead"),
        ("NO  never  ", "never"),
        ("n 場所が違う", "場所が違う"),
    ],
)
def test_no_runs_nothing_and_its_reason_reaches_the_model(daemon: Daemon, place: Path, typed: str, reason: str) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        approval = approval_on(terminal.wait_for(QUESTION))
        terminal.type(typed)
        assert terminal.end() == 77
        assert f"  denied: {reason}\n" in terminal.plain
    assert list(place.iterdir()) == []
    turn = _newest(daemon)["turns"][-1]
    assert turn["answer"] == f"`touch {place}/made` was not allowed: {reason}\n"
    assert (turn["state"], turn["exit_status"]) == ("done", 77)
    assert _recorded(daemon) == [("decided", "denied", default_person())]
    assert stored_state(daemon, approval) == ("denied", default_person())


def test_e_puts_the_line_into_a_field_and_what_becomes_of_it_is_asked_about(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        terminal.wait_for(QUESTION)
        terminal.type("e")
        terminal.wait_for(f"instead: touch {place}/made")
        terminal.type("-too")
        card = terminal.wait_for(QUESTION, times=2)
        assert f"  run      touch {place}/made-too\n" in card
        terminal.type(f"e touch {place}/other")
        terminal.wait_for(QUESTION, times=3)
        terminal.type("y")
        assert terminal.end() == 0
        assert f"  run instead: touch {place}/other\n" in terminal.plain
    assert [path.name for path in place.iterdir()] == ["other"]
    me = default_person()
    assert _recorded(daemon) == [*[("decided", "edited", me)] * 2, ("decided", "approved", me), ("done", "done")]


def test_s_leaves_the_step_out(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`", environment={"LANG": "ja_JP.UTF-8"}) as terminal:
        terminal.wait_for("(拒否): ")
        terminal.type("s 後で")
        assert terminal.end() == 1
        assert "  見送りました: 後で\n" in terminal.plain
    assert list(place.iterdir()) == []
    assert _recorded(daemon) == [("decided", "skipped", default_person())]


@pytest.mark.parametrize("typed", ["maybe", "yes please", "ｙ", "yn", "approve"])
def test_what_is_neither_is_asked_again(daemon: Daemon, place: Path, typed: str) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        terminal.wait_for(QUESTION)
        terminal.type(typed)
        terminal.wait_for(QUESTION, times=2)
        assert not (place / "made").exists()
        terminal.type("yes")
        assert terminal.end() == 0
    assert (place / "made").exists()


def test_keys_typed_before_the_card_was_there_do_not_count(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        terminal.type("y")
        terminal.type("yes")
        approval = approval_on(terminal.wait_for(QUESTION))
        (card,) = daemon.guard("ListPending", {"id": approval})["approvals"]
        assert card["action"] == f"touch {place}/made"
        terminal.type("n")
        assert terminal.end() == 77
    assert list(place.iterdir()) == []


def test_the_end_of_input_is_no(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        terminal.wait_for(QUESTION)
        terminal.press(b"\x04")
        assert terminal.end() == 77
    assert list(place.iterdir()) == []


def test_ctrl_c_during_the_card_ends_the_turn_and_the_question(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        approval = approval_on(terminal.wait_for(QUESTION))
        terminal.press(b"\x03")
        assert terminal.end() == 130
        assert terminal.plain.endswith(f"{QUESTION}^C\n! interrupted (continue the session when you like)\n")
    assert list(place.iterdir()) == []
    assert daemon.guard("ListPending")["approvals"] == []
    assert _newest(daemon)["turns"][-1]["state"] == "interrupted"
    wait_until(lambda: _recorded(daemon) == [("decided", "cancelled", -1)], "the record of it")
    wait_until(lambda: stored_state(daemon, approval)[0] == "expired", "the approval to expire")


def test_ctrl_c_during_a_command_leaves_nothing_running(daemon: Daemon) -> None:
    with on_terminal(daemon, "ask", "run `sleep 1013`") as terminal:
        terminal.wait_for("› sleep 1013")
        wait_until(lambda: _sleeping("1013"), "the command to run")
        terminal.press(b"\x03")
        assert terminal.end() == 130
    wait_until(lambda: not _sleeping("1013"), "the command to end")
    assert _newest(daemon)["turns"][-1]["state"] == "interrupted"
    assert _recorded(daemon) == [("decided", "allowed", -1), ("done", "cancelled")]


def _sleeping(seconds: str) -> bool:
    return bool(processes_with(f"sleep {seconds} "))


def test_an_answer_from_another_terminal_lets_the_turn_go_on(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        approval = approval_on(terminal.wait_for(QUESTION))
        with on_terminal(daemon, "approve", approval) as other:
            assert approval_on(other.wait_for(QUESTION)) == approval
            other.type("y")
            assert other.end() == 0
            assert other.plain.endswith("y\napproved\n")
        assert terminal.end() == 0
        assert "(it was answered elsewhere, or is over)\n" in terminal.plain
    assert (place / "made").exists()


def test_approving_asks_first_and_no_is_a_denial(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made`") as terminal:
        approval = approval_on(terminal.wait_for(QUESTION))
        with on_terminal(daemon, "approve", approval) as other:
            other.wait_for(QUESTION)
            other.type("n not now")
            assert other.end() == 77
            assert other.plain.endswith("n not now\ndenied\n")
        assert terminal.end() == 77
        assert "  denied: not now\n" in terminal.plain
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("columns", [40, 80, 132])
def test_the_card_is_as_wide_as_the_terminal(daemon: Daemon, place: Path, columns: int) -> None:
    line = f"touch {place}/" + "-".join(f"word{number}" for number in range(20))
    with on_terminal(daemon, "ask", f"run `{line}`", columns=columns) as terminal:
        screen = terminal.wait_for(QUESTION)
        terminal.type("n")
        assert terminal.end() == 77
    card = screen[screen.index("── approval") : screen.index("  [y] yes")].splitlines()
    assert max(map(len, card)) <= columns
    action = card[card.index(next(each for each in card if each.startswith("  run "))) :]
    action = action[: action.index(next(each for each in action if each.startswith("  as ")))]
    assert "".join([action[0][11:], *(each.removeprefix(" " * 11 + "↳ ") for each in action[1:])]) == line


def test_the_answer_goes_to_standard_output_and_the_card_to_the_terminal(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", f"run `touch {place}/made; echo is $((1+1))`", separate=True) as terminal:
        terminal.wait_for(QUESTION)
        terminal.type("y")
        assert terminal.end() == 0
    assert terminal.out == "is 2\n"
    assert "is 2" not in terminal.plain


def test_with_json_the_card_is_still_asked_and_the_events_stay_whole(daemon: Daemon, place: Path) -> None:
    with on_terminal(daemon, "ask", "--json", f"run `touch {place}/made`", separate=True) as terminal:
        terminal.wait_for(QUESTION)
        terminal.type("y")
        assert terminal.end() == 0
    events = [json.loads(line) for line in terminal.out.splitlines()]
    assert [event["type"] for event in events][-1] == "turn_done"
    assert "approval_needed" in [event["type"] for event in events]
    assert (place / "made").exists()


@pytest.mark.parametrize(
    ("environment", "dim"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(daemon: Daemon, environment: dict[str, str], dim: bool) -> None:
    with on_terminal(daemon, "ask", "how much memory is free?", environment=environment) as terminal:
        assert terminal.end() == 0
    assert terminal.screen.startswith("\x1b[2m› free -b\x1b[0m\n" if dim else "› free -b\n")
    assert ("\x1b" in terminal.screen) is dim


def test_the_card_is_in_the_language_of_the_person(daemon: Daemon, place: Path) -> None:
    environment = {"LANG": "ja_JP.UTF-8"}
    with on_terminal(daemon, "ask", f"run `touch {place}/made`", environment=environment) as terminal:
        card = terminal.wait_for("(拒否): ")
        terminal.type("y")
        assert terminal.end() == 0
    assert f"\n  実行     touch {place}/made\n  実行者   " in card
    assert "\n  理由     ファイルを変更します。\n" in card
    assert re.search(r"^── 承認 \w+ ─+$", card, re.MULTILINE)
    assert (place / "made").exists()
    nothing = daemon.aios("pending", environment={"LC_MESSAGES": "ja_JP.UTF-8"})
    assert nothing.out == "回答待ちの承認はありません\n"
    assert daemon.aios("pending", environment={"LC_ALL": "C", "LC_MESSAGES": "ja_JP.UTF-8"}).out.startswith("nothing")
