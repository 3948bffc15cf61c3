"""The shipped policy and the engine: what runs unasked and observes what, what is asked, root, limits, file tools."""

import pathlib
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosd.policy import FileAction, Opaque, Policy, RuleRef, Unmatched
from aiosd.policy.knowledge import load_knowledge
from aiosd.policy.rule_tables import read_permissions
from aiosd.policy.toml_lines import Path
from aiosd.types import Facet, RunAs, Tier
from tests.unit.policy.samples import ALICE, asking_policy, policy_of, shipped_policy, tiers, verdict

_SHOW_NGINX = (
    "systemctl show nginx.service --no-pager -p Id,LoadState,ActiveState,SubState,Result,UnitFileState,Description,"
    "MainPID,ExecMainStatus,ExecMainCode,StateChangeTimestamp,NRestarts,MemoryCurrent"
)
_BUS, _JOURNAL, _PROCESSES, _SOCKETS = Facet.BUS, Facet.JOURNAL, Facet.PROCESSES, Facet.SOCKETS


@pytest.mark.parametrize(
    ("line", "facets"),
    [
        ("df -P -T -B1 -x tmpfs -x devtmpfs -x squashfs -x efivarfs", []),
        (r"find / -xdev -type f -size +1M -printf '%s\t%p\n' | sort -rn | head -n 10", []),
        (r"find /var -xdev -type f -size +1M -printf '%s\t%p\n' | sort -rn | head -n 10", []),
        ("du -x -B1 -d 1 /var", []),
        ("free -b", []),
        ("ps -eo pid,user:32,pcpu,pmem,rss,comm --sort=-pcpu | head -n 11", [_PROCESSES]),
        ("cat /proc/loadavg", []),
        ("cat /proc/uptime /proc/loadavg", []),
        ("nproc", []),
        ("cat /etc/os-release", []),
        ("uname -srm", []),
        ("systemctl list-units --failed --all --plain --no-legend --no-pager", [_BUS]),
        (
            _SHOW_NGINX,
            [_BUS],
        ),
        ("journalctl -u nginx.service -n 5 --no-pager -o short-iso", [_JOURNAL]),
        ("ip -json addr show", [_SOCKETS]),
        ("ip -json route show", [_SOCKETS]),
    ],
)
def test_what_the_built_in_model_proposes_runs_unasked(line: str, facets: list[Facet]) -> None:
    said = verdict(shipped_policy(), line)
    assert (said.tier, said.facets, said.run_as) == (Tier.AUTO_ALLOW, (frozenset(facets),), RunAs.USER), said
    assert said.program is not None
    assert said.line == line


@pytest.mark.parametrize(
    "line",
    [
        "ls -la",
        "ls *.py ~/src",
        "cat /etc/passwd | cut -d: -f1 | sort | uniq -c | sort -rn | head",
        "grep -rn TODO src --include='*.py' | wc -l",
        "find . -name '*.pyc' -mtime +7 2>/dev/null",
        "ps aux | grep [n]ginx",
        "ps aux --sort=-%mem | head -n 5",
        "du -sh /var/log 2>/dev/null | sort -h",
        "systemctl status nginx.service --no-pager",
        "systemctl is-active nginx && systemctl is-enabled nginx",
        "systemctl list-timers --all; journalctl -p err -b -n 20 --no-pager",
        "ss -tlnp | grep :80",
        "ip route get 1.1.1.1; cat /etc/resolv.conf",
        "uptime; free -m; df -h",
        "git log --oneline -10 && git status -s",
        "pacman -Qi linux | head -n 3",
        "dpkg -l | grep nginx",
        "sed -n '1,20p' /etc/fstab",
        "wc -l < /etc/passwd",
        "test -f /etc/fstab && echo yes || echo no",
        "date +%F; hostname; whoami; id",
        "lsblk -f; findmnt -D; mount | grep ext4",
    ],
)
def test_ordinary_reading_runs_unasked(line: str) -> None:
    assert verdict(shipped_policy(), line).tier is Tier.AUTO_ALLOW


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("rm build/x.o", "It removes data"),
        ("mv a b", "It changes files"),
        ("systemctl restart nginx", "which services run"),
        ("sudo systemctl restart nginx", "which services run"),
        ("pacman -Syu", "installs or removes software"),
        ("apt-get install -y vim", "installs or removes software"),
        ("kill 1234", "ends or slows processes"),
        ("reboot", "stops the machine"),
        ("curl https://example.org", "uses the network"),
        ("ping -c1 1.1.1.1", "uses the network"),
        ("git push", "changes a repository"),
        ("python3 -c 'print(1)'", "runs a program of its own"),
        ("awk '{print $1}' x", "`awk` runs other programs"),
        ("find . -name x -delete", "It removes data"),
        ("find . -exec ls {} +", "`-exec` runs other programs"),
        ("ls | xargs wc", "`xargs` runs other programs"),
        ("vi /etc/fstab", "waits for a person at a terminal"),
        ("tail -f /var/log/syslog", "waits for a person at a terminal, or never ends"),
        ("sort -o out x", "`-o` writes files"),
        ("sort --outp=out x", "`--outp` abbreviates `--output`; write it in full"),
        ("ls --unheard-of", "`--unheard-of` is not known to be harmless"),
        ("git -c a.b=c log", "`-c` runs other programs"),
        ("pgrep -f nginx", "would list its own process"),
        ("frobnicate --all", "No rule speaks of `frobnicate`"),
        ("/bin/ls", "`/bin/ls` is a path"),
        ("./ls", "`./ls` is a path"),
        ("timeout 5 ls", "`timeout` runs other programs"),
        ("ls > out", "at character 4, a redirection that may write to a file"),
        ("echo $HOME", "at character 6, `$` starts an expansion"),
        ("ls; cd /tmp; ls", "at character 5, `cd` is a part of the shell itself"),
        ("cat <<EOF\nx\nEOF", "a here-document"),
        ("", "there is no command"),
        ("ls &", "`&` starts a background job"),
    ],
)
def test_everything_else_is_asked_with_its_reason(line: str, reason: str) -> None:
    said = verdict(asking_policy(), line)
    assert said.tier is Tier.REQUIRE_APPROVAL, said
    assert reason in said.reason
    assert said.rules


