"""Differential fuzz: whatever the recogniser accepts, the real bash runs with the same argv, streams and status."""

import os
import random
import time
from pathlib import Path

import pytest

from aiosd.policy import Program, recognise
from tests.unit.policy import bash_oracle

_UNAVAILABLE = bash_oracle.unavailable()
pytestmark = pytest.mark.skipif(bool(_UNAVAILABLE), reason=_UNAVAILABLE)

_SEEDS = (
    "show a b",
    "show 'a b' \"c d\" e\\ f",
    "show a | show b | fail",
    "show a && fail b || show c; show d",
    "fail | show |& show",
    "show a 2>/dev/null",
    "show >/dev/null 2>&1 a",
    "show a &>/dev/null || show b",
    "show a 2>&1 >/dev/null | show b",
    "show # comment\nshow b#c",
    "show a \\\n b",
    "show ~ ~/x a~ '~' \\~",
    "show *.txt a? [ab] '*' \\* [!a] \"?\"",
    'show "a\\"b\\\\c\\d\\$e" "" \'\' x""y',
    "show < a; show < missing; show </dev/null",
    "show a2>/dev/null 2 >/dev/null",
    "show {} {a [ ] ! = a=b -x --y=z",
    "true && false || show\n\nshow",
    "show a &&\n\n show b |\n show c",
    "'show' s\"how\" sho\\w",
    "nothing there; show 1>&2",
    "show 日本語 é ~/日本",
)
_TOKENS = (
    "show", "fail", "pwn", "true", "false", "echo", "[", "test", "a", "ab", "b.txt", "-x", "2", "1", "0", "", " ",
    "  ", "\t", "\n", "\\\n", "\\", "'", '"', "''", '""', "'a b'", '"c d"', "a#b", "#", "# x\n", ";", ";;", "&", "&&",
    "|", "||", "|&", ";&", "(", ")", "{", "}", "{}", "{a,b}", "{1..3}", ",", "..", "!", "[", "]", "[x]", "[ab]",
    "[!a]", "[a-c]", "[c-a]", "[]a]", "[[:alpha:]]", "*", "?", "**", "~", "~/", "~root", "~+", "=", "a=b", "a=~", ":",
    "a:~", "+=", "<", ">", ">>", ">|", "<>", "<<", "<<<", "<&", ">&", "&>", "&>>", "/dev/null", ">/dev/null",
    "2>/dev/null", "1>>/dev/null", "&>/dev/null", ">&/dev/null", "2>&1", "1>&2", ">&2", "2>&-", "<a", "< b.txt",
    "0<a", "3>/dev/null", "10>/dev/null", "$", "$x", "$(pwn)", "`pwn`", "<(pwn)", "$'a'", "\\$", "\\`", "\\'", '\\"',
    "\\ ", "\\a", "\\*", "if", "then", "fi", "time", "cd", "exec", "eval", ".", "[[", "]]", "((", "%", "@", "^", "é",
    "日", "\r", "\x0b", "\x1c", "\u00a0", "\u2028", "\x7f",
)  # fmt: skip


def _mutate(chance: random.Random, line: str) -> str:
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(line))
        match chance.randint(0, 3):
            case 0:
                line = line[:at] + line[at + 1 :]
            case 1:
                other = chance.choice(_SEEDS)
                line = line[:at] + other[chance.randint(0, len(other)) :]
            case _:
                space = chance.choice(("", " "))
                line = line[:at] + space + chance.choice(_TOKENS) + space + line[at:]
    return line


def _snippet(chance: random.Random) -> str:
    if chance.random() < 0.7:
        return _mutate(chance, chance.choice(_SEEDS))
    return "show " + "".join(chance.choice(("", " ")) + chance.choice(_TOKENS) for _ in range(chance.randint(1, 8)))


def _disagreements(lines: list[str], scratch: Path) -> str:
    accepted = [
        (line, program)
        for line in lines
        if isinstance(program := recognise(line), Program) and bash_oracle.predictable(program)
    ]
    seen = bash_oracle.run_in_bash([line for line, _ in accepted], scratch)
    assert len(seen) == len(accepted)
    return "\n".join(
        f"{line!r}\n  we say {said}\n  bash   {was}"
        for (line, program), was in zip(accepted, seen, strict=True)
        if (said := bash_oracle.predict(program)) != was
    )


def test_bash_runs_every_accepted_line_as_recognised(tmp_path: Path) -> None:
    chance = random.Random(20240229)
    lines = list(_SEEDS) + [_snippet(chance) for _ in range(2000)]
    accepted = sum(isinstance(recognise(line), Program) for line in lines)
    assert accepted > 600, "the fuzz must reach the language, not only its outside"
    assert _disagreements(lines, tmp_path / "run") == ""


def test_the_oracle_sees_a_canary_that_bash_runs(tmp_path: Path) -> None:
    [seen] = bash_oracle.run_in_bash(["show $(pwn x)"], tmp_path / "run")
    assert ("pwn", "x") in seen.ran


@pytest.mark.soak
def test_bash_agrees_for_as_long_as_asked(tmp_path: Path) -> None:
    seed = int(os.environ.get("AIOS_FUZZ_SEED", str(time.time_ns())))
    chance = random.Random(seed)
    deadline = time.monotonic() + float(os.environ.get("AIOS_FUZZ_SECONDS", "600"))
    for round_number in range(1_000_000):
        if time.monotonic() > deadline:
            return
        lines = [_snippet(chance) for _ in range(500)]
        assert _disagreements(lines, tmp_path / str(round_number)) == "", f"AIOS_FUZZ_SEED={seed}"
