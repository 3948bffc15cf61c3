"""What only root can see (the table is in `observations`): who may look, and what then runs.

An observation runs as root, so it is for root and for members of `admin_groups`, and
is announced; everybody else is told what they cannot see. One takes a name, checked here; none takes anything else.
"""

import re
import shutil
from dataclasses import dataclass

from aiosd.guard.observations import OBSERVATIONS
from aiosd.policy import Part, RuleRef, Verdict
from aiosd.types import Principal, RunAs, Tier

_RULE = RuleRef(name="observations", tier=Tier.NOTIFY)
# systemd.unit(5), without the characters of a pattern; one that starts with a dash would be an option.
_UNIT = re.compile(
    r"[A-Za-z0-9_:@\\][A-Za-z0-9_:.@\\-]{0,240}\.(?:service|socket|timer|mount|target|path|slice|scope|swap)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveAction:
    """An observation by its name; `name` is the unit, where it takes one."""

    what: str
    name: str = ""

    @property
    def text(self) -> str:
        """As it is recorded."""
        return f"observe {self.what} {self.name}".rstrip()


def is_possible_name(action: ObserveAction) -> bool:
    """Whether the table has such an observation, with a name where it takes one and none where it does not."""
    if action.what not in OBSERVATIONS:
        return False
    return _UNIT.fullmatch(action.name) is not None if OBSERVATIONS[action.what].named else not action.name


def may_observe(principal: Principal, admin_groups: tuple[str, ...]) -> bool:
    """Whether they see what root sees."""
    return principal.uid == 0 or not set(principal.groups).isdisjoint(admin_groups)


def judge_observation(action: ObserveAction, principal: Principal, admin_groups: tuple[str, ...]) -> Verdict:
    """The verdict: `notify`, or `deny` for who may not look."""
    shows = OBSERVATIONS[action.what].shows
    if may_observe(principal, admin_groups):
        part = Part(text=action.text, tier=Tier.NOTIFY, reason=f"Root is asked to show {shows}.", rules=(_RULE,))
    else:
        groups = f" and members of {', '.join(admin_groups)}" if admin_groups else ""
        reason = f"only root{groups} are shown {shows}"
        rule = RuleRef(name=_RULE.name, tier=Tier.DENY)
        part = Part(text=action.text, tier=Tier.DENY, reason=reason, rules=(rule,))
    return Verdict(tier=part.tier, reason=part.reason, parts=(part,), line=action.text, run_as=RunAs.ROOT)


def find_argv(action: ObserveAction, path: str) -> tuple[str, ...]:
    """What runs, its program found on `path`. FileNotFoundError with their names, where this machine has none."""
    commands = OBSERVATIONS[action.what].commands
    for argv in commands:
        if shutil.which(argv[0], path=path):
            return tuple(word.replace("{}", action.name) for word in argv)
    raise FileNotFoundError(" or ".join(argv[0] for argv in commands))
