"""`aios login` on an installed machine: nothing by itself, in and out to the byte, refused where it could do harm."""

from tests.system.guest import Guest

_LINE = "session optional pam_exec.so quiet stdout /usr/lib/aios/login-hook"


def _facts(guest: Guest) -> str:
    """Content, owner and mode of every PAM file, and nothing else in the folder."""
    script = "cd /etc/pam.d; ls -A | xargs stat -c '%n %U %G %a'; ls -A | xargs sha256sum"
    return guest.enter(["sh", "-c", script]).stdout


def test_the_package_itself_puts_nothing_in(installed: Guest) -> None:
    assert installed.enter(["grep", "-rl", "login-hook", "/etc/pam.d"], check=False).stdout == ""
    status = installed.enter(["aios", "login", "status"], check=False)
    assert (status.status, status.stdout) == (
        1,
        "login          disabled\nsshd           disabled\nsu             disabled\nsu-l           disabled\n",
    )


def test_enabled_twice_and_disabled_twice_leaves_every_byte_as_it_was(installed: Guest) -> None:
    before = _facts(installed)
    assert installed.enter(["aios", "login", "enable"]).stdout == f"login: put in: {_LINE}\nsshd: put in: {_LINE}\n"
    once = _facts(installed)
    assert once != before
    assert installed.enter(["aios", "login", "enable", "sshd"]).stdout == "sshd: has it already\n"
    assert _facts(installed) == once
    assert (
        installed.enter(["aios", "login", "status", "login", "su"]).stdout
        == "login          enabled\nsu             disabled\n"
    )
    assert installed.enter(["aios", "login", "disable"]).stdout == "login: taken out\nsshd: taken out\n"
    assert installed.enter(["aios", "login", "disable"]).stdout == "no service has it\n"
    assert _facts(installed) == before


def test_one_that_takes_another_in_does_not_get_it_twice(installed: Guest) -> None:
    before = _facts(installed)
    said = installed.enter(["aios", "login", "enable", "su-l", "su"]).stdout
    assert said == f"su: put in: {_LINE}\nsu-l: has it already, through su\n"
    assert installed.enter(["aios", "login", "status", "su-l"]).stdout == "su-l           enabled, through su\n"
    installed.enter(["aios", "login", "disable"])
    assert _facts(installed) == before


def test_only_root_may_and_anybody_may_look(installed: Guest) -> None:
    before = _facts(installed)
    refused = installed.run(["aios", "login", "enable"], user="bob", check=False)
    assert (refused.status, refused.stderr) == (
        77,
        "aios: this changes /etc/pam.d, which is root's\n  sudo aios login enable\n",
    )
    assert installed.run(["aios", "login", "status"], user="bob", check=False).status == 1
    assert _facts(installed) == before


def test_what_is_no_login_is_refused(installed: Guest) -> None:
    before = _facts(installed)
    refused = installed.enter(["aios", "login", "enable", "chpasswd"], check=False)
    assert (refused.status, "has no session stack" in refused.stderr) == (65, True)
    installed.enter(["chmod", "777", "/usr/lib/aios/login-hook"])
    refused = installed.enter(["aios", "login", "enable"], check=False)
    installed.enter(["chmod", "755", "/usr/lib/aios/login-hook"])
    assert (refused.status, "can be changed by others than root" in refused.stderr) == (65, True)
    assert _facts(installed) == before
