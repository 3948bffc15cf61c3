"""Text from elsewhere on a terminal: nothing in it moves the cursor, hides or pretends to be us."""

import unicodedata


def escape(text: str, *, newlines: bool = False) -> str:
    r"""`text` with control and format characters, and all that is not ASCII but a letter, as \u{...}.

    With `newlines`, line ends stay. A long run of blanks is counted, as it could push something out of sight.
    """
    out: list[str] = []
    for line in text.split("\n") if newlines else [text]:
        shown = "".join(char if _harmless(char) else rf"\u{{{ord(char):x}}}" for char in line)
        out.append(_count_blanks(shown))
    return "\n".join(out)


def _harmless(char: str) -> bool:
    return " " <= char <= "~" or (char > "\x7f" and unicodedata.category(char)[0] in "LN")


def _count_blanks(text: str) -> str:
    parts = text.split(" ")
    out, run = [parts[0]], 0
    for part in parts[1:]:
        run += 1
        if part:
            out.append((" " * run if run <= 16 else f" ·×{run} ") + part)
            run = 0
    return "".join(out) + (" " * run if run <= 16 else f" ·×{run}")
