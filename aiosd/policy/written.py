"""Which paths a command writes, by the option data: its written operands, and the values of options that write.

For rules about writing to a path (`> /dev/sd*`), which mean every way to write there. It over-approximates: what an
abbreviation may stand for counts, and each word that reaches the command by a pipe may be the last. Pure.
"""

from collections.abc import Sequence

from aiosd.policy.knowledge import Arity, Effect, Option, Spec, Style

_OF = "of="


def written_paths(spec: Spec, words: Sequence[str], stdin: Sequence[str]) -> list[str]:
    """Paths that `words`, a command that `spec` describes, may write; `stdin` are words that may follow them."""
    if not spec.into and not spec.writing:
        return []
    found: list[str] = []
    operands = _read(spec, words, found)
    more = [piece for word in stdin for piece in word.split()]
    match spec.into:
        case "all":
            found += operands + more
        case "last":
            found += [*(operands[-1:] if len(operands) > 1 and not found else ()), *more]
        case "of":
            found += [word.removeprefix(_OF) for word in operands + more if word.startswith(_OF)]
        case _:
            pass
    return found


def _read(spec: Spec, words: Sequence[str], found: list[str]) -> list[str]:
    """The operands; what options write goes to `found`."""
    operands: list[str] = []
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            return operands + list(words[at:])
        if word[:1] != "-" or len(word) == 1:
            operands.append(word)
        elif word[:2] == "--" or spec.style is Style.WORDS:
            name, equals, value = word.partition("=")
            for option in _meant(spec, name):
                if equals:
                    _note(option, value, found)
                elif option.arity is Arity.REQUIRED and at < len(words):
                    _note(option, words[at], found)
            at += not equals and any(option.arity is Arity.REQUIRED for option in _meant(spec, name))
        else:
            at += _cluster(spec, words, at - 1, found)
    return operands


def _cluster(spec: Spec, words: Sequence[str], at: int, found: list[str]) -> int:
    """How many words after the cluster at `at` belong to it."""
    word = words[at]
    for place in range(1, len(word)):
        option = spec.options.get("-" + word[place])
        if option is not None and option.arity is not Arity.NONE:
            rest = word[place + 1 :]
            takes = option.arity in (Arity.REQUIRED, Arity.SEPARATE) and not rest
            if takes and at + 1 < len(words):
                _note(option, words[at + 1], found)
            elif rest:
                _note(option, rest, found)
            return int(takes)
    return 0


def _meant(spec: Spec, name: str) -> list[Option]:
    """The option of that name, or those that it may abbreviate."""
    option = spec.options.get(name)
    if option is not None or name[:2] != "--":
        return [] if option is None else [option]
    return list({each.names: each for full, each in spec.options.items() if full.startswith(name)}.values())


def _note(option: Option, value: str, found: list[str]) -> None:
    if option.effect is Effect.WRITES:
        found.append(value)
