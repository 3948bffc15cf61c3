"""The policy as a whole: an action and a person in, a `Verdict` out. Pure: it reads no file and asks no clock.

It promises that the strictest rule over every part of an action decides, whatever the order; that what no rule speaks
of gets `unmatched`; that what cannot be read exactly is at least asked about; that effects as root are at least asked
about unless a rule with `run_as = "root"` says `notify` of one plain command; and that everything over a limit is
denied. A rule marked as a default counts only where no other rule speaks.
"""

import posixpath
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from aiosd.policy.deny_scan import MAX_COMMANDS, LimitError, Scan, Searched
from aiosd.policy.explain import (
    Unmatched,
    denied,
    outside,
    part_as_root,
    part_asked,
    part_of_opaque,
    part_of_rules,
    part_of_unmatched,
    summary,
    why_unmatched,
)
from aiosd.policy.judge import judge
from aiosd.policy.knowledge import Knowledge
from aiosd.policy.program import Opaque, Pipeline, Program, Simple
from aiosd.policy.recogniser import recognise
from aiosd.policy.root_prefix import strip_sudo
from aiosd.policy.rules import Rule, uncovered
from aiosd.policy.verdict import Action, CommandAction, FileAction, Part, RuleRef, Verdict
from aiosd.policy.wide import canonical_path
from aiosd.types import Facet, Principal, RunAs, Tier, strictest

MAX_LINE_BYTES: Final = 64 * 1024

_NO_FACETS: Final[frozenset[Facet]] = frozenset()
_NEVER_JOINED: Final = frozenset((Facet.BUS, Facet.SOCKETS))
# A pattern of file names could become options, and a file be read or a second command fed, with root's rights.
_PLAIN: Final = "As root only one plain command runs unasked, without patterns, `~`, redirections or others beside it."
_JOINED: Final = "It cannot observe the bus and the network in one pipeline; propose them as two commands."


class Policy:
    """All rules of all layers. Make it with `load_policy`; `digest` changes whenever a file of it does."""

    def __init__(
        self, *, rules: Sequence[Rule], unmatched: tuple[Unmatched, RuleRef], knowledge: Knowledge, digest: str = ""
    ) -> None:
        self.rules = tuple(rules)
        self.unmatched = unmatched[0]
        self.digest = digest
        self._book = _Rulebook(rules, unmatched, knowledge)

    def evaluate(self, action: Action, principal: Principal) -> Verdict:
        """The verdict on `action` if `principal` asks for it. Never raises for any text of an action."""
        match action:
            case CommandAction():
                return _Evaluation(self._book, action, principal).verdict()
            case FileAction():
                return _evaluate_file(self._book, action, principal)
            case _:
                assert_never(action)


class _Rulebook:
    """The rules, each where it is looked for."""

    def __init__(self, rules: Sequence[Rule], unmatched: tuple[Unmatched, RuleRef], knowledge: Knowledge) -> None:
        self.unmatched, self.unmatched_ref = unmatched
        self.knowledge = knowledge
        self.searched = Searched(rules, knowledge)
        self.tools = [rule for rule in rules if rule.tool is not None]
        self.everything = [rule for rule in rules if not (rule.pattern or rule.text or rule.tool)]
        self.allowing: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.allows and rule.pattern is not None:
                self.allowing.setdefault(rule.pattern.words[0], []).append(rule)

    def covering(self, command: Simple) -> list[Rule]:
        """The allowing rules whose pattern covers the command."""
        return [rule for rule in self.allowing.get(command.argv[0].text, ()) if rule.covers(command.argv)]


def _evaluate_file(book: _Rulebook, action: FileAction, principal: Principal) -> Verdict:
    text = f"{action.tool} {action.path}"
    if not action.path.startswith("/") or "\0" in action.path:
        return denied(text, "the path is not absolute")
    path = canonical_path(action.path, "/", principal.home)
    about = [rule for rule in book.tools if rule.tool is not None and rule.tool.covers(action.tool, path)]
    folder = posixpath.dirname(path)
    rules = [rule for rule in (*about, *book.everything) if rule.applies(principal, RunAs.USER, folder)]
    if rules:
        part = part_of_rules(text, _speaking(rules))
    else:
        part = part_of_unmatched(text, f"No rule speaks of `{action.tool}`.", book.unmatched, book.unmatched_ref)
    if action.writes and part.tier is Tier.AUTO_ALLOW:
        part = part_asked(part, "writes", f"`{action.tool}` writes, and what runs unasked only reads.")
    return Verdict(tier=part.tier, reason=part.reason, parts=(part,))


