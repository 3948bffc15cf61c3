"""What the login hook tells the daemon, and what the daemon has for it."""

import os
from pathlib import Path

import pytest

from tests.daemon.asking import ASKS_FIRST, answer, asking
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.daemon.people import default_person

LINES = "text/plain"


def _login(daemon: Daemon, *, shown: bool, uid: int | None = None) -> str:
    response = daemon.api("POST", f"/v1/login?shown={str(shown).lower()}", None, LINES, uid)
    assert response.status == 200, response.text
    return response.text


def test_nothing_waits_for_who_never_asked_and_no_file_of_theirs_is_made(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    notice = daemon.api("POST", "/v1/login").json
    assert (notice["pending"], notice["failed"], notice["sessions"]) == (0, 0, [])
    assert _login(daemon, shown=False) == ""
    assert list(daemon.state.glob("users/*")) == []


def test_what_failed_is_told_once_and_only_when_somebody_sees_it(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    started = daemon.ask(ASKS_FIRST, wait_s=1)[0]  # and nobody answers
    for read in ("how much memory is free?", "run `ls /nowhere`", "colourless green ideas sleep furiously"):
        assert daemon.ask(read)[-1]["type"] == "turn_done"
    unseen = _login(daemon, shown=False)
    assert unseen.startswith("1 turn cut short since ")
    assert unseen.endswith(f" UTC: aios sessions ({started['name']})\n")
    assert _login(daemon, shown=True) == unseen
    assert _login(daemon, shown=True) == ""
    again = daemon.ask(ASKS_FIRST, wait_s=1)[0]
    assert daemon.api("POST", "/v1/login").json["sessions"] == [again["name"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: two users")
def test_a_login_is_ones_own(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.ask(ASKS_FIRST, wait_s=1)
    assert _login(daemon, shown=True, uid=default_person() + 1) == ""
    assert _login(daemon, shown=True).startswith("1 turn cut short since ")


def test_what_waits_for_an_answer_is_counted_for_who_may_answer(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with asking(daemon, ASKS_FIRST) as stream:
        needed = stream.until("approval_needed")
        assert _login(daemon, shown=True) == "1 approval waits for your answer: aios pending\n"
        answer(daemon, needed["approval"], approve=False)
        stream.until("turn_done")
    assert _login(daemon, shown=True) == ""


def test_whether_it_is_shown_is_true_or_false(daemon: Daemon) -> None:
    assert daemon.api("POST", "/v1/login?shown=perhaps").json["code"] == "invalid_request"
    assert daemon.api("POST", "/v1/login?shown=true").status == 200


def test_a_mark_that_cannot_be_written_is_a_storage_problem(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    marks = Path(daemon.state) / "logins"
    marks.write_text("", encoding="utf-8")
    assert daemon.api("POST", "/v1/login?shown=true").json["code"] == "storage"
    marks.unlink()
    assert _login(daemon, shown=True) == ""
