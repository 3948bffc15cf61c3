"""Text from elsewhere on a terminal: nothing in it moves the cursor, hides or pretends to be us."""

import unicodedata

_BREAK_WITHIN = 24  # cells: a line is broken at a blank that is not further than this from its end


def escape(text: str, *, newlines: bool = False) -> str:
    r"""`text` with control and format characters, and all that is not ASCII but a letter, as \u{...}.

    With `newlines`, line ends stay. A long run of blanks is counted, as it could push something out of sight.
    """
    out: list[str] = []
    for line in text.split("\n") if newlines else [text]:
        shown = "".join(char if _harmless(char) else rf"\u{{{ord(char):x}}}" for char in line)
        out.append(_count_blanks(shown))
    return "\n".join(out)


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
    return char > "\x7f" and char not in _BLANK_LETTERS and unicodedata.category(char)[0] in "LN"


def _count_blanks(text: str) -> str:
    parts = text.split(" ")
    out, run = [parts[0]], 0
    for part in parts[1:]:
        run += 1
        if part:
            out.append((" " * run if run <= 16 else f" ·×{run} ") + part)
            run = 0
    return "".join(out) + (" " * run if run <= 16 else f" ·×{run}")


_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")  # Hangul fillers: letters without ink
