"""Each known way to talk a command gate round, by the rows of docs/defences.md; each with its twin."""

import random
from pathlib import Path

import pytest

from aiosd.policy import CommandAction, Policy, PolicyError, recognise
from aiosd.policy.program import Opaque
from aiosd.sandbox.profile import Profile, ProfileName, render_environment
from aiosd.types import RunAs, Tier
from tests.unit.policy.corpus import read_corpus
from tests.unit.policy.samples import ALICE, asking_policy, policy_of, shipped_policy, tiers, verdict

_STRICT = (Tier.REQUIRE_APPROVAL, Tier.DENY)


def _loose(row: str) -> list[str]:
    """The lines of the corpus' section of that row that would run by a rule."""
    lines = [judged.line for judged in read_corpus("harmful") if judged.reason.startswith(f"{row}:")]
    assert len(lines) >= 5
    return [line for line in lines if verdict(asking_policy(), line).tier not in _STRICT]


def _held(*lines: str) -> list[str]:
    return [line for line in lines if verdict(asking_policy(), line).tier is not Tier.AUTO_ALLOW]


def test_a1_an_operator_brings_in_no_second_command() -> None:
    assert _loose("A1") == []


def test_a1_twin_listed_commands_may_be_joined() -> None:
    assert _held("ls; df", "ls && df -h", "ls || id", "ls | wc -l", "ls\ndf", "lsblk; lsof -p 1") == []


def test_a2_no_hidden_or_control_character_is_read_past() -> None:
    assert _loose("A2") == []
    for code in (*range(1, 9), *range(11, 32), 127, 0x85, 0xA0, 0xAD, 0x200B, 0x2028, 0x2029, 0x202E, 0xFEFF, 0xE000):
        assert isinstance(recognise(f"ls a{chr(code)}b"), Opaque), hex(code)
        assert verdict(shipped_policy(), f"ls {chr(code)}").tier in _STRICT, hex(code)


def test_a2_twin_tabs_newlines_and_other_scripts_are_text() -> None:
    assert _held("ls\t-l", "ls\ndf", "cat メモ.txt", "grep -n größe notes", "echo 'naïve – yes'") == []


def test_a3_every_stage_of_a_pipe_counts() -> None:
    assert _loose("A3") == []


def test_a3_twin_a_pipe_of_listed_stages_runs() -> None:
    assert _held("ps aux | grep nginx | wc -l", "sort a | uniq -c | sort -rn | head -5") == []


def test_a4_a_substitution_leaves_the_language() -> None:
    assert _loose("A4") == []


def test_a4_twin_a_dollar_that_is_only_text_stays_in_it() -> None:
    assert _held("echo '$(id)'", "grep '`x`' notes", r"echo \$HOME", "grep -n '${x}' script") == []


def test_a5_a_line_continued_inside_a_word_leaves_the_language() -> None:
    assert _loose("A5") == []
    for line in ("l\\\ns", 'echo "a\\\nb"', "ls a\\\nb", "ls 'a'\\\n'b'"):
        assert isinstance(recognise(line), Opaque), line


def test_a5_twin_a_line_continued_between_words_runs() -> None:
    assert _held("ls \\\n -l", "ps aux \\\n  | wc -l") == []


def test_a6_nothing_sets_the_environment_of_what_runs_unasked() -> None:
    assert _loose("A6") == []
    for line in (
        "A=b ls",
        "export A=b; ls",
        "declare -x A; ls",
        "unset A; ls",
        "alias ls=x; ls",
        "A+=b ls",
        "set -a; ls",
    ):
        assert isinstance(recognise(line), Opaque), line


def test_a6_twin_a_command_that_shows_its_environment_runs_in_the_golden_one() -> None:
    assert _held("env", "printenv PATH") == []
    environment = dict(render_environment(Profile(name=ProfileName.READ_ONLY), user="alice", home="/home/alice"))
    assert environment["PATH"].split(":")[0].startswith("/usr/")
    assert not [name for name in environment if name.startswith(("LD_", "BASH_", "PYTHON", "PERL"))]


def test_a7_a_dangerous_option_of_a_harmless_tool_is_asked_about() -> None:
    assert _loose("A7") == []


def test_a7_twin_its_harmless_cousins_run() -> None:
    lines = """find . -type f -printf %p; sort -u -k2 x; rg -n x; sed -n 1p x; sed -e s/a/b/ x; tar -tf a.tar; ip addr
    git diff --stat; journalctl -u x -n 5; systemctl status x; date -d now; pacman -Qi bash"""
    assert _held(*(line.strip() for line in lines.replace("\n", ";").split(";"))) == []


