"""Option knowledge: what is known of each command's options and subcommands, loaded from `options/*.toml`.

It promises that what it calls known was written down, exactly spelled, by a person: a command, subcommand or option
that the data does not name is unknown, and unknown is never harmless. Reading an argv by this knowledge is `judge`'s
part; what follows from it is `engine`'s. The schema is described in `options/__init__.py`.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

from aiosd.types import Facet

_NO_FACETS: Final[frozenset[Facet]] = frozenset()
_OPTIONS_DIR: Final = os.path.join(os.path.dirname(__file__), "options")


class Effect(StrEnum):
    """What a command, subcommand or option does. `reads` alone is harmless under the read-only profile."""

    READS = "reads"
    WRITES = "writes"
    NETWORK = "network"
    CHANGES = "changes"
    ENDLESS = "endless"
    MISLEADS = "misleads"
    ROOT = "root"
    DESTRUCTIVE = "destructive"
    RUNS = "runs"
    UNKNOWN = "unknown"


PHRASES: Final = {
    Effect.READS: "reads files",
    Effect.WRITES: "writes files",
    Effect.NETWORK: "uses the network",
    Effect.CHANGES: "changes the state of the system",
    Effect.ENDLESS: "does not end by itself",
    Effect.MISLEADS: "would list its own process when it runs confined",
    Effect.ROOT: "needs root",
    Effect.DESTRUCTIVE: "destroys data",
    Effect.RUNS: "runs other programs",
    Effect.UNKNOWN: "is not known to be harmless",
}


class Arity(StrEnum):
    """Whether an option takes a value, and from where: the suffix of its group in the data."""

    NONE = ""
    REQUIRED = ":"  # the rest of the word, or the next word
    OPTIONAL = "?"  # the rest of the word only
    SEPARATE = "_"  # always the next word
    UNLESS_LAST = "~"  # the rest of the word, or the next word if there is one
    COMMAND = ";"  # words up to `;` or `+`, as find(1) -exec


_ARITIES: Final = {arity.value: arity for arity in Arity if arity}


class Style(StrEnum):
    """How a tool reads its options: as getopt_long does, as whole words with one dash, or not at all."""

    GNU = "gnu"
    WORDS = "words"
    RAW = "raw"


_WITHHELD: Final = (Effect.WRITES, Effect.NETWORK, Effect.CHANGES, Effect.ROOT, Effect.DESTRUCTIVE)


class KnowledgeError(Exception):
    """The shipped option data is not what the schema says: a fault of ours, found by the tests."""


# Values or operands that have an effect which others have not: the effect, and what they look like.
Suspect = tuple[tuple[Effect, re.Pattern[str]], ...]


class Option(NamedTuple):
    """One option under all its spellings; the first is its name. A tuple, because thousands are made at start."""

    names: tuple[str, ...]
    arity: Arity
    effect: Effect | None = None
    facets: frozenset[Facet] = _NO_FACETS
    script: bool = False
    local: bool = False
    suspect: Suspect = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is known of one command or subcommand. See `options/__init__.py` for each field's meaning."""

    options: Mapping[str, Option]
    effects: tuple[Effect, ...] = ()
    facets: frozenset[Facet] | None = None
    operands: str = "text"
    counts: tuple[int, ...] = ()
    needs: tuple[frozenset[str], ...] = ()
    style: Style = Style.GNU
    stops: bool = False
    nested: bool = False
    bare: tuple[Effect, ...] = ()
    verbs: Mapping[str, tuple[Effect, ...]]
    subs: Mapping[str, "Spec"]
    forms: tuple["Spec", ...] = ()
    wraps: int | None = None
    shell: bool = False
    suspect: Suspect = ()
    into: str = ""
    code: bool = False
    writing: bool = False  # whether the value of an option may be a path that is written

    @property
    def positional(self) -> bool:
        """Whether the number or place of words decides what the command does."""
        return bool(self.verbs or self.subs or self.counts or self.operands in ("format", "name", "script"))


