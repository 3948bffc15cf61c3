r"""Looks for strict rules (`require_approval`, `deny`) in all that a line could run, also in what is opaque.

It promises over-approximation: inside wrappers (`sudo env timeout xargs …`), in constant strings given to a shell, in
what is piped to one, in `find -exec`; and, in text outside the language, in every place where a command could begin,
with quotes, backslashes, `$IFS` and constant expansions seen through. In a recognised line nothing else is searched: a
word that is only an argument (`echo "rm -rf /"`) is data. Linear in the text for each of at most 32 layers.
"""

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from aiosd.policy.knowledge import Arity, Knowledge, Spec
from aiosd.policy.program import Pipeline, Program
from aiosd.policy.recogniser import recognise
from aiosd.policy.rules import Rule
from aiosd.policy.wide import Arguments, Wide, canonical_path, widen

MAX_DEPTH: Final = 32
_MAX_GLOBS: Final = 64  # command names with a pattern in them, looked at in one scan; each costs a match per rule
_MAX_ASSIGNMENTS: Final = 8

_ANSI_C: Final = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ANSI_C_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|[uU]([0-9A-Fa-f]{1,8})|(.))", re.DOTALL)
_ANSI_C_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "", "b": "", "e": "", "f": " ", "v": " "}
_IFS: Final = re.compile(r"\$(?:IFS\b|\{IFS[^{}]*\})")
_DEFAULT: Final = re.compile(r"\$\{[A-Za-z0-9_@*]*:?[-=+?]([^{}]*)\}")
_EXPANSION: Final = re.compile(r"\$(?:\{[^{}]*\}|[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])")
_REDIRECT: Final = re.compile(r"(?<!<)[0-9]*&?(>[>|&]?|<<?(?!<)-?|<[&>])[ \t]*([^\s;&|()<>`]+)")
_BOUNDARY: Final = re.compile(r"(\|\||&&|\|&?|<<<|[;&\n()`<>])")
_NOT_TEXT: Final = str.maketrans("", "", "'\"\\")
_UNKNOWN: Final = "\0"  # stands for an expansion whose value nobody knows
_KEYWORDS: Final = frozenset("if then else elif while until do ! { } function select case in coproc".split())
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=")
_FORK_BOMB: Final = re.compile(r"([A-Za-z0-9_:.]+)\(\)\{\1\|\1&\};?")


class TooDeepError(Exception):
    """More than 32 commands wrapped in each other."""


class Searched:
    """The strict rules of a policy, ready to be searched for."""

    def __init__(self, wides: Sequence[Wide], texts: Sequence[Rule], redirects: Sequence[tuple[str, Rule]]) -> None:
        self._by_name: dict[str, list[Wide]] = {}
        self._prefixes = [wide for wide in wides if wide.prefix]
        for wide in wides:
            if not wide.prefix:
                self._by_name.setdefault(wide.name, []).append(wide)
        self.texts = [("".join(rule.text.split()), rule) for rule in texts]
        self.redirects = redirects

    def of(self, base: str) -> list[Wide]:
        """The rules about a command of this name."""
        found = self._by_name.get(base, [])
        if self._prefixes and (more := [wide for wide in self._prefixes if wide.names(base)]):
            return found + more
        return found

    def like(self, base: str) -> list[Wide]:
        """The rules about a command whose name the pattern `base` matches, as in `/bin/r?`."""
        named = (wide for wides in self._by_name.values() for wide in wides)
        return [wide for wide in (*named, *self._prefixes) if fnmatch.fnmatchcase(wide.name, base)]


def search_for(rules: Iterable[Rule], knowledge: Knowledge) -> Searched:
    """The strict rules among `rules`, read widely."""
    strict = [rule for rule in rules if not rule.allows]
    wides = [widen(rule, rule.pattern, knowledge) for rule in strict if rule.pattern is not None]
    texts = [rule for rule in strict if rule.text and not rule.text.startswith(">")]
    redirects = [(rule.text[1:].strip().removesuffix("*"), rule) for rule in strict if rule.text.startswith(">")]
    return Searched(wides, texts, redirects)


