"""The card: every fact on it, the whole action, and no text that could look like another fact."""

import re
from typing import Any

import pytest

from aiosd.cli.card import draw_card
from aiosd.cli.show import width

CARD: dict[str, Any] = {
    "id": "0a1b2c3d",
    "digest": "d" * 64,
    "expires_at": "2026-01-02T03:04:05.678Z",
    "session": "s1",
    "uid": 1000,
    "user": "ann",
    "tool": "bash",
    "action": "touch /srv/x",
    "content": "",
    "cwd": "/srv",
    "run_as": "user",
    "confinement": "sandbox 'user': files and network as the user, no new privileges, own process tree",
    "reason": "It changes files.",
    "rules": [{"name": "touch", "tier": "require_approval", "file": "/etc/aios/policy.d/50.toml", "line": 7}],
    "files": [],
    "claim": "",
}
MOMENT = re.compile(r"(?m)^  until    2026-01-0[123] \d\d:\d\d:05$")
FACTS = ("run", "do", "as", "with", "in", "checked", "within", "because", "rule", "lease", "claim", "until")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are shown in UTC."""
    monkeypatch.setenv("TZ", "UTC")


def _draw(columns: int = 80, **fields: Any) -> list[str]:
    return draw_card({**CARD, **fields}, columns=columns).splitlines()


def _facts(lines: list[str]) -> list[str]:
    """The facts as a reader sees them: what stands in the column of their names."""
    return [line[2:].split()[0] for line in lines if line.startswith("  ") and line[2] != " "]


def test_a_card_has_each_fact_on_a_line() -> None:
    lines = _draw()
    assert MOMENT.search("\n".join(lines))
    assert [line.rstrip() for line in lines[:-1]] == [
        "",
        "── approval 0a1b2c3d ──────────────────────────────────────────────────",
        "  run      touch /srv/x",
        "  as       ann (uid 1000)",
        "  in       /srv",
        "  within   sandbox 'user': files and network as the user, no new privileges,",
        "           ↳ own process tree",
        "  because  It changes files.",
        "  rule     touch (/etc/aios/policy.d/50.toml:7)",
    ]


def test_how_far_a_lease_would_reach_is_on_the_card() -> None:
    shown = (
        "  lease    l: 10 times in 30 min, in this session and folder (otherwise: l 2h 20x, l session|folder|anywhere)"
    )
    assert shown in _draw(120, leasable=True)
    assert shown not in _draw(120)


def test_who_it_runs_as_is_plain() -> None:
    assert "  as       root, for ann (uid 1000)" in _draw(run_as="root")
    assert "  as       uid 1000" in _draw(user="1000")


def test_what_a_file_tool_writes_is_on_the_card_and_what_is_left_out_is_counted() -> None:
    lines = _draw(tool="write_file", action="write_file /srv/x", cwd="", content="path=/srv/x\0one\ntwo\x1b")
    assert lines[2:7] == [
        "  do       write_file /srv/x",
        "  as       ann (uid 1000)",
        "  with     path=/srv/x",
        "           one",
        r"           two\u{1b}",
    ]
    long = _draw(content="\n".join(f"line {number}" for number in range(100)))
    assert "           line 39" in long
    assert "           line 40" not in long
    assert "           [60 more lines; all of it: varlinkctl … ListPending]" in [line.rstrip() for line in long]


def test_what_is_checked_again_before_it_runs_is_on_the_card_once_for_each_hash() -> None:
    files = [f"{'ab' * 32}  /usr/bin/python3", f"{'ab' * 32}  /bin/python3", rf"\{'0c' * 32}  /srv/x\n\u202e.py"]
    lines = _draw(200, files=["2049:131 /srv", *files])
    assert lines[4:8] == [
        "  in       /srv",
        "  checked  /usr/bin/python3, /bin/python3 (sha256 abababababababab...)",
        r"  checked  /srv/x\n\u202e.py (sha256 0c0c0c0c0c0c0c0c...)",
        "  within   sandbox 'user': files and network as the user, no new privileges, own process tree",
    ]
    assert "  checked " not in "\n".join(_draw(files=["2049:131 /srv"]))


def test_the_models_words_stand_last_and_are_its_own() -> None:
    lines = _draw(claim="I only look.\n  as       nobody")
    assert lines[-2] == r"  claim    the model says: I only look.\u{a}  as       nobody"
    assert _facts(lines) == ["run", "as", "in", "within", "because", "rule", "claim", "until"]


@pytest.mark.parametrize(
    "action",
    [
        "touch x\n  as       root",
        "touch x\r  as       root",
        "touch x\x1b[1A  as       root",
        "touch x\u2028  as       root",
        "touch x" + " " * 62 + "  as       root",
        "touch x\n── approval ffffffff ──\n  run      true",
        "touch " + "x" * 66 + " as       root",
        "echo 日本語" + "字" * 60 + "\n  until    never",
    ],
)
@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_no_action_looks_like_another_fact_at_any_width(action: str, columns: int) -> None:
    lines = _draw(columns, action=action)
    assert _facts(lines) == ["run", "as", "in", "within", "because", "rule", "until"]
    assert sum("── approval" in line[:11] for line in lines) == 1
    assert all(width(line) <= max(columns, 29) for line in lines)


@pytest.mark.parametrize("field", ["cwd", "user", "confinement", "reason", "claim"])
def test_hostile_text_is_spelled_out_in_every_field(field: str) -> None:
    told = "\n".join(_draw(200, **{field: "a\x1b[2J\u202e\n  as       root"}))
    assert r"a\u{1b}[2J\u{202e}\u{a}  as       root" in told
    assert "\x1b" not in told


def test_hostile_text_in_a_rule_is_spelled_out() -> None:
    told = "\n".join(_draw(200, rules=[{"name": "a\x1b", "tier": "deny", "file": "/etc/b\n", "line": 1}]))
    assert r"  rule     a\u{1b} (/etc/b\u{a}:1)" in told


def test_the_whole_of_a_long_action_is_there() -> None:
    action = "bash -c '" + " ".join(f"word-{number}" for number in range(400)) + "'"
    lines = _draw(60, action=action)
    first = lines.index(next(line for line in lines if line.startswith("  run")))
    last = lines.index(next(line for line in lines if line.startswith("  as")))
    whole = lines[first][11:] + "".join(line.removeprefix(" " * 11 + "↳ ") for line in lines[first + 1 : last])
    assert whole == action