class Knowledge:
    """All commands known, by bare name. Compiled one by one, when first asked for."""

    def __init__(self, tables: Mapping[str, Mapping[str, object]]) -> None:
        self._tables: dict[str, Mapping[str, object]] = {}
        self._groups = {name: table for name, table in tables.items() if name.startswith("_")}
        self._specs: dict[str, Spec] = {}
        for names, table in tables.items():
            if not names.startswith("_"):
                for name in names.split("|"):
                    if name in self._tables:
                        raise KnowledgeError(f"{name} is described twice")
                    self._tables[name] = table

    def reach(self, command: str) -> Effect | None:
        """What of `command`, whatever its arguments, a closed sandbox withholds: `reads` is a view of the host."""
        table = self._tables.get(command)
        if table is None:
            return None
        if "facets" in table or "sees" in table:
            return Effect.READS
        effects = _effects(_text(table, "effects"))
        return next((effect for effect in effects if effect in _WITHHELD), None)

    def openers(self) -> frozenset[str]:
        """Every command that runs another one which its words name, or text of a shell, or writes where they say."""
        keys = ("wraps", "shell", "into", "writes", "code")
        return frozenset(name for name, table in self._tables.items() if any(key in table for key in keys))

    def commands(self) -> frozenset[str]:
        """Every command name known."""
        return frozenset(self._tables)

    def spec(self, command: str) -> Spec | None:
        """What is known of `command`, a bare name; None when nothing is."""
        spec = self._specs.get(command)
        if spec is None and (table := self._tables.get(command)) is not None:
            spec = self._specs[command] = self._compile(command, table)
        return spec

    def spellings(self, command: str, option: str) -> frozenset[str]:
        """Every spelling of `option` that the data gives for `command`, itself included."""
        spec = self.spec(command)
        specs = [spec, *spec.forms, *spec.subs.values()] if spec else []
        found = (each.options[option].names for each in specs if option in each.options)
        return frozenset((option, *(name for names in found for name in names)))

    def _compile(self, name: str, table: Mapping[str, object]) -> Spec:
        try:
            return _compile_spec(table, self._groups)
        except (KeyError, TypeError, ValueError) as exc:
            raise KnowledgeError(f"option data of {name}: {exc}") from exc


@cache
def load_knowledge(directory: str = _OPTIONS_DIR) -> Knowledge:
    """Read every TOML file of `directory`, once in the life of the process. Raises KnowledgeError, OSError."""
    tables: dict[str, Mapping[str, object]] = {}
    for name in sorted(os.listdir(directory)):
        if name.endswith(".toml"):
            with open(os.path.join(directory, name), "rb") as file:
                family = tomllib.load(file)
            if twice := tables.keys() & family.keys():
                raise KnowledgeError(f"{name}: described twice: {', '.join(sorted(twice))}")
            tables.update(family)
    return Knowledge(tables)


_EFFECT_KEYS: Final = frozenset(effect.value for effect in Effect if effect not in (Effect.ROOT, Effect.UNKNOWN))
_KEYS: Final = _EFFECT_KEYS.union(
    """options scripts local effects facets operands counts needs style stops nested bare verbs sub form use sees wraps
    shell suspect into code""".split()
)


