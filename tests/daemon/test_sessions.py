"""Sessions as a person keeps them: named, found, copied, read out, watched from elsewhere, deleted."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.daemon.asking import SLEEP, asking
from tests.daemon.cards import own_folder
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.daemon.terminal import QUESTION, approval_on, on_terminal
from tests.doubles.provider import Call, Say, ScriptedProvider

MEMORY = "how much memory is free?"


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _names(daemon: Daemon, *words: str) -> list[str]:
    out = daemon.aios("sessions", *words).out
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_a_session_is_named_found_renamed_and_deleted(daemon: Daemon) -> None:
    assert daemon.aios("ask", "--name", "disk-work", "how full is the disk?").status == 0
    assert daemon.aios("ask", "--name", "other", "メモリの空きは？").status == 0
    taken = daemon.aios("ask", "--name", "other", MEMORY)
    assert (taken.status, taken.err) == (
        65,
        "aios: there is a session other already\n  go on with it: --session NAME\n",
    )
    assert daemon.aios("ask", "--name", "No Name", MEMORY).status == 65
    assert _names(daemon) == ["other", "disk-work"]
    assert _names(daemon, "--search", "メモリ") == ["other"]
    assert _names(daemon, "--search", "HOW FULL") == ["disk-work"]
    assert _names(daemon, "--search", "100%_") == []
    renamed = daemon.aios("session", "rename", "other", "memory-work")
    assert (renamed.status, renamed.err) == (0, "renamed: memory-work\n")
    assert daemon.aios("session", "rename", "memory-work", "disk-work").status == 65
    assert daemon.aios("ask", "-s", "memory-work", MEMORY).status == 0
    told = daemon.aios("session", "rename", "memory-work", "memory", environment={"LC_MESSAGES": "ja_JP.UTF-8"})
    assert (told.status, told.err) == (0, "名前を変えました: memory\n")
    assert daemon.aios("session", "rename", "memory", "memory-work").err == "renamed: memory-work\n"
    assert daemon.aios("session", "delete", "memory-work").err == "deleted: memory-work\n"
    assert daemon.aios("session", "delete", "memory-work").status == 65
    assert _names(daemon) == ["disk-work"]


def test_a_session_that_runs_is_not_deleted_and_not_copied(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with asking(daemon, SLEEP) as stream:
        session = stream.until("session_started")["session"]
        assert daemon.api("DELETE", f"/v1/sessions/{session}").status == 409
        fork = {"prompt": MEMORY, "session": session, "fork": True}
        copied = daemon.api("POST", "/v1/ask", fork, accept="application/x-ndjson")
        assert copied.json["code"] == "session_busy"
        assert daemon.api("POST", f"/v1/sessions/{session}/cancel").json == {"cancelled": True}
        stream.until("turn_failed")
    assert daemon.api("DELETE", f"/v1/sessions/{session}").json["id"] == session


def test_a_copy_goes_on_by_itself(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    config = f'[agent]\nmodel = "mine"\n[models.mine]\nmodel = "m-1"\nbase_url = "{provider.url}"\n'
    daemon = make_daemon(config=config)
    provider.says(*(Say(text=f"{number}.") for number in range(4)))
    forked = ["-s", "one", "--fork", "--name", "two", "second"]
    for words in (["--name", "one", "first"], forked, ["-s", "one", "third"]):
        assert daemon.aios("ask", *words).status == 0
    asked = [[what for kind, what in each.turns if kind == "user"] for each in provider.asked]
    assert asked == [["first"], ["first", "second"], ["first", "third"]]
    turns = {name: daemon.api("GET", f"/v1/sessions/{name}").json["turns"] for name in ("one", "two")}
    assert [turn["prompt"] for turn in turns["one"]] == ["first", "third"]
    assert [turn["prompt"] for turn in turns["two"]] == ["first", "second"]


def test_a_session_is_read_out_as_text_data_and_a_script_that_does_it_again(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    daemon = make_daemon(config=f'[agent]\nmodel = "mine"\n[models.mine]\nmodel = "m-1"\nbase_url = "{provider.url}"\n')
    place = own_folder(daemon, "place")
    commands = ("cat /etc/hostname", f"touch '{place}/a b'", f"touch {place}/never")
    calls = [Call(id=f"c{at}", tool="bash", arguments={"command": line}) for at, line in enumerate(commands)]
    provider.says(Say(calls=tuple(calls)), Say(text="Made. ```"))
    with on_terminal(daemon, "ask", "--name", "made", "make a file\nplease") as terminal:
        terminal.wait_for("(one by one): ")
        terminal.type("1")
        terminal.wait_for("(one by one): ", times=2)
        terminal.type("n")
        assert terminal.end() == 77
    whole = json.loads(daemon.aios("session", "export", "made", "--json").out)
    (turn,) = whole["turns"]
    assert [(step["tier"], step["outcome"]) for step in turn["steps"]] == [
        ("auto_allow", "done"),
        ("require_approval", "done"),
        ("require_approval", "denied"),
    ]
    read = daemon.aios("session", "export", "made").out
    assert "# made\n" in read
    assert "> make a file\n> please\n" in read
    assert f"$ touch '{place}/a b'\n" in read
    assert read.endswith("Made. ```\n")
    told = daemon.aios("session", "export", "made", environment={"LC_MESSAGES": "ja_JP.UTF-8"}).out
    assert told == read.replace("\n(auto_allow, done)\n", "\n(auto_allow, 完了)\n").replace(
        "\n(require_approval, done)\n", "\n(require_approval, 完了)\n"
    ).replace("\n(require_approval, denied)\n", "\n(require_approval, 拒否しました)\n")
    assert told != read
    script = daemon.aios("session", "export", "made", "--script").out
    assert f"# looked: cat /etc/hostname\ntouch '{place}/a b'\n# denied: touch {place}/never\n" in script
    (place / "a b").unlink()
    for variables, made in (({}, False), ({"REVIEWED": "1"}, True)):
        subprocess.run(["bash"], input=script.encode(), env=variables, capture_output=True, timeout=30, check=False)
        assert [each.name for each in place.iterdir()] == (["a b"] if made else [])


def test_a_turn_is_watched_and_its_card_answered_from_another_terminal(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    place = own_folder(daemon, "place")
    with on_terminal(daemon, "ask", "--name", "work", f"run `touch {place}/made`") as first:
        first.wait_for(QUESTION)
        with on_terminal(daemon, "session", "attach", "work") as second:
            second.wait_for(QUESTION)
            assert f"> run `touch {place}/made`" in second.plain
            assert approval_on(second.plain) == approval_on(first.plain)
            second.type("y")
            assert second.end() == 0
        assert first.end() == 0
    assert [each.name for each in place.iterdir()] == ["made"]
    with on_terminal(daemon, "session", "attach", "work") as later:
        assert later.end() == 0


def test_leaving_a_watched_turn_interrupts_nothing(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with asking(daemon, SLEEP) as stream:
        session = stream.until("session_started")["session"]
        stream.until("decision")
        with on_terminal(daemon, "session", "attach", session) as watching:
            watching.wait_for("› sleep")
            watching.press(b"\x03")
            assert watching.end() == 130
            assert "(the turn goes on)" in watching.plain
        assert daemon.api("GET", f"/v1/sessions/{session}").json["session"]["state"] == "running"
        assert daemon.api("POST", f"/v1/sessions/{session}/cancel").json == {"cancelled": True}
