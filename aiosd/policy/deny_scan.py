r"""Looks for strict rules (`require_approval`, `deny`) in all that a line could run, also in what is opaque.

It promises over-approximation: inside wrappers (`sudo env timeout xargs …`), in constant strings given to a shell, in
what is piped to one, in `find -exec`; and, in text outside the language, in every place where a command could begin,
with quotes, backslashes, `$IFS` and constant expansions seen through. In a recognised line nothing else is searched: a
word that is only an argument (`echo "rm -rf /"`) is data. Linear in the text for each layer; past 32 layers, or 256
commands that matter, it raises LimitError instead of leaving off.
"""

import fnmatch
import posixpath
from collections.abc import Iterable, Sequence
from typing import Final

from aiosd.policy.knowledge import Arity, Knowledge, Spec
from aiosd.policy.program import Pipeline, Program
from aiosd.policy.recogniser import recognise
from aiosd.policy.rough import (
    is_assignment,
    reads_as_fork_bomb,
    redirected_paths,
    see_through,
    segments,
    with_constants,
    without_quoted,
)
from aiosd.policy.rules import Rule
from aiosd.policy.wide import Arguments, Wide, canonical_path, widen
from aiosd.sandbox.bundle import PLACE
from aiosd.sandbox.folders import is_within
from aiosd.types import Tier

MAX_DEPTH: Final = 32
MAX_COMMANDS: Final = 256
_GLOB: Final = frozenset("*?[")
_SHELL_TEXT: Final = frozenset(" \t\n;|&")
_WRITES_NOTHING: Final = frozenset("/dev/" + name for name in ("null", "zero", "full", "stdout", "stderr", "tty"))
_MAX_GLOBS: Final = 16  # command names with a pattern in them, looked at in one scan; each costs a match per rule
_DEPTH_OF_XARGS: Final = 8  # each later one in a pipeline is given all words before it again


class LimitError(Exception):
    """More commands inside each other, or beside each other, than can be searched. The argument says which."""


class Searched:
    """The strict rules of a policy, ready to be searched for."""

    def __init__(self, rules: Iterable[Rule], knowledge: Knowledge) -> None:
        strict = [rule for rule in rules if not rule.allows]
        wides = [widen(rule, rule.pattern, knowledge) for rule in strict if rule.pattern is not None]
        self._by_name: dict[str, list[Wide]] = {}
        self._prefixes = [wide for wide in wides if wide.prefix]
        self._prefix_names = tuple(wide.name for wide in self._prefixes)
        for wide in wides:
            if not wide.prefix:
                self._by_name.setdefault(wide.name, []).append(wide)
        self.texts = [("".join(rule.text.split()), rule) for rule in strict if rule.text and rule.text[0] != ">"]
        self.redirects = [(_path_prefix(rule.text), rule) for rule in strict if rule.text[:1] == ">"]
        self.asks_of_redirects = any(rule.ref.tier is Tier.REQUIRE_APPROVAL for _, rule in self.redirects)
        self._knowledge = knowledge

    def of(self, base: str) -> list[Wide]:
        """The rules about a command of this name."""
        found = self._by_name.get(base, [])
        if base.startswith(self._prefix_names):
            return found + [wide for wide in self._prefixes if wide.names(base)]
        return found

    def like(self, base: str) -> list[Wide]:
        """The rules about a command whose name the pattern `base` matches, as in `/bin/r?`."""
        named = [wide for name, wides in self._by_name.items() if fnmatch.fnmatchcase(name, base) for wide in wides]
        return named + [wide for wide in self._prefixes if fnmatch.fnmatchcase(wide.name, base)]

    def matter(self, word: str) -> bool:
        """Whether `word`, if it were a command, could meet a rule: by its own name or by running another."""
        base = word.rpartition("/")[2]
        if base in self._by_name or base in ("cd", "pushd", "find") or not _GLOB.isdisjoint(base):
            return True
        if base.startswith(self._prefix_names):
            return True
        spec = self._knowledge.spec(base)
        return spec is not None and (spec.shell or spec.wraps is not None)


def _path_prefix(text: str) -> str:
    return text.lstrip("> ").strip().removesuffix("*")


