"""Text made comparable: width, case and kana, with every position still known in what the person typed."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Script = Literal["latin", "kanji", "katakana", "hiragana"]

_LONG_END = re.compile("(?<=[ァ-ヺー])ー(?![ァ-ヺー])")
_KATAKANA = re.compile("[ァ-ヺー]+")
_HIRAGANA = re.compile("[ぁ-ゟ]+")
_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A text made comparable, and where each of its characters stood: `at` has one entry more than `text`."""

    text: str
    at: tuple[int, ...]


def fold(raw: str) -> Folded:
    """NFKC and case folding, character by character, so that positions survive; a long-vowel mark that ends a
    katakana word is dropped, as people write サーバ and サーバー alike."""
    if raw.isascii():
        return Folded(text=raw.lower(), at=tuple(range(len(raw) + 1)))
    text: list[str] = []
    at: list[int] = []
    i = 0
    while i < len(raw):
        end = i + 1
        while end < len(raw) and (raw[end] in "ﾞﾟ" or unicodedata.combining(raw[end])):
            end += 1
        for char in unicodedata.normalize("NFKC", raw[i:end]).casefold():
            text.append(char)
            at.append(i)
        i = end
    kept = [
        k
        for k, char in enumerate(text)
        if not (
            char == "ー" and k and is_katakana(text[k - 1]) and not (k + 1 < len(text) and is_katakana(text[k + 1]))
        )
    ]
    return Folded(text="".join(text[k] for k in kept), at=(*(at[k] for k in kept), len(raw)))


def fold_expression(raw: str) -> str:
    """The text of `fold(raw)`, many times quicker: for the thousands of expressions of the data."""
    if raw.isascii():
        return raw.lower()
    return _LONG_END.sub("", unicodedata.normalize("NFKC", raw).casefold())


def _ends_katakana(text: list[str], k: int) -> bool:
    """Whether at `k` stands a long-vowel mark that ends a katakana word."""
    within = k + 1 < len(text) and is_katakana(text[k + 1])
    return text[k] == "ー" and k > 0 and is_katakana(text[k - 1]) and not within


def has_japanese(text: str) -> bool:
    """Whether there is kana or kanji in `text`: then the answer is Japanese."""
    return any(script_of(char) != "latin" for char in unicodedata.normalize("NFKC", text))


def to_hiragana(text: str) -> str:
    """Folded `text` with its katakana as hiragana."""
    return text.translate(_TO_HIRAGANA)


def all_katakana(text: str) -> bool:
    """Whether folded `text` is katakana throughout."""
    return _KATAKANA.fullmatch(text) is not None


def all_hiragana(text: str) -> bool:
    """Whether folded `text` is hiragana throughout."""
    return _HIRAGANA.fullmatch(text) is not None


def is_katakana(char: str) -> bool:
    """Whether a folded character is katakana; the long-vowel mark counts as such."""
    return "ァ" <= char <= "ヺ" or char == "ー"


def script_of(char: str) -> Script:
    """The script of a folded character; `latin` is whatever is not Japanese."""
    if char < "々":
        return "latin"
    if is_katakana(char):
        return "katakana"
    if "ぁ" <= char <= "ゟ":
        return "hiragana"
    if char == "々" or "㐀" <= char <= "䶿" or "一" <= char <= "鿿" or "豈" <= char <= "﫿":
        return "kanji"
    return "latin"
