"""A model's questions to the person, as the daemon holds them open and the client puts them."""

import os
from collections.abc import Iterator

import pytest

from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.daemon.terminal import Terminal, on_terminal
from tests.doubles.provider import Call, Say, ScriptedProvider

WHICH = Call(tool="ask_user", arguments={"question": "Which disk?", "choices": ["sda", "sdb"]}, id="call_q")
TODO = Call(tool="todo", arguments={"items": ["[x] look", "[ ] mend"]})


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        yield made


def _daemon(make_daemon: MakeDaemon, provider: ScriptedProvider, agent: str = "") -> Daemon:
    config = f'[agent]\nmodel = "mine"\n{agent}\n[models.mine]\nmodel = "m-1"\nbase_url = "{provider.url}"\n'
    return make_daemon(config=config)


@pytest.mark.parametrize(("typed", "said"), [("2", "sdb"), ("the old one", "the old one")])
def test_a_question_is_put_at_the_terminal_and_answered_there(
    make_daemon: MakeDaemon, provider: ScriptedProvider, typed: str, said: str
) -> None:
    daemon = _daemon(make_daemon, provider)
    provider.says(Say(calls=(TODO, WHICH)), Say(text="Thank you."))
    with on_terminal(daemon, "ask", "make room") as terminal:
        assert isinstance(terminal, Terminal)
        screen = terminal.wait_for("number or words: ")
        assert "  [x] look\n  [ ] mend\n" in screen
        assert "? Which disk?\n  1. sda\n  2. sdb\n" in screen
        terminal.type(typed)
        assert terminal.end() == 0
    assert said in provider.asked[1].results["call_q"]


def test_nobody_there_to_answer_is_told_to_the_model_at_once(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    daemon = _daemon(make_daemon, provider)
    provider.says(Say(calls=(WHICH,)), Say(text="I do without."))
    ran = daemon.aios("ask", "make room")
    assert (ran.status, ran.out) == (0, "I do without.\n")
    assert "? Which disk?\n  (nobody is here to answer)\n" in ran.err
    assert "nobody answered" in provider.asked[1].results["call_q"]


def test_a_question_waits_as_long_as_is_configured_and_an_answer_after_that_is_none(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    daemon = _daemon(make_daemon, provider, agent="question_wait_s = 1")
    provider.says(Say(calls=(WHICH,)), Say(text="I do without."))
    events = daemon.ask("make room")
    assert [event["choices"] for event in events if event["type"] == "question"] == [["sda", "sdb"]]
    assert "nobody answered" in provider.asked[1].results["call_q"]
    path = f"/v1/sessions/{events[0]['session']}/answer"
    assert daemon.api("POST", path, {"call": "call_q", "text": "sda"}).json == {"answered": False}
    if os.geteuid() == 0:
        assert daemon.api("POST", path, {"call": "call_q", "text": "sda"}, uid=0).status == 404