class Scan:
    """One search, for one line in one directory. `found` holds the rules met, in order, since it was last emptied."""

    def __init__(self, searched: Searched, knowledge: Knowledge, *, cwd: str, home: str) -> None:
        self._searched = searched
        self._knowledge = knowledge
        self._places = [cwd]
        self._home = home
        self._globs = 0
        self.found: dict[Rule, None] = {}

    def pipeline(self, pipeline: Pipeline, depth: int = 0) -> list[tuple[Rule, ...]]:
        """For each stage of a recognised pipeline, the strict rules met in it. Raises TooDeepError."""
        stages = [[word.text for word in stage.argv] for stage in pipeline.stages]
        reads_script = [at for at, words in enumerate(stages) if at and self._reads_script(words)]
        out: list[tuple[Rule, ...]] = []
        for at, words in enumerate(stages):
            before = self.found
            self.found = {}
            earlier = [word for stage in stages[:at] for word in stage] if self._reads_operands(words) else []
            self._command(words, earlier, depth)
            if reads_script and at == reads_script[-1]:
                for stage in stages[:at]:
                    for word in stage:
                        self.text(word, depth + 1)
                    self._command_anywhere(stage, depth)
            out.append(tuple(self.found))
            self.found = before | self.found
        return out

    def text(self, text: str, depth: int = 0) -> None:
        """Search shell text: exactly where it is within the language, by over-approximation elsewhere."""
        if depth > MAX_DEPTH:
            raise TooDeepError
        program = recognise(text)
        if isinstance(program, Program):
            for pipeline in program.pipelines:
                self.pipeline(pipeline, depth)
        else:
            self._opaque(text, depth)

    # One command, its words known.

    def _command(self, words: Sequence[str], stdin: Sequence[str], depth: int) -> None:
        """Search a command and all that it wraps; `stdin` are the words that may reach it as further operands."""
        while words:
            if depth > MAX_DEPTH:
                raise TooDeepError
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

    def _rules_of(self, base: str) -> list[Wide]:
        wides = self._searched.of(base)
        if ("*" in base or "?" in base or "[" in base) and self._globs < _MAX_GLOBS:
            self._globs += 1
            wides = wides + self._searched.like(base)
        return wides

    def _visit(self, base: str, words: Sequence[str], stdin: Sequence[str]) -> None:
        wides = self._rules_of(base)
        if not wides:
            return
        given = Arguments(self._knowledge.spec(base), self._places, self._home)
        for word in words[1:]:
            given.add(word)
        for piece in (piece for word in stdin for piece in word.split()):
            given.add(piece)
        self.found.update((wide.rule, None) for wide in wides if wide.matches(given))

    def _command_anywhere(self, words: Sequence[str], depth: int) -> None:
        """Search with any word as the command. From the right, so that the arguments are collected only once."""
        given = Arguments(None, self._places, self._home)
        for at in range(len(words) - 1, -1, -1):
            word = words[at]
            for wide in self._rules_of(posixpath.basename(word)):
                if wide.matches(given):
                    self.found[wide.rule] = None
            if any(char in word for char in " \t\n;|&"):
                self.text(word, depth + 1)
            given.add(word)

    def _shell(self, words: Sequence[str], depth: int) -> None:
        for at, word in enumerate(words):
            if at and (word == "--command" or (word[:1] == "-" and word[:2] != "--" and "c" in word)):
                for text in words[1:]:
                    if not text.startswith("-"):
                        self.text(text, depth + 1)
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
        script = [word for word in shell[1:] if not word.startswith("-") or word == "-c"]
        return spec is not None and spec.shell and (not script or "-s" in shell[1:] or self._reads_operands(words))

    def _reads_operands(self, words: Sequence[str]) -> bool:
        return any(posixpath.basename(word) in ("xargs", "parallel") for word in words)

    def _innermost(self, words: Sequence[str]) -> Sequence[str]:
        for _ in range(MAX_DEPTH):
            spec = self._knowledge.spec(posixpath.basename(words[0])) if words else None
            if spec is None or spec.wraps is None or spec.shell:
                break
            words = words[_inner_command(spec, words) or 1 :]
        return words

    # Text outside the language.

    def _opaque(self, text: str, depth: int) -> None:
        squeezed = "".join(text.split())
        self.found.update((rule, None) for wanted, rule in self._searched.texts if wanted in squeezed)
        if _FORK_BOMB.search(squeezed):
            self.found.update((rule, None) for wanted, rule in self._searched.texts if _FORK_BOMB.search(wanted))
        text = _see_through(text)
        text = _REDIRECT.sub(self._redirect, text)
        segments = _BOUNDARY.split(text)
        piped_to_shell = False
        for at in range(0, len(segments), 2):
            words = [piece for word in segments[at].split() for piece in _unbrace(word)]
            for start in _command_starts(words):
                command = [clean for word in start if (clean := _strip_unknown(word))]
                self._enter(command)
                self._command(command, (), depth)
            piped = at > 0 and segments[at - 1] in ("|", "|&")
            unknown = words[:1] == [_UNKNOWN]
            piped_to_shell = piped_to_shell or (piped and (unknown or self._reads_script(words)))
            piped_to_shell = piped_to_shell or (piped and self._reads_operands(words))
        if piped_to_shell:
            everything = [clean for part in segments for word in part.split() if (clean := _strip_unknown(word))]
            self._command_anywhere(everything, depth)

    def _enter(self, command: Sequence[str]) -> None:
        if command[:1] in (["cd"], ["pushd"]):
            for word in command[1:2]:
                self._places[1:] = [canonical_path(word, self._places[-1], self._home)]

    def _redirect(self, found: re.Match[str]) -> str:
        operator, target = found.groups()
        if operator.startswith(">"):
            paths = [canonical_path(_strip_unknown(target), place, self._home) for place in self._places]
            for prefix, rule in self._searched.redirects:
                if any(path.startswith(prefix) for path in paths):
                    self.found[rule] = None
        return " "


