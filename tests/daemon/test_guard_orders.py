"""Orders to the guard: leases, stopping and letting go on, and what the record and the policy's verbs say of it."""

import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import asking
from tests.daemon.cards import answered, own_folder, proposed
from tests.daemon.conftest import MakeDaemon, running
from tests.daemon.harness import Daemon, guard_pid, processes_with, wait_until
from tests.daemon.people import OTHER, default_person, needs_root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One for all."""
    with running() as made:
        yield made


@pytest.fixture
def place(daemon: Daemon) -> Path:
    """A folder of the person's."""
    return own_folder(daemon, f"f{secrets.token_hex(4)}")


def _orders(daemon: Daemon) -> list[tuple[str, str]]:
    return [(each["order"], each["session"]) for each in daemon.records() if each["kind"] == "ordered"]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def _leased(daemon: Daemon, command: str, **terms: Any) -> dict[str, Any]:
    """Approve a command with a lease; its card, and the lease's id."""
    with proposed(daemon, command) as (stream, card):
        lease = answered(daemon, card, lease=terms)["lease"]
        assert stream.until("turn_done")["exit_status"] == 0
    return {**card, "lease": lease}


def test_a_lease_answers_the_same_command_in_its_session_until_it_is_used_up(daemon: Daemon, place: Path) -> None:
    command = f"touch {place}/made"
    card = _leased(daemon, command, uses=2)
    for _ in range(2):
        (place / "made").unlink()
        events = daemon.ask(f"run `{command}`", session=card["session"])
        assert "approval_needed" not in [event["type"] for event in events]
        assert (place / "made").exists()
    decided = [each for each in daemon.records(session=card["session"]) if each["kind"] == "decided"]
    assert [each["approval"] for each in decided] == [card["id"], card["lease"], card["lease"]]
    assert {each["decision"] for each in decided} == {"approved"}
    assert {each["approver"] for each in decided} == {default_person()}
    with proposed(daemon, command, session=card["session"]) as (stream, again):
        assert answered(daemon, again, approve=False) == {}
        assert stream.until("turn_done")["exit_status"] == 77
    (lease,) = [each for each in daemon.guard("ListLeases")["leases"] if each["id"] == card["lease"]]
    assert (lease["state"], lease["used"], lease["uses"], lease["line"]) == ("used up", 2, 2, command)
    wait_until(lambda: bool(daemon.records(session=card["session"], kind="lapsed")), "the record of its end")
    (end,) = daemon.records(session=card["session"], kind="lapsed")
    assert (end["lease"], end["how"], end["used"], end["action"]) == (card["lease"], "used up", 2, command)
    assert card["lease"] not in daemon.aios("lease", "list").out
    shown = daemon.aios("lease", "list", "--all").out
    assert f"{card['lease']}  used up " in shown
    assert f"lease {card['lease']} used up (2/2): {command}\n" in daemon.aios("log").out
    for kind in ("ordered", "done"):
        assert {each["kind"] for each in daemon.records(kind=kind)} == {kind}
    assert daemon.guard("Records", {"kind": "x"})["error"] == "org.varlink.service.InvalidParameter"


def test_a_lease_is_for_nothing_else_and_ends_when_it_is_revoked(daemon: Daemon, place: Path) -> None:
    card = _leased(daemon, f"touch {place}/made")
    for command, session in ((f"touch {place}/made {place}/more", card["session"]), (f"touch {place}/made", None)):
        with proposed(daemon, command, **({"session": session} if session else {})) as (stream, other):
            assert answered(daemon, other, approve=False) == {}
            stream.until("turn_done")
    listed = daemon.aios("lease", "list")
    assert f"{card['lease']}  open, " in listed.out
    assert f"    touch {place}/made\n" in listed.out
    assert daemon.aios("lease", "revoke", card["lease"]).status == 0
    assert daemon.aios("lease", "revoke", card["lease"]).status == 65
    assert card["lease"] not in daemon.aios("lease", "list").out
    wait_until(lambda: f"{card['lease']}  revoked " in daemon.aios("lease", "list", "--all").out, "its end")
    with proposed(daemon, f"touch {place}/made", session=card["session"]) as (stream, again):
        assert answered(daemon, again, approve=False) == {}
        stream.until("turn_done")
    assert _orders(daemon)[-2:] == [("grant a lease", card["session"]), ("revoke a lease", "")]


