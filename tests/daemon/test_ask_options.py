"""`aios ask` with what goes along, how it answers, and how far it may go."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.daemon.cards import own_folder
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import ROOT, Daemon
from tests.daemon.people import IS_ROOT, default_person
from tests.daemon.terminal import on_terminal
from tests.doubles.provider import COMPLETIONS, MESSAGES, Call, Say, ScriptedProvider

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
NOTIFY = '[permissions]\nnotify = ["uname"]\n'


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _daemon(make_daemon: MakeDaemon, provider: ScriptedProvider, more: str = "", **fields: str) -> Daemon:
    table = f'[models.mine]\nmodel = "m-1"\nbase_url = "{provider.url}"\n{more}'
    claude = f'[models.claude]\nprovider = "anthropic"\nmodel = "m-2"\nbase_url = "{provider.url}"\n'
    return make_daemon(config=f'[agent]\nmodel = "mine"\n{table}\n{claude}', **fields)


def _run(command: str, identity: str = "call_a") -> Call:
    return Call(id=identity, tool="bash", arguments={"command": command})


def test_words_standard_input_and_files_go_together(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = _daemon(make_daemon, provider)
    place = own_folder(daemon, "place")
    (place / "a.log").write_text("first")
    (place / "b.log").write_text("second\n")
    (place / "c.png").write_bytes(PNG)
    (place / "d.bin").write_bytes(b"\x7fELF\0")
    provider.says(*(Say(text="Seen.") for _ in range(2)))
    files = [word for name in ("a.log", "b.log", "c.png") for word in ("-a", f"{place}/{name}")]
    for model in ("mine", "claude"):
        ran = daemon.aios("ask", *files, "-m", model, "what is wrong?", stdin=b"third\n")
        assert (ran.status, ran.out) == (0, "Seen.\n")
    wanted = f"what is wrong?\n\nthird\n--- {place}/a.log\nfirst\n--- {place}/b.log\nsecond\n\n[attached: " + "; ".join(
        f"/dev/session/uploads/{name} ({size} bytes)"
        for name, size in (("a.log", 5), ("b.log", 7), ("c.png", len(PNG)))
    )
    for asked in provider.asked:
        content = asked.body["messages"][-1]["content"]
        assert [block["text"] for block in content if block["type"] == "text"] == [f"{wanted}]"]
        (picture,) = [block for block in content if block["type"] != "text"]
        assert "iVBORw0KGgo" in json.dumps(picture)
    assert [asked.path for asked in provider.asked] == [COMPLETIONS, MESSAGES]
    assert daemon.api("GET", "/v1/sent").json["requests"][0]["sources"] == ["prompt", "person", "pictures"]
    for name in ("none", ""):
        refused = daemon.aios("ask", "-a", f"{place}/{name}", "x")
        assert (refused.status, refused.out) == (64, "")
    assert len(provider.asked) == 2


def test_an_answer_in_a_form_and_in_a_file(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = _daemon(make_daemon, provider)
    place = own_folder(daemon, "place")
    (place / "schema").write_text(
        '{"type": "object", "properties": {"free": {"type": "integer"}}, "required": ["free"]}'
    )
    (place / "wrong").write_text("{")
    answer = Call(id="call_b", tool="answer", arguments={"free": 7})
    provider.says(Say(text="I look.", calls=(_run("cat /etc/hostname"),)), Say(calls=(answer,)), Say(text="Seven."))
    words = ["ask", "--schema", f"{place}/schema", "-o", f"{place}/out", "how much?"]
    ran = daemon.aios(*words)
    assert (ran.status, json.loads(ran.out)) == (0, {"free": 7})
    assert json.loads((place / "out").read_text()) == {"free": 7}
    refused = daemon.aios("ask", "--schema", f"{place}/wrong", "x")
    assert refused.status == 65
    ran = daemon.aios("ask", "--json", "-o", f"{place}/out", "how much?")
    assert json.loads(ran.out.splitlines()[-1])["type"] == "turn_done"
    assert (place / "out").read_text() == "Seven."


@pytest.mark.parametrize(
    ("words", "told", "status"),
    [
        (["--plan"], "unanswered", 0),
        (["--yes-to", "auto_allow"], "unanswered", 79),
        (["--yes-to", "notify"], "done", 79),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and value else "",
)
def test_how_far_a_turn_may_go_without_a_person(
    make_daemon: MakeDaemon, provider: ScriptedProvider, words: list[str], told: str, status: int
) -> None:
    daemon = _daemon(make_daemon, provider, policy=NOTIFY)
    place = own_folder(daemon, "place")
    (place / "x").touch()
    provider.says(
        Say(calls=(_run("cat /etc/hostname", "c1"), _run("uname -s", "c2"), _run(f"rm {place}/x", "c3"))),
        Say(text="Proposed."),
    )
    ran = daemon.aios("ask", *words, "make it so")
    assert (ran.out, ran.status) == ("Proposed.\n", status)
    results = provider.asked[1].results
    assert "outcome=done" in results["c1"]
    assert "outcome=unanswered" in results["c3"]
    assert "nothing stricter than" in results["c3"]
    assert f"outcome={told}" in results["c2"]
    assert (place / "x").exists()
    assert daemon.guard("ListPending")["approvals"] == []
    decisions = [each["decision"] for each in daemon.records() if each["kind"] == "decided"]
    assert decisions[0] == "allowed"
    assert decisions[-1] == "unanswered"


def test_a_turn_ends_in_time_and_within_its_budget(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = _daemon(make_daemon, provider, more="input_price = 100.0\n")
    provider.says(Say(calls=(_run("sleep 1000"),)))
    late = daemon.aios("ask", "--timeout", "1", "wait")
    assert late.status == 124
    assert "! the turn took its 1 s (give it more: --timeout)" in late.err
    provider.says(Say(calls=(_run("cat /etc/hostname"),), usage=(100, 0, 0)))
    dear = daemon.aios("ask", "--budget", "0.01", "what is it called?")
    assert dear.status == 80
    assert "! the turn's budget is 0.01, and 0.01 are used up (give it more: --budget" in dear.err
    assert len(provider.asked) == 2
    for words in (["--timeout", "soon"], ["--budget", "much"], ["--budget", "0"], ["--yes-to", "require_approval"]):
        assert daemon.aios("ask", *words, "x").status in (64, 65)
    assert len(provider.asked) == 2
    provider.says(Say(text="Yes."), Say(text="Yes."))
    uncounted = "! claude has no price in the configuration: what it costs is not counted, and bounds nothing\n"
    told = [daemon.aios("ask", "--budget", "1", "--model", each, "x") for each in ("mine", "claude")]
    assert [(each.status, each.err) for each in told] == [(0, ""), (0, uncounted)]


def test_what_is_said_before_a_call_has_its_own_line(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = _daemon(make_daemon, provider)
    provider.says(Say(text="I look.", calls=(_run("cat /etc/hostname"),)), Say(text="Done."))
    assert daemon.aios("ask", "what is it called?").out == "I look.\nDone.\n"
    provider.says(Say(text="I look.", calls=(_run("cat /etc/hostname"),)), Say(text="Done."))
    with on_terminal(daemon, "ask", "what is it called?") as terminal:
        assert terminal.end() == 0
        assert re.sub(r"\x1b\[\d*m", "", terminal.screen) == "I look.\n› cat /etc/hostname\nDone.\n"


def test_the_description_of_the_json_has_every_event_with_its_fields() -> None:
    from aiosd.api.openapi import render_openapi  # noqa: PLC0415 - heavy

    schemas: Any = cast("Any", render_openapi())["components"]["schemas"]
    wanted = {}
    for schema in schemas.values():
        properties = schema.get("properties", {})
        if {"v", "seq", "type"} <= properties.keys():
            fields = [name for name in properties if name not in {"v", "seq", "session", "at", "type"}]
            wanted[properties["type"]["const"]] = sorted(fields)
    told = {}
    for line in (Path(ROOT) / "docs" / "json.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            kind, fields_text = line.split("|")[1:3]
            told[kind.strip(" `")] = sorted(each.strip(" `") for each in fields_text.split(","))
    assert told == wanted


@pytest.mark.parametrize(("careful", "asked"), [(True, True), (False, False)])
def test_once_text_of_others_was_read_what_would_be_announced_is_asked_about(
    make_daemon: MakeDaemon, provider: ScriptedProvider, careful: bool, asked: bool
) -> None:
    daemon = _daemon(make_daemon, provider, policy=NOTIFY)
    daemon.stop()
    daemon.config = daemon.config.replace("[agent]\n", f"[agent]\ncareful = {str(careful).lower()}\n")
    daemon.start()
    for given in ("", "a line of somebody else's log"):
        provider.says(Say(calls=(_run("uname -s"),)), Say(text="Done."))
        events = daemon.ask("look at this", input=given, wait_s=1)
        (decided,) = [event["verdict"] for event in events if event["type"] == "decision"]
        assert (decided["tier"] == "require_approval") is (asked and bool(given))
        assert ("Text from elsewhere was read" in decided["reason"]) is (asked and bool(given))


@pytest.mark.parametrize(
    ("asked", "downloads", "whence"),
    [
        ("cat {0}/mine", "[]", ""),
        ("cat {0}/open", "[]", "files of others"),
        ("cat '{0}/theirs'", "[]", "files of others"),
        ("grep -c x < {0}/theirs", "[]", "files of others"),
        ("cat {0}/mine", '["{0}"]', "downloads"),
        ("cd {0} && cat mine", '["{0}"]', "downloads"),
        ("read_file", "[]", "files of others"),
    ],
)
def test_what_others_wrote_is_told_by_who_owns_it_and_where_it_lies(
    make_daemon: MakeDaemon, provider: ScriptedProvider, asked: str, downloads: str, whence: str
) -> None:
    if not IS_ROOT and "theirs" in asked:
        pytest.skip("only root gives files to others")
    daemon = _daemon(make_daemon, provider, policy=NOTIFY)
    folder = own_folder(daemon, "got")
    for name, owner, mode in (
        ("mine", default_person(), 0o644),
        ("open", default_person(), 0o646),
        ("theirs", 4242, 0o644),
    ):
        (folder / name).write_text("x")
        (folder / name).chmod(mode)
        if IS_ROOT:
            os.chown(folder / name, owner, owner)
    daemon.stop()
    daemon.config = daemon.config.replace("[agent]\n", f"[agent]\ndownloads = {downloads.format(folder)}\n")
    daemon.start()
    tool = Call(tool="read_file", arguments={"path": f"{folder}/open"})
    first = tool if asked == "read_file" else _run(asked.format(folder))
    provider.says(Say(calls=(first,)), Say(calls=(_run("uname -s", "call_b"),)), Say(text="Done."))
    events = daemon.ask("look", wait_s=1, cwd="/")
    decided = [event["verdict"] for event in events if event["type"] == "decision"][-1]
    assert decided["tier"] == ("require_approval" if whence else "notify")
    assert (f"read in this turn ({whence})" in decided["reason"]) is bool(whence)


def test_a_turn_that_takes_its_time_says_so_on_a_terminal_and_takes_it_back(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    with on_terminal(daemon, "ask", "run `sleep 2`", separate=True) as terminal:
        assert terminal.end() == 0
        drawn = re.findall(r"\r\x1b\[K. \d+ s  ([^\r]*)", terminal.raw)
        assert drawn
        assert drawn[-1] == "sleep 2"
        assert terminal.raw.rstrip("\n").count("\r\x1b[2K") >= 1
        assert "\r\x1b[K" not in terminal.screen
    assert "\x1b" not in terminal.out
    with on_terminal(daemon, "ask", "run `sleep 1.5`", separate=True, environment={"NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.raw


def test_of_a_plan_that_left_one_step_undone_it_says_so(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = _daemon(make_daemon, provider)
    provider.says(Say(calls=(_run("touch /tmp/x"),)), Say(text="I would make it."))
    with on_terminal(daemon, "ask", "--plan", "make it") as terminal:
        assert "\none step was left undone\n" in terminal.wait_for("and asked  (no): ")
        terminal.type("")
        assert terminal.end() == 0
