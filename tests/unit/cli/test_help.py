"""What `aios help` prints: every verb, option and operand of the table, in a narrow terminal."""

import os
import subprocess
import sys

import pytest

from aiosd.cli.parse import UsageError, Verb, render_help
from aiosd.cli.table import EXIT_STATUSES, VERBS


def _words(text: str) -> str:
    return " ".join(text.split())


def test_help_lists_every_verb_with_its_sentence() -> None:
    told = render_help()
    for name, _operands, about, _options in VERBS:
        assert f"\n  {name} " in told
        assert about in _words(told)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_help_of_a_verb_has_its_operands_and_every_option(verb: Verb) -> None:
    name, operands, about, options = verb
    told = render_help(name)
    usage = f"usage: aios {name}{' [OPTION ...]' if options else ''}{f' {operands}' if operands else ''}"
    assert told.split("\n")[0] == usage
    assert about in _words(told)
    for short, long, value, text in options:
        assert _words(f"{f'{short}, ' if short else ''}{long} {value} {text}") in _words(told)


@pytest.mark.parametrize("name", ["", *(verb[0] for verb in VERBS)])
def test_help_fits_into_80_columns_and_columns_line_up(name: str) -> None:
    told = render_help(name)
    assert told.endswith("\n")
    assert max(map(len, told.split("\n"))) < 80
    assert not any(line != line.rstrip() for line in told.split("\n"))


def test_options_with_long_descriptions_go_on_below_where_they_began() -> None:
    assert render_help("log").split("\n\n")[2].split("\n")[1:3] == [
        "  -t, --tier TIER          of this tier only: auto_allow, notify,",
        "                           require_approval or deny",
    ]


def test_help_of_no_verb_says_so() -> None:
    with pytest.raises(UsageError, match="there is no verb froob; a question goes after: aios ask"):
        render_help("froob")


def test_exit_statuses_are_told_once_each_in_rising_order() -> None:
    statuses = [status for status, _about in EXIT_STATUSES]
    assert statuses == sorted(set(statuses))


@pytest.mark.parametrize(
    ("language", "said"),
    [("C", "print the effective configuration"), ("ja_JP.UTF-8", "有効な設定と、それぞれの値の由来を表示する")],
)
def test_the_daemons_own_options_are_told_in_the_persons_language(language: str, said: str) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_MESSAGES": language, "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "aiosd", "--help"]
    ran = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert said in ran.stdout
