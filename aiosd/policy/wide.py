"""The wide reading of a pattern, for rules that ask or deny: whatever a command of that kind could be written as.

The directory of the command is dropped; flags count in any order, spelling, abbreviation and clustering; operands in
any place; paths by what they mean (`//`, `/./`, `..`, `~`, a pattern by what it may be). Nothing here can allow
anything. Pure; where the commands to compare with come from is `deny_scan`'s part.
"""

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aiosd.policy.knowledge import Arity, Knowledge, Spec, Style
from aiosd.policy.rules import Pattern, Rule
from aiosd.types import Tier

_CANONICAL: Final = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+")  # already; but not below /proc
_NAME: Final = re.compile(r"(?:\./)?([A-Za-z0-9_-][A-Za-z0-9_.*-]*)")
_MAX_GLOBS: Final = 16  # operands with a pattern in them; each costs a match per rule
_GLOB_CHARACTERS: Final = frozenset("*?[")
_PATH_CHARACTERS: Final = frozenset("/*?[")
_GLOB_ONLY: Final = re.compile(r"(?<=/)\.*(?:[*?]|\[[^\]/]*\])(?:[*?.]|\[[^\]/]*\])*(?=/|$)")
_PROC_ROOT: Final = re.compile(r"^/proc/(?:self|thread-self|[0-9]+)/root(?=/|$)")


def canonical_path(text: str, cwd: str, home: str) -> str:
    """`text`, in the canonical folder `cwd`, as an absolute path without `.`, `..`, doubled slashes.

    A component that is only a glob becomes `*`.
    """
    first = text[:1]
    if first == "/":
        if _CANONICAL.fullmatch(text) and not text.startswith("/proc/"):
            return text
    elif (name := _NAME.fullmatch(text)) and not cwd.startswith("/proc/"):
        return f"{'' if cwd == '/' else cwd}/{name[1]}"
    if first == "~" and text[1:2] in ("", "/"):
        text = home + text[1:]
        first = text[:1]
    path = "/" + posixpath.normpath(text if first == "/" else f"{cwd}/{text}").lstrip("/")
    if path.startswith("/proc/"):
        path = _PROC_ROOT.sub("", path) or "/"
    return _GLOB_ONLY.sub("*", path) if "/*" in path or "/?" in path or "/[" in path or "/." in path else path


