"""What only root can see, as a closed table: each observation is a name, and a command line that nobody can change."""

from dataclasses import dataclass

# What the guard itself knows of a person: nothing runs for it, and each sees their own.
OWN = ("approvals", "record")

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
