"""The policy as a whole: an action and a person in, a `Verdict` out. Pure: it reads no file and asks no clock.

It promises that the strictest rule over every part of an action decides, whatever the order; that what no rule speaks
of gets `unmatched`; that what cannot be read exactly is at least asked about; that effects as root are at least asked
about unless an administrator's rule with `run_as = "root"` says `notify`; and that everything over a limit is denied.
"""

import posixpath
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, assert_never

from aiosd.policy.deny_scan import MAX_DEPTH, Scan, TooDeepError, search_for
from aiosd.policy.judge import Judgement, judge
from aiosd.policy.knowledge import Knowledge
from aiosd.policy.program import Opaque, Pipeline, Program, Simple
from aiosd.policy.recogniser import recognise
from aiosd.policy.root_prefix import strip_sudo
from aiosd.policy.rules import Rule, uncovered
from aiosd.policy.verdict import Action, CommandAction, FileAction, Part, RuleRef, Verdict
from aiosd.policy.wide import canonical_path
from aiosd.types import Facet, Principal, RunAs, Tier, strictest

MAX_LINE_BYTES: Final = 64 * 1024
MAX_COMMANDS: Final = 256

_NO_FACETS: Final[frozenset[Facet]] = frozenset()
_NEVER_JOINED: Final = frozenset((Facet.BUS, Facet.SOCKETS))
_JOINED = "It cannot observe the bus and the network in one pipeline; propose them as two commands."


class Unmatched(StrEnum):
    """What becomes of a command that no rule speaks of; `confine` runs it where it can only read."""

    CONFINE = "confine"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"

    @property
    def tier(self) -> Tier:
        """The tier it stands for: confinement is what `auto_allow` gives."""
        return Tier.AUTO_ALLOW if self is Unmatched.CONFINE else Tier(self.value)


class Policy:
    """All rules of all layers. Make it with `load_policy`; `digest` changes whenever a file of it does."""

    def __init__(
        self, *, rules: Sequence[Rule], unmatched: tuple[Unmatched, RuleRef], knowledge: Knowledge, digest: str = ""
    ) -> None:
        self.rules = tuple(rules)
        self.unmatched, self._unmatched_ref = unmatched
        self.digest = digest
        self._knowledge = knowledge
        self._searched = search_for(rules, knowledge)
        self._everything = [rule for rule in rules if not (rule.pattern or rule.text or rule.tool)]
        self._allowing: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.allows and rule.pattern is not None:
                self._allowing.setdefault(rule.pattern.words[0], []).append(rule)

    def evaluate(self, action: Action, principal: Principal) -> Verdict:
        """The verdict on `action` if `principal` asks for it. Never raises for any text of an action."""
        match action:
            case CommandAction():
                return _Evaluation(self, action, principal).verdict()
            case FileAction():
                return self._evaluate_file(action, principal)
            case _:
                assert_never(action)

    def _evaluate_file(self, action: FileAction, principal: Principal) -> Verdict:
        text = f"{action.tool} {action.path}"
        if not action.path.startswith("/") or "\0" in action.path:
            return _denied(text, "the path is not absolute", "path")
        path = canonical_path(action.path, "/", principal.home)
        folder = posixpath.dirname(path)
        rules = [
            rule
            for rule in self.rules
            if ((rule.tool is not None and rule.tool.covers(action.tool, path)) or rule in self._everything)
            and rule.applies(principal, RunAs.USER, folder)
        ]
        tier = strictest(*(rule.ref.tier for rule in rules)) if rules else self.unmatched.tier
        part = _part_of_rules(text, tier, rules)
        if not rules:
            part = self.unmatched_part(text, f"No rule speaks of `{action.tool}`.", _NO_FACETS)
        if action.writes and part.tier is Tier.AUTO_ALLOW:
            reason = f"`{action.tool}` writes, and what runs unasked only reads."
            part = Part(text=text, tier=Tier.REQUIRE_APPROVAL, reason=reason, rules=(self._unmatched_ref,))
        return Verdict(tier=part.tier, reason=part.reason, parts=(part,))

    def unmatched_part(self, text: str, reason: str, facets: frozenset[Facet], suggest: str = "") -> Part:
        """A part that no rule decides."""
        match self.unmatched:
            case Unmatched.CONFINE:
                reason += " It runs confined: it can read, and nothing else."
            case Unmatched.REQUIRE_APPROVAL:
                reason += " A person must approve it."
            case Unmatched.DENY:
                reason += " The policy denies what no rule allows."
        return Part(
            text=text,
            tier=self.unmatched.tier,
            reason=reason,
            rules=(self._unmatched_ref,),
            facets=facets,
            suggest=suggest,
        )

    def scan(self, cwd: str, home: str) -> Scan:
        """A search for the strict rules of this policy."""
        return Scan(self._searched, self._knowledge, cwd=cwd, home=home)

    def judge(self, command: Simple) -> Judgement:
        """What the option data knows of a command."""
        return judge(self._knowledge, command.argv)

    def allowing(self, command: Simple) -> list[Rule]:
        """The allowing rules whose pattern covers the command."""
        return [rule for rule in self._allowing.get(command.argv[0].text, ()) if rule.covers(command.argv)]

    def about_everything(self) -> list[Rule]:
        """The rules that name no command and no tool."""
        return self._everything

    @property
    def unmatched_ref(self) -> RuleRef:
        """Where `unmatched` is said."""
        return self._unmatched_ref


