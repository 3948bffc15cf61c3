r"""Looks for strict rules (`require_approval`, `deny`) in all that a line could run, also in what is opaque.

It promises over-approximation: inside wrappers (`sudo env timeout xargs …`), in constant strings given to a shell, in
what is piped to one, in what a `find` does to all that it finds, in where a command writes by what is known of it, in
what the text of a program plainly runs; and, in text outside the language, in every place where a command could begin,
with quotes, backslashes, `$IFS` and constant expansions seen through. In a recognised line nothing else is searched: a
word that is only an argument (`echo "rm -rf /"`) is data. Linear in the text for each layer; past 32 layers, or 256
commands that matter, it raises LimitError instead of leaving off.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from aiosd.policy.find_all import commands_over_all, words_listed
from aiosd.policy.knowledge import Arity, Knowledge, Spec
from aiosd.policy.program import Pipeline, Program
from aiosd.policy.program_text import texts_run, trees_removed
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
from aiosd.policy.searched import About, Searched, base_name
from aiosd.policy.wide import Arguments, canonical_path
from aiosd.policy.written import written_paths
from aiosd.sandbox.bundle import PLACE
from aiosd.sandbox.folders import is_within
from aiosd.types import Tier

MAX_DEPTH: Final = 32
MAX_COMMANDS: Final = 256
_GLOB: Final = frozenset("*?[")
_SHELL_TEXT: Final = frozenset(" \t\n;|&")
_WRITES_NOTHING: Final = frozenset("/dev/" + name for name in ("null", "zero", "full", "stdout", "stderr", "tty"))
_MAX_GLOBS: Final = 16  # command names with a pattern in them, looked at in one scan; each costs a match per rule
_MAX_SEGMENTS: Final = 4096
_FEW: Final = 16  # words among which it is not worth looking for those that stand there twice
_DEPTH_OF_XARGS: Final = 8  # each later one in a pipeline is given all words before it again


class LimitError(Exception):
    """More commands inside each other, or beside each other, than can be searched. The argument says which."""


class Scan:
    """One search, for one line in one directory. `found` holds the rules met, in order."""

    def __init__(self, searched: Searched, knowledge: Knowledge, *, cwd: str, home: str) -> None:
        self._searched = searched
        self._knowledge = knowledge
        self._places = [canonical_path(cwd, "/", home)]
        self._home = home
        self._globs = 0
        self._commands = 0
        self._coded = False  # whether an interpreter was met
        self._matters: dict[str, bool] = {}
        self.found: dict[Rule, None] = {}

    def pipeline(self, pipeline: Pipeline, depth: int = 0) -> list[tuple[Rule, ...]]:
        """For each stage of a recognised pipeline, the strict rules met in it. Raises LimitError."""
        if not any(self._matter(stage.argv[0].text) for stage in pipeline.stages):
            return [()] * len(pipeline.stages)
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
            spec = self._knowledge.spec("find") if base_name(words[0]) == "find" else None
            earlier += words_listed(spec, words) if spec else words
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
        if not words or not self._matter(words[0]):
            return
        self._count()
        while words:
            if depth > MAX_DEPTH:
                raise LimitError(f"more than {MAX_DEPTH} commands are wrapped in each other")
            depth += 1
            base = base_name(words[0])
            self._visit(base, words, stdin)
            spec = self._knowledge.spec(base)
            if spec is None:
                return
            if base == "find":
                self._find(spec, words, depth)
            if spec.code:
                self._coded = True
                for word in words[1:]:
                    self._program_text(word, depth)
            if written := written_paths(spec, words, stdin):
                self._redirected(written, Tier.DENY)
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

    def _matter(self, word: str) -> bool:
        known = self._matters.get(word)
        if known is None:
            known = self._matters[word] = self._searched.matter(word)
        return known

    def _count(self) -> None:
        self._commands += 1
        if self._commands > MAX_COMMANDS:
            raise LimitError(f"it holds more than {MAX_COMMANDS} commands")

    def _rules_of(self, base: str) -> About | None:
        if self._globs < _MAX_GLOBS and not _GLOB.isdisjoint(base):
            self._globs += 1
            return self._searched.like(base)
        return self._searched.of(base)

    def _visit(self, base: str, words: Sequence[str], stdin: Sequence[str]) -> None:
        about = self._rules_of(base)
        if about is None:
            return
        if not about.by_flags:
            self.found |= about.always
            return
        given = Arguments(self._knowledge.spec(base), self._places, self._home, self._searched.prefixes)
        arguments: Iterable[str] = words[1:]
        if stdin or len(words) > _FEW:
            arguments = dict.fromkeys([*arguments, *(piece for word in stdin for piece in word.split())])
        given.flags_of(arguments)
        self.found.update(dict.fromkeys(about.met(given, lambda: given.add_all(arguments))))

    def _command_anywhere(self, words: Sequence[str], depth: int) -> None:
        """Search with any word as the command. From the right, so that the arguments are collected only once; a word

        that stands there again is looked at where it stands first, with the most arguments.
        """
        given = Arguments(None, self._places, self._home, self._searched.prefixes)
        distinct = dict.fromkeys(words)
        rules = {word: found for word in distinct if (found := self._rules_of(base_name(word)))}
        for word in distinct:
            self._text_in_word(word, depth)
            if word[:1] == "-":  # `env -S'TEXT'`, `-vSTEXT`, `--split-string=TEXT`
                joined = word.partition("=")[2] if word[:2] == "--" else ""
                for text in (joined,) if joined else (word[2:], word[3:]):
                    self._text_in_word(text, depth)
        first = dict(zip(reversed(words), range(len(words) - 1, -1, -1), strict=True)) if rules else {}
        for at in range(len(words) - 1, -1, -1) if rules else ():
            word = words[at]
            if word in rules:
                self._count()
                if at == first[word]:
                    self.found.update(dict.fromkeys(rules[word].met(given, lambda: None)))
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

    def _program_text(self, text: str, depth: int) -> None:
        for path in trees_removed(text):
            self._command(("rm", "-r", path), (), depth)
        for script in texts_run(text):
            self._count()
            self.text(script, depth + 1)

    def _find(self, spec: Spec, words: Sequence[str], depth: int) -> None:
        for command in commands_over_all(spec, words):
            self._command(command, (), depth)
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
        spec = self._knowledge.spec(base_name(shell[0]))
        if spec is None or not spec.shell:
            return False
        script = [word for word in shell[1:] if not word.startswith("-") or word == "-c"]
        return not script or "-s" in shell[1:] or self._reads_operands(words)

    def _reads_operands(self, words: Sequence[str]) -> bool:
        return "xargs" in words or "parallel" in words or words[0].endswith(("/xargs", "/parallel"))

    def _innermost(self, words: Sequence[str]) -> Sequence[str]:
        for _ in range(MAX_DEPTH):
            spec = self._knowledge.spec(base_name(words[0])) if words else None
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
        said, text = text, see_through(text)
        text, paths = redirected_paths(text)
        self._redirected(paths, Tier.DENY)
        self._redirected(written, Tier.REQUIRE_APPROVAL)
        piped_to_shell = False
        for at, (commands, piped, unknown) in enumerate(segments(text, self._matter)):
            if at == _MAX_SEGMENTS:
                raise LimitError(f"more than {_MAX_SEGMENTS} pieces of it could be commands")
            for command in commands:
                self._enter(command)
                self._command(command, (), depth)
            if piped and not piped_to_shell:
                piped_to_shell = unknown or any(
                    self._reads_operands(words) or (self._matter(words[0]) and self._reads_script(words))
                    for words in commands
                )
        if self._coded:
            for path in trees_removed(said):
                self._command(("rm", "-r", path), (), depth)
        if piped_to_shell:
            words = text.replace("\0", "").split()
            worth = {word for word in set(words) if self._worth(word)}
            self._command_anywhere([word for word in words if word in worth], depth)

    def _redirected(self, paths: Iterable[str], tier: Tier) -> None:
        """Note the rules of `tier` about redirecting to any of `paths`."""
        rules = [(prefix, rule) for prefix, rule in self._searched.redirects if rule.ref.tier is tier]
        prefixes = tuple({prefix for prefix, _ in rules})
        for path in paths:
            if not rules:
                return
            canonical = [canonical_path(path, place, self._home) for place in self._places]
            canonical = [each for each in canonical if each.startswith(prefixes) and each not in _WRITES_NOTHING]
            if canonical:
                own = all(is_within(each, PLACE) for each in canonical)  # of the session, where nothing of the host is
                met = [(p, rule) for p, rule in rules if any(each.startswith(p) for each in canonical)]
                self.found.update((rule, None) for _, rule in met if not (own and rule.default))
                rules = [each for each in rules if each[1] not in self.found]
                prefixes = tuple({prefix for prefix, _ in rules})

    def _worth(self, word: str) -> bool:
        return word[0] == "-" or "/" in word or self._matter(word)

    def _enter(self, command: Sequence[str]) -> None:
        if command[0] == "cd" or command[0] == "pushd":
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
