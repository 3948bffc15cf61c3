"""What is wrong with policy and configuration files, as people see it in both languages."""

import posix
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiosd.config import load_config
from aiosd.errors import ConfigError
from aiosd.guard.settings import load_guard_settings
from aiosd.policy import PolicyError, load_policy_file
from aiosd.policy.folders import FolderImportError, translate_json
from aiosd.words import retell
from tests.daemon.harness import client_command

ROOT = Path(__file__).parents[3]

_IS_JAPANESE = re.compile(r"[぀-ヿ一-鿿]")
_RULE = '[[rule]]\npattern = "x"\ntier = "{}"\n'
WRONG_POLICIES = (
    *('unmatched = "x"', 'unmatchd = "x"', "questions = 1", "rule = 1", "folder = 1", "folders = 1", "x = "),
    *('[permissions]\nallow = ["x"]', '[permissions]\nauto_allow = ["rm -f *"]', "[permissions]\nnotify = 1"),
    *("[permissions]\nnotify = [1]", '[permissions]\ndeny = ["*"]', '[permissions]\nnotify = ["a|b"]'),
    *('[permissions]\nnotify = ["a * b"]', '[permissions]\nnotify = ["/bin/ls"]', "permissions = 1"),
    *('[[rule]]\ntier = "x"', '[[rule]]\ntiers = "x"', '[[rule]]\ntier = "notify"', '[[rule]]\npattern = "x"'),
    *(_RULE.format("notify") + f'{key} = ["x y"]' for key in ("writes", "network", "sockets", "machine")),
    *(_RULE.format("notify") + line for line in ('match = "cat"', 'no_match = "x"', 'sockets = "x"')),
    *(_RULE.format("deny") + line for line in ('sockets = ["/x"]', 'cwd = "x"', "reason = 1", "default = true")),
    *(_RULE.format("deny") + line for line in ("default = 1", 'tool = "grep"', 'run_as = "x"', 'command = "x y"')),
    _RULE.format("auto_allow") + 'run_as = "root"',
    *(
        f'[[rule]]\ntier = "notify"\ntool = "{tool}"'
        for tool in ("foo", "read_fil", "grep:x", "web_fetch:X Y", "mcp:x")
    ),
    '[[rule]]\ntier = "auto_allow"\ntool = "web_fetch"',
    '[[rule]]\ntier = "notify"\ntool = "grep"\nsockets = ["/x"]',
    *("[[folder]]\nx = 1", '[[folder]]\naccess = "r"', '[[folder]]\npath = "x"', '[[folder]]\npath = "/x*"'),
    *(f'[[folder]]\npath = "/x"\n{line}' for line in ('access = "r"', "name = 1", 'audit = "x"')),
    *(f'[[folder]]\npath = "/x"\n{line}' for line in ('max_file_size_mb = "x"', 'denied_extensions = ["/"]')),
    "[folders]\nx = []",
)
WRONG_CONFIGURATIONS = (
    *("[agent]\nmax_step = 1", '[agent]\nmax_steps = "x"', "x = ", '[agent]\nmodel = "nope"', "[guard]\nfoo = 1"),
    *('[models.Xy]\nmodel = "m"', '[models.x]\nmodel = ""\nbase_url = "https://x"', "[guard]\ntimeout_s = -1"),
    *('[models.x]\nmodel = "m"\nbase_url = "x"', '[models.x]\nmodel = "m"\nkey = "sk-x"'),
    '[models.x]\nmodel = "m"\nkey = "k"\nbase_url = "http://example.org"',
    *("[secrets.a]\nfoo = 1", "[secrets.a]\nhosts = 1", '[secrets.a]\ncredential = "x"'),
)


@pytest.fixture
def japanese() -> Iterator[None]:
    """A person who wants Japanese."""
    kept = posix.environ.get(b"LC_ALL")
    posix.environ[b"LC_ALL"] = b"ja_JP.UTF-8"
    yield
    posix.environ.pop(b"LC_ALL")
    if kept is not None:
        posix.environ[b"LC_ALL"] = kept


@pytest.mark.usefixtures("japanese")
@pytest.mark.parametrize("content", WRONG_POLICIES)
def test_what_is_wrong_with_a_policy_is_told_in_japanese(tmp_path: Path, content: str) -> None:
    file = tmp_path / "50-x.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_policy_file(file)
    place, _, told = retell(f"aios: {caught.value}").removeprefix("aios: ").partition(": ")
    assert place.startswith(f"{file}:")
    assert _IS_JAPANESE.search(told)
    assert not _IS_JAPANESE.search(str(caught.value))


