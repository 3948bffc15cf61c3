"""Which intent a question is, and how surely.

Two judges are heard: the meanings that the data gives an intent (`readings`: how much of the question one explains) and
the phrasings it was shown (`evidence`: how likely each intent is). Where they agree that settles it; where only one of
them knows, it must be surer; where they are at odds, the person is asked.

What a person leaves out is taken from what they asked before (`Subject`): at once where a word stands for it ("its
logs"), else only where the question means nothing without it ("restart").
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiosd.model.builtin.evidence import NOTHING, find_features
from aiosd.model.builtin.exact import find_command
from aiosd.model.builtin.fold import has_japanese
from aiosd.model.builtin.intents import Intent, Knowledge, Language
from aiosd.model.builtin.lexicon import Segment
from aiosd.model.builtin.readings import NAMES, Question, Reading, Subject
from aiosd.model.builtin.slots import Slot, fill_slot

BAR = 0.7  # below it, a reading is not taken: at most one word of three or four may be left unexplained
CLOSE = 0.1  # two readings nearer than this are asked about
_LIKELY = 0.2  # the least chance by which the examples alone settle it,
_AHEAD = 1.5  # and how many times the next one's it must be
_HALF = 0.2  # of a question that its intent explains less of, and against what the meanings say,
_SURE = 0.5  # it must be this; and this
_SURER = 0.4  # where a word of change is said that the intent does not know
_CERTAIN = 0.9  # and where two could be meant
_UNLIKELY = 0.1  # what is rarer is not spoken of
_NONE = (NOTHING, 0.0)
_BOTH_BAR = 0.9  # what two readings must explain together to be asked about, when neither is over the bar
_WHOLE = 0.9  # surer than this, a line is one question; and its parts are questions of their own only if they are
_PLAIN = 0.9  # what the meanings explain to the last word
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
    if (isinstance(whole, Understood) and whole.confidence >= _WHOLE) or (
        isinstance(whole, NotUnderstood) and whole.hint
    ):
        return (whole,)
    parts = [part for sentence in sentences for part in _split(sentence, _joins(knowledge))]
    found = _each(parts, knowledge, subject) if len(parts) > 1 else ()
    if isinstance(whole, Understood) and min((part.confidence for part in found), default=0.0) < _WHOLE:
        return (whole,)
    return found or (whole,)


def _each(parts: Sequence[str], knowledge: Knowledge, subject: Subject) -> tuple[Understood, ...]:
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
    for kind in NAMES:
        if kind in named:
            subject = {known: value for known, value in subject.items() if known not in NAMES}
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
        reading = Reading(intent=intent, confidence=1.0, slots=dict.fromkeys(intent.slots, command.line))
        return _understood(language, reading, knowledge)
    question = text.strip().split("\n\n", 1)[0][:_LONGEST_QUESTION]
    segments = knowledge.lexicon.segments(question)
    language = _language(question, segments)
    asked = Question(question, segments, knowledge)
    refers = any(_REFERENCE in segment.concepts for segment in segments)
    before = subject if refers else {}
    readings = asked.readings(before)
    if subject and not refers and not (readings and readings[0].confidence >= BAR):
        before = subject
        readings = asked.readings(before)
    chances = knowledge.evidence.chances(find_features(question, segments)) if knowledge.evidence else {}
    chosen = _choose(asked, readings, before, chances, knowledge)
    if len(chosen) == 1:
        return _understood(language, chosen[0], knowledge)
    if chosen:
        return _unclear(language, chosen, knowledge)
    return NotUnderstood(language=language, nearest=_nearest(segments, chances, knowledge))


def _choose(
    asked: Question, readings: list[Reading], subject: Subject, chances: Mapping[str, float], knowledge: Knowledge
) -> tuple[Reading, ...]:
    """The reading that both judges, or the surer of them, take; two to ask about; none where neither is sure."""
    told = readings[0] if readings and readings[0].confidence >= BAR else None
    rival = readings[1] if told and len(readings) > 1 and _is_close(told, readings[1]) else None
    (likeliest, likely), (_, next_likely) = (*sorted(chances.items(), key=_chance, reverse=True), _NONE, _NONE)[:2]
    intent = knowledge.intents.get(likeliest)
    if told is not None and (intent is None or intent is told.intent or likely < _UNLIKELY):
        return (told,) if rival is None or (intent is told.intent and likely >= _LIKELY) else (told, rival)
    shown = asked.read_as(intent, subject) if intent is not None and intent.name != _RUN else None
    if told is None:
        pair = _pair(readings, asked.segments)
        both = all(chances.get(reading.intent.name, 0.0) >= _UNLIKELY for reading in pair)
        if shown is None or (pair and both and likely < _CERTAIN):
            return pair
        least = _SURER if asked.changes(shown.intent) else _LIKELY if shown.confidence >= _HALF else _SURE
        sure = likely >= least and likely >= _AHEAD * next_likely
        return (replace(shown, confidence=likely),) if sure else pair
    if shown is None:
        return () if likely >= _SURE and chances[told.intent.name] < _UNLIKELY else (told,)
    if likely >= _SURE:
        return (replace(shown, confidence=likely),)
    if rival is not None and rival.intent is not shown.intent:
        return told, rival
    return (told,) if likely < _LIKELY or told.confidence >= _PLAIN else (told, shown)


def _chance(item: tuple[str, float]) -> float:
    return item[1]


def _unclear(language: Language, readings: tuple[Reading, ...], knowledge: Knowledge) -> Unclear:
    return Unclear(
        language=language,
        intents=tuple(reading.intent for reading in readings),
        options=tuple(_understood(language, reading, knowledge) for reading in readings),
    )


def _understood(language: Language, reading: Reading, knowledge: Knowledge) -> Understood:
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


def _is_close(first: Reading, second: Reading) -> bool:
    """Whether two readings cannot be told apart: as sure, and neither asks for more than the other."""
    return second.confidence >= max(BAR, first.confidence - CLOSE) and second.needs == first.needs


def _pair(readings: list[Reading], segments: tuple[Segment, ...]) -> tuple[Reading, ...]:
    """Two intents that together explain the question, as in `disk and memory usage`."""
    total = sum(segment.weight for segment in segments)
    for i, one in enumerate(readings):
        for other in readings[i + 1 :]:
            both = sum(segments[index].weight for index in one.explained | other.explained)
            if total and both / total >= _BOTH_BAR:
                return one, other
    return ()


def _nearest(segments: tuple[Segment, ...], chances: Mapping[str, float], knowledge: Knowledge) -> tuple[Intent, ...]:
    """The intents whose words the question shares most and the examples show, and then the commonest."""
    weights: dict[str, float] = {}
    for segment in segments:
        for concept in segment.concepts:
            weights[concept] = max(weights.get(concept, 0.0), segment.weight * segment.quality)
        if segment.kind in {"path", "place"}:
            weights["{folder}"] = 0.5
        if segment.kind == "name":
            weights["{service}"] = 0.5

    def affinity(intent: Intent) -> float:
        shared = max(sum(weights.get(need, 0.0) for need in needs) / len(needs) for needs in intent.means)
        chance = chances.get(intent.name, 0.0)
        return shared + (chance if chance >= _UNLIKELY else 0.0)

    offered = [intent for intent in knowledge.intents.values() if intent.rank]
    return tuple(sorted(offered, key=lambda intent: (-affinity(intent), intent.rank))[:_SUGGESTIONS])
