"""Reads an argv as the tool itself would, by option knowledge, and says what in it is more than harmless reading.

It promises never to skip a word that the tool would take for an option: values are skipped only by known arity, and
after anything unknown nothing is called harmless. It decides no tier.

Source: getopt_long(3) for clusters, `--` and values; each tool's manual for the rest.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from aiosd.policy.knowledge import PHRASES, Arity, Effect, Knowledge, Option, Spec, Style, Suspect
from aiosd.policy.program import Word
from aiosd.policy.sed_script import only_prints
from aiosd.types import Facet

_NO_FACETS: Final[frozenset[Facet]] = frozenset()
_MAX_FLAGS: Final = 64
_TELLS: Final = ("--version", "--help")  # alone, after any command that is known
_MAX_SUGGESTIONS: Final = 8


class Concern(NamedTuple):
    """Why an argv is not harmless: the place of the word, the effect, and the reason in words.

    `incomplete`: something is missing, and more words could put it right.
    """

    at: int
    effect: Effect
    text: str
    incomplete: bool = False


class Judgement(NamedTuple):
    """What is known of an argv. Without concerns it is harmless: it only reads, and it ends."""

    known: bool
    concerns: tuple[Concern, ...] = ()
    facets: frozenset[Facet] = _NO_FACETS

    @property
    def harmless(self) -> bool:
        return self.known and not self.concerns


class _Findings:
    __slots__ = ("concerns", "facets", "joined", "scripts", "seen")

    def __init__(self) -> None:
        self.concerns: list[Concern] = []
        self.facets = _NO_FACETS
        self.seen: set[str] = set()
        self.scripts: list[int] = []  # where scripts stand that options name
        self.joined = False  # whether one stands in the word of its option

    def add(self, at: int, effect: Effect, text: str, *, incomplete: bool = False) -> None:
        self.concerns.append(Concern(at=at, effect=effect, text=text, incomplete=incomplete))

    def effects(self, at: int, name: str, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if effect is not Effect.READS:
                self.add(at, effect, f"`{name}` {PHRASES[effect]}")


def judge(knowledge: Knowledge, argv: Sequence[Word]) -> Judgement:
    """What `argv` does, as far as the data knows. The command word is a bare name, exactly as the data spells it."""
    name = argv[0].text
    spec = knowledge.spec(name)
    if spec is None:
        reason = f"`{name}` is not a command that the option data knows"
        return Judgement(known=False, concerns=(Concern(at=0, effect=Effect.UNKNOWN, text=reason),))
    if len(argv) == 2 and argv[1].text in _TELLS and argv[1].pattern is None:
        return Judgement(known=True)
    judgement = _judge_form(spec, argv, name)
    for form in spec.forms:
        if judgement.harmless:
            break
        other = _judge_form(form, argv, name)
        if _distance(other) < _distance(judgement):
            judgement = other
    return judgement


def may_become_harmless(knowledge: Knowledge, argv: Sequence[Word]) -> bool:
    """Whether `argv` with more words after it could be harmless, in one of the ways to use the command."""
    spec = knowledge.spec(argv[0].text)
    return spec is not None and any(
        all(concern.incomplete for concern in _judge_form(form, argv, argv[0].text).concerns)
        for form in (spec, *spec.forms)
    )


def _distance(judgement: Judgement) -> tuple[bool, int]:
    """How far an argv is from a form: how much the form does not know, all that is missing counted once."""
    unknown = [concern for concern in judgement.concerns if concern.effect is Effect.UNKNOWN]
    missing = [concern for concern in unknown if concern.incomplete]
    return bool(judgement.concerns), len(unknown) - len(missing) + bool(missing)


def _judge_form(spec: Spec, argv: Sequence[Word], name: str) -> Judgement:
    found = _Findings()
    found.effects(0, name, spec.effects)
    if spec.wraps is not None or spec.shell:
        found.effects(0, name, (Effect.RUNS,))
    _judge_from(spec, argv, 0, found)
    return Judgement(known=True, concerns=tuple(found.concerns), facets=found.facets)


def _judge_from(spec: Spec, argv: Sequence[Word], at: int, found: _Findings) -> None:
    """Judge `argv` after the command or subcommand at `at`."""
    if spec.facets is not None:
        found.facets = spec.facets
    name = argv[at].text
    reader = _READERS[spec.style]
    operands = reader(spec, argv, at + 1, found)
    for index in operands if spec.suspect else ():
        _suspect(spec.suspect, argv[index], index, found)
    for group in spec.needs:
        if not group & found.seen:
            wanted = " or ".join(sorted(group))
            found.add(at, Effect.UNKNOWN, f"`{name}` is known to be harmless only with {wanted}", incomplete=True)
    if spec.verbs or spec.subs:
        if operands:
            _judge_verb(spec, argv, at, operands, found)
        else:
            found.effects(at, name, spec.bare)
        return
    if spec.operands == "script" and (found.scripts or found.joined):
        _judge_scripts(argv, found)
        return
    _judge_operands(spec, argv, operands, name, found)


def _judge_verb(spec: Spec, argv: Sequence[Word], at: int, operands: list[int], found: _Findings) -> None:
    verb_at = operands[0]
    verb = argv[verb_at].text
    effects = spec.verbs.get(verb)
    sub = spec.subs.get(verb)
    if effects is None and sub is None:
        found.add(verb_at, Effect.UNKNOWN, f"`{verb}` is not a subcommand of `{argv[at].text}` known to be harmless")
    elif verb[:1] == "-" and len(argv) > verb_at + 1:
        found.add(verb_at, Effect.UNKNOWN, f"`{verb}` is a subcommand that is known to be harmless alone")
    found.effects(verb_at, f"{argv[at].text} {verb}", effects or ())
    if sub is None:
        for index in operands[1:] if spec.operands == "local" else ():
            if ":" in argv[index].text:
                found.add(index, Effect.RUNS, f"`{argv[index].text}` names a file of another host")
        if spec.nested:
            for index in range(verb_at + 1, len(argv)):
                if argv[index].text.startswith("-"):
                    found.add(index, Effect.UNKNOWN, f"`{argv[index].text}` {PHRASES[Effect.UNKNOWN]} here")
        return
    found.effects(verb_at, f"{argv[at].text} {verb}", sub.effects)
    if spec.nested:
        _judge_from(sub, argv, verb_at, found)
        return
    if sub.facets is not None:
        found.facets = sub.facets
    _judge_operands(sub, argv, operands[1:], verb, found)


def _judge_operands(spec: Spec, argv: Sequence[Word], operands: list[int], name: str, found: _Findings) -> None:
    if spec.counts:
        if len(operands) not in spec.counts:
            allowed = " or ".join(str(count) for count in spec.counts)
            at = operands[-1] if operands else 0
            few = len(operands) < max(spec.counts)
            found.add(
                at, Effect.UNKNOWN, f"`{name}` is known to be harmless only with {allowed} operands", incomplete=few
            )
        for index in operands:
            if argv[index].pattern is not None:
                found.add(index, Effect.UNKNOWN, f"the pattern `{argv[index].text}` may become several operands")
    match spec.operands:
        case "format":
            for index in operands:
                if not argv[index].text.startswith("+"):
                    found.add(index, Effect.CHANGES, f"`{name} {argv[index].text}` may set the time")
        case "name":
            for index in operands:
                if "=" in argv[index].text or argv[index].pattern is not None:
                    found.add(index, Effect.CHANGES, f"`{name} {argv[index].text}` may set a value")
        case "script":
            if not operands:
                found.add(0, Effect.UNKNOWN, f"`{name}` needs a script", incomplete=True)
            else:
                _judge_scripts(argv, found, operands[0])
        case "path":
            for index in operands:
                found.facets |= _facets_of_path(argv[index].text)
        case _:
            pass


def _judge_scripts(argv: Sequence[Word], found: _Findings, *places: int) -> None:
    for at in places or found.scripts:
        if argv[at].pattern is not None or not only_prints(argv[at].text):
            reason = f"this `{argv[0].text}` script is not one of the simple ones known only to print (see --sandbox)"
            found.add(at, Effect.UNKNOWN, reason)


def _facets_of_path(path: str) -> frozenset[Facet]:
    """What of the host a file below /proc shows that a sandbox would otherwise show of itself."""
    if path.startswith("/proc"):
        first, _, rest = path[6:].partition("/")
        if path[5:6] in ("", "/") and (first[:1].isdigit() or first[:1] in ("", "*", "?", "[")):
            return frozenset((Facet.PROCESSES,))
        if first == "net" or (first == "self" and rest.split("/")[0] == "net"):
            return frozenset((Facet.SOCKETS,))
    return _NO_FACETS


def _read_raw(_spec: Spec, argv: Sequence[Word], at: int, _found: _Findings) -> list[int]:
    return list(range(at, len(argv)))


def _read_gnu(spec: Spec, argv: Sequence[Word], at: int, found: _Findings) -> list[int]:
    """The places of the operands; what the options do goes to `found`."""
    operands: list[int] = []
    while at < len(argv):
        text = argv[at].text
        if text == "--":
            return operands + list(range(at + 1, len(argv)))
        if text[:1] != "-" or text == "-":
            operands.append(at)
            if spec.stops or spec.nested:
                return operands + list(range(at + 1, len(argv)))
            at += 1
        elif text.startswith("--"):
            at = _long_option(spec, argv, at, found)
        else:
            at = _cluster(spec, argv, at, found)
    return operands


def _long_option(spec: Spec, argv: Sequence[Word], at: int, found: _Findings) -> int:
    name, equals, _ = argv[at].text.partition("=")
    option = spec.options.get(name)
    if option is None:
        known = len(found.concerns) < _MAX_SUGGESTIONS
        found.add(at, Effect.UNKNOWN, _unknown_long(spec, name) if known else f"`{name}` {PHRASES[Effect.UNKNOWN]}")
        return at + 1
    _take(option, name, at, found)
    if option.arity is Arity.NONE and equals:
        found.add(at, Effect.UNKNOWN, f"`{name}` takes no value")
    last = at + 1 == len(argv)
    if not equals and (option.arity is Arity.REQUIRED or (option.arity is Arity.UNLESS_LAST and not last)):
        return _take_value(spec, argv, at, option, found)
    _check_joined(option, argv[at].text.partition("=")[2], at, found)
    return at + 1


def _unknown_long(spec: Spec, name: str) -> str:
    meant = sorted({option.names[-1] for full, option in spec.options.items() if full.startswith(name)})
    if meant and len(name) > 2:
        return f"`{name}` abbreviates {' or '.join(f'`{full}`' for full in meant[:3])}; write it in full"
    return f"`{name}` {PHRASES[Effect.UNKNOWN]}"


def _cluster(spec: Spec, argv: Sequence[Word], at: int, found: _Findings) -> int:
    text = argv[at].text
    if "-NUM" in spec.options and text[1:].isascii() and text[1:].isdigit():
        return at + 1
    for place in range(1, len(text)):
        name = "-" + text[place]
        if place > _MAX_FLAGS:
            found.add(at, Effect.UNKNOWN, f"more than {_MAX_FLAGS} flags in one word")
            return at + 1
        option = spec.options.get(name)
        if option is None:
            found.add(at, Effect.UNKNOWN, f"`{name}` {PHRASES[Effect.UNKNOWN]}")
            return at + 1
        _take(option, name, at, found)
        rest = text[place + 1 :]
        match option.arity:
            case Arity.NONE:
                continue
            case Arity.OPTIONAL | Arity.UNLESS_LAST:  # the latter have long names only
                return at + 1
            case Arity.REQUIRED:
                _check_joined(option, rest, at, found)
                return at + 1 if rest else _take_value(spec, argv, at, option, found)
            case Arity.SEPARATE | Arity.COMMAND:
                if len(text) > 2:
                    found.add(at, Effect.UNKNOWN, f"write `{name}` and its value as two words of their own")
                    return at + 1
                return _take_value(spec, argv, at, option, found)
    return at + 1


def _read_words(spec: Spec, argv: Sequence[Word], at: int, found: _Findings) -> list[int]:
    operands: list[int] = []
    while at < len(argv):
        text = argv[at].text
        if text[:1] != "-" or text == "-":
            operands.append(at)
            if spec.nested:
                return operands + list(range(at + 1, len(argv)))
            at += 1
            continue
        name, equals, _ = text.partition("=")
        option = spec.options.get(name)
        if option is None or (equals and option.arity is not Arity.OPTIONAL):
            found.add(at, Effect.UNKNOWN, f"`{text}` {PHRASES[Effect.UNKNOWN]}")
            at += 1
            continue
        _take(option, name, at, found)
        if option.arity is Arity.REQUIRED:
            at = _take_value(spec, argv, at, option, found)
        elif option.arity is Arity.COMMAND:
            at += 1
            while at < len(argv) and argv[at].text not in (";", "+"):
                at += 1
        else:
            at += 1
    return operands


def _take(option: Option, name: str, at: int, found: _Findings) -> None:
    found.seen.add(option.names[0])
    if option.facets:
        found.facets |= option.facets
    if option.effect is not None:
        found.effects(at, name, (option.effect,))


def _take_value(spec: Spec, argv: Sequence[Word], at: int, option: Option, found: _Findings) -> int:
    """Skip the next word as the value of `option`."""
    name = option.names[0]
    if at + 1 == len(argv):
        found.add(at, Effect.UNKNOWN, f"`{name}` needs a value", incomplete=True)
    elif option.script:
        found.scripts.append(at + 1)
    elif option.local or option.suspect:
        _check_joined(option, argv[at + 1].text, at + 1, found)
    elif argv[at + 1].pattern is not None and spec.positional:
        found.add(at + 1, Effect.UNKNOWN, f"the pattern after `{name}` may become several words; quote it")
    return at + 2


def _check_joined(option: Option, value: str, at: int, found: _Findings) -> None:
    """A value in the word of its option: a script, or a file that must not be another host's."""
    if option.local and ":" in value:
        found.add(at, Effect.RUNS, f"`{value}` names a file of another host, which a remote shell would fetch")
    _suspect(option.suspect, Word(text=value), at, found)
    if option.script and value:
        found.joined = True
        if not only_prints(value):
            found.add(at, Effect.UNKNOWN, f"`{value}` is not one of the simple scripts known only to print")


def _suspect(suspect: Suspect, word: Word, at: int, found: _Findings) -> None:
    """A word that has an effect by what it says; a pattern, by what it may become."""
    opened = word.pattern is not None and word.pattern[0] in "*?["
    for effect, form in suspect:
        if form.search(word.text):
            found.add(at, effect, f"`{word.text}` {PHRASES[effect]}")
        elif opened and form.search("@"):
            found.add(at, effect, f"`{word.text}` may become a word that {PHRASES[effect]}; write `./{word.text}`")


_READERS: Final = {Style.GNU: _read_gnu, Style.WORDS: _read_words, Style.RAW: _read_raw}
