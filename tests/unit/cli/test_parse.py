"""Words to a verb, its options and operands: every verb and option of the table; what is refused, and how."""

import pytest

from aiosd.cli.parse import UsageError, Verb, asks_for_help, find_verb, parse_words
from aiosd.cli.table import VERBS

OPTIONS = [(verb, option) for verb in VERBS for option in verb[3]]
VALUED = [(verb, option) for verb, option in OPTIONS if option[2]]
FLAGS = [(verb, option) for verb, option in OPTIONS if not option[2]]
_POLICY_VERBS = ", ".join(verb[0] for verb in VERBS if verb[0].startswith("policy "))


def _least(verb: Verb) -> list[str]:
    """The least that a verb takes."""
    operands = verb[1].removeprefix("[--] ")
    return [word.split("|")[0].lower() for word in operands.partition("[")[0].split() if word != "..."]


def _name(value: object) -> str:
    return str(value[0] or value[1]) if isinstance(value, tuple) else str(value)


def _parse(line: str) -> tuple[str, dict[str, str], list[str]]:
    verb, rest = find_verb(line.split())
    return verb[0], *parse_words(verb, rest)


def _refused(line: str) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        _parse(line)
    return str(caught.value), caught.value.verb


@pytest.mark.parametrize("verb", VERBS, ids=_name)
def test_every_verb_is_found_and_takes_its_operands(verb: Verb) -> None:
    least = _least(verb)
    assert find_verb([*verb[0].split(), *least]) == (verb, least)
    assert parse_words(verb, least) == ({}, least)


def test_every_spelling_of_an_option_is_one_options() -> None:
    for verb in VERBS:
        spellings = [spelling for option in verb[3] for spelling in option[:2] if spelling]
        assert len(set(spellings)) == len(spellings)
        assert all(len(short) in (0, 2) and long.startswith("--") for short, long, _value, _about in verb[3])


@pytest.mark.parametrize(("verb", "option"), VALUED, ids=_name)
def test_an_option_takes_its_value_behind_it_or_behind_an_equals_sign(
    verb: Verb, option: tuple[str, str, str, str]
) -> None:
    short, long, value, _about = option
    least = _least(verb)
    given = ({long[2:]: "x=y"}, least)
    assert parse_words(verb, [long, "x=y", *least]) == given
    assert parse_words(verb, [f"{long}=x=y", *least]) == given
    assert parse_words(verb, [*least, long, "x=y"]) == given
    for spelling in filter(None, (short, long)):
        assert parse_words(verb, [spelling, "x=y", *least]) == given
        with pytest.raises(UsageError, match=f"^{spelling} needs {value}$"):
            parse_words(verb, [*least, spelling])
        with pytest.raises(UsageError, match=f"^{spelling} needs {value}$"):
            parse_words(verb, [*least, spelling, ""])


@pytest.mark.parametrize(("verb", "option"), FLAGS, ids=_name)
def test_a_flag_takes_no_value(verb: Verb, option: tuple[str, str, str, str]) -> None:
    short, long, _value, _about = option
    least = _least(verb)
    for spelling in filter(None, (short, long)):
        assert parse_words(verb, [spelling, *least]) == ({long[2:]: "1"}, least)
    with pytest.raises(UsageError, match=f"^{long} takes no value$"):
        parse_words(verb, [f"{long}=1", *least])


@pytest.mark.parametrize(("verb", "option"), OPTIONS, ids=_name)
def test_an_option_is_spelled_out(verb: Verb, option: tuple[str, str, str, str]) -> None:
    with pytest.raises(UsageError, match=rf"^{verb[0]} has no option {option[1][:-1]}; did you mean {option[1]}\?$"):
        parse_words(verb, [option[1][:-1], *_least(verb)])


@pytest.mark.parametrize(
    ("line", "message", "verb"),
    [
        ("statsu", "there is no verb statsu; did you mean status?", ""),
        ("polcy check df", "there is no verb polcy; did you mean policy?", ""),
        ("stat", "there is no verb stat; did you mean status?", ""),
        ("STATUS", "there is no verb STATUS; a question goes after: aios ask", ""),
        ("why is it slow?", "there is no verb why; a question goes after: aios ask", ""),
        ("policy", f"policy what? there is: {_POLICY_VERBS}", ""),
        ("policy chek df", f"policy what? there is: {_POLICY_VERBS}", ""),
        ("config", "config what? there is: config show", ""),
        ("status now", "status takes no words: now", "status"),
        ("sessions one two", "sessions takes one NAME: two", "sessions"),
        ("cancel", "cancel needs NAME", "cancel"),
        ("approve", "approve needs ID...", "approve"),
        ("job kill a b", "job kill takes one ID: b", "job kill"),
        ("deny", "deny needs ID [REASON ...]", "deny"),
        ("policy backtest", "policy backtest needs FILE", "policy backtest"),
        ("policy show x", "policy show takes no words: x", "policy show"),
        ("completion", "completion needs bash|zsh|fish", "completion"),
        ("status --json", "status has no option --json", "status"),
        ("ask --sess x", "ask has no option --sess; did you mean --session?", "ask"),
        ("ask -cs x", "ask has no option -cs", "ask"),
        ("ask -x why", "ask has no option -x", "ask"),
        ("log -n5", "log has no option -n5", "log"),
        ("deny --because x", "deny has no option --because", "deny"),
    ],
)
def test_a_wrong_command_line_is_told_what_is_wrong_and_for_which_verb(line: str, message: str, verb: str) -> None:
    assert _refused(line) == (message, verb)


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("ask", ("ask", {}, [])),
        ("ask what does tar -x do", ("ask", {}, ["what", "does", "tar", "-x", "do"])),
        ("ask why -c", ("ask", {"continue": "1"}, ["why"])),
        ("ask -- why -c", ("ask", {}, ["why", "-c"])),
        ("ask why -- -c", ("ask", {}, ["why", "-c"])),
        ("ask - why", ("ask", {}, ["-", "why"])),
        ("ask --session a --session b", ("ask", {"session": "b"}, [])),
        ("ask --session -- why", ("ask", {"session": "--"}, ["why"])),
        ("policy check df -h /", ("policy check", {}, ["df", "-h", "/"])),
        ("policy check df -h --json", ("policy check", {"json": "1"}, ["df", "-h"])),
        ("policy check -- df --json", ("policy check", {}, ["df", "--json"])),
        ("deny 0a1b not -f", ("deny", {}, ["0a1b", "not", "-f"])),
        ("help policy check", ("help", {}, ["policy", "check"])),
    ],
)
def test_dashes_in_what_people_say_are_part_of_it_once_they_have_begun(
    line: str, parsed: tuple[str, dict[str, str], list[str]]
) -> None:
    assert _parse(line) == parsed


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("log --help", True),
        ("log --tier deny --help", True),
        ("approve 0a1b --help", True),
        ("ask --help", True),
        ("ask -c --help", True),
        ("ask what does ls --help print", False),
        ("policy check ls --help", False),
        ("policy check -- ls --help", False),
        ("policy check --help", True),
    ],
)
def test_help_is_asked_for_and_not_asked_about(line: str, asks: bool) -> None:
    assert asks_for_help(*find_verb(line.split())) is asks
