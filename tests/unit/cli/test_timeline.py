"""`aios log`: records as a timeline, and times as people write them."""

import posix
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from aiosd.cli.log import parse_time, render_timeline
from aiosd.cli.parse import UsageError

NOW = datetime(2026, 3, 4, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    _set_zone()


def _set_zone() -> None:
    time.tzset()


def _decided(seq: int, action: str = "df -h", **fields: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": f"2026-03-04T10:00:{seq:02}.000Z",
        "kind": "decided",
        "session": "0123456789abcdef",
        "call": f"call-{seq}",
        "user": "ann",
        "tool": "bash",
        "action": action,
        "tier": "auto_allow",
        "decision": "allowed",
        "reason": "It only reads.",
        **fields,
    }


def _done(seq: int, call: int, **fields: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": f"2026-03-04T10:00:{seq:02}.000Z",
        "kind": "done",
        "session": "0123456789abcdef",
        "call": f"call-{call}",
        "user": "ann",
        "tier": "auto_allow",
        "outcome": "done",
        "status": 0,
        "duration_ms": 7,
        "reason": "",
        **fields,
    }


def test_a_decision_stands_on_one_line_with_its_end_under_its_day() -> None:
    started = {"seq": 1, "at": "2026-03-03T23:59:59.000Z", "kind": "started", "version": "0.1.0", "mode": "system"}
    records = [
        started,
        _decided(2),
        _done(3, 2),
        _decided(4, "false"),
        _done(5, 4, outcome="failed", status=1),
        _decided(6, "sleep 9", tier="require_approval", decision="approved"),
        _done(7, 6, outcome="timed_out", status=-1, reason="over 5 s"),
        _decided(8, "rm -rf /", tier="deny", decision="denied", reason="It would destroy the system."),
        _decided(9, "top"),
        {**started, "seq": 10, "at": "2026-03-04T11:00:00.000Z", "kind": "stopped", "reason": "idle"},
    ]
    assert render_timeline(records) == (
        "2026-03-03\n"
        "23:59:59  -- guard 0.1.0 started (system)\n"
        "2026-03-04\n"
        "10:00:02  01234567  ann  auto_allow        done, 7 ms        df -h\n"
        "10:00:04  01234567  ann  auto_allow        failed (1), 7 ms  false\n"
        "10:00:06  01234567  ann  require_approval  timed out         sleep 9\n"
        "          over 5 s\n"
        "10:00:08  01234567  ann  deny              denied            rm -rf /\n"
        "          It would destroy the system.\n"
        "10:00:09  01234567  ann  auto_allow        no end yet        top\n"
        "11:00:00  -- guard stopped (idle)\n"
    )


def test_what_became_of_it_is_told_in_the_readers_language_and_what_was_done_stays() -> None:
    posix.environ[b"LC_ALL"] = b"ja_JP.UTF-8"
    try:
        told = render_timeline([_decided(1, "done"), _done(2, 1), _decided(3), _done(4, 3, outcome="failed", status=1)])
        at = "2026-03-04T10:00:05.000Z"
        stop = {"seq": 5, "at": at, "kind": "ordered", "user": "ann", "order": "stop"}
        ordered = render_timeline([{**stop, "reason": "ann: 1 actions, 2 approvals, 0 leases"}])
    finally:
        del posix.environ[b"LC_ALL"]
    assert told.splitlines()[1:] == [
        "10:00:01  01234567  ann  auto_allow  完了, 7 ms      done",
        "10:00:03  01234567  ann  auto_allow  失敗 (1), 7 ms  df -h",
    ]
    assert ordered.splitlines()[1:] == ["10:00:05  -- ann: 停止（ann: 操作1件、承認2件、期間つきの許可0件）"]


def test_an_end_whose_beginning_is_not_in_sight_has_a_line_of_its_own() -> None:
    assert render_timeline([_done(3, 1, outcome="lost", status=-1)]).splitlines() == [
        "2026-03-04",
        "10:00:03  01234567  ann  auto_allow  lost",
    ]


def test_hostile_text_stays_on_its_line() -> None:
    told = render_timeline([_decided(1, "echo \x1b[2J\n10:00:09  fake", decision="denied", reason="a\rb\u202e")])
    assert told.splitlines() == [
        "2026-03-04",
        r"10:00:01  01234567  ann  auto_allow  denied  echo \u{1b}[2J\u{a}10:00:09  fake",
        r"          a\u{d}b\u{202e}",
    ]


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    told = render_timeline([_decided(1, user="安"), _done(2, 1), _decided(3, user="ann"), _done(4, 3)])
    assert told.splitlines()[1:] == [
        "10:00:01  01234567  安   auto_allow  done, 7 ms  df -h",
        "10:00:03  01234567  ann  auto_allow  done, 7 ms  df -h",
    ]


def test_no_records_are_no_lines() -> None:
    assert render_timeline([]) == ""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("today", "2026-03-04T00:00:00.000Z"),
        ("yesterday", "2026-03-03T00:00:00.000Z"),
        ("90s", "2026-03-04T12:28:45.250Z"),
        ("30m", "2026-03-04T12:00:15.250Z"),
        ("30 min ago", "2026-03-04T12:00:15.250Z"),
        ("2h", "2026-03-04T10:30:15.250Z"),
        ("2 hours ago", "2026-03-04T10:30:15.250Z"),
        ("1 hour ago", "2026-03-04T11:30:15.250Z"),
        ("7d ago", "2026-02-25T12:30:15.250Z"),
        ("1 day ago", "2026-03-03T12:30:15.250Z"),
        ("2 minutes ago", "2026-03-04T12:28:15.250Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31 14:00", "2026-01-31T14:00:00.000Z"),
        ("2026-01-31T14:00:00+09:00", "2026-01-31T05:00:00.000Z"),
        ("2026-01-31T14:00:00Z", "2026-01-31T14:00:00.000Z"),
    ],
)
def test_times_are_read_as_people_write_them(text: str, moment: str) -> None:
    assert parse_time(text, now=NOW) == moment


def test_a_time_of_day_is_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    _set_zone()
    assert parse_time("2026-01-31 14:00", now=NOW) == "2026-01-31T05:00:00.000Z"
    assert parse_time("today", now=NOW) == "2026-03-03T15:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["", "soon", "14", "2026-02-30", "99999999999d", "999999d", "-1h", "1 fortnight ago", "now-1h"]
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="is no time; write 2026-01-31, '2026-01-31 14:00', today or 2h") as caught:
        parse_time(text, now=NOW)
    assert caught.value.verb == "log"