class Scan:
    """One search, for one line in one directory. `found` holds the rules met, in order."""

    def __init__(self, searched: Searched, knowledge: Knowledge, *, cwd: str, home: str) -> None:
        self._searched = searched
        self._knowledge = knowledge
        self._places = [cwd]
        self._home = home
        self._globs = 0
        self._commands = 0
        self.found: dict[Rule, None] = {}

    def pipeline(self, pipeline: Pipeline, depth: int = 0) -> list[tuple[Rule, ...]]:
        """For each stage of a recognised pipeline, the strict rules met in it. Raises LimitError."""
        stages = [[word.text for word in stage.argv] for stage in pipeline.stages]
        reads_script = [at for at, words in enumerate(stages) if at and self._reads_script(words)]
        out: list[tuple[Rule, ...]] = []
        earlier: list[str] = []
        before = self.found
        for at, words in enumerate(stages):
            self.found = {}
            stdin = earlier if at and self._reads_operands(words) else ()
            self._command(words, stdin, depth)
            if stdin:
                depth += _DEPTH_OF_XARGS
            if reads_script and at == reads_script[-1]:
                for stage in stages[:at]:
                    self._command_anywhere(stage, depth)
            out.append(tuple(self.found))
            before |= self.found
            earlier += words
        self.found = before
        return out

    def text(self, text: str, depth: int = 0) -> None:
        """Search shell text: exactly where it is within the language, by over-approximation elsewhere."""
        if depth > MAX_DEPTH:
            raise LimitError(f"more than {MAX_DEPTH} commands are wrapped in each other")
        program = recognise(text)
        if isinstance(program, Program):
            for pipeline in program.pipelines:
                self.pipeline(pipeline, depth)
        else:
            self.opaque(text, depth)

    # One command, its words known.

    def _command(self, words: Sequence[str], stdin: Sequence[str], depth: int) -> None:
        """Search a command and all that it wraps; `stdin` are the words that may reach it as further operands."""
        if words and self._searched.matter(words[0]):
            self._count()
        while words:
            if depth > MAX_DEPTH:
                raise LimitError(f"more than {MAX_DEPTH} commands are wrapped in each other")
            depth += 1
            base = posixpath.basename(words[0])
            self._visit(base, words, stdin)
            if base == "find":
                self._find_exec(words, depth)
            spec = self._knowledge.spec(base)
            if spec is None:
                return
            if spec.shell:
                self._shell(words, depth)
            if spec.wraps is None:
                return
            start = _inner_command(spec, words)
            if start is None:
                self._command_anywhere(words[1:], depth)
                return
            words = words[start:]
            if words and words[0].startswith("-"):  # `flock FILE -c TEXT`
                self._command_anywhere(words, depth)
                return

    def _count(self) -> None:
        self._commands += 1
        if self._commands > MAX_COMMANDS:
            raise LimitError(f"it holds more than {MAX_COMMANDS} commands")

    def _rules_of(self, base: str) -> list[Wide]:
        wides = self._searched.of(base)
        if self._globs < _MAX_GLOBS and not _GLOB.isdisjoint(base):
            self._globs += 1
            wides = wides + self._searched.like(base)
        return wides

    def _visit(self, base: str, words: Sequence[str], stdin: Sequence[str]) -> None:
        wides = []
        for wide in self._rules_of(base):
            if wide.needs_arguments:
                wides.append(wide)
            else:
                self.found[wide.rule] = None
        if not wides:
            return
        given = Arguments(self._knowledge.spec(base), self._places, self._home)
        arguments = [*words[1:], *(piece for word in stdin for piece in word.split())]
        for word in arguments:
            if word[:1] == "-":
                given.add(word)
        met: dict[tuple[frozenset[str], ...], bool] = {}  # many rules ask for the same flags
        for wide in wides:
            if wide.flags not in met:
                met[wide.flags] = wide.flags_match(given)
        wides = [wide for wide in wides if met[wide.flags]]
        if any(wide.needs_operands for wide in wides):
            for word in dict.fromkeys(arguments):
                given.add(word)
        self.found.update((wide.rule, None) for wide in wides if wide.operands_match(given))

    def _command_anywhere(self, words: Sequence[str], depth: int) -> None:
        """Search with any word as the command. From the right, so that the arguments are collected only once."""
        given = Arguments(None, self._places, self._home)
        distinct = dict.fromkeys(words)
        rules = {word: found for word in distinct if (found := self._rules_of(posixpath.basename(word)))}
        for word in distinct:
            self._text_in_word(word, depth)
            if word[:1] == "-":  # `env -S'TEXT'`, `-vSTEXT`, `--split-string=TEXT`
                joined = word.partition("=")[2] if word[:2] == "--" else ""
                for text in (joined,) if joined else (word[2:], word[3:]):
                    self._text_in_word(text, depth)
        for word in reversed(words):
            if word in rules:
                self._count()
                self.found.update((wide.rule, None) for wide in rules[word] if wide.matches(given))
            if word in distinct:
                del distinct[word]
                given.add(word)

    def _text_in_word(self, word: str, depth: int) -> None:
        if not _SHELL_TEXT.isdisjoint(word):
            self._count()
            self.text(word, depth + 1)

    def _shell(self, words: Sequence[str], depth: int) -> None:
        for at, word in enumerate(words):
            if at and (word == "--command" or (word[:1] == "-" and word[:2] != "--" and "c" in word)):
                script = next((text for text in words[at + 1 :] if not text.startswith("-")), "")
                self._text_in_word(script, depth)
                self._command(words[at + 1 :], (), depth)
                return

    def _find_exec(self, words: Sequence[str], depth: int) -> None:
        start = 0
        for at, word in enumerate((*words, ";")):
            if start and word in (";", "+"):
                self._command(words[start:at], (), depth)
                start = 0
            elif not start and word in ("-exec", "-execdir", "-ok", "-okdir"):
                start = at + 1

    def _reads_script(self, words: Sequence[str]) -> bool:
        """Whether this stage may run what is piped to it."""
        shell = self._innermost(words)
        if not shell:
            return False
        spec = self._knowledge.spec(posixpath.basename(shell[0]))
        if spec is None or not spec.shell:
            return False
        script = [word for word in shell[1:] if not word.startswith("-") or word == "-c"]
        return not script or "-s" in shell[1:] or self._reads_operands(words)

    def _reads_operands(self, words: Sequence[str]) -> bool:
        return "xargs" in words or "parallel" in words or posixpath.basename(words[0]) in ("xargs", "parallel")

    def _innermost(self, words: Sequence[str]) -> Sequence[str]:
        for _ in range(MAX_DEPTH):
            spec = self._knowledge.spec(posixpath.basename(words[0])) if words else None
            if spec is None or spec.wraps is None or spec.shell:
                break
            words = words[_inner_command(spec, words) or 1 :]
        return words

    # Text outside the language.

    def opaque(self, text: str, depth: int = 0) -> None:
        """Search text that is known to be outside the language, as it stands and with its own constants put in."""
        for each in dict.fromkeys((text, with_constants(text, self._home))):
            self._opaque(each, depth)

    def _opaque(self, text: str, depth: int) -> None:
        squeezed = "".join(text.split())
        bomb = reads_as_fork_bomb(squeezed)
        for wanted, rule in self._searched.texts:
            if wanted in squeezed or (bomb and reads_as_fork_bomb(wanted)):
                self.found[rule] = None
        written = redirected_paths(without_quoted(text))[1] if self._searched.asks_of_redirects else []
        text = see_through(text)
        text, paths = redirected_paths(text)
        self._redirected(paths, Tier.DENY)
        self._redirected(written, Tier.REQUIRE_APPROVAL)
        piped_to_shell = False
        for segment in segments(text, self._searched.matter):
            for command in segment.commands:
                self._enter(command)
                self._command(command, (), depth)
            if segment.piped and (
                segment.unknown
                or any(self._reads_script(words) or self._reads_operands(words) for words in segment.commands)
            ):
                piped_to_shell = True
        if piped_to_shell:
            self._command_anywhere([word for word in text.replace("\0", "").split() if self._worth(word)], depth)

    def _redirected(self, paths: Iterable[str], tier: Tier) -> None:
        """Note the rules of `tier` about redirecting to any of `paths`."""
        for path in paths:
            canonical = [canonical_path(path, place, self._home) for place in self._places]
            own = all(is_within(each, PLACE) for each in canonical)  # of the session, where nothing of the host is
            self.found.update(
                (rule, None)
                for prefix, rule in self._searched.redirects
                if rule.ref.tier is tier
                and not (own and rule.default)
                and any(p.startswith(prefix) and p not in _WRITES_NOTHING for p in canonical)
            )

    def _worth(self, word: str) -> bool:
        return word[0] == "-" or "/" in word or self._searched.matter(word)

    def _enter(self, command: Sequence[str]) -> None:
        if command[0] in ("cd", "pushd"):
            for word in command[1:2]:
                self._places[1:] = [canonical_path(word, self._places[-1], self._home)]


def _inner_command(spec: Spec, words: Sequence[str]) -> int | None:
    """Where the command that a wrapper runs begins in `words`; None where that is not known."""
    if spec.wraps is None or spec.wraps < 0:
        return None
    at = 1
    while at < len(words):
        word = words[at]
        if word == "--":
            return at + 1 + spec.wraps
        if word[:1] != "-" or word == "-":
            if not is_assignment(word):
                return at + spec.wraps
            at += 1
            continue
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        option = spec.options.get(name)
        if option is None and not ("-NUM" in spec.options and word[1:].isdigit()):
            return None
        if option is not None and option.arity is Arity.NONE and len(word) > 2 and word[:2] != "--":
            return None  # a cluster: which of its letters takes a value is not worth knowing here
        at += 2 if option is not None and option.arity is Arity.REQUIRED and word == name else 1
    return at
