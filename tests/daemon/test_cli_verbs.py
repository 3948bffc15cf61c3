"""Every other verb against a real daemon: what it prints, what it changes, and the status it ends with."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiosd.config import Config
from tests.daemon.asking import asking, running_turn
from tests.daemon.cards import own_folder, proposed, said, stored_state
from tests.daemon.conftest import MakeDaemon, running
from tests.daemon.harness import ROOT, Daemon
from tests.daemon.people import OTHER, PERSON, default_person, needs_root
from tests.unit.cli.scripted import run_client

MEMORY = "how much memory is free?"
POLICY = """\
[[rule]]
pattern = ["mkdir"]
tier = "deny"
reason = "Folders are made by the storage team."
match = ["mkdir x"]
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose administrator forbids `mkdir`."""
    with running(policy=POLICY) as made:
        yield made


@pytest.fixture
def place(daemon: Daemon, request: pytest.FixtureRequest) -> Path:
    """A folder of the person's."""
    return own_folder(daemon, re.sub(r"\W", "", request.node.name)[-24:])


# pending, approve, deny -----------------------------------------------------------------------------------------------


def test_what_waits_is_listed_as_cards_and_approved_from_another_terminal(daemon: Daemon, place: Path) -> None:
    assert daemon.aios("pending").out == "nothing waits for an answer\n"
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        listed = daemon.aios("pending")
        assert (listed.status, listed.err) == (0, "")
        assert f"── 1. approval {card['id']} ─" in listed.out
        assert f"  run      touch {place}/made" in listed.out
        assert listed.out.endswith("\nanswer with: aios approve ID ...   aios skip ID   aios deny ID [REASON]\n")
        assert "pending   1 (aios pending)" in daemon.aios("status").out
        ran = daemon.aios("approve", card["id"], "--yes")
        assert (ran.status, ran.out) == (0, "")
        assert ran.err.endswith("\napproved\n")
        assert f"  run      touch {place}/made" in ran.err
        assert stream.until("turn_done")["exit_status"] == 0
    assert (place / "made").exists()
    assert stored_state(daemon, card["id"]) == ("consumed", default_person())
    assert daemon.aios("pending").out == "nothing waits for an answer\n"