def test_the_strictest_part_of_a_line_decides() -> None:
    said = verdict(shipped_policy(), "ls | sort -o x | rm y; cat z")
    assert [part.tier.value for part in said.parts] == [
        "auto_allow",
        "require_approval",
        "require_approval",
        "auto_allow",
    ]
    assert said.tier is Tier.REQUIRE_APPROVAL
    assert [part.text for part in said.parts] == ["ls", "sort -o x", "rm y", "cat z"]
    for joiner in (";", "&&", "||", "|", "|&", "\n"):
        assert verdict(shipped_policy(), f"ls {joiner} rm x").tier is Tier.REQUIRE_APPROVAL
        assert verdict(shipped_policy(), f"rm x {joiner} ls").tier is Tier.REQUIRE_APPROVAL
        assert verdict(shipped_policy(), f"ls {joiner} cat x").tier is Tier.AUTO_ALLOW


def test_redirections_within_the_language_keep_the_tier() -> None:
    lines = ["ls 2>/dev/null", "ls >/dev/null 2>&1", "ls &>/dev/null", "wc -l </etc/passwd", "ls |& cat"]
    assert set(tiers(shipped_policy(), lines).values()) == {"auto_allow"}


def test_each_pipeline_has_facets_of_its_own() -> None:
    said = verdict(shipped_policy(), "systemctl list-units | head; ip a; ps aux | sort && ls")
    assert said.facets == (frozenset({_BUS}), frozenset({_SOCKETS}), frozenset({_PROCESSES}), frozenset())
    assert said.tier is Tier.AUTO_ALLOW


def test_the_bus_and_the_network_are_never_joined() -> None:
    said = verdict(shipped_policy(), "systemctl list-units | ss -tln")
    assert said.tier is Tier.REQUIRE_APPROVAL
    assert said.reason == "It cannot observe the bus and the network in one pipeline; propose them as two commands."
    assert said.facets == (frozenset(),)
    assert verdict(shipped_policy(), "systemctl list-units; ss -tln").tier is Tier.AUTO_ALLOW


@pytest.mark.parametrize(
    ("line", "stripped"),
    [
        ("sudo ls /root", "ls /root"),
        ("sudo -n ls /root", "ls /root"),
        ("sudo -u root ls", "ls"),
        ("sudo -n -u root -- ls", "ls"),
        ("sudo sudo ls", "ls"),
        ("ls; sudo cat /etc/shadow | wc -l", "ls; cat /etc/shadow | wc -l"),
        ("  sudo   ls", "  ls"),
        ("sudo cat /etc/shadow > out", "cat /etc/shadow > out"),
    ],
)
def test_a_leading_sudo_is_stripped_and_makes_the_line_root(line: str, stripped: str) -> None:
    said = verdict(shipped_policy(), line)
    assert (said.line, said.run_as, said.tier) == (stripped, RunAs.ROOT, Tier.REQUIRE_APPROVAL)


