"""Which intent a question is, and how surely.

The confidence of a reading is the share of the question, by weight, that it explains: every concept and slot that the
intent needs must be there, and what is there beside them counts against it. A word of change (delete, restart) that an
intent does not name rules the intent out, whatever the rest says.

What a person leaves out is taken from what they asked before (`Subject`): at once where a word stands for it ("its
logs"), else only where the question means nothing without it ("restart").
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiosd.model.builtin.exact import find_command
from aiosd.model.builtin.fold import has_japanese
from aiosd.model.builtin.intents import Intent, Knowledge, Language
from aiosd.model.builtin.lexicon import Segment
from aiosd.model.builtin.slots import Candidate, Slot, fill_slot, find_candidates

BAR = 0.7  # below it, a reading is not taken: at most one word of three or four may be left unexplained
CLOSE = 0.1  # two readings nearer than this are asked about
_BOTH_BAR = 0.9  # what two readings must explain together to be asked about, when neither is over the bar
_SUGGESTIONS = 3
_LONGEST_QUESTION = 400  # characters; what comes after is not a question to this model
_MOST_PARTS = 6  # questions in one line
_RUN = "run"
_REFERENCE = "reference"  # the words that stand for what was spoken of
_MANNERS = frozenset({"greeting"})  # said beside a question, they ask nothing
_BLANK = " \t\n　,、.。"
_ENDS = re.compile(r"(?<=[?？。！!;；])\s*|(?<=[a-z)]\.)\s+|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """One intent, with its slots."""

    language: Language
    intent: Intent
    slots: Mapping[str, Slot]
    confidence: float
    named: frozenset[str] = frozenset()  # the slots that the person named, now or before


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """Two are as likely as each other: `options`, of these intents."""

    language: Language
    intents: tuple[Intent, ...]
    options: tuple[Understood, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotUnderstood:
    """None is likely; `nearest` are the three that come nearest. `hint` names a sentence that says what to change."""

    language: Language
    nearest: tuple[Intent, ...]
    hint: str = ""


Understanding = Understood | Unclear | NotUnderstood
Subject = Mapping[str, str]  # what was last spoken of, by kind of slot
_NAMES = ("service", "package", "process")  # what one of them was called, the others may be called too


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    intent: Intent
    confidence: float
    slots: Mapping[str, str]
    needs: int = 0
    explained: frozenset[int] = frozenset()
    named: frozenset[str] = frozenset()


def understand_all(text: str, knowledge: Knowledge, subject: Subject = {}) -> tuple[Understanding, ...]:  # noqa: B006
    """The questions in `text`, which may be several in one line; one where it cannot be taken apart."""
    whole = understand(text, knowledge, subject)
    if isinstance(whole, Understood) and whole.intent.name == _RUN:
        return (whole,)
    first = text.strip().split("\n\n", 1)[0][:_LONGEST_QUESTION]
    sentences = [part for sentence in _split(first, _ENDS) for part in _split(sentence, _between(knowledge.starts))]
    sentences = [_without_join(sentence, knowledge.joins) for sentence in sentences]
    if len(sentences) > 1 and (found := _each(sentences, knowledge, subject)):
        return found
    if isinstance(whole, Understood) or (isinstance(whole, NotUnderstood) and whole.hint):
        return (whole,)
    parts = [part for sentence in sentences for part in _split(sentence, _joins(knowledge))]
    return (len(parts) > 1 and _each(parts, knowledge, subject)) or (whole,)


def _each(parts: Sequence[str], knowledge: Knowledge, subject: Subject) -> tuple[Understanding, ...]:
    """What each part asks; nothing where one is not understood. Later parts may leave out what earlier ones name."""
    found: list[Understood] = []
    language: Language = "ja" if any(map(has_japanese, parts)) else "en"
    for part in parts[:_MOST_PARTS]:
        understood = understand(part, knowledge, subject)
        if not isinstance(understood, Understood) or understood.intent.name == _RUN:
            return ()
        if understood.intent.name not in _MANNERS:
            found.append(replace(understood, language=language))
        subject = next_subject(subject, understood)
    return tuple(found) if len(parts) <= _MOST_PARTS else ()


def _without_join(sentence: str, joins: Sequence[str]) -> str:
    """A question without the word that joins it to the one before; in English such a word says nothing anyway."""
    for join in joins:
        if len(join) > 1 and not join.isascii() and sentence.startswith(join) and sentence != join:
            return sentence.removeprefix(join).lstrip(_BLANK)
    return sentence


def _split(text: str, between: re.Pattern[str]) -> list[str]:
    return [part.strip() for part in between.split(text) if part and part.strip(_BLANK)]


@functools.cache
def _pattern(joins: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(re.escape(join) for join in sorted(joins, key=len, reverse=True) if join.isascii())
    marks = "|".join(re.escape(join) for join in sorted(joins, key=len, reverse=True) if not join.isascii())
    return re.compile(rf"(?:,\s*)?\b(?:{words})\b|,\s|{marks}", re.IGNORECASE)


@functools.cache
def _between(starts: tuple[str, ...]) -> re.Pattern[str]:
    """What stands between two whole questions: a comma or a word of joining, before a word that begins a question."""
    return re.compile(rf"(?:,|\b(?:and|also|then|plus)\b)+\s*(?=(?:and\s+)?(?:{'|'.join(starts)})\b)", re.IGNORECASE)


def _joins(knowledge: Knowledge) -> re.Pattern[str]:
    return _pattern(knowledge.joins)


def next_subject(subject: Subject, understanding: Understanding) -> Subject:
    """What is spoken of after `understanding`: its own parts, and what it did not change."""
    if not isinstance(understanding, Understood):
        return subject
    named = {
        understanding.intent.slots[name].kind: slot.value
        for name, slot in understanding.slots.items()
        if name in understanding.named
    }
    for kind in _NAMES:
        if kind in named:
            subject = {known: value for known, value in subject.items() if known not in _NAMES}
    return {**subject, **named}


def understand(text: str, knowledge: Knowledge, subject: Subject = {}) -> Understanding:  # noqa: B006
    """What the first paragraph of `text` asks for: what came on standard input stands below a blank line."""
    command = find_command(text, knowledge)
    language: Language
    if command is not None:
        language = "ja" if has_japanese(command.around) else "en"
        intent = knowledge.intents[_RUN]
        if command.hint:
            return NotUnderstood(language=language, nearest=(intent,), hint=command.hint)
        reading = _Reading(intent=intent, confidence=1.0, slots=dict.fromkeys(intent.slots, command.line))
        return _understood(language, reading, knowledge)
    question = text.strip().split("\n\n", 1)[0][:_LONGEST_QUESTION]
    segments = knowledge.lexicon.segments(question)
    language = _language(question, segments)
    refers = any(_REFERENCE in segment.concepts for segment in segments)
    readings = _readings(segments, knowledge, question, subject if refers else {})
    if subject and not refers and not (readings and readings[0].confidence >= BAR):
        readings = _readings(segments, knowledge, question, subject)
    if readings and readings[0].confidence >= BAR:
        first, *rest = readings
        if rest and _is_close(first, rest[0]):
            return _unclear(language, (first, rest[0]), knowledge)
        return _understood(language, first, knowledge)
    if pair := _pair(readings, segments):
        return _unclear(language, pair, knowledge)
    return NotUnderstood(language=language, nearest=_nearest(segments, knowledge))


def _unclear(language: Language, readings: tuple[_Reading, ...], knowledge: Knowledge) -> Unclear:
    return Unclear(
        language=language,
        intents=tuple(reading.intent for reading in readings),
        options=tuple(_understood(language, reading, knowledge) for reading in readings),
    )


def _understood(language: Language, reading: _Reading, knowledge: Knowledge) -> Understood:
    return Understood(
        language=language,
        intent=reading.intent,
        slots={name: fill_slot(reading.intent.slots[name], value, knowledge) for name, value in reading.slots.items()},
        named=reading.named,
        confidence=reading.confidence,
    )


def _language(question: str, segments: tuple[Segment, ...]) -> Language:
    """A Japanese path in an English question does not make it Japanese."""
    for segment in reversed(segments):
        if segment.kind == "path":
            question = question[: segment.start] + question[segment.end :]
    return "ja" if has_japanese(question) else "en"


def _readings(segments: tuple[Segment, ...], knowledge: Knowledge, raw: str, subject: Subject) -> list[_Reading]:
    """The best reading of each intent that is possible at all, the surest first."""
    present = frozenset[str]().union(*(segment.concepts for segment in segments))
    candidates = {
        kind: find_candidates(kind, segments, raw)
        for kind in {spec.kind for intent in knowledge.intents.values() for spec in intent.slots.values()}
    }
    best = []
    for intent in knowledge.intents.values():
        found = [
            reading
            for needs in intent.means
            if _words_of(needs) <= present
            if (reading := _read(intent, needs, segments, candidates, knowledge=knowledge, subject=subject)) is not None
        ]
        if found:
            best.append(max(found, key=_sureness))
    return sorted(best, key=_sureness, reverse=True)


@functools.cache
def _words_of(needs: frozenset[str]) -> frozenset[str]:
    """The concepts among what a meaning needs: the rest are slots."""
    return frozenset(need for need in needs if not need.startswith("{"))


def _is_close(first: _Reading, second: _Reading) -> bool:
    """Whether two readings cannot be told apart: as sure, and neither asks for more than the other."""
    return second.confidence >= max(BAR, first.confidence - CLOSE) and second.needs == first.needs


def _sureness(reading: _Reading) -> tuple[float, int]:
    return round(reading.confidence, 2), reading.needs


def _read(
    intent: Intent,
    needs: frozenset[str],
    segments: tuple[Segment, ...],
    candidates: Mapping[str, list[Candidate]],
    *,
    knowledge: Knowledge,
    subject: Subject,
) -> _Reading | None:
    values: dict[str, str] = {}
    quality: dict[int, float] = {}
    named = set()
    for name, spec in intent.slots.items():
        chosen = next((found for found in candidates[spec.kind] if quality.keys().isdisjoint(found.covers)), None)
        before = _recall(subject, spec.kind)
        if chosen is not None:
            values[name] = chosen.value
            quality |= dict.fromkeys(chosen.covers, chosen.quality)
            named.add(name)
        elif before:
            values[name] = before
            named.add(name)
        elif f"{{{name}}}" in needs:
            return None
        elif spec.default is not None:
            values[name] = spec.default
    claimed = needs | intent.also
    for index, segment in enumerate(segments):
        if index in quality:
            continue
        if segment.concepts & knowledge.decisive and not segment.concepts & needs:
            return None
        if segment.concepts & claimed:
            quality[index] = segment.quality
    total = sum(_weight(segment) for segment in segments)
    explained = sum(_weight(segments[index]) * sure for index, sure in quality.items())
    return _Reading(
        intent=intent,
        confidence=explained / total if total else 1.0,
        needs=len(needs),
        explained=frozenset(quality),
        slots=values,
        named=frozenset(named),
    )


def _recall(subject: Subject, kind: str) -> str:
    """What of `kind` was spoken of before, or of a kind that shares its names."""
    if kind in subject:
        return subject[kind]
    return next((subject[other] for other in _NAMES if kind in _NAMES and other in subject), "")


def _weight(segment: Segment) -> float:
    named = segment.kind in {"path", "place"} or (segment.kind == "name" and segment.quality == 1)
    return 1.0 if named else segment.weight


def _pair(readings: list[_Reading], segments: tuple[Segment, ...]) -> tuple[_Reading, ...]:
    """Two intents that together explain the question, as in `disk and memory usage`."""
    total = sum(segment.weight for segment in segments)
    for i, one in enumerate(readings):
        for other in readings[i + 1 :]:
            both = sum(segments[index].weight for index in one.explained | other.explained)
            if total and both / total >= _BOTH_BAR:
                return one, other
    return ()


def _nearest(segments: tuple[Segment, ...], knowledge: Knowledge) -> tuple[Intent, ...]:
    """The intents whose words the question shares most, and then the commonest."""
    weights: dict[str, float] = {}
    for segment in segments:
        for concept in segment.concepts:
            weights[concept] = max(weights.get(concept, 0.0), segment.weight * segment.quality)
        if segment.kind in {"path", "place"}:
            weights["{folder}"] = 0.5
        if segment.kind == "name":
            weights["{service}"] = 0.5

    def affinity(intent: Intent) -> float:
        return max(sum(weights.get(need, 0.0) for need in needs) / len(needs) for needs in intent.means)

    offered = [intent for intent in knowledge.intents.values() if intent.rank]
    return tuple(sorted(offered, key=lambda intent: (-affinity(intent), intent.rank))[:_SUGGESTIONS])
