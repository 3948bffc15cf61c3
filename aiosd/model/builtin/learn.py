"""Learns what `evidence` weighs, from the phrasings of `intents/*.toml`: `make learn` after a change of the data.

Never part of an answer: run by hand, and the result is kept in the repository. The same data give the same weights on
every machine: the order is fixed, and only operations are used whose rounding IEEE 754 fixes.
Source of the steps: Duchi, Hazan, Singer, Adaptive Subgradient Methods (2011), one rate a feature.
"""

import hashlib
import math
import re
import sys
import tomllib
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from aiosd.model.builtin.evidence import NOTHING, SCALE, Evidence, feature_key, find_features
from aiosd.model.builtin.intents import LEARNED, load_knowledge

_FOLDER = Path(__file__).parent / "intents"
_MADE_FROM = ("evidence.py", "fold.py", "learn.py", "lexicon.py", "spelling.py")
_WORDS = ("content", "decisive", "filler", "weak", "places", "times", "zones", "services")
_NOTHING = "nothing"  # the name of the phrasings that are no intent's

_MOST = 14  # phrasings made of one line with alternatives
_LEAST_SEEN = 2  # phrasings that a feature must be in
_ROUNDS = 5
_RATE = 1.0
_DECAY = 0.001
_SMALLEST_STEP = 0.002  # a chance that is this near to right teaches nothing
_SMALLEST_WEIGHT = 0.15
_GREATEST = 127


def expand(line: str) -> Iterator[str]:
    """The phrasings of a line such as `{show|list} the {disks|drives}`: each alternative in at least two, never all
    combinations of many."""
    pieces = [piece[1:-1].split("|") if piece.startswith("{") else [piece] for piece in re.split(r"(\{[^{}]*\})", line)]
    combinations = math.prod(map(len, pieces))
    count = min(combinations, _MOST, 2 * max(map(len, pieces)))
    draw = _draws(zlib.crc32(line.encode()))
    orders = [_shuffled(range(len(piece)), draw) for piece in pieces]
    made: dict[str, None] = {}
    for i in range(count):
        chosen = (
            piece[order[(i + i // len(piece) * k) % len(piece)]]
            for k, (piece, order) in enumerate(zip(pieces, orders, strict=True))
        )
        text = re.sub(r" +(?=[ ,?]|$)", "", "".join(chosen)).strip()
        if text:
            made[text] = None
    return iter(made)


def read_examples(folder: Path = _FOLDER) -> dict[str, tuple[str, ...]]:
    """The phrasings of each intent, and of `NOTHING`."""
    found: dict[str, dict[str, None]] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, lines in tomllib.loads(path.read_text(encoding="utf-8")).get("asked", {}).items():
            examples = found.setdefault(NOTHING if name == _NOTHING else name, {})
            for line in lines.strip().splitlines():
                examples.update(dict.fromkeys(expand(line.strip())))
    return {name: tuple(examples) for name, examples in sorted(found.items())}


def digest_sources(folder: Path = _FOLDER) -> bytes:
    """Of everything that the weights follow from."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        for table in (*_WORDS, "asked"):
            digest.update(repr(sorted(data.get(table, {}).items())).encode())
    for name in _MADE_FROM:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.digest()


def learn(folder: Path = _FOLDER) -> Evidence:
    """Everything from the beginning: in about half a minute."""
    lexicon = load_knowledge(folder).lexicon
    examples = read_examples(folder)
    labels = tuple(examples)
    seen = [
        ([feature_key(feature) for feature in find_features(text, lexicon.segments(text))], label)
        for label, name in enumerate(labels)
        for text in examples[name]
    ]
    counted = Counter(key for keys, _ in seen for key in keys)
    keys = sorted(key for key, count in counted.items() if count >= _LEAST_SEEN)
    index = {key: i for i, key in enumerate(keys)}
    weights = _fit([([index[key] for key in found if key in index], label) for found, label in seen], len(labels), keys)
    kept = [[(label, stored) for label, weight in enumerate(row) if (stored := _stored(weight))] for row in weights]
    held = [i for i, row in enumerate(kept) if row]
    return Evidence(
        digest=digest_sources(folder),
        labels=labels,
        keys=array("I", [keys[i] for i in held]),
        starts=array("I", [0, *accumulate(len(kept[i]) for i in held)]),
        targets=array("B", [label for i in held for label, _ in kept[i]]),
        weights=array("b", [weight for i in held for _, weight in kept[i]]),
    )


def _fit(seen: Sequence[tuple[list[int], int]], labels: int, keys: Sequence[int]) -> list[list[float]]:
    """Weights by feature and label, by which each of `seen` is likely what it is."""
    weights = [[0.0] * labels for _ in keys]
    spent = [1e-6] * len(keys)
    draw = _draws(1)
    for _ in range(_ROUNDS):
        for at in _shuffled(range(len(seen)), draw):
            features, label = seen[at]
            if not features:
                continue
            unit = 1.0 / math.sqrt(len(features))
            sums = [0.0] * labels
            for i in features:
                sums = [one + other for one, other in zip(sums, weights[i], strict=True)]
            chances = _chances([each * unit for each in sums])
            chances[label] -= 1.0
            steps = [(k, chance * unit) for k, chance in enumerate(chances) if abs(chance) > _SMALLEST_STEP]
            if not steps:
                continue
            most = max(step * step for _, step in steps)
            for i in features:
                spent[i] += most
                rate = _RATE / math.sqrt(spent[i])
                row = weights[i]
                for k, step in steps:
                    row[k] -= rate * (step + _DECAY * row[k])
    return weights


def _chances(sums: list[float]) -> list[float]:
    most = max(sums)
    powers = [_power(each - most) for each in sums]
    total = 0.0
    for power in powers:
        total += power
    return [power / total for power in powers]


def _power(x: float) -> float:
    """e to the `x`, for `x` up to 0: by squarings, as each library rounds `exp` in its own way."""
    if x < -30.0:
        return 0.0
    power = 1.0 + x / 1024.0
    for _ in range(10):
        power *= power
    return power


def _stored(weight: float) -> int:
    if abs(weight) < _SMALLEST_WEIGHT:
        return 0
    return max(-_GREATEST, min(_GREATEST, round(weight * SCALE)))


def _draws(seed: int) -> Iterator[int]:
    """Numbers without an order, the same every time."""
    while True:
        seed = (seed * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        yield seed >> 8


def _shuffled(indices: range, draw: Iterator[int]) -> list[int]:
    order = list(indices)
    for i in range(len(order) - 1, 0, -1):
        j = next(draw) % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def main() -> int:
    """Learn anew, and say whether that changed what is kept."""
    learned = learn()
    known = LEARNED.read_bytes() if LEARNED.exists() else b""
    if known and Evidence.unpack(known) == learned:
        print("nothing new")
        return 0
    LEARNED.write_bytes(learned.pack())
    print(f"{len(learned.keys)} features, {len(learned.weights)} weights: {LEARNED}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
