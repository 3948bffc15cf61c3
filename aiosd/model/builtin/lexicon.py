"""From what a person typed to segments whose meaning is known or known to be unknown.

Owns cutting (Japanese has no spaces), the dictionary lookup and the forgiveness of typos. What the meanings amount to
is `understand`'s; which words mean what is data (`intents/*.toml`).
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from aiosd.model.builtin.fold import (
    all_hiragana,
    all_katakana,
    fold,
    fold_expression,
    is_katakana,
    script_of,
    to_hiragana,
)
from aiosd.model.builtin.spelling import Spellings

Kind = Literal["word", "name", "path", "place", "time", "zone", "option", "number", "odd"]

KNOWN_NAME = "known_name"  # the concept of a service that is known without a hint
UNIT_NAME = "unit_name"  # and of a word that is written as people write only names: shop-web, node_exporter
FILE_NAME = "file_name"  # and of a word that ends as files do: nginx.conf, report.pdf

_LONGEST_EXPRESSION = 4  # words in one English expression
_MOST_TYPOS = 16  # unknown words of one question that are compared with the dictionary: bounds the time
_QUOTES = {"`": "`", '"': '"', "'": "'", "「": "」", "『": "』", "“": "”", "‘": "’"}
_BREAKS = frozenset(" \t\r\n\"'`()[]{}<>|「」『』“”‘’【】〈〉《》、。・〜")
_BREAKS_TO_SPACES = dict.fromkeys(map(ord, _BREAKS), " ")
_UNITS = frozenset(("", "b", "k", "m", "g", "t", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib"))
_EDGES = ".,;:!?…"
_NAME_JOINTS = ("-", "_", "@")
_FILE_ENDINGS = frozenset(
    "bak c cfg cnf conf crt csv db deb gz html img ini iso jar jpg js json key log md mp3 mp4 ovpn pdf pem php png py "
    "rpm rules sh sql sqlite tar tgz toml txt xml xz yaml yml zip zst".split()
)
_NAME_MARKS = frozenset("._@:+-\\")
_TIME_WEIGHT = 0.4  # what a time adds to a question that is not about time
_MAYBE_FILLER = 0.5  # the least weight of a word that is misspelt
_UNKNOWN_COST = {"ー": 0.05}  # a long-vowel mark between two words, as in メモリーサイズ


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One piece of a question. `start` and `end` are positions in what the person typed.

    `value` is the piece as it may be used (NFKC, case kept; a path between quotes exactly as written, a place as its
    path). `weight` is how much it matters, 0 for filler; `quality` how surely it was read, 1 without a typo.
    """

    kind: Kind
    start: int
    end: int
    value: str
    weight: float
    concepts: frozenset[str] = frozenset()
    quality: float = 1.0


