"""The closed table of what only root sees: which names there are, who may look, what would run."""

import pytest

from aiosd.guard.observations import OBSERVATIONS
from aiosd.guard.observe import ObserveAction, find_argv, is_possible_name, judge_observation
from aiosd.types import Principal, RunAs, Tier

_ADMIN_GROUPS = ("wheel", "sudo")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def _person(uid: int, *groups: str) -> Principal:
    return Principal(uid=uid, gid=uid, user=f"u{uid}", home="/", groups=groups)


@pytest.mark.parametrize(
    ("action", "possible"),
    [
        *((ObserveAction(what=what), not one.named) for what, one in OBSERVATIONS.items()),
        (ObserveAction(what="unit_journal", name="nginx.service"), True),
        (ObserveAction(what="unit_journal", name="getty@tty1.service"), True),
        (ObserveAction(what="unit_journal", name=r"dev-disk-by\x2duuid.swap"), True),
        (ObserveAction(what="unit_journal", name="nginx"), False),
        (ObserveAction(what="unit_journal", name="*.service"), False),
        (ObserveAction(what="unit_journal", name="[a-z].service"), False),
        (ObserveAction(what="unit_journal", name="--file=/etc/shadow.service"), False),
        (ObserveAction(what="unit_journal", name="a b.service"), False),
        (ObserveAction(what="unit_journal", name="a.service\n"), False),
        (ObserveAction(what="unit_journal", name="../a.service"), False),
        (ObserveAction(what="unit_journal", name=f"{'a' * 300}.service"), False),
        (ObserveAction(what="sshd", name="nginx.service"), False),
        (ObserveAction(what="shadow"), False),
        (ObserveAction(what=""), False),
        (ObserveAction(what="approvals"), False),
    ],
)
def test_only_names_of_the_table_are_taken_and_a_unit_where_one_belongs(action: ObserveAction, possible: bool) -> None:
    assert is_possible_name(action) is possible


@pytest.mark.parametrize(
    ("principal", "tier"),
    [
        (_person(0), Tier.NOTIFY),
        (_person(1000, "alice", "wheel"), Tier.NOTIFY),
        (_person(1000, "alice", "sudo"), Tier.NOTIFY),
        (_person(1001, "bob", "systemd-journal", "adm"), Tier.DENY),
        (_person(1001), Tier.DENY),
    ],
)
@pytest.mark.parametrize("what", OBSERVATIONS)
def test_root_and_administrators_see_and_others_are_told_what_they_do_not(
    what: str, principal: Principal, tier: Tier
) -> None:
    verdict = judge_observation(ObserveAction(what=what), principal, _ADMIN_GROUPS)
    assert (verdict.tier, verdict.run_as, verdict.line) == (tier, RunAs.ROOT, f"observe {what}")
    shows = OBSERVATIONS[what].shows
    denied = f"only root and members of wheel, sudo are shown {shows}"
    assert verdict.reason == (denied if tier is Tier.DENY else f"Root is asked to show {shows}.")


def test_the_configuration_says_who_administers() -> None:
    bob = _person(1001, "ops")
    assert judge_observation(ObserveAction(what="sshd"), bob, ("ops",)).tier is Tier.NOTIFY
    assert judge_observation(ObserveAction(what="sshd"), bob, ()).tier is Tier.DENY
    assert judge_observation(ObserveAction(what="sshd"), _person(0), ()).tier is Tier.NOTIFY


def test_what_runs_is_of_the_table_and_the_name_is_one_word() -> None:
    action = ObserveAction(what="unit_journal", name=r"a\x2db.service")
    assert find_argv(action, _PATH)[-1] == r"--unit=a\x2db.service"
    assert all(find_argv(ObserveAction(what=what), _PATH)[0] for what in ("listeners", "nopasswd"))


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"^nft or iptables-save$"):
        find_argv(ObserveAction(what="firewall"), "/nonexistent")


def test_nothing_in_the_table_is_a_shell_or_changes_anything() -> None:
    programs = {argv[0] for one in OBSERVATIONS.values() for argv in one.commands}
    assert programs == {"ss", "grep", "sshd", "nft", "iptables-save", "journalctl"}