def test_a8_an_abbreviated_or_clustered_option_hides_nothing() -> None:
    assert _loose("A8") == []


def test_a8_twin_clusters_of_harmless_flags_run() -> None:
    assert _held("sort -rnu x", "ls -lahtr", "ps -eo pid,comm", "grep -rniE a .", "sort --reverse x") == []


def test_a9_what_is_a_value_and_what_an_option_is_known_by_arity() -> None:
    assert _loose("A9") == []
    assert verdict(asking_policy(), "sort -k 1 -o out in").tier in _STRICT
    assert verdict(asking_policy(), "lsof -i -k x").tier in _STRICT
    assert verdict(asking_policy(), "grep --color -o x; ls --color --frob").tier in _STRICT


def test_a9_twin_a_value_that_looks_like_an_option_is_a_value() -> None:
    assert _held("grep -e -o notes", "git log --grep --output", "find . -name -delete", "ls -- --frob") == []


def test_a10_what_runs_another_command_is_not_harmless() -> None:
    assert _loose("A10") == []


def test_a10_twin_the_command_itself_runs_and_the_name_of_a_wrapper_is_text() -> None:
    assert _held("ls", "echo sudo", "grep -n 'sudo rm' history", "which xargs", "ps -C bash") == []


def test_a11_only_a_bare_name_is_the_command_that_a_rule_names() -> None:
    assert _loose("A11") == []
    for line in ("./ls", "/tmp/ls", "bin/git status", "~/bin/ls", "LS", "/usr/bin/ls"):
        assert verdict(asking_policy(), line).tier in _STRICT, line


def test_a11_twin_the_bare_name_runs_and_a_path_may_be_its_operand() -> None:
    assert _held("ls ./ls", "cat /tmp/ls", "git status") == []


def test_a12_a_redirection_that_writes_leaves_the_language() -> None:
    assert _loose("A12") == []


def test_a12_twin_redirections_that_write_nothing_run() -> None:
    assert _held("ls >/dev/null", "ls 2>&1", "ls 2>/dev/null | wc -l", "wc -l < notes", "ls >/dev/null 2>&1") == []


def test_a13_nothing_changes_the_directory_before_a_command() -> None:
    assert _loose("A13") == []
    assert isinstance(recognise("cd /tmp; ls"), Opaque)
    assert verdict(shipped_policy(), "cd / && rm -rf *").tier is Tier.DENY


def test_a13_twin_the_directory_of_the_session_is_the_one_that_counts() -> None:
    assert _held("ls", "ls ../x", "pwd") == []
    assert verdict(shipped_policy(), "rm -rf *", cwd="/").tier is Tier.DENY
    assert verdict(shipped_policy(), "rm -rf *", cwd="/srv/x").tier is Tier.REQUIRE_APPROVAL


def test_a14_git_is_given_no_configuration_and_no_other_repository() -> None:
    for line in (
        "git -c core.fsmonitor=./x status",
        "git --git-dir=x status",
        "git -C /tmp/x log",
        "git log --ext-diff",
    ):
        assert verdict(asking_policy(), line).tier in _STRICT, line
    environment = dict(render_environment(Profile(name=ProfileName.READ_ONLY), user="alice", home="/home/alice"))
    pinned = {environment[f"GIT_CONFIG_KEY_{at}"]: environment[f"GIT_CONFIG_VALUE_{at}"] for at in range(4)}
    assert (environment["GIT_CONFIG_GLOBAL"], environment["GIT_CONFIG_NOSYSTEM"]) == ("/dev/null", "1")
    assert pinned["core.fsmonitor"] == "false"
    assert pinned["core.hooksPath"] == "/dev/null"
    assert pinned["safe.bareRepository"] == "explicit"


def test_a14_twin_git_reads_its_repository() -> None:
    assert _held("git status", "git log -p", "git diff", "git --no-pager show HEAD") == []


@pytest.mark.parametrize(
    "line",
    [
        "ls " + "x" * 65_536,
        ";".join(["ls"] * 257),
        "sh -c " * 40 + "ls",
        "ls;" * 300 + "rm -rf /",
        "env " * 5000 + "rm -rf /",
    ],
    ids=["too long", "too many commands", "too deep", "a deny behind many", "a deny behind wrappers"],
)
def test_a15_a_line_over_a_limit_is_denied(line: str) -> None:
    assert verdict(shipped_policy(), line).tier is Tier.DENY


def test_a15_twin_a_long_line_within_the_limits_runs() -> None:
    assert _held("ls " + "x" * 60_000, ";".join(["ls"] * 256)) == []


