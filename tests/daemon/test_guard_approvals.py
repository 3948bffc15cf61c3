"""Who may let a command run, and that only what was shown runs, and once: at the level of real processes."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import asking
from tests.daemon.cards import answered, card_of, own_folder, proposed, said, stored_state, stored_states
from tests.daemon.conftest import running
from tests.daemon.harness import Daemon, read_replies, send_call, wait_until
from tests.daemon.people import OTHER, default_person, needs_root

POLICY = """\
[[rule]]
pattern = ["mkdir"]
tier = "deny"
reason = "Folders are made by the storage team."
match = ["mkdir x"]
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose administrator forbids `mkdir`."""
    with running(policy=POLICY) as made:
        yield made


@pytest.fixture
def place(daemon: Daemon, request: pytest.FixtureRequest) -> Path:
    """A folder of the person's."""
    return own_folder(daemon, f"f{abs(hash(request.node.name)) % 10**8}")


def _outline(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (each["kind"], each["tier"], each["decision"], each["approver"])
        if each["kind"] == "decided"
        else (each["kind"], each["tier"], each["outcome"], each["status"])
        for each in records
    ]


# Denied by policy -----------------------------------------------------------------------------------------------------


def test_a_command_that_the_policy_denies_never_runs_and_nobody_is_asked(daemon: Daemon, place: Path) -> None:
    events = daemon.ask(f"run `mkdir {place}/made`")
    assert [event["type"] for event in events] == [
        "session_started",
        "call_proposed",
        "decision",
        "call_done",
        "text_delta",
        "turn_done",
    ]
    assert events[2]["verdict"]["tier"] == "deny"
    assert (events[3]["outcome"], events[3]["reason"]) == ("denied", "Folders are made by the storage team.")
    assert events[5]["exit_status"] == 77
    assert "Folders are made by the storage team." in said(events)  # the model got the reason
    records = daemon.records(session=events[0]["session"])
    assert _outline(records) == [("decided", "deny", "denied", -1)]
    assert (records[0]["approval"], records[0]["confinement"]) == ("", "")
    assert records[0]["rules"][0].endswith("50-test.toml:2 mkdir")
    assert list(place.iterdir()) == []


# Asked ----------------------------------------------------------------------------------------------------------------