@pytest.mark.usefixtures("japanese")
@pytest.mark.parametrize("content", WRONG_CONFIGURATIONS)
def test_what_is_wrong_with_a_configuration_is_told_in_japanese(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.toml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path)
    told = retell(f"aiosd: {caught.value.message}; {caught.value.hint}")
    assert told.startswith(f"aiosd: {tmp_path}/config.toml: ")
    assert _IS_JAPANESE.search(told)
    assert not _IS_JAPANESE.search(caught.value.message)


def _load(folder: Path) -> None:
    load_config([folder], {}, standalone=True)
    load_guard_settings([folder], {})


@pytest.mark.usefixtures("japanese")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", " に一覧 FolderPolicies がありません"),
        ('{"FolderPolicies": [{"Foo": 1}]}', ": folder 1: 不明なキー Foo"),
        ('{"FolderPolicies": [{"Path": "a"}]}', ": folder 1: `a` は絶対パスではありません"),
        ('{"FolderPolicies": [{"Path": "/a"}, {"Path": "/a"}]}', ": フォルダー 1 と 2 のパスが同じです"),
    ],
)
def test_what_is_wrong_with_folder_policies_is_told_in_japanese(content: str, told: str) -> None:
    with pytest.raises(FolderImportError) as caught:
        translate_json(content, "/given/a.json")
    assert retell(f"aios: {caught.value.args[0]}") == f"aios: /given/a.json{told}"


@pytest.mark.usefixtures("japanese")
def test_a_file_that_others_may_write_comes_with_the_command_that_mends_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    (tmp_path / "config.toml").chmod(0o666)
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path)
    path = f"{tmp_path}/config.toml"
    assert (
        retell(f"{caught.value.message}; {caught.value.hint}") == f"{path}: 所有者以外も書き込めます。chmod go-w {path}"
    )


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("C.UTF-8", "unknown key `unmatchd`; did you mean `unmatched`? the keys here are "),
        ("ja_JP.UTF-8", "不明なキー `unmatchd`。`unmatched` のことですか。ここで使えるキー: "),
    ],
)
def test_a_policy_is_tested_in_the_language_of_whoever_asks(tmp_path: Path, language: str, told: str) -> None:
    file = tmp_path / "50-x.toml"
    file.write_text('unmatchd = "deny"\n', encoding="utf-8")
    ran = _run([*client_command(), "policy", "test", str(file)], {"LC_MESSAGES": language})
    keys = "preset, unmatched, least, only_simple, only_programs, questions, permissions, rule, folder, folders"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, f"{file}:1: {told}{keys}\n", "")


@pytest.mark.parametrize(
    ("language", "head", "fault"),
    [
        ("C.UTF-8", ["KEY", "VALUE", "FROM"], "unknown key 'agent.max_step'; did you mean 'agent.max_steps'?"),
        ("ja_JP.UTF-8", ["キー", "値", "由来"], "不明なキー 'agent.max_step'。'agent.max_steps' のことですか"),
    ],
)
def test_a_configuration_is_shown_in_the_language_of_whoever_asks(
    tmp_path: Path, language: str, head: list[str], fault: str
) -> None:
    command = [sys.executable, "-m", "aiosd", "--show-config"]
    environment = {"LC_MESSAGES": language, "AIOS_CONFIG_DIR": str(tmp_path)}
    shown = _run(command, environment)
    assert (shown.returncode, shown.stdout.splitlines()[0].split(), shown.stderr) == (0, head, "")
    (tmp_path / "config.toml").write_text("[agent]\nmax_step = 9\n", encoding="utf-8")
    refused = _run(command, environment)
    assert (refused.returncode, refused.stdout) == (78, "")
    assert refused.stderr == f"aiosd: {tmp_path}/config.toml: {fault}\n"
    started = _run([sys.executable, "-m", "aiosd", "--standalone"], {**environment, "XDG_RUNTIME_DIR": str(tmp_path)})
    assert "unknown key 'agent.max_step'; did you mean 'agent.max_steps'?" in started.stderr  # the journal's


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=ROOT,
        env=environment,
    )
