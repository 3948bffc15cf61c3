"""A host that no list names is put to the person, by the card, while the command waits: what each answer does."""

import os
import re
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.daemon.asking import asking
from tests.daemon.cards import answered, card_of, stored_state
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon, wait_until
from tests.daemon.people import default_person
from tests.daemon.terminal import QUESTION, on_terminal

_RULE = '[[rule]]\npattern = ["curl*"]\ntier = "notify"\nnetwork = ["*"]\n'
_ASKS = "$ curl -sf --max-time 40 http://far.example/"
_WHERE = "far.example:80"


@dataclass(slots=True)
class Parent:
    """A proxy of the machine's, which says hello for every host, and which hosts it was asked for."""

    port: int = 0
    asked: list[str] = field(default_factory=list)


@contextmanager
def parent_proxy() -> Iterator[Parent]:
    parent = Parent()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            parent.asked.append(self.rfile.readline().decode().split()[1])
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 fine\r\n\r\n")
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    parent.port = server.server_address[1]
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield parent
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture(scope="module")
def parent() -> Iterator[Parent]:
    with parent_proxy() as there:
        yield there


def config_of(parent: Parent, *, unknown: str = "ask", guard: str = "") -> str:
    return f'[egress]\nunknown = "{unknown}"\nparent = "http://127.0.0.1:{parent.port}"\n[guard]\n{guard}'


@pytest.fixture
def daemon(make_daemon: MakeDaemon, parent: Parent) -> Daemon:
    parent.asked.clear()
    return make_daemon(policy=_RULE, config=config_of(parent))


def _connects(daemon: Daemon) -> list[tuple[str, str, str, int]]:
    """What the record has of questions about hosts."""
    return [
        (each["action"], each["tier"], each["decision"], each["approver"])
        for each in daemon.records()
        if each["kind"] == "decided" and each["tool"] == "connect"
    ]


def _outcome(events: list[dict[str, Any]]) -> tuple[str, str]:
    (done,) = [event for event in events if event["type"] == "call_done"]
    return done["outcome"], done["reason"]


def test_a_yes_on_the_terminal_reaches_it_for_this_command(daemon: Daemon, parent: Parent) -> None:
    with on_terminal(daemon, "ask", _ASKS) as terminal:
        card = terminal.wait_for(QUESTION)
        assert parent.asked == []
        terminal.type("y")
        assert terminal.end() == 0
    assert (
        f"  reach    {_WHERE}\n  for      curl -sf --max-time 40 http://far.example/ wants to connect to it\n" in card
    )
    assert f"  because  Neither egress.allow nor egress.deny names {_WHERE}.\n" in card
    assert "[y] this command" in card
    assert "hello" in terminal.plain
    assert parent.asked == [_WHERE]
    assert _connects(daemon) == [(f"connect to {_WHERE}", "require_approval", "approved", default_person())]
    (connected,) = [each for each in daemon.records() if each["kind"] == "connected"]
    assert (connected["host"], connected["port"], connected["reason"]) == ("far.example", 80, "")
    assert re.search(rf"require_approval +approved +connect to {_WHERE}\n", daemon.aios("log").out)
    with on_terminal(daemon, "ask", _ASKS) as again:
        again.wait_for(QUESTION)
        again.type("n we use the mirror")
        again.end()
    assert parent.asked == [_WHERE]


def test_a_no_is_told_to_the_model_and_the_record(daemon: Daemon, parent: Parent) -> None:
    with asking(daemon, _ASKS) as stream:
        card = card_of(daemon, stream.until("approval_needed")["approval"])
        assert (card["tool"], card["action"], card["leasable"]) == ("connect", f"connect to {_WHERE}", True)
        assert f"  reach    {_WHERE}\n" in daemon.aios("pending").out
        assert card["content"] == "curl -sf --max-time 40 http://far.example/"
        assert answered(daemon, card, approve=False, reason="use the mirror") == {}
        outcome, reason = _outcome(list(stream))
    assert (outcome, f"a person said no to {_WHERE} (use the mirror)" in reason) == ("failed", True)
    assert parent.asked == []
    assert _connects(daemon) == [(f"connect to {_WHERE}", "require_approval", "denied", default_person())]
    assert stored_state(daemon, card["id"])[0] == "denied"
    assert f"a person said no to {_WHERE}" in daemon.aios("log").out


def test_a_yes_for_the_session_holds_in_it_and_not_beside_it(daemon: Daemon, parent: Parent) -> None:
    with on_terminal(daemon, "chat", "--plain", environment={"LC_ALL": "ja_JP.UTF-8"}) as terminal:
        terminal.type(_ASKS)
        card = terminal.wait_for("(拒否): ")
        assert f"  接続先   {_WHERE}\n" in card
        assert "http://far.example/ が接続を求めています" in card
        assert "[l] このセッション" in card
        terminal.type("l")
        terminal.wait_for("hello", times=1)
        terminal.type(_ASKS)
        terminal.wait_for("hello", times=2)
        terminal.type("/quit")
        terminal.end()
    assert parent.asked == [_WHERE] * 2
    assert f"connect to {_WHERE}" in daemon.aios("lease", "list").out
    assert [decision for _action, _tier, decision, _who in _connects(daemon)] == ["approved"] * 2
    with asking(daemon, _ASKS) as stream:  # a session of its own
        assert answered(daemon, card_of(daemon, stream.until("approval_needed")["approval"]), approve=False) == {}
        assert _outcome(list(stream))[0] == "failed"


def test_nobody_there_is_a_no_with_what_would_allow_it(make_daemon: MakeDaemon, parent: Parent) -> None:
    """And the command's own time stands still while its question waits."""
    parent.asked.clear()
    daemon = make_daemon(policy=_RULE, config=config_of(parent, guard="approval_wait_s = 2\ntimeout_s = 1\n"))
    ran = daemon.aios("ask", _ASKS)
    assert "for: aios approve" in ran.err
    assert f"{_WHERE} is not in egress.allow, and nobody answered in time; an administrator can add it" in ran.err
    assert parent.asked == []
    assert [decision for _action, _tier, decision, _who in _connects(daemon)] == ["unanswered"]
    assert daemon.guard("ListPending", {}) == {"approvals": []}


def test_where_nobody_is_to_be_asked_nobody_is(make_daemon: MakeDaemon, parent: Parent) -> None:
    parent.asked.clear()
    daemon = make_daemon(policy=_RULE, config=config_of(parent, unknown="deny"))
    assert f"{_WHERE} is not in egress.allow, where an administrator can add it" in _outcome(daemon.ask(_ASKS))[1]
    assert (parent.asked, _connects(daemon)) == ([], [])
    daemon.config = config_of(parent)
    daemon.write_config()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: '"ask"' in daemon.aios("config", "show").out, "the new configuration")
    with asking(daemon, _ASKS, yes_to="notify") as stream:
        assert "nobody is asked in this turn" in _outcome(list(stream))[1]
    with asking(daemon, _ASKS) as stream:
        assert answered(daemon, card_of(daemon, stream.until("approval_needed")["approval"])) == {}
        assert _outcome(list(stream)) == ("done", "")


def test_only_aiosd_asks_and_only_for_what_runs(daemon: Daemon) -> None:
    session = daemon.guard("OpenSession")["session"]
    asked = {"session": session, "call": "none", "host": "far.example", "port": 80}
    with daemon.guard_stream("Reach", asked) as events:
        assert "NotEntitled" in str(next(iter(events))) or os.geteuid() != 0
    with daemon.guard_stream("Reach", asked, uid=os.geteuid()) as events:
        assert "NotPending" in str(next(iter(events)))
