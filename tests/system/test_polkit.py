"""Commands as root in the installed service: who approves them, by authenticating then and there, and who does not."""

import re

import pytest

from tests.system.command import GuestTimeoutError, Running
from tests.system.guest import Guest


def _ask_for_root(guest: Guest, command: str, *, user: str) -> Running:
    return guest.terminal(["aios", "ask", f"run: sudo {command}"], user=user)


def _find_number(cards: str, command: str) -> str:
    """The id of the card that shows `command`."""
    return str(re.findall(r"approval (\w+)", cards[: cards.index(command)])[-1])


def _authenticate(terminal: Running, password: str, then: str = "AUTHENTICATION COMPLETE") -> None:
    """Type the password until `then` shows: the agent discards what comes before it has turned the echo off."""
    terminal.expect("assword: ")
    for _ in range(4):
        terminal.send(f"{password}\n")
        try:
            terminal.expect(then, deadline_s=6)
        except GuestTimeoutError:
            continue
        return
    raise AssertionError(f"{then!r} never showed")


def _mark(name: str) -> str:
    return f"/root/{name}"


def test_an_administrator_approves_by_a_password(installed: Guest) -> None:
    with _ask_for_root(installed, "touch /root/approved", user="alice") as terminal:
        terminal.expect(r"as +root")
        terminal.expect(r"\(no\): ")
        terminal.send("y\n")
        terminal.expect(r"as root: .*touch /root/approved")  # the question itself says what for
        _authenticate(terminal, "alice")
        ended = terminal.wait()
    assert ended.status == 0, ended.stdout
    assert installed.exists(_mark("approved"))
    assert installed.enter(["stat", "-c", "%U", _mark("approved")]).stdout == "root\n"


def test_it_is_asked_again_each_time(installed: Guest) -> None:
    for name in ("first", "second"):
        with _ask_for_root(installed, f"touch /root/{name}", user="alice") as terminal:
            terminal.expect(r"\(no\): ")
            terminal.send("y\n")
            _authenticate(terminal, "alice")
            assert terminal.wait().status == 0
        assert installed.exists(_mark(name))


def test_a_wrong_password_approves_nothing(installed: Guest) -> None:
    with _ask_for_root(installed, "touch /root/guessed", user="alice") as terminal:
        terminal.expect(r"\(no\): ")
        terminal.send("y\n")
        _authenticate(terminal, "wrong", "AUTHENTICATION FAILED")
        terminal.expect(r"polkit refused: .*sudo aios approve")
        pending = installed.run(["aios", "pending"], user="alice").stdout
        assert "touch /root/guessed" in pending
        number = _find_number(pending, "touch /root/guessed")
        installed.run(["aios", "deny", number], user="alice")
        assert terminal.wait().status != 0
    assert not installed.exists(_mark("guessed"))


def test_who_is_no_administrator_is_not_even_asked_for_a_password(installed: Guest) -> None:
    with _ask_for_root(installed, "touch /root/by-bob", user="bob") as terminal:
        terminal.expect(r"\(no\): ")
        terminal.send("y\n")
        found = terminal.expect(r"sudo aios approve (\w+)")
        assert "assword" not in found.string
        # Root answers, and it is done; so was it not polkit's refusal that ended the question.
        installed.enter(["aios", "approve", "--yes", found[1]])
        assert terminal.wait().status == 0
    assert installed.exists(_mark("by-bob"))


def test_an_administrator_sees_and_approves_what_another_asked_as_root(installed: Guest) -> None:
    with installed.start(["aios", "ask", "run: sudo touch /root/for-carol"], user="carol") as asking:
        asking.end_of_input()
        pending = installed.wait_for(
            lambda: (
                "touch /root/for-carol" in (said := installed.run(["aios", "pending"], user="alice").stdout) and said
            ),
        )
        assert "touch" not in installed.run(["aios", "pending"], user="bob").stdout
        number = _find_number(str(pending), "touch /root/for-carol")
        with installed.terminal(["aios", "approve", number], user="alice") as terminal:
            terminal.expect(r"\(no\): ")
            terminal.send("y\n")
            _authenticate(terminal, "alice")
            terminal.expect("approved")
            assert terminal.wait().status == 0
        assert asking.wait().status == 0
    assert installed.exists(_mark("for-carol"))


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_without_a_terminal_an_administrators_process_approves_nothing(installed: Guest, user: str) -> None:
    name = f"silent-{user}"
    with installed.start(["aios", "ask", f"run: sudo touch /root/{name}"], user=user) as asking:
        asking.end_of_input()
        pending = installed.wait_for(
            lambda: f"touch /root/{name}" in (said := installed.run(["aios", "pending"], user=user).stdout) and said,
        )
        number = _find_number(str(pending), name)
        refused = installed.run(["aios", "approve", "--yes", number], user=user, check=False)
        assert refused.status != 0
        assert f"sudo aios approve {number}" in refused.stderr
        installed.run(["aios", "deny", number], user=user)
        assert asking.wait().status != 0
    assert not installed.exists(_mark(name))


def test_the_groups_that_administer_are_the_configurations(installed: Guest) -> None:
    installed.put("/etc/aios/config.d/admins.toml", '[guard]\nadmin_groups = ["nobody-is-in-it"]\n')
    installed.enter(["systemctl", "reload", "aios-guard"])
    try:
        with _ask_for_root(installed, "touch /root/no-admin", user="alice") as terminal:
            terminal.expect(r"\(no\): ")
            terminal.send("y\n")
            found = terminal.expect(r"effects as root are approved by root: sudo aios approve (\w+)")
            installed.run(["aios", "deny", found[1]], user="alice")
            terminal.wait()
    finally:
        installed.enter(["rm", "/etc/aios/config.d/admins.toml"])
        installed.enter(["systemctl", "reload", "aios-guard"])
    assert not installed.exists(_mark("no-admin"))


def test_without_polkit_the_refusal_says_what_to_do(installed: Guest) -> None:
    installed.enter(["systemctl", "mask", "--now", "--runtime", "--quiet", "polkit.service"])
    try:
        with _ask_for_root(installed, "touch /root/no-polkit", user="alice") as terminal:
            terminal.expect(r"\(no\): ")
            terminal.send("y\n")
            found = terminal.expect(r"or: sudo aios approve (\w+)")
            installed.run(["aios", "deny", found[1]], user="alice")
            terminal.wait()
    finally:
        installed.enter(["systemctl", "unmask", "--runtime", "--quiet", "polkit.service"])
    assert not installed.exists(_mark("no-polkit"))
