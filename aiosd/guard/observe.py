"""What only root can see, as a closed table: each observation is a name, and a command line that nobody can change.

Owns the table and who may look. An observation runs as root, so it is for root and for members of `admin_groups`, and
is announced; everybody else is told what they cannot see. One takes a name, checked here; none takes anything else.
"""

import re
import shutil
from dataclasses import dataclass

from aiosd.policy import Part, RuleRef, Verdict
from aiosd.types import Principal, RunAs, Tier

# What the guard itself knows of a person: nothing runs for it, and each sees their own.
OWN = ("approvals", "record")

_RULE = RuleRef(name="observations", tier=Tier.NOTIFY)
# systemd.unit(5), without the characters of a pattern; one that starts with a dash would be an option.
_UNIT = re.compile(
    r"[A-Za-z0-9_:@\\][A-Za-z0-9_:.@\\-]{0,240}\.(?:service|socket|timer|mount|target|path|slice|scope|swap)"
)
_AUTH = ("SYSLOG_FACILITY=4", "SYSLOG_FACILITY=10")
_JOURNAL = ("journalctl", "--no-pager", "--output=short-iso")
# PAM, sshd, login, su and sudo each have words of their own for it; all of them write to auth or authpriv (syslog(3)).
_FAILURES = "authentication failure|Failed (password|publickey|none) for|Invalid user|FAILED LOGIN|FAILED SU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """`shows` says what, for people. The first of `commands` whose program is there runs; a status in `fine` is none
    of trouble. With `named`, a unit's name is put in the place of `{}`."""

    shows: str
    commands: tuple[tuple[str, ...], ...]
    fine: tuple[int, ...] = (0,)
    named: bool = False


OBSERVATIONS = {
    "listeners": Observation(shows="which process listens on which port", commands=(("ss", "-tulpnH", "--cgroup"),)),
    "nopasswd": Observation(
        shows="which sudo rules need no password",
        commands=(("grep", "-rnE", r"^[^#]*\b(NOPASSWD|!authenticate)", "/etc/sudoers", "/etc/sudoers.d"),),
        fine=(0, 1),
    ),
    "sshd": Observation(shows="sshd's effective settings", commands=(("sshd", "-T"),)),
    "firewall": Observation(
        shows="the firewall's rules", commands=(("nft", "list", "ruleset"), ("iptables-save",))
    ),
    "failed_logins": Observation(
        shows="failed logins of the last 7 days",
        commands=((*_JOURNAL, "--since=-7d", "--lines=1000", f"--grep={_FAILURES}", *_AUTH),),
        fine=(0, 1),
    ),
    "logins": Observation(
        shows="the last logins",
        commands=((*_JOURNAL, "--lines=50", "--identifier=systemd-logind", "--grep=New session"),),
        fine=(0, 1),
    ),
    "journal_errors": Observation(
        shows="errors in the system's journal since the boot",
        commands=((*_JOURNAL, "--boot", "--priority=err", "--lines=200"),),
        fine=(0, 1),
    ),
    "kernel_messages": Observation(
        shows="the kernel's messages since the boot", commands=((*_JOURNAL, "--dmesg", "--boot", "--lines=40"),),
        fine=(0, 1),
    ),
    "unit_journal": Observation(
        shows="the last entries of a unit's journal",
        commands=((*_JOURNAL, "--lines=30", "--unit={}"),),
        fine=(0, 1),
        named=True,
    ),
}  # fmt: skip


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
