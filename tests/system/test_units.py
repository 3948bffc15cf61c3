"""The units as systemd sees them: clean, closed, independent of the network, and of use to one user alone."""

import json
import re

import pytest

from tests.system.guest import REPOSITORY, Guest

_SYSTEM = ("aiosd.service", "aiosd.socket", "aios-guard.service", "aios-guard.socket", "aios-work.slice")
_SERVICES = ("aiosd.service", "aios-guard.service")
_QUESTION = ["aios", "ask", "which services failed?"]
_SECRET = "sk-a-key-of-somebody"


def _ask(guest: Guest, user: str = "bob") -> str:
    return guest.run(_QUESTION, user=user).stdout


def _text(unit: str) -> str:
    return (REPOSITORY / "units" / unit).read_text(encoding="utf-8")


def test_systemd_finds_nothing_to_say_about_them(installed: Guest) -> None:
    paths = [f"/usr/lib/systemd/system/{unit}" for unit in _SYSTEM]
    said = installed.enter(["systemd-analyze", "verify", "--man=yes", *paths])
    assert (said.stdout, said.stderr) == ("", "")
    paths = [f"/usr/lib/systemd/user/{unit}" for unit in ("aiosd.service", "aiosd.socket")]
    said = installed.run(["systemd-analyze", "--user", "verify", "--man=yes", *paths], user="carol")
    assert (said.stdout, said.stderr) == ("", "")


def test_verifying_finds_what_is_wrong_with_a_unit(installed: Guest) -> None:
    installed.put("/root/aios-wrong.service", "[Service]\nExecStart=/usr/bin/aiosd\nProtectSytem=strict\n")
    assert (
        "ProtectSytem" in installed.enter(["systemd-analyze", "verify", "/root/aios-wrong.service"], check=False).stderr
    )


@pytest.mark.parametrize("unit", _SERVICES)
def test_its_exposure_is_small_and_every_exception_has_its_reason(installed: Guest, unit: str) -> None:
    summary = installed.enter(["systemd-analyze", "security", "--no-pager", unit]).stdout.splitlines()[-1]
    level = re.search(r"exposure level for \S+: (\d+\.\d)", summary)
    assert level is not None
    assert float(level[1]) <= 1.5
    found = json.loads(installed.enter(["systemd-analyze", "security", "--json=short", unit]).stdout)
    open_ = {
        entry["name"].partition("=")[0] for entry in found if not entry["set"] and float(entry["exposure"] or 0) > 0
    }
    reasons = " ".join(line for line in _text(unit).splitlines() if line.startswith("#"))
    assert {"PrivateUsers", "RootDirectory"} <= open_
    assert {name for name in open_ if name not in reasons} == set()