class _Evaluation:
    """One command action, one person."""

    def __init__(self, policy: Policy, action: CommandAction, principal: Principal) -> None:
        self._policy = policy
        self._principal = principal
        self._cwd = action.cwd
        self._line = action.line
        self._run_as = action.run_as

    def verdict(self) -> Verdict:
        if len(self._line.encode("utf-8", "surrogatepass")) > MAX_LINE_BYTES:
            return _denied(self._line[:200] + "…", "the line is longer than 64 KiB", "limit")
        self._line, program, as_root = strip_sudo(self._line, recognise(self._line))
        if as_root:
            self._run_as = RunAs.ROOT
        try:
            if isinstance(program, Opaque):
                return self._opaque(program)
            if len(program.commands()) > MAX_COMMANDS:
                return _denied(self._line, f"the line has more than {MAX_COMMANDS} commands", "limit")
            return self._program(program)
        except TooDeepError:
            return _denied(self._line, f"more than {MAX_DEPTH} commands are wrapped in each other", "limit")

    def _opaque(self, opaque: Opaque) -> Verdict:
        scan = self._policy.scan(self._cwd, self._principal.home)
        scan.text(self._line)
        rules = self._applying([*scan.found, *self._policy.about_everything()])
        denies = [rule for rule in rules if rule.ref.tier is Tier.DENY]
        outside = f"The line cannot be checked word by word: at character {opaque.position + 1}, {opaque.reason}."
        if denies:
            part = _part_of_rules(self._line, Tier.DENY, denies)
        elif self._policy.unmatched is Unmatched.DENY:
            part = self._policy.unmatched_part(self._line, outside, _NO_FACETS)
        else:
            reason = " ".join([outside, "A person must approve its exact text.", *_reasons(rules)])
            suggest = next((rule.suggest for rule in rules if rule.suggest), "")
            refs = tuple(rule.ref for rule in rules) or (RuleRef(name="opaque", tier=Tier.REQUIRE_APPROVAL),)
            part = Part(text=self._line, tier=Tier.REQUIRE_APPROVAL, reason=reason, rules=refs, suggest=suggest)
        return Verdict(
            tier=part.tier, reason=part.reason, parts=(part,), line=self._line, opaque=opaque, run_as=self._run_as
        )

    def _program(self, program: Program) -> Verdict:
        scan = self._policy.scan(self._cwd, self._principal.home)
        parts: list[Part] = []
        facets: list[frozenset[Facet]] = []
        for pipeline in program.pipelines:
            found, seen = self._pipeline(pipeline, scan.pipeline(pipeline))
            parts += found
            facets.append(seen)
        tier = strictest(*(part.tier for part in parts))
        return Verdict(
            tier=tier,
            reason=_summary(parts, tier),
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
            ref = RuleRef(name="bus and sockets", tier=Tier.REQUIRE_APPROVAL)
            parts = [
                part
                if part.tier.strictness >= ref.tier.strictness
                else Part(text=part.text, tier=ref.tier, reason=_JOINED, rules=(ref,))
                for part in parts
            ]
            facets = _NO_FACETS
        return parts, facets

    def _simple(self, command: Simple, strict: Sequence[Rule]) -> Part:
        text = self._line[command.start : command.end]
        judgement = self._policy.judge(command)
        facets = judgement.facets if judgement.known else _NO_FACETS
        rules = self._applying([*strict, *self._policy.about_everything()])
        blocked: list[tuple[Rule, str]] = []
        for rule in self._applying(self._policy.allowing(command)):
            if why := uncovered(rule, command.argv, judgement):
                blocked.append((rule, why[0]))
            else:
                rules.append(rule)
        if rules:
            part = _part_of_rules(text, strictest(*(rule.ref.tier for rule in rules)), rules, facets)
        else:
            part = self._policy.unmatched_part(text, _why_unmatched(command, judgement, blocked), facets)
        if self._run_as is RunAs.ROOT and part.tier is not Tier.DENY:
            return _as_root(part, rules)
        return part

    def _applying(self, rules: Sequence[Rule]) -> list[Rule]:
        return [rule for rule in rules if rule.applies(self._principal, self._run_as, self._cwd)]


def _part_of_rules(text: str, tier: Tier, rules: Sequence[Rule], facets: frozenset[Facet] = _NO_FACETS) -> Part:
    """The part that `rules`, of which the strictest give `tier`, decide."""
    speaking = [rule for rule in rules if rule.ref.tier is tier]
    reasons = _reasons(speaking)
    name = speaking[0].ref.name
    match tier:
        case Tier.AUTO_ALLOW:
            default = f"It only reads; the rule `{name}` allows it."
        case Tier.NOTIFY:
            default = f"The rule `{name}` allows it, with a notice."
        case Tier.REQUIRE_APPROVAL:
            default = f"The rule `{name}` asks a person first."
        case Tier.DENY:
            default = f"The rule `{name}` denies it."
        case _:
            assert_never(tier)
    return Part(
        text=text,
        tier=tier,
        reason=" ".join(reasons) or default,
        rules=tuple(dict.fromkeys(rule.ref for rule in speaking)),
        facets=facets,
        suggest=next((rule.suggest for rule in speaking if rule.suggest), ""),
    )


def _reasons(rules: Sequence[Rule]) -> list[str]:
    return list(dict.fromkeys(rule.reason for rule in rules if rule.reason))


def _why_unmatched(command: Simple, judgement: Judgement, blocked: Sequence[tuple[Rule, str]]) -> str:
    name = command.argv[0].text
    if blocked:
        rule, why = blocked[0]
        return f"The rule `{rule.ref.name}` does not reach this far: {why}."
    if "/" in name:
        return f"`{name}` is a path; rules that allow speak of commands by bare name."
    if judgement.known and judgement.concerns:
        return f"No rule allows this: {judgement.concerns[0].text}."
    return f"No rule speaks of `{name}`."


def _as_root(part: Part, rules: Sequence[Rule]) -> Part:
    """The part when it runs as root: at least asked about, unless a rule that speaks of root gave its tier."""
    if part.tier is Tier.REQUIRE_APPROVAL and rules:
        return part
    if part.tier is Tier.NOTIFY and any(rule.run_as is RunAs.ROOT for rule in rules):
        return part
    ref = RuleRef(name="root", tier=Tier.REQUIRE_APPROVAL)
    return Part(text=part.text, tier=ref.tier, reason="It runs as root; a person must approve it.", rules=(ref,))


def _summary(parts: Sequence[Part], tier: Tier) -> str:
    deciding = [part for part in parts if part.tier is tier]
    if len(parts) == 1 or len({part.reason for part in deciding}) == 1:
        return deciding[0].reason
    if tier is Tier.AUTO_ALLOW:
        return "Every part may run unasked."
    said = [f"`{part.text}`: {part.reason}" for part in deciding[:3]]
    more = len(deciding) - len(said)
    return " ".join(said) + (f" And {more} more." if more else "")


def _denied(text: str, why: str, name: str) -> Verdict:
    ref = RuleRef(name=name, tier=Tier.DENY)
    reason = f"Not possible: {why}."
    return Verdict(tier=Tier.DENY, reason=reason, parts=(Part(text=text, tier=Tier.DENY, reason=reason, rules=(ref,)),))