class Lexicon:
    """The words that are known, and what they mean."""

    def __init__(
        self,
        words: Mapping[str, Iterable[str]],
        *,
        weights: Mapping[str, float],
        named: Mapping[str, tuple[Kind, str]],
        names: Iterable[str],
    ) -> None:
        """`words` gives each concept's expressions, `weights` the concepts that do not weigh 1, `named` the
        folders, times and zones that have a name, `names` the services known without a hint."""
        self._weights = dict(weights)
        meanings: dict[str, set[str]] = {}
        for concept, expressions in words.items():
            for expression in expressions:
                meanings.setdefault(_key(expression), set()).add(concept)
        shared: dict[frozenset[str], frozenset[str]] = {}  # one set for all the words that mean the same
        self._words = {key: shared.setdefault(each := frozenset(found), each) for key, found in meanings.items()}
        self._named = {_key(word): meant for word, meant in named.items()}
        self.names = frozenset(name.casefold() for name in names)
        # Hiragana is matched as it stands and everything else as hiragana, so that でぃすく is ディスク while the
        # particle か is not found inside カレンダー.
        japanese = [key for key in (*self._words, *self._named) if script_of(key[0]) != "latin"]
        self._strict = frozenset(key for key in japanese if all_hiragana(key))
        self._loose = {to_hiragana(key): key for key in japanese if key not in self._strict}
        self._longest = max(map(len, japanese), default=0)
        self._spellings = Spellings(key for key in self._words if key.isalpha() and key.isascii())
        self._kana_spellings = Spellings(key for key in japanese if all_katakana(key))
        self._name_spellings = Spellings(self.names)

    def segments(self, raw: str) -> tuple[Segment, ...]:
        """`raw` cut into segments, in order. Time is linear in its length, but for a bounded number of typos."""
        return _Cutter(self, raw).cut()

    def weight(self, concepts: Iterable[str]) -> float:
        """How much a word with these meanings matters: its lightest meaning counts."""
        return min((self._weights.get(concept, 1.0) for concept in concepts), default=1.0)

    def meaning(self, key: str) -> frozenset[str]:
        """What a folded expression means, by itself, as a plural or with hyphens; empty when not known."""
        found = self._words.get(key) or self._words.get(key.replace("-", " "), frozenset())
        if not found and key.endswith("s") and len(key) > 3:
            found = self._words.get(key[:-1], frozenset())
        return found

    def named(self, key: str) -> tuple[Kind, str] | None:
        """The kind and the value of what `key` names: a folder, a time, a zone."""
        return self._named.get(key)

    def guess(self, key: str) -> tuple[frozenset[str], float]:
        """What a misspelt word probably means, and how surely; nothing and 0 when nothing is near."""
        spellings = self._kana_spellings if key and is_katakana(key[0]) else self._spellings
        word, quality = spellings.nearest(key)
        return self._words.get(word, frozenset()), quality

    def nearest_name(self, name: str) -> str:
        """The known service that `name` may be a misspelling of, or nothing."""
        return self._name_spellings.nearest(name.casefold())[0]

    def japanese(self, run: str) -> tuple[tuple[int, int, str | None], ...]:
        """`run` (folded kana and kanji) cut at the fewest unknown characters, then the fewest words: (start, end, key),
        with None for a stretch that is not in the dictionary."""
        loose = to_hiragana(run)
        best: list[tuple[float, int, str | None]] = [(0.0, 0, None)]
        for end in range(1, len(run) + 1):
            unknown = _UNKNOWN_COST.get(run[end - 1], 0.4 if script_of(run[end - 1]) == "hiragana" else 1.0)
            choice: tuple[float, int, str | None] = (best[end - 1][0] + unknown, end - 1, None)
            for start in range(max(0, end - self._longest), end):
                key = run[start:end] if run[start:end] in self._strict else self._loose.get(loose[start:end])
                # A long word is a surer find than two short ones.
                if key is not None and (cost := best[start][0] + 0.11 - 0.01 * (end - start)) < choice[0]:
                    choice = (cost, start, key)
            best.append(choice)
        cuts: list[tuple[int, int, str | None]] = []
        end = len(run)
        while end:
            _, start, key = best[end]
            if key is None and cuts and cuts[-1][2] is None and script_of(run[start]) == script_of(run[end]):
                cuts[-1] = (start, cuts[-1][1], None)
            else:
                cuts.append((start, end, key))
            end = start
        return tuple(reversed(cuts))


