"""What would let an action pass that is asked about or denied: each proposal is tried on the policy before it is made.

For people who ask why; deciding needs none of it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from aiosd.policy.engine import Policy
from aiosd.policy.judge import judge
from aiosd.policy.program import Simple
from aiosd.policy.rules import PatternError, Rule, parse_pattern
from aiosd.policy.tools import WEB, parse_tool_pattern
from aiosd.policy.verdict import Action, CommandAction, FetchAction, FileAction, Part, RuleRef, ToolAction, Verdict
from aiosd.types import Principal, RunAs, Tier

_PASSES: Final = (Tier.AUTO_ALLOW, Tier.NOTIFY)
_MOST_PARTS: Final = 8  # each is tried with a policy of its own


def with_remedies(policy: Policy, action: Action, principal: Principal, verdict: Verdict) -> Verdict:
    """`verdict` with a remedy for each part that does not pass; empty where nothing was found."""
    finder = _Finder(policy, principal)
    if not isinstance(action, CommandAction):
        (part,) = verdict.parts
        return replace(verdict, parts=(replace(part, remedy=finder.of_tool(action, part)),))
    if verdict.opaque is not None:
        (part,) = verdict.parts
        place = verdict.opaque.position + 1
        said = "" if part.tier in _PASSES else f"Plain commands only, without what stands at character {place}."
        return replace(verdict, parts=(replace(part, remedy=said),))
    if verdict.program is None:
        return verdict
    action = replace(action, run_as=verdict.run_as)
    parts: list[Part] = []
    for part, command in zip(verdict.parts, verdict.program.commands(), strict=False):
        asked = part.tier not in _PASSES and sum(bool(each.remedy) for each in parts) < _MOST_PARTS
        parts.append(replace(part, remedy=finder.of_command(action, part, command)) if asked else part)
    return replace(verdict, parts=tuple(parts)) if len(parts) == len(verdict.parts) else verdict


class _Finder:
    def __init__(self, policy: Policy, principal: Principal) -> None:
        self._policy = policy
        self._principal = principal

    def of_tool(self, action: FileAction | FetchAction | ToolAction, part: Part) -> str:
        if part.tier in _PASSES:
            return ""
        match action:
            case ToolAction():
                text = f"mcp:{action.name}"
            case FetchAction():
                text = f"{WEB}:{action.host}"
            case _:
                text = f"{action.tool}:{action.path}"
        rule = Rule(ref=RuleRef(name=text, tier=Tier.NOTIFY), tool=parse_tool_pattern(text))
        if self._passes(action, rule):
            return f'A rule could allow it: [[rule]] tool = "{text}", tier = "notify".'
        return _by_rules(part)

    def of_command(self, action: CommandAction, part: Part, command: Simple) -> str:
        action = replace(action, line=part.text)
        if said := self._without_options(action, command):
            return said
        for run_as in dict.fromkeys((action.run_as, RunAs.ROOT)):
            for rule in _allowing(command, run_as):
                if self._passes(replace(action, run_as=run_as), rule):
                    return _render(rule, action.run_as)
        return _by_rules(part)

    def _without_options(self, action: CommandAction, command: Simple) -> str:
        """The options that stand between it and passing, where the command without them is still one."""
        concerns = judge(self._policy.knowledge, command.argv).concerns
        at_fault = sorted({each.at for each in concerns if command.argv[each.at].text.startswith("-")})
        if not at_fault or len(concerns) != len(at_fault):
            return ""
        kept = [word.text for at, word in enumerate(command.argv) if at not in at_fault]
        if any(not _is_plain(word) for word in kept) or not self._passes(replace(action, line=" ".join(kept))):
            return ""
        return f"Without {' and '.join(f'`{command.argv[at].text}`' for at in at_fault)} it would run."

    def _passes(self, action: Action, rule: Rule | None = None) -> bool:
        policy = self._policy
        if rule is not None:
            policy = Policy(
                rules=[*policy.rules, rule],
                unmatched=policy.unmatched_choice,
                knowledge=policy.knowledge,
                folders=policy.folders,
                manner=policy.manner,
            )
        return policy.evaluate(action, self._principal).tier in _PASSES


def _allowing(command: Simple, run_as: RunAs) -> Iterator[Rule]:
    """Rules that would allow just this command, then any of its name."""
    words = [word.text for word in command.argv]
    for text in dict.fromkeys((" ".join(words), words[0])):
        try:
            pattern = parse_pattern(text)
        except PatternError:
            continue
        if "/" not in pattern.words[0]:
            as_root = run_as if run_as is RunAs.ROOT else None
            yield Rule(ref=RuleRef(name=text, tier=Tier.NOTIFY), pattern=pattern, run_as=as_root)


def _render(rule: Rule, asked: RunAs) -> str:
    if rule.run_as is not RunAs.ROOT:
        return f'A rule could allow it: [permissions] notify = ["{rule.ref.name}"].'
    how = "A rule could allow it" if asked is RunAs.ROOT else "As root (`sudo` before it) a rule could allow it"
    return f'{how}: [[rule]] pattern = "{rule.ref.name}", run_as = "root", tier = "notify".'


def _by_rules(part: Part) -> str:
    rules = [rule for rule in part.rules if rule.file]
    if not rules:
        return ""
    return f"No rule that allows reaches it while {rules[0].file}:{rules[0].line} (`{rules[0].name}`) stands."


def _is_plain(word: str) -> bool:
    return bool(word) and all(char.isalnum() or char in "-_./=:,+@%" for char in word)