@pytest.mark.parametrize(
    "line",
    ["sudo -i", "sudo -u bob ls", "sudo -E ls", "sudo -s", "sudo", "sudo -uroots ls", "sudo A=b ls", "'sudo' ls"],
)
def test_any_other_sudo_stays_a_command_and_is_asked(line: str) -> None:
    said = verdict(shipped_policy(), line)
    assert (said.line, said.run_as, said.tier) == (line, RunAs.USER, Tier.REQUIRE_APPROVAL)


def test_a_sudo_that_is_an_argument_is_only_that() -> None:
    said = verdict(shipped_policy(), "echo sudo ls; grep sudo /etc/group")
    assert (said.tier, said.run_as) == (Tier.AUTO_ALLOW, RunAs.USER)


def test_asking_for_root_only_makes_it_stricter() -> None:
    for line, tier in [("ls", "require_approval"), ("rm -rf /", "deny"), ("echo $x", "require_approval")]:
        assert verdict(shipped_policy(), line, run_as=RunAs.ROOT).tier == tier
    said = verdict(shipped_policy(), "ls", run_as=RunAs.ROOT)
    assert (said.run_as, said.reason) == (RunAs.ROOT, "It runs as root; a person must approve it.")


@pytest.mark.parametrize(
    ("within", "over", "reason"),
    [
        ("ls " + "x" * (64 * 1024 - 3), "ls " + "x" * (64 * 1024 - 2), "longer than 64 KiB"),
        ("ls " + "é" * ((64 * 1024 - 3) // 2), "ls " + "é" * 32767, "longer than 64 KiB"),
        (";".join(["ls"] * 256), ";".join(["ls"] * 257), "more than 256 commands"),
        ("|".join(["cat"] * 256), "|".join(["cat"] * 257), "more than 256 commands"),
        ("env " * 32 + "ls", "env " * 33 + "ls", "more than 32 commands are wrapped"),
        ("$x " + "env " * 32 + "ls", "$x " + "env " * 40 + "ls", "more than 32 commands are wrapped"),
        ("$x;" + "rm x;" * 200, "$x;" + "rm x;" * 300, "more than 256 commands"),
        ("ls a", "ls a\0b", "NUL"),
    ],
)
def test_over_a_limit_is_denied_and_at_the_limit_is_not(within: str, over: str, reason: str) -> None:
    assert verdict(shipped_policy(), within).tier is not Tier.DENY
    denied = verdict(shipped_policy(), over)
    assert denied.tier is Tier.DENY
    assert reason in denied.reason


def test_a_relative_working_directory_is_denied() -> None:
    assert verdict(shipped_policy(), "ls", cwd="src").tier is Tier.DENY
    assert verdict(shipped_policy(), "ls", cwd="/src").tier is Tier.AUTO_ALLOW


@pytest.mark.parametrize(
    ("tool", "path", "writes", "tier"),
    [
        ("read_file", "/etc/fstab", False, Tier.AUTO_ALLOW),
        ("glob", "/etc", False, Tier.AUTO_ALLOW),
        ("grep", "/etc", False, Tier.AUTO_ALLOW),
        ("write_file", "/home/alice/x", True, Tier.REQUIRE_APPROVAL),
        ("edit_file", "/home/alice/x", True, Tier.REQUIRE_APPROVAL),
        ("read_file", "/etc/fstab", True, Tier.REQUIRE_APPROVAL),
        ("unheard_of", "/x", False, Tier.REQUIRE_APPROVAL),
        ("read_file", "relative", False, Tier.DENY),
    ],
)
def test_file_tools_have_their_tiers(tool: str, path: str, writes: bool, tier: Tier) -> None:
    said = shipped_policy().evaluate(FileAction(tool=tool, path=path, writes=writes), ALICE)
    assert said.tier is tier
    assert (said.program, said.opaque, said.facets) == (None, None, ())
    assert said.reason


@pytest.mark.parametrize(
    ("path", "tier"),
    [
        ("/dev/session/outputs/x", Tier.AUTO_ALLOW),
        ("/dev/session/x", Tier.AUTO_ALLOW),
        ("/dev/session/../sda", Tier.REQUIRE_APPROVAL),
        ("/dev/sessions/x", Tier.REQUIRE_APPROVAL),
    ],
)
def test_what_a_session_keeps_is_its_own(path: str, tier: Tier, tmp_path: pathlib.Path) -> None:
    action = FileAction(tool="write_file", path=path, writes=True)
    for policy in (shipped_policy(), asking_policy()):
        assert policy.evaluate(action, ALICE).tier is tier
        opaque = verdict(policy, f"echo x > {path}").tier
        assert opaque is (Tier.DENY if "sda" in path else tier if policy is shipped_policy() else opaque)
    rule = '[[rule]]\ntool = ["write_file:/dev/session/*"]\ntier = "{}"\nreason = "No."\n'
    for told in (Tier.REQUIRE_APPROVAL, Tier.DENY):
        strict = policy_of(tmp_path / told, rule.format(told))
        assert strict.evaluate(replace(action, path="/dev/session/outputs/x"), ALICE).tier is told


def _policy(unmatched: Unmatched, permissions: dict[str, list[str]]) -> Policy:
    lines: dict[Path, int] = {("permissions",): 1, **{("permissions", key): 1 for key in permissions}}
    rules = read_permissions("test", permissions, lines, load_knowledge())
    return Policy(
        rules=rules, unmatched=(unmatched, RuleRef(name="unmatched", tier=unmatched.tier)), knowledge=load_knowledge()
    )


def test_what_no_rule_speaks_of_follows_unmatched() -> None:
    lines = ["frobnicate", "sort -o x", "ls; frobnicate", "echo $x", "rm -rf /"]
    permissions = {"auto_allow": ["ls", "sort"], "deny": ["rm -r /"]}
    asked, denied = "require_approval", "deny"
    assert {unmatched: list(tiers(_policy(unmatched, permissions), lines).values()) for unmatched in Unmatched} == {
        Unmatched.CONFINE: ["auto_allow", asked, "auto_allow", "auto_allow", denied],
        Unmatched.REQUIRE_APPROVAL: [asked, asked, asked, asked, denied],
        Unmatched.DENY: [denied, denied, denied, denied, denied],
    }
    confined = verdict(_policy(Unmatched.CONFINE, permissions), "sort --parallel-merge y")
    assert confined.reason == (
        "The rule `sort` does not reach this far: `--parallel-merge` is not known to be harmless. "
        "It runs confined: it can read, and nothing else."
    )
    assert verdict(_policy(Unmatched.CONFINE, {}), "ls", run_as=RunAs.ROOT).tier is Tier.REQUIRE_APPROVAL


_SANDBOX = "would tell of its sandbox instead of this machine"


@pytest.mark.parametrize(
    "line",
    [
        "frobnicate --all",
        "./configure --help",
        "/bin/ls -l",
        "ls --unheard-of",
        "awk '$3 > 100 {print $1}' data",
        "find . -name '*.py' -exec wc -l {} +",
        "ls | xargs wc -l",
        "timeout 5 ls",
        "cd src && ls; export A=1",
        'for f in *.log; do echo $f; wc -l "$f" 2>/dev/null; done',
        "echo $HOME",
        "command -v git >/dev/null 2>&1 && echo yes",
        "cat <<EOF\nx\nEOF",
        "while read -r a b; do test $a -gt 3; done < data",
    ],
)
def test_what_is_not_known_runs_confined_and_without_a_view_of_the_host(line: str) -> None:
    said = verdict(shipped_policy(), line)
    assert (said.tier, said.run_as) == (Tier.AUTO_ALLOW, RunAs.USER), said
    assert not any(said.facets)
    assert said.program is not None or said.opaque is not None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sort -o x y", "`-o` writes files, which it could not do confined"),
        ("crontab -e", "`crontab` changes the state of the system, which it could not do confined"),
        ("for i in 1 2; do crontab -l; done", "at character"),
        ("pgrep -f nginx", "would list its own process"),
        ("ps --unheard-of", f"`ps` {_SANDBOX}"),
        ("timeout 5 ps aux", f"`ps` {_SANDBOX}"),
        ("/usr/bin/systemctl show x", f"`systemctl` {_SANDBOX}"),
        ("awk '{print $2}' /proc/net/dev", "its sandbox below /proc"),
        ("for p in $(pgrep nginx); do echo $p; done", "at character"),
        ("LC_ALL=C ps aux", "at character"),
        ("for p in /proc/[0-9]*; do cat $p/comm; done", "at character"),
        ("ls > out", "It writes to a file"),
        ("for f in *; do cat $f >> all; done", "It writes to a file"),
        ("cat <<EOF > 'a b'\nx\nEOF", "It writes to a file"),
        ("echo x 1<>out", "It writes to a file"),
        ("for f in *; do rm $f; done", "It removes data"),
        ("echo a\u200bb", "invisible or control character"),
        ("", "there is no command"),
    ],
)
def test_what_confinement_could_not_serve_truly_is_asked_about(line: str, reason: str) -> None:
    said = verdict(shipped_policy(), line)
    assert said.tier is Tier.REQUIRE_APPROVAL, said
    assert reason in said.reason


