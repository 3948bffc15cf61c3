"""Words: where one begins and ends in a shell line, and what it says after quote removal.

The lower half of the recogniser, with the same promise: bash would read the same word, or `OutsideError` is raised. It
knows quotes, escapes, globs and `~`, and nothing of commands, operators or redirections.

Source: bash 5.2 `parse.y` (read_token_word), bash(1) QUOTING, Tilde Expansion, Pathname Expansion.
"""

import re
from typing import Final

from aiosd.policy.program import Word

MAX_WORDS: Final = 2048
_MAX_PIECES: Final = 4096  # quoted, escaped and special pieces of one word

WORD_END: Final = frozenset(" \t\n|&;()<>")
WHY_CHARACTER: Final = {
    "$": "`$` starts an expansion",
    "`": "a backtick starts a command substitution",
    "(": "`(` starts a subshell, a function or a pattern",
    ")": "`)` closes nothing here",
}

# A run of characters that mean themselves anywhere inside a word. `#` and `!` are special at its start only.
_PLAIN: Final = re.compile(r"""[^ \t\n|&;()<>'"\\$`*?\[~{]+""")
# Such a run (not of a comment), up to a blank, the end or an operator that joins; and the blanks after it.
PLAIN_WORD: Final = re.compile(r"""((?!\#)[^ \t\n|&;()<>'"\\$`*?\[~{]++)(?:[ \t]+|(?=[\n;|])|\Z)""")
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'")
_DOUBLE_QUOTED_RUN: Final = re.compile(r'[^"\\$`]+')
_BRACKET: Final = re.compile(r"\[[!^]?((?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9_.,])+)\]")
_GLOB_ESCAPED: Final = str.maketrans({char: "\\" + char for char in "*?[]\\"})


class OutsideError(Exception):
    """The line leaves the language: at which character, and why."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


class Token:
    """A word as read, with what decides its role: `quoted` (any quoting at all) and `brace` (an unquoted `{`)."""

    __slots__ = ("brace", "home", "pattern", "quoted", "start", "text")

    def __init__(self, start: int, text: str) -> None:
        self.start = start
        self.text = text
        self.pattern: str | None = None
        self.home = False
        self.quoted = False
        self.brace = False

    def word(self) -> Word:
        return Word(text=self.text, pattern=self.pattern, home=self.home)


class WordScanner:
    """A place in a line, from which words can be read."""

    __slots__ = ("_at", "_end", "_line", "_words")

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0
        self._end = len(line)
        self._words = 0

    def _peek(self) -> str:
        return self._line[self._at] if self._at < self._end else ""

    def _count_word(self, start: int) -> None:
        self._words += 1
        if self._words > MAX_WORDS:
            raise OutsideError(start, f"more than {MAX_WORDS} words")

    def _token(self) -> Token:
        """One word, from a character that begins one to the first that ends it."""
        start = self._at
        self._count_word(start)
        plain = _PLAIN.match(self._line, start)
        if plain:
            self._at = plain.end()
            if self._at == self._end or self._line[self._at] in WORD_END:
                return Token(start, plain.group())  # the common case, said first
            self._at = start
        return self._mixed_token(start)

    def _mixed_token(self, start: int) -> Token:
        line = self._line
        token = Token(start, "")
        text: list[str] = []
        pattern: list[str] = []
        globs = False
        while self._at < self._end and (char := line[self._at]) not in WORD_END:
            at = self._at
            if len(text) > _MAX_PIECES:
                raise OutsideError(start, f"a word of more than {_MAX_PIECES} pieces")
            if plain := _PLAIN.match(line, at):
                self._at = plain.end()
                text.append(plain.group())
                pattern.append(plain.group())
            elif char in "'\"\\":
                piece = self._quoted(char)
                token.quoted = True
                text.append(piece)
                pattern.append(piece.translate(_GLOB_ESCAPED))
            elif char in "*?[":
                piece = self._glob(char)
                globs = globs or piece[0] != "\\"
                text.append(line[at : self._at])
                pattern.append(piece)
            elif char in "~{":
                self._at += 1
                token.brace = token.brace or char == "{"
                token.home = token.home or (char == "~" and self._is_home(at, start))
                text.append(char)
                pattern.append(char)
            else:
                raise OutsideError(at, WHY_CHARACTER[char])
        token.text = "".join(text)
        token.pattern = "".join(pattern) if globs else None
        if token.brace and ("," in token.text or ".." in token.text or self._peek() in ("<", ">")):
            raise OutsideError(start, "`{` may start a brace expansion or a named descriptor")
        return token

    def _quoted(self, char: str) -> str:
        start = self._at
        line = self._line
        if char == "\\":
            self._at += 2
            if self._at > self._end:
                raise OutsideError(start, "a backslash at the end escapes nothing")
            if line[start + 1] == "\n":
                raise OutsideError(start, "a line continued in the middle of a word")
            return line[start + 1]
        if char == "'":
            match = _SINGLE_QUOTED.match(line, start)
            if not match:
                raise OutsideError(start, "a quote that is not closed")
            self._at = match.end()
            return match.group(1)
        return self._double_quoted()

    def _double_quoted(self) -> str:
        start = self._at
        line = self._line
        self._at += 1
        text: list[str] = []
        while (char := self._peek()) != '"':
            if run := _DOUBLE_QUOTED_RUN.match(line, self._at):
                text.append(run.group())
                self._at = run.end()
            elif char == "\\":
                escaped = line[self._at + 1 : self._at + 2]
                if escaped == "\n":
                    raise OutsideError(self._at, "a line continued inside quotes")
                # bash(1): within double quotes the backslash is special only before $ ` " \ and newline.
                text.append(escaped if escaped in '$`"\\' else "\\" + escaped)
                self._at += 2
            elif char:
                raise OutsideError(self._at, WHY_CHARACTER[char])
            else:
                raise OutsideError(start, "a quote that is not closed")
        self._at += 1
        return "".join(text)

    def _glob(self, char: str) -> str:
        """The pattern text of one `*`, `?` or simple `[..]`; a word that is only `[` means itself."""
        start = self._at
        if char != "[":
            self._at += 1
            return char
        bracket = _BRACKET.match(self._line, start)
        if bracket and _ranges_rise(bracket.group(1)):
            self._at = bracket.end()
            return bracket.group()
        alone = start == 0 or self._line[start - 1] in WORD_END
        following = self._line[start + 1 : start + 2]
        if alone and (not following or following in WORD_END):
            self._at += 1
            return "\\["
        raise OutsideError(start, "a bracket pattern other than plain letters, digits and ranges")

    def _is_home(self, at: int, start: int) -> bool:
        """Whether the unquoted `~` at `at` stands for the home directory; False where it is an ordinary character."""
        if at > start:
            if self._line[at - 1] in "=:'\"":
                raise OutsideError(at, "`~` after `=` or `:` may be expanded")
            return False
        following = self._peek()
        if following and following != "/" and following not in WORD_END:
            raise OutsideError(at, "`~` names somebody's home directory")
        return True


def _ranges_rise(members: str) -> bool:
    return all(members[at - 1] <= members[at + 1] for at in range(1, len(members) - 1) if members[at] == "-")