def test_a_command_runs_when_its_person_has_approved_it_from_another_client(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert card["action"] == f"touch {place}/made"
        assert (card["uid"], card["run_as"]) == (default_person(), "user")
        assert list(place.iterdir()) == []
        shown = daemon.aios("pending")
        assert (shown.status, shown.err) == (0, "")
        assert f"touch {place}/made" in shown.out
        approved = daemon.aios("approve", card["id"], "--yes")
        assert (approved.status, approved.out) == (0, "")
        events = list(stream)
    assert events[-1]["exit_status"] == 0
    assert (place / "made").stat().st_uid == default_person()
    records = daemon.records(session=card["session"])
    assert _outline(records) == [
        ("decided", "require_approval", "approved", default_person()),
        ("done", "require_approval", "done", 0),
    ]
    assert records[0]["approval"] == card["id"]
    assert stored_state(daemon, card["id"]) == ("consumed", default_person())
    assert daemon.api("GET", "/v1/status").json["pending"] == 0


def test_without_a_terminal_and_without_being_told_so_approve_approves_nothing(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        tried = daemon.aios("approve", card["id"])
        assert tried.status == 64
        assert "--yes" in tried.err
        assert stored_state(daemon, card["id"])[0] == "pending"
        assert answered(daemon, card, approve=False) == {}
        assert stream.until("turn_done")["exit_status"] == 77
    assert list(place.iterdir()) == []


def test_a_no_with_its_reason_goes_to_the_record_and_back_to_the_model(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        denied = daemon.aios("deny", card["id"], "ask", "again", "after", "the", "backup")
        assert (denied.status, denied.err) == (0, "denied\n")
        events = list(stream)
    assert "ask again after the backup" in said(events)
    assert (events[0]["type"], events[0]["outcome"]) == ("call_done", "denied")
    assert events[0]["reason"] == "ask again after the backup"
    assert events[-1]["exit_status"] == 77
    records = daemon.records(session=card["session"])
    assert _outline(records) == [("decided", "require_approval", "denied", default_person())]
    assert records[0]["reason"] == "ask again after the backup"
    assert stored_state(daemon, card["id"]) == ("denied", default_person())
    assert list(place.iterdir()) == []


def test_no_answer_in_time_is_a_no(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made", wait_s=1) as (stream, card):
        done = stream.until("call_done")
        assert (done["outcome"], done["reason"]) == ("unanswered", "nobody answered in time; that is a no")
        assert stream.until("turn_done")["exit_status"] == 79
    assert stored_state(daemon, card["id"]) == ("expired", -1)
    assert _outline(daemon.records(session=card["session"])) == [("decided", "require_approval", "unanswered", -1)]
    late = answered(daemon, card)
    assert late["error"] == "io.aios.Guard.NotPending"
    assert stored_state(daemon, card["id"]) == ("expired", -1)
    assert list(place.iterdir()) == []


def test_a_question_whose_asker_has_cancelled_is_over(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert daemon.api("POST", f"/v1/sessions/{card['session']}/cancel").json == {"cancelled": True}
        assert stream.until("turn_failed")["code"] == "interrupted"
    assert answered(daemon, card)["error"] == "io.aios.Guard.NotPending"
    assert _outline(daemon.records(session=card["session"])) == [("decided", "require_approval", "cancelled", -1)]
    wait_until(lambda: stored_state(daemon, card["id"])[0] == "expired", "the card to be stored as expired")
    assert list(place.iterdir()) == []


def test_a_proposer_who_goes_away_at_any_moment_leaves_no_card_behind(daemon: Daemon) -> None:
    session = daemon.guard("OpenSession")["session"]
    for number in range(30):
        with daemon.connect(path=daemon.guard_path) as connection:
            parameters = {"session": session, "call": f"call-{number}", "command": "touch /tmp/never", "cwd": "/"}
            send_call(connection, "Execute", parameters, more=True)
            if number % 3:
                assert next(read_replies(connection))["event"] == "decision"
            if number % 3 == 2:
                time.sleep(number * 0.0001)  # somewhere between the decision and the card
    wait_until(lambda: bool(daemon.guard("Ping")["running"] == 0), "the guard to notice")
    assert daemon.guard("ListPending") == {"approvals": []}
    wait_until(lambda: stored_states(daemon, session) <= {"expired"}, "the last of them to be stored as expired")
    assert {record["decision"] for record in daemon.records(session=session)} <= {"cancelled"}


def test_an_edited_line_is_asked_about_anew_and_the_model_is_told_of_it(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/proposed") as (stream, card):
        assert answered(daemon, card, decision="edit", command=f"touch {place}/edited") == {}
        fresh = card_of(daemon, stream.until("approval_needed")["approval"])
        assert (fresh["action"], fresh["call"], fresh["claim"]) == (f"touch {place}/edited", card["call"], "")
        assert fresh["digest"] != card["digest"]
        assert stored_state(daemon, card["id"]) == ("edited", default_person())
        assert answered(daemon, card)["error"] == "io.aios.Guard.NotPending"
        assert list(place.iterdir()) == []
        assert answered(daemon, fresh) == {}
        done = stream.until("call_done")
        assert (done["outcome"], done["command"]) == ("done", f"touch {place}/edited")
        events = list(stream)
    assert [path.name for path in place.iterdir()] == ["edited"]
    assert f"`touch {place}/edited`" in said(events)
    records = daemon.records(session=card["session"])
    assert _outline(records) == [
        ("decided", "require_approval", "edited", default_person()),
        ("decided", "require_approval", "approved", default_person()),
        ("done", "require_approval", "done", 0),
    ]
    assert [each["action"] for each in records[:2]] == [f"touch {place}/proposed", f"touch {place}/edited"]
    assert records[0]["reason"] == f"in its place: touch {place}/edited"
    exported = daemon.aios("session", "export", card["session"], "--script").out
    assert f"\ntouch {place}/edited\n" in exported
    assert [line for line in exported.splitlines() if "proposed" in line and not line.startswith("#")] == []


def test_an_edited_line_that_needs_no_approval_runs_and_a_denied_one_does_not(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert answered(daemon, card, decision="edit", command=f"cd {place} && pwd") == {}
        done = stream.until("call_done")
        assert (done["outcome"], done["status"], done["command"]) == ("done", 0, f"cd {place} && pwd")
        assert str(place) in said(list(stream))
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert answered(daemon, card, decision="edit", command=f"mkdir {place}/made") == {}
        done = stream.until("call_done")
        assert (done["outcome"], done["reason"]) == ("denied", "Folders are made by the storage team.")
        assert stream.until("turn_done")["exit_status"] == 77
    for parameters in ({}, {"command": " "}, {"command": 1}, {"command": "x" * 70_000}):
        with proposed(daemon, f"touch {place}/made") as (stream, card):
            refused = answered(daemon, card, decision="edit", **parameters)
            assert refused["error"] == "org.varlink.service.InvalidParameter"
            assert answered(daemon, card, approve=False) == {}
            stream.until("turn_done")
    assert list(place.iterdir()) == []


def test_a_step_that_is_skipped_neither_runs_nor_is_denied(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        skipped = daemon.aios("skip", card["id"])
        assert (skipped.status, skipped.err) == (0, "skipped\n")
        done = stream.until("call_done")
        assert (done["outcome"], done["reason"]) == ("skipped", "a person skipped this step: go on without it")
        assert stream.until("turn_done")["exit_status"] == 1  # nothing was done: the built-in model says so
    assert list(place.iterdir()) == []
    assert _outline(daemon.records(session=card["session"])) == [
        ("decided", "require_approval", "skipped", default_person())
    ]
    assert stored_state(daemon, card["id"]) == ("skipped", default_person())


def test_a_no_is_one_to_what_waits_beside_it_in_the_session(daemon: Daemon, place: Path) -> None:
    session = daemon.guard("OpenSession")["session"]
    parameters = {"session": session, "command": f"touch {place}/made", "cwd": "/"}
    with (
        proposed(daemon, f"touch {place}/elsewhere") as (stream, elsewhere),
        daemon.guard_stream("Execute", {**parameters, "call": "c1"}) as first,
        daemon.guard_stream("Execute", {**parameters, "call": "c2"}) as second,
    ):
        assert [next(first)["event"], next(second)["event"]] == ["decision", "decision"]
        cards = [card_of(daemon, next(each)["approval"]) for each in (first, second)]
        assert answered(daemon, cards[0], approve=False, reason="no") == {}
        ended = [next(each) for each in (first, second)]
        assert [each["outcome"] for each in ended] == ["denied", "denied"]
        assert [each["reason"] for each in ended] == ["no", f"a no to {cards[0]['id']}, which waited beside it"]
        assert stored_state(daemon, elsewhere["id"])[0] == "pending"
        assert answered(daemon, elsewhere) == {}
        assert stream.until("turn_done")["exit_status"] == 0
    assert [path.name for path in place.iterdir()] == ["elsewhere"]
    assert [each["approver"] for each in daemon.records(session=session)] == [default_person(), -1]


# By whom --------------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("decision", [True, False], ids=["approve", "deny"])
def test_another_users_card_is_neither_seen_nor_answered(daemon: Daemon, place: Path, decision: bool) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert daemon.guard("ListPending", uid=OTHER) == {"approvals": []}
        assert daemon.guard("ListPending", {"id": card["id"]}, uid=OTHER) == {"approvals": []}
        refused = answered(daemon, card, approve=decision, uid=OTHER)
        assert refused == {"error": "io.aios.Guard.NotPending", "reason": f"no approval {card['id']} is pending"}
        ran = daemon.aios("approve", card["id"], "--yes", uid=OTHER)
        assert ran.status == 65
        assert stored_state(daemon, card["id"]) == ("pending", None)
        assert list(place.iterdir()) == []
        assert answered(daemon, card) == {}
        assert stream.until("turn_done")["exit_status"] == 0
    assert (place / "made").exists()


@needs_root
def test_root_sees_a_users_card_and_cannot_answer_in_their_name(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert daemon.guard("ListPending", uid=0)["approvals"] == [card]
        refused = answered(daemon, card, uid=0)
        assert refused == {"error": "io.aios.Guard.NotEntitled", "reason": f"only {card['user']} can answer this"}
        assert stored_state(daemon, card["id"]) == ("pending", None)
        assert answered(daemon, card, approve=False) == {}
        assert stream.until("turn_done")["exit_status"] == 77
    assert list(place.iterdir()) == []


def test_a_command_cannot_answer_from_inside_its_sandbox(daemon: Daemon, place: Path) -> None:
    """What was approved once must not approve what comes next, though it runs as the one who may."""
    script = place / "answer.py"
    with proposed(daemon, f"touch {place}/made") as (waiting, wanted):
        script.write_text(
            "import json, socket\n"
            "guard = socket.socket(socket.AF_UNIX)\n"
            f"guard.connect({daemon.guard_path!r})\n"
            f"call = {{'id': {wanted['id']!r}, 'digest': {wanted['digest']!r}, 'decision': 'approve'}}\n"
            "guard.sendall(json.dumps({'method': 'io.aios.Guard.Answer', 'parameters': call}).encode() + b'\\0')\n"
            "print(guard.recv(4096))\n"
        )
        script.chmod(0o644)
        with proposed(daemon, f"python3 {script}") as (stream, card):
            assert answered(daemon, card) == {}
            events = list(stream)
        output = "".join(event["text"] for event in events if event["type"] == "output")
        assert "io.aios.Guard.NotEntitled" in output
        assert stored_state(daemon, wanted["id"]) == ("pending", None)
        assert not (place / "made").exists()
        assert answered(daemon, wanted) == {}  # the same words from outside are taken
        assert waiting.until("turn_done")["exit_status"] == 0
    assert (place / "made").exists()


# To what --------------------------------------------------------------------------------------------------------------


def test_an_answer_to_something_else_than_what_is_asked_is_refused(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        for digest in ("0" * 64, "", card["digest"].upper(), card["digest"][:-1]):
            refused = answered(daemon, card, digest=digest)
            assert refused["error"] == "io.aios.Guard.DigestDiffers"
        assert stored_state(daemon, card["id"]) == ("pending", None)
        assert list(place.iterdir()) == []
        assert answered(daemon, card) == {}
        assert stream.until("turn_done")["exit_status"] == 0
    assert (place / "made").exists()


def test_what_a_command_reads_as_its_input_is_on_its_card(daemon: Daemon, place: Path) -> None:
    session = daemon.ask("how much memory is free?")[0]["session"]
    proposal = {"session": session, "call": "c1", "command": "sh", "cwd": str(place), "input": f"touch {place}/made\n"}
    with daemon.guard_stream("Execute", proposal, uid=default_person()) as replies:
        asked = next(event for event in replies if event["event"] == "approval")
        card = card_of(daemon, asked["approval"])
        assert (card["action"], card["content"]) == ("sh", proposal["input"])
        assert answered(daemon, card) == {}
        assert next(event for event in replies if event["event"] == "done")["outcome"] == "done"
    assert (place / "made").exists()


def test_a_yes_to_one_command_is_no_yes_to_another(daemon: Daemon, place: Path) -> None:
    with (
        proposed(daemon, f"touch {place}/shown") as (first, shown),
        proposed(daemon, f"touch {place}/other") as (second, other),
    ):
        refused = answered(daemon, other, digest=shown["digest"])
        assert refused["error"] == "io.aios.Guard.DigestDiffers"
        assert answered(daemon, shown) == {}
        assert first.until("turn_done")["exit_status"] == 0
        assert [path.name for path in place.iterdir()] == ["shown"]
        assert answered(daemon, other, approve=False) == {}
        assert second.until("turn_done")["exit_status"] == 77
    assert [path.name for path in place.iterdir()] == ["shown"]


def test_an_answer_is_used_once_and_the_same_command_is_asked_about_again(daemon: Daemon, place: Path) -> None:
    command = f"bash -c 'echo ran >> {place}/log'"
    with proposed(daemon, command) as (stream, card):
        assert answered(daemon, card) == {}
        again = answered(daemon, card)
        assert again["error"] == "io.aios.Guard.NotPending"
        assert stream.until("turn_done")["exit_status"] == 0
    assert (place / "log").read_text() == "ran\n"
    with proposed(daemon, command, session=card["session"]) as (stream, anew):
        assert (anew["id"], anew["digest"]) != (card["id"], card["digest"])
        assert answered(daemon, card)["error"] == "io.aios.Guard.NotPending"
        assert answered(daemon, anew, digest=card["digest"])["error"] == "io.aios.Guard.DigestDiffers"
        assert (place / "log").read_text() == "ran\n"
        assert answered(daemon, anew, approve=False) == {}
        assert stream.until("turn_done")["exit_status"] == 77
    assert (place / "log").read_text() == "ran\n"
    assert stored_state(daemon, card["id"])[0] == "consumed"


def test_a_command_changed_after_it_was_shown_is_asked_about_anew(daemon: Daemon, place: Path) -> None:
    """Somebody who acts in the session proposes another command under the same call: the old yes does not fit it."""
    with proposed(daemon, f"touch {place}/shown") as (stream, card):
        parameters = {"session": card["session"], "call": card["call"], "command": f"touch {place}/changed", "cwd": "/"}
        with daemon.guard_stream("Execute", parameters) as replies:
            assert next(replies)["event"] == "decision"
            changed = card_of(daemon, next(replies)["approval"])
            assert changed["action"] == f"touch {place}/changed"
            assert answered(daemon, changed, digest=card["digest"])["error"] == "io.aios.Guard.DigestDiffers"
            assert answered(daemon, card) == {}
            assert stream.until("turn_done")["exit_status"] == 0
            assert [path.name for path in place.iterdir()] == ["shown"]
            assert stored_state(daemon, changed["id"]) == ("pending", None)
            assert answered(daemon, changed, approve=False) == {}
            assert next(replies)["outcome"] == "denied"
    assert [path.name for path in place.iterdir()] == ["shown"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"decision": "yes"},
        {"decision": None},
        {"digest": None},
        {"digest": 1},
        {"id": ["x"]},
        {"reason": "x" * 1001},
    ],
)
def test_an_answer_that_is_none_is_refused(daemon: Daemon, place: Path, parameters: dict[str, Any]) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert answered(daemon, card, **parameters)["error"] == "org.varlink.service.InvalidParameter"
        assert stored_state(daemon, card["id"]) == ("pending", None)
        assert answered(daemon, card, approve=False) == {}
        assert stream.until("turn_done")["exit_status"] == 77
    assert list(place.iterdir()) == []


# As root --------------------------------------------------------------------------------------------------------------


def test_a_standalone_guard_runs_nothing_as_root_and_asks_nobody(daemon: Daemon, place: Path) -> None:
    events = daemon.ask(f"run `sudo touch {place}/made`")
    assert "approval_needed" not in [event["type"] for event in events]
    (done,) = (event for event in events if event["type"] == "call_done")
    assert done["outcome"] == "refused"
    assert done["reason"].startswith("commands as root need the installed service")
    assert events[-1]["exit_status"] == 78
    assert _outline(daemon.records(session=events[0]["session"])) == [("decided", "require_approval", "refused", -1)]
    assert list(place.iterdir()) == []


@needs_root
def test_what_root_changes_is_changed_as_root_so_a_standalone_guard_refuses_it(daemon: Daemon, place: Path) -> None:
    with asking(daemon, f"run `touch {place}/made`", uid=0) as stream:
        done = stream.until("call_done")
        assert done["outcome"] == "refused"
        assert done["reason"].startswith("commands as root need the installed service")
        assert stream.until("turn_done")["exit_status"] == 78
    assert list(place.iterdir()) == []
    observed = daemon.ask("run `id -u`", uid=0)
    assert observed[-1]["exit_status"] == 0
    output = "".join(event["text"] for event in observed if event["type"] == "output").strip()
    assert output.isdigit()
    assert output != "0"
    assert os.geteuid() == 0
