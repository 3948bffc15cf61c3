"""Text from elsewhere on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosd.cli.quote import join_words
from aiosd.cli.show import escape, show_output, width, wrap


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("df -h /srv", "df -h /srv"),
        ("ファイル 一覧 é ß ١", "ファイル 一覧 é ß ١"),
        ("消します。「一覧」（全部）、よいですか？", "消します。「一覧」（全部）、よいですか？"),
        ("\x1b[31mred\x1b[0m", r"\u{1b}[31mred\u{1b}[0m"),
        ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
        ("\x9b2J", r"\u{9b}2J"),
        ("safe\rrm -rf /", r"safe\u{d}rm -rf /"),
        ("back\b\b\bspace", r"back\u{8}\u{8}\u{8}space"),
        ("a\tb", r"a\u{9}b"),
        ("a\nb", r"a\u{a}b"),
        ("rm \u202egpj.x", r"rm \u{202e}gpj.x"),
        ("\u2066hidden\u2069", r"\u{2066}hidden\u{2069}"),
        ("zero\u200bwidth\ufeff", r"zero\u{200b}width\u{feff}"),
        ("l\u2028s\u2029p", r"l\u{2028}s\u{2029}p"),
        ("e\u0301", r"e\u{301}"),
        ("no\u00a0break", r"no\u{a0}break"),
        ("\u3164\u115f\uffa0", r"\u{3164}\u{115f}\u{ffa0}"),
        ("tag\U000e0041", r"tag\u{e0041}"),
        ("↳ ─ …", r"\u{21b3} \u{2500} \u{2026}"),
        ("\udcff", r"\u{dcff}"),
        ("a" + " " * 16 + "b", "a" + " " * 16 + "b"),
        ("a" + " " * 17 + "b", "a ·×17 b"),
        ("a" + " " * 300, "a ·×300"),
    ],
)
def test_nothing_in_a_text_moves_the_cursor_hides_or_pretends(text: str, shown: str) -> None:
    assert escape(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/dev/vda" + " " * 40 + "45%", "/dev/vda" + " " * 40 + "45%"),
        ("● sshd.service — OpenBSD", "● sshd.service — OpenBSD"),
        ("├─ /srv → “x” …", "├─ /srv → “x” …"),
        ("a\tb", "a       b"),
        ("\x1b[2Jgone\r", r"\u{1b}[2Jgone\u{d}"),
        ("\u202egpj\u200b\u2800\u3164", r"\u{202e}gpj\u{200b}\u{2800}\u{3164}"),
    ],
)
def test_what_a_command_printed_looks_as_it_was_printed_and_moves_nothing(line: str, shown: str) -> None:
    assert show_output(line) == shown


def test_lines_stay_where_they_are_wanted() -> None:
    assert escape("one\ntwo\x1b\r\n" + " " * 20 + "three", newlines=True) == (
        "one\n" + r"two\u{1b}\u{d}" + "\n ·×20 three"
    )


@given(st.text())
def test_what_is_shown_is_plain_for_any_text(text: str) -> None:
    assert all(char == " " or char.isprintable() for char in escape(text))


@pytest.mark.parametrize(
    ("line", "columns", "pieces"),
    [
        ("", 10, [""]),
        ("0123456789", 10, ["0123456789"]),
        ("0123456789a", 10, ["0123456789", "a"]),
        ("one two three", 10, ["one two ", "three"]),
        ("one " + "x" * 40, 30, ["one " + "x" * 26, "x" * 14]),
        ("日本語", 4, ["日本", "語"]),
        ("a日本語", 4, ["a日", "本語"]),
        (" " * 12, 5, [" " * 5, " " * 5, "  "]),
    ],
)
def test_a_long_line_goes_on_in_pieces(line: str, columns: int, pieces: list[str]) -> None:
    assert wrap(line, columns) == pieces


@given(st.text(), st.integers(2, 100))
def test_pieces_fit_and_are_the_line(text: str, columns: int) -> None:
    line = escape(text)
    pieces = wrap(line, columns)
    assert "".join(pieces) == line
    assert all(0 < width(piece) <= columns for piece in pieces) or pieces == [""]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["df", "-h", "/"], "df -h /"),
        (["echo", "a b"], "echo 'a b'"),
        (["echo", ""], "echo ''"),
        (["echo", "it's"], "echo 'it'\\''s'"),
        (["echo", "$HOME", "*", ";"], "echo '$HOME' '*' ';'"),
        (["echo", "日本"], "echo '日本'"),
        (["echo", "a\nb"], "echo 'a\nb'"),
    ],
)
def test_words_are_quoted_for_a_shell(words: list[str], line: str) -> None:
    assert join_words(words) == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("curl https://p\u0430ypal.com/x", r"curl https://p\u{430}ypal.com/x"),
        ("rm \u0441ache", r"rm \u{441}ache"),
        ("ls /srv/\u03bfmega", r"ls /srv/\u{3bf}mega"),
        ("\uff59es", r"\u{ff59}es"),
        ("\U0001d452tc", r"\u{1d452}tc"),
    ],
)
def test_a_word_that_mixes_scripts_which_look_alike_is_marked(text: str, shown: str) -> None:
    assert escape(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "cat /home/анна/файл.txt",
        "cat мой-file_файл.txt",
        "echo résumé naïve",
        "touch 議事録2026ver2.txt",
        "ls ファイルA ダウンロード",
        "echo ωμέγα",
        "echo 한글abc",
    ],
)
def test_words_of_one_script_and_what_is_written_together_stay(text: str) -> None:
    assert escape(text) == text
