"""Who sees what: the kernel says who asks, and what is somebody else's is not there."""

import grp
import os
import pwd

import pytest

from tests.daemon.asking import LINES, answer, asking, running_turn
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.daemon.people import OTHER, PERSON, needs_root

pytestmark = needs_root

QUESTION = "how much memory is free?"


def _members() -> tuple[int, str] | None:
    """An ordinary user of this machine's database, and a group of theirs."""
    for entry in pwd.getpwall():
        if 0 < entry.pw_uid < 60000:
            return entry.pw_uid, grp.getgrgid(entry.pw_gid).gr_name
    return None


@pytest.fixture
def mine(daemon: Daemon) -> dict[str, str]:
    """A session of PERSON with one turn: its id and name."""
    started = daemon.ask(QUESTION, uid=PERSON)[0]
    return {"id": started["session"], "name": started["name"]}


def _state(daemon: Daemon, session: str) -> object:
    detail = daemon.api("GET", f"/v1/sessions/{session}", uid=PERSON).json
    return detail["session"], detail["turns"], detail["last_seq"]


@pytest.mark.parametrize("who", [OTHER, 0], ids=["another user", "root"])
@pytest.mark.parametrize("by", ["id", "name"])
def test_anothers_session_is_not_there_by_any_door_and_no_trace_is_left(
    daemon: Daemon, mine: dict[str, str], who: int, by: str
) -> None:
    session = mine[by]
    before, records = _state(daemon, session), daemon.records()
    for method, rest, body in (
        ("GET", "", None),
        ("GET", "/events", None),
        ("GET", "/events?after=1&follow=false", None),
        ("POST", "/cancel", None),
        ("POST", "/turns", {"prompt": QUESTION}),
    ):
        response = daemon.api(method, f"/v1/sessions/{session}{rest}", body, LINES, uid=who)
        assert (response.status, response.json["code"]) == (404, "not_found")
        assert response.json["detail"] == f"there is no session {session}"
    response = daemon.api("POST", "/v1/ask", {"prompt": QUESTION, "session": session}, LINES, uid=who)
    assert (response.status, response.json["code"]) == (404, "not_found")
    assert _state(daemon, session) == before
    assert daemon.records() == records
    assert session not in daemon.api("GET", "/v1/sessions", uid=who).text
    assert daemon.api("GET", f"/v1/sessions/{session}", uid=PERSON).status == 200


def test_what_is_not_there_and_what_is_anothers_are_answered_alike(daemon: Daemon, mine: dict[str, str]) -> None:
    theirs = daemon.api("GET", f"/v1/sessions/{mine['name']}", uid=OTHER)
    nobodys = daemon.api("GET", "/v1/sessions/no-such-name", uid=OTHER)
    assert theirs.json == {**nobodys.json, "detail": f"there is no session {mine['name']}"}
    assert set(theirs.headers) == set(nobodys.headers)


def test_lists_and_the_newest_session_are_ones_own(daemon: Daemon, mine: dict[str, str]) -> None:
    other = daemon.ask(QUESTION, uid=OTHER)[0]["session"]
    lists = {who: daemon.api("GET", "/v1/sessions", uid=who).json["sessions"] for who in (PERSON, OTHER, 0)}
    ids = {who: {session["id"] for session in sessions} for who, sessions in lists.items()}
    assert mine["id"] in ids[PERSON]
    assert other in ids[OTHER]
    assert not ids[PERSON] & ids[OTHER]
    assert not ids[0] & (ids[PERSON] | ids[OTHER])
    again = daemon.ask(QUESTION, uid=OTHER, continue_newest=True)[0]
    assert (again["session"], again["turn"]) == (other, 2)


def test_a_running_turn_cannot_be_seen_joined_or_stopped_by_another(daemon: Daemon) -> None:
    with running_turn(daemon, uid=PERSON) as started:
        for who in (OTHER, 0):
            assert daemon.api("POST", f"/v1/sessions/{started['session']}/cancel", uid=who).status == 404
            assert daemon.api("GET", f"/v1/sessions/{started['name']}/events", accept=LINES, uid=who).status == 404
        assert daemon.api("GET", f"/v1/sessions/{started['session']}", uid=PERSON).json["session"]["state"] == "running"


def test_what_waits_for_an_answer_is_counted_for_whom_it_concerns(daemon: Daemon) -> None:
    with asking(daemon, "run `touch /tmp/x`", uid=PERSON) as stream:
        needed = stream.until("approval_needed")
        pending = {who: daemon.api("GET", "/v1/status", uid=who).json["pending"] for who in (PERSON, OTHER)}
        assert pending == {PERSON: 1, OTHER: 0}
        assert daemon.guard("ListPending", uid=OTHER) == {"approvals": []}
        answer(daemon, needed["approval"], approve=False, uid=PERSON)
        stream.until("turn_done")


def test_each_users_files_are_used_with_their_own_rights(daemon: Daemon) -> None:
    secret = daemon.folder / "secret"
    secret.write_text("for one only")
    os.chown(secret, PERSON, PERSON)
    secret.chmod(0o600)
    texts = {}
    for who in (PERSON, OTHER):
        events = daemon.ask(f"run `cat {secret}`", uid=who)
        texts[who] = "".join(event["text"] for event in events if event["type"] == "output")
    assert "for one only" in texts[PERSON]
    assert "for one only" not in texts[OTHER]
    assert "Permission denied" in texts[OTHER]


def test_two_users_may_be_in_the_middle_of_a_turn_at_once(daemon: Daemon) -> None:
    with running_turn(daemon, uid=PERSON) as one, running_turn(daemon, uid=OTHER) as two:
        assert one["session"] != two["session"]
        assert daemon.api("GET", "/v1/status").json["running_turns"] == 2


# [access] groups ------------------------------------------------------------------------------------------------------


def test_only_members_of_the_groups_that_are_named_may_use_the_daemon(make_daemon: MakeDaemon) -> None:
    found = _members()
    assert found, "every machine has system users"
    member, group = found
    made = make_daemon(config=f'[access]\ngroups = ["nobody-has-this", "{group}"]\n')
    for method, path, body in (
        ("GET", "/v1/status", None),
        ("GET", "/v1/sessions", None),
        ("POST", "/v1/ask", {"prompt": QUESTION}),
        ("GET", "/v1/openapi.json", None),
        ("GET", "/no/such/path", None),
    ):
        response = made.api(method, path, body, LINES if path == "/v1/ask" else "application/json", uid=PERSON)
        assert response.status == 403
        assert response.json == {
            "type": "/v1/problems/forbidden",
            "title": "Forbidden",
            "status": 403,
            "detail": "this daemon is for members of certain groups",
            "code": "forbidden",
            "hint": f"join {' or '.join(sorted(('nobody-has-this', group)))} (access.groups)",
            "exit_status": 77,
        }
    assert made.api("GET", "/v1/status", uid=member).status == 200
    assert made.api("GET", "/v1/status", uid=0).status == 200
    ran = made.aios("status", uid=PERSON)
    assert (ran.status, ran.out) == (77, "")
    assert ran.err.startswith("aios: this daemon is for members of certain groups\n  join ")
    assert made.aios("status", uid=member).status == 0
