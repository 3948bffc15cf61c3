"""Several cards of one step, shown together before the first is done: each is answered once, to one action."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import asking
from tests.daemon.cards import answered, card_of, own_folder, proposed, stored_state, stored_states
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon, wait_until
from tests.daemon.people import default_person
from tests.daemon.terminal import QUESTION, on_terminal
from tests.doubles.provider import Call, Say, ScriptedProvider

ALL = "(one by one): "


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


@pytest.fixture
def planned(make_daemon: MakeDaemon, provider: ScriptedProvider) -> tuple[Daemon, Path]:
    """A daemon whose model proposes three files, with a look between, and the folder they would be in."""
    daemon = make_daemon(config=f'[agent]\nmodel = "m"\n[models.m]\nmodel = "m-1"\nbase_url = "{provider.url}"\n')
    place = own_folder(daemon, "place")
    lines = (f"touch {place}/a", "cat /etc/hostname", f"touch {place}/b", f"touch {place}/c")
    calls = tuple(Call(id=f"c{n}", tool="bash", arguments={"command": line}) for n, line in enumerate(lines))
    provider.says(Say(calls=calls), Say(text="That is it."))
    return daemon, place


def _made(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def _decisions(daemon: Daemon) -> list[tuple[str, str]]:
    decided = [each for each in daemon.records() if each["kind"] == "decided"]
    return [(each["action"].split()[-1].rpartition("/")[2], each["decision"]) for each in decided]


def test_some_are_answered_from_the_list_and_the_rest_one_by_one(
    planned: tuple[Daemon, Path], provider: ScriptedProvider
) -> None:
    daemon, place = planned
    with on_terminal(daemon, "ask", "make them") as terminal:
        shown = terminal.wait_for(ALL)
        assert "\n3 steps wait for your answer\n\n── 1. approval " in shown
        assert f"\n── 3. approval {daemon.guard('ListPending')['approvals'][2]['id']} ──" in shown
        assert shown.count("  run      touch ") == 3
        terminal.type("4")  # no number of the list
        terminal.wait_for(ALL, times=2)
        assert _made(place) == []
        terminal.type("3")
        terminal.wait_for("left: 1 2\n")
        terminal.type("s 1")
        terminal.wait_for("left: 2\n")
        assert _made(place) == []  # nothing begins before all are answered
        terminal.type("")
        terminal.wait_for(f"  2. touch {place}/b\n")
        terminal.wait_for(QUESTION)
        terminal.type("y")
        assert terminal.end() == 0
        assert "  skipped: a person skipped this step" in terminal.plain
        assert "That is it.\n" in terminal.plain
    assert _made(place) == ["b", "c"]
    assert _decisions(daemon) == [("a", "skipped"), ("hostname", "allowed"), ("b", "approved"), ("c", "approved")]
    results = provider.asked[1].results
    assert ["outcome=done" in results[f"c{n}"] for n in range(4)] == [False, True, True, True]
    records = [each for each in daemon.records() if each["kind"] == "decided" and each["approval"]]
    assert len({each["approval"] for each in records}) == 3
    assert {stored_state(daemon, each["approval"]) for each in records} == {
        ("skipped", default_person()),
        ("consumed", default_person()),
    }


def test_a_yes_is_to_all_of_the_list(planned: tuple[Daemon, Path]) -> None:
    daemon, place = planned
    with on_terminal(daemon, "chat", "--plain", environment={"LANG": "ja_JP.UTF-8"}) as terminal:
        terminal.wait_for("[aios] > ")
        terminal.type("make them")
        assert "\n3件の操作が回答を待っています\n" in terminal.wait_for("(1件ずつ): ")
        terminal.type("y")
        terminal.wait_for("[aios] > ", times=2)
        assert "That is it.\n" in terminal.plain
        assert _made(place) == ["a", "b", "c"]
        terminal.type("/quit")
        assert terminal.end() == 0


def test_a_no_is_to_all_of_the_list_and_counts_once(planned: tuple[Daemon, Path]) -> None:
    daemon, place = planned
    with asking(daemon, "make them") as stream:
        needed = stream.until("review_needed")["approvals"]
        identities = [each["approval"] for each in needed]
        assert [each["call"] for each in needed] == ["c0", "c2", "c3"]
        assert daemon.aios("approve", *identities).status == 64  # there is no terminal
        assert daemon.aios("deny", identities[1], "not", "today").status == 0
        ends = [event for event in stream if event["type"] == "call_done"]
    assert [each["outcome"] for each in ends] == ["denied", "done", "denied", "denied"]
    assert [each["reason"] for each in ends if each["outcome"] == "denied"][1] == "not today"
    assert _made(place) == []
    approvers = [each["approver"] for each in daemon.records() if each.get("decision") == "denied"]
    assert approvers == [-1, default_person(), -1]


def test_several_waiting_cards_are_approved_together_from_elsewhere(daemon: Daemon) -> None:
    place = own_folder(daemon, "together")
    with (
        proposed(daemon, f"touch {place}/a") as (first, one),
        proposed(daemon, f"touch {place}/b") as (second, two),
    ):
        listed = daemon.aios("pending").out
        assert f"── 1. approval {one['id']} " in listed
        assert f"── 2. approval {two['id']} " in listed
        with on_terminal(daemon, "approve", one["id"], two["id"]) as terminal:
            terminal.wait_for(ALL)
            terminal.type("1")
            terminal.wait_for("left: 2\n")
            terminal.type("n not this")
            assert terminal.end() == 77
        assert first.until("turn_done")["exit_status"] == 0
        assert second.until("call_done")["reason"] == "not this"
    with proposed(daemon, f"touch {place}/c") as (first, one), proposed(daemon, f"touch {place}/d") as (second, two):
        assert daemon.aios("approve", one["id"], two["id"], "--yes").status == 0
        assert [stream.until("turn_done")["exit_status"] for stream in (first, second)] == [0, 0]
    assert _made(place) == ["a", "c", "d"]


def test_every_tool_whose_call_may_be_asked_about_stands_in_the_list(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    rules = '[[rule]]\npattern = ["systemctl", "journalctl"]\ntier = "require_approval"\nreason = "Asked."\n'
    model = f'[agent]\nmodel = "m"\n[models.m]\nmodel = "m-1"\nbase_url = "{provider.url}"\n'
    daemon = make_daemon(config=model, policy=rules)
    place = own_folder(daemon, "all")
    asked: dict[str, dict[str, Any]] = {
        "bash": {"command": f"touch {place}/a"},
        "write_file": {"path": f"{place}/b", "content": "b"},
        "services": {"unit": "x.service"},
        "journal": {"unit": "x.service"},
        "web_fetch": {"url": "https://example.org/"},
    }
    unasked: dict[str, dict[str, Any]] = {
        "observe": {"what": "approvals"},
        "journal": {"unit": "x.service", "root": True},
    }
    each = [*asked.items(), *unasked.items()]
    calls = tuple(Call(id=f"c{n}", tool=tool, arguments=given) for n, (tool, given) in enumerate(each))
    provider.says(Say(calls=calls), Say(text="That is it."))
    with asking(daemon, "do all of it") as stream:
        needed = stream.until("review_needed")["approvals"]
        assert [card["call"] for card in needed] == [f"c{n}" for n in range(len(asked))]
        assert daemon.aios("deny", needed[0]["approval"]).status == 0
        outcomes = {event["call"]: event["outcome"] for event in stream if event["type"] == "call_done"}
    assert [outcomes[f"c{n}"] for n in range(len(asked))] == ["denied"] * len(asked)
    assert outcomes["c5"] == "done"
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(("said", "made"), [("y", ["a", "b", "c"]), ("", [])])
def test_a_plan_is_carried_out_at_a_word_and_each_step_is_shown_first(
    planned: tuple[Daemon, Path], provider: ScriptedProvider, said: str, made: list[str]
) -> None:
    daemon, place = planned
    provider.says(Say(text="Done."))
    with on_terminal(daemon, "ask", "--plan", "make them") as terminal:
        shown = terminal.wait_for("and asked  (no): ")
        assert "\n3 steps were left undone\n" in shown
        assert _made(place) == []
        terminal.type(said)
        if said:
            terminal.wait_for(ALL)
            assert _made(place) == []
            terminal.type("y")
        assert terminal.end() == 0
        assert ("Done.\n" in terminal.plain) is bool(said)
    assert _made(place) == made
    (session,) = daemon.api("GET", "/v1/sessions").json["sessions"]
    assert session["turns"] == (2 if said else 1)
    proposed = [each["digest"] for each in daemon.records() if each.get("decision") == "unanswered"]
    assert len(proposed) == 3
    assert [each["digest"] for each in daemon.records() if each.get("decision") == "approved"] == proposed * bool(said)
    assert len(provider.asked) == (3 if said else 2)  # nobody asked the model for the steps again


def test_a_plan_is_carried_out_where_it_was_made_and_what_was_done_already_is_not_done_again(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    model = f'[agent]\nmodel = "m"\n[models.m]\nmodel = "m-1"\nbase_url = "{provider.url}"\n'
    daemon = make_daemon(config=model)
    place = own_folder(daemon, "there")
    given: list[tuple[str, dict[str, Any]]] = [
        ("bash", {"command": f"cd {place} && ls"}),
        ("bash", {"command": "touch a"}),
        ("write_file", {"path": "b", "content": "b"}),
    ]
    calls = tuple(Call(id=f"c{n}", tool=tool, arguments=each) for n, (tool, each) in enumerate(given))
    provider.says(Say(calls=calls), Say(text="That is it."), Say(text="Done."))
    with asking(daemon, "make them", plan=True) as stream:
        session = stream.until("session_started")["session"]
        assert stream.until("turn_done")["exit_status"] == 0
    with asking(daemon, "make them", session=session, carry_out=True) as stream:
        needed = stream.until("review_needed")["approvals"]
        assert _made(place) == []
        for each in needed:
            assert answered(daemon, card_of(daemon, each["approval"])) == {}
        assert stream.until("turn_done")["exit_status"] == 0
    assert _made(place) == ["a", "b"]
    assert [each.get("action") for each in daemon.records() if each.get("decision") == "allowed"] == ["ls"]
    with asking(daemon, "again", session=session, carry_out=True) as stream:  # there is no plan any more
        provider.says(Say(text="Nothing is left."))
        assert "call_proposed" not in [event["type"] for event in stream]


# What the guard holds to ----------------------------------------------------------------------------------------------


def _proposal(place: Path, name: str, **more: Any) -> dict[str, Any]:
    return {"call": name, "command": f"touch {place}/{name}", "cwd": "/", **more}


def test_a_yes_given_ahead_is_to_the_same_action_of_the_same_call_once(daemon: Daemon) -> None:
    place = own_folder(daemon, "ahead")
    session = daemon.guard("OpenSession")["session"]
    proposals = [_proposal(place, name) for name in ("a", "b", "c")]
    with daemon.guard_stream("Review", {"session": session, "proposals": proposals}) as review:
        cards = [card_of(daemon, each["approval"]) for each in next(review)["approvals"]]
        for card in cards:
            assert answered(daemon, card) == {}
        assert next(review) == {"event": "settled"}
        assert _made(place) == []
        with daemon.guard_stream("Execute", {"session": session, **proposals[0]}) as replies:
            assert [next(replies)["event"] for _ in range(2)] == ["decision", "done"]
        for changed in (proposals[0], {**proposals[1], "cwd": "/tmp"}, {**proposals[2], "command": f"rm {place}/a"}):
            with daemon.guard_stream("Execute", {"session": session, **changed}) as replies:
                assert next(replies)["event"] == "decision"
                assert next(replies)["approval"] not in [card["id"] for card in cards]
    assert _made(place) == ["a"]
    wait_until(lambda: stored_states(daemon, session) == {"consumed", "expired"}, "all the cards to end")
    assert stored_state(daemon, cards[0]["id"])[0] == "consumed"


def test_what_was_asked_ahead_and_not_proposed_is_taken_back(daemon: Daemon) -> None:
    place = own_folder(daemon, "back")
    session = daemon.guard("OpenSession")["session"]
    proposals = [_proposal(place, name) for name in ("a", "b")]
    with daemon.guard_stream("Review", {"session": session, "proposals": proposals}) as review:
        cards = [card_of(daemon, each["approval"]) for each in next(review)["approvals"]]
        assert answered(daemon, cards[0]) == {}
    wait_until(lambda: stored_states(daemon, session) == {"expired"}, "the cards to end")
    assert daemon.guard("ListPending") == {"approvals": []}
    wait_until(lambda: len(daemon.records(session=session)) == 2, "the record of it")
    assert {each["decision"] for each in daemon.records(session=session)} == {"cancelled"}
    with daemon.guard_stream("Execute", {"session": session, **proposals[0]}) as replies:
        assert [next(replies)["event"] for _ in range(2)] == ["decision", "approval"]
    assert _made(place) == []


def test_nobody_is_shown_a_list_of_one(daemon: Daemon) -> None:
    place = own_folder(daemon, "one")
    session = daemon.guard("OpenSession")["session"]
    looks = {"call": "x", "command": "uname", "cwd": "/"}
    for proposals in ([_proposal(place, "a"), looks], [looks, {**looks, "call": "y"}]):
        with daemon.guard_stream("Review", {"session": session, "proposals": proposals}) as review:
            assert next(review) == {"event": "done"}
    for wrong in ([looks], looks, [looks] * 33, [looks, "x"], [looks, {"call": "y"}]):
        with daemon.guard_stream("Review", {"session": session, "proposals": wrong}) as review:
            assert next(review)["error"] == "org.varlink.service.InvalidParameter"
    assert daemon.guard("ListPending") == {"approvals": []}


def test_a_list_that_nobody_answers_in_time_is_a_no_to_each(planned: tuple[Daemon, Path]) -> None:
    daemon, place = planned
    with asking(daemon, "make them", wait_s=1) as stream:
        events = list(stream)
    assert [event["type"] for event in events if event["type"] in ("review_needed", "approval_needed")] == [
        "review_needed"
    ]
    ends = [event["outcome"] for event in events if event["type"] == "call_done"]
    assert ends == ["unanswered", "done", "unanswered", "unanswered"]
    assert _made(place) == []
