"""A conversation that fills the model's window, as a provider, the record of what was sent and an export see it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from aiosd.agent.summary import ASK
from tests.daemon.cards import own_folder
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.doubles.provider import Call, Say, ScriptedProvider, complaint

FACT = "The disk is called kuromatsu."


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _daemon(make_daemon: MakeDaemon, provider: ScriptedProvider, *, more: str = "") -> Daemon:
    table = f'[models.m]\nmodel = "m-1"\nbase_url = "{provider.url}"\nretries = 0\ncontext_tokens = 4096\n'
    return make_daemon(config=f'[agent]\nmodel = "m"\n{more}{table}')


def _fill(daemon: Daemon, provider: ScriptedProvider) -> None:
    """A turn whose output is half of the window, and so is the next one's."""
    place = own_folder(daemon, "place")
    (place / "long").write_text("".join(f"line {number}\n" for number in range(500)))
    call = Call(id="c1", tool="read_file", arguments={"path": f"{place}/long"})
    provider.says(Say(calls=(call,)), Say(text="Seen."))
    assert daemon.ask("look", name="work")[-1]["exit_status"] == 0


def _last(provider: ScriptedProvider, at: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = provider.asked[at].body["messages"]
    return [each for each in messages if each["role"] != "system"]


def test_old_turns_are_told_in_short_once_and_that_is_kept(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = _daemon(make_daemon, provider)
    _fill(daemon, provider)
    provider.says(Say(text=FACT), Say(text="Kuromatsu."))
    assert daemon.ask("x" * 3000, session="work")[-1]["steps"] == 2
    assert _last(provider, 2)[-1]["content"] == ASK
    (told,) = _last(provider, 3)
    assert FACT in told["content"]
    assert told["content"].endswith("x" * 3000)
    daemon.stop()
    daemon.start()
    provider.says(Say(text="Again."))
    daemon.ask("and now?", session="work")
    first, *rest = _last(provider, 4)
    assert first == told
    assert [each["content"] for each in rest] == ["Kuromatsu.", "and now?"]
    sent = daemon.api("GET", "/v1/sent").json["requests"]
    assert [(each["turn"], each["error"]) for each in sent] == [(1, ""), (1, ""), (2, ""), (2, ""), (3, "")]
    assert "soon the conversation is longer" in daemon.aios("log", "--show", str(sent[2]["number"])).out
    exported = json.loads(daemon.aios("session", "export", "work", "--json").out)
    assert [turn["answer"] for turn in exported["turns"]] == ["Seen.", "Kuromatsu.", "Again."]
    assert "line 499" in exported["turns"][0]["steps"][0]["result"]


@pytest.mark.parametrize("more", ["", "summarise = false\n"], ids=["fails", "off"])
def test_without_one_what_is_old_is_cut_by_rule(make_daemon: MakeDaemon, provider: ScriptedProvider, more: str) -> None:
    daemon = _daemon(make_daemon, provider, more=more)
    _fill(daemon, provider)
    provider.says(*(() if more else (complaint(400, "no"),)), Say(text="Cut."))
    events = daemon.ask("x" * 2800, session="work")
    assert (events[-1]["type"], events[-1]["exit_status"]) == ("turn_done", 0)
    assert len(provider.asked) == (3 if more else 4)
    told = json.dumps(_last(provider, -1))
    assert "line 499" not in told
    assert "look" in told
