"""What `aios setup` and `aios login` show in both languages: as root of this machine, but for an /etc of its own."""

import subprocess
from pathlib import Path

import pytest

from aiosd.sandbox.profile import HostFacts
from tests.daemon.harness import client_command

FILES = {
    "group": "root:x:0:\nsystemd-journal:x:190:\n",
    "passwd": "root:x:0:0::/root:/bin/sh\n",
    "pam.d/login": "session required pam_unix.so\n",
    "sudoers": "ai ALL=(ALL) NOPASSWD: ALL\n",
    "old.toml": '[permissions]\nauto_allow = ["ls *", "curl *", "pacman -S*"]\ndeny = ["shutdown"]\n[other]\n',
}
SETTINGS = '      # Made by `aios setup`.\n      unmatched = "confine"\n'
ENGLISH = f"""\
/etc/old.toml, entry by entry:
  line 2: auto_allow "ls *" becomes auto_allow: with the options that only read
  line 2: auto_allow "curl *" becomes require_approval: it may use the network
  line 2: auto_allow "pacman -S*" becomes notify as root: it needs root; announced, and only as one plain command
  line 3: deny "shutdown" becomes deny
  other: left out; only the lists of [permissions] are taken over
This will be done:
  - create the user ai, with a home, /bin/bash, no password and no rights of root
  - put ai into the group systemd-journal, to read the journal of the system
  - write /etc/aios/policy.d/50-setup.toml: what no rule speaks of runs where it can only read; without this it is \
asked about
{SETTINGS}\
  - write /etc/aios/policy.d/60-imported.toml: the rules of /etc/old.toml
"""
JAPANESE = f"""\
/etc/old.toml の項目ごとの結果:
  2行目: auto_allow "ls *" の扱い: auto_allow: 読み取りだけのオプションに限ります
  2行目: auto_allow "curl *" の扱い: require_approval: ネットワークを使うことがあります
  2行目: auto_allow "pacman -S*" の扱い: notify（root として）: \
root が必要です。通知し、単純なコマンド1つとしてだけ実行します
  3行目: deny "shutdown" の扱い: deny
  other: 取り込みません。取り込むのは [permissions] の一覧だけです
次のことを行います:
  - 利用者 ai を作成（ホームあり、/bin/bash、パスワードなし、root の権限なし）
  - ai をグループ systemd-journal に追加。システムのジャーナルを読むためです
  - /etc/aios/policy.d/50-setup.toml を作成: 規則のないものは読み取りしかできないところで実行します。\
これがなければ確認します
{SETTINGS}\
  - /etc/aios/policy.d/60-imported.toml を作成: /etc/old.toml の規則
"""
IMPORTED = """\
      # line 2: auto_allow "pacman -S*" becomes notify as root: it needs root; announced, and only as one plain command
      [[rule]]
      pattern = "pacman -S*"
      tier = "notify"
      user = "ai"
      run_as = "root"
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What stands in /etc there."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def _aios(host: HostFacts, etc: Path, language: str, *words: str) -> tuple[int, str, str]:
    """What `aios` says there, without a terminal: its status, output and errors."""
    view = ["--unshare-user", "--uid", "0", "--new-session", "--die-with-parent", "--clearenv"]
    view += ["--ro-bind", "/", "/", "--tmpfs", "/etc", "--dev", "/dev", "--setenv", "LC_MESSAGES", language]
    for name in FILES:
        view += ["--ro-bind", str(etc / name), f"/etc/{name}"]
    command = [host.bwrap, *view, "--", *client_command(), *words]
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("language", "plan", "asked"),
    [
        ("C.UTF-8", ENGLISH, "there is no terminal to ask at; add --yes if this is what you want"),
        ("ja_JP.UTF-8", JAPANESE, "確認に使う端末がありません。これでよければ --yes を付けてください"),
    ],
)
def test_a_plan_is_in_the_language_of_whoever_asks_and_its_files_are_not(
    host: HostFacts, etc: Path, language: str, plan: str, asked: str
) -> None:
    status, out, err = _aios(host, etc, language, "setup", "--import", "/etc/old.toml")
    assert (status, err) == (64, f"aios: {asked}\n  aios help setup\n")
    assert out.startswith(plan)
    assert IMPORTED in out.removeprefix(plan)
    assert ("Look at /etc/sudoers:1 ai" in out, "/etc/sudoers:1 ai ALL=(ALL) NOPASSWD: ALL を見て" in out) == (
        language == "C.UTF-8",
        language != "C.UTF-8",
    )


@pytest.mark.parametrize(
    ("words", "english", "japanese"),
    [
        ("setup --user root", "'root' is no name for the AI's user", "'root' は AI の利用者の名前にできません"),
        ("setup --autologin x", "'x' is no terminal for a login", "'x' はログインできる端末ではありません"),
        ("setup --undo", "nothing was set up", "何も設定されていません"),
        ("login status", "login          disabled", "login          無効"),
        ("login disable", "no service has it", "これを持つサービスはありません"),
        ("login disable nosuch", "there is no /etc/pam.d/nosuch", "/etc/pam.d/nosuch はありません"),
    ],
)
def test_what_is_said_of_it_is_in_that_language(
    host: HostFacts, etc: Path, words: str, english: str, japanese: str
) -> None:
    for language, told in (("C.UTF-8", english), ("ja_JP.UTF-8", japanese)):
        _status, out, err = _aios(host, etc, language, *words.split())
        assert (out + err).splitlines()[0].removeprefix("aios: ") == told
