"""A daemon killed at each step of a model's turn, and a hundred turns at once: nothing lost, nothing run twice."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.daemon.asking import asking, send_question
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import processes_with, read_response, wait_until
from tests.doubles.provider import COMPLETIONS, MESSAGES, Call, Raw, Say, ScriptedProvider, Step, render_answer

TURNS = 100


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _cut(call: Call, path: str) -> Raw:
    """Half of an answer: the call's arguments have begun."""
    pieces = render_answer(Say(text="I look.", calls=(call,)), path).pieces
    begun = next(at for at, piece in enumerate(pieces) if b"I look" in piece)
    return Raw(pieces=pieces[: begun + 3], then="hang")


@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        ("before the answer", "openai"),
        ("in the answer", "anthropic"),
        ("in the command", "openai"),
        ("before the next answer", "anthropic"),
    ],
)
def test_a_daemon_killed_at_any_step_of_a_turn_leaves_a_conversation_that_goes_on(
    make_daemon: MakeDaemon, provider: ScriptedProvider, moment: str, kind: str
) -> None:
    table = f'[models.mine]\nprovider = "{kind}"\nmodel = "m-1"\nbase_url = "{provider.url}"\n'
    daemon = make_daemon(config=f'[agent]\nmodel = "mine"\n{table}')
    nap = f"sleep 8{os.getpid()}{time.monotonic_ns() % 10**6}"
    command = nap if moment == "in the command" else "cat /etc/hostname"
    call = Call(tool="bash", arguments={"command": command})
    silent = Raw(head=False, then="hang")
    path = MESSAGES if kind == "anthropic" else COMPLETIONS
    steps: dict[str, tuple[Step, ...]] = {
        "before the answer": (silent,),
        "in the answer": (_cut(call, path),),
        "in the command": (Say(calls=(call,)),),
        "before the next answer": (Say(text="I look.", calls=(call,)), silent),
    }
    provider.says(*steps[moment])
    with asking(daemon, "look at it") as stream:
        session = stream.until("session_started")["session"]
        if moment == "in the command":
            stream.until("decision")
            wait_until(lambda: bool(processes_with(nap)), "the command to run")
        elif moment == "in the answer":
            assert stream.until("text_delta")["text"].startswith("I look")
        else:
            wait_until(provider.waiting.is_set, "the request")
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not processes_with(nap), "the command to end")
    wait_until(lambda: not processes_with(str(daemon.folder)), "the guard to end")
    asked = len(provider.asked)
    daemon.start()
    turn = daemon.api("GET", f"/v1/sessions/{session}").json["turns"][-1]
    assert (turn["state"], turn["exit_status"]) == ("interrupted", 75)
    sent = daemon.api("GET", "/v1/sent").json["requests"]
    assert [each["error"] for each in sent] == ["", "interrupted"][-asked:] if moment != "in the command" else [""]
    provider.says(Say(text="Good."))
    events = daemon.ask("go on", session=session)
    assert events[-1]["exit_status"] == 0
    assert len(provider.asked) == asked + 1  # and the provider has found the conversation whole
    decided = [each["action"] for each in daemon.records(session=session) if each["kind"] == "decided"]
    assert decided == ([] if moment.endswith("the answer") else [command])


def test_a_hundred_turns_at_once_each_get_their_own_answer(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    """The provider answers none before all have asked."""
    limits = f"[limits]\nturns_per_user = {TURNS}\nconnections_per_user = {TURNS + 4}\n"
    table = f'[models.mine]\nmodel = "m-1"\nbase_url = "{provider.url}"\n'
    daemon = make_daemon(config=f'{limits}[agent]\nmodel = "mine"\n{table}')
    all_have_asked = threading.Event()
    provider.says(*[all_have_asked] * TURNS, *(Say(text=f"answer {number}.") for number in range(TURNS)))
    with ExitStack() as stack:
        stack.callback(all_have_asked.set)
        connections = [stack.enter_context(daemon.connect()) for _ in range(TURNS)]
        for number, connection in enumerate(connections):
            send_question(connection, f"question {number}")
        wait_until(lambda: len(provider.asked) == TURNS, "all to have asked")
        assert daemon.api("GET", "/v1/status").json["running_turns"] == TURNS
        all_have_asked.set()
        events = [read_response(connection).events() for connection in connections]
    answers = ["".join(event["text"] for event in each if event["type"] == "text_delta") for each in events]
    assert sorted(answers) == sorted(f"answer {number}." for number in range(TURNS))
    assert {each[-1]["exit_status"] for each in events} == {0}
    assert len({event["session"] for each in events for event in each}) == TURNS
    assert all([event["seq"] for event in each] == list(range(1, len(each) + 1)) for each in events)
    kept = daemon.api("GET", "/v1/sessions").json["sessions"]
    assert (len(kept), {each["state"] for each in kept}) == (TURNS, {"done"})
