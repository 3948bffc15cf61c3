"""`aios policy` without a daemon: the client as a process, files of rules, what it prints and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.policy.samples import shipped_policy

ROOT = Path(__file__).parents[3]
_AIOS = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from aiosd.cli.main import main; main()"

# As the founding configuration has it, with tables that are no policy.
_FOUNDING = """
[general]
version = "1"

[permissions]
auto_allow = ["pacman -Q*", "pacman -Ss*", "systemctl status*", "ls", "cat", "grep", "find", "ps", "top", "htop"]
notify = ["pacman -S*", "git clone*", "cargo install*", "systemctl start*"]
require_approval = ["pacman -R*", "rm -rf*", "systemctl stop*", "dd*"]
deny = ["rm -rf /", "rm -rf /*", "mkfs*", ":(){ :|:& };:"]
"""


def _aios(folder: Path, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "etc").mkdir(exist_ok=True)
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "AIOS_CONFIG_DIR": str(folder / "etc"), **environment}
    variables["XDG_RUNTIME_DIR"] = str(folder / "run")
    command = [sys.executable, "-I", "-S", "-c", _AIOS, *words]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, env=variables, cwd=folder, timeout=60, check=False
    )


@pytest.fixture
def founding(tmp_path: Path) -> Path:
    file = tmp_path / "founding.toml"
    file.write_text(_FOUNDING)
    return file


@pytest.mark.parametrize(
    ("line", "tier"),
    [
        ("ls -la", "auto_allow"),
        ("pacman -Qi bash", "auto_allow"),
        ("find . -delete", "require_approval"),
        ("git clone https://example.org/x", "notify"),
        ("git clonex", "require_approval"),
        ("git clone -u 'touch x' https://example.org/x", "require_approval"),
        ("cargo install ripgrep", "notify"),
        ("systemctl start nginx", "require_approval"),
        ("htop", "auto_allow"),
        ("top --frob", "require_approval"),
        ("dd if=a of=b", "require_approval"),
        ("rm -rf build", "require_approval"),
        ("rm -rf /", "deny"),
        ("mkfs.ext4 /dev/sda1", "deny"),
        ("frobnicate", "require_approval"),
        ("ls; rm -fr //", "deny"),
        ("echo 'rm -rf /'", "require_approval"),
    ],
)
def test_a_file_alone_judges_a_line_without_a_daemon(founding: Path, line: str, tier: str) -> None:
    ran = _aios(founding.parent, "policy", "check", "--json", "--policy", str(founding), "--", line)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["tier"] == tier


def test_the_text_names_each_command_its_rule_and_what_would_make_it_pass(founding: Path) -> None:
    ran = _aios(founding.parent, "policy", "check", "--policy", str(founding), "--", "ls | sort --frob; sudo rm -rf x")
    assert ran.stdout.startswith("require_approval as root: ")
    assert "  would run in root, in a unit of its own\n" in ran.stdout
    assert f"rule rm -rf* ({founding}:8)\n" in ran.stdout
    assert "  require_approval sort --frob\n" in ran.stdout
    assert f"to pass: No rule that allows reaches it while {founding}:8 (`rm -rf*`) stands.\n" in ran.stdout


def test_a_batch_is_answered_in_order_and_what_is_no_request_is_denied(founding: Path) -> None:
    lines = [
        {"id": 1, "command": "ls", "cwd": "/tmp"},
        {"id": "two", "command": "rm -rf *", "cwd": "/"},
        {"id": 3, "command": "ls", "run_as": "root"},
        {"id": 4, "command": "cat x > y"},
    ]
    stdin = "".join(f"{json.dumps(line)}\n" for line in lines) + 'nonsense\n\n{"id": 7}\n'
    ran = _aios(founding.parent, "policy", "check", "--batch", "--policy", str(founding), stdin=stdin)
    said = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(each["id"], each["decision"]) for each in said] == [
        (1, "auto_allow"),
        ("two", "deny"),
        (3, "require_approval"),
        (4, "require_approval"),
        (None, "deny"),
        (7, "deny"),
    ]
    assert said[0]["confinement"] == "read-only: no writing, no network"
    assert said[0]["rules"] == [f"{founding}:6 ls"]
    assert ["error" in each for each in said] == [False, False, False, False, True, True]
    assert (ran.returncode, "2 lines were no requests" in ran.stderr) == (65, True)
    well = _aios(founding.parent, "policy", "check", "--batch", "--policy", str(founding), stdin='{"command": "ls"}\n')
    assert (well.returncode, json.loads(well.stdout)["id"]) == (0, None)


def test_a_batch_without_a_file_uses_the_policy_in_force(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir(mode=0o755)
    (rules / "own.toml").write_text("[permissions]\ndeny = ['uptime']\n")
    (rules / "own.toml").chmod(0o644)
    asked = '{"id": 1, "command": "uptime"}\n{"id": 2, "command": "ls"}\n{"id": 3, "command": "rm -r x"}\n'
    ran = _aios(tmp_path, "policy", "check", "--batch", stdin=asked, AIOS_GUARD__POLICY_DIRS=json.dumps([str(rules)]))
    decisions = [json.loads(line)["decision"] for line in ran.stdout.splitlines()]
    assert decisions == ["deny", "auto_allow", "require_approval"], ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[permissions]\nauto_alow = []\n", "x.toml:2: unknown list `auto_alow`; did you mean `auto_allow`?"),
        ("[[rule]]\ntier = 'deny'\npattern = 'rm'\nmatch = ['ls']\n", "x.toml:4: the rule does not match its example"),
        ("[[rule]]\ntier = 'deny'\npattern = 'rm'\nno_match = ['env rm x']\n", "x.toml:4: the rule matches its exam"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)
    checked = _aios(tmp_path, "policy", "check", "--policy", str(file), "--", "ls")
    assert (checked.returncode, said in checked.stderr, checked.stdout) == (78, True, ""), checked
    tested = _aios(tmp_path, "policy", "test", str(file))
    assert (tested.returncode, said in tested.stdout) == (1, True)


def test_examples_that_hold_are_counted(tmp_path: Path, founding: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[[rule]]\ntier = 'deny'\npattern = ['rm', 'shred']\nmatch = ['env rm x']\nno_match = 'echo rm'\n")
    ran = _aios(tmp_path, "policy", "test", str(file), str(founding))
    assert (ran.returncode, ran.stdout) == (
        0,
        f"{file}: 2 rules, 2 examples hold\n{founding}: 22 rules, 0 examples hold\n",
    )
    shipped = _aios(tmp_path, "policy", "test", AIOS_GUARD__POLICY_DIRS="[]")
    assert shipped.returncode == 0
    assert f"00-defaults.toml: {len(shipped_policy().rules)} rules, " in shipped.stdout


def test_the_rules_of_a_file_are_shown_where_they_stand(founding: Path) -> None:
    ran = _aios(founding.parent, "policy", "show", "--policy", str(founding))
    assert ran.returncode == 0
    assert ran.stdout.startswith("unmatched    require_approval\nleast        auto_allow\n")
    assert f"\n{founding}\n     6  auto_allow                  pacman -Q*\n" in ran.stdout
    rows = [
        json.loads(line)
        for line in _aios(founding.parent, "policy", "show", "--policy", str(founding), "--json").stdout.splitlines()
    ]
    assert (rows[-1]["name"], rows[-1]["tier"], rows[-1]["line"], rows[-1]["hits"]) == (
        ":(){ :|:& };:",
        "deny",
        9,
        None,
    )


def test_what_needs_a_daemon_says_so(tmp_path: Path, founding: Path) -> None:
    assert _aios(tmp_path, "policy", "backtest", str(founding)).returncode == 69
    shown = _aios(tmp_path, "policy", "show", AIOS_GUARD__POLICY_DIRS="[]")
    assert (shown.returncode, "no guard answers" in shown.stderr) == (0, True)
    assert "systemctl restart" in shown.stdout
    assert _aios(tmp_path, "policy", "check").returncode == 64
    assert _aios(tmp_path, "policy", "check", "--batch", "ls").returncode == 64
