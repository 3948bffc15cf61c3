"""The policy as a whole: an action and a person in, a `Verdict` out. Pure: it reads no file and asks no clock.

It promises that the strictest rule over every part of an action decides, whatever the order; that what no rule speaks
of gets `unmatched`; that what cannot be read exactly is asked about, or runs where it can only read; that effects as
root are at least asked about unless a rule with `run_as = "root"` says `notify` of one plain command; and that
everything over a limit is denied. A rule marked as a default counts only where no other rule speaks, and of nothing
that the option data knows to be harmless. Where the
unmatched is confined, what a closed sandbox could not serve is asked about instead.
"""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from aiosd.policy.confine import why_not_confined, why_text_not_confined
from aiosd.policy.deny_scan import MAX_COMMANDS, LimitError, Scan
from aiosd.policy.explain import (
    Unmatched,
    at_least,
    denied,
    outside,
    part_as_root,
    part_asked,
    part_fenced_off,
    part_of_opaque,
    part_of_rules,
    part_of_unmatched,
    summary,
    why_unmatched,
)
from aiosd.policy.folders import NO_FOLDERS, Folders
from aiosd.policy.judge import Judgement, judge
from aiosd.policy.knowledge import Effect, Knowledge
from aiosd.policy.program import Opaque, Pipeline, Program, Simple
from aiosd.policy.recogniser import hides_characters, recognise
from aiosd.policy.root_prefix import strip_sudo
from aiosd.policy.rules import Rule, uncovered
from aiosd.policy.searched import Searched
from aiosd.policy.tools import FILE_TOOLS, MCP, WEB
from aiosd.policy.verdict import Action, CommandAction, FetchAction, FileAction, Part, RuleRef, ToolAction, Verdict
from aiosd.policy.wide import canonical_path
from aiosd.sandbox.bundle import PLACE
from aiosd.sandbox.folders import is_within
from aiosd.types import Facet, Principal, RunAs, Tier, strictest

MAX_LINE_BYTES: Final = 64 * 1024

_NO_FACETS: Final[frozenset[Facet]] = frozenset()
_NO_EFFECTS: Final[frozenset[Effect]] = frozenset()
_NEVER_JOINED: Final = frozenset((Facet.BUS, Facet.SOCKETS))
# A pattern of file names could become options, and a file be read or a second command fed, with root's rights.
_PLAIN: Final = "As root only one plain command runs unasked, without patterns, `~`, redirections or others beside it."
_JOINED: Final = "It cannot observe the bus and the network in one pipeline; propose them as two commands."


