"""A leading `export`: what is set, what is left to run, and what is never kept: tables."""

import pytest

from aiosd.guard.exported import Variables, describe, evaluate, follow, parse_variables
from aiosd.policy import CommandAction, Policy
from aiosd.policy.files import load_policy_file
from aiosd.sandbox.profile import Profile, ProfileName
from aiosd.types import RunAs, Tier
from tests.unit.policy.samples import ALICE

WAS = (("OLD", "1"),)
# The line, where OLD is 1: what is given then (beside what was), and the line and the folder that are left.
TAKEN: dict[str, tuple[dict[str, str], str, str]] = {
    "export CC=clang && make": ({"CC": "clang"}, "make", "/srv"),
    "  export   A=1   B=2&&ls -l | wc ": ({"A": "1", "B": "2"}, "ls -l | wc", "/srv"),
    "export A='a b' B=\"c d\" && ls": ({"A": "a b", "B": "c d"}, "ls", "/srv"),
    "export A=1": ({"A": "1"}, "true", "/srv"),
    "export A=": ({"A": ""}, "true", "/srv"),
    "export OLD=2 && ls": ({"OLD": "2"}, "ls", "/srv"),
    "export A=1 && export B=2 && ls": ({"A": "1", "B": "2"}, "ls", "/srv"),
    "cd build && export A=1 && make": ({"A": "1"}, "make", "/srv/build"),
    "export A=1 && cd build && make": ({"A": "1"}, "make", "/srv/build"),
    "export A=x=y && ls": ({"A": "x=y"}, "ls", "/srv"),
    "export NODE_ENV=production && ls": ({"NODE_ENV": "production"}, "ls", "/srv"),
}
LEFT = [
    *("export", "export -p", "export A", "export A=$B", 'export A="$B" && ls', "export A=`x`", "export A=1; ls"),
    *("export A=1 | ls", "export A=1 & ls", "export A=~ && ls", "export A=a*", "export A='a'b", "export 1=2 && ls"),
    *("exportA=1 && ls", "export A=1 &&", "export A=1 || ls", "export A=1\nls", "echo export A=1 && ls", "A=1 ls"),
]
NEVER = [
    *("PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "IFS", "PYTHONPATH", "PYTHONSTARTUP", "PERL5OPT"),
    *("GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "PAGER", "MANPAGER", "LESSOPEN", "EDITOR", "SUDO_ASKPASS", "SSH_ASKPASS"),
    *(
        "HOME",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "https_proxy",
        "NO_PROXY",
        "NODE_OPTIONS",
        "RUBYOPT",
        "DBUS_SYSTEM_BUS_ADDRESS",
    ),
    *(
        "GLIBC_TUNABLES",
        "JAVA_TOOL_OPTIONS",
        "SYSTEMD_EDITOR",
        "XDG_CONFIG_HOME",
        "PROMPT_COMMAND",
        "SHELLOPTS",
        "TZDIR",
    ),
]
RULES = """\
preset = "safe"

[[rule]]
pattern = ["touch *"]
tier = "notify"
writes = ["."]
match = ["touch x"]
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The defaults, and `touch` announced."""
    file = tmp_path_factory.mktemp("policy") / "10.toml"
    file.write_text(RULES)
    return load_policy_file(file)


def followed(line: str, *, run_as: RunAs = RunAs.USER, was: Variables = WAS) -> tuple[CommandAction, Variables]:
    """What becomes of a line in /srv."""
    return follow(CommandAction(line=line, cwd="/srv", run_as=run_as), was, "/home/ann")


@pytest.mark.parametrize("line", TAKEN)
def test_a_plain_export_is_what_the_rest_is_given(line: str) -> None:
    action, given = followed(line)
    set_, rest, cwd = TAKEN[line]
    assert (dict(given), action.line, action.cwd) == ({"OLD": "1"} | set_, rest, cwd)


@pytest.mark.parametrize("line", LEFT)
def test_what_is_no_plain_export_is_left_to_the_shell(line: str) -> None:
    action, given = followed(line)
    assert (given, action.line) == (WAS, line)


def test_unset_takes_away_again() -> None:
    action, given = followed("unset OLD NONE && ls")
    assert (given, action.line) == ((), "ls")
    assert followed("unset OLD")[0].line == "true"


def test_nothing_is_set_for_what_runs_as_root() -> None:
    action, given = followed("export A=1 && ls", run_as=RunAs.ROOT)
    assert (given, action.line) == (WAS, "export A=1 && ls")


@pytest.mark.parametrize("name", NEVER)
def test_a_name_that_decides_what_runs_is_never_kept_and_that_is_said(policy: Policy, name: str) -> None:
    assert followed(f"export {name}=x && ls")[1] == WAS  # the shell's, if somebody approves the whole line
    action, given = followed(f"export {name}=x")
    verdict = evaluate(policy, action, given, ALICE)
    assert (given, verdict.tier) == (WAS, Tier.DENY)
    assert "decide what code runs" in verdict.reason
    assert parse_variables({name: "x"}) is None


def test_number_size_and_characters_are_bounded() -> None:
    many = " ".join(f"V{number}=1" for number in range(16))
    assert len(followed(f"export {many} && ls", was=())[1]) == 16
    assert followed(f"export {many} && ls")[1] == WAS
    assert followed(f"export A={'x' * 2040}", was=())[1] == (("A", "x" * 2040),)
    for line in (f"export A={'x' * 2048}", "export A='\x1b[0m'", "export A='\u202e'", f"export {'A' * 65}=1"):
        assert followed(line)[1] == WAS


def test_a_call_gives_what_could_have_been_set_and_nothing_else() -> None:
    assert parse_variables({"B": "2", "A": "1"}) == (("A", "1"), ("B", "2"))
    assert parse_variables({}) == ()
    wrong: tuple[object, ...] = (["A"], "A=1", {"A": 1}, {"1": "x"}, {"A=B": "x"}, {"A": "\n"}, {"": "x"})
    for given in wrong:
        assert parse_variables(given) is None


def test_what_would_be_announced_is_asked_about_and_what_only_reads_is_not(policy: Policy) -> None:
    table: tuple[tuple[str, Variables, Tier], ...] = (
        ("touch x", (), Tier.NOTIFY),
        ("touch x", WAS, Tier.REQUIRE_APPROVAL),
        ("ls", WAS, Tier.AUTO_ALLOW),
    )
    for line, given, tier in table:
        verdict = evaluate(policy, CommandAction(line=line, cwd="/srv"), given, ALICE)
        assert (line, given, verdict.tier) == (line, given, tier)


def test_a_card_says_what_is_given() -> None:
    profile = Profile(name=ProfileName.USER)
    assert describe(profile, (("A", "1"), ("B", "a b"))) == f"{profile.describe()}, given A=1 B='a b'"
    assert describe(profile, ()) == profile.describe()
