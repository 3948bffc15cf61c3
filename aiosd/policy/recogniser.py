"""The recogniser: a shell line read once, left to right, into exactly what will run, or `Opaque` with place and reason.

It promises that bash, given an accepted line, would pass the same words to the same commands in the same order. It
therefore knows little: words, quotes, escapes, comments, `; && || | |&` and newline, redirections that cannot write,
simple globs and a leading `~` in operands. Everything else, known to be dangerous or just not known, is opaque.
Whether a recognised command is harmless is not its business (`knowledge`, `rules`).

Source: bash 5.2 `parse.y` (read_token, read_token_word), bash(1) QUOTING, REDIRECTION, EXPANSION; held to the real bash
by a differential fuzz in the tests.
"""

import re
from typing import Final

from aiosd.policy.program import (
    DiscardTo,
    DuplicateTo,
    Joiner,
    Opaque,
    Pipeline,
    Program,
    ReadFrom,
    Redirect,
    Simple,
    Word,
)

MAX_WORDS: Final = 4096

# A run of characters that mean themselves anywhere inside a word. `#` and `!` are special at its start only.
_PLAIN: Final = re.compile(r"""[^ \t\n|&;()<>'"\\$`*?\[~{]+""")
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'")
_DOUBLE_QUOTED_RUN: Final = re.compile(r'[^"\\$`]+')
_BLANKS: Final = re.compile(r"[ \t]+")
_BRACKET: Final = re.compile(r"\[[!^]?((?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9_.,])+)\]")
_COMMAND_NAME: Final = re.compile(r"\[|[A-Za-z0-9_./][A-Za-z0-9_./+@:,-]*")
_GLOB_ESCAPED: Final = str.maketrans({char: "\\" + char for char in "*?[]\\"})
_WORD_END: Final = frozenset(" \t\n|&;()<>")

_RESERVED: Final = frozenset(
    "if then else elif fi case esac for select while until do done in function time coproc".split()
)
# Builtins that have no program of their own or that change the shell. Not here because a program of that name does the
# same: echo, printf, true, false, test, [, pwd, kill.
_BUILTINS: Final = frozenset(
    """. : alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown enable
    eval exec exit export fc fg getopts hash help history jobs let local logout mapfile popd pushd read readarray
    readonly return set shift shopt source suspend times trap type typeset ulimit umask unalias unset wait""".split()
)

_WHY_CHARACTER: Final = {
    "$": "`$` starts an expansion",
    "`": "a backtick starts a command substitution",
    "(": "`(` starts a subshell, a function or a pattern",
    ")": "`)` closes nothing here",
}


class _OutsideError(Exception):
    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


def recognise(line: str) -> Program | Opaque:
    """Read a shell line. Linear in its length; `Opaque.position` counts characters from 0."""
    try:
        _refuse_unprintable(line)
        return _Scanner(line).program()
    except _OutsideError as outside:
        return Opaque(position=outside.position, reason=outside.reason)


def _refuse_unprintable(line: str) -> None:
    # str.isprintable is false for just Cc, Cf, Cs, Co, Cn, Zl, Zp and Zs without the space.
    if line.replace("\t", "").replace("\n", "").isprintable():
        return
    for position, char in enumerate(line):
        if not char.isprintable() and char not in "\t\n":
            raise _OutsideError(position, f"the invisible or control character U+{ord(char):04X}")


class _Token:
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


