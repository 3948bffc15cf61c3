"""A rule that lets a command run as root unasked: exactly that command, for exactly that person, nothing beside it."""

from pathlib import Path

import pytest

from aiosd.policy import CommandAction, Policy, Verdict, load_policy
from aiosd.types import Principal, RunAs, Tier

AI = Principal(uid=1600, gid=1600, user="ai", home="/home/ai", groups=("ai",))
BOB = Principal(uid=1001, gid=1001, user="bob", home="/home/bob", groups=("bob",))
VENDOR = Path(__file__).parents[3] / "aiosd" / "policy" / "defaults"
RULE = """
[[rule]]
pattern = ["pacman -S*", "systemctl restart*", "tee /etc/motd", "cat"]
tier = "notify"
run_as = "root"
user = "ai"
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = tmp_path_factory.mktemp("policy")
    folder.chmod(0o755)
    (folder / "50-root.toml").write_text(RULE, encoding="utf-8")
    owners = frozenset({0, folder.stat().st_uid, VENDOR.stat().st_uid})
    return load_policy([VENDOR, folder], owner_uids=owners)


def _verdict(policy: Policy, line: str, principal: Principal = AI, run_as: RunAs = RunAs.USER) -> Verdict:
    return policy.evaluate(CommandAction(line=line, cwd="/home/ai", run_as=run_as), principal)


@pytest.mark.parametrize(
    "line",
    [
        "sudo pacman -S hello",
        "sudo pacman -S --noconfirm hello",
        "sudo -n pacman -Syu",
        "sudo pacman -S 'hello'",
        "sudo systemctl restart nginx",
        "sudo cat /var/log/pacman.log",
    ],
)
def test_what_the_rule_names_runs_as_root_with_a_notice(policy: Policy, line: str) -> None:
    said = _verdict(policy, line)
    assert (said.tier, said.run_as) == (Tier.NOTIFY, RunAs.ROOT), said.reason
    assert said.program is not None
    assert said.program.plain_argv() is not None


@pytest.mark.parametrize(
    "line",
    [
        "sudo pacman -R hello",
        "sudo pacman -U ./hello.pkg.tar.zst",
        "sudo pacman -S --config ./mine hello",
        "sudo pacman -S --hookdir . hello",
        "sudo pacman -S --dbpath . hello",
        "sudo pacman -S --root . hello",
        "sudo pacman -S --overwrite '*' hello",
        "sudo pacman -S -U ./hello.pkg.tar.zst",
        "sudo pacman -S *",  # a file named --config=...
        "sudo pacman -S hel?o",
        "sudo cat ~/.bashrc",
        "sudo pacman -S - < /etc/shadow",
        "sudo cat < /etc/shadow",
        "sudo pacman -S hello 2>/dev/null",
        "sudo pacman -S hello | tee /etc/motd",
        "sudo cat /etc/shadow | tee /etc/motd",
        "sudo pacman -S hello && sudo systemctl restart nginx",
        "sudo pacman -S hello; sudo pacman -R hello",
        "sudo pacman -S $(cat list)",
        "sudo pacman -S hello > /etc/passwd",
        "sudo sh -c 'pacman -S hello'",
        "sudo env pacman -S hello",
        "sudo ./pacman -S hello",
        "sudo /tmp/pacman -S hello",
        "sudo PATH=/tmp pacman -S hello",
        "PATH=/tmp sudo pacman -S hello",
        "sudo ls /root",
    ],
)
def test_everything_beside_it_is_asked(policy: Policy, line: str) -> None:
    said = _verdict(policy, line)
    assert said.tier is Tier.REQUIRE_APPROVAL, said


@pytest.mark.parametrize(
    "line", ["sudo pacman -S hello; sudo rm -rf /", "sudo pacman -S hello && sudo mkfs.ext4 /dev/sda"]
)
def test_deny_still_denies(policy: Policy, line: str) -> None:
    assert _verdict(policy, line).tier is Tier.DENY


def test_it_is_for_the_person_it_names_and_for_root_alone(policy: Policy) -> None:
    assert _verdict(policy, "sudo pacman -S hello", BOB).tier is Tier.REQUIRE_APPROVAL
    as_user = _verdict(policy, "pacman -S hello")
    assert (as_user.tier, as_user.run_as) == (Tier.REQUIRE_APPROVAL, RunAs.USER)
    asked = _verdict(policy, "pacman -S hello", run_as=RunAs.ROOT)
    assert (asked.tier, asked.run_as) == (Tier.NOTIFY, RunAs.ROOT)
