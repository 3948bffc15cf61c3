"""Observations by the guard of a standalone daemon: what is everybody's own, and what needs the installed service."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon.cards import answered, own_folder, proposed, said
from tests.daemon.conftest import running
from tests.daemon.harness import Daemon
from tests.daemon.people import OTHER, default_person, needs_root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon as it comes."""
    with running() as made:
        yield made


def _observe(daemon: Daemon, uid: int, **parameters: str) -> list[dict[str, Any]]:
    session = daemon.guard("OpenSession", {}, uid=uid)["session"]
    call = {"session": session, "call": "c", **parameters}
    with daemon.guard_stream("Observe", call, uid=uid) as replies:
        told = []
        for reply in replies:
            told.append(reply)
            if "error" in reply or reply["event"] == "done":
                break
        return told


def _entries(replies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    text = b"".join(base64.b64decode(each["data"]) for each in replies if each.get("event") == "output")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"what": "shadow"}, "what"),
        ({"what": "sshd", "name": "ssh.service"}, "name"),
        ({"what": "unit_journal", "name": "*"}, "name"),
        ({"what": "unit_journal"}, "name"),
    ],
)
def test_only_what_the_table_names_can_be_asked(daemon: Daemon, parameters: dict[str, str], wrong: str) -> None:
    (reply,) = _observe(daemon, default_person(), **parameters)
    assert (reply["error"], reply["parameter"]) == ("org.varlink.service.InvalidParameter", wrong)


@needs_root
def test_a_standalone_guard_shows_nothing_that_root_sees_and_says_so(daemon: Daemon) -> None:
    events = daemon.ask("is the firewall on?", uid=0)
    (end,) = [event for event in events if event["type"] == "call_done"]
    assert end["outcome"] == "refused"
    assert end["reason"].startswith("commands as root need the installed service")
    assert said(events) == (
        "I cannot see this. It needs the installed service: started by hand, aiosd does nothing as root.\n"
    )
    (record,) = daemon.records(session=events[0]["session"])
    assert (record["tool"], record["action"], record["decision"]) == ("observe", "observe firewall", "refused")


@needs_root
def test_who_does_not_administer_is_told_so(daemon: Daemon) -> None:
    events = daemon.ask("is the firewall on?", uid=OTHER)
    (end,) = [event for event in events if event["type"] == "call_done"]
    reason = "only root and members of wheel, sudo are shown the firewall's rules"
    assert (end["outcome"], end["reason"]) == ("denied", reason)
    assert said(events) == "I cannot see this. It is for root and administrators.\n"


def test_what_waits_for_an_answer_is_told_to_its_person_alone(daemon: Daemon) -> None:
    folder = own_folder(daemon, "observed")
    assert said(daemon.ask("is anything waiting for my approval?")) == "Nothing waits for an approval.\n"
    with proposed(daemon, f"touch {folder}/made") as (stream, card):
        answer = said(daemon.ask("is anything waiting for my approval?"))
        assert answer.startswith("1 approval waits for an answer; `aios pending` shows it.\n")
        assert card["id"] in answer
        assert f"touch {folder}/made" in answer
        assert [entry["id"] for entry in _entries(_observe(daemon, default_person(), what="approvals"))] == [card["id"]]
        assert answered(daemon, card, approve=False) == {}
        stream.until("turn_done")


@needs_root
def test_nobody_is_told_what_waits_for_others(daemon: Daemon) -> None:
    folder = own_folder(daemon, "private")
    with proposed(daemon, f"touch {folder}/made") as (stream, card):
        assert _entries(_observe(daemon, OTHER, what="approvals")) == []
        assert said(daemon.ask("何か承認を待っている？", uid=OTHER)) == "承認待ちはありません。\n"
        assert answered(daemon, card, approve=False) == {}
        stream.until("turn_done")


def test_what_was_done_is_told_from_the_record(daemon: Daemon) -> None:
    daemon.ask("how much memory is free?")
    answer = said(daemon.ask("what did you do?"))
    first, _, listed = answer.partition("\n\n")
    assert "only looked" in first
    records = daemon.records(tier="auto_allow")
    looked = [each for each in records if each["kind"] == "decided" and each["action"] == "free -b"]
    assert looked[-1]["at"][:19].replace("T", " ") in listed
    assert "free -b" in listed
