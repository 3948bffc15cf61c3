"""The strict rules of a policy by the commands that they are about, ready to be searched for. Pure."""

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from aiosd.policy.knowledge import Knowledge
from aiosd.policy.rules import Rule
from aiosd.policy.wide import Arguments, Wide, widen
from aiosd.types import Tier

_ENTERS: Final = frozenset(("cd", "pushd", "find"))
_STEM: Final = 5  # characters of a prefix that are compared first, because many begin alike
_GLOB: Final = frozenset("*?[")


class About(NamedTuple):
    """The strict rules about one command: all, those of any use of it, and the others by the flags they ask for."""

    wides: Sequence[Wide]
    always: Mapping[Rule, None]
    by_flags: Sequence[tuple[Sequence[frozenset[str]], Sequence[Wide]]]

    @classmethod
    def of(cls, wides: Sequence[Wide]) -> "About":
        by_flags: dict[tuple[frozenset[str], ...], list[Wide]] = {}
        for wide in wides:
            if wide.needs_arguments:
                by_flags.setdefault(wide.flags, []).append(wide)
        always = {wide.rule: None for wide in wides if not wide.needs_arguments}
        return cls(wides, always, tuple(by_flags.items()))

    def met(self, given: Arguments, later: Callable[[], None]) -> Iterator[Rule]:
        """The rules that such arguments meet; `later` is called before the first that asks for operands."""
        yield from self.always
        asked = [wides for flags, wides in self.by_flags if given.have(flags)]
        if any(wide.needs_operands for wides in asked for wide in wides):
            later()
        for wides in asked:
            for wide in wides:
                if wide.operands_match(given):
                    yield wide.rule


class Searched:
    """The strict rules of a policy, ready to be searched for."""

    def __init__(self, rules: Iterable[Rule], knowledge: Knowledge) -> None:
        strict = [rule for rule in rules if not rule.allows]
        wides = [widen(rule, rule.pattern, knowledge) for rule in strict if rule.pattern is not None]
        by_name: dict[str, list[Wide]] = {}
        self._prefixes = [wide for wide in wides if wide.prefix]
        self._prefix_names = tuple(wide.name for wide in self._prefixes)
        for wide in wides:
            if not wide.prefix:
                by_name.setdefault(wide.name, []).append(wide)
        self._by_name = {name: About.of(found) for name, found in by_name.items()}
        self.texts = [("".join(rule.text.split()), rule) for rule in strict if rule.text and rule.text[0] != ">"]
        self.redirects = [(_path_prefix(rule.text), rule) for rule in strict if rule.text[:1] == ">"]
        self.asks_of_redirects = any(rule.ref.tier is Tier.REQUIRE_APPROVAL for _, rule in self.redirects)
        self.prefixes = tuple({wide.operand_prefix[:_STEM] for wide in wides if wide.operand_prefix})
        self._names = _ENTERS.union(self._by_name, knowledge.openers())

    def of(self, base: str) -> "About | None":
        """The rules about a command of this name."""
        found = self._by_name.get(base)
        if base.startswith(self._prefix_names):
            named = [wide for wide in self._prefixes if wide.names(base)]
            return About.of([*found.wides, *named] if found else named)
        return found

    def like(self, base: str) -> "About | None":
        """The rules about a command whose name the pattern `base` matches, as in `/bin/r?`, or is."""
        named = [
            wide
            for name, about in self._by_name.items()
            if name == base or fnmatch.fnmatchcase(name, base)
            for wide in about.wides
        ]
        named += [wide for wide in self._prefixes if wide.names(base) or fnmatch.fnmatchcase(wide.name, base)]
        return About.of(named) if named else None

    def matter(self, word: str) -> bool:
        """Whether `word`, if it were a command, could meet a rule: by its own name or by running another."""
        base = base_name(word)
        if base in self._names or base.startswith(self._prefix_names):
            return True
        return not _GLOB.isdisjoint(base) and base != "["


def base_name(word: str) -> str:
    """The name of a command without its directory."""
    return word.rpartition("/")[2]


def _path_prefix(text: str) -> str:
    return text.lstrip("> ").strip().removesuffix("*")
