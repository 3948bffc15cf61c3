"""The login hook through real login(1), su(1) and sshd, with a daemon that is well, dead, hung, or floods."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiosd.login.pam import LINE
from tests.system.guest import CompletedGuest, Guest

_HERE = Path(__file__).parent
_BOB = 1001
_WAYS = ("login", "su", "sshd")
_HOOKED = {"login": "login", "su": "su", "sshd": "sshd"}  # Debian's su-l takes su in
_SSH = ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "-i", "/root/key"]
# The deadlines are what the hook promises a login, so they are asserted: seconds, as /proc/uptime counts them, of the
# best of a few logins, for this machine may have other work.
_WELL_S, _ILL_S = 0.3, 1.0
_LOGINS = 6
_NOTED = f"/var/lib/aios/logins/{_BOB}"


@pytest.fixture(scope="module")
def machine(installed: Guest) -> Guest:
    """A machine with the hook in all three, stamps before and after it, and a key of bob's."""
    for name in ("pty_talk.py", "hook_server.py"):
        installed.put(f"/root/{name}", (_HERE / name).read_text(encoding="utf-8"))
    installed.put(
        "/root/stamp",
        '#!/bin/sh\n[ "$PAM_TYPE" = open_session ] && cut -d" " -f1 /proc/uptime >> /run/stamps\n',
        mode=0o755,
    )
    script = (
        "ssh-keygen -q -t ed25519 -N '' -f /root/key; install -d -o bob -m 700 /home/bob/.ssh;"
        "install -o bob -m 600 /root/key.pub /home/bob/.ssh/authorized_keys;"
        "systemctl start ssh; aios login enable login su sshd"
    )
    installed.enter(["sh", "-ec", script])
    for service in _HOOKED.values():
        stamp = "session optional pam_exec.so quiet /root/stamp"
        installed.enter(["sed", "-i", f"s|^{LINE}$|{stamp}\\n&\\n{stamp}|", f"/etc/pam.d/{service}"])
    installed.wait_for(["sh", "-c", "ss -ltn | grep -q :22"])
    return installed


def _talk(guest: Guest, argv: Sequence[str], *steps: tuple[str, str]) -> CompletedGuest:
    return guest.enter(["python3", "/root/pty_talk.py", json.dumps(steps), *argv], check=False)


def _log_in(guest: Guest, way: str) -> str:
    """Log bob in on a terminal, run a command there and leave; what the terminal showed. The stamps are begun anew."""
    guest.enter(["rm", "-f", "/run/stamps"])
    at_shell = ("$ ", "echo here $((6 * 7)); exit")
    match way:
        case "login":
            done = _talk(guest, ["login"], ("login:", "bob"), ("assword:", "bob"), at_shell)
        case "su":
            done = _talk(guest, ["su", "-", "bob"], at_shell)
        case _:
            done = _talk(guest, [*_SSH, "-tt", "bob@localhost"], at_shell)
    assert done.status == 0, done.stdout
    assert "here 42" in done.stdout
    return done.stdout


def _assert_hardly_held_up(guest: Guest, way: str, deadline_s: float, *before_each: str) -> None:
    """The login that was stamped last, or another such, was held up by the hook for no longer than that."""
    took = []
    for _ in range(_LOGINS):
        before, after = map(float, guest.read("/run/stamps").split())
        took.append(after - before)
        if took[-1] <= deadline_s:
            return
        if before_each:
            guest.enter(before_each)
        _log_in(guest, way)
    raise AssertionError(took)


def _fail_a_turn(guest: Guest) -> None:
    """A turn of bob's that nobody approves, and the mark of his last login away."""
    asked = guest.run(["aios", "ask", "--wait", "1", "run `touch /tmp/x`"], user="bob", check=False)
    assert asked.status == 79, asked
    guest.enter(["rm", "-f", _NOTED])


@contextmanager
def _without_daemon(guest: Guest) -> Iterator[None]:
    guest.enter(["systemctl", "stop", "aiosd.socket", "aiosd.service"])
    try:
        yield
    finally:
        guest.enter(["sh", "-c", "rm -f /run/aios/aiosd.sock; systemctl reset-failed; systemctl start aiosd.socket"])


@contextmanager
def _stand_in(guest: Guest, what: str) -> Iterator[None]:
    with _without_daemon(guest):
        guest.enter(["rm", "-f", "/run/asked"])
        guest.enter(["systemd-run", "--quiet", "--unit=stand-in", "python3", "/root/hook_server.py", what])
        guest.wait_for(["test", "-S", "/run/aios/aiosd.sock"])
        try:
            yield
        finally:
            guest.enter(["systemctl", "stop", "stand-in"])


@pytest.mark.parametrize("way", _WAYS)
def test_a_login_shows_once_what_waits_and_is_hardly_held_up(machine: Guest, way: str) -> None:
    _fail_a_turn(machine)
    shown = _log_in(machine, way)
    assert re.search(
        r"^aios: \d turns? cut short since [0-9: -]{16} UTC: aios sessions \([a-z, .-]+\)$", shown, re.MULTILINE
    )
    assert machine.exists(_NOTED) is (way != "sshd")
    again = _log_in(machine, way)
    assert ("aios:" in again) is (way == "sshd")  # which never says whether it had a terminal to show it on
    _assert_hardly_held_up(machine, way, _WELL_S)


