"""`aios setup` on an installed machine: shown, done, repeated, undone; and the founding flow with its own file."""

import re
from pathlib import Path

import pytest

from tests.system.guest import Guest

_FOUNDING = Path(__file__).with_name("founding-config.toml").read_text(encoding="utf-8")
_FILE = "/root/config.toml"
_TALK = Path(__file__).with_name("pty_talk.py").read_text(encoding="utf-8")
_PKGBUILD = """\
pkgname=hello
pkgver=1.0
pkgrel=1
pkgdesc='Says hello'
arch=(any)
license=(MIT)
package() {
  install -d "$pkgdir/usr/bin"
  printf '#!/bin/sh\\necho hello\\n' >"$pkgdir/usr/bin/say-hello"
  chmod 755 "$pkgdir/usr/bin/say-hello"
}
"""


def _facts(guest: Guest) -> str:
    """What a setup may change: accounts, our configuration, units; and sudoers, which it never may."""
    script = (
        "getent passwd | sort; getent group | sort; getent shadow | cut -d: -f1,2 | sort;"
        "find /etc/aios /etc/systemd/system /etc/sudoers /etc/sudoers.d /etc/pam.d -printf '%p %y %u %g %m\\n' | sort;"
        "find /etc/aios /etc/systemd/system /etc/sudoers /etc/sudoers.d /etc/pam.d -type f | sort | xargs sha256sum"
    )
    return guest.enter(["sh", "-c", script]).stdout


def _undo(guest: Guest) -> None:
    guest.enter(["aios", "setup", "--undo", "--yes"])


@pytest.fixture(scope="module")
def machine(installed: Guest) -> Guest:
    """A machine with the founding file, and a package `hello` in a repository of its own."""
    installed.put(_FILE, _FOUNDING)
    installed.put("/root/pty_talk.py", _TALK)
    installed.put("/home/builder/hello/PKGBUILD", _PKGBUILD)
    script = (
        "chown -R builder: /home/builder/hello; mkdir /srv/shop;"
        "su builder -c 'cd ~/hello && PKGDEST=/tmp makepkg --noprogressbar' 2>/dev/null;"
        "mv /tmp/hello-*.pkg.tar.* /srv/shop;"
        "repo-add --quiet /srv/shop/shop.db.tar.gz /srv/shop/*.pkg.tar.*;"
        "printf '[shop]\\nServer = file:///srv/shop\\n' >>/etc/pacman.conf; pacman -Sy --noprogressbar"
    )
    installed.enter(["sh", "-ec", script])
    return installed


def test_without_a_terminal_it_shows_all_and_does_nothing(machine: Guest) -> None:
    before = _facts(machine)
    shown = machine.enter(["setsid", "-w", "aios", "setup", "--import", _FILE, "--autologin", "tty1"], check=False)
    assert (shown.status, "there is no terminal to ask at; add --yes" in shown.stderr) == (64, True)
    for text in (
        'notify "pacman -S*" becomes notify as root: it needs root; announced, and only as one plain command',
        'deny "mkfs*" becomes deny',
        "create the user ai, with a home, /bin/bash, no password and no rights of root",
        "put ai into the group systemd-journal, to read the journal of the system",
        "write /etc/aios/policy.d/60-imported.toml: the rules of /root/config.toml",
        'pattern = "pacman -S*"',
        "write /etc/systemd/system/getty@tty1.service.d/50-aios-autologin.conf: ai is logged in on tty1 without",
    ):
        assert text in shown.stdout
    assert _facts(machine) == before


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 77), ("", 77)])
def test_a_person_is_asked_and_the_default_is_no(machine: Guest, answer: str, status: int) -> None:
    before = _facts(machine)
    talk = ["python3", "/root/pty_talk.py", f'[["[y/N] ", "{answer}"]]', "sh", "-c", "aios setup; echo status $?"]
    shown = machine.enter(talk).stdout
    assert f"status {status}\n" in shown
    assert (_facts(machine) == before) is (answer != "y")
    _undo(machine)
    assert _facts(machine) == before


