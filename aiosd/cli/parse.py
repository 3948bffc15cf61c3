"""Words to a verb, its options and operands, by the table. What is wrong is said with what to do."""

from __future__ import annotations

from aiosd.cli.table import VERBS
from aiosd.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

Option = tuple[str, str, str, str]
Verb = tuple[str, str, str, tuple[Option, ...]]

_COLUMNS = 79


class UsageError(Exception):
    """The command line is wrong; the message says what, and the verb it was for ("" if that is what is wrong)."""

    def __init__(self, message: str, verb: str = "") -> None:
        super().__init__(message)
        self.verb = verb


def find_verb(words: list[str]) -> tuple[Verb, list[str]]:
    """The verb that the first words name, and the words after it."""
    for verb in VERBS:
        names = verb[0].split()
        if words[: len(names)] == names:
            return verb, words[len(names) :]
    started = [verb[0] for verb in VERBS if words and verb[0].split()[0] == words[0]]
    if started:
        raise UsageError(f"{words[0]} what? there is: {', '.join(started)}")
    near = _suggest(words[0], (verb[0].split()[0] for verb in VERBS))
    raise UsageError(f"there is no verb {words[0]}{near or '; a question goes after: aios ask'}")


def parse_words(verb: Verb, words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options by their long name without dashes (a flag is "1"), and operands.

    Options may stand anywhere and are spelled out; `--` ends them. Where words are free (a question, a command line, a
    reason), what has a dash and is no option is part of them once they have begun.
    """
    name, operands_text, _about, options = verb
    flags = {spelling: option for option in options for spelling in option[:2] if spelling}
    given: dict[str, str] = {}
    operands: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            operands += rest
            break
        spelling, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if spelling not in flags:
            if word.startswith("-") and word != "-" and not (operands and takes_words(verb)):
                near = _suggest(spelling, (flag for flag in flags if flag.startswith("--")))
                raise UsageError(f"{name} has no option {spelling}{near}", name)
            operands.append(word)
            continue
        _short, long, value_name, _about = flags[spelling]
        if not value_name and equals:
            raise UsageError(f"{long} takes no value", name)
        if value_name and not equals:
            value = rest.pop(0) if rest else ""
        if value_name and not value:
            raise UsageError(f"{spelling} needs {value_name}", name)
        if value_name.endswith("...") and long[2:] in given:
            value = f"{given[long[2:]]}\0{value}"
        given[long[2:]] = value if value_name else "1"
    _check_operands(name, operands_text, operands)
    return given, operands


def _check_operands(name: str, expected: str, operands: list[str]) -> None:
    wanted = expected.removeprefix("[--] ")
    needed = [word for word in wanted.partition("[")[0].split() if word != "..."]
    if len(operands) < len(needed):
        raise UsageError(f"{name} needs {wanted}", name)
    most = None if "..." in wanted or wanted in ("[LINE]", "[VERB]") else len(wanted.split())
    if most is not None and len(operands) > most:
        taken = "no words" if not most else f"one {wanted.strip('[]')}" if most == 1 else wanted
        raise UsageError(f"{name} takes {taken}: {operands[most]}", name)


def takes_words(verb: Verb) -> bool:
    """Whether free words may follow, in which a dash means nothing."""
    return " ..." in verb[1] or "LINE" in verb[1]


def asks_for_help(verb: Verb, words: list[str]) -> bool:
    """Whether `--help` is among the options in `words`, and not part of what is asked."""
    for word in words:
        if word == "--help":
            return True
        if word == "--" or (takes_words(verb) and not word.startswith("-")):
            return False
    return False


def _suggest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def render_help(verb_name: str = "") -> str:
    """What `aios help` prints, for all or for one verb."""
    if verb_name:
        name, operands, about, options = find_verb(verb_name.split())[0]
        usage = f"{name}{' [OPTION ...]' if options else ''}{f' {operands}' if operands else ''}"
        out = f"{say('usage: aios {verb}', verb=usage)}\n\n{_fill(say(about), 0)}\n"
        if options:
            out += "\n" + "".join(_render_option(option) for option in options)
        return out
    width = max(len(verb[0]) for verb in VERBS)
    out = f"{say('usage: aios VERB ...')}\n\n"
    out += "".join(f"  {name:{width}}  {_fill(say(about), width + 4)}\n" for name, _operands, about, _options in VERBS)
    return out + f"\n{say('aios help VERB tells more. NO_COLOR: no colour; AIOS_SOCKET: another daemon.')}\n"


def _render_option(option: Option) -> str:
    short, long, value, about = option
    spelled = f"{short}, {long}" if short else f"    {long}"
    return f"  {f'{spelled} {value}'.rstrip():24} {_fill(say(about), 27)}\n"


def _fill(text: str, indent: int) -> str:
    """`text` in lines of at most 79 cells, those after the first indented."""
    if not text.isascii():
        from aiosd.cli.show import wrap  # where words stand without blanks

        pieces = [piece.rstrip() for piece in wrap(text, _COLUMNS - indent - 2)]
        for index in range(len(pieces) - 1, 0, -1):
            if pieces[index][0] in "。、）":  # which begin no line
                pieces[index - 1 : index + 1] = [pieces[index - 1] + pieces[index][0], pieces[index][1:].lstrip()]
        return f"\n{' ' * indent}".join(filter(None, pieces))
    lines, line = [], ""
    for word in text.split(" "):
        if line and indent + len(line) + 1 + len(word) > _COLUMNS:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return f"\n{' ' * indent}".join([*lines, line])