def test_an_opaque_line_says_where_and_why() -> None:
    said = verdict(shipped_policy(), "ls; x=$(id)")
    assert said.opaque == Opaque(position=6, reason="`$` starts an expansion")
    assert (said.program, said.facets, said.parts[0].text) == (None, (), "ls; x=$(id)")


_PATTERNS = st.sampled_from(["ls", "cat*", "git", "git log*", "git push", "rm", "rm -r /", "sort", "head -n*", "mkfs*"])
_STRICT = st.sampled_from(["require_approval", "deny"])
_SAFE = ("ls", "cat*", "git", "git log*", "sort", "head -n*")
_RULES = st.lists(
    st.tuples(_PATTERNS, st.sampled_from(list(Tier))).map(
        lambda rule: rule if rule[0] in _SAFE or rule[1] is not Tier.AUTO_ALLOW else (rule[0], Tier.DENY)
    ),
    max_size=8,
)
_LINES = st.sampled_from(
    """ls
    cat x | head -n 3
    git log
    git push
    git log; git push
    rm -rf /
    rm x
    sort -o x
    mkfs.ext4
    env rm -r /""".splitlines()
)


@given(_RULES, st.randoms(use_true_random=False), _LINES)
def test_the_order_of_rules_never_matters(rules: list[tuple[str, Tier]], chance: object, line: str) -> None:
    def policy(ordered: list[tuple[str, Tier]]) -> Policy:
        knowledge = load_knowledge()
        made = [
            rule
            for pattern, tier in ordered
            for rule in read_permissions(
                "test", {tier.value: [pattern]}, {("permissions",): 1, ("permissions", tier.value): 1}, knowledge
            )
        ]
        unmatched = (Unmatched.REQUIRE_APPROVAL, RuleRef(name="unmatched", tier=Tier.REQUIRE_APPROVAL))
        return Policy(rules=made, unmatched=unmatched, knowledge=knowledge)

    shuffled = list(rules)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types its Random as object
    one, other = verdict(policy(rules), line), verdict(policy(shuffled), line)
    assert (one.tier, set(one.rules), one.facets) == (other.tier, set(other.rules), other.facets)
    assert [part.tier for part in one.parts] == [part.tier for part in other.parts]