def test_done_twice_is_done_once_and_undone_is_as_before(machine: Guest) -> None:
    before = _facts(machine)
    command = ["aios", "setup", "--yes", "--import", _FILE, "--autologin", "tty1"]
    machine.enter(command)
    once = _facts(machine)
    said = machine.enter(command).stdout
    assert "nothing is to do" in said
    assert "This will be done" not in said
    assert _facts(machine) == once
    assert machine.enter(["id", "-nG", "ai"]).stdout.split() == ["ai", "systemd-journal"]
    assert machine.enter(["getent", "shadow", "ai"]).stdout.split(":")[1] == "!"
    assert machine.enter(["stat", "-c", "%U %a", "/etc/aios/policy.d/60-imported.toml"]).stdout == "root 644\n"
    assert machine.enter(["grep", "-r", "NOPASSWD", "/etc/sudoers", "/etc/sudoers.d"], check=False).stdout == ""
    _undo(machine)
    assert _facts(machine) == before
    assert machine.exists("/home/ai")  # whose files they are is not for us to say
    assert machine.enter(["aios", "setup", "--undo", "--yes"]).stdout == "nothing was set up\n"
    machine.enter(["rm", "-r", "/home/ai"])


def test_what_was_there_before_or_was_changed_since_stays(machine: Guest) -> None:
    machine.enter(["useradd", "--create-home", "ai"])
    before = _facts(machine)
    machine.enter(["aios", "setup", "--yes"])
    machine.enter(["sh", "-c", "echo '# mine' >>/etc/aios/policy.d/50-setup.toml"])
    assert (
        "leave /etc/aios/policy.d/50-setup.toml: it was changed since"
        in machine.enter(["aios", "setup", "--undo", "--yes"]).stdout
    )
    assert machine.read("/etc/aios/policy.d/50-setup.toml").endswith("# mine\n")
    refused = machine.enter(["aios", "setup", "--yes"], check=False)
    assert (refused.status, "is not as this writes it" in refused.stderr) == (65, True)
    machine.enter(["rm", "/etc/aios/policy.d/50-setup.toml"])
    assert _facts(machine) == before
    machine.enter(["userdel", "--remove", "ai"], check=False)


def test_only_root_may(machine: Guest) -> None:
    before = _facts(machine)
    refused = machine.run(["aios", "setup", "--yes"], user="alice", check=False)
    assert (refused.status, "sudo aios setup" in refused.stderr) == (77, True)
    assert _facts(machine) == before


def test_sudo_without_a_question_is_named(machine: Guest) -> None:
    machine.put("/etc/sudoers.d/ai", "ai ALL=(ALL:ALL) NOPASSWD: ALL\n", mode=0o440)
    shown = machine.enter(["setsid", "-w", "aios", "setup"], check=False).stdout
    machine.enter(["rm", "/etc/sudoers.d/ai"])
    assert "Look at /etc/sudoers.d/ai:1 ai ALL=(ALL:ALL) NOPASSWD: ALL" in shown


# The founding flow ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def founded(machine: Guest) -> Guest:
    """The machine after `aios setup --import` of the founding file."""
    machine.enter(["aios", "setup", "--yes", "--import", _FILE])
    return machine


def _ask(guest: Guest, line: str, user: str = "ai") -> tuple[int, str]:
    asked = guest.run(["aios", "ask", "--wait", "2", f"run `{line}`"], user=user, check=False)
    return asked.status, asked.stdout + asked.stderr


def _decided(guest: Guest, line: str) -> dict[str, str]:
    """The newest decision on a line, from the journal."""
    entries = guest.journal("SYSLOG_IDENTIFIER=aios", "AIOS_KIND=decided", f"AIOS_ACTION={line}")
    return entries[-1]


def test_the_package_is_installed_without_a_question_and_removed_with_one(founded: Guest) -> None:
    assert founded.enter(["pacman", "-Q", "hello"], check=False).status == 1
    status, said = _ask(founded, "sudo pacman -S hello")
    assert status == 0, said
    assert founded.enter(["pacman", "-Q", "hello"]).stdout == "hello 1.0-1\n"
    assert founded.enter(["say-hello"]).stdout == "hello\n"
    decided = _decided(founded, "sudo pacman -S hello")
    assert (decided["AIOS_TIER"], decided["AIOS_DECISION"], decided["AIOS_USER"], decided["AIOS_RUN_AS"]) == (
        "notify",
        "allowed",
        "ai",
        "root",
    )
    assert "AIOS_APPROVAL" not in decided or not decided["AIOS_APPROVAL"]

    status, said = _ask(founded, "sudo pacman -R hello")
    assert status == 79, said  # asked, and nobody answered
    assert founded.enter(["pacman", "-Q", "hello"]).stdout == "hello 1.0-1\n"
    decided = _decided(founded, "sudo pacman -R hello")
    assert (decided["AIOS_TIER"], decided["AIOS_DECISION"]) == ("require_approval", "unanswered")
    assert decided["AIOS_APPROVAL"]