class _Evaluation:
    """One command action, one person."""

    def __init__(self, book: _Rulebook, action: CommandAction, principal: Principal) -> None:
        self._book = book
        self._principal = principal
        self._cwd = action.cwd
        self._line = action.line
        self._run_as = action.run_as

    def verdict(self) -> Verdict:
        if why := self._why_impossible():
            return denied(self._line[:MAX_LINE_BYTES], why)
        self._line, program, as_root = strip_sudo(self._line, recognise(self._line))
        if as_root:
            self._run_as = RunAs.ROOT
        try:
            return self._opaque(program) if isinstance(program, Opaque) else self._program(program)
        except LimitError as limit:
            return denied(self._line, str(limit))

    def _why_impossible(self) -> str:
        try:
            size = len(self._line.encode())
        except UnicodeEncodeError:
            return "the line is not text"
        if size > MAX_LINE_BYTES:
            return "the line is longer than 64 KiB"
        if "\0" in self._line:
            return "a NUL character cannot be run"
        return "" if self._cwd.startswith("/") else "its directory is not absolute"

    def _opaque(self, opaque: Opaque) -> Verdict:
        scan = self._scan()
        scan.opaque(self._line)
        rules = self._applying((*scan.found, *self._book.everything))
        denying = [rule for rule in rules if rule.ref.tier is Tier.DENY]
        if denying:
            part = part_of_rules(self._line, denying)
        elif self._book.unmatched is Unmatched.DENY:
            part = part_of_unmatched(self._line, outside(opaque), Unmatched.DENY, self._book.unmatched_ref)
        else:
            part = part_of_opaque(self._line, opaque, rules)
        return Verdict(
            tier=part.tier, reason=part.reason, parts=(part,), line=self._line, opaque=opaque, run_as=self._run_as
        )

    def _program(self, program: Program) -> Verdict:
        if len(program.commands()) > MAX_COMMANDS:
            raise LimitError(f"it holds more than {MAX_COMMANDS} commands")
        scan = self._scan()
        parts: list[Part] = []
        facets: list[frozenset[Facet]] = []
        for pipeline in program.pipelines:
            found, seen = self._pipeline(pipeline, scan.pipeline(pipeline))
            parts += found
            facets.append(seen)
        if self._run_as is RunAs.ROOT and program.plain_argv() is None:
            parts = [part_asked(part, "root", _PLAIN) if part.tier is Tier.NOTIFY else part for part in parts]
        tier = strictest(*(part.tier for part in parts))
        return Verdict(
            tier=tier,
            reason=summary(parts, tier),
            parts=tuple(parts),
            line=self._line,
            program=program,
            run_as=self._run_as,
            facets=tuple(facets),
        )

    def _pipeline(self, pipeline: Pipeline, strict: Sequence[Sequence[Rule]]) -> tuple[list[Part], frozenset[Facet]]:
        parts = [self._simple(command, rules) for command, rules in zip(pipeline.stages, strict, strict=True)]
        facets = _NO_FACETS.union(*(part.facets for part in parts))
        if facets >= _NEVER_JOINED:
            allowed = (Tier.AUTO_ALLOW, Tier.NOTIFY)
            parts = [part_asked(part, "bus and sockets", _JOINED) if part.tier in allowed else part for part in parts]
            facets = _NO_FACETS
        return parts, facets

    def _simple(self, command: Simple, strict: Sequence[Rule]) -> Part:
        text = self._line[command.start : command.end]
        judgement = judge(self._book.knowledge, command.argv)
        facets = judgement.facets if judgement.harmless else _NO_FACETS
        rules = self._applying((*strict, *self._book.everything))
        blocked: list[tuple[Rule, str]] = []
        for rule in self._applying(self._book.covering(command)):
            if why := uncovered(rule, command.argv, judgement):
                blocked.append((rule, why[0]))
            else:
                rules.append(rule)
        if rules:
            part = part_of_rules(text, _speaking(rules), facets)
        else:
            why_not = why_unmatched(command, judgement, blocked)
            part = part_of_unmatched(text, why_not, self._book.unmatched, self._book.unmatched_ref, facets)
        return part_as_root(part, rules) if self._run_as is RunAs.ROOT else part

    def _scan(self) -> Scan:
        return Scan(self._book.searched, self._book.knowledge, cwd=self._cwd, home=self._principal.home)

    def _applying(self, rules: Iterable[Rule]) -> list[Rule]:
        return [rule for rule in rules if rule.applies(self._principal, self._run_as, self._cwd)]


def _speaking(rules: Sequence[Rule]) -> Sequence[Rule]:
    """The rules that count: defaults only where there is no other, or where they ask the same."""
    others = [rule.ref.tier for rule in rules if not rule.default]
    return rules if not others or strictest(*others) is Tier.REQUIRE_APPROVAL else [r for r in rules if not r.default]