@pytest.mark.parametrize("command", ["bash -c 'touch {0}/x'", "rm {0}/x", "env touch {0}/x", "echo x > {0}/x", "make"])
def test_no_lease_is_given_for_what_could_be_anything(daemon: Daemon, place: Path, command: str) -> None:
    with proposed(daemon, command.format(place)) as (stream, card):
        assert card["leasable"] is False
        refused = answered(daemon, card, lease={})
        assert refused["error"] == "io.aios.Guard.NotEntitled"
        assert answered(daemon, card, approve=False) == {}
        assert stream.until("turn_done")["exit_status"] == 77
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("terms", [{"uses": 0}, {"uses": 1001}, {"seconds": 86401}, {"seconds": "1"}, []])
def test_terms_that_are_none_are_refused(daemon: Daemon, place: Path, terms: Any) -> None:
    with proposed(daemon, f"touch {place}/x") as (stream, card):
        assert answered(daemon, card, lease=terms)["error"] == "org.varlink.service.InvalidParameter"
        assert answered(daemon, card, approve=False) == {}
        stream.until("turn_done")


def test_what_is_stopped_stands_still_until_it_is_let_go_on(daemon: Daemon) -> None:
    nap = f"sleep 7{secrets.randbelow(10**6)}"
    with asking(daemon, f"run `{nap}`") as stream:
        session = stream.until("session_started")["session"]
        wait_until(lambda: bool(processes_with(nap)), "the command runs")
        assert daemon.aios("stop", session).status == 0
        wait_until(lambda: {_state(pid) for pid in processes_with(nap)} == {"T"}, "it stands still")
        refused = daemon.guard_stream("Execute", {"session": session, "call": "c9", "command": "id", "cwd": "/"})
        with refused as replies:
            assert "stopped by a person" in next(replies)["reason"]
        assert daemon.aios("thaw", session).status == 0
        wait_until(lambda: {_state(pid) for pid in processes_with(nap)} == {"S"}, "it goes on")
        assert daemon.aios("stop", "--kill", session).status == 0
        assert stream.until("call_done")["outcome"] == "cancelled"
        wait_until(lambda: not processes_with(nap), "it is gone")
    assert daemon.aios("thaw", session).status == 0
    assert _orders(daemon)[-4:] == [("stop", session), ("thaw", session), ("kill", session), ("thaw", session)]
    done = [each for each in daemon.records(session=session) if each["kind"] == "done"]
    assert [each["outcome"] for each in done] == ["cancelled"]


def test_a_stop_denies_what_waits_and_ends_leases(daemon: Daemon, place: Path) -> None:
    card = _leased(daemon, f"touch {place}/made")
    with proposed(daemon, f"touch {place}/other", session=card["session"]) as (stream, _waiting):
        said = daemon.guard("Freeze", {"session": card["session"]})
        assert said == {"actions": 0, "approvals": 1, "leases": 1}
        assert stream.until("turn_done")["exit_status"] == 77
    assert daemon.guard("Thaw", {"session": card["session"]}) == {"actions": 0}
    assert not (place / "other").exists()
    states = {each["id"]: each["state"] for each in daemon.guard("ListLeases")["leases"]}
    assert states[card["lease"]] == "revoked"


