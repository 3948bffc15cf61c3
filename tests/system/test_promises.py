"""Promises that need the installed service, and the README's screens as the service really shows them."""

import re
from pathlib import Path

import pytest

from tests.system.guest import Guest

_README = Path(__file__).parents[2] / "README.md"
_SHOP = "[Unit]\nDescription=Fetches the orders of the shop\n[Service]\nExecStart=/bin/false\n"


def test_roots_unasked_commands_cannot_read_what_only_root_can(installed: Guest) -> None:
    refused = installed.enter(["aios", "ask", "run: cat /etc/shadow"], check=False)
    assert refused.status != 0
    assert "root:" not in refused.stdout + refused.stderr
    assert "Permission denied" in refused.stdout + refused.stderr
    whose = installed.enter(["aios", "ask", "run: id -un"]).stdout
    assert "aios-observe" in whose
    assert "root:" in installed.enter(["cat", "/etc/shadow"]).stdout  # the twin


@pytest.fixture(scope="module")
def shop(installed: Guest) -> Guest:
    """A machine with the failed unit of the README."""
    installed.put("/etc/systemd/system/shop-sync.service", _SHOP)
    installed.enter(["systemctl", "daemon-reload"])
    installed.enter(["systemctl", "start", "shop-sync.service"], check=False)
    return installed


def _screens() -> dict[str, str]:
    """What the README shows, by the command line."""
    blocks = re.findall(
        r"^```console\n\$ (.*?)\n(.*?)^```$", _README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return {line: shown for line, shown in blocks if line.startswith("aios ")}


@pytest.mark.parametrize("line", [line for line in _screens() if "sudo" not in line])
def test_the_readmes_screens_are_what_is_shown(shop: Guest, line: str) -> None:
    assert shop.run(["sh", "-c", line], user="bob").stdout == _screens()[line]


def test_the_readmes_card_is_what_is_shown(shop: Guest) -> None:
    (line,) = [line for line in _screens() if "sudo" in line]
    with shop.terminal(["sh", "-c", line], user="alice") as terminal:
        seen = terminal.expect(r"\(no\): ").string.replace("\r\n", "\n")
        terminal.send("n\n")
        terminal.wait()
    seen = re.sub(r"\x1b\[\d*m", "", seen)
    expected = _screens()[line].partition("(no): ")[0]
    for pattern in (r"approval \w+", r"sha256 \w+", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"):
        seen, expected = re.sub(pattern, "…", seen), re.sub(pattern, "…", expected)
    assert seen.partition("(no): ")[0] == expected