_WRITING: Final = frozenset((Effect.WRITES, Effect.CHANGES, Effect.DESTRUCTIVE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What holds for every action: the least strict tier there is, whether a line must be one plain command, and

    whether rules marked as a default count at all. `programs` are the only files (or folders of them) that a command
    may start; None where it may start any.
    """

    least: Tier = Tier.AUTO_ALLOW
    only_simple: bool = False
    questions: bool = True
    programs: tuple[str, ...] | None = None


class Policy:
    """All rules of all layers. Make it with `load_policy`; `digest` changes whenever a file of it does."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        unmatched: tuple[Unmatched, RuleRef],
        knowledge: Knowledge,
        folders: Folders = NO_FOLDERS,
        manner: Manner | None = None,
        digest: str = "",
    ) -> None:
        self.manner = manner or Manner()
        self.rules = tuple(rule for rule in rules if self.manner.questions or not rule.default)
        self.unmatched_choice = unmatched
        self.knowledge = knowledge
        self.folders = folders
        self.digest = digest
        self._book = _Rulebook(self.rules, unmatched, knowledge, self.manner)

    @property
    def unmatched(self) -> Unmatched:
        """What becomes of what no rule speaks of."""
        return self.unmatched_choice[0]

    def evaluate(self, action: Action, principal: Principal) -> Verdict:
        """The verdict on `action` if `principal` asks for it. Never raises for any text of an action."""
        match action:
            case CommandAction():
                verdict = _Evaluation(self._book, action, principal).verdict()
                programs = self.manner.programs
                return verdict if programs is None else replace(verdict, programs=programs)
            case FileAction():
                verdict = _evaluate_file(self._book, action, principal)
                part = part_fenced_off(verdict.parts[0], self.folders, action, principal)
                return Verdict(tier=part.tier, reason=part.reason, parts=(part,))
            case FetchAction():
                return _evaluate_fetch(self._book, action, principal)
            case ToolAction():
                return _evaluate_tool(self._book, action, principal)
            case _:
                assert_never(action)


class _Rulebook:
    """The rules, each where it is looked for."""

    def __init__(
        self, rules: Sequence[Rule], unmatched: tuple[Unmatched, RuleRef], knowledge: Knowledge, manner: Manner
    ) -> None:
        self.unmatched, self.unmatched_ref = unmatched
        # A tool of which nothing is known cannot be confined.
        confines = self.unmatched is Unmatched.CONFINE
        self.unmatched_of_others = Unmatched.REQUIRE_APPROVAL if confines else self.unmatched
        self.manner = manner
        self.knowledge = knowledge
        self.searched = Searched(rules, knowledge)
        self.tools = [rule for rule in rules if rule.tool is not None]
        self.everything = [rule for rule in rules if not (rule.pattern or rule.text or rule.tool)]
        self.unbound = frozenset(rule for rule in rules if rule.is_unbound())
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
    rules = [rule for rule in (*about, *book.everything) if rule.applies(principal, RunAs.USER, folder, action.machine)]
    unasked = (Tier.AUTO_ALLOW, Tier.NOTIFY)
    own = is_within(path, PLACE) and all(rule.default or rule.ref.tier in unasked for rule in rules)
    if own:
        ref = RuleRef(name=f"{PLACE}/*", tier=Tier.AUTO_ALLOW)
        part = Part(text=text, tier=Tier.AUTO_ALLOW, reason="It is the session's own.", rules=(ref,))
    elif rules:
        part = _grant(part_of_rules(text, _speaking(rules)), rules, _WRITING if action.writes else _NO_EFFECTS)
    else:
        unmatched = book.unmatched if action.tool in FILE_TOOLS else book.unmatched_of_others
        part = part_of_unmatched(text, f"No rule speaks of `{action.tool}`.", unmatched, book.unmatched_ref)
    if action.writes and part.tier is Tier.AUTO_ALLOW and not own:
        part = part_asked(part, "writes", f"`{action.tool}` writes, and what runs unasked only reads.")
    return _of_part(book, part)


def _evaluate_fetch(book: _Rulebook, action: FetchAction, principal: Principal) -> Verdict:
    text = f"{WEB} {action.url}"
    about = [rule for rule in book.tools if rule.tool is not None and rule.tool.covers(WEB, action.host)]
    rules = [rule for rule in (*about, *book.everything) if rule.applies(principal, RunAs.USER, "/")]
    if rules:
        part = _grant(part_of_rules(text, _speaking(rules)), rules, frozenset({Effect.NETWORK}))
    else:
        part = part_of_unmatched(text, f"No rule speaks of `{WEB}`.", book.unmatched_of_others, book.unmatched_ref)
    if part.tier is Tier.AUTO_ALLOW:
        part = part_asked(part, "network", f"`{WEB}` uses the network, and what runs unasked reaches nobody.")
    return _of_part(book, part)


def _evaluate_tool(book: _Rulebook, action: ToolAction, principal: Principal) -> Verdict:
    text = f"{MCP}:{action.name}"
    about = [rule for rule in book.tools if rule.tool is not None and rule.tool.covers(MCP, action.name)]
    rules = [rule for rule in (*about, *book.everything) if rule.applies(principal, RunAs.USER, "/")]
    if rules:
        part = _grant(part_of_rules(text, _speaking(rules)), rules, _NO_EFFECTS)
    else:
        why = f"No rule speaks of `{text}`, and what it does only its server knows."
        part = part_of_unmatched(text, why, book.unmatched_of_others, book.unmatched_ref)
    return _of_part(book, part)


def _of_part(book: _Rulebook, part: Part) -> Verdict:
    part = at_least(part, book.manner.least)
    return Verdict(tier=part.tier, reason=part.reason, parts=(part,))


def _grant(part: Part, rules: Sequence[Rule], effects: frozenset[Effect]) -> Part:
    """The part with what a notice lets it write and reach: what its rules say, else what the option data does."""
    if part.tier is not Tier.NOTIFY:
        return part
    writes: dict[str, None] = {}
    network: dict[str, None] = {}
    sockets: dict[str, None] = {}
    for rule in rules:
        if rule.ref.tier is Tier.NOTIFY:
            told = (rule.writes, rule.network, rule.sockets) != (None, None, None)
            writes.update(dict.fromkeys(rule.writes or (() if told or _WRITING.isdisjoint(effects) else ("/",))))
            network.update(dict.fromkeys(rule.network or (() if told or Effect.NETWORK not in effects else ("*",))))
            sockets.update(dict.fromkeys(rule.sockets or ()))
    return replace(part, writes=tuple(writes), network=tuple(network), sockets=tuple(sockets))


class _Evaluation:
    """One command action, one person."""

    def __init__(self, book: _Rulebook, action: CommandAction, principal: Principal) -> None:
        self._book = book
        self._principal = principal
        self._cwd = action.cwd
        self._line = action.line
        self._run_as = action.run_as
        self._machine = action.machine

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
        futile = ""
        denying = [rule for rule in rules if rule.ref.tier is Tier.DENY]
        if denying:
            part = part_of_rules(self._line, denying)
        elif self._book.manner.only_simple:
            return self._not_simple(opaque)
        elif self._book.unmatched is Unmatched.DENY:
            part = part_of_unmatched(self._line, outside(opaque), Unmatched.DENY, self._book.unmatched_ref)
        elif self._may_be_confined() and not rules and not (futile := self._why_futile()):
            part = part_of_unmatched(self._line, outside(opaque), Unmatched.CONFINE, self._book.unmatched_ref)
        else:
            part = part_of_opaque(self._line, opaque, rules, futile)
        part = at_least(part, self._book.manner.least)
        return Verdict(
            tier=part.tier, reason=part.reason, parts=(part,), line=self._line, opaque=opaque, run_as=self._run_as
        )

    def _may_be_confined(self) -> bool:
        """Whether an opaque line may run under a shell that can only read."""
        confines = self._book.unmatched is Unmatched.CONFINE and self._run_as is RunAs.USER
        return confines and bool(self._line.strip()) and not hides_characters(self._line)

    def _why_futile(self) -> str:
        return why_text_not_confined(self._book.knowledge, self._line)

    def _not_simple(self, opaque: Opaque | None = None) -> Verdict:
        why = outside(opaque) if opaque else "It is more than one plain command."
        ref = RuleRef(name="only_simple", tier=Tier.DENY)
        reason = f"{why} The policy denies all but single plain commands."
        part = Part(text=self._line, tier=Tier.DENY, reason=reason, rules=(ref,))
        return Verdict(
            tier=Tier.DENY, reason=reason, parts=(part,), line=self._line, opaque=opaque, run_as=self._run_as
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
        parts = [at_least(part, self._book.manner.least) for part in parts]
        tier = parts[0].tier if len(parts) == 1 else strictest(*[part.tier for part in parts])
        if self._book.manner.only_simple and tier is not Tier.DENY and not program.is_simple():
            return self._not_simple()
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
        facets = parts[0].facets if len(parts) == 1 else _NO_FACETS.union(*[part.facets for part in parts])
        if facets >= _NEVER_JOINED:
            allowed = (Tier.AUTO_ALLOW, Tier.NOTIFY)
            parts = [part_asked(part, "bus and sockets", _JOINED) if part.tier in allowed else part for part in parts]
            facets = _NO_FACETS
        return parts, facets

    def _simple(self, command: Simple, strict: Sequence[Rule]) -> Part:
        text = self._line[command.start : command.end]
        judgement = judge(self._book.knowledge, command.argv)
        facets = judgement.facets if judgement.harmless else _NO_FACETS
        # The vendor's questions are about what a command does; of a harmless one there is nothing to ask.
        asking = [rule for rule in strict if not rule.default] if judgement.harmless else strict
        rules = self._applying((*asking, *self._book.everything))
        blocked: list[tuple[Rule, str]] = []
        for rule in self._applying(self._book.covering(command)):
            if why := uncovered(rule, command.argv, judgement):
                blocked.append((rule, why[0]))
            else:
                rules.append(rule)
        if rules:
            part = part_of_rules(text, _speaking(rules), facets)
            if part.tier is Tier.NOTIFY:
                part = _grant(part, rules, frozenset(concern.effect for concern in judgement.concerns))
        else:
            part = self._unmatched(text, command, judgement, blocked)
        return part_as_root(part, rules) if self._run_as is RunAs.ROOT else part

    def _unmatched(self, text: str, command: Simple, judgement: Judgement, blocked: Sequence[tuple[Rule, str]]) -> Part:
        book = self._book
        why = why_unmatched(command, judgement, blocked)
        if book.unmatched is not Unmatched.CONFINE or judgement.harmless:
            facets = judgement.facets if judgement.harmless else _NO_FACETS
            return part_of_unmatched(text, why, book.unmatched, book.unmatched_ref, facets)
        if futile := why_not_confined(book.knowledge, command.argv, judgement):
            ref = replace(book.unmatched_ref, tier=Tier.REQUIRE_APPROVAL)
            return part_of_unmatched(text, futile, Unmatched.REQUIRE_APPROVAL, ref)
        return part_of_unmatched(text, why, Unmatched.CONFINE, book.unmatched_ref)

    def _scan(self) -> Scan:
        return Scan(self._book.searched, self._book.knowledge, cwd=self._cwd, home=self._principal.home)

    def _applying(self, rules: Iterable[Rule]) -> list[Rule]:
        return [
            rule
            for rule in rules
            if rule in self._book.unbound or rule.applies(self._principal, self._run_as, self._cwd, self._machine)
        ]


def _speaking(rules: Sequence[Rule]) -> Sequence[Rule]:
    """The rules that count: defaults only where there is no other, or where they ask the same."""
    others = [rule.ref.tier for rule in rules if not rule.default]
    return rules if not others or strictest(*others) is Tier.REQUIRE_APPROVAL else [r for r in rules if not r.default]