def test_a_stop_works_when_aiosd_hangs_and_outlives_the_guard(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    assert daemon.process is not None
    os.kill(daemon.process.pid, 19)  # SIGSTOP
    try:
        stopped = daemon.aios("stop", "--everybody", uid=os.geteuid())
        assert (stopped.status, "nothing more begins" in stopped.err) == (0, True)
    finally:
        os.kill(daemon.process.pid, 18)  # SIGCONT
    assert daemon.stop() == 0
    daemon.start()
    (done,) = [event for event in daemon.ask("run `id`") if event["type"] == "call_done"]
    assert done["outcome"] == "refused"
    assert daemon.aios("thaw", "--everybody", uid=os.geteuid()).status == 0
    (done,) = [event for event in daemon.ask("run `id`") if event["type"] == "call_done"]
    assert done["outcome"] == "done"


def test_a_hung_guard_is_no_end_of_the_matter(make_daemon: MakeDaemon) -> None:
    """Whose guard it is ends it: what it runs ends with it, and the next one takes the order."""
    daemon = make_daemon()
    nap = f"sleep 7{secrets.randbelow(10**6)}"
    with asking(daemon, f"run `{nap}`"):
        wait_until(lambda: bool(processes_with(nap)), "the command runs")
        hung = guard_pid(daemon)
        os.kill(hung, signal.SIGSTOP)
        stopped = daemon.aios("stop", uid=os.geteuid())
        assert stopped.status == 69
        hint = stopped.err.splitlines()[1].strip()
        root = "root stops all agent work by its cgroup: sudo aios stop"
        own = f"end it, and with it all that it runs: pkill -KILL -U {os.geteuid()} -f aiosd.guard"
        assert (stopped.err.splitlines()[0], hint) == ("aios: the guard does not answer", own if os.geteuid() else root)
        assert processes_with(nap)
        os.kill(hung, signal.SIGKILL)  # as that line says, of this one alone
        wait_until(lambda: not processes_with(nap), "what it ran is gone")
    wait_until(lambda: "error" not in daemon.guard("Ping"), "the next guard")
    assert daemon.aios("stop", uid=os.geteuid()).status == 0
    assert daemon.aios("thaw", uid=os.geteuid()).status == 0


def test_an_order_that_a_hung_guard_was_left_is_heeded_before_anything_else(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    place, mark = own_folder(daemon, "marked"), daemon.state / "guard" / "stop-everything"
    card = _leased(daemon, f"touch {place}/made")
    nap = f"sleep 7{secrets.randbelow(10**6)}"
    with (
        asking(daemon, f"run `{nap}`") as napping,
        proposed(daemon, f"touch {place}/other") as (waiting, other),
    ):
        wait_until(lambda: bool(processes_with(nap)), "the command runs")
        hung = guard_pid(daemon)
        os.kill(hung, signal.SIGSTOP)
        mark.write_text("kill\n")
        os.kill(hung, signal.SIGCONT)
        assert answered(daemon, other)["error"] == "io.aios.Guard.NotPending"  # a yes that comes at once is too late
        assert waiting.until("call_done")["outcome"] in ("denied", "cancelled")
        assert napping.until("call_done")["outcome"] == "cancelled"
    assert (mark.exists(), (place / "other").exists()) == (False, False)
    assert [each["state"] for each in daemon.guard("ListLeases")["leases"]] == ["revoked"]
    assert _orders(daemon) == [("grant a lease", card["session"]), ("kill", "")]
    assert " actions, 1 approvals, 1 leases" in daemon.records(kind="ordered")[-1]["reason"]
    (done,) = [event for event in daemon.ask("run `id`") if event["type"] == "call_done"]
    assert done["outcome"] == "refused"
    assert daemon.aios("thaw", "--everybody", uid=os.geteuid()).status == 0
    (done,) = [event for event in daemon.ask("run `id`") if event["type"] == "call_done"]
    assert done["outcome"] == "done"
    assert daemon.stop() == 0
    mark.write_text("stop\n")
    daemon.start()
    assert (mark.exists(), _orders(daemon)[-1]) == (False, ("stop", ""))
    (done,) = [event for event in daemon.ask("run `id`") if event["type"] == "call_done"]
    assert done["outcome"] == "refused"


def test_a_session_is_stopped_by_its_id_though_aiosd_hangs(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    nap = f"sleep 7{secrets.randbelow(10**6)}"
    assert daemon.process is not None
    with asking(daemon, f"run `{nap}`") as stream:
        started = stream.until("session_started")
        wait_until(lambda: bool(processes_with(nap)), "the command runs")
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            named = daemon.aios("stop", started["name"])
            assert (named.status, "sessions go by their ids then" in named.err) == (69, True)
            assert daemon.aios("stop", started["session"], "--kill").status == 0
            wait_until(lambda: not processes_with(nap), "it is gone")
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)
        assert stream.until("call_done")["outcome"] == "cancelled"


@needs_root
def test_nobody_stops_or_thaws_anybody_else(daemon: Daemon) -> None:
    assert daemon.guard("Freeze", {"everybody": True}, uid=OTHER)["error"] == "io.aios.Guard.NotEntitled"
    with asking(daemon, "run `sleep 1000`") as stream:
        session = stream.until("session_started")["session"]
        stream.until("decision")
        assert daemon.guard("Freeze", {"session": session, "kill": True}, uid=OTHER)["actions"] == 0
        assert daemon.guard("Freeze", {"session": session, "kill": True})["actions"] == 1
        assert stream.until("call_done")["outcome"] == "cancelled"
        assert daemon.guard("Thaw", {"session": session}, uid=OTHER) == {"actions": 0}
        stream.until("turn_done")
    events = daemon.ask("run `id`", session=session)
    assert [event["outcome"] for event in events if event["type"] == "call_done"] == ["refused"]
    daemon.guard("Thaw", {"session": session})
    daemon.guard("Thaw", {}, uid=OTHER)


def test_after_denials_in_a_row_nobody_is_asked_for_a_while(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[guard]\ndenials_in_a_row = 2\napproval_wait_s = 2\n")
    place = own_folder(daemon, "place")
    session: dict[str, Any] = {}
    # a yes in between counts anew, a skipped step neither way
    for decision in ("deny", "skip", "approve", "deny", "skip", "deny"):
        with proposed(daemon, f"touch {place}/made", **session) as (stream, card):
            answered(daemon, card, decision=decision)
            stream.until("turn_done")
        session = {"session": card["session"]}
    (place / "made").unlink()
    events = daemon.ask(f"run `touch {place}/made`", **session)
    assert "approval_needed" not in [event["type"] for event in events]
    (last,) = [each for each in daemon.records(session=card["session"]) if each["kind"] == "decided"][-1:]
    assert (last["decision"], "several times in a row" in last["reason"], last["approver"]) == ("denied", True, -1)
    assert not (place / "made").exists()

    def asked_again() -> bool:
        return "approval_needed" in [event["type"] for event in daemon.ask(f"run `touch {place}/made`", **session)]

    wait_until(asked_again, "the pause is over")


def test_the_record_is_replayed_against_a_proposed_policy_and_rules_have_their_hits(
    daemon: Daemon, place: Path
) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        answered(daemon, card)
        stream.until("turn_done")
    daemon.ask("run `uptime`")
    proposal = daemon.folder / "proposal.toml"
    proposal.write_text('[permissions]\nnotify = ["touch"]\ndeny = ["uptime"]\n')
    ran = daemon.aios("policy", "backtest", str(proposal), "--since", "1h")
    assert ran.status == 0, ran.err
    assert f"require_approval -> notify               1x  touch {place}/made\n" in ran.out
    assert "auto_allow       -> deny" in ran.out
    assert " would change, " in ran.out
    rows = [json.loads(line) for line in daemon.aios("policy", "backtest", str(proposal), "--json").out.splitlines()]
    assert {"before": "auto_allow", "after": "deny", "command": "uptime", "count": 1} in rows
    shown = [json.loads(line) for line in daemon.aios("policy", "show", "--json").out.splitlines()]
    hits = {rule["name"]: rule["hits"] for rule in shown}
    assert hits["touch"] >= 1
    assert hits["uptime"] >= 1
    assert hits["poweroff"] == 0
