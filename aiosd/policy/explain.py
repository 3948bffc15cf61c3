"""Parts of a verdict and the English of them: what each says to the person who approves and to the model that asked.

It decides nothing: the tier comes in, or follows from the rules given. Every reason is one or more whole sentences.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

from aiosd.policy.folders import Folders
from aiosd.policy.judge import Judgement
from aiosd.policy.program import Opaque, Simple
from aiosd.policy.rules import Rule
from aiosd.policy.verdict import FileAction, Part, RuleRef, Verdict
from aiosd.policy.wide import canonical_path
from aiosd.types import Facet, Principal, RunAs, Tier, strictest

_ABOUT_FOLDERS = frozenset(("glob", "grep"))


class Unmatched(StrEnum):
    """What becomes of a command that no rule speaks of; `confine` runs it where it can only read."""

    CONFINE = "confine"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"

    @property
    def tier(self) -> Tier:
        """The tier it stands for: confinement is what `auto_allow` gives."""
        return Tier.AUTO_ALLOW if self is Unmatched.CONFINE else Tier(self.value)


def part_of_rules(text: str, rules: Sequence[Rule], facets: frozenset[Facet] = frozenset()) -> Part:
    """The part that the strictest of `rules`, of which there is at least one, decide."""
    tier = rules[0].ref.tier if len(rules) == 1 else strictest(*[rule.ref.tier for rule in rules])
    speaking = [rule for rule in rules if rule.ref.tier is tier]
    name = speaking[0].ref.name
    match tier:
        case Tier.AUTO_ALLOW:
            reason = f"It only reads; the rule `{name}` allows it."
        case Tier.NOTIFY:
            reason = f"The rule `{name}` allows it, with a notice."
        case Tier.REQUIRE_APPROVAL:
            reason = f"The rule `{name}` asks a person first."
        case Tier.DENY:
            reason = f"The rule `{name}` denies it."
        case _:
            assert_never(tier)
    return Part(
        text=text,
        tier=tier,
        reason=" ".join(_reasons(speaking)) or reason,
        rules=_places(speaking),
        facets=facets,
        suggest=_suggestion(speaking),
    )


def part_of_unmatched(
    text: str, why: str, unmatched: Unmatched, ref: RuleRef, facets: frozenset[Facet] = frozenset()
) -> Part:
    """The part that no rule decides; `why` says so in a sentence."""
    match unmatched:
        case Unmatched.CONFINE:
            what = "It runs confined: it can read, and nothing else."
        case Unmatched.REQUIRE_APPROVAL:
            what = "A person must approve it."
        case Unmatched.DENY:
            what = "The policy denies what no rule allows."
        case _:
            assert_never(unmatched)
    return Part(text=text, tier=unmatched.tier, reason=f"{why} {what}", rules=(ref,), facets=facets)


def part_of_opaque(text: str, opaque: Opaque, rules: Sequence[Rule], futile: str = "") -> Part:
    """The part that a line outside the language is, where no rule denies it: asked, with what the rules add."""
    reasons = [outside(opaque), *([futile] if futile else []), "A person must approve its exact text."]
    reasons += _reasons(rules)
    ref = RuleRef(name="opaque", tier=Tier.REQUIRE_APPROVAL)
    refs = _places([rule for rule in rules if rule.ref.tier is ref.tier]) or (ref,)
    return Part(text=text, tier=ref.tier, reason=" ".join(reasons), rules=refs, suggest=_suggestion(rules))


def part_asked(part: Part, name: str, reason: str) -> Part:
    """`part`, asked about for a reason that is not a rule's."""
    ref = RuleRef(name=name, tier=Tier.REQUIRE_APPROVAL)
    return Part(text=part.text, tier=ref.tier, reason=reason, rules=(ref,))


