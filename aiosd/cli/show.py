"""Text from elsewhere on a terminal: nothing in it moves the cursor, hides or pretends to be us."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_SEVERAL = 2
# Han, the two kana and Hangul with Latin: written in one word, and like no letter of it. Unicode TR 39, 5.2.
_TOGETHER = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL"})
_BREAK_WITHIN = 24  # cells: a line is broken at a blank that is not further than this from its end


def escape(text: str, *, newlines: bool = False) -> str:
    r"""`text` with control and format characters, and all that is not ASCII but a letter, as \u{...}.

    Letters stay, and the marks that Japanese is written with: none of them draws a line or an arrow as we do. But the
    letters of a word in which scripts are mixed that look alike are shown so too: p\u{430}ypal. With `newlines`, line
    ends stay. A long run of blanks is counted, as it could push something out of sight.
    """
    out: list[str] = []
    for line in text.split("\n") if newlines else [text]:
        spelled = line if line.isascii() else _WORD.sub(_spell_mixed, line)
        shown = "".join(char if _harmless(char) else rf"\u{{{ord(char):x}}}" for char in spelled)
        out.append(_count_blanks(shown))
    return "\n".join(out)


def show_output(line: str) -> str:
    r"""A line that a command printed, with its bullets and lines: what moves the cursor or hides is \u{...}.

    What it pushes to the right with blanks stays on the screen, as terminals break lines.
    """
    line = line.expandtabs()
    if line.isascii() and line.isprintable():
        return line
    return "".join(char if _harmless(char) or _is_ink(char) else rf"\u{{{ord(char):x}}}" for char in line)


def wrap(line: str, columns: int) -> list[str]:
    """`line` in pieces of at most `columns` cells; together they are the line. Broken at a blank where one is near."""
    pieces = []
    while width(line) > columns:
        end = cells = 0
        while cells + _cells(line[end]) <= columns:
            cells += _cells(line[end])
            end += 1
        blank = line.rfind(" ", max(end - _BREAK_WITHIN, 1), end)
        end = max(blank + 1 or end, 1)
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def width(text: str) -> int:
    """How many terminal cells a text takes, when it has been escaped."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _harmless(char: str) -> bool:
    if " " <= char <= "~":
        return True
    return char in _JAPANESE or (char > "\x7f" and char not in _BLANK_LETTERS and unicodedata.category(char)[0] in "LN")


def _is_ink(char: str) -> bool:
    """Punctuation and symbols, which take a place of their own."""
    return unicodedata.category(char)[0] in "PS" and char != _BLANK_BRAILLE


def _spell_mixed(word: re.Match[str]) -> str:
    """A word, with its foreign letters spelled out where it has scripts that are not written together."""
    scripts = {_find_script(char) for char in word[0] if char.isalpha()}
    if len(scripts) < _SEVERAL or scripts <= _TOGETHER:
        return word[0]
    return "".join(char if char.isascii() else rf"\u{{{ord(char):x}}}" for char in word[0])


def _find_script(char: str) -> str:
    return "LATIN" if char.isascii() else unicodedata.name(char, "?").split("-")[0].split()[0]


def _count_blanks(text: str) -> str:
    parts = text.split(" ")
    out, run = [parts[0]], 0
    for part in parts[1:]:
        run += 1
        if part:
            out.append((" " * run if run <= 16 else f" ·×{run} ") + part)
            run = 0
    return "".join(out) + (" " * run if run <= 16 else f" ·×{run}")


_JAPANESE = frozenset("、。〈〉《》「」『』【】〔〕〜・！（），．：；？％＆")
_BLANK_BRAILLE = "\u2800"  # a symbol without ink
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")  # Hangul fillers: letters without ink
