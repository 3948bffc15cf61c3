"""What `expand` makes of a word is what the real bash makes of it, in a real folder, name by name and in order.

One difference is wanted: a name that begins with a dash comes as `./-name`, so that no file is an option.
"""

import os
import subprocess
from pathlib import Path

import pytest

from aiosd.sandbox.expand import CannotStartError, expand_words

FILES = [
    *(b"a", b"ab", b"abc", b"B", b"b.txt", b"c.txt", b"c d", b"two  blanks", b"Z", b"0", b"10", b"9", b"_", b"^caret"),
    *(b".hidden", b".h2", b"..odd", b"-", b"-n", b"--help", b"-rf x", b"!bang", b"]", b"[", b"[ab]", b"a-b", b"a]b"),
    *(b"star*", b"quest?", b"back\\slash", b"quo'te", b'dou"ble', b"dollar$HOME", b"line\nbreak", b"tab\tbed", b"#x"),
    *("日本語.txt".encode(), "日記".encode(), "あいう".encode(), "ア.log".encode(), "é".encode(), "😀".encode()),
    *(b"bad\xffbyte", b"\x80first", b"~", b"~tilde", b"=eq", b"x=y", b"{1,2}", b"sub", b"sub2"),
]
FOLDERS = [b"dir", b"dir/one", b"dir/one/deep", b"dir/two", b".dot", b"-dash", "フォルダ".encode(), b"with space"]
INSIDE = [
    *(b"dir/f1", b"dir/.f2", b"dir/one/g.txt", b"dir/one/deep/h.txt", b"dir/two/g.txt", b".dot/x", b"-dash/y"),
    *("フォルダ/メモ".encode(), b"with space/f", b"dir/two/-dash"),
]

# Patterns as the recogniser marks them: an unquoted `* ? [` is special, `\c` is c.
PATTERNS = [
    *("*", "?", "??", "a*", "*a", "*.txt", "?.txt", "*b*", "**", "***", "*?*", "a?c", "a*c", "[ab]", "[a-c]*", "[A-Z]"),
    *("[a-z]", "[0-9]", "[0-9]*", "[0-9][0-9]", "[ab].txt", "[!a]", "[!a-z]*", "[^a]", "[]]", "[]a]", "[!]]*", "[[]"),
    *("[-a]", "[a-]", "[a-b-c]*", r"[\]]", r"[\-a]*", r"[a\-c]*", "[", "[a", "a[", "[]", "[!]", "[z-a]", "*[", "*]"),
    *(r"\*", r"star\*", r"*\*", r"quest\?", r"*\?", r"\[ab\]", r"\[*", r"back\\slash", r"*\\*", "quo\\'te", r"*\ *"),
    *(".*", ".h*", ".??*", "..*", ".[a-z]*", ".", "..", "./*.txt", "../*/zz-none", "-*", "--*", r"\-*", "?rf*", "*-*"),
    *("dir/*", "dir/.*", "*/f1", "*/*", "*/*/*", "*/*/*/*", "dir/*/g.txt", "d*/*/g*", "*/", "d*/", "dir//*", "dir/*//"),
    *("a/*", "*/..", "*/../a", "dir/./*", "none*", "none/*", "*none", "dir/none*", "[q]", "sub*", "*/deep/*.txt"),
    *("日*", "*語*", "?????.txt", "[あ-ん]*", "[日]*", "フォルダ/*", "é", "[é]", "[😀]", "*\\😀*", "[ア-ン]*", "???"),
    *(
        "*\udcff*",
        "bad?byte",
        "\udc80*",
        "[\udcff]",
        "with\\ space/*",
        "*break",
        "tab?bed",
        "line?break",
        "[#]x",
        "\\#*",
    ),
    *("{*", "x=*", "=*", "_*", "^*", "!*", "*\\$*", "/", "/*/passwd", "/et[c]/passwd", "/etc/passw?", "//etc/pass*d"),
]
HOME_PATTERNS = ["~/*", "~/.*", "~/*.txt", "~/none*", "~/[a-c]*", "~", "~/", "~/a", "~//*"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("names [x]*")  # special characters in the path of the folder itself
    for name in FOLDERS:
        os.mkdir(bytes(made) + b"/" + name)
    for name in (*FILES, *INSIDE):
        Path(os.fsdecode(bytes(made) + b"/" + name)).touch()
    os.symlink("dir", made / "link")
    os.symlink("nowhere", made / "broken")
    return made


def ask_bash(words: list[str], folder: Path, home: str) -> list[list[str]]:
    """What bash makes of each word."""
    script = "".join(f"printf '%s\\0' {word}; printf '\\1\\0'\n" for word in words)
    ran = subprocess.run(
        ["/bin/bash", "--norc", "--noprofile"],
        input=os.fsencode(script),
        capture_output=True,
        check=True,
        cwd=folder,
        env={"LC_ALL": "C.UTF-8", "HOME": home, "PATH": "/usr/bin:/bin"},
    )
    assert ran.stderr == b""
    said = [part.split("\0")[:-1] for part in os.fsdecode(ran.stdout).split("\1\0")]
    return said[:-1]


def expand(word: str, *, home: str) -> list[str]:
    text, escaped = "", False
    for char in word:
        if escaped or char != "\\":
            text += char
        escaped = char == "\\" and not escaped
    at_home = word == "~" or word.startswith("~/")
    special = any(char in word.replace("\\*", "").replace("\\?", "").replace("\\[", "") for char in "*?[")
    return expand_words([(text, word if special else None, at_home)], {"HOME": home})


@pytest.fixture(scope="module")
def by_bash(folder: Path) -> dict[str, list[str]]:
    answers = ask_bash(PATTERNS, folder, "/nonexistent")
    return dict(zip(PATTERNS, answers, strict=True))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_expands_as_in_bash(
    pattern: str, folder: Path, by_bash: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    guarded = ["./" + name if name.startswith("-") else name for name in by_bash[pattern]]
    assert expand(pattern, home="/nonexistent") == guarded


@pytest.mark.parametrize("pattern", HOME_PATTERNS)
@pytest.mark.parametrize("which", ["the folder", "/", "/etc/"])
def test_a_home_folder_expands_as_in_bash(
    pattern: str, which: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(folder) if which == "the folder" else which
    monkeypatch.chdir("/")
    assert [expand(pattern, home=home)] == ask_bash([pattern], folder, home)


def test_a_listing_without_rights_is_no_match_as_in_bash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert expand("a/*/b", home="/") == ["a/*/b"]  # a is a file
    assert expand("broken/*", home="/") == ["broken/*"]
    assert expand("link/*", home="/") == ask_bash(["link/*"], folder, "/")[0]


def test_matching_takes_time_in_proportion_however_many_stars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ("a" * 250)).touch()
    monkeypatch.chdir(tmp_path)
    pattern = "*a" * 120 + "b"  # exponential for a matcher that backtracks into each star
    assert expand(pattern, home="/") == [pattern]


def test_too_many_matches_are_refused_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(150):
        (tmp_path / str(number)).touch()
    monkeypatch.chdir(tmp_path)
    assert len(expand("*", home="/")) == 150
    with pytest.raises(CannotStartError) as refused:
        expand_words([("*", "*", False)] * 134, {})
    assert refused.value.args == ("*: over 20000 matches", 126)


def test_words_that_do_not_expand_stay_as_they_are() -> None:
    words = [("a b", None, False), ("*", None, False), ("", None, False), ("~", None, False), ("~/x", None, True)]
    assert expand_words(words, {"HOME": "/home/u"}) == ["a b", "*", "", "~", "/home/u/x"]
