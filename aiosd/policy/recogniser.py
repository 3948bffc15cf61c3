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
from aiosd.policy.words import PLAIN_WORD, WHY_CHARACTER, WORD_END, OutsideError, Token, WordScanner

_BLANKS: Final = re.compile(r"[ \t]+")
_COMMAND_NAME: Final = re.compile(r"\[|[A-Za-z0-9_./][A-Za-z0-9_./+@:,-]*")
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


def recognise(line: str) -> Program | Opaque:
    """Read a shell line. Linear in its length; `Opaque.position` counts characters from 0."""
    try:
        _refuse_unprintable(line)
        return _Scanner(line).program()
    except OutsideError as outside:
        return Opaque(position=outside.position, reason=outside.reason)


def hides_characters(line: str) -> bool:
    """Whether there are control or invisible characters in `line`, besides tab and newline."""
    # str.isprintable is false for just Cc, Cf, Cs, Co, Cn, Zl, Zp and Zs without the space.
    return not line.isprintable() and not line.replace("\t", "").replace("\n", "").isprintable()


def _refuse_unprintable(line: str) -> None:
    if not hides_characters(line):
        return
    for position, char in enumerate(line):
        if not char.isprintable() and char not in "\t\n":
            raise OutsideError(position, f"the invisible or control character U+{ord(char):04X}")


class _Scanner(WordScanner):
    __slots__ = ()

    def program(self) -> Program:
        pipelines: list[Pipeline] = []
        joiner = Joiner.FIRST
        self._skip_blank_lines()
        if self._at == self._end:
            raise OutsideError(0, "there is no command")
        while True:
            pipelines.append(self._pipeline(joiner))
            following = self._joiner()
            if following is None:
                return Program(pipelines=tuple(pipelines))
            joiner = following

    def _skip_blanks(self) -> None:
        r"""Blanks, `\<newline>` after a blank, and a comment, up to the next token or newline."""
        line = self._line
        while self._at < self._end:
            char = line[self._at]
            if char in " \t":
                blanks = _BLANKS.match(line, self._at)
                assert blanks
                self._at = blanks.end()
            elif (
                char == "\\" and line.startswith("\\\n", self._at) and (self._at == 0 or line[self._at - 1] in " \t\n")
            ):
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
                raise OutsideError(start, f"nothing follows `{two}`")
            return Joiner(two)
        if two[:1] == "&":
            raise OutsideError(start, "`&` starts a background job")
        if two in (";;", ";&"):
            raise OutsideError(start, f"`{two}` belongs to `case`")
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
                raise OutsideError(bar, "nothing follows `|`")

    def _simple(self) -> tuple[list[Word], list[Redirect], int]:
        argv: list[Word] = []
        redirects: list[Redirect] = []
        start = end = self._at
        while True:
            if argv and (plain := PLAIN_WORD.match(self._line, self._at)):  # the common case, said first
                self._count_word(self._at)
                argv.append(Word(text=plain[1]))
                end = plain.end(1)
                self._at = plain.end()
                if self._peek() in "\\#":
                    self._skip_blanks()
                continue
            char = self._peek()
            if char in ("", "\n", ";", "|") or (char == "&" and not self._line.startswith("&>", self._at)):
                break
            if char in WHY_CHARACTER:
                raise OutsideError(self._at, WHY_CHARACTER[char])
            if not argv and self._line.startswith("[[", self._at):
                raise OutsideError(self._at, "`[[` is a word of the shell's own language")
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
            raise OutsideError(start, missing)
        return argv, redirects, end

    def _redirect(self, number: str | None) -> list[Redirect]:
        """One redirection from its operator on; `number` is the descriptor written before it, if any."""
        start = self._at
        line = self._line
        if line.startswith("<", start):
            return [self._read_from(number)]
        if number not in (None, "1", "2"):
            raise OutsideError(start, f"only descriptors 1 and 2 can be redirected here, not {number}")
        fd = int(number or 1)
        if line.startswith(">&", start) and line[start + 2 : start + 3] in ("1", "2"):
            self._at += 3
            if self._peek() and self._peek() not in WORD_END:
                raise OutsideError(start, "this redirection is not just a descriptor")
            return [DuplicateTo(fd=fd, source=int(line[start + 2]))]
        for operator in ("&>>", "&>", ">&", ">>", ">"):
            if line.startswith(operator, start):
                break
        self._at += len(operator)
        both = "&" in operator
        if (both and number) or self._peek() in (">", "<", "|", "&", "("):
            raise OutsideError(start, "this redirection is outside the language")
        target = self._target(start)
        if target.text != "/dev/null":
            raise OutsideError(start, "a redirection that may write to a file; only /dev/null is within the language")
        return [DiscardTo(fd=1), DuplicateTo(fd=2, source=1)] if both else [DiscardTo(fd=fd)]

    def _read_from(self, number: str | None) -> ReadFrom:
        start = self._at
        self._at += 1
        following = self._peek()
        if following == "<":
            raise OutsideError(start, "a here-document or here-string")
        if following == "(":
            raise OutsideError(start, "a process substitution")
        if following in ("&", ">") or number not in (None, "0"):
            raise OutsideError(start, "this redirection is outside the language")
        target = self._target(start)
        if target.text.startswith("/dev/") and target.text != "/dev/null":
            raise OutsideError(start, "bash gives names below /dev a meaning of its own in a redirection")
        return ReadFrom(path=target.word())

    def _target(self, start: int) -> Token:
        blanks = _BLANKS.match(self._line, self._at)
        if blanks:
            self._at = blanks.end()
        char = self._peek()
        if char in WORD_END or char in ("", "#"):
            raise OutsideError(start, "a redirection without a plain path")
        target = self._token()
        if target.pattern is not None or not target.text:
            raise OutsideError(start, "a redirection to something other than one plain path")
        if self._peek() in ("<", ">") and not target.quoted and target.text.isdigit():
            raise OutsideError(start, "a number that could be a file or a descriptor")
        return target


def _refuse_as_command(token: Token) -> None:
    """The command word must be a plain name: nothing that expands, no reserved word, no shell builtin."""
    text = token.text
    if token.pattern is not None or token.home:
        raise OutsideError(token.start, "the name of the command is a pattern")
    if text == "!":
        raise OutsideError(token.start, "`!` negates a pipeline")
    if text in ("{", "}", "]]") or text in _RESERVED:
        raise OutsideError(token.start, f"`{text}` is a word of the shell's own language")
    if text in _BUILTINS:
        raise OutsideError(token.start, f"`{text}` is a part of the shell itself, not a program")
    if "=" in text:
        raise OutsideError(token.start, "an assignment")
    if not _COMMAND_NAME.fullmatch(text):
        raise OutsideError(token.start, "an unusual command name")
