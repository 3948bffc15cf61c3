"""What the recogniser recognised, and what therefore runs: argv lists, our own pipes, our own globbing.

Words, commands, pipelines and programs are tuples, because a decision makes little else.
Plain data. There is no second parser: the worker executes exactly these values (`render_program` turns them into the
marshal-able tuples that cross to it).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Joiner(StrEnum):
    """How a pipeline follows the one before it."""

    FIRST = ""
    ALWAYS = ";"
    AND = "&&"
    OR = "||"


class Word(NamedTuple):
    r"""One argument after quote removal.

    `text` is what is passed when nothing expands. `pattern` is set where unquoted `* ? [` stand: the same word with
    every quoted or escaped character that could be special written as `\c`. `home` says that an unquoted `~` was the
    first character and stood alone or before `/`; `text` (and `pattern`) then start with that `~`.
    """

    text: str
    pattern: str | None = None
    home: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardTo:
    """`n>/dev/null`, `n>>/dev/null`, and the stdout part of `&>/dev/null`."""

    fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateTo:
    """`n>&m`: descriptor `fd` becomes a copy of `source`."""

    fd: int
    source: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFrom:
    """`< path`: standard input from a plain path, opened read-only without following the last symlink out of files."""

    path: Word


Redirect = DiscardTo | DuplicateTo | ReadFrom


class Simple(NamedTuple):
    """A simple command: at least one word; redirections in the order written. `start` and `end` are offsets."""

    argv: tuple[Word, ...]
    redirects: tuple[Redirect, ...] = ()
    start: int = 0
    end: int = 0


class Pipeline(NamedTuple):
    """One or more simple commands joined by pipes; its status is the rightmost non-zero one (pipefail)."""

    stages: tuple[Simple, ...]
    joiner: Joiner = Joiner.FIRST


class Program(NamedTuple):
    """A whole line. Empty (only blanks and comments) is not a program; the recogniser calls that opaque."""

    pipelines: tuple[Pipeline, ...]

    def plain_argv(self) -> tuple[str, ...] | None:
        """The argv, where it is one command without redirections, patterns or `~`: then no shell is needed for it."""
        if len(self.pipelines) != 1 or len(self.pipelines[0].stages) != 1:
            return None
        (stage,) = self.pipelines[0].stages
        if stage.redirects or any(word.pattern is not None or word.home for word in stage.argv):
            return None
        return tuple(word.text for word in stage.argv)

    def is_simple(self) -> bool:
        """Whether it is one command, with nothing piped, chained or redirected."""
        return len(self.pipelines) == 1 and len(self.pipelines[0].stages) == 1 and not self.commands()[0].redirects

    def commands(self) -> tuple[Simple, ...]:
        """Every simple command, left to right."""
        return tuple(stage for pipeline in self.pipelines for stage in pipeline.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """A line outside the language: where it left it (offset in characters) and why, in words for a person."""

    position: int
    reason: str