def test_an_approved_removal_removes(founded: Guest) -> None:
    founded.enter(["pacman", "-S", "--noconfirm", "--needed", "hello"])
    with founded.start(["aios", "ask", "run `sudo pacman -R hello`"], user="ai") as asking:
        asking.end_of_input()
        pending = founded.wait_for(
            lambda: re.search(r"approval ([0-9a-z-]+)", founded.enter(["aios", "pending"], check=False).stdout)
        )
        assert pending is not None
        founded.enter(["aios", "approve", "--yes", pending[1]])
        assert asking.wait().status == 0
    assert founded.enter(["pacman", "-Q", "hello"], check=False).status == 1


@pytest.mark.parametrize(
    ("line", "tier", "decision"),
    [
        ("pacman -Q bash", "auto_allow", "allowed"),
        ("cat /etc/hostname", "auto_allow", "allowed"),
        ("sudo pacman -S hello && sudo id", "require_approval", "unanswered"),
        ("sudo pacman -S - < /etc/shadow", "require_approval", "unanswered"),
        ("sudo systemctl stop ssh", "require_approval", "unanswered"),
        ("git clone /srv/x", "require_approval", "unanswered"),
        ("rm -rf /", "deny", "denied"),
        ("sudo mkfs.ext4 /dev/sda", "deny", "denied"),
    ],
)
def test_every_other_entry_does_what_it_says(founded: Guest, line: str, tier: str, decision: str) -> None:
    status, said = _ask(founded, line)
    assert status == {"allowed": 0, "unanswered": 79, "denied": 77}[decision], said
    decided = _decided(founded, line)
    assert (decided["AIOS_TIER"], decided["AIOS_DECISION"]) == (tier, decision)
    assert "root:" not in said


def test_nobody_else_gets_what_was_given_to_ai(founded: Guest) -> None:
    status, said = _ask(founded, "sudo pacman -S hello", user="bob")
    assert status == 79, said
    assert _decided(founded, "sudo pacman -S hello")["AIOS_USER"] == "bob"


def test_the_terminal_logs_the_user_in(founded: Guest) -> None:
    script = (
        "import os, pty, pwd, subprocess, sys, time\n"
        "master, slave = pty.openpty()\n"
        "number = os.ttyname(slave).removeprefix('/dev/pts/')\n"
        "subprocess.run(['aios', 'setup', '--yes', '--autologin', 'pts/' + number], check=True, stdout=2)\n"
        "os.close(slave)\n"
        "unit = 'container-getty@' + number + '.service'\n"
        "subprocess.run(['systemctl', 'start', unit], check=True)\n"
        "shown, until = b'', time.monotonic() + 20\n"
        "while b'$ ' not in shown and time.monotonic() < until:\n"
        "    try: shown += os.read(master, 4096)\n"
        "    except OSError: time.sleep(0.02)\n"
        "os.write(master, b'echo I am $(id -un)\\r')\n"
        "while b'I am ai' not in shown and time.monotonic() < until:\n"
        "    shown += os.read(master, 4096)\n"
        "subprocess.run(['systemctl', 'stop', unit], check=True)\n"
        "subprocess.run(['loginctl', 'terminate-user', 'ai'])\n"
        "subprocess.run(['systemctl', 'stop', 'user-' + str(pwd.getpwnam('ai').pw_uid) + '.slice'], check=True)\n"
        "print(shown.decode(errors='replace'))\n"
    )
    shown = founded.enter(["timeout", "60", "python3", "-c", script]).stdout
    assert "I am ai" in shown
    assert "assword" not in shown


def test_undone_the_rules_are_gone(founded: Guest) -> None:
    founded.enter(["loginctl", "terminate-user", "ai"], check=False)  # the manager of ai would stay for a while
    founded.wait_for(lambda: founded.enter(["pgrep", "-u", "ai"], check=False).status == 1)
    _undo(founded)
    assert founded.enter(["ls", "/etc/aios/policy.d"]).stdout == ""
    assert founded.enter(["id", "ai"], check=False).status == 1
    checked = founded.run(["aios", "policy", "check", "--", "sudo pacman -S hello"], user="bob")
    assert checked.stdout.startswith("require_approval as root")
