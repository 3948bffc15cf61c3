"""What each preset says of everyday actions, one line each: a change of a preset, a rule or option data shows."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from aiosd.policy import Action, CommandAction, FileAction, Policy, ToolAction, load_policy, parse_url
from aiosd.policy.tools import FILE_TOOLS, MCP, WEB, WRITING_TOOLS
from tests.unit.policy.samples import ALICE, DEFAULTS, OWNERS, write_policy

PRESETS = ("safe", "normal", "paranoid", "trusted")
_SHORT = {"auto_allow": "auto", "notify": "notify", "require_approval": "ask", "deny": "deny"}

# safe, normal, paranoid, trusted: auto means unasked, where it can only read.
_TABLE = r"""
auto    auto    ask     auto    ls -la /etc
auto    auto    ask     auto    cat /etc/os-release
auto    auto    ask     auto    grep -rn error /var/log
auto    auto    ask     auto    find . -name '*.log' -mtime +7
auto    auto    ask     auto    df -h
auto    auto    ask     auto    ps aux --sort=-%mem
auto    auto    ask     auto    free -m
auto    auto    ask     auto    ss -tlnp
auto    auto    ask     auto    ip addr show
auto    auto    ask     auto    uname -a
auto    auto    ask     auto    uptime
auto    auto    ask     auto    journalctl -u nginx -n 50 --no-pager
auto    auto    ask     auto    systemctl status nginx
auto    auto    ask     auto    systemctl list-units --failed
auto    auto    ask     auto    pacman -Qi bash
auto    auto    ask     auto    pacman -Ss editor
auto    auto    ask     auto    git status
auto    auto    ask     auto    git log --oneline -5
auto    auto    ask     auto    git diff HEAD~1
auto    auto    deny    auto    ls | wc -l
auto    auto    deny    auto    ls; df
auto    auto    deny    auto    cat notes 2>/dev/null || true
ask     auto    deny    auto    frobnicate --all
ask     auto    deny    auto    ./configure --help
ask     auto    deny    auto    for f in *.log; do wc -l "$f"; done
ask     auto    deny    auto    echo $HOME
ask     auto    deny    auto    awk '{print $1}' data
ask     auto    deny    auto    find . -name '*.c' -exec wc -l {} +
ask     auto    deny    auto    timeout 5 sleep 1
ask     ask     deny    notify  touch x
ask     ask     deny    notify  mkdir -p a/b
ask     ask     deny    notify  cp a b
ask     ask     deny    notify  mv a b
ask     ask     deny    notify  rm x
ask     ask     deny    notify  rm -rf build
ask     ask     deny    ask     rm -rf ~
ask     ask     deny    ask     rm -rf "$HOME"
ask     ask     deny    ask     git push origin :main
ask     ask     deny    ask     git clone ext::sh x
ask     ask     deny    notify  chmod +x run.sh
ask     ask     deny    notify  sed -i s/a/b/ file
auto    auto    ask     auto    tar -tf a.tar
ask     ask     deny    notify  tar -xf a.tar
ask     ask     deny    ask     echo hi > out
ask     ask     deny    ask     ls > /etc/motd
ask     ask     deny    notify  git add -A
ask     ask     deny    notify  git commit -m 'fix: it'
ask     ask     deny    notify  git push origin main
ask     ask     deny    notify  git clone https://example.org/x
ask     auto    deny    auto    git -c core.pager=sh log
ask     ask     deny    notify  curl https://example.org
ask     ask     deny    notify  ping -c 1 example.org
ask     ask     deny    ask     ssh host uptime
ask     ask     deny    ask     python3 script.py
ask     ask     deny    ask     make
ask     ask     deny    ask     npm install
ask     ask     deny    ask     docker run alpine
ask     ask     deny    notify  kill 1234
ask     ask     deny    notify  pkill -f node
ask     ask     deny    ask     vim file
deny    ask     deny    ask     systemctl restart nginx
deny    ask     deny    ask     systemctl enable nginx
deny    ask     deny    ask     reboot
ask     ask     deny    ask     pacman -Syu
ask     ask     deny    ask     pacman -R vim
deny    ask     deny    ask     sudo pacman -Syu
deny    ask     deny    ask     sudo ls /root
deny    ask     deny    ask     sudo systemctl restart nginx
deny    ask     deny    ask     su -c id
deny    ask     deny    ask     doas id
ask     ask     deny    ask     useradd bob
ask     ask     deny    ask     mount /dev/sdb1 /mnt
ask     ask     deny    ask     fdisk /dev/sda
ask     ask     deny    ask     iptables -F
ask     ask     deny    ask     crontab -e
deny    deny    deny    deny    rm -rf /
deny    deny    deny    deny    rm -rf /*
deny    deny    deny    deny    mkfs.ext4 /dev/sda1
deny    deny    deny    deny    dd if=/dev/zero of=/dev/sda
deny    deny    deny    deny    :(){ :|:& };:
deny    deny    deny    deny    bash -c 'rm -rf /'
auto    auto    ask     auto    read_file:/etc/passwd
ask     ask     deny    notify  write_file:/home/alice/x
ask     ask     deny    notify  edit_file:/etc/fstab
auto    auto    ask     auto    glob:/srv
ask     ask     deny    ask     mcp:web/search
ask     ask     deny    notify  web_fetch:https://example.org/
"""
_ROWS = [line.split(maxsplit=len(PRESETS)) for line in _TABLE.strip().splitlines()]


@cache
def preset_policy(name: str) -> Policy:
    """The vendor's rules under that preset."""
    with TemporaryDirectory() as folder:
        own = Path(folder) / "own"
        write_policy(own, f'preset = "{name}"\n')
        return load_policy([DEFAULTS, own], owner_uids=OWNERS)


def _action(text: str) -> Action:
    tool, _, about = text.partition(":")
    if tool == MCP:
        return ToolAction(name=about)
    if tool == WEB:
        return parse_url(about)
    if tool in FILE_TOOLS:
        return FileAction(tool=tool, path=about, writes=tool in WRITING_TOOLS)
    return CommandAction(line=text, cwd="/home/alice/src")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_decides_as_its_table_says(preset: str) -> None:
    column = PRESETS.index(preset)
    policy = preset_policy(preset)
    said = {row[-1]: _SHORT[policy.evaluate(_action(row[-1]), ALICE).tier] for row in _ROWS}
    assert said == {row[-1]: row[column] for row in _ROWS}
    assert len(said) >= 60
    assert len({row[column] for row in _ROWS}) >= 2


def test_no_preset_loosens_what_the_vendor_denies_and_the_strict_ones_are_stricter() -> None:
    order = list(_SHORT.values())
    for *tiers, text in _ROWS:
        safe, normal, paranoid, trusted = (order.index(tier) for tier in tiers)
        assert paranoid >= safe >= normal, text
        assert (normal == order.index("deny")) == (trusted == order.index("deny")), text


def test_the_package_is_normal() -> None:
    policy = load_policy([DEFAULTS], owner_uids=OWNERS)
    for *tiers, text in _ROWS:
        assert _SHORT[policy.evaluate(_action(text), ALICE).tier] == tiers[PRESETS.index("normal")], text