def at_least(part: Part, least: Tier) -> Part:
    """`part`, asked about (or denied) where policy lets nothing pass with less."""
    if least is Tier.AUTO_ALLOW or part.tier.strictness >= least.strictness:
        return part
    ref = RuleRef(name="least", tier=least)
    reason = f"{part.reason} The policy lets nothing pass with less than {least}."
    return Part(text=part.text, tier=least, reason=reason, rules=(*part.rules, ref), suggest=part.suggest)


def part_as_root(part: Part, rules: Sequence[Rule]) -> Part:
    """The part when it runs as root: at least asked about, unless a rule that speaks of root gave its tier."""
    if part.tier is Tier.DENY or (part.tier is Tier.REQUIRE_APPROVAL and rules):
        return part
    if part.tier is Tier.NOTIFY and any(rule.run_as is RunAs.ROOT for rule in rules):
        return part
    return part_asked(part, "root", "It runs as root; a person must approve it.")


def part_fenced_off(part: Part, folders: Folders, action: FileAction, principal: Principal) -> Part:
    """`part`, denied where a folder rule denies the path as it is spelled; where a link leads, the kernel says no."""
    if not folders.rules or part.tier is Tier.DENY:
        return part
    path = canonical_path(action.path, "/", principal.home)
    hold = folders.find(path, principal.home)
    picked = action.tool not in _ABOUT_FOLDERS and hold.refuses(path)
    if hold.read and not picked and (hold.write is not False or not action.writes):
        return part
    kinds = "files of this kind" if hold.read and picked else "writing there" if hold.read else "reading it"
    rules = folders.speaking(hold, principal.home)
    refs = tuple(RuleRef(name=f"folder {rule.path}", tier=Tier.DENY, file=rule.file, line=rule.line) for rule in rules)
    reason = f"A folder policy for {hold.path} denies {kinds}."
    return Part(text=part.text, tier=Tier.DENY, reason=reason, rules=refs)


def denied(text: str, why: str) -> Verdict:
    """The verdict on what cannot even be judged; `why` is part of a sentence."""
    ref = RuleRef(name="limit", tier=Tier.DENY)
    reason = f"Not possible: {why}."
    return Verdict(tier=Tier.DENY, reason=reason, parts=(Part(text=text, tier=Tier.DENY, reason=reason, rules=(ref,)),))


def outside(opaque: Opaque) -> str:
    """Where and why a line leaves the language."""
    return f"The line cannot be checked word by word: at character {opaque.position + 1}, {opaque.reason}."


def why_unmatched(command: Simple, judgement: Judgement, blocked: Sequence[tuple[Rule, str]]) -> str:
    """Why no rule allows a command; `blocked` are rules whose pattern covers it, with what keeps them from it."""
    name = command.argv[0].text
    if blocked:
        rule, why = blocked[0]
        return f"The rule `{rule.ref.name}` does not reach this far: {why}."
    if "/" in name:
        return f"`{name}` is a path; rules that allow speak of commands by bare name."
    if judgement.known and judgement.concerns:
        return f"No rule allows this: {judgement.concerns[0].text}."
    return f"No rule speaks of `{name}`."


def summary(parts: Sequence[Part], tier: Tier) -> str:
    """The reason of a whole line, from the parts that give its tier."""
    deciding = [part for part in parts if part.tier is tier]
    if len(parts) == 1 or len({part.reason for part in deciding}) == 1:
        return deciding[0].reason
    if tier is Tier.AUTO_ALLOW:
        return "Every part may run unasked."
    said = [f"`{part.text}`: {part.reason}" for part in deciding[:3]]
    more = len(deciding) - len(said)
    return " ".join(said) + (f" And {more} more." if more else "")


def _places(rules: Sequence[Rule]) -> tuple[RuleRef, ...]:
    return tuple(dict.fromkeys([rule.ref for rule in rules])) if len(rules) > 1 else tuple(rule.ref for rule in rules)


def _reasons(rules: Sequence[Rule]) -> list[str]:
    return list(dict.fromkeys(rule.reason for rule in rules if rule.reason))


def _suggestion(rules: Sequence[Rule]) -> str:
    return next((rule.suggest for rule in rules if rule.suggest), "")
