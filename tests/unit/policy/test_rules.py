"""Patterns read narrowly, what an allowing rule covers, and the conditions of `[[rule]]`."""

from pathlib import Path

import pytest

from aiosd.policy import FileAction, Policy, Program, load_policy, recognise
from aiosd.policy.rules import PatternError, parse_pattern
from aiosd.types import RunAs, Tier
from tests.unit.policy.samples import ALICE, BOB, DEFAULTS, OWNERS, policy_of, tiers, verdict, write_policy


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("ls", ["ls", "ls -l a", "'ls' a"], ["lsof", "/bin/ls", "./ls", "lsblk"]),
        ("ls*", ["ls", "ls -l a"], ["lsof"]),
        ("ls *", ["ls", "ls -l a"], ["lsof"]),
        ("git status", ["git status"], ["git status -s", "git", "git statusx", "git -C x status", "git log"]),
        ("git status*", ["git status", "git status -s x"], ["git statusx", "git", "git log", "git -P status"]),
        ("git status *", ["git status", "git status -s x"], ["git statusx", "git"]),
        (
            "pacman -Q*",
            ["pacman -Q", "pacman -Qi vim", "pacman -Q -i"],
            ["pacman -S", "pacman", "pacman -iQ", "pacman -"],
        ),
        ("pacman -S*", ["pacman -S vim", "pacman -Ss vim", "pacman -Syu"], ["pacman -R vim"]),
        ("git log --oneline*", ["git log --oneline", "git log --oneline -5"], ["git log --onelinex", "git log"]),
        ("echo a?", ["echo 'a?'"], ["echo a?", "echo ab"]),
        ("cat /etc/fstab", ["cat /etc/fstab"], ["cat /etc/passwd", "cat //etc/fstab", "cat /etc/fstab x"]),
    ],
)
def test_the_narrow_reading_is_word_by_word(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    parsed = parse_pattern(pattern)

    def covers(line: str) -> bool:
        program = recognise(line)
        assert isinstance(program, Program)
        return parsed.covers(program.commands()[0].argv)

    assert [line for line in covered if not covers(line)] == []
    assert [line for line in not_covered if covers(line)] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "empty"),
        ("*", "names no command"),
        ("-x", "names no command"),
        ("git * log", "in the middle"),
        ("g*t", "in the middle"),
        ("ls; rm", "in a pattern"),
        ("echo $x", "in a pattern"),
        ("echo 'a'", "in a pattern"),
        ("ls > x", "in a pattern"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        parse_pattern(pattern)


def test_auto_allow_never_makes_an_option_harmless(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        [permissions]
        auto_allow = ["sort", "find", "git log*", "pacman -Ss*", "mytool", "othertool status", "journalctl"]
        """,
    )
    expected = {
        "sort -n x": "auto_allow",
        "sort -o x": "require_approval",
        "find . -name x": "auto_allow",
        "find . -delete": "require_approval",
        "git log -5": "auto_allow",
        "git log --output=x": "require_approval",
        "pacman -Ss x": "auto_allow",
        "pacman -Syu": "require_approval",
        "mytool": "auto_allow",
        "mytool x": "require_approval",
        "mytool -v": "require_approval",
        "othertool status": "auto_allow",
        "othertool status x": "require_approval",
        "journalctl -n 5": "auto_allow",
        "journalctl --vacuum-size=1": "require_approval",
    }
    assert tiers(policy, list(expected)) == expected


def test_notify_covers_known_effects_with_ones_own_rights(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        [permissions]
        notify = [
            "git clone*", "mkdir", "curl -s*", "rm -r build", "find . -delete", "systemctl start*", "pacman -S*", "env",
            "mytool*", "timeout 5 make", "ps",
        ]
        """,
    )
    expected = {
        "git clone https://x/y": "notify",
        "git clone -u sh x": "require_approval",  # runs a program
        "git clone --unheard-of x": "require_approval",
        "mkdir -p a/b": "notify",
        "curl -s x": "notify",
        "curl -s -K x": "require_approval",
        "rm -r build": "notify",  # destroys, but is spelled out
        "rm -rf build": "require_approval",
        "rm -r x": "require_approval",
        "find . -delete": "notify",
        "find x -delete": "require_approval",
        "systemctl start x": "require_approval",  # needs root
        "pacman -S vim": "require_approval",
        "pacman -Ss vim": "notify",
        "env": "notify",
        "env ls": "require_approval",  # runs whatever follows
        "mytool go": "notify",
        "mytool --go": "require_approval",
        "timeout 5 make": "notify",  # spelled out whole
        "timeout 5 make x": "require_approval",
        "ps aux": "notify",
    }
    assert tiers(policy, list(expected)) == expected


def test_root_is_noticed_only_by_a_rule_that_says_root(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        [permissions]
        auto_allow = ["ls"]
        notify = ["systemctl restart*"]

        [[rule]]
        pattern = "systemctl restart nginx.service"
        tier = "notify"
        run_as = "root"
        reason = "The web server may be restarted."
        match = "systemctl restart nginx.service"
        no_match = "systemctl restart sshd"

        [[rule]]
        pattern = "systemctl restart secret"
        tier = "deny"
        run_as = "root"
        """,
    )
    noticed = verdict(policy, "sudo systemctl restart nginx.service")
    assert (noticed.tier, noticed.run_as, noticed.reason) == (
        Tier.NOTIFY,
        RunAs.ROOT,
        "The web server may be restarted.",
    )
    assert verdict(policy, "systemctl restart nginx.service", run_as=RunAs.ROOT).tier is Tier.NOTIFY
    asked = [
        "systemctl restart nginx.service",
        "sudo systemctl restart sshd",
        "sudo ls",
        "sudo systemctl restart nginx.service x",
    ]
    assert set(tiers(policy, asked).values()) == {"require_approval"}
    assert verdict(policy, "sudo systemctl restart nginx.service; sudo ls").tier is Tier.REQUIRE_APPROVAL
    assert verdict(policy, "sudo systemctl restart secret").tier is Tier.DENY
    assert verdict(policy, "systemctl restart secret").tier is Tier.REQUIRE_APPROVAL


def test_conditions_narrow_a_rule(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        [[rule]]
        command = "make"
        tier = "notify"
        user = ["alice", "carol"]
        cwd = "/home/alice/src/"

        [[rule]]
        pattern = ["git log*", "git diff*"]
        tier = "auto_allow"
        group = "wheel"

        [[rule]]
        tier = "deny"
        user = "bob"
        reason = "Bob is a guest."
        """,
    )
    assert verdict(policy, "git log", who=ALICE).tier is Tier.AUTO_ALLOW
    assert verdict(policy, "git diff --stat", who=ALICE).tier is Tier.AUTO_ALLOW
    bob = verdict(policy, "git log", who=BOB)
    assert (bob.tier, bob.reason) == (Tier.DENY, "Bob is a guest.")
    assert verdict(policy, "echo $x", who=BOB).tier is Tier.DENY
    read = FileAction(tool="read_file", path="/etc/fstab", writes=False)
    assert policy.evaluate(read, BOB).tier is Tier.DENY
    assert policy.evaluate(read, ALICE).tier is Tier.REQUIRE_APPROVAL


def test_a_directory_condition_means_it_and_all_below(tmp_path: Path) -> None:
    policy = policy_of(tmp_path / "policy", '[[rule]]\ncommand = "mkdir"\ntier = "notify"\ncwd = "/home/alice/src"\n')
    tier = {
        cwd: verdict(policy, "mkdir x", cwd=cwd).tier
        for cwd in ("/home/alice/src", "/home/alice/src/a", "/home/alice/srcx", "/")
    }
    assert list(tier.values()) == [Tier.NOTIFY, Tier.NOTIFY, Tier.REQUIRE_APPROVAL, Tier.REQUIRE_APPROVAL]


def test_file_tool_rules_take_paths(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        unmatched = "confine"

        [[rule]]
        tool = ["write_file:/home/alice/src/*", "edit_file:/home/alice/src/*"]
        tier = "notify"
        match = "write_file:/home/alice/src/a/b"
        no_match = ["write_file:/home/alice/srcx", "read_file:/home/alice/src/a"]

        [[rule]]
        tool = ["write_file:/etc/*", "edit_file:/etc/*", "read_file:/etc/shadow"]
        tier = "deny"
        suggest = "Ask an administrator."
        """,
    )

    def tier(tool: str, path: str) -> Tier:
        return policy.evaluate(FileAction(tool=tool, path=path, writes=tool != "read_file"), ALICE).tier

    assert tier("write_file", "/home/alice/src/a") is Tier.NOTIFY
    assert tier("write_file", "/home/alice/src/../.bashrc") is Tier.REQUIRE_APPROVAL
    assert tier("write_file", "/etc/passwd") is Tier.DENY
    assert tier("write_file", "/home/alice/src/../../../etc//passwd") is Tier.DENY
    assert tier("read_file", "/etc/passwd") is Tier.AUTO_ALLOW
    assert tier("read_file", "/etc/./shadow") is Tier.DENY
    denied = policy.evaluate(FileAction(tool="edit_file", path="/etc/x", writes=True), ALICE)
    assert denied.parts[0].suggest == "Ask an administrator."


def test_require_approval_is_wide_but_not_on_names(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        [permissions]
        auto_allow = ["apt-cache", "apt", "git", "dmesg", "systemctl"]
        require_approval = ["apt*", "git log --stat*", "systemctl stop*", "dmesg -T"]
        """,
    )
    expected = {
        "apt list": "require_approval",
        "apt-cache show x": "auto_allow",
        "git log": "auto_allow",
        "git log --stat": "require_approval",
        "git --no-pager log -5 --stat": "require_approval",
        "dmesg -T": "require_approval",
        "dmesg --ctime": "require_approval",
        "dmesg -xT": "require_approval",
        "dmesg": "auto_allow",
        "systemctl status stop": "require_approval",
        "systemctl status stopx": "auto_allow",
    }
    assert tiers(policy, list(expected)) == expected


def test_a_default_asks_only_where_no_other_rule_speaks(tmp_path: Path) -> None:
    def policy(permissions: str) -> Policy:
        return policy_of(
            tmp_path / "policy",
            f"""
            unmatched = "confine"
            [permissions]
            {permissions}
            [[rule]]
            command = "mkdir"
            tier = "require_approval"
            default = true
            reason = "It makes a folder."
            """,
        )

    said = {
        permissions: verdict(policy(permissions), "mkdir a")
        for permissions in ("", "notify = ['mkdir']", "require_approval = ['mkdir']", "deny = ['mkdir']")
    }
    assert [each.tier.value for each in said.values()] == ["require_approval", "notify", "require_approval", "deny"]
    assert said[""].reason == said["require_approval = ['mkdir']"].reason == "It makes a folder."
    assert verdict(policy("notify = ['mkdir b']"), "mkdir a").tier is Tier.REQUIRE_APPROVAL
    assert verdict(policy("notify = ['mkdir']"), "mkdir --unheard-of a").tier is Tier.REQUIRE_APPROVAL
    assert verdict(policy(""), "frobnicate").tier is Tier.AUTO_ALLOW


# The lists as people first wrote them for this system, beside the shipped policy.
_FIRST_LISTS = """
[permissions]
auto_allow = [
    "pacman -Q*", "pacman -Ss*", "systemctl status*", "ls", "cat", "grep", "find", "ps", "top", "df", "free", "uname",
]
notify = ["pacman -S*", "pacman -Sy*", "git clone*", "systemctl start*", "systemctl enable*"]
require_approval = ["pacman -R*", "rm -rf*", "systemctl stop*", "systemctl disable*", "dd*"]
deny = ["rm -rf /", "rm -rf /*", "mkfs*", ":(){ :|:& };:"]
"""


def test_the_plain_lists_work_beside_the_shipped_policy(tmp_path: Path) -> None:
    write_policy(tmp_path / "admin", _FIRST_LISTS)
    policy = load_policy([DEFAULTS, tmp_path / "admin"], owner_uids=OWNERS)
    expected = {
        "pacman -Q": "auto_allow",
        "pacman -Qdt": "auto_allow",
        "pacman -Ss editor": "notify",  # also one of `pacman -S*`, and the strictest counts
        "pacman -Si vim": "notify",
        "pacman -S vim": "require_approval",  # needs root, which a list cannot give
        "systemctl status sshd": "auto_allow",
        "git clone https://example.org/x": "notify",
        "git clone -c core.pager=x y": "require_approval",
        "systemctl start sshd": "require_approval",
        "find . -name x": "auto_allow",
        "find . -delete": "require_approval",
        "top -b -n 1": "auto_allow",
        "top": "require_approval",
        "rm -rf build": "require_approval",
        "rm -r build": "require_approval",
        "rm -rf /": "deny",
        "rm -fr /*": "deny",
        "rm -rf /home/x": "require_approval",
        "ddrescue a b": "auto_allow",  # nothing is known of it, so it runs where it cannot write
        "dd if=a of=b": "require_approval",
        "mkfs.ext4 x": "deny",
        ":(){ :|:& };:": "deny",
    }
    assert tiers(policy, list(expected)) == expected


def test_a_suggestion_and_all_rules_of_the_tier_are_in_the_verdict(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path / "policy",
        """
        [permissions]
        require_approval = ["rm"]
        [[rule]]
        pattern = "rm -r"
        tier = "require_approval"
        reason = "It removes a tree."
        suggest = "Name the files."
        """,
    )
    [part] = verdict(policy, "rm -r x").parts
    assert (part.reason, part.suggest, [(rule.name, rule.line) for rule in part.rules]) == (
        "It removes a tree.",
        "Name the files.",
        [("rm", 3), ("rm -r", 5)],
    )