@given(_RULES, _PATTERNS, _STRICT, _LINES)
def test_another_strict_rule_never_loosens_a_verdict(
    rules: list[tuple[str, Tier]], pattern: str, tier: str, line: str
) -> None:
    permissions: dict[str, list[str]] = {}
    for each, given_tier in rules:
        permissions.setdefault(given_tier.value, []).append(each)
    before = verdict(_policy(Unmatched.REQUIRE_APPROVAL, permissions), line)
    stricter = {**permissions, tier: [*permissions.get(tier, []), pattern]}
    after = verdict(_policy(Unmatched.REQUIRE_APPROVAL, stricter), line)
    assert after.tier.strictness >= before.tier.strictness


@given(st.text(max_size=60))
def test_any_text_has_a_verdict_and_none_is_auto_allowed_unread(line: str) -> None:
    said = verdict(shipped_policy(), line)
    assert said.reason
    if said.tier is Tier.AUTO_ALLOW and said.program is not None:
        assert len(said.facets) == len(said.program.pipelines)
    assert said.program is not None or (said.facets, said.run_as) == ((), RunAs.USER)
    asked = verdict(asking_policy(), line)
    assert asked.program is not None or asked.tier.strictness >= Tier.REQUIRE_APPROVAL.strictness


@pytest.mark.parametrize(
    "line",
    [
        "a " * 32768,
        "$x " + "env " * 16000,
        "rm $x " + " ".join(f"/{number:x}" for number in range(11000)),
        "ssh host " + "rm " * 20000,
        ":(){" * 16384,
        "$x " + "a" * 65000,
        "$" + "1" * 65000,
        "${" * 32768,
        "$'\\" * 20000,
        "ls " + "[a" * 30000,
        "sed '" + "/a" * 30000 + "'",
        "<" * 65536,
        "a\n" * 32768,
    ],
)
def test_no_line_of_64_kib_takes_long(line: str) -> None:
    started = time.process_time()
    verdict(shipped_policy(), line[: 64 * 1024])
    assert time.process_time() - started < 1, "the work must be linear; what it takes is measured by the benchmark"
