"""On a booted systemd: questions about units and the journal are answered truly, and the bus can only be read.

The daemon runs standalone as root here; the installed service has tests of its own.
"""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.guest import Guest, Testbed

_PROBE = Path(__file__).with_name("bus_probe.py")
_UNIT = "[Service]\nExecStart=/bin/false\n"


@pytest.fixture(scope="module")
def asked(testbed: Testbed) -> Iterator[Guest]:
    """A guest with a failed unit and a running aiosd."""
    with testbed.boot() as guest:
        guest.install_tree()
        guest.put("/etc/systemd/system/shop-sync.service", _UNIT)
        guest.put("/root/bus_probe.py", _PROBE.read_text(encoding="utf-8"))
        guest.enter(["systemctl", "daemon-reload"])
        guest.enter(["systemctl", "start", "shop-sync.service"], check=False)
        guest.enter(["systemd-run", "--quiet", "--unit=aiosd", "--setenv=HOME=/root", "/usr/bin/aiosd", "--standalone"])
        guest.wait_for(lambda: guest.enter(["aios", "status"], check=False).status == 0)
        yield guest


def _ask(guest: Guest, question: str, user: str) -> str:
    return guest.run(["aios", "ask", question], user=user).stdout


@pytest.mark.parametrize("user", ["alice", "bob", "root"])
def test_failed_services_are_named_for_everybody(asked: Guest, user: str) -> None:
    answer = asked.enter(["aios", "ask", "which services failed?"]).stdout if user == "root" else _ask(
        asked, "which services failed?", user
    )  # fmt: skip
    assert answer.startswith("1 unit has failed.\n")
    assert "shop-sync.service" in answer


def test_the_state_of_a_service_comes_with_its_log_for_who_may_read_it(asked: Guest) -> None:
    answer = _ask(asked, "what is the state of shop-sync?", "alice")
    assert answer.startswith("shop-sync.service has failed (since ")
    assert "Its program ended with exit status 1." in answer
    assert "Failed with result 'exit-code'." in answer


def test_who_may_not_read_the_log_is_told(asked: Guest) -> None:
    answer = _ask(asked, "what is the state of shop-sync?", "bob")
    assert answer.startswith("shop-sync.service has failed (since ")
    assert "Failed with result" not in answer
    assert "You do not have the right to read it." in answer


def test_every_action_is_in_the_journal_with_fields_of_its_own(asked: Guest) -> None:
    _ask(asked, "サービスの失敗は？", "carol")
    entries = asked.journal("SYSLOG_IDENTIFIER=aios", "AIOS_USER=carol")
    decided, done = entries[-2:]
    assert (decided["AIOS_KIND"], decided["AIOS_TIER"], decided["AIOS_DECISION"]) == (
        "decided",
        "auto_allow",
        "allowed",
    )
    assert decided["AIOS_ACTION"].startswith("systemctl list-units")
    assert decided["MESSAGE"] == "An action was decided: allowed (carol, auto_allow)"
    assert decided["_UID"] == "0"
    assert (done["AIOS_KIND"], done["AIOS_OUTCOME"], done["AIOS_CALL"]) == ("done", "done", decided["AIOS_CALL"])
    assert done["AIOS_PREV"] == decided["AIOS_HASH"]


def _probe(guest: Guest, where: str, line: str, user: str = "alice") -> tuple[int, str]:
    ran = guest.enter(["python3", "/root/bus_probe.py", user, where, *shlex.split(line)])
    found = json.loads(ran.stdout)
    return found["status"], found["text"]


@pytest.mark.parametrize(
    "line",
    [
        "systemctl list-units --failed --all --plain --no-legend --no-pager",
        "systemctl show shop-sync.service --no-pager -p Id,LoadState,ActiveState,SubState,Result,UnitFileState",
        "systemctl show systemd-logind.service --no-pager -p Id,ActiveState,Description,MainPID",
        "systemctl is-active systemd-journald.service",
        "systemctl is-enabled systemd-journald.service",
        "systemctl cat shop-sync.service",
        "systemctl list-unit-files --no-pager --no-legend shop-sync.service",
        "systemctl get-default",
        "systemctl is-system-running",
        "systemctl list-dependencies --no-pager basic.target",
        "timedatectl show -p Timezone -p LocalRTC -p NTPSynchronized",
        "busctl --no-pager tree org.freedesktop.systemd1",
    ],
)
def test_what_the_bus_says_is_what_it_says_outside(asked: Guest, line: str) -> None:
    asked.wait_for(lambda: _probe(asked, "inside", line) == _probe(asked, "outside", line))  # units come and go


_MANAGER = "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"


@pytest.mark.parametrize(
    "line",
    [
        "systemctl restart systemd-journald.service",
        "systemctl start shop-sync.service",
        "systemctl reboot",
        "systemctl daemon-reload",
        "systemctl kill shop-sync.service",
        "systemctl set-property system.slice CPUWeight=1",
        f"busctl call {_MANAGER} RestartUnit ss systemd-journald.service replace",
        f"busctl call {_MANAGER} StartTransientUnit ssa(sv)a(sa(sv)) x.service fail 0 0",
        "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager PowerOff b false",
        f"busctl set-property {_MANAGER} LogLevel s debug",
        "busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su x.y.z 0",
        "busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.Monitoring BecomeMonitor asu 0 0",
        "hostnamectl set-hostname changed",
        "systemd-run --quiet true",
    ],
)
def test_nothing_can_be_changed_over_the_bus_even_by_who_could_outside(asked: Guest, line: str) -> None:
    before = _facts(asked)
    status, _text = _probe(asked, "inside", line)
    assert status != 0
    assert _facts(asked) == before


def test_root_outside_can_do_what_the_bus_view_refuses(asked: Guest) -> None:
    before = _facts(asked)
    asked.enter(["systemctl", "restart", "systemd-journald.service"])
    assert _facts(asked) != before


def test_no_other_socket_is_in_the_bus_view(asked: Guest) -> None:
    status, text = _probe(asked, "inside", r"find /run /var /tmp -exec test -S {} \; -print")
    assert (status, text.split()) == (0, ["/run/dbus/system_bus_socket"])
    status, outside = _probe(asked, "outside", "find /run -type s")
    assert "/run/systemd/private" in outside
    assert "/run/aios/guard.sock" in outside


def _facts(guest: Guest) -> str:
    """What the attempts above would change."""
    script = (
        "systemctl show systemd-journald.service shop-sync.service -p MainPID,InvocationID,StateChangeTimestamp; "
        "systemctl show -p LogLevel; systemctl show system.slice -p CPUWeight; hostname; "
        "cat /proc/sys/kernel/random/boot_id"
    )
    return guest.enter(["sh", "-c", script]).stdout