class _Cutter:
    """One question on its way to segments."""

    def __init__(self, lexicon: Lexicon, raw: str) -> None:
        self._lexicon = lexicon
        self._raw = raw
        self._folded = fold(raw)
        self._typos_left = _MOST_TYPOS
        self._done: list[Segment] = []
        self._words: list[tuple[int, int]] = []  # a stretch of Latin words not yet looked up, for expressions

    def cut(self) -> tuple[Segment, ...]:
        text = self._folded.text
        i = 0
        while i < len(text):
            char = text[i]
            close = text.find(_QUOTES[char], i + 1) if char in _QUOTES else -1
            if close > 0 and text[i + 1] in "/~":
                self._flush()
                start, end = self._folded.at[i + 1], self._folded.at[close]
                self._add("path", i + 1, close, weight=1.0, value=self._raw[start:end])
                i = close + 1
            elif char in _BREAKS:
                i += 1
            else:
                end = self._end(i)
                if script_of(char) == "latin":
                    self._latin(i, end)
                else:
                    self._flush()
                    self._japanese(i, end)
                i = end
        self._flush()
        return tuple(self._done)

    def _end(self, i: int) -> int:
        text = self._folded.text
        latin = script_of(text[i]) == "latin"
        end = i + 1
        while end < len(text) and text[end] not in _BREAKS and (script_of(text[end]) == "latin") == latin:
            end += 1
        return end

    def _latin(self, start: int, end: int) -> None:
        text = self._folded.text
        while end > start and text[end - 1] in _EDGES:
            end -= 1
        # メモリ/CPU is two words and the wave of 教えて～ is none: a path comes after a space or a particle.
        before = script_of(text[start - 1]) if start else "latin"
        marks = ",;:!?" if before in {"latin", "hiragana"} else ",;:!?/"
        if before != "latin" and text[start : start + 2] != "~/":
            marks += "~"
        while start < end and text[start] in marks:
            start += 1
        chunk = text[start:end]
        if not chunk:
            return
        if chunk.startswith(("/", "~", "./", "../")):
            self._flush()
            self._add("path", start, end, weight=1.0)
        elif chunk[0].isdigit() and chunk.lstrip("0123456789.,").rstrip("%") in _UNITS:
            self._flush()
            self._add("number", start, end, weight=0.0)
        elif chunk.startswith("-"):
            bare = chunk.lstrip("-")
            if self._lexicon.meaning(bare):
                self._words.append((end - len(bare), end))
            else:
                self._flush()
                self._add("option", start, end, weight=0.25)
        elif self._lexicon.meaning(chunk) or not (pieces := self._pieces(start, end)):
            self._words.append((start, end))
        else:
            self._words.extend(pieces)

    def _pieces(self, start: int, end: int) -> list[tuple[int, int]]:
        """The known words that a chunk such as `cpu/memory` is made of; none if one is unknown."""
        pieces: list[tuple[int, int]] = []
        at = start
        for i in range(start, end + 1):
            if i == end or self._folded.text[i] in "/,;:&+=":
                if i > at:
                    pieces.append((at, i))
                at = i + 1
        known = all(self._lexicon.meaning(self._folded.text[a:b]) for a, b in pieces)
        return pieces if known else []

    def _flush(self) -> None:
        """Look up the waiting Latin words, the longest expression first."""
        words, self._words = self._words, []
        texts = [self._folded.text[start:end] for start, end in words]
        i = 0
        while i < len(words):
            for count in range(min(_LONGEST_EXPRESSION, len(words) - i), 0, -1):
                key = " ".join(texts[i : i + count])
                concepts = self._lexicon.meaning(key)
                named = self._lexicon.named(key)
                if concepts or named is not None:
                    start, end = words[i][0], words[i + count - 1][1]
                    self._known(start, end, concepts, named)
                    i += count
                    break
            else:
                self._unknown(*words[i])
                i += 1

    def _known(self, start: int, end: int, concepts: frozenset[str], named: tuple[Kind, str] | None) -> None:
        if named is not None:
            kind, value = named
            self._add(kind, start, end, weight=_TIME_WEIGHT if kind == "time" else 1.0, value=value, concepts=concepts)
        else:
            self._add("word", start, end, weight=self._lexicon.weight(concepts), concepts=concepts)

    def _unknown(self, start: int, end: int) -> None:
        chunk = self._folded.text[start:end]
        if not chunk[0].isalnum() or not all(char.isalnum() or char in _NAME_MARKS for char in chunk):
            self._add("odd", start, end, weight=1.0)
            return
        if chunk.removesuffix(".service") in self._lexicon.names or chunk.endswith(".service"):
            concepts, quality = frozenset((KNOWN_NAME,)), 1.0
        else:
            concepts, quality = self._guess(chunk)
            if not concepts and chunk.rpartition(".")[2] in _FILE_ENDINGS and "." in chunk[1:]:
                concepts, quality = frozenset((FILE_NAME,)), 1.0
            if not concepts and any(mark in chunk for mark in _NAME_JOINTS):
                concepts, quality = frozenset((UNIT_NAME,)), 1.0
        # What only may be filler is not taken for nothing.
        weight = max(_MAYBE_FILLER, self._lexicon.weight(concepts))
        self._add("name", start, end, weight=weight, concepts=concepts, quality=quality if concepts else 1.0)

    def _japanese(self, start: int, end: int) -> None:
        text = self._folded.text
        for a, b, key in self._lexicon.japanese(text[start:end]):
            a, b = start + a, start + b  # noqa: PLW2901
            if key is not None:
                self._known(a, b, self._lexicon.meaning(key), self._lexicon.named(key))
                continue
            if text[a:b] == "ー":
                continue
            script = script_of(text[a])
            concepts, quality = self._guess(text[a:b]) if script == "katakana" else (frozenset[str](), 1.0)
            # Leftover hiragana is mostly inflection; a kanji word has two or three characters.
            unknown = min(0.6, 0.15 * (b - a)) if script == "hiragana" else float((b - a + 2) // 3)
            weight = self._lexicon.weight(concepts) if concepts else unknown
            self._add("word", a, b, weight=weight, concepts=concepts, quality=quality if concepts else 1.0)

    def _guess(self, word: str) -> tuple[frozenset[str], float]:
        if self._typos_left == 0:
            return frozenset(), 0.0
        self._typos_left -= 1
        return self._lexicon.guess(word)

    def _add(
        self,
        kind: Kind,
        start: int,
        end: int,
        *,
        weight: float,
        value: str | None = None,
        concepts: frozenset[str] = frozenset(),
        quality: float = 1.0,
    ) -> None:
        raw_start, raw_end = self._folded.at[start], self._folded.at[end]
        if value is None:
            value = unicodedata.normalize("NFKC", self._raw[raw_start:raw_end])
        self._done.append(
            Segment(
                kind=kind,
                start=raw_start,
                end=raw_end,
                value=value,
                weight=weight,
                concepts=concepts,
                quality=quality,
            )
        )


def _key(expression: str) -> str:
    """An expression of the data as it is looked up: folded, and Latin words apart as the cutter sees them."""
    return " ".join(fold_expression(expression).translate(_BREAKS_TO_SPACES).split())
