"""Which intent a question is, and how surely.

The confidence of a reading is the share of the question, by weight, that it explains: every concept and slot that the
intent needs must be there, and what is there beside them counts against it. A word of change (delete, restart) that an
intent does not name rules the intent out, whatever the rest says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
_RUN = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """One intent, with its slots."""

    language: Language
    intent: Intent
    slots: Mapping[str, Slot]
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """Two intents are as likely as each other."""

    language: Language
    intents: tuple[Intent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotUnderstood:
    """None is likely; `nearest` are the three that come nearest. `hint` names a sentence that says what to change."""

    language: Language
    nearest: tuple[Intent, ...]
    hint: str = ""


Understanding = Understood | Unclear | NotUnderstood


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    intent: Intent
    confidence: float
    needs: int
    explained: frozenset[int]
    slots: Mapping[str, str]


def understand(text: str, knowledge: Knowledge) -> Understanding:
    """What the first paragraph of `text` asks for: what came on standard input stands below a blank line."""
    command = find_command(text, knowledge)
    language: Language
    if command is not None:
        language = "ja" if has_japanese(command.around) else "en"
        intent = knowledge.intents[_RUN]
        if command.hint:
            return NotUnderstood(language=language, nearest=(intent,), hint=command.hint)
        slots = dict.fromkeys(intent.slots, command.line)
        return _understood(language, intent, slots, 1.0, knowledge)
    question = text.strip().split("\n\n", 1)[0][:_LONGEST_QUESTION]
    segments = knowledge.lexicon.segments(question)
    language = _language(question, segments)
    readings = _readings(segments, knowledge)
    if readings and readings[0].confidence >= BAR:
        first, *rest = readings
        if rest and _is_close(first, rest[0]):
            return Unclear(language=language, intents=(first.intent, rest[0].intent))
        return _understood(language, first.intent, first.slots, first.confidence, knowledge)
    if pair := _pair(readings, segments):
        return Unclear(language=language, intents=pair)
    return NotUnderstood(language=language, nearest=_nearest(segments, knowledge))


def _understood(
    language: Language, intent: Intent, values: Mapping[str, str], confidence: float, knowledge: Knowledge
) -> Understood:
    slots = {name: fill_slot(intent.slots[name], value, knowledge) for name, value in values.items()}
    return Understood(language=language, intent=intent, slots=slots, confidence=confidence)


def _language(question: str, segments: tuple[Segment, ...]) -> Language:
    """A Japanese path in an English question does not make it Japanese."""
    for segment in reversed(segments):
        if segment.kind == "path":
            question = question[: segment.start] + question[segment.end :]
    return "ja" if has_japanese(question) else "en"


def _readings(segments: tuple[Segment, ...], knowledge: Knowledge) -> list[_Reading]:
    """The best reading of each intent that is possible at all, the surest first."""
    candidates = {
        kind: find_candidates(kind, segments)
        for kind in {spec.kind for intent in knowledge.intents.values() for spec in intent.slots.values()}
    }
    best = []
    for intent in knowledge.intents.values():
        found = [
            reading
            for needs in intent.means
            if (reading := _read(intent, needs, segments, candidates, knowledge)) is not None
        ]
        if found:
            best.append(max(found, key=_sureness))
    return sorted(best, key=_sureness, reverse=True)


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
    knowledge: Knowledge,
) -> _Reading | None:
    present = frozenset[str]().union(*(segment.concepts for segment in segments))
    if any(not need.startswith("{") and need not in present for need in needs):
        return None
    values: dict[str, str] = {}
    quality: dict[int, float] = {}
    for name, spec in intent.slots.items():
        chosen = next((found for found in candidates[spec.kind] if found.index not in quality), None)
        if chosen is not None:
            values[name] = chosen.value
            quality[chosen.index] = chosen.quality
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
    )


def _weight(segment: Segment) -> float:
    named = segment.kind in {"path", "place"} or (segment.kind == "name" and segment.quality == 1)
    return 1.0 if named else segment.weight


def _pair(readings: list[_Reading], segments: tuple[Segment, ...]) -> tuple[Intent, ...]:
    """Two intents that together explain the question, as in `disk and memory usage`."""
    total = sum(segment.weight for segment in segments)
    for i, one in enumerate(readings):
        for other in readings[i + 1 :]:
            both = sum(segments[index].weight for index in one.explained | other.explained)
            if total and both / total >= _BOTH_BAR:
                return one.intent, other.intent
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