class _Scanner:
    __slots__ = ("_at", "_end", "_line", "_words")

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0
        self._end = len(line)
        self._words = 0

    def program(self) -> Program:
        pipelines: list[Pipeline] = []
        joiner = Joiner.FIRST
        self._skip_blank_lines()
        if self._at == self._end:
            raise _OutsideError(0, "there is no command")
        while True:
            pipelines.append(self._pipeline(joiner))
            following = self._joiner()
            if following is None:
                return Program(pipelines=tuple(pipelines))
            joiner = following

    def _peek(self) -> str:
        return self._line[self._at] if self._at < self._end else ""

    def _skip_blanks(self) -> None:
        r"""Blanks, `\<newline>` after a blank, and a comment, up to the next token or newline."""
        line = self._line
        while self._at < self._end:
            char = line[self._at]
            if char in " \t":
                blanks = _BLANKS.match(line, self._at)
                assert blanks
                self._at = blanks.end()
            elif char == "\\" and line.startswith("\\\n", self._at) and (self._at == 0 or line[self._at - 1] in " \t\n"):
                self._at += 2
            elif char == "#":
                newline = line.find("\n", self._at)
                self._at = self._end if newline < 0 else newline
            else:
                return

    def _skip_blank_lines(self) -> None:
        self._skip_blanks()
        while self._peek() == "\n":
            self._at += 1
            self._skip_blanks()

    def _joiner(self) -> Joiner | None:
        """What follows a pipeline: the operator before the next one, or None at the end of the line."""
        start = self._at
        two = self._line[start : start + 2]
        if two in ("&&", "||"):
            self._at += 2
            self._skip_blank_lines()
            if self._at == self._end:
                raise _OutsideError(start, f"nothing follows `{two}`")
            return Joiner(two)
        if two[:1] == "&":
            raise _OutsideError(start, "`&` starts a background job")
        if two in (";;", ";&"):
            raise _OutsideError(start, f"`{two}` belongs to `case`")
        if two[:1] in (";", "\n"):
            self._at += 1
        self._skip_blank_lines()
        return None if self._at == self._end else Joiner.ALWAYS

    def _pipeline(self, joiner: Joiner) -> Pipeline:
        stages: list[Simple] = []
        while True:
            start = self._at
            argv, redirects, end = self._simple()
            bar = self._at
            piped = self._peek() == "|" and not self._line.startswith("||", bar)
            if piped:
                self._at += 1
                if self._peek() == "&":
                    self._at += 1
                    redirects.append(DuplicateTo(fd=2, source=1))
            stages.append(Simple(argv=tuple(argv), redirects=tuple(redirects), start=start, end=end))
            if not piped:
                return Pipeline(stages=tuple(stages), joiner=joiner)
            self._skip_blank_lines()
            if self._at == self._end:
                raise _OutsideError(bar, "nothing follows `|`")

    def _simple(self) -> tuple[list[Word], list[Redirect], int]:
        argv: list[Word] = []
        redirects: list[Redirect] = []
        start = end = self._at
        while True:
            char = self._peek()
            if char in ("", "\n", ";", "|") or (char == "&" and not self._line.startswith("&>", self._at)):
                break
            if char in _WHY_CHARACTER:
                raise _OutsideError(self._at, _WHY_CHARACTER[char])
            if not argv and self._line.startswith("[[", self._at):
                raise _OutsideError(self._at, "`[[` is a word of the shell's own language")
            if char in "<>&":
                redirects += self._redirect(None)
            else:
                token = self._token()
                if self._peek() in ("<", ">") and not token.quoted and token.text.isascii() and token.text.isdigit():
                    redirects += self._redirect(token.text)
                else:
                    if not argv:
                        _refuse_as_command(token)
                    argv.append(token.word())
            end = self._at
            self._skip_blanks()
        if not argv:
            missing = "a redirection without a command" if redirects else "a command is missing here"
            raise _OutsideError(start, missing)
        return argv, redirects, end

    def _redirect(self, number: str | None) -> list[Redirect]:
        """One redirection from its operator on; `number` is the descriptor written before it, if any."""
        start = self._at
        line = self._line
        if line.startswith("<", start):
            return [self._read_from(number)]
        if number not in (None, "1", "2"):
            raise _OutsideError(start, f"only descriptors 1 and 2 can be redirected here, not {number}")
        fd = int(number or 1)
        if line.startswith(">&", start) and line[start + 2 : start + 3] in ("1", "2"):
            self._at += 3
            if self._peek() and self._peek() not in _WORD_END:
                raise _OutsideError(start, "this redirection is not just a descriptor")
            return [DuplicateTo(fd=fd, source=int(line[start + 2]))]
        for operator in ("&>>", "&>", ">&", ">>", ">"):
            if line.startswith(operator, start):
                break
        self._at += len(operator)
        both = "&" in operator
        if (both and number) or self._peek() in (">", "<", "|", "&", "("):
            raise _OutsideError(start, "this redirection is outside the language")
        target = self._target(start)
        if target.text != "/dev/null":
            raise _OutsideError(start, "a redirection that may write to a file; only /dev/null is within the language")
        return [DiscardTo(fd=1), DuplicateTo(fd=2, source=1)] if both else [DiscardTo(fd=fd)]

    def _read_from(self, number: str | None) -> ReadFrom:
        start = self._at
        self._at += 1
        following = self._peek()
        if following == "<":
            raise _OutsideError(start, "a here-document or here-string")
        if following == "(":
            raise _OutsideError(start, "a process substitution")
        if following in ("&", ">") or number not in (None, "0"):
            raise _OutsideError(start, "this redirection is outside the language")
        target = self._target(start)
        if target.text.startswith("/dev/") and target.text != "/dev/null":
            raise _OutsideError(start, "bash gives names below /dev a meaning of its own in a redirection")
        return ReadFrom(path=target.word())

    def _target(self, start: int) -> _Token:
        blanks = _BLANKS.match(self._line, self._at)
        if blanks:
            self._at = blanks.end()
        char = self._peek()
        if char in _WORD_END or char in ("", "#"):
            raise _OutsideError(start, "a redirection without a plain path")
        target = self._token()
        if target.pattern is not None or not target.text:
            raise _OutsideError(start, "a redirection to something other than one plain path")
        if self._peek() in ("<", ">") and not target.quoted and target.text.isdigit():
            raise _OutsideError(start, "a number that could be a file or a descriptor")
        return target

    def _token(self) -> _Token:
        """One word, from a character that begins one to the first that ends it."""
        self._words += 1
        start = self._at
        if self._words > MAX_WORDS:
            raise _OutsideError(start, f"more than {MAX_WORDS} words")
        plain = _PLAIN.match(self._line, start)
        if plain:
            self._at = plain.end()
            if self._at == self._end or self._line[self._at] in _WORD_END:
                return _Token(start, plain.group())  # the common case, said first
            self._at = start
        return self._mixed_token(start)

    def _mixed_token(self, start: int) -> _Token:
        line = self._line
        token = _Token(start, "")
        text: list[str] = []
        pattern: list[str] = []
        globs = False
        while self._at < self._end and (char := line[self._at]) not in _WORD_END:
            at = self._at
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
                raise _OutsideError(at, _WHY_CHARACTER[char])
        token.text = "".join(text)
        token.pattern = "".join(pattern) if globs else None
        if token.brace and ("," in token.text or ".." in token.text or self._peek() in ("<", ">")):
            raise _OutsideError(start, "`{` may start a brace expansion or a named descriptor")
        return token

    def _quoted(self, char: str) -> str:
        start = self._at
        line = self._line
        if char == "\\":
            self._at += 2
            if self._at > self._end:
                raise _OutsideError(start, "a backslash at the end escapes nothing")
            if line[start + 1] == "\n":
                raise _OutsideError(start, "a line continued in the middle of a word")
            return line[start + 1]
        if char == "'":
            match = _SINGLE_QUOTED.match(line, start)
            if not match:
                raise _OutsideError(start, "a quote that is not closed")
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
                    raise _OutsideError(self._at, "a line continued inside quotes")
                # bash(1): within double quotes the backslash is special only before $ ` " \ and newline.
                text.append(escaped if escaped in '$`"\\' else "\\" + escaped)
                self._at += 2
            elif char:
                raise _OutsideError(self._at, _WHY_CHARACTER[char])
            else:
                raise _OutsideError(start, "a quote that is not closed")
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
        alone = start == 0 or self._line[start - 1] in _WORD_END
        following = self._line[start + 1 : start + 2]
        if alone and (not following or following in _WORD_END):
            self._at += 1
            return "\\["
        raise _OutsideError(start, "a bracket pattern other than plain letters, digits and ranges")

    def _is_home(self, at: int, start: int) -> bool:
        """Whether the unquoted `~` at `at` stands for the home directory; False where it is an ordinary character."""
        if at > start:
            if self._line[at - 1] in "=:'\"":
                raise _OutsideError(at, "`~` after `=` or `:` may be expanded")
            return False
        following = self._peek()
        if following and following != "/" and following not in _WORD_END:
            raise _OutsideError(at, "`~` names somebody's home directory")
        return True


def _ranges_rise(members: str) -> bool:
    return all(members[at - 1] <= members[at + 1] for at in range(1, len(members) - 1) if members[at] == "-")


def _refuse_as_command(token: _Token) -> None:
    """The command word must be a plain name: nothing that expands, no reserved word, no shell builtin."""
    text = token.text
    if token.pattern is not None or token.home:
        raise _OutsideError(token.start, "the name of the command is a pattern")
    if text == "!":
        raise _OutsideError(token.start, "`!` negates a pipeline")
    if text in ("{", "}", "]]") or text in _RESERVED:
        raise _OutsideError(token.start, f"`{text}` is a word of the shell's own language")
    if text in _BUILTINS:
        raise _OutsideError(token.start, f"`{text}` is a part of the shell itself, not a program")
    if "=" in text:
        raise _OutsideError(token.start, "an assignment")
    if not _COMMAND_NAME.fullmatch(text):
        raise _OutsideError(token.start, "an unusual command name")