@pytest.mark.parametrize("unit", _SERVICES)
def test_what_the_unit_closes_is_closed_in_the_process(installed: Guest, unit: str) -> None:
    _ask(installed)
    pid = installed.unit(unit)["MainPID"]
    status = dict(line.split(":\t", 1) for line in installed.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    links = installed.enter(["readlink", f"/proc/{pid}/ns/net", "/proc/1/ns/net"]).stdout.split()
    assert (links[0] == links[1]) is (unit == "aiosd.service")
    owner = installed.enter(["stat", "-c", "%U", f"/proc/{pid}/cgroup"]).stdout.strip()
    assert owner == {"aiosd.service": "aios", "aios-guard.service": "root"}[unit]
    inside = ["nsenter", "-t", pid, "-m", "ls", "/home", "/root"]
    assert "bob" not in installed.enter(inside, check=False).stdout


def test_no_unit_waits_for_the_network(installed: Guest) -> None:
    ordered = ("After", "Wants", "Requires", "Requisite", "BindsTo", "PartOf")
    named = {name for unit in _SYSTEM for key in ordered for name in installed.unit(unit).get(key, "").split()}
    assert {name for name in named if "network" in name or "resolved" in name} == set()
    addresses = json.loads(installed.enter(["ip", "-json", "address"]).stdout)
    assert [link["ifname"] for link in addresses if link["operstate"] == "UP"] == []
    assert _ask(installed) == "No unit has failed.\n"


@pytest.mark.parametrize("unit", _SERVICES)
def test_it_says_how_it_is_and_reloads_in_place(installed: Guest, unit: str) -> None:
    _ask(installed)
    before = installed.unit(unit)
    assert before["Type"] == "notify-reload"
    assert before["StatusText"] != ""
    installed.enter(["systemctl", "reload", unit])
    after = installed.unit(unit)
    assert (after["MainPID"], after["ActiveState"], after["NRestarts"]) == (before["MainPID"], "active", "0")
    assert _ask(installed) == "No unit has failed.\n"


@pytest.mark.parametrize("unit", _SERVICES)
def test_a_daemon_that_hangs_is_replaced(installed: Guest, unit: str) -> None:
    _ask(installed)
    installed.put(f"/run/systemd/system/{unit}.d/quick.conf", "[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n")
    installed.enter(["systemctl", "daemon-reload"])
    installed.enter(["systemctl", "restart", unit])
    pid = installed.unit(unit)["MainPID"]
    installed.enter(["kill", "-STOP", pid])
    installed.wait_for(lambda: installed.unit(unit)["NRestarts"] == "1")
    installed.wait_for(lambda: installed.unit(unit)["ActiveState"] == "active")
    assert installed.unit(unit)["MainPID"] != pid
    assert any("Watchdog timeout" in entry["MESSAGE"] for entry in installed.journal("-u", unit))
    installed.enter(["rm", "-r", f"/run/systemd/system/{unit}.d"])
    installed.enter(["systemctl", "daemon-reload"])
    installed.enter(["systemctl", "restart", unit])
    assert installed.unit(unit)["WatchdogUSec"] == "30s"
    assert _ask(installed) == "No unit has failed.\n"


def test_stopping_the_service_leaves_the_socket_which_wakes_it(installed: Guest) -> None:
    _ask(installed)
    installed.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
    assert [installed.unit(unit)["ActiveState"] for unit in _SERVICES] == ["inactive", "inactive"]
    assert _ask(installed) == "No unit has failed.\n"
    assert [installed.unit(unit)["ActiveState"] for unit in _SERVICES] == ["active", "active"]


# Credentials


def _credential(guest: Guest, name: str) -> tuple[str, str]:
    path = f"/run/credentials/aiosd.service/{name}"
    return guest.enter(["cat", path]).stdout, guest.enter(["stat", "-c", "%a", path]).stdout.strip()


def test_an_encrypted_key_is_open_to_the_daemon_and_to_nobody_else(installed: Guest) -> None:
    script = (
        "mkdir -p /etc/credstore.encrypted; umask 077; "
        "systemd-creds encrypt --with-key=host --name=aios.probe - /etc/credstore.encrypted/aios.probe"
    )
    installed.enter(["sh", "-c", script], stdin=_SECRET)
    assert _SECRET not in installed.read("/etc/credstore.encrypted/aios.probe")
    installed.enter(["systemctl", "restart", "aiosd.service"])
    assert _credential(installed, "aios.probe")[0] == _SECRET
    path = "/run/credentials/aiosd.service/aios.probe"
    for user in ("bob", "alice"):
        assert installed.run(["cat", path], user=user, check=False).status == 1
    assert installed.enter(["setpriv", "--reuid=aios", "--clear-groups", "cat", path]).stdout == _SECRET
    environment = installed.read(f"/proc/{installed.unit('aiosd.service')['MainPID']}/environ")
    assert _SECRET not in environment
    assert not installed.exists("/run/credentials/aios-guard.service/aios.probe")
    assert _ask(installed) == "No unit has failed.\n"


def test_an_administrator_may_keep_the_encrypted_key_elsewhere(installed: Guest) -> None:
    installed.enter(
        ["systemd-creds", "encrypt", "--with-key=host", "--name=aios.other", "-", "/etc/aios/other.cred"], stdin=_SECRET
    )
    line = "[Service]\nLoadCredentialEncrypted=aios.other:/etc/aios/other.cred\n"
    installed.put("/etc/systemd/system/aiosd.service.d/key.conf", line)
    installed.enter(["systemctl", "daemon-reload"])
    installed.enter(["systemctl", "restart", "aiosd.service"])
    assert _credential(installed, "aios.other")[0] == _SECRET
    installed.enter(["rm", "-r", "/etc/systemd/system/aiosd.service.d", "/etc/aios/other.cred"])
    installed.enter(["systemctl", "daemon-reload"])
    installed.enter(["systemctl", "restart", "aiosd.service"])
    assert not installed.exists("/run/credentials/aiosd.service/aios.other")
    assert _ask(installed) == "No unit has failed.\n"


def test_a_model_is_added_to_the_service_with_its_key_encrypted(installed: Guest) -> None:
    installed.put("/root/model_server.py", (REPOSITORY / "tests" / "system" / "model_server.py").read_bytes())
    installed.enter(["systemd-run", "--quiet", "--unit=a-model", "python3", "/root/model_server.py", "8765"])
    installed.wait_for(["sh", "-c", "ss -ltnH | grep -q 127.0.0.1:8765"])
    words = ["aios", "model", "add", "mine", "--provider", "openai", "--server-name", "m", "--default", "--yes"]
    words += ["--base-url", "http://127.0.0.1:8765/v1", "--key-file", "-"]
    told = installed.enter(words, stdin=f"{_SECRET}\n").stdout
    stored = "/etc/credstore.encrypted/aios.mine"
    assert f"The key is in {stored}, encrypted for this machine" in told
    assert installed.enter(["stat", "-c", "%a %U", stored]).stdout.strip() in {"600 root", "644 root"}
    files = installed.enter(["sh", "-c", f"cat {stored} /etc/aios/config.d/60-model-mine.toml"]).stdout
    assert _SECRET not in told + files
    assert _ask(installed).strip() == "ready."
    assert installed.read("/run/model-asked").splitlines() == [f"Bearer {_SECRET}"] * 2
    assert installed.run(["cat", "/run/credentials/aiosd.service/aios.mine"], user="bob", check=False).status == 1
    installed.enter(["sh", "-c", f"systemctl stop a-model; rm {stored} /etc/aios/config.d/60-model-mine.toml"])
    installed.enter(["systemctl", "restart", "aiosd.service"])
    assert _ask(installed) == "No unit has failed.\n"


# One user's own


def test_an_ordinary_user_has_a_daemon_of_their_own(installed: Guest) -> None:
    uid = installed.enter(["id", "-u", "carol"]).stdout.strip()
    socket = f"/run/user/{uid}/aios/aiosd.sock"
    script = (
        f"systemctl --user start aiosd.socket && export AIOS_SOCKET={socket} && aios ask 'which services failed?' && "
        "aios status && systemctl --user reload aiosd.service && systemctl --user show aiosd.service "
        "--property=ActiveState,StatusText && stat -c '%U %a' $AIOS_SOCKET && aios log && "
        "systemctl --user stop aiosd.socket aiosd.service && test ! -e $AIOS_SOCKET"
    )
    said = installed.run(["sh", "-c", script], user="carol").stdout.splitlines()
    assert said[0] == "No unit has failed."
    assert "(standalone)" in said[1]
    assert {"ActiveState=active", "carol 666"} <= set(said)
    assert any(line.startswith("StatusText=") and line != "StatusText=" for line in said)
    (record,) = [line for line in said if "systemctl list-units" in line]
    assert "carol" in record
    assert installed.enter(["pgrep", "-u", "carol", "-f", "aiosd"], check=False).status == 1
    assert installed.enter(["aios", "log", "-u", "carol"]).stdout == "no records\n"