def _inner_command(spec: Spec, words: Sequence[str]) -> int | None:
    """Where the command that a wrapper runs begins in `words`; None where that is not known."""
    if spec.wraps is None or spec.wraps < 0:
        return None
    skip = spec.wraps
    at = 1
    while at < len(words):
        word = words[at]
        if word == "--":
            return at + 1 + skip
        if word[:1] != "-" or word == "-":
            if _ASSIGNMENT.match(word):
                at += 1
                continue
            return at + skip
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        option = spec.options.get(name)
        if option is None and not ("-NUM" in spec.options and word[1:].isdigit()):
            return None
        takes_next = option is not None and option.arity is Arity.REQUIRED and word == name
        if option is not None and option.arity is Arity.NONE and len(word) > 2 and word[:2] != "--":
            return None  # a cluster: which of its letters takes a value is not worth knowing here
        at += 2 if takes_next else 1
    return at


def _see_through(text: str) -> str:
    """The text with quoting removed and expansions replaced by what they may give, or by a mark for the unknown."""
    text = text.replace("\\\n", "")
    if "$" in text:
        text = _ANSI_C.sub(lambda found: _ANSI_C_ESCAPE.sub(_unescape, found[1]), text)
        text = _IFS.sub(" ", text)
        text = _DEFAULT.sub(r"\1", text)
        text = _EXPANSION.sub(_UNKNOWN, text).replace("$", "")
    text = text.translate(_NOT_TEXT)
    if not text.isprintable():
        text = "".join(char if char.isprintable() or char in "\n\0" else " " * char.isspace() for char in text)
    return text


def _unescape(found: re.Match[str]) -> str:
    hexadecimal, octal, code, letter = found.groups()
    if letter is not None:
        return _ANSI_C_LETTERS.get(letter, letter)
    number = int(octal, 8) if octal else int(hexadecimal or code, 16)
    return chr(number) if number < 0x110000 else ""


def _strip_unknown(word: str) -> str:
    """A word with its unknown parts left out; nothing if it begins with one, for then it may be anything."""
    return "" if word.startswith(_UNKNOWN + "/") else word.replace(_UNKNOWN, "")


def _unbrace(word: str) -> list[str]:
    """The words that one level of brace expansion makes, as bash does it."""
    start = word.find("{")
    end = word.find("}", start)
    if start < 0 or "," not in word[start:end]:
        return [word]
    return [word[:start] + piece + word[end + 1 :] for piece in word[start + 1 : end].split(",")]


def _command_starts(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """The commands that a segment may be: past keywords, assignments and unknown words, or the value assigned."""
    at = assignments = 0
    while at < len(words):
        word = words[at]
        if word == "function":
            at += 2
        elif assignment := _ASSIGNMENT.match(word):
            assignments += 1
            if assignments <= _MAX_ASSIGNMENTS:
                yield [word[assignment.end() :], *words[at + 1 :]]
            at += 1
        elif word in _KEYWORDS or word == _UNKNOWN:
            at += 1
        else:
            yield words[at:]
            return
