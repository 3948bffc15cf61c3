"""Records are bounded whatever is in them, and keep what matters."""

import base64
import json
from dataclasses import replace

import pytest

from aiosd.audit.journal import render_entry
from aiosd.audit.records import Decided, Decision, Done, Kind, Lapsed, Outcome, Packages, digest_text, render_record
from aiosd.types import JsonObject, RunAs, Tier

_LIMIT = 4096
_CHAIN: JsonObject = {
    "seq": 10**9,
    "at": "2026-01-31T14:00:00.000Z",
    "boot": "b" * 32,
    "prev": "p" * 64,
    "hash": "h" * 64,
}
_DECIDED = Decided(
    session="0ada2169f1810204b5d29aa4d1",
    call="call-1",
    uid=1001,
    user="bob",
    tool="bash",
    action="ls",
    digest=digest_text("ls"),
    cwd="/home/bob",
    run_as=RunAs.USER,
    tier=Tier.REQUIRE_APPROVAL,
    decision=Decision.UNANSWERED,
    confinement="sandbox",
    rules=("/usr/lib/aios/policy.d/00-defaults.toml:24 ls",),
    reason="It only reads.",
    approval="adf0b0f8",
)
_TEXTS = ("session", "call", "user", "tool", "action", "cwd", "confinement", "reason", "approval")


def _entry_bytes(record: Decided | Done | Lapsed | Packages) -> int:
    """What of an entry is ours in the journal: names and values."""
    entry = {**render_record(record), **_CHAIN}
    values = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in entry.values())
    names = sum(len(f"AIOS_{name}") for name in entry)
    return names + sum(len(value.encode("utf-8", "surrogatepass")) for value in values)


@pytest.mark.parametrize("letter", ["x", "語", "\x01", "\udc80", "😀"])
def test_an_entry_has_at_most_4_kib_whatever_is_in_it(letter: str) -> None:
    text = letter * 70_000
    wide = replace(_DECIDED, **dict.fromkeys(_TEXTS, text), rules=(text,) * 256)  # type: ignore[arg-type] # by name
    assert _entry_bytes(wide) <= _LIMIT
    done = Done(
        session=text, call=text, uid=2**32, user=text, tier=Tier.REQUIRE_APPROVAL, outcome=Outcome.TIMED_OUT,
        status=-1, duration_ms=10**9, output_bytes=10**12, truncated=True, reason=text,
    )  # fmt: skip
    assert _entry_bytes(done) <= _LIMIT
    lapsed = Lapsed(
        lease=text, uid=2**32, user=text, session=text, cwd=text, action=text, how=text, used=1000, uses=1000,
        approver=2**32,
    )  # fmt: skip
    assert _entry_bytes(lapsed) <= _LIMIT
    assert _entry_bytes(Packages(count=10_000, packages=text)) <= _LIMIT


def test_what_is_short_is_whole() -> None:
    rendered = render_record(_DECIDED)
    assert {name: rendered[name] for name in _TEXTS} == {name: getattr(_DECIDED, name) for name in _TEXTS}
    assert rendered["rules"] == list(_DECIDED.rules)


@pytest.mark.parametrize(
    ("action", "spelled", "raw"),
    [
        ("ls -l", "ls -l", None),
        ("echo 日本語\n\tid", "echo 日本語\n\tid", None),
        ("ls\x1b[2J", r"ls\u{1b}[2J", b"ls\x1b[2J"),
        ("rm a\u202eb", r"rm a\u{202e}b", "rm a\u202eb".encode()),
        ("cat \udcff\udc80", r"cat \u{dcff}\u{dc80}", b"cat \xff\x80"),
        ("cat \ud83d", r"cat \u{d83d}", b"cat \xed\xa0\xbd"),
        ("x\x00 token=abcdefgh", r"x\u{0} token=[redacted]", b"x\x00 token=[redacted]"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out_and_its_bytes_stand_beside_it(
    action: str, spelled: str, raw: bytes | None
) -> None:
    rendered = render_record(replace(_DECIDED, action=action))
    assert rendered["action"] == spelled
    found = rendered.get("raw")
    assert (None if found is None else base64.b64decode(str(found))) == raw


@pytest.mark.parametrize("line", ["ls \x1b" + "語x" * 5_000, "\u202e" * 5_000, "ls \x1b" + "x" * 644])
def test_all_that_is_shown_spelled_out_has_its_bytes_beside_it(line: str) -> None:
    rendered = render_record(replace(_DECIDED, action=line))
    shown = str(rendered["action"]).partition("… [")[0]
    raw = base64.b64decode(str(rendered["raw"])).decode("utf-8", "ignore")
    assert line.startswith(raw)
    spelled = "".join(char if char.isprintable() else rf"\u{{{ord(char):x}}}" for char in raw)
    assert spelled.startswith(shown)


def test_what_is_cut_keeps_its_beginning_says_so_and_keeps_the_digest_of_all() -> None:
    line = "echo " + "語" * 5_000
    rendered = render_record(replace(_DECIDED, action=line, digest=digest_text(line)))
    action = str(rendered["action"])
    assert action.startswith("echo 語語語")
    assert action.endswith(" more bytes]")
    kept, _, rest = action.partition("… [")
    assert len(kept.encode()) + int(rest.split()[0]) == len(line.encode())
    assert rendered["digest"] == digest_text(line)


def test_rules_past_the_limit_are_counted() -> None:
    rules = tuple(f"/etc/aios/policy.d/mine.toml:{number} some-command" for number in range(100))
    rendered = render_record(replace(_DECIDED, rules=rules))["rules"]
    assert isinstance(rendered, list)
    assert rendered[0] == rules[0]
    assert rendered[-1] == f"… [{100 - len(rendered) + 1} more]"


def test_the_message_says_who_and_which_tier_and_nothing_that_a_model_wrote() -> None:
    entry = render_entry(Kind.DECIDED, render_record(replace(_DECIDED, action="PWNED", reason="PWNED", tool="PWNED")))
    message = entry.split(b"\n", 1)[1][8:].split(b"\n", 1)[0]
    assert message == b"An action was decided: unanswered (bob, require_approval)"
    strange = render_entry(Kind.DECIDED, render_record(replace(_DECIDED, user="a\nb\x1b[31m")))
    assert b"An action was decided: unanswered (1001, require_approval)\n" in strange