def test_a_denial_from_another_terminal_takes_its_reason_to_the_model(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        ran = daemon.aios("deny", card["id"], "use", "-t", "instead")
        assert (ran.status, ran.out, ran.err) == (0, "", "denied\n")
        events = list(stream)
    assert events[-1]["exit_status"] == 77
    assert said(events) == f"`touch {place}/made` was not allowed: use -t instead\n"
    assert list(place.iterdir()) == []
    assert stored_state(daemon, card["id"]) == ("denied", default_person())


def test_approving_without_a_terminal_takes_a_yes_on_the_command_line(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (_stream, card):
        ran = daemon.aios("approve", card["id"], stdin=b"y\n")
        assert ran.status == 64
        assert "there is no terminal to ask at; add --yes if you have seen what is asked" in ran.err
        assert stored_state(daemon, card["id"])[0] == "pending"
        daemon.aios("deny", card["id"])
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_there_is_nothing_to_answer_where_nothing_waits(daemon: Daemon, verb: str) -> None:
    ran = daemon.aios(verb, "0a1b2c3d")
    assert (ran.status, ran.out) == (65, "")
    assert ran.err == "aios: no approval 0a1b2c3d is pending; aios pending lists what is\n"


@needs_root
def test_somebody_elses_question_is_not_there(daemon: Daemon, place: Path) -> None:
    with proposed(daemon, f"touch {place}/made") as (_stream, card):
        assert daemon.aios("pending", uid=OTHER).out == "nothing waits for an answer\n"
        for words in (["approve", card["id"], "--yes"], ["deny", card["id"]]):
            ran = daemon.aios(*words, uid=OTHER)
            assert (ran.status, ran.out) == (65, "")
            assert ran.err == f"aios: no approval {card['id']} is pending; aios pending lists what is\n"
        assert (
            f"approval {card['id']}" in daemon.aios("pending", uid=0).out
        )  # root sees it, and may not answer for them
        ran = daemon.aios("approve", card["id"], "--yes", uid=0)
        assert (ran.status, ran.err.splitlines()[-1]) == (77, f"aios: only {PERSON} can answer this")
        assert stored_state(daemon, card["id"])[0] == "pending"
        assert daemon.aios("deny", card["id"]).status == 0
    assert list(place.iterdir()) == []


# log ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history(daemon: Daemon) -> dict[str, Any]:
    """Sessions with what the log is then asked for: an observation, a denial, and somebody else's observation."""
    observed = daemon.ask(MEMORY)[0]
    denied = daemon.ask("run `mkdir /tmp/x`")[0]
    others = daemon.ask(MEMORY, uid=OTHER)[0] if os.geteuid() == 0 else None
    return {"observed": observed, "denied": denied, "others": others}


def _lines(daemon: Daemon, *words: str, uid: int | None = None) -> list[dict[str, Any]]:
    ran = daemon.aios("log", "--json", *words, uid=uid)
    assert (ran.status, ran.err) == (0, "")
    return [json.loads(line) for line in ran.out.splitlines()]


def test_the_log_is_a_timeline_of_what_was_proposed_and_became_of_it(daemon: Daemon, history: dict[str, Any]) -> None:
    ran = daemon.aios("log", "--session", history["denied"]["session"])
    day, first, second = ran.out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", day)
    user = re.escape(history["denied"]["session"][:8])
    assert re.fullmatch(rf"\d\d:\d\d:\d\d  {user}  \S+  deny  denied  mkdir /tmp/x", first)
    assert second == "          Folders are made by the storage team."
    (line,) = daemon.aios("log", "--session", history["observed"]["session"]).out.splitlines()[1:]
    assert re.fullmatch(r"\d\d:\d\d:\d\d  \w{8}  \S+  auto_allow  done, \d+ ms  free -b", line)


def test_the_log_is_filtered_by_session_whether_by_name_or_id(daemon: Daemon, history: dict[str, Any]) -> None:
    session = history["observed"]["session"]
    by_id = _lines(daemon, "-s", session)
    assert [record["kind"] for record in by_id] == ["decided", "done"]
    assert {record["session"] for record in by_id} == {session}
    assert _lines(daemon, "--session", history["observed"]["name"]) == by_id
    ran = daemon.aios("log", "--session", "no-such-name")
    assert (ran.status, ran.err) == (64, "aios: there is no session no-such-name of yours\n  aios help log\n")


def test_the_log_is_filtered_by_tier(daemon: Daemon, history: dict[str, Any]) -> None:
    assert {record["tier"] for record in _lines(daemon, "-t", "deny")} == {"deny"}
    assert {record["tier"] for record in _lines(daemon, "--tier", "auto_allow")} == {"auto_allow"}
    assert history["denied"]["session"] in {record["session"] for record in _lines(daemon, "--tier", "deny")}
    assert history["denied"]["session"] not in {record["session"] for record in _lines(daemon, "--tier", "auto_allow")}


def test_the_log_is_filtered_by_time(daemon: Daemon, history: dict[str, Any]) -> None:
    everything = _lines(daemon)
    at = _lines(daemon, "--session", history["denied"]["session"])[0]["at"]
    assert _lines(daemon, "--since", at) == [record for record in everything if record["at"] >= at]
    assert _lines(daemon, "--until", at) == [record for record in everything if record["at"] <= at]
    assert _lines(daemon, "--since", "1h") == _lines(daemon, "--since", "yesterday") == everything
    assert _lines(daemon, "--until", "1h") == _lines(daemon, "--since", "2038-01-01") == []
    assert daemon.aios("log", "--until", "1h").out == "no records\n"


def test_the_log_can_be_short(daemon: Daemon, history: dict[str, Any]) -> None:
    assert _lines(daemon, "-n", "2") == _lines(daemon)[-2:]


@needs_root
def test_everybody_sees_their_own_records_and_root_everybodys(daemon: Daemon, history: dict[str, Any]) -> None:
    own = _lines(daemon)
    assert {record["uid"] for record in own} == {PERSON}
    assert _lines(daemon, "--user", str(PERSON)) == own
    assert {record["uid"] for record in _lines(daemon, uid=OTHER)} == {OTHER}
    for user in (str(OTHER), "root", "no-such-user"):
        ran = daemon.aios("log", "--user", user)
        assert (ran.status, ran.out, ran.err) == (77, "", "aios: the record of other users is for root\n")
    assert _lines(daemon, "--user", str(OTHER), uid=0) == _lines(daemon, uid=OTHER)
    assert {PERSON, OTHER, None} == {record.get("uid") for record in _lines(daemon, uid=0)}
    assert _lines(daemon, "--user", "no-such-user", uid=0) == []


def test_the_chain_is_checked_for_whom_the_guard_is(daemon: Daemon, history: dict[str, Any]) -> None:
    ran = daemon.aios("log", "--verify", uid=os.geteuid())
    assert (ran.status, ran.out) == (0, "the record is whole\n")
    if os.geteuid() == 0:
        ran = daemon.aios("log", "--verify")
        assert (ran.status, ran.out, ran.err) == (77, "", "aios: checking the whole record is for root\n")


def test_a_record_that_was_altered_is_told_where(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.ask("run `df /`")
    path = daemon.state / "guard" / "audit" / "audit-00000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"action":"df /"', b'"action":"ls /"'))
    ran = daemon.aios("log", "--verify", uid=os.geteuid())
    assert (ran.status, ran.out, ran.err) == (1, "audit-00000001.jsonl:2: record 2 was altered\n", "")


# sessions, cancel -----------------------------------------------------------------------------------------------------


def test_sessions_are_listed_and_shown(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    assert daemon.aios("sessions").out == "no sessions yet\n"
    started = daemon.ask(MEMORY)[0]
    head, line = daemon.aios("sessions").out.splitlines()
    assert head.split() == ["NAME", "LAST", "USED", "(UTC)", "STATE", "ABOUT"]
    assert line.split()[0] == started["name"]
    assert line.endswith(f"done   {MEMORY}")
    for wanted in (started["name"], started["session"]):
        shown = daemon.aios("sessions", wanted)
        assert shown.status == 0
        assert shown.out.startswith(f"{started['name']}  {started['session']}\n\n1. ")
        assert MEMORY in shown.out
    ran = daemon.aios("sessions", "no-such-one")
    assert (ran.status, ran.err) == (65, "aios: there is no session no-such-one\n  aios sessions lists them\n")


def test_a_turn_is_cancelled_from_another_terminal(daemon: Daemon) -> None:
    with asking(daemon, "run `sleep 1019`") as stream:
        started = stream.until("session_started")
        stream.until("decision")
        ran = daemon.aios("cancel", started["name"])
        assert (ran.status, ran.out, ran.err) == (0, "", "interrupted\n")
        assert stream.until("turn_failed")["exit_status"] == 130
    ran = daemon.aios("cancel", started["name"])
    assert (ran.status, ran.err) == (0, "no turn runs there\n")
    ran = daemon.aios("cancel", "no-such-one")
    assert (ran.status, ran.err) == (65, "aios: there is no session no-such-one\n  aios sessions lists them\n")


def test_status_says_what_runs(daemon: Daemon) -> None:
    with running_turn(daemon):
        ran = daemon.aios("status")
    assert (ran.status, ran.err) == (0, "")
    assert re.fullmatch(
        r"aiosd \S+ \(standalone\), since \S+\nguard     ok\nmodel     builtin\n"
        r"sessions  \d+ open, 1 running\n(.+\n)*",
        ran.out,
    ), ran.out


# policy check, doctor, models, config show ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "tier", "part"),
    [
        (["df", "-h", "/"], "auto_allow", "df -h /"),
        (["df -h /"], "auto_allow", "df -h /"),
        (["--", "sort", "--output=x", "y"], "require_approval", "sort --output=x y"),
        (["--", "df", "--json"], "auto_allow", "df --json"),
        (["touch", "a b"], "require_approval", "touch 'a b'"),
        (["--root", "df"], "require_approval", "df"),
        (["mkdir", "x"], "deny", "mkdir x"),
        (["ls; mkdir x"], "deny", "mkdir x"),
    ],
)
def test_a_command_line_is_judged_and_nothing_is_run(daemon: Daemon, words: list[str], tier: str, part: str) -> None:
    before = daemon.records()
    ran = daemon.aios("policy", "check", *words)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith((f"{tier}: ", f"{tier} as root: "))
    assert f"{tier:16} {part}" in ran.out or tier == "auto_allow"
    options = [word for word in words if word == "--root"]
    rest = [word for word in words if word not in ("--", "--root")]
    verdict = json.loads(daemon.aios("policy", "check", "--json", *options, "--", *rest).out)
    assert verdict["tier"] == tier
    assert part in [each["text"] for each in verdict["parts"]]
    assert daemon.records() == before


def test_a_verdict_names_its_rule_and_where_it_is_written(daemon: Daemon) -> None:
    told = daemon.aios("policy", "check", "mkdir", "x").out
    assert told == (
        "deny: Folders are made by the storage team.\n"
        "  deny             mkdir x\n"
        "                   Folders are made by the storage team.\n"
        f"                   rule mkdir ({daemon.folder}/etc/policy.d/50-test.toml:2)\n"
        "                   to pass: No rule that allows reaches it while "
        f"{daemon.folder}/etc/policy.d/50-test.toml:2 (`mkdir`) stands.\n"
    )


def test_a_hostile_line_is_spelled_out(daemon: Daemon) -> None:
    ran = daemon.aios("policy", "check", "touch \x1b[2J\u202ex\rrm")
    assert ran.status == 0
    assert not {"\x1b", "\u202e", "\r"} & set(ran.out)
    assert r"\u{1b}[2J\u{202e}x" in ran.out


def test_doctor_tells_what_is_weaker_and_what_to_do_and_nothing_is_missing(daemon: Daemon) -> None:
    ran = daemon.aios("doctor")
    lines = ran.out.splitlines()
    assert lines[0] == "ok      guard: answers"
    assert any(line.startswith("ok      sandbox: ") for line in lines)
    assert [line for line in lines if line.startswith("MISSING ")] == []
    weaker = [number for number, line in enumerate(lines) if line.startswith("weaker ")]
    assert "weaker  commands as root: refused in standalone mode" in [lines[number] for number in weaker]
    assert all(lines[number + 1].startswith("          → ") for number in weaker)
    assert (ran.status, ran.err) == (0, "")


def test_models_are_listed_with_the_default_marked(daemon: Daemon) -> None:
    ran = daemon.aios("models")
    head, line = ran.out.splitlines()
    assert (ran.status, head.split()) == (0, ["MODEL", "PROVIDER", "ABOUT"])
    assert line.split()[:3] == ["builtin", "*", "builtin"]


def test_config_show_has_every_key_and_where_its_value_came_from(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config="[agent]\nmax_steps = 7\n", environment={"AIOS_DAEMON__DRAIN_S": "5"})
    ran = daemon.aios("config", "show")
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in ran.out.splitlines()[1:]}
    assert rows["agent.max_steps"] == ["7", f"{daemon.folder}/etc/config.toml"]
    assert rows["daemon.drain_s"] == ["5", "environment variable AIOS_DAEMON__DRAIN_S"]
    assert rows["daemon.idle_exit_s"] == [str(Config().daemon.idle_exit_s), "default"]
    assert (ran.status, ran.err) == (0, "")


def test_config_show_without_a_daemon_shows_what_one_would_use(tmp_path: Path) -> None:
    launcher = ROOT / ".venv" / "bin" / "aios"
    if not launcher.exists():
        pytest.skip("there is no .venv here; make venv makes one")
    (tmp_path / "config.toml").write_text("[agent]\nmax_steps = 9\n", encoding="utf-8")
    environment = {"AIOS_SOCKET": f"{tmp_path}/none", "AIOS_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path)}
    ran = run_client("config", "show", program=[str(launcher)], environment=environment)
    assert (ran.status, ran.err) == (0, "aios: no daemon runs; this is what one started from here would use\n")
    assert re.search(rf"(?m)^agent\.max_steps +9 +{re.escape(str(tmp_path))}/config\.toml$", ran.out)
    (tmp_path / "config.toml").write_text("[agent]\nmax_step = 9\n", encoding="utf-8")
    ran = run_client("config", "show", program=[str(launcher)], environment=environment)
    assert (ran.status, ran.out) == (78, "")
    assert "did you mean 'agent.max_steps'" in ran.err


# in the person's language ---------------------------------------------------------------------------------------------

JAPANESE = {"LC_MESSAGES": "ja_JP.UTF-8"}


def test_what_a_verb_prints_is_in_the_language_of_whoever_asks(daemon: Daemon) -> None:
    assert re.search(r"\nguard     \S+\nmodel     builtin\nsessions  \d+ open, 0 running\n", daemon.aios("status").out)
    told = daemon.aios("status", environment=JAPANESE).out
    assert re.search(r"\nガード    \S+\nモデル    builtin\nセッション \d+ 件、実行中 0 件\n", told)
    assert daemon.aios("models", environment=JAPANESE).out.splitlines()[0].split() == ["モデル", "提供元", "説明"]
    checks = daemon.aios("doctor", environment=JAPANESE).out.splitlines()
    assert {line.split()[0] for line in checks} <= {"正常", "弱い", "不足", "→"}
    assert [line for line in checks if not re.search(r"[぀-ヿ一-鿿]", line.partition(":")[2] or line)] == []
    json_of = [daemon.aios("policy", "check", "--json", "mkdir x", environment=each).out for each in ({}, JAPANESE)]
    assert json_of[0] == json_of[1]
    judged = daemon.aios("policy", "check", "systemctl restart sshd", environment=JAPANESE).out
    assert "どのサービスが動くかを変えます。" in judged
    assert "services" not in judged


def test_a_refusal_is_in_the_language_of_whoever_asks_and_the_record_stays_english(daemon: Daemon) -> None:
    refused = daemon.aios("ask", "run: mkdir /tmp/never", environment=JAPANESE)
    assert "拒否しました: Folders are made by the storage team." in refused.err  # an administrator's words are theirs
    wrong = daemon.aios("sessions", "nosuch", environment=JAPANESE)
    assert wrong.err == "aios: セッション nosuch はありません\n  一覧: aios sessions\n"
    assert daemon.aios("sessions", "nosuch").err == "aios: there is no session nosuch\n  aios sessions lists them\n"
    shown = daemon.aios("log", "-n", "1", environment=JAPANESE).out
    assert "拒否" in shown
    records = [
        json.loads(line) for line in daemon.aios("log", "--json", "-n", "1", environment=JAPANESE).out.splitlines()
    ]
    assert records[0]["decision"] == "denied"
    assert records[0]["reason"] == "Folders are made by the storage team."
