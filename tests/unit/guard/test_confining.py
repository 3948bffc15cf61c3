"""In what an action runs where the policy lists the programs that may be started."""

from dataclasses import replace

import pytest

from aiosd.guard.confining import ROOT_AND_PROGRAMS, confine
from aiosd.guard.root import render_narrow
from aiosd.policy import CommandAction, Part, Verdict
from aiosd.sandbox.profile import ProfileError, ProfileName
from aiosd.types import RunAs, Tier
from tests.unit.policy.samples import ALICE

_ACTION = CommandAction(line="id", cwd="/")


@pytest.mark.parametrize(
    ("tier", "name"),
    [
        (Tier.AUTO_ALLOW, ProfileName.READ_ONLY),
        (Tier.NOTIFY, ProfileName.READ_ONLY),
        (Tier.REQUIRE_APPROVAL, ProfileName.USER),
    ],
)
def test_the_list_of_the_policy_holds_in_every_sandbox(tier: Tier, name: ProfileName) -> None:
    verdict = Verdict(tier=tier, reason="", parts=(), line="id", programs=("/usr/bin/id",))
    _run_as, (profile,) = confine(ALICE, _ACTION, verdict, root=True)
    assert (profile.name, profile.programs) == (name, ("/usr/bin/id",))
    assert profile.describe().endswith(", starts listed programs only")


def test_nothing_runs_as_root_under_it() -> None:
    verdict = Verdict(tier=Tier.REQUIRE_APPROVAL, reason="", parts=(), line="id", run_as=RunAs.ROOT)
    assert confine(ALICE, _ACTION, verdict, root=True)[1][0].name is ProfileName.ROOT
    listed = Verdict(tier=Tier.REQUIRE_APPROVAL, reason="", parts=(), line="id", run_as=RunAs.ROOT, programs=("/x",))
    with pytest.raises(ProfileError) as caught:
        confine(ALICE, _ACTION, listed, root=True)
    assert str(caught.value) == ROOT_AND_PROGRAMS


def test_what_a_rule_lets_root_write_is_all_that_it_writes() -> None:
    action = CommandAction(line="sudo touch x", cwd="/srv/desk")
    part = Part(text="touch x", tier=Tier.NOTIFY, reason="", rules=(), writes=("/srv/open", ".", "~/x"))
    for tier, writes, said in (
        (Tier.NOTIFY, part.writes, ("/srv/open", "/srv/desk", "/root/x")),
        (Tier.NOTIFY, ("/",), ()),
        (Tier.REQUIRE_APPROVAL, part.writes, ()),
    ):
        parts = (replace(part, tier=tier, writes=writes),)
        verdict = Verdict(tier=tier, reason="", parts=parts, line=action.line, run_as=RunAs.ROOT)
        _run_as, (profile,) = confine(ALICE, action, verdict, root=True)
        assert (profile.name, profile.writes) == (ProfileName.ROOT, said)
        assert ("writes below" in profile.describe()) is bool(said)
    assert render_narrow(()) == ()
    assert render_narrow(('/srv/a "b"\\c',))[-1] == 'ReadWritePaths="-/srv/a \\"b\\"\\\\c"'
    assert "PrivateTmp=no" in render_narrow(("/tmp/x",))
    assert "PrivateTmp=yes" in render_narrow(("/tmpx",))
