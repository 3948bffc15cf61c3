"""The data of the built-in model: intents, the words that mean something, and the sentences it says.

Owns reading `*.toml` beside it and holding it together: a name that does not exist is found here, when the model is
made. What an intent looks like is described in docs/adding-an-intent.md.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from aiosd.model.builtin.evidence import Evidence, load_evidence
from aiosd.model.builtin.lexicon import FILE_NAME, KNOWN_NAME, UNIT_NAME, Kind, Lexicon

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")
LEARNED = Path(__file__).parent.parent / "learned.bin"  # what `learn` made of the phrasings


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSpec:
    """A part that people name. `kind` says how it is found and quoted; `default` stands where it is not named."""

    kind: str
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One thing that can be asked.

    Each of `means` is a set of concepts (and slots, as `{name}`) that together are this question; `also` are concepts
    that may stand beside them. `run` are the command lines proposed at once, `later` those that the renderer may ask
    for when it has seen the first; slots are filled in, quoted. `rank` orders what is offered when nothing
    matches; 0 is never offered. `topic` is its file's: under it the help shows the example.
    """

    name: str
    rank: int
    topic: Mapping[Language, str]
    title: Mapping[Language, str]
    example: Mapping[Language, str]
    means: tuple[frozenset[str], ...]
    also: frozenset[str]
    slots: Mapping[str, SlotSpec]
    run: Mapping[str, str]
    later: Mapping[str, str]
    render: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence in both languages; `one` is the English for a count of one, where that differs."""

    text: Mapping[Language, str]
    one: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Everything the built-in model knows, read once."""

    intents: Mapping[str, Intent]
    lexicon: Lexicon
    decisive: frozenset[str]
    sentences: Mapping[str, Sentence]
    symptoms: tuple[tuple[str, str], ...]  # what a failed command prints, and the sentence that explains it
    tools: frozenset[str]  # commands that are taken as such without a mark
    kin: Mapping[str, frozenset[str]]  # services that are called differently elsewhere
    joins: tuple[str, ...]  # what stands between two questions of one line
    starts: tuple[str, ...]  # what a question begins with
    asking: tuple[str, ...]  # what marks a question that wants to know
    evidence: Evidence | None  # what was learned from the phrasings; none of other data than ours


# How much a word of each group weighs in the share of a question that was understood. A decisive word (delete, restart)
# weighs 1 and rules out every intent that does not name it.
_GROUPS = {"content": 1.0, "decisive": 1.0, "weak": 0.25, "filler": 0.0}

# What has a value of its own, by the kind of its segments and the table that lists its names.
_NAMED: dict[Kind, str] = {"place": "places", "time": "times", "zone": "zones"}


def load_knowledge(folder: Path = Path(__file__).parent) -> Knowledge:
    """The data in `folder`, checked. Raises ValueError naming the intent and what is wrong with it."""
    files = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))]
    words: dict[str, list[str]] = {KNOWN_NAME: [], UNIT_NAME: [], FILE_NAME: []}
    weights: dict[str, float] = {}
    for data in files:
        for group, weight in _GROUPS.items():
            for concept, expressions in data.get(group, {}).items():
                words.setdefault(concept, []).extend(_list(expressions))
                weights[concept] = weight
    kin: dict[str, frozenset[str]] = {}
    for names in _strings(files, "kin"):
        family = frozenset(_list(names))
        kin |= {name.casefold(): family for name in family}
    lexicon = Lexicon(
        words,
        weights=weights,
        named={
            word: (kind, value)
            for kind, key in _NAMED.items()
            for data in files
            for value, known in data.get(key, {}).items()
            for word in _list(known)
        },
        names=[name for names in _strings(files, "services") for name in _list(names)],
    )
    intents = [
        _intent(name, spec | ({"topic": data["topic"]} if "topic" in data else {}))
        for data in files
        for name, spec in data.get("intent", {}).items()
    ]
    for intent in intents:
        _check(intent, set(words))
    return Knowledge(
        intents={intent.name: intent for intent in sorted(intents, key=lambda intent: intent.rank)},
        lexicon=lexicon,
        decisive=frozenset(concept for data in files for concept in data.get("decisive", {})),
        sentences={name: _sentence(name, spec) for data in files for name, spec in data.get("say", {}).items()},
        symptoms=tuple((sign, say) for data in files for sign, say in data.get("symptoms", {}).items()),
        tools=frozenset(name for names in _strings(files, "tools") for name in _list(names)),
        kin=kin,
        starts=tuple(start for text in _strings(files, "starts") for start in _list(text)),
        joins=tuple(join for text in _strings(files, "joins") for join in _list(text)),
        asking=tuple(word for text in _strings(files, "asking") for word in _list(text)),
        evidence=load_evidence(LEARNED) if LEARNED.exists() else None,
    )


def _intent(name: str, spec: dict[str, Any]) -> Intent:
    try:
        return Intent(
            name=name,
            rank=spec["rank"],
            topic={language: spec["topic"][language] for language in LANGUAGES},
            title={language: spec["title"][language] for language in LANGUAGES},
            example={language: spec["example"][language] for language in LANGUAGES},
            means=tuple(needs for line in spec["means"] for needs in _alternatives(line)),
            also=frozenset(spec.get("also", "").split()),
            slots={slot: SlotSpec(**given) for slot, given in spec.get("slots", {}).items()},
            run=spec.get("run", {}),
            later=spec.get("later", {}),
            render=spec["render"],
        )
    except (KeyError, TypeError) as exc:
        raise ValueError(f"intent {name}: {exc}") from exc


def _alternatives(line: str) -> list[frozenset[str]]:
    """`big|huge file` → {big, file}, {huge, file}."""
    found: list[frozenset[str]] = [frozenset()]
    for group in line.split():
        found = [needs | {concept} for needs in found for concept in group.split("|")]
    return found


def _check(intent: Intent, concepts: set[str]) -> None:
    known = concepts | {f"{{{slot}}}" for slot in intent.slots}
    if unknown := frozenset().union(*intent.means, intent.also) - known:
        raise ValueError(f"intent {intent.name}: no such word or slot: {', '.join(sorted(unknown))}")
    for line in intent.run.values():
        if unknown := frozenset(field for _, field, _, _ in Formatter().parse(line) if field) - set(intent.slots):
            raise ValueError(f"intent {intent.name}: no such slot in its command: {', '.join(sorted(unknown))}")


def _sentence(name: str, spec: dict[str, str]) -> Sentence:
    try:
        return Sentence(text={language: spec[language] for language in LANGUAGES}, one=spec.get("one", spec["en"]))
    except KeyError as exc:
        raise ValueError(f"sentence {name}: not in {exc}") from exc


def _list(text: str) -> list[str]:
    return [piece.strip() for piece in text.split(",") if piece.strip()]


def _strings(files: list[dict[str, Any]], key: str) -> list[str]:
    return [text for data in files for text in data.get(key, {}).values()]
