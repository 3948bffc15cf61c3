"""Words to a verb, its options and operands, by the table. What is wrong is said with what to do."""

from __future__ import annotations

from aiosd.cli.table import VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    Option = tuple[str, str, str, str]
    Verb = tuple[str, str, str, tuple[Option, ...]]


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
    from difflib import get_close_matches

    near = get_close_matches(words[0], [verb[0] for verb in VERBS], n=1)
    hint = f"did you mean {near[0]}?" if near else "aios help lists the verbs; a question goes after: aios ask"
    raise UsageError(f"there is no verb {words[0]!r}; {hint}")


def parse_words(verb: Verb, words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options by their long name without dashes (a flag is "1"), and operands.

    Options may stand anywhere; `--` ends them. In a question, a word with a dash that is no option is part of it.
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
            if word.startswith("-") and word != "-" and not (name == "ask" and operands):
                raise UsageError(f"{name} has no option {spelling}", name)
            operands.append(word)
            continue
        _short, long, value_name, _about = flags[spelling]
        if not value_name and equals:
            raise UsageError(f"{long} takes no value", name)
        if value_name and not equals:
            if not rest:
                raise UsageError(f"{spelling} needs {value_name}", name)
            value = rest.pop(0)
        given[long[2:]] = value if value_name else "1"
    _check_operands(name, operands_text, operands)
    return given, operands


def _check_operands(name: str, expected: str, operands: list[str]) -> None:
    least = 1 if expected and not expected.startswith("[WORD") and not expected.startswith("[NAME") else 0
    least = 0 if expected == "[VERB]" else least
    most = None if "..." in expected or "LINE" in expected or expected == "[VERB]" else (1 if expected else 0)
    if len(operands) < least:
        raise UsageError(f"{name} needs {expected}", name)
    if most is not None and len(operands) > most:
        raise UsageError(f"{name} takes {'nothing more' if most == 0 else 'one operand'}: {operands[most]}", name)


def render_help(verb_name: str = "") -> str:
    """What `aios help` prints, for all or for one verb."""
    if verb_name:
        name, operands, about, options = find_verb(verb_name.split())[0]
        out = f"usage: aios {name}{' [OPTION ...]' if options else ''}{f' {operands}' if operands else ''}\n\n{about}\n"
        if options:
            out += "\n" + "".join(_render_option(option) for option in options)
        return out
    width = max(len(verb[0]) for verb in VERBS)
    out = "usage: aios VERB ...\n\n"
    out += "".join(f"  {name:{width}}  {about}\n" for name, _operands, about, _options in VERBS)
    return out + "\naios help VERB tells more. Set NO_COLOR for no colour, AIOS_SOCKET for another daemon.\n"


def _render_option(option: Option) -> str:
    short, long, value, about = option
    spelled = f"{short}, {long}" if short else f"    {long}"
    return f"  {f'{spelled} {value}'.strip() if short else f'{spelled} {value}'.rstrip():26} {about}\n"
