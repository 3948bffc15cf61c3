"""Models behind a network, as a whole daemon asks them: which one, what leaves the machine, what it may cost."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.cards import own_folder
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import ROOT, Daemon, _becoming, guard_pid, wait_until
from tests.daemon.people import default_person
from tests.daemon.terminal import on_terminal
from tests.doubles.provider import COMPLETIONS, MESSAGES, Call, Say, ScriptedProvider, complaint

MEMORY = "how much memory is free?"  # the built-in model understands it
HOST = Call(tool="bash", arguments={"command": "cat /etc/hostname"})


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _config(provider: ScriptedProvider, *, agent: str = "", mine: str = "", more: str = "") -> str:
    table = f'provider = "openai"\nmodel = "m-1"\nbase_url = "{provider.url}"\nretries = 0\n'
    return f'[agent]\nmodel = "mine"\n{agent}\n[models.mine]\n{table}{mine}\n{more}'


def _of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def _said(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in _of(events, "text_delta"))


@pytest.mark.parametrize(("kind", "path"), [("anthropic", MESSAGES), ("openai", COMPLETIONS)])
def test_a_models_turn_is_run_by_the_guard_and_each_request_is_kept(
    make_daemon: MakeDaemon, provider: ScriptedProvider, kind: str, path: str
) -> None:
    prices = (
        f'provider = "{kind}"\nmodel = "m-1"\nbase_url = "{provider.url}"\ninput_price = 3.0\noutput_price = 15.0\n'
    )
    daemon = make_daemon(config=f'[agent]\nmodel = "priced"\n[models.priced]\n{prices}')
    provider.one_conversation = True
    provider.says(Say(thinking="hm", calls=(HOST,)), Say(text="That is its name."), Say(text="Yes."))
    events = daemon.ask("what is this host called?")
    assert [event["outcome"] for event in _of(events, "call_done")] == ["done"]
    assert (_said(events), events[-1]["exit_status"]) == ("That is its name.", 0)
    assert "hm" in "".join(event["text"] for event in _of(events, "progress_delta"))
    assert [event["cost"] for event in _of(events, "usage")] == [pytest.approx((100 * 3.0 + 10 * 15.0) / 1e6)] * 2
    assert daemon.ask("sure?", session=events[0]["session"])[-1]["exit_status"] == 0
    assert [asked.path for asked in provider.asked] == [path] * 3
    (result,) = provider.asked[1].results.values()
    assert "outcome=done status=0" in result
    sent = daemon.api("GET", "/v1/sent").json["requests"]
    assert [each["digest"] for each in sent] == [hashlib.sha256(asked.raw).hexdigest() for asked in provider.asked]
    assert [(each["turn"], each["model"], each["bytes"], each["error"]) for each in sent] == [
        (turn, "priced", len(asked.raw), "") for turn, asked in zip((1, 1, 2), provider.asked, strict=True)
    ]
    assert sent[1]["sources"] == ["prompt", "person", "model", "bash: cat /etc/hostname"]
    shown = daemon.api("GET", f"/v1/sent/{sent[1]['number']}").json
    assert shown["text"].encode() == provider.asked[1].raw


def test_every_model_is_told_the_notes_of_this_host_without_their_secrets(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    notes = "The mail server. password=hunter22"
    daemon = make_daemon(config=_config(provider, agent=f'notes = "{notes}"'))
    provider.says(Say(text="Hi."))
    daemon.ask("hello")
    assert "The mail server. password=[redacted]\n</memory-" in provider.asked[0].system
    assert b"hunter22" not in provider.everything


def test_what_a_package_holds_is_asked_of_this_host_and_recorded_as_its_own_line(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    daemon = make_daemon(config=_config(provider))
    asked = Call(tool="packages", arguments={"do": "files", "name": "bash"})
    provider.says(Say(calls=(asked,)), Say(text="There."))
    assert _of(daemon.ask("what is in bash?"), "call_done")[0]["outcome"] == "done"
    (result,) = provider.asked[1].results.values()
    assert "bin/bash" in result
    (decided,) = (record for record in daemon.records() if record["kind"] == "decided")
    assert decided["action"] in {"dpkg-query --listfiles bash", "pacman -Ql bash"}
    assert daemon.api("GET", "/v1/sent").json["requests"][1]["sources"][-1] == "packages: bash"


def test_a_model_is_chosen_for_a_session_and_stays_chosen(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    other = f'[models.other]\nmodel = "m-2"\nbase_url = "{provider.url}"\n'
    daemon = make_daemon(config=_config(provider, more=other))
    listed = daemon.aios("models").out
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [
        ["mine", "*"],
        ["other", "openai"],
        ["builtin", "builtin"],
    ]
    provider.says(*(Say(text=f"{number}.") for number in range(4)))
    first = daemon.aios("ask", "--model", "other", "hello")
    assert (first.status, first.out) == (0, "0.\n")
    assert daemon.aios("ask", "-c", "again").out == "1.\n"
    assert daemon.aios("ask", "hello").out == "2.\n"
    assert daemon.aios("ask", "-c", "-m", "other", "hello").out == "3.\n"
    assert [asked.body["model"] for asked in provider.asked] == ["m-2", "m-2", "m-1", "m-2"]
    before = daemon.api("GET", "/v1/sessions").json
    unknown = daemon.aios("ask", "--model", "nobody", "hello")
    assert (unknown.status, unknown.err) == (65, "aios: there is no model nobody\n  aios models lists them\n")
    assert daemon.api("GET", "/v1/sessions").json == before
    assert "memory" in daemon.aios("ask", "-c", "-m", "builtin", MEMORY).out
    daemon.stop()
    daemon.config = _config(provider)
    daemon.start()
    provider.says(Say(text="I am."))
    events = daemon.ask("who is there?", session=next(iter(before["sessions"]))["id"], model="mine")
    assert (events[0]["model"], _said(events)) == ("mine", "I am.")


def test_a_model_that_is_gone_is_told_and_the_configured_one_asked(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    daemon = make_daemon(config=_config(provider))
    provider.says(Say(text="Hi."))
    session = daemon.ask("hello", model="mine")[0]["session"]
    daemon.stop()
    daemon.config = ""
    daemon.start()
    events = daemon.ask(MEMORY, session=session)
    assert (events[0]["model"], events[-1]["exit_status"]) == ("builtin", 0)
    assert [event["text"] for event in _of(events, "notice")] == ["the model mine is not there any more; builtin is"]


def test_who_does_not_answer_is_followed_by_the_next_and_at_last_by_the_built_in_one(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    second = f'[models.second]\nmodel = "m-2"\nbase_url = "{provider.url}"\nretries = 0\n'
    daemon = make_daemon(config=_config(provider, agent='fallback = ["second"]', more=second))
    bad = complaint(401, "bad key")
    provider.says(bad, Say(text="Here."), bad, bad, bad, bad)
    assert _said(daemon.ask("hello")) == "Here."
    ran = daemon.aios("ask", MEMORY)
    assert ran.status == 0
    assert "memory" in ran.out
    assert [line for line in ran.err.splitlines() if line.startswith("!")] == [
        "! mine: the model answered 401: bad key; second answers instead",
        "! second: the model answered 401: bad key; the built-in model answers instead",
    ]
    failed = daemon.ask("write me a sonnet about entropy")[-1]
    assert (failed["type"], failed["code"], failed["exit_status"]) == ("turn_failed", "model_key", 78)


def test_a_standalone_daemon_knows_the_variables_of_other_programs_and_no_command_does(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    variables = {"OPENAI_API_KEY": "sk-test-0123456789", "OPENAI_BASE_URL": provider.url, "OPENAI_MODEL": "theirs"}
    daemon = make_daemon(environment=variables)
    assert daemon.api("GET", "/v1/status").json["model"] == "openai"
    provider.says(Say(calls=(Call(tool="bash", arguments={"command": "env"}),)), Say(text="No key there."))
    events = daemon.ask("what is in the environment?")
    assert _said(events) == "No key there."
    first = provider.asked[0]
    assert (first.headers["authorization"], first.body["model"]) == ("Bearer sk-test-0123456789", "theirs")
    guard = Path(f"/proc/{guard_pid(daemon)}/environ").read_bytes()
    assert b"XDG_STATE_HOME=" in guard
    assert b"sk-test" not in guard
    output = "".join(event["text"] for event in _of(events, "output"))
    assert "PATH=" in output
    assert "OPENAI" not in output


def test_no_secret_reaches_a_provider(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    """Planted in a file, the environment, a command's output, the question, and an earlier turn."""
    daemon = make_daemon(
        config=f'{_config(provider)}[secrets.forge]\ncredential = "forge"\nhosts = ["forge.example"]\nusers = ["any"]\n'
        'variable = "FORGE_TOKEN"\n',
        environment={"MY_SERVICE_TOKEN": "canary-of-environment", "forge": "canary-of-the-forge"},
    )
    place = own_folder(daemon, "place")
    (place / "app.conf").write_text("host=db1\npassword=canary-of-file\n")
    (place / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\ncanary/of/key\n-----END PRIVATE KEY-----\n")
    (place / "notes").write_text("deploy with canary-of-environment and canary-of-the-forge please\n")
    calls = [
        Call(id=f"call_{number}", tool=tool, arguments=arguments)
        for number, (tool, arguments) in enumerate(
            (
                ("bash", {"command": f"cat {place}/app.conf {place}/key.pem"}),
                ("read_file", {"path": f"{place}/notes"}),
                ("grep", {"path": str(place), "pattern": "password"}),
                ("bash", {"command": "echo token: ghp_canaryofoutput0123456789abcdef"}),
            )
        )
    ]
    provider.says(Say(calls=tuple(calls)), Say(text="I saw."), Say(text="Yes."))
    events = daemon.ask("look; my api_key=canary-of-question-1", input="Authorization: Bearer canary-of-input-xyz")
    assert _said(events) == "I saw."
    assert [event["outcome"] for event in _of(events, "call_done")] == ["done"] * 4
    daemon.ask("and now?", session=events[0]["session"])
    assert b"db1" in provider.everything
    assert b"[redacted]" in provider.everything
    assert b"canary" not in provider.everything
    assert "canary" not in json.dumps(daemon.api("GET", "/v1/sent").json)


def test_where_only_this_machine_may_be_asked_nothing_leaves_it(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    away = '[models.away]\nmodel = "m-2"\nbase_url = "http://192.0.2.1/v1"\nretries = 0\n'
    daemon = make_daemon(config=_config(provider, agent="local_only = true", more=away))
    failed = daemon.ask("write me a sonnet about entropy", model="away")[-1]
    assert (failed["code"], failed["exit_status"]) == ("not_local", 77)
    assert [each["error"] for each in daemon.api("GET", "/v1/sent").json["requests"]] == ["not_local"]
    provider.says(Say(text="Near."))
    assert _said(daemon.ask("hello")) == "Near."


@pytest.mark.parametrize(
    ("key", "turns"),
    [
        ("max_cost = 0.01", 0),
        ("max_session_cost = 0.01", 1),
        ("max_day_cost = 0.01", 2),
        ("max_session_tokens = 100", 1),
        ("max_day_tokens = 100", 2),
    ],
)
def test_money_and_tokens_are_bounded_in_a_turn_a_session_and_a_day(
    make_daemon: MakeDaemon, provider: ScriptedProvider, key: str, turns: int
) -> None:
    """Each request costs 0.01: the next one is not made."""
    daemon = make_daemon(config=_config(provider, agent=key, mine="input_price = 100.0\n"))
    if turns == 0:
        provider.says(Say(calls=(HOST,), usage=(100, 0, 0)))
        failed = daemon.ask("what is it called?")[-1]
    else:
        provider.says(Say(text="Hi.", usage=(100, 0, 0)))
        session = daemon.ask("hello")[0]["session"]
        failed = daemon.ask("again", session=session if turns == 1 else "")[-1]
    assert (failed["type"], failed["code"], failed["exit_status"]) == ("turn_failed", "budget_exceeded", 80)
    assert key.split(maxsplit=1)[0] in failed["message"]
    assert len(provider.asked) == 1


def test_what_was_sent_is_listed_shown_and_nobody_elses(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = make_daemon(config=_config(provider))
    assert daemon.aios("log", "--sent").out == "nothing was sent to a model outside this daemon\n"
    provider.says(Say(text="Hi."))
    ran = daemon.aios("ask", "hello there")
    assert ran.out == "Hi.\n"
    (listed,) = daemon.aios("log", "--sent").out.splitlines()[1:]
    assert listed.split()[0] == "1"
    assert hashlib.sha256(provider.asked[0].raw).hexdigest()[:12] in listed
    assert listed.endswith("prompt; person")
    shown = daemon.aios("log", "--show", "1")
    assert "hello there" in shown.out
    assert provider.url in shown.out
    none = daemon.aios("log", "--show", "2")
    assert (none.status, none.err) == (65, "aios: no request 2 of yours was sent\n  aios log --sent lists them\n")
    assert _as_somebody_else(daemon) == {"requests": []}


def _as_somebody_else(daemon: Daemon) -> Any:
    return daemon.api("GET", "/v1/sent", uid=daemon.uid).json if daemon.uid == 0 else {"requests": []}


def test_adding_a_model_tries_it_and_stores_its_key_apart(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    daemon = make_daemon(uid=default_person())
    etc = daemon.folder / "etc"
    os.chown(etc, daemon.uid, daemon.uid)
    client = [str(ROOT / ".venv" / "bin" / "aios"), "model", "add", "mine", "--provider", "openai", "--yes"]
    words = [*client, "--server-name", "m-1", "--base-url", provider.url, "--key-file", "-", "--default"]
    variables = {"PATH": "/usr/bin:/bin", "AIOS_SOCKET": daemon.socket_path, "AIOS_CONFIG_DIR": str(etc)}

    def add() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            words,
            input=b"sk-0123456789abcdef\n",
            env=variables,
            capture_output=True,
            timeout=60,
            check=False,
            **_becoming(daemon.uid),
        )

    for name in ("a\x1b9", "a b"):
        words[words.index("--server-name") + 1] = name
        assert (add().returncode, provider.asked) == (64, [])
    words[words.index(name)] = "m-1"
    provider.says(complaint(401, "bad key"), Say(text="ready"))
    refused = add()
    assert (refused.returncode, (etc / "credentials").exists(), (etc / "config.d").exists()) == (78, False, False)
    assert b"mine: the model answered 401: bad key" in refused.stderr
    ran = add()
    assert ran.returncode == 0, ran.stderr
    assert [asked.headers["authorization"] for asked in provider.asked] == ["Bearer sk-0123456789abcdef"] * 2
    told = ran.stdout.decode()
    assert provider.url in told
    assert "sk-0123456789" not in told + ran.stderr.decode()
    key, table = etc / "credentials" / "mine", etc / "config.d" / "60-model-mine.toml"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("sk-0123456789abcdef\n", 0o600)
    assert "sk-" not in table.read_text()
    assert f"The key is in {key}" in told
    assert f"The model is in {table}" in told
    wait_until(lambda: daemon.api("GET", "/v1/status").json["model"] == "mine", "the daemon to read it")
    provider.says(Say(text="Hi."))
    assert _said(daemon.ask("hello")) == "Hi."
    assert provider.asked[-1].headers["authorization"] == "Bearer sk-0123456789abcdef"


def test_adding_a_model_says_what_will_be_sent_to_whom_in_80_columns(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    words = ("--provider", "openai", "--server-name", "m-1", "--base-url", "http://127.0.0.1:1/v1", "--no-key")
    with on_terminal(daemon, "model", "add", "mine", *words) as terminal:
        terminal.wait_for("store this? [y/N] ")
        terminal.type("n")
        assert terminal.end() == 77
        lines = terminal.screen.splitlines()
    assert "What you ask and what tools answered goes there with each request" in " ".join(lines)
    assert max(map(len, lines)) <= 80
    assert "nothing was sent, nothing was stored" in lines
