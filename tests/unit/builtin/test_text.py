"""Units, tables and what may stand in a line."""

import pytest

from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.text import (
    Say,
    Table,
    cell_width,
    clean,
    clip,
    clip_path,
    render_percent,
    render_size,
    render_table,
)

SENTENCES = load_knowledge().sentences


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (99 * 1024, "99.0 KiB"),
        (102_349, "100 KiB"),
        (1_048_000, "1.0 MiB"),
        (270_553_174_016, "252 GiB"),
        (10**21, "867 EiB"),
        (10**22, "8,674 EiB"),
    ],
)
def test_sizes_have_a_unit_that_fits(size: int, text: str) -> None:
    assert render_size(size) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(0, 10, "0%"), (1, 1000, "<1%"), (999, 1000, "99%"), (10, 10, "100%"), (1, 0, "0%")]
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(part: int, whole: int, text: str) -> None:
    assert render_percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "english", "japanese"),
    [
        (0.4, "0 seconds", "0秒"),
        (59, "59 seconds", "59秒"),
        (61, "1 minute 1 second", "1分1秒"),
        (3600, "1 hour", "1時間"),
        (90_061, "1 day 1 hour", "1日1時間"),
        (86_400 + 59, "1 day", "1日"),
        (86_400 * 1234 + 7200, "1,234 days 2 hours", "1,234日2時間"),
    ],
)
def test_a_span_is_its_two_largest_units(seconds: float, english: str, japanese: str) -> None:
    assert Say("en", SENTENCES).duration(seconds) == english
    assert Say("ja", SENTENCES).duration(seconds) == japanese


def test_columns_stand_straight_with_wide_characters() -> None:
    table = Table(
        headings=("名前", "Size", "メモ"),
        rows=(("ディスク", "1 B", "x"), ("ab", "1,024 B", ""), ("é", "0 B", "長い")),
        right=frozenset((1,)),
    )
    assert render_table(table).split("\n") == [
        "名前         Size  メモ",
        "ディスク      1 B  x",
        "ab        1,024 B",
        "é             0 B  長い",
    ]


def test_nothing_that_draws_on_a_terminal_passes() -> None:
    assert clean("a\x1b[31m\nb\u202ec\u0007\x9b") == "a\\x1b[31m\\nb\\u202ec\\x07\\x9b"
    assert clip("日本語の長い名前", 9) == "日本語の…"
    assert clip("short", 9) == "short"
    path = "/very/long/" + "folder/" * 30 + "資料.txt"
    assert cell_width(clip_path(path, 40)) <= 40
    assert clip_path(path, 40).startswith("/very/lo")
    assert clip_path(path, 40).endswith("/folder/資料.txt")


def test_a_field_is_never_read_as_a_format() -> None:
    assert Say("en", SENTENCES)("no_folder", folder="{command} {0}") == "There is no {command} {0} on this machine."
