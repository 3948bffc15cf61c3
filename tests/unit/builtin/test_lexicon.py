"""Normalising, cutting and typos."""

import pytest

from aiosd.model.builtin.fold import fold, fold_expression, has_japanese
from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.spelling import Spellings

LEXICON = load_knowledge().lexicon


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("Disk", "disk"),
        ("ＤＩＳＫ　空き", "disk 空き"),
        ("ﾃﾞｨｽｸ", "ディスク"),
        ("サーバー", "サーバ"),
        ("メモリーは", "メモリは"),
        ("エラーログ", "エラーログ"),
        ("①", "1"),
        ("Straße", "strasse"),
    ],
)
def test_folding_makes_writings_equal_and_keeps_positions(raw: str, folded: str) -> None:
    done = fold(raw)
    assert done.text == folded == fold_expression(raw)
    assert len(done.at) == len(done.text) + 1
    assert done.at[-1] == len(raw)
    assert list(done.at) == sorted(done.at)


@pytest.mark.parametrize(
    ("text", "japanese"), [("disk", False), ("ｄｉｓｋ", False), ("ﾃﾞ", True), ("空", True), ("é", False)]
)
def test_japanese_is_recognised_by_its_letters(text: str, japanese: bool) -> None:
    assert has_japanese(text) is japanese


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("ディスクの空き容量は", ["ディスク", "の", "空き容量", "は"]),
        ("nginxを起動して", ["nginx", "を", "起動して"]),
        ("nginxは起動していますか", ["nginx", "は", "起動していますか"]),
        ("what's my ip?", ["what", "s", "my", "ip"]),
        ("CPU/メモリ", ["CPU", "メモリ"]),
        ("メモリ/CPU", ["メモリ", "CPU"]),
        ("~/Downloads と /var/log,", ["~/Downloads", "と", "/var/log"]),
        ("教えて～", ["教えて"]),
        ("カレンダー", ["カレンダー"]),
        ("メモリーサイズ", ["メモリ", "サイズ"]),
        ('in "/a b/ｃ", 5GB', ["in", "/a b/ｃ", "5GB"]),
        ("..;rm -rf", ["..;rm", "-rf"]),
    ],
)
def test_text_is_cut_where_a_reader_would_cut_it(text: str, pieces: list[str]) -> None:
    assert [segment.value for segment in LEXICON.segments(text)] == pieces


@pytest.mark.parametrize(
    ("typo", "right"),
    [("memroy", "memory"), ("memry", "memory"), ("kernal", "kernel"), ("adress", "address"), ("proccess", "process"),
     ("dsik", "disk"), ("avialable", "available"), ("direcotries", "directories")],
)  # fmt: skip
def test_a_typo_is_forgiven(typo: str, right: str) -> None:
    words = ["memory", "kernel", "address", "process", "disk", "available", "directories"]
    found, quality = Spellings(words).nearest(typo)
    assert found == right
    assert 0.6 < quality < 1


@pytest.mark.parametrize("word", ["risk", "isk", "dis", "task", "memories", "colonel", "dress", "xy", ""])
def test_another_word_is_not_a_typo(word: str) -> None:
    assert Spellings(["memory", "kernel", "address", "disk"]).nearest(word) == ("", 0.0)
