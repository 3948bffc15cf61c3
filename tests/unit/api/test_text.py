"""Answers as plain text: whole values, wide characters, and nothing that could draw on a terminal."""

import pytest

from aiosd.api.text import (
    escape,
    render_config,
    render_doctor,
    render_models,
    render_session,
    render_sessions,
    render_status,
    render_table,
    render_verdict,
    width,
)
from aiosd.wire import (
    CheckInfo,
    Config,
    ConfigEntry,
    Doctor,
    ModelEntry,
    ModelList,
    OpaqueInfo,
    PartInfo,
    RuleInfo,
    SessionDetail,
    SessionInfo,
    SessionList,
    Status,
    TierName,
    TurnInfo,
    VerdictInfo,
)

AT = "2026-01-02T03:04:05.678Z"


def _status(pending: int) -> Status:
    return Status(
        version="0.1.0",
        mode="standalone",
        guard="ok",
        model="builtin",
        started_at=AT,
        open_sessions=3,
        running_turns=1,
        volatile="",
        pending=pending,
    )


def _session(name: str, title: str) -> SessionInfo:
    return SessionInfo(id="s1", name=name, title=title, created_at=AT, used_at=AT, turns=1, state="done")


def test_status_has_a_line_for_each_thing_and_one_more_where_something_waits() -> None:
    told = (
        "aiosd 0.1.0 (standalone), since 2026-01-02T03:04:05.678Z\n"
        "guard     ok\nmodel     builtin\nsessions  3 open, 1 running\n"
    )
    assert render_status(_status(0)) == told
    assert render_status(_status(2)) == told + "pending   2 (aios pending)\n"


def test_sessions_are_a_table() -> None:
    sessions = SessionList(
        sessions=(_session("calm-keen-hopper", "how full\x1b[2J?"), _session("wise-kay", "空きは？"))
    )
    assert render_sessions(sessions) == (
        "NAME              LAST USED (UTC)   STATE  ABOUT\n"
        "calm-keen-hopper  2026-01-02 03:04  done   how full\\u{1b}[2J?\n"
        "wise-kay          2026-01-02 03:04  done   空きは？\n"
    )
    assert render_sessions(SessionList(sessions=())) == "no sessions yet\n"


def test_a_session_is_its_turns() -> None:
    turns = (
        TurnInfo(number=1, prompt="a\nb\x1b[0m", answer="one\ntwo\x07\n", state="done", started_at=AT, exit_status=0),
        TurnInfo(number=2, prompt="c", answer="", state="interrupted", started_at=AT, exit_status=130),
    )
    detail = SessionDetail(session=_session("calm-keen-hopper", "t"), turns=turns, turn_seq=0, last_seq=9)
    assert render_session(detail) == (
        "calm-keen-hopper  s1\n"
        "\n1. 2026-01-02 03:04  a\\u{a}b\\u{1b}[0m\n   one\n   two\\u{7}\n"
        "\n2. 2026-01-02 03:04  c [interrupted]\n"
    )


def test_models_doctor_and_configuration() -> None:
    model = ModelEntry(name="builtin", provider="builtin", description="Rules", local=True, default=True)
    assert render_models(ModelList(models=(model,))) == (
        "MODEL      PROVIDER  ABOUT\nbuiltin *  builtin   Rules\n"
    )  # fmt: skip
    checks = (
        CheckInfo(name="guard", state="ok", detail="answers", remedy=""),
        CheckInfo(name="owners", state="weaker", detail="nobody's\x1b", remedy="install the service"),
        CheckInfo(name="sandbox", state="missing", detail="no bwrap", remedy="install it"),
    )
    assert render_doctor(Doctor(checks=checks)) == (
        "ok      guard: answers\n"
        "weaker  owners: nobody's\\u{1b}\n          → install the service\n"
        "MISSING sandbox: no bwrap\n          → install it\n"
    )
    entries = (ConfigEntry(key="daemon.drain_s", value="60", origin="default"),)
    assert render_config(Config(entries=entries)) == "KEY             VALUE  FROM\ndaemon.drain_s  60     default\n"


def test_a_verdict_names_its_parts_and_rules() -> None:
    verdict = VerdictInfo(
        tier="require_approval",
        reason="It removes data.",
        confinement="a sandbox",
        run_as="root",
        opaque=OpaqueInfo(position=7, reason="a loop"),
        parts=(
            PartInfo(
                text="rm x",
                tier="require_approval",
                reason="It removes data.",
                suggest="List first.",
                remedy="Ask.",
                facets=("processes", "sockets"),
                rules=(
                    RuleInfo(name="rm", tier="require_approval", file="/etc/p.toml", line=4),
                    RuleInfo(name="unmatched", tier="require_approval", file="", line=0),
                ),
            ),
        ),
    )
    assert render_verdict(verdict) == (
        "require_approval as root: It removes data.\n"
        "  would run in a sandbox\n"
        "  not recognised from character 8 on: a loop\n"
        "  require_approval rm x\n"
        "                   It removes data.\n"
        "                   sees the host's processes, sockets\n"
        "                   rule rm (/etc/p.toml:4)\n"
        "                   rule unmatched\n"
        "                   instead: List first.\n"
        "                   to pass: Ask.\n"
    )


@pytest.mark.parametrize(
    ("tier", "confinement", "line"),
    [
        ("auto_allow", "a sandbox", "  would run in a sandbox\n"),
        ("require_approval", "cannot be confined here: no root", "  cannot be confined here: no root\n"),
        ("deny", "a sandbox", ""),
        ("auto_allow", "", ""),
    ],
)
def test_a_verdict_says_where_it_would_run_if_it_would(tier: TierName, confinement: str, line: str) -> None:
    verdict = VerdictInfo(tier=tier, reason="So.", confinement=confinement, run_as="user", opaque=None, parts=())
    assert render_verdict(verdict) == f"{tier}: So.\n{line}"


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("空き", 4), ("ｱ", 1), ("é", 1), ("ａ", 2), ("한글", 4)]
)
def test_a_text_is_as_wide_as_its_cells(text: str, cells: int) -> None:
    assert width(text) == cells


def test_columns_are_as_wide_as_their_widest_cell_whatever_the_script() -> None:
    assert render_table(("A", "B", "C"), [("空き", "x", "long last one"), ("a", "", "")]) == (
        "A     B  C\n空き  x  long last one\na\n"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ~", "plain ~"),
        ("空き。", "空き。"),
        ("a\nb", r"a\u{a}b"),
        ("\x1b[31m", r"\u{1b}[31m"),
        ("\x7f\x80\x9b", r"\u{7f}\u{80}\u{9b}"),
        ("a\u202eb\u2066c\u200ed", r"a\u{202e}b\u{2066}c\u{200e}d"),
        ("z\u200bw\ufeffx", r"z\u{200b}w\u{feff}x"),
        ("\ue000\U000e0041\udcff", r"\u{e000}\u{e0041}\u{dcff}"),
        ("a\u2028b\u2029c", r"a\u{2028}b\u{2029}c"),
        ("fill\u3164er\u115f\u1160\uffa0\u2800", r"fill\u{3164}er\u{115f}\u{1160}\u{ffa0}\u{2800}"),
    ],
)
def test_what_moves_the_cursor_or_cannot_be_seen_is_spelled_out(text: str, shown: str) -> None:
    assert escape(text) == shown