def _compile_spec(table: Mapping[str, object], groups: Mapping[str, Mapping[str, object]]) -> Spec:
    if unknown := table.keys() - _KEYS:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
    style = Style(_text(table, "style") or "gnu")
    options: dict[str, Option] = {}
    for group in _text(table, "use").split():
        _add_options(options, groups[group], style)
    _add_options(options, table, style)
    wraps = table.get("wraps")
    counts = table.get("counts", [])
    needs = table.get("needs", [])
    if not isinstance(counts, list) or not isinstance(needs, list) or not isinstance(wraps, int | None):
        raise TypeError("counts and needs are lists, wraps is a number")
    operands = _text(table, "operands") or "text"
    return Spec(
        options=options,
        effects=_effects(_text(table, "effects")),
        facets=_facets(_text(table, "facets")) if "facets" in table else None,
        operands=operands,
        counts=(0,) if operands == "none" else tuple(counts),
        needs=tuple(frozenset(options[name].names[0] for name in group.split()) for group in needs),
        style=style,
        stops=table.get("stops") is True,
        nested=table.get("nested") is True,
        bare=_effects(_text(table, "bare")),
        verbs={
            verb: _effects("" if effects == "none" else effects)
            for effects, verbs in _table(table, "verbs").items()
            for verb in _text({"verbs": verbs}, "verbs").split()
        },
        subs={
            name: spec
            for names, sub in _table(table, "sub").items()
            for spec in [_compile_spec(_table({names: sub}, names), groups)]
            for name in names.split("|")
        },
        forms=tuple(_compile_spec(form, groups) for form in _tables(table, "form")),
        wraps=wraps,
        shell=table.get("shell") is True,
        into=_text(table, "into"),
        code=table.get("code") is True,
        writing=any(each.effect is Effect.WRITES and each.arity is not Arity.NONE for each in options.values()),
        suspect=_suspect(table).get("", ()),
    )


def _add_options(options: dict[str, Option], table: Mapping[str, object], style: Style) -> None:
    for key in table:
        if key in ("options", "scripts", "local") or key in _EFFECT_KEYS:
            effect = Effect(key) if key in _EFFECT_KEYS else None
            for group in _text(table, key).split():
                _add_group(options, group, style, effect, _NO_FACETS, checked=key)
    for facet, groups in _table(table, "sees").items():
        for group in _text({"sees": groups}, "sees").split():
            _add_group(options, group, style, None, frozenset((Facet(facet),)))
    for names, suspect in _suspect(table).items():
        for name in names.split():
            for spelling in options[name].names:
                options[spelling] = options[spelling]._replace(suspect=suspect)


def _suspect(table: Mapping[str, object]) -> dict[str, Suspect]:
    """By the options' names, as they stand in the data; "" is the operands."""
    found: dict[str, Suspect] = {}
    for effect, patterns in _table(table, "suspect").items():
        for names in _table({effect: patterns}, effect):
            each = Effect(effect), re.compile(_text(_table({effect: patterns}, effect), names))
            found[names] = (*found.get(names, ()), each)
    return found


def _add_group(
    options: dict[str, Option],
    group: str,
    style: Style,
    effect: Effect | None,
    facets: frozenset[Facet],
    *,
    checked: str = "",
) -> None:
    arity = _ARITIES.get(group[-1], Arity.NONE)
    names = tuple(group[: len(group) - len(arity)].split(","))
    clustered = style is Style.GNU and names[0][:2] != "--" and len(names[0]) > 2 and names[0] != "-NUM"
    if clustered:  # `-abc` stands for the three flags -a, -b and -c
        if len(names) > 1 or arity is not Arity.NONE:
            raise ValueError(f"{group}: a cluster of flags has no other name and no value")
        for letter in names[0][1:]:
            _add_group(options, "-" + letter, style, effect, facets)
        return
    option = Option(
        names=names, arity=arity, effect=effect, facets=facets, script=checked == "scripts", local=checked == "local"
    )
    for name in names:
        if not name.startswith("-") or name in options or name[-1] in ":;":
            raise ValueError(f"{name}: not an option, or described twice")
        options[name] = option


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise TypeError(f"{key} must be a string")
    return value


def _table(table: Mapping[str, object], key: str) -> dict[str, object]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise TypeError(f"{key} must be a table")
    return value


def _tables(table: Mapping[str, object], key: str) -> list[dict[str, object]]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise TypeError(f"{key} must be an array of tables")
    return [_table({key: each}, key) for each in value]


def _effects(text: str) -> tuple[Effect, ...]:
    return tuple(Effect(word) for word in text.split())


def _facets(text: str) -> frozenset[Facet]:
    return frozenset(Facet(word) for word in text.split())
