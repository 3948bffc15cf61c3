"""The recogniser by tables: what is accepted and as which argv, what is refused, where and why."""

import unicodedata

import pytest

from aiosd.policy import DiscardTo, DuplicateTo, Joiner, Opaque, Program, ReadFrom, Redirect, Word, recognise
from aiosd.policy.words import MAX_WORDS


def program(line: str) -> Program:
    recognised = recognise(line)
    assert isinstance(recognised, Program), f"{line!r}: {recognised}"
    return recognised


def opaque(line: str) -> Opaque:
    recognised = recognise(line)
    assert isinstance(recognised, Opaque), f"{line!r}: {recognised}"
    return recognised


def argvs(line: str) -> list[list[str]]:
    return [[word.text for word in command.argv] for command in program(line).commands()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ls", [["ls"]]),
        ("  ls\t-l  ", [["ls", "-l"]]),
        ("ls -l; pwd", [["ls", "-l"], ["pwd"]]),
        ("ls;", [["ls"]]),
        ("ls;pwd", [["ls"], ["pwd"]]),
        ("ls\npwd\n", [["ls"], ["pwd"]]),
        ("\n\n ls\n\n\npwd", [["ls"], ["pwd"]]),
        ("ls;\n\npwd", [["ls"], ["pwd"]]),
        ("ls && pwd || id", [["ls"], ["pwd"], ["id"]]),
        ("ls &&\n\n pwd", [["ls"], ["pwd"]]),
        ("ls |\n wc -l", [["ls"], ["wc", "-l"]]),
        ("ls|wc|cat", [["ls"], ["wc"], ["cat"]]),
        ("echo 'a b'", [["echo", "a b"]]),
        ("echo ''", [["echo", ""]]),
        ('echo ""', [["echo", ""]]),
        ('echo a""b', [["echo", "ab"]]),
        ("""echo 'a'"b"c\\d""", [["echo", "abcd"]]),
        ("echo 'a\nb'", [["echo", "a\nb"]]),
        ('echo "a\nb"', [["echo", "a\nb"]]),
        ('echo "it\'s"', [["echo", "it's"]]),
        ("echo 'say \"hi\"'", [["echo", 'say "hi"']]),
        (r'echo "a\"b"', [["echo", 'a"b']]),
        (r'echo "a\\b"', [["echo", r"a\b"]]),
        (r'echo "a\$b\`c"', [["echo", "a$b`c"]]),
        (r'grep "foo\.bar" x', [["grep", r"foo\.bar", "x"]]),
        (r'echo "\!"', [["echo", r"\!"]]),
        ("echo 'a\\'", [["echo", "a\\"]]),
        ("echo '$HOME `id`'", [["echo", "$HOME `id`"]]),
        (r"echo \$HOME", [["echo", "$HOME"]]),
        (r"echo a\ b", [["echo", "a b"]]),
        (r"echo \;", [["echo", ";"]]),
        (r"find . -name x -print \; ", [["find", ".", "-name", "x", "-print", ";"]]),
        ("echo a#b", [["echo", "a#b"]]),
        ("echo a #b", [["echo", "a"]]),
        ("echo ''#b", [["echo", "#b"]]),
        ("echo a;#b\necho c", [["echo", "a"], ["echo", "c"]]),
        ("echo a # b \\\necho c", [["echo", "a"], ["echo", "c"]]),
        ("# first\necho a", [["echo", "a"]]),
        ("echo a | # into\n cat", [["echo", "a"], ["cat"]]),
        ("echo a \\\n b", [["echo", "a", "b"]]),
        ("echo a \\\n| cat", [["echo", "a"], ["cat"]]),
        ("echo a \\\n\\\n b", [["echo", "a", "b"]]),
        ("find . ! -name x", [["find", ".", "!", "-name", "x"]]),
        ('echo "hi!" a!b', [["echo", "hi!", "a!b"]]),
        ("echo {} }{ {a", [["echo", "{}", "}{", "{a"]]),
        ("git show HEAD@{1}", [["git", "show", "HEAD@{1}"]]),
        ("dd if=a of=b --x=y", [["dd", "if=a", "of=b", "--x=y"]]),
        ("[ -f x ]", [["[", "-f", "x", "]"]]),
        ("test a = b", [["test", "a", "=", "b"]]),
        ("echo [ ] [ a", [["echo", "[", "]", "[", "a"]]),
        ("echo a~ a~b", [["echo", "a~", "a~b"]]),
        ("echo % ^ @ , : + -", [["echo", "%", "^", "@", ",", ":", "+", "-"]]),
        ("echo if then fi in { }", [["echo", "if", "then", "fi", "in", "{", "}"]]),
        ("ls 日本語 é 'ファイル 1'", [["ls", "日本語", "é", "ファイル 1"]]),
        ("echo 2 3", [["echo", "2", "3"]]),
        ("echo 2&>/dev/null", [["echo", "2"]]),
        ("./run.sh a", [["./run.sh", "a"]]),
        ("'ls' -l", [["ls", "-l"]]),
        ("l\\s -l", [["ls", "-l"]]),
        ("g++ --version", [["g++", "--version"]]),
    ],
)
def test_accepted_lines_give_exactly_these_words(line: str, expected: list[list[str]]) -> None:
    assert argvs(line) == expected


