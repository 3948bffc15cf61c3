"""What the examples speak for: how likely each intent is, judged by the words, the pairs of words and the concepts.

The weights were learned from the phrasings in `intents/*.toml` (`learn` makes `learned.bin`); here they are looked up
and added. A feature is known by its CRC-32, so that no text is kept: two words that share one, at odds of one in many
thousands, only blur each other. Source of the method: multinomial logistic regression.
"""

import math
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

from aiosd.model.builtin.fold import fold, script_of
from aiosd.model.builtin.lexicon import FILE_NAME, KNOWN_NAME, UNIT_NAME, Segment

NOTHING = ""  # what is likely where none of the intents is
SCALE = 10  # stored weights are whole numbers: this many make 1

_STEM = 4  # letters by which the forms of a longer word are one
_DOTS_OF_IPV4 = 3
_NAMES = {KNOWN_NAME: "<service>", UNIT_NAME: "<unit>", FILE_NAME: "<file>"}


def find_features(question: str, segments: tuple[Segment, ...]) -> tuple[str, ...]:
    """What of a question speaks for an intent, in no order that matters, each once.

    Names, paths and numbers count by what they are; Japanese by its characters, in pairs and threes.
    """
    found: dict[str, None] = {}
    concepts: set[str] = set()
    symbols = ["^"]
    for segment in segments:
        found.update((f"c:{concept}", None) for concept in segment.concepts)
        if segment.kind != "word":
            found[f"k:{segment.kind}"] = None
        if segment.weight > 0:
            concepts |= segment.concepts
        text = fold(question[segment.start : segment.end]).text
        if mask := _mask(segment):
            symbols.append(mask)
            if segment.kind in {"name", "odd"}:
                found[f"w:{text}"] = None
        elif text and script_of(text[0]) != "latin":
            symbols.extend(text)
        else:
            words = text.split()
            symbols.extend(words)
            found.update((f"s:{word[:_STEM]}", None) for word in words if len(word) > _STEM)
    ordered = sorted(concepts)
    found.update((f"p:{one} {other}", None) for i, one in enumerate(ordered) for other in ordered[i + 1 :])
    symbols.append("$")
    found.update((f"w:{symbol}", None) for symbol in symbols[1:-1])
    found.update((f"b:{one} {other}", None) for one, other in pairwise(symbols))
    for three in zip(symbols, symbols[1:], symbols[2:], strict=False):
        if any(script_of(symbol[0]) != "latin" for symbol in three):
            found["t:" + " ".join(three)] = None
    return tuple(found)


def _mask(segment: Segment) -> str:
    """What stands for a piece whose text says nothing; empty where the text counts."""
    match segment.kind:
        case "number" if segment.value[-1:].isalpha():
            return "<size>"
        case "number":
            return "<ip>" if segment.value.count(".") == _DOTS_OF_IPV4 else "<n>"
        case "path" | "odd" | "zone":
            return f"<{segment.kind}>"
        case "name":
            known = next((mask for concept, mask in _NAMES.items() if concept in segment.concepts), "")
            return known or ("" if segment.concepts else "<name>")
    return ""


def feature_key(feature: str) -> int:
    """The number by which a feature is known."""
    return zlib.crc32(feature.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Learned weights: of the feature `keys[i]`, those from `starts[i]` to `starts[i + 1]`, each of one of `labels`.

    `digest` is of what it was learned from.
    """

    digest: bytes
    labels: tuple[str, ...]
    keys: "array[int]"
    starts: "array[int]"
    targets: "array[int]"
    weights: "array[int]"

    def chances(self, features: Iterable[str]) -> Mapping[str, float]:
        """How likely each intent is, and `NOTHING`; together 1. Nothing at all of features that were never seen."""
        sums = [0] * len(self.labels)
        count = 0
        for feature in features:
            key = feature_key(feature)
            at = bisect_left(self.keys, key)
            if at == len(self.keys) or self.keys[at] != key:
                continue
            count += 1
            for i in range(self.starts[at], self.starts[at + 1]):
                sums[self.targets[i]] += self.weights[i]
        if not count:
            return {}
        unit = SCALE * math.sqrt(count)
        most = max(sums)
        powers = [math.exp((each - most) / unit) for each in sums]
        total = math.fsum(powers)
        return {label: power / total for label, power in zip(self.labels, powers, strict=True)}

    def pack(self) -> bytes:
        """As it is stored."""
        names = "\n".join(self.labels).encode()
        columns = [_swapped(column).tobytes() for column in (self.keys, self.starts, self.targets, self.weights)]
        sizes = array("I", [len(names), *map(len, columns)])
        return self.digest + _swapped(sizes).tobytes() + zlib.compress(names + b"".join(columns), 9)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """What `pack` stored."""
        sizes = array("I", data[32:52])
        parts = []
        rest = memoryview(zlib.decompress(data[52:]))
        for size in _swapped(sizes):
            parts.append(bytes(rest[:size]))
            rest = rest[size:]
        keys, starts, targets, weights = (
            _swapped(array(kind, part)) for kind, part in zip("IIBb", parts[1:], strict=True)
        )
        return cls(
            digest=data[:32],
            labels=tuple(parts[0].decode().split("\n")),
            keys=keys,
            starts=starts,
            targets=targets,
            weights=weights,
        )


def load_evidence(path: Path) -> Evidence:
    """What was learned, from its file."""
    return Evidence.unpack(path.read_bytes())


def _swapped(column: "array[int]") -> "array[int]":
    """`column` as a little-endian machine has it, or back."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column