class Arguments:
    """The flags and operands of a command, in every form that a strict rule may ask for.

    `places` are the directories that a relative path may be relative to, `prefixes` how operands begin that rules ask
    for by their beginning.
    """

    __slots__ = (
        "_globs",
        "_home",
        "_homes",
        "_places",
        "_prefixes",
        "_spec",
        "begun",
        "below_all",
        "flags",
        "operands",
    )

    def __init__(self, spec: Spec | None, places: Sequence[str], home: str, prefixes: tuple[str, ...]) -> None:
        self._spec = spec
        self._prefixes = prefixes
        self._places = places
        self._home = home
        self.flags: set[str] = set()
        self.operands: set[str] = set()
        self.begun: list[str] = []  # those operands that begin in one of these ways
        self.below_all = False  # something in each folder of the root
        self._globs: list[str] = []
        self._homes = (home, f"{home}/*")

    def has(self, operand: str) -> bool:
        """Whether `operand` is among the operands: itself, all that is in it, or by a pattern that it matches."""
        if operand in self.operands:
            return True
        if operand[:1] != "/" or not self._globs:
            return False
        return any(
            glob == f"{operand.rstrip('/')}/*" or (operand != "/" and fnmatch.fnmatchcase(operand, glob))
            for glob in self._globs
        )

    def have(self, flags: Iterable[frozenset[str]]) -> bool:
        """Whether each of `flags`, in one of its spellings, is given."""
        return not any(spellings.isdisjoint(self.flags) for spellings in flags)

    def flags_of(self, words: Iterable[str]) -> None:
        """Take in only what are flags among `words`."""
        for word in words:
            if word[:1] == "-":
                self.add(word)

    def add_all(self, words: Iterable[str]) -> None:
        """Take in `words`."""
        for word in words:
            self.add(word)

    def add(self, word: str) -> None:
        """Take in one word, wherever it stands."""
        first = word[:1]
        if first == "-" and len(word) > 1:
            if word[1] == "-":
                self.flags.add(word.partition("=")[0])
            else:
                self._add_cluster(word)
        elif word not in self.operands:
            added = [word]
            key, equals, value = word.partition("=") if "=" in word else (word, "", "")
            if equals and value:
                added += [f"{key}={path}" for path in self._paths(value)]
            elif first == "/" or first in (".", "~") or not _PATH_CHARACTERS.isdisjoint(word):
                added += self._paths(word)
            self.operands.update(added)
            self.begun += [operand for operand in added if operand.startswith(self._prefixes)]

    def _add_cluster(self, word: str) -> None:
        self.flags.add(word)
        if self._spec is not None and self._spec.style is Style.WORDS:
            return
        for letter in dict.fromkeys(word[1:]):
            self.flags.add("-" + letter)
            option = self._spec.options.get("-" + letter) if self._spec else None
            if option is not None and option.arity in (Arity.REQUIRED, Arity.OPTIONAL):
                return

    def _paths(self, word: str) -> list[str]:
        paths = [canonical_path(word, place, self._home) for place in self._places]
        for path in paths:
            if path in self._homes:
                self.operands.add("~")
            elif path[:3] == "/*/":
                self.below_all = True
        if len(self._globs) < _MAX_GLOBS and not _GLOB_CHARACTERS.isdisjoint(word):
            self._globs += paths
        return paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """A strict rule as it is searched for: a name, flags of which each may be spelled in several ways, operands."""

    rule: Rule
    name: str
    prefix: bool
    flags: tuple[frozenset[str], ...] = ()
    operands: tuple[str, ...] = ()
    operand_prefix: str = ""

    def names(self, base: str) -> bool:
        """Whether `base`, a command name without directory, is meant."""
        return base.startswith(self.name) if self.prefix else base == self.name

    @property
    def needs_arguments(self) -> bool:
        return bool(self.flags) or self.needs_operands

    @property
    def needs_operands(self) -> bool:
        return bool(self.operands or self.operand_prefix)

    def operands_match(self, given: Arguments) -> bool:
        """Whether all operands asked for are there."""
        for operand in self.operands:
            if not given.has(operand) and not (operand == "/*" and given.below_all):
                return False
        return not self.operand_prefix or any(each.startswith(self.operand_prefix) for each in given.begun)


def _abbreviated(spellings: Iterable[str]) -> frozenset[str]:
    """With every way to shorten those of them that are long."""
    return frozenset(
        name[:length] for name in spellings for length in range(3 if name[:2] == "--" else len(name), len(name) + 1)
    )


def widen(rule: Rule, pattern: Pattern, knowledge: Knowledge) -> Wide:
    """The strict reading of a pattern."""
    deny = rule.ref.tier is Tier.DENY
    name, *rest = pattern.words
    name = posixpath.basename(name)
    spec = knowledge.spec(name)
    whole_words = spec is not None and spec.style is Style.WORDS
    flags: list[frozenset[str]] = []
    operands: list[str] = []
    prefix = ""
    for at, word in enumerate(rest, start=1):
        if word in ("-", "--"):
            continue
        if word.startswith("--") or (word.startswith("-") and (whole_words or len(word) == 2)):
            flags.append(_abbreviated(knowledge.spellings(name, word.partition("=")[0])))
        elif word.startswith("-"):
            flags += [_abbreviated(knowledge.spellings(name, "-" + letter)) for letter in word[1:]]
        elif at == len(pattern.words) - 1 and pattern.open and (deny or "/" in word) and word != "/":
            prefix = _canonical_operand(word)
        else:
            opened = "*" if pattern.open and word == "/" and at == len(pattern.words) - 1 else ""
            operands.append(_canonical_operand(word + opened))
    return Wide(
        rule=rule,
        name=name,
        prefix=deny and pattern.open and len(pattern.words) == 1,
        flags=tuple(flags),
        operands=tuple(operands),
        operand_prefix=prefix,
    )


def _canonical_operand(word: str) -> str:
    key, equals, value = word.partition("=")
    if equals and value.startswith("/"):
        return f"{key}={_keep_slash(value)}"
    return _keep_slash(word) if word.startswith("/") else word


def _keep_slash(path: str) -> str:
    canonical = canonical_path(path, "/", "/")
    return canonical + "/" if path.endswith("/") and canonical != "/" else canonical
