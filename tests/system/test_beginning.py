"""A service that cannot begin says so at once, to systemd and to who asks, and serves who comes after the repair."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.system.command import CompletedGuest
from tests.system.guest import Guest

_BROKEN_POLICY = '[[rule]]\npattern = "ls"\ntier = "alow"\n'
_BROKEN_CONFIG = "[limits]\nbody_byte = 1\n"


@contextmanager
def _stopped(guest: Guest) -> Iterator[None]:
    """Both services ended, so that what the block changes is found at the start."""
    guest.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
    yield


def _status(guest: Guest, unit: str) -> str:
    return guest.enter(["systemctl", "status", "--no-pager", unit], check=False).stdout


def _ask(guest: Guest) -> CompletedGuest:
    return guest.run(["aios", "ask", "how much memory is free?"], user="bob", check=False)


def _assert_well(guest: Guest) -> None:
    asked = _ask(guest)
    assert (asked.status, asked.stderr.count("cannot")) == (0, 0), asked
    assert "memory" in asked.stdout.lower()
    for unit in ("aiosd.socket", "aios-guard.socket"):
        assert guest.unit(unit)["ActiveState"] == "active"


def test_a_broken_policy_is_named_with_file_and_line_until_it_is_mended(installed: Guest) -> None:
    with _stopped(installed):
        installed.put("/etc/aios/policy.d/50-broken.toml", _BROKEN_POLICY)
    try:
        asked = _ask(installed)
        assert asked.status == 78
        assert "/etc/aios/policy.d/50-broken.toml:3" in asked.stderr
        assert "alow" in asked.stderr
        told = _status(installed, "aios-guard.service")
        assert 'Status: "cannot begin: /etc/aios/policy.d/50-broken.toml:3' in told
        assert "active (running)" in told
        status = installed.run(["aios", "status"], user="bob").stdout
        assert "guard     unavailable" in status
        assert "50-broken.toml:3" in installed.run(["aios", "doctor"], user="bob", check=False).stdout
        assert "50-broken.toml:3" in installed.run(["aios", "pending"], user="bob", check=False).stderr
        for _ in range(20):  # no storm of restarts: the socket is still there
            assert _ask(installed).status == 78
        assert installed.unit("aios-guard.service")["NRestarts"] == "0"
    finally:
        installed.enter(["rm", "-f", "/etc/aios/policy.d/50-broken.toml"])
    _assert_well(installed)


def test_a_broken_configuration_is_named_with_file_and_key_until_it_is_mended(installed: Guest) -> None:
    with _stopped(installed):
        installed.put("/etc/aios/config.d/50-broken.toml", _BROKEN_CONFIG)
    try:
        asked = _ask(installed)
        assert asked.status == 78
        assert "/etc/aios/config.d/50-broken.toml: unknown key 'limits.body_byte'" in asked.stderr
        assert "did you mean 'limits.body_bytes'?" in asked.stderr
        assert "unknown key 'limits.body_byte'" in _status(installed, "aiosd.service")
        assert installed.unit("aiosd.service")["NRestarts"] == "0"
    finally:
        installed.enter(["rm", "-f", "/etc/aios/config.d/50-broken.toml"])
    _assert_well(installed)


@pytest.mark.parametrize("unit", ["aiosd.service", "aios-guard.service"])
def test_a_reload_tries_again_and_tells_what_came_of_it(installed: Guest, unit: str) -> None:
    with _stopped(installed):
        installed.put("/etc/aios/config.d/50-broken.toml", "[guard]\ntimeout = 1\n")
    try:
        _ask(installed)
        installed.run(["aios", "pending"], user="bob", check=False)
        installed.enter(["systemctl", "reload", unit])
        assert "unknown key 'guard.timeout'" in _status(installed, unit)
    finally:
        installed.enter(["rm", "-f", "/etc/aios/config.d/50-broken.toml"])
    installed.enter(["systemctl", "reload", unit])
    assert "cannot begin" not in installed.unit(unit)["StatusText"]
    _assert_well(installed)


def test_a_policy_folder_that_is_not_roots_is_not_believed(installed: Guest) -> None:
    with _stopped(installed):
        installed.put("/etc/aios/policy.d/60-mine.toml", '[permissions]\nauto_allow = ["touch"]\n', owner="bob")
    try:
        asked = _ask(installed)
        assert asked.status == 78
        assert "/etc/aios/policy.d/60-mine.toml" in asked.stderr
        assert "1001" in asked.stderr or "bob" in asked.stderr
    finally:
        installed.enter(["rm", "-f", "/etc/aios/policy.d/60-mine.toml"])
    _assert_well(installed)


def test_with_a_full_disk_the_guard_says_so_and_serves_once_there_is_room(installed: Guest) -> None:
    with _stopped(installed):
        installed.enter(["mv", "/var/lib/aios-guard", "/var/lib/aios-guard.kept"])
        installed.enter(["install", "-d", "-m", "700", "/var/lib/aios-guard"])
        installed.enter(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "none", "/var/lib/aios-guard"])
        installed.enter(["sh", "-c", "cat /dev/zero >/var/lib/aios-guard/full 2>/dev/null || true"])
    try:
        asked = _ask(installed)
        assert asked.status == 78
        assert "No space left on device" in asked.stderr or "disk is full" in asked.stderr, asked.stderr
        installed.enter(["mount", "-o", "remount,size=8m", "/var/lib/aios-guard"])
        installed.enter(["rm", "/var/lib/aios-guard/full"])
        _assert_well(installed)
    finally:
        installed.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
        installed.enter(["umount", "/var/lib/aios-guard"])
        installed.enter(["rmdir", "/var/lib/aios-guard"])
        installed.enter(["mv", "/var/lib/aios-guard.kept", "/var/lib/aios-guard"])
    _assert_well(installed)


def test_it_answers_after_a_boot_without_a_network(installed: Guest) -> None:
    for unit in ("aiosd.service", "aios-guard.service", "aiosd.socket", "aios-guard.socket"):
        order = installed.enter(["systemctl", "show", "-p", "After", "-p", "Wants", "-p", "Requires", unit]).stdout
        assert "network" not in order
    shown = installed.enter(["ip", "-brief", "link"]).stdout
    for line in shown.splitlines():
        name = line.split()[0].partition("@")[0]
        installed.enter(["ip", "link", "set", name, "down"])
    with _stopped(installed):
        pass
    _assert_well(installed)