@pytest.mark.parametrize("way", _WAYS)
def test_a_daemon_that_has_to_start_is_started_and_not_waited_for(machine: Guest, way: str) -> None:
    stop = ("systemctl", "stop", "aiosd.service")
    machine.enter(stop)
    _log_in(machine, way)
    _assert_hardly_held_up(machine, way, _ILL_S, *stop)
    machine.wait_for(["systemctl", "is-active", "--quiet", "aiosd.service"])


@pytest.mark.parametrize("way", _WAYS)
def test_a_dead_daemon_costs_nothing(machine: Guest, way: str) -> None:
    with _without_daemon(machine):
        assert "aios:" not in _log_in(machine, way)
        _assert_hardly_held_up(machine, way, _ILL_S)


@pytest.mark.parametrize("way", _WAYS)
def test_a_hung_daemon_does_not_hang_the_login(machine: Guest, way: str) -> None:
    machine.enter(["aios", "status"])
    machine.enter(["systemctl", "kill", "--signal=STOP", "aiosd.service"])
    try:
        assert "aios:" not in _log_in(machine, way)
        _assert_hardly_held_up(machine, way, _ILL_S)
        main = machine.unit("aiosd.service")["MainPID"]
        assert machine.read(f"/proc/{main}/stat").split()[2] == "T"  # hung all the while
    finally:
        machine.enter(["systemctl", "kill", "--signal=CONT", "aiosd.service"])


@pytest.mark.parametrize("way", _WAYS)
def test_a_hung_guard_does_not_hang_the_login(machine: Guest, way: str) -> None:
    machine.enter(["aios", "status"])
    machine.enter(["systemctl", "kill", "--signal=STOP", "aios-guard.service"])
    try:
        assert "aios:" not in _log_in(machine, way)
        _assert_hardly_held_up(machine, way, _ILL_S)
    finally:
        machine.enter(["systemctl", "kill", "--signal=CONT", "aios-guard.service"])


@pytest.mark.parametrize("way", _WAYS)
def test_a_flood_shows_nothing_and_does_not_hang_the_login(machine: Guest, way: str) -> None:
    with _stand_in(machine, "flood"):
        shown = _log_in(machine, way)
        _assert_hardly_held_up(machine, way, _ILL_S)
    assert "evil" not in shown
    assert "aios:" not in shown


@pytest.mark.parametrize("way", _WAYS)
def test_one_call_a_login_from_the_person_themself_and_none_at_its_end(machine: Guest, way: str) -> None:
    with _stand_in(machine, "count"):
        shown = _log_in(machine, way)
        surely = "false" if way == "sshd" else "true"
        assert machine.read("/run/asked") == f"{_BOB} {_BOB} POST /v1/login?shown={surely} HTTP/1.1\n"
    assert "aios: ?[2J?evil???\naios: ?[2J?evil???\n" in shown
    assert "\x07" not in shown.replace("\x1b]", "").split("aios:")[1]


def test_who_becomes_another_is_that_other_to_the_daemon(machine: Guest) -> None:
    with _stand_in(machine, "count"):
        steps = (("assword:", "carol"), ("$ ", "exit"))
        as_bob = ["setpriv", "--reuid=bob", "--regid=bob", "--init-groups", "su", "-", "carol"]
        assert _talk(machine, as_bob, *steps).status == 0
        carol = machine.enter(["id", "-u", "carol"]).stdout.strip()
        assert machine.read("/run/asked").startswith(f"{carol} {carol} POST ")


def test_without_a_terminal_nothing_is_shown_and_nothing_counts_as_told(machine: Guest) -> None:
    with _stand_in(machine, "count"):
        assert machine.enter([*_SSH, "bob@localhost", "echo over ssh"]).stdout == "over ssh\n"
        assert machine.enter(["su", "-", "bob"], stdin="echo by su\n").stdout == "by su\n"
        assert machine.enter(["su", "-", "bob", "-c", "echo by su -c"]).stdout == "by su -c\n"
        asked = machine.read("/run/asked").splitlines()
    assert [line.split()[3] for line in asked] == ["/v1/login?shown=false"] * 3


def test_a_user_database_that_hangs_is_not_waited_for_long(machine: Guest) -> None:
    """The hook alone: a real login would hang there by itself."""
    script = (
        "mkfifo /run/never; mount --bind /run/never /etc/passwd; cut -d' ' -f1 /proc/uptime;"
        "PAM_TYPE=open_session PAM_USER=bob /usr/lib/aios/login-hook; echo $?; cut -d' ' -f1 /proc/uptime"
    )
    took = []
    for _ in range(_LOGINS):
        before, status, after = machine.enter(["unshare", "--mount", "sh", "-c", script]).stdout.split()
        assert status == "0"
        took.append(float(after) - float(before))
        assert took[-1] > 0.5  # it did hang
        if took[-1] <= _ILL_S:
            break
    assert min(took) <= _ILL_S
    assert machine.enter(["pgrep", "-f", "login-hook"], check=False).stdout == ""


def test_a_package_that_is_gone_does_not_keep_anybody_out(machine: Guest) -> None:
    machine.enter(["mv", "/usr/lib/aios/login-hook", "/usr/lib/aios/login-hook.away"])
    try:
        for way in _WAYS:
            assert "aios" not in _log_in(machine, way)
    finally:
        machine.enter(["mv", "/usr/lib/aios/login-hook.away", "/usr/lib/aios/login-hook"])
