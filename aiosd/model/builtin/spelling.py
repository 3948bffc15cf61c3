"""Typos within reason: the nearest word of a list, and how surely it was meant."""

from collections.abc import Iterable

# What a word with a typo still counts, by the length of the right word; shorter words have too many neighbours.
_QUALITY = ((7, 0.85), (5, 0.75), (4, 0.65))


class Spellings:
    """Words by which a typo is judged: one edit, two in words of eight letters and more; the first letter is right
    or changed places with the second."""

    def __init__(self, words: Iterable[str]) -> None:
        """Of `words`, those of four letters and more."""
        self._by_length: dict[int, list[tuple[int, str]]] = {}
        for word in words:
            if len(word) >= _QUALITY[-1][0]:
                self._by_length.setdefault(len(word), []).append((_letters(word), word))

    def nearest(self, word: str) -> tuple[str, float]:
        """The nearest word and what it counts, or nothing and 0."""
        if len(word) < _QUALITY[-1][0]:
            return "", 0.0
        letters = _letters(word)
        allowed = 2 if len(word) >= 8 else 1
        best = ("", allowed + 1)
        for length in range(len(word) - allowed, len(word) + allowed + 1):
            for other, candidate in self._by_length.get(length, ()):
                # Each edit changes at most two members of the set of letters: most words end here.
                if (letters ^ other).bit_count() > 2 * (best[1] - 1) or word[0] not in candidate[:2]:
                    continue
                if word[0] != candidate[0] and word[:2] != candidate[1::-1]:
                    continue
                if (edits := _edits(word, candidate, best[1] - 1)) < best[1]:
                    best = (candidate, edits)
        found = best[0]
        return found, next((quality for length, quality in _QUALITY if len(found) >= length), 0.0)


def _letters(word: str) -> int:
    """The set of letters in `word`, as bits."""
    bits = 0
    for char in word:
        bits |= 1 << (ord(char) & 63)
    return bits


def _edits(a: str, b: str, most: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours from `a` to `b`; `most` + 1 when there are more."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
