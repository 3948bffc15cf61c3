"""Rules: a pattern over one simple command, for whom it counts, the tier it gives; and what an allowing rule covers.

A pattern is words. On the allow side it is compared with the argv as it stands: a bare word takes any arguments,
several words are compared one by one, and a `*` joined to the last takes any further arguments (and the modifiers of an
option cluster: `pacman -Q*`). What those arguments do is never the pattern's to say: `uncovered` holds it against the
option knowledge. The wide reading, for rules that ask or deny, is `wide`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiosd.policy.judge import Concern, Judgement
from aiosd.policy.knowledge import Effect
from aiosd.policy.program import Word
from aiosd.policy.tools import ToolPattern
from aiosd.policy.verdict import RuleRef
from aiosd.types import Principal, RunAs, Tier

_SHELL_CHARACTERS: Final = frozenset(";|&(){}<>$`'\"\\")
# What a notice is enough for, when the pattern takes it in: effects with the person's own rights that the data names.
_SPELLED_IS_ENOUGH: Final = frozenset((Effect.DESTRUCTIVE, Effect.UNKNOWN))
_NOTICE_IS_ENOUGH: Final = frozenset((Effect.WRITES, Effect.NETWORK, Effect.CHANGES, Effect.ENDLESS, Effect.MISLEADS))
# In `machine`: this host, and every machine.
HOST: Final = "host"
ANY: Final = "*"


class PatternError(ValueError):
    """A pattern that cannot be what was meant; the second argument says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Words of one simple command; `open` when a `*` was joined to the last one (and is left out of `words`)."""

    words: tuple[str, ...]
    open: bool = False

    def covers(self, argv: Sequence[Word]) -> bool:
        """The narrow reading: whether `argv` is one of the commands that the pattern names."""
        if len(self.words) == 1:
            return argv[0].text == self.words[0]
        count = len(self.words)
        if len(argv) < count or (len(argv) > count and not self.open):
            return False
        last = self.words[-1]
        cluster = self.open and last[:1] == "-" and last[:2] != "--"
        exact = count - 1 if cluster else count
        if any(word.pattern is not None or word.text != self.words[at] for at, word in enumerate(argv[:exact])):
            return False
        return not cluster or argv[exact].text.startswith(last)

    def spells(self, at: int) -> bool:
        """Whether the word at `at` of a covered argv is written out in the pattern, and not taken in by its `*`."""
        return at < len(self.words) - (self.open and self.words[-1][:1] == "-" and self.words[-1][:2] != "--")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # one rule is one line of one file
class Rule:
    """One line of policy: what it is about, for whom, and the tier it gives. Conditions left empty always hold.

    A `default` asks only where no other rule speaks: it can be overridden by any rule that allows. `writes`,
    `network` and `sockets` are what it grants where it notifies; None where it does not say, and the option data does.
    """

    ref: RuleRef
    pattern: Pattern | None = None
    text: str = ""
    tool: ToolPattern | None = None
    reason: str = ""
    suggest: str = ""
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    run_as: RunAs | None = None
    cwd: str = ""
    machines: frozenset[str] = frozenset()
    writes: tuple[str, ...] | None = None
    network: tuple[str, ...] | None = None
    sockets: tuple[str, ...] | None = None
    default: bool = False

    @property
    def allows(self) -> bool:
        return self.ref.tier in (Tier.AUTO_ALLOW, Tier.NOTIFY)

    def is_unbound(self) -> bool:
        """Whether it counts for everybody, everywhere."""
        return not (self.allows or self.run_as or self.machines or self.users or self.groups or self.cwd)

    def covers(self, argv: Sequence[Word]) -> bool:
        """The narrow reading of its pattern; a rule without one covers no command."""
        return self.pattern is not None and self.pattern.covers(argv)

    def applies(self, principal: Principal, run_as: RunAs, cwd: str, machine: str = "") -> bool:
        """Whether the rule is about this person, these rights, this directory and this machine ("" is the host).

        A rule that allows and speaks of no `run_as`, or no `machine`, is about the person's own rights, or the host.
        """
        asked = self.run_as or (RunAs.USER if self.allows else run_as)
        there = bool(self.machines & {ANY, machine or HOST}) if self.machines else not (machine and self.allows)
        return (
            asked is run_as
            and there
            and (not self.users or principal.user in self.users)
            and (not self.groups or not self.groups.isdisjoint(principal.groups))
            and (not self.cwd or cwd == self.cwd or cwd.startswith(self.cwd.rstrip("/") + "/"))
        )


def parse_pattern(text: str) -> Pattern:
    """A pattern over a simple command. Raises PatternError(message, hint)."""
    words = text.split()
    if not words:
        raise PatternError("an empty pattern", "name a command")
    if strange := _SHELL_CHARACTERS.intersection(text):
        listed = " ".join(sorted(strange))
        raise PatternError(
            f"{listed} in a pattern",
            "a pattern is about one simple command, without quotes or operators; only deny takes shell text",
        )
    opened = words[-1].endswith("*")
    if words[-1] == "*":
        words.pop()
    elif opened:
        words[-1] = words[-1][:-1]
    if not words or not words[0] or words[0].startswith("-"):
        raise PatternError(f"the pattern {text!r} names no command", "begin with the name of a command")
    if any("*" in word for word in words):
        raise PatternError("a * in the middle of a pattern", "a * stands at the end, joined to the last word")
    return Pattern(words=tuple(words), open=opened)


def uncovered(rule: Rule, argv: Sequence[Word], judgement: Judgement) -> tuple[str, ...]:
    """Why an allowing rule, whose pattern covers `argv`, still does not allow it; empty when it does.

    `auto_allow` covers what is harmless and nothing else, but for a command that it names and that does not end: its
    time does. `notify` covers also what writes, changes state or uses the network with the person's own rights; what
    destroys, or is unknown, only where the pattern spells it out; what runs other programs only where the pattern
    spells out the whole argv, or the subcommand that does; what needs root only in a rule with `run_as`.
    """
    assert rule.pattern is not None
    if not judgement.known:
        loose = [word.text for at, word in enumerate(argv) if not rule.pattern.spells(at)]
        if rule.ref.tier is Tier.AUTO_ALLOW and loose:
            return tuple(concern.text for concern in judgement.concerns)
        return tuple(f"`{text}` is not known to be harmless" for text in loose if text.startswith("-"))
    if rule.ref.tier is Tier.AUTO_ALLOW:
        return tuple(concern.text for concern in judgement.concerns if not _is_chosen(rule, concern))
    whole = all(rule.pattern.spells(at) for at in range(len(argv)))
    return tuple(
        concern.text
        for concern in judgement.concerns
        if concern.effect not in _NOTICE_IS_ENOUGH
        and not (concern.effect is Effect.ROOT and rule.run_as is RunAs.ROOT)
        and not (concern.effect is not Effect.ROOT and whole)
        and not (concern.effect is Effect.RUNS and _is_subcommand(rule, argv, concern))
        and not (concern.effect in _SPELLED_IS_ENOUGH and not concern.incomplete and rule.pattern.spells(concern.at))
    )


def _is_chosen(rule: Rule, concern: Concern) -> bool:
    assert rule.pattern is not None
    return concern.effect is Effect.ENDLESS and rule.pattern.spells(concern.at)


def _is_subcommand(rule: Rule, argv: Sequence[Word], concern: Concern) -> bool:
    """`cargo install*`: that it builds what it brings is what the pattern says; `env*` says nothing of what it runs."""
    assert rule.pattern is not None
    return concern.at > 0 and argv[concern.at].text[:1] != "-" and rule.pattern.spells(concern.at)