_NULL_BOTH: tuple[Redirect, ...] = (DiscardTo(fd=1), DuplicateTo(fd=2, source=1))


@pytest.mark.parametrize(
    ("line", "words", "redirects"),
    [
        ("ls >/dev/null", 1, (DiscardTo(fd=1),)),
        ("ls 1>/dev/null", 1, (DiscardTo(fd=1),)),
        ("ls > /dev/null", 1, (DiscardTo(fd=1),)),
        ("ls >>/dev/null", 1, (DiscardTo(fd=1),)),
        ("ls 2>/dev/null", 1, (DiscardTo(fd=2),)),
        ("ls 2>> '/dev/null'", 1, (DiscardTo(fd=2),)),
        ("ls &>/dev/null", 1, _NULL_BOTH),
        ("ls &>>/dev/null", 1, _NULL_BOTH),
        ("ls >&/dev/null", 1, _NULL_BOTH),
        ("ls a2>/dev/null", 2, (DiscardTo(fd=1),)),
        ("ls '2'>/dev/null", 2, (DiscardTo(fd=1),)),
        ("ls \\2>/dev/null", 2, (DiscardTo(fd=1),)),
        ("ls 2 >/dev/null", 2, (DiscardTo(fd=1),)),
        ("ls 2>&1", 1, (DuplicateTo(fd=2, source=1),)),
        ("ls 1>&2", 1, (DuplicateTo(fd=1, source=2),)),
        ("ls >&2", 1, (DuplicateTo(fd=1, source=2),)),
        ("ls >&2 x", 2, (DuplicateTo(fd=1, source=2),)),
        ("ls 2>&1 >/dev/null", 1, (DuplicateTo(fd=2, source=1), DiscardTo(fd=1))),
        (">/dev/null ls -l", 2, (DiscardTo(fd=1),)),
        ("ls >/dev/null -l", 2, (DiscardTo(fd=1),)),
        ("wc < a.txt", 1, (ReadFrom(path=Word(text="a.txt")),)),
        ("wc <a.txt", 1, (ReadFrom(path=Word(text="a.txt")),)),
        ("wc 0< 'a b'", 1, (ReadFrom(path=Word(text="a b")),)),
        ("wc < ~/a", 1, (ReadFrom(path=Word(text="~/a", home=True)),)),
        ("cat </dev/null", 1, (ReadFrom(path=Word(text="/dev/null")),)),
    ],
)
def test_redirections_that_cannot_write_are_read_in_order(
    line: str, words: int, redirects: tuple[Redirect, ...]
) -> None:
    [command] = program(line).commands()
    assert (len(command.argv), command.redirects) == (words, redirects)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("*.txt", Word(text="*.txt", pattern="*.txt")),
        ("a?b", Word(text="a?b", pattern="a?b")),
        ("[ab]*", Word(text="[ab]*", pattern="[ab]*")),
        ("[!a-z].c", Word(text="[!a-z].c", pattern="[!a-z].c")),
        ("[^0-9]", Word(text="[^0-9]", pattern="[^0-9]")),
        ("'*'", Word(text="*")),
        ("\\*", Word(text="*")),
        ('"a*"b*', Word(text="a*b*", pattern="a\\*b*")),
        ("'[x]'*", Word(text="[x]*", pattern="\\[x\\]*")),
        ("'a\\'*", Word(text="a\\*", pattern="a\\\\*")),
        ("~", Word(text="~", home=True)),
        ("~/x", Word(text="~/x", home=True)),
        ("~/*.c", Word(text="~/*.c", pattern="~/*.c", home=True)),
        ("'~'/x", Word(text="~/x")),
        ("\\~", Word(text="~")),
        ("[", Word(text="[")),
    ],
)
def test_globs_and_home_are_marked_and_quoted_ones_are_not(word: str, expected: Word) -> None:
    [command] = program(f"ls {word}").commands()
    assert command.argv[1] == expected


