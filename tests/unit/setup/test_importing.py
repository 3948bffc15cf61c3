"""A founding `config.toml` as rules of ours: each entry, why it became what it did, and a policy that loads."""

from pathlib import Path

import pytest

from aiosd.policy import CommandAction, Policy, load_policy
from aiosd.setup.importing import ImportRefusedError, render, translate
from aiosd.types import Principal, Tier
from tests.unit.policy.samples import DEFAULTS, OWNERS, write_policy

# As it stands in the founding README, comments and all.
FOUNDING = """\
[permissions]
# Auto-allow (no approval)
auto_allow = ["pacman -Q*", "ls", "cat"]
# Notify (log only)
notify = ["pacman -S*", "git clone*"]
# Require approval
require_approval = ["rm -rf*", "systemctl stop*"]
# Deny
deny = ["rm -rf /", "mkfs*"]
"""
AI = Principal(uid=1600, gid=1600, user="ai", home="/home/ai", groups=("ai",))
BOB = Principal(uid=1001, gid=1001, user="bob", home="/home/bob", groups=("bob",))


def _policy(folder: Path, text: str) -> Policy:
    write_policy(folder, render(translate(text.encode(), "config.toml"), "ai", "config.toml"))
    return load_policy([DEFAULTS, folder], owner_uids=OWNERS)


def _tier(policy: Policy, line: str, who: Principal = AI) -> Tier:
    return policy.evaluate(CommandAction(line=line, cwd="/home/ai"), who).tier


def test_each_founding_entry_says_what_became_of_it() -> None:
    imported = translate(FOUNDING.encode(), "config.toml")
    assert [entry.describe() for entry in imported.entries] == [
        'line 3: auto_allow "pacman -Q*" becomes auto_allow: with the options that only read',
        'line 3: auto_allow "ls" becomes auto_allow: with the options that only read',
        'line 3: auto_allow "cat" becomes auto_allow: with the options that only read',
        'line 5: notify "pacman -S*" becomes notify as root: it needs root; announced, and only as one plain command',
        'line 5: notify "git clone*" becomes require_approval: it may write files and use the network',
        'line 7: require_approval "rm -rf*" becomes require_approval',
        'line 7: require_approval "systemctl stop*" becomes require_approval',
        'line 9: deny "rm -rf /" becomes deny',
        'line 9: deny "mkfs*" becomes deny',
    ]
    assert imported.ignored == ()


@pytest.mark.parametrize(
    ("line", "tier", "others"),
    [
        ("pacman -Qi bash", "auto_allow", "auto_allow"),
        ("ls -la", "auto_allow", "auto_allow"),
        ("cat /etc/os-release", "auto_allow", "auto_allow"),
        ("sudo pacman -S hello", "notify", "require_approval"),
        ("sudo pacman -Syu", "notify", "require_approval"),
        ("sudo pacman -R hello", "require_approval", "require_approval"),
        ("sudo pacman -U ./x.pkg.tar.zst", "require_approval", "require_approval"),
        ("sudo pacman -S hello | tee log", "require_approval", "require_approval"),
        ("git clone https://example.org/x", "require_approval", "require_approval"),
        ("rm -rf build", "require_approval", "require_approval"),
        ("sudo systemctl stop nginx", "require_approval", "require_approval"),
        ("rm -rf /", "deny", "deny"),
        ("sudo mkfs.ext4 /dev/sdb", "deny", "deny"),
    ],
)
def test_the_founding_file_means_what_it_said_and_for_its_user_alone(
    tmp_path: Path, line: str, tier: str, others: str
) -> None:
    policy = _policy(tmp_path / "policy.d", FOUNDING)
    assert (_tier(policy, line), _tier(policy, line, BOB)) == (tier, others)


@pytest.mark.parametrize(
    ("entry", "became"),
    [
        ('auto_allow = ["rm"]', "require_approval"),
        ('auto_allow = ["sort -o*"]', "require_approval"),
        ('auto_allow = ["pacman -S*"]', "notify as root"),
        ('auto_allow = ["frobnicate"]', "auto_allow"),
        ('auto_allow = ["/usr/bin/ls"]', "require_approval"),
        ('auto_allow = ["ls | sort"]', "left out"),
        ('auto_allow = ["a*b c"]', "left out"),
        ('notify = ["bash*"]', "notify"),
        ('notify = ["sudo pacman -S*"]', "notify as root"),
        ('notify = ["sudo frobnicate*"]', "require_approval"),
        ('notify = ["sudo ls"]', "require_approval"),
        ('require_approval = ["sudo ls"]', "require_approval"),
        ('deny = [":(){ :|:& };:"]', "deny"),
        ('deny = ["> /dev/sda"]', "deny"),
    ],
)
def test_what_cannot_be_as_it_says_becomes_stricter_or_is_left_out(tmp_path: Path, entry: str, became: str) -> None:
    text = f"[permissions]\n{entry}\n"
    (only,) = translate(text.encode(), "config.toml").entries
    assert f" becomes {became}" in only.describe()
    if only.tier is None or only.tier is not only.source:
        assert only.why
    _policy(tmp_path / "policy.d", text)  # which loads


def test_a_strict_entry_with_sudo_still_holds(tmp_path: Path) -> None:
    policy = _policy(tmp_path / "policy.d", '[permissions]\ndeny = ["sudo rm -r /srv"]\n')
    assert _tier(policy, "sudo rm -rf /srv") is Tier.DENY
    assert _tier(policy, "sudo rm -rf /srv/x") is Tier.REQUIRE_APPROVAL


def test_nothing_in_a_pattern_leaves_its_line(tmp_path: Path) -> None:
    text = '[permissions]\nauto_allow = ["a\\"\\n[[rule]]\\npattern = \\"rm"]\ndeny = ["x\\u007f\\n y"]\n'
    policy = _policy(tmp_path / "policy.d", text)
    assert {rule.ref.name for rule in policy.rules if rule.ref.file.startswith(str(tmp_path))} == {"x\x7f y"}


def test_what_else_the_file_says_is_named() -> None:
    text = 'name = "aios"\n[permissions]\nallow = ["x"]\nauto_allow = []\n[memory]\n'
    assert translate(text.encode(), "config.toml").ignored == ("name", "memory", "permissions.allow")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[permissions\n", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"x = 1\n", r"has no \[permissions\]"),
        (b"permissions = 1\n", r"has no \[permissions\]"),
        (b'[permissions]\ndeny = "rm"\n', "deny is not a list of texts"),
        (b"[permissions]\ndeny = [1]\n", "deny is not a list of texts"),
        (b'[permissions]\ndeny = [" "]\n', "deny is not a list of texts"),
        (b'[permissions]\nrequire_approval = ["a | b"]\n', "config.toml:2: require_approval 'a | b'"),
        (b'[permissions]\ndeny = ["* rm"]\n', "config.toml:2: deny"),
        (b"#" * 70_000, "is over 64 KiB"),
    ],
)
def test_a_file_that_is_none_or_whose_ban_would_be_lost_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ImportRefusedError, match=message) as raised:
        translate(content, "config.toml")
    assert raised.value.hint
