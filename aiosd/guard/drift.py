"""What an approved command stands on: its working directory, programs and scripts, as they were when it was shown.

They are looked at as the session's user, in its read-only sandbox, before a person is asked and again before it runs.
That narrows the time in which something can be put in their place to that between the second look and the start.
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from aiosd.policy import CommandAction, Pipeline, Program, Simple, Verdict, Word
from aiosd.policy.judge import judge
from aiosd.policy.knowledge import Effect, load_knowledge
from aiosd.sandbox.bundle import PLACE
from aiosd.sandbox.folders import is_within

_MOST_FILES: Final = 32
_APART: Final = re.compile(r"[\s;&|<>(){}'\"]+")
_FILES_OF_DEV: Final = (PLACE, "/dev/shm")
_OWN_FOLDER: Final = re.compile(r"^[0-9]+:1 (?=/tmp(?:/|$))")  # the root of a file system in memory
_EXPANDS: Final = frozenset("$`*?[~")


def looking_at(verdict: Verdict, action: CommandAction, path: str) -> Program:
    """The command that prints the directory's inode and the hash of each file; one that is not there is passed over."""
    files = tuple(dict.fromkeys(_files(verdict, action.cwd, path.split(":"))))[:_MOST_FILES]
    where = Simple(argv=_words("stat", "-L", "-c", "%d:%i %n", "--", action.cwd))
    hashes = Simple(argv=_words("sha256sum", "--", *files))
    return Program(pipelines=(Pipeline(stages=(where,)), Pipeline(stages=(hashes,))))


def find_changed(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """What is not as it was; "" where all is."""
    changed = set(map(_without_own, before)) ^ set(map(_without_own, after))
    return min((line.split(maxsplit=1)[-1] for line in changed), default="")


def _without_own(line: str) -> str:
    """A folder that the sandbox makes for itself, as below its private /tmp, is another with each sandbox."""
    return _OWN_FOLDER.sub("own ", line)


def _files(verdict: Verdict, cwd: str, path: list[str]) -> Iterator[str]:
    if verdict.program is None:
        for word in _APART.split(verdict.line)[:_MOST_FILES]:
            if word and _EXPANDS.isdisjoint(word) and word[0] != "-":
                yield from _places(word, cwd, path)
        return
    for command in verdict.program.commands():
        yield from _places(command.argv[0].text, cwd, path)
        judgement = judge(load_knowledge(), command.argv)
        if not judgement.known or any(concern.effect is Effect.RUNS for concern in judgement.concerns):
            for word in command.argv[1:]:
                if word.pattern is None and not word.home and word.text[:1] not in ("", "-"):
                    yield from _places(word.text, cwd, path)


def _places(word: str, cwd: str, path: list[str]) -> Iterator[str]:
    place = posixpath.normpath(posixpath.join(cwd, word))
    if not is_within(place, "/dev") or any(is_within(place, folder) for folder in _FILES_OF_DEV):
        yield place  # a device has no end, and nothing in it is a program
    if "/" not in word:
        yield from (f"{folder}/{word}" for folder in path)


def _words(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(text=text) for text in texts)