def test_joiners_stages_and_offsets_follow_the_line() -> None:
    line = "a 1 && b |& c || d; e"
    recognised = program(line)
    assert [pipeline.joiner for pipeline in recognised.pipelines] == [
        Joiner.FIRST,
        Joiner.AND,
        Joiner.OR,
        Joiner.ALWAYS,
    ]
    assert [len(pipeline.stages) for pipeline in recognised.pipelines] == [1, 2, 1, 1]
    assert recognised.pipelines[1].stages[0].redirects == (DuplicateTo(fd=2, source=1),)
    assert [line[command.start : command.end] for command in recognised.commands()] == ["a 1", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("line", "position", "reason"),
    [
        ("", 0, "no command"),
        ("   ", 0, "no command"),
        ("# only a comment", 0, "no command"),
        ("\\\n", 0, "no command"),
        ("echo $HOME", 5, "`$` starts an expansion"),
        ('echo "$HOME"', 6, "`$` starts an expansion"),
        ("echo $(id)", 5, "`$`"),
        ("echo $'a'", 5, "`$`"),
        ("echo $((1))", 5, "`$`"),
        ("echo `id`", 5, "backtick"),
        ('echo "`id`"', 6, "backtick"),
        ("echo a`id`", 6, "backtick"),
        ("(ls)", 0, "subshell"),
        ("f() { ls; }", 1, "function"),
        ("ls )", 3, "closes nothing"),
        ("cat <(ls)", 4, "process substitution"),
        ("cat > >(ls)", 4, "without a plain path"),
        ("cat <<EOF\nx\nEOF", 4, "here-document"),
        ("cat <<< x", 4, "here-document or here-string"),
        ("ls > out", 3, "may write"),
        ("ls >out", 3, "may write"),
        ("ls >> out", 3, "may write"),
        ("ls > /dev/null2", 3, "may write"),
        ("ls > /dev/nul*", 3, "one plain path"),
        ("ls >| /dev/null", 3, "outside the language"),
        ("ls <> x", 3, "outside the language"),
        ("ls 2>&-", 4, "outside the language"),
        ("ls 2>&1-", 4, "not just a descriptor"),
        ("ls >&10", 3, "not just a descriptor"),
        ("ls 3>/dev/null", 4, "only descriptors 1 and 2"),
        ("ls 0>/dev/null", 4, "only descriptors 1 and 2"),
        ("ls 3>&1", 4, "only descriptors 1 and 2"),
        ("ls 2>&/dev/null", 4, "outside the language"),
        ("ls &> out", 3, "may write"),
        ("ls >& out", 3, "may write"),
        ("ls {fd}>/dev/null", 3, "named descriptor"),
        ("ls <", 3, "without a plain path"),
        ("ls < #x", 3, "without a plain path"),
        ("ls < *", 3, "one plain path"),
        ("ls < ''", 3, "one plain path"),
        ("ls < /dev/tcp/1.2.3.4/80", 3, "below /dev"),
        ("ls < /dev/fd/3", 3, "below /dev"),
        ("ls <&3", 3, "outside the language"),
        ("ls 3< x", 4, "outside the language"),
        ("> /dev/null", 0, "without a command"),
        ("< x", 0, "without a command"),
        ("ls &", 3, "background"),
        ("ls & pwd", 3, "background"),
        ("ls &&& pwd", 5, "a command is missing"),
        ("ls ;; pwd", 3, "`;;`"),
        ("ls ;& pwd", 3, "`;&`"),
        ("; ls", 0, "a command is missing"),
        ("&& ls", 0, "a command is missing"),
        ("| ls", 0, "a command is missing"),
        ("ls &&", 3, "nothing follows `&&`"),
        ("ls || # x", 3, "nothing follows `||`"),
        ("ls |", 3, "nothing follows `|`"),
        ("ls | | wc", 5, "a command is missing"),
        ("ls | && wc", 5, "a command is missing"),
        ("ls\n&& wc", 3, "a command is missing"),
        ("ls;\n; wc", 4, "a command is missing"),
        ("A=b ls", 0, "assignment"),
        ("A=b", 0, "assignment"),
        ("A+=b ls", 0, "assignment"),
        ("A[1]=b ls", 0, "is a pattern"),
        ("A='b c' ls", 0, "assignment"),
        ("=ls", 0, "assignment"),
        ("if true; then ls; fi", 0, "shell's own language"),
        ("for x in a; do ls; done", 0, "shell's own language"),
        ("while true; do ls; done", 0, "shell's own language"),
        ("case x in esac", 0, "shell's own language"),
        ("time ls", 0, "shell's own language"),
        ("ls | time wc", 5, "shell's own language"),
        ("coproc ls", 0, "shell's own language"),
        ("function f", 0, "shell's own language"),
        ("[[ a ]]", 0, "shell's own language"),
        ("{ ls; }", 0, "shell's own language"),
        ("ls; }", 4, "shell's own language"),
        ("! ls", 0, "negates"),
        ("ls | ! wc", 5, "negates"),
        ("cd /", 0, "part of the shell"),
        ("ls; cd /", 4, "part of the shell"),
        ("'cd' /", 0, "part of the shell"),
        ("e\\val ls", 0, "part of the shell"),
        (". x", 0, "part of the shell"),
        ("source x", 0, "part of the shell"),
        ("export A=b", 0, "part of the shell"),
        ("exec ls", 0, "part of the shell"),
        ("umask 0", 0, "part of the shell"),
        ("type ls", 0, "part of the shell"),
        ("ls {a,b}", 3, "brace expansion"),
        ("ls {1..3}", 3, "brace expansion"),
        ("ls a{b','c}", 3, "brace expansion"),
        ("ls ~root", 3, "somebody's home"),
        ("ls ~+", 3, "somebody's home"),
        ("ls ~'/x'", 3, "somebody's home"),
        ("ls a=~", 5, "`~` after"),
        ("ls a:~/x", 5, "`~` after"),
        ("~/bin/x", 0, "is a pattern"),
        ("l* -l", 0, "is a pattern"),
        ("l? -l", 0, "is a pattern"),
        ("%1", 0, "unusual command name"),
        ("'' x", 0, "unusual command name"),
        ("'a b' x", 0, "unusual command name"),
        ("-x", 0, "unusual command name"),
        ("日本 x", 0, "unusual command name"),
        ("ls [[:alpha:]]", 3, "bracket"),
        ("ls [a", 3, "bracket"),
        ("ls []a]", 3, "bracket"),
        ("ls [z-a]", 3, "bracket"),
        ("ls [a'b']", 3, "bracket"),
        ("ls [é]", 3, "bracket"),
        ("ls ?(a)", 4, "subshell"),
        ("ls 'a", 3, "not closed"),
        ('ls "a', 3, "not closed"),
        ("ls a\\", 4, "escapes nothing"),
        ("ls a\\\nb", 4, "middle of a word"),
        ("ls;\\\npwd", 3, "middle of a word"),
        ('ls "a\\\nb"', 5, "inside quotes"),
        ("ls \r", 3, "U+000D"),
        ("ls\x1bpwd", 2, "U+001B"),
        ("ls\u00a0pwd", 2, "U+00A0"),
        ("echo '\u202e'", 6, "U+202E"),
        ("echo \u200b", 5, "U+200B"),
    ],
)
def test_everything_else_is_opaque_with_place_and_reason(line: str, position: int, reason: str) -> None:
    refused = opaque(line)
    assert (refused.position, reason in refused.reason) == (position, True), refused


def test_no_invisible_or_unassigned_character_is_accepted_anywhere() -> None:
    strange = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zs", "Zl", "Zp", "Co", "Cs", "Cn")
        and chr(code) not in " \t\n"
    ]
    assert len(strange) > 900_000
    sample = strange[:700] + strange[700::997]
    assert [char for char in sample if not isinstance(recognise(f"echo 'a{char}b'"), Opaque)] == []
    assert argvs("echo 'aéb'") == [["echo", "aéb"]]


def test_words_have_a_limit_and_one_fewer_is_accepted() -> None:
    assert len(argvs("ls " + "a " * (MAX_WORDS - 1))[0]) == MAX_WORDS
    assert "words" in opaque("ls " + "a " * MAX_WORDS).reason
