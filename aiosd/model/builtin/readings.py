"""How a question can be read as an intent: by one of its meanings, or as the examples suggest.

The confidence of a reading by meaning is the share of the question, by weight, that it explains: every concept and slot
that the intent needs must be there, and what is there beside them counts against it. A word of change (delete, restart)
that an intent does not name rules the intent out. The examples may see past such a word, but never make a change of
what has none: an intent that changes something is read only where a word of change is said, and never where a question
only wants to know (`why did nginx stop?`).
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiosd.model.builtin.fold import fold
from aiosd.model.builtin.intents import Intent, Knowledge
from aiosd.model.builtin.lexicon import Segment
from aiosd.model.builtin.slots import Candidate, find_candidates

Subject = Mapping[str, str]  # what was last spoken of, by kind of slot
_PATHS = frozenset({"folder", "path"})  # kinds of slots
_ENDS = " \t\n?？!！。."
_CLAUSES = re.compile(r"[,;:!?、。]|\.\s")
_NEVER = frozenset({"not_wanted", "how_to", "define", "advice"})  # asked about, or asked not to be done
NAMES = ("service", "package", "process")  # what one of them was called, the others may be called too


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One intent for a question: `explained` are the indices of the segments that it accounts for, `needs` how much
    the meaning asks for, `named` the slots that the person named."""

    intent: Intent
    confidence: float
    slots: Mapping[str, str]
    needs: int = 0
    explained: frozenset[int] = frozenset()
    named: frozenset[str] = frozenset()


class Question:
    """A question in segments, with what may fill its slots, found once."""

    def __init__(self, raw: str, segments: tuple[Segment, ...], knowledge: Knowledge) -> None:
        """`segments` are those of `raw`."""
        self.raw = raw
        self.segments = segments
        self._knowledge = knowledge
        self._present = frozenset[str]().union(*(segment.concepts for segment in segments))
        self._total = sum(_weight(segment) for segment in segments)
        self._only_asks = _only_asks(raw, knowledge)
        self._candidates: dict[str, list[Candidate]] = {}

    def readings(self, subject: Subject) -> list[Reading]:
        """The best reading by meaning of each intent that is possible at all, the surest first."""
        best = []
        for intent in self._knowledge.intents.values():
            if self._only_asks and self._makes_change(intent):
                continue
            found = [
                reading
                for needs in intent.means
                if _words_of(needs) <= self._present
                if (reading := self._read(intent, needs, subject)) is not None
            ]
            if found:
                best.append(max(found, key=sureness))
        return sorted(best, key=sureness, reverse=True)

    def read_as(self, intent: Intent, subject: Subject) -> Reading | None:
        """The question as `intent`, whatever its meanings; None where a slot or any word of change is missing, and
        where what is asked is not wanted."""
        said = self._present & self._knowledge.decisive
        if said & _NEVER or ((not said or self._only_asks) and self._makes_change(intent)):
            return None
        if not {spec.kind for spec in intent.slots.values()}.isdisjoint(_PATHS) and self._left_over(intent):
            return None
        found = [
            reading
            for slots in {_slots_of(needs) for needs in intent.means}
            if (reading := self._read(intent, slots | _all_words(intent) | said, subject)) is not None
        ]
        return max(found, key=sureness, default=None)

    def _makes_change(self, intent: Intent) -> bool:
        return all(needs & self._knowledge.decisive for needs in intent.means)

    def changes(self, intent: Intent) -> bool:
        """Whether a word of change is said that `intent` does not know."""
        return bool((self._present & self._knowledge.decisive) - _all_words(intent) - intent.also)

    def _left_over(self, intent: Intent) -> bool:
        """Whether there are more paths than `intent` has use for, or one that cannot be a path."""
        paths = [segment for segment in self.segments if segment.kind == "path"]
        takes = sum(spec.kind in _PATHS for spec in intent.slots.values())
        odd = any(segment.kind == "option" and "=" in segment.value for segment in self.segments)
        return odd or len(paths) > takes or not all(segment.value.isprintable() for segment in paths)

    def _read(self, intent: Intent, needs: frozenset[str], subject: Subject) -> Reading | None:
        values: dict[str, str] = {}
        quality: dict[int, float] = {}
        named = set()
        for name, spec in intent.slots.items():
            if spec.kind not in self._candidates:
                self._candidates[spec.kind] = find_candidates(spec.kind, self.segments, self.raw)
            free = (found for found in self._candidates[spec.kind] if quality.keys().isdisjoint(found.covers))
            chosen = next(free, None)
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
        for index, segment in enumerate(self.segments):
            if index in quality:
                continue
            if segment.concepts & self._knowledge.decisive and not segment.concepts & needs:
                return None
            if segment.concepts & claimed:
                quality[index] = segment.quality
        explained = sum(_weight(self.segments[index]) * sure for index, sure in quality.items())
        return Reading(
            intent=intent,
            confidence=explained / self._total if self._total else 1.0,
            needs=len(needs),
            explained=frozenset(quality),
            slots=values,
            named=frozenset(named),
        )


def _only_asks(raw: str, knowledge: Knowledge) -> bool:
    """Whether a question is one clause that wants to know: `why did nginx stop?`"""
    text = fold(raw).text.strip().rstrip(_ENDS)
    if _CLAUSES.search(text):
        return False
    return any(text.startswith(f"{word} ") if word.isascii() else word in text for word in knowledge.asking)


def sureness(reading: Reading) -> tuple[float, int]:
    """By which readings are ordered: the confidence, then how much is asked for."""
    return round(reading.confidence, 2), reading.needs


@functools.cache
def _words_of(needs: frozenset[str]) -> frozenset[str]:
    """The concepts among what a meaning needs: the rest are slots."""
    return frozenset(need for need in needs if not need.startswith("{"))


def _slots_of(needs: frozenset[str]) -> frozenset[str]:
    return needs - _words_of(needs)


def _all_words(intent: Intent) -> frozenset[str]:
    return _words_of(frozenset().union(*intent.means))


def _recall(subject: Subject, kind: str) -> str:
    """What of `kind` was spoken of before, or of a kind that shares its names."""
    if kind in subject:
        return subject[kind]
    return next((subject[other] for other in NAMES if kind in NAMES and other in subject), "")


def _weight(segment: Segment) -> float:
    named = segment.kind in {"path", "place"} or (segment.kind == "name" and segment.quality == 1)
    return 1.0 if named else segment.weight