def test_a16_the_strictest_rule_wins_in_any_order(tmp_path: Path) -> None:
    lists = [
        "auto_allow = ['ls', 'git status*', 'cat']",
        "notify = ['touch', 'ls -l']",
        "require_approval = ['cat /etc/shadow', 'rm']",
        "deny = ['ls -l /root', 'rm -r /', 'cat']",
    ]
    lines = ["ls", "ls -l", "ls -l /root", "ls /root -l", "cat x", "rm -rf /", "touch a; rm b", "git status; cat x"]
    said = []
    for seed in range(6):
        random.Random(seed).shuffle(lists)
        policy = policy_of(tmp_path / str(seed), "[permissions]\n" + "\n".join(lists))
        said.append(tiers(policy, lines))
    assert all(each == said[0] for each in said)
    assert list(said[0].values()) == [
        "auto_allow", "notify", "deny", "deny", "deny", "deny", "require_approval", "deny",
    ]  # fmt: skip


def test_a16_twin_without_the_stricter_rule_the_looser_one_counts(tmp_path: Path) -> None:
    policy = policy_of(tmp_path / "p", "[permissions]\nauto_allow = ['cat']\nnotify = ['touch']\n")
    assert tiers(policy, ["cat x", "touch a"]) == {"cat x": "auto_allow", "touch a": "notify"}


def test_a17_no_check_that_says_yes_ends_the_others() -> None:
    for line in (
        "git commit -m x > ~/.bashrc",
        "ls > x",
        "ls; ls; ls; touch x",
        "echo ok && ls -l && rm x",
        "ls | tee x",
    ):
        assert verdict(asking_policy(), line).tier in _STRICT, line
    assert verdict(shipped_policy(), "ls; ls; rm -rf /; ls").tier is Tier.DENY
    assert [str(part.tier) for part in verdict(shipped_policy(), "ls; rm x; rm -rf /; df").parts] == [
        "auto_allow", "require_approval", "deny", "auto_allow",
    ]  # fmt: skip


def test_a17_twin_a_line_whose_every_part_may_run_runs() -> None:
    assert _held("ls; ls; ls", "echo ok && ls -l && df") == []


@pytest.mark.parametrize("run_as", list(RunAs))
def test_a19_what_cannot_be_read_is_asked_about_and_said_so(run_as: RunAs) -> None:
    for line in (
        "",
        "   ",
        "# only",
        "'open",
        '"open',
        "ls \\",
        "ls |",
        "&& ls",
        "(((",
        "$((",
        "case x in",
        "<<E",
        ";;",
        "if",
    ):
        said = verdict(asking_policy(), line, run_as=run_as)
        assert said.tier in _STRICT, line
        assert "cannot be checked word by word" in said.reason


def test_a19_twin_what_can_be_read_is_judged() -> None:
    assert _held("ls", "ls # only looking", "echo '('") == []


def test_a20_what_asks_a_name_server_reaches_the_network(tmp_path: Path) -> None:
    assert _loose("A20") == []
    for command in ("ping", "dig", "nslookup", "host", "curl", "wget"):
        with pytest.raises(PolicyError, match="uses the network"):
            policy_of(tmp_path / command, f"[permissions]\nauto_allow = ['{command}']\n")
    assert verdict(asking_policy(), "getent hosts secret.example.org").tier in _STRICT


def test_a20_twin_what_shows_the_network_as_it_is_runs(tmp_path: Path) -> None:
    assert _held("ip addr", "ss -tlnp", "cat /etc/resolv.conf", "getent passwd alice") == []
    policy = policy_of(tmp_path / "p", "[permissions]\nnotify = ['dig']\n")
    assert verdict(policy, "dig example.org").network == ("*",)


@pytest.mark.parametrize(
    "line",
    ["journalctl --vacuum-size=1M", "journalctl --vacuum-time 1s", "journalctl --rotate", "journalctl --flush",
     "journalctl --cursor-file=/var/log/x", "journalctl --relinquish-var", "journalctl --vacuum-f 1", "dmesg -C"],
)  # fmt: skip
def test_a21_no_listed_tool_destroys_the_record(line: str) -> None:
    assert verdict(asking_policy(), line).tier in _STRICT


def test_a21_twin_reading_the_record_runs() -> None:
    assert _held("journalctl -n 5", "journalctl --disk-usage", "journalctl --list-boots", "dmesg") == []


def test_the_run_as_of_a_request_never_loosens(tmp_path: Path) -> None:
    policy: Policy = policy_of(tmp_path / "p", "[permissions]\nauto_allow = ['ls']\nnotify = ['touch']\n")
    for line in ("ls", "touch x"):
        as_root = policy.evaluate(CommandAction(line=line, cwd="/", run_as=RunAs.ROOT), ALICE)
        assert as_root.tier is Tier.REQUIRE_APPROVAL
