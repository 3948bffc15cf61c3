"""A turn that waits for an answer outlives its daemon: killed, stopped or upgraded, it goes on and runs once."""

import re

import pytest

from tests.system.guest import Guest


def _propose(guest: Guest, path: str) -> str:
    """Have bob ask for a file to be made; the card's id, when it waits."""
    with guest.start(["aios", "ask", f"run: touch {path}"], user="bob") as asking:
        asking.end_of_input()
        shown = guest.wait_for(lambda: _pending(guest, path))
    return str(re.findall(r"approval (\w+)", str(shown)[: str(shown).index(path)])[-1])


def _pending(guest: Guest, path: str) -> str:
    said = guest.run(["aios", "pending"], user="bob", check=False).stdout
    return said if path in said else ""


def _end_daemon(guest: Guest, how: str) -> None:
    if how == "kill":
        guest.enter(["systemctl", "kill", "--signal=KILL", "aiosd.service"])
    else:
        guest.enter(["systemctl", how, "aiosd.service"])


def _outcomes(guest: Guest, path: str) -> list[str]:
    said = guest.enter(["aios", "log", "--user", "bob", "--json"]).stdout
    return re.findall(r'"decision": ?"(\w+)"', "\n".join(line for line in said.splitlines() if path in line))


@pytest.mark.parametrize("how", ["kill", "restart", "stop"])
def test_a_card_that_is_answered_after_its_daemon_ended_runs_once(installed: Guest, how: str) -> None:
    path = f"/home/bob/made-after-{how}"
    number = _propose(installed, path)
    _end_daemon(installed, how)
    installed.run(["aios", "approve", "--yes", number], user="bob")
    assert installed.run(["aios", "status"], user="bob").status == 0  # starts one where none is
    installed.wait_for(lambda: installed.exists(path))
    assert _outcomes(installed, path) == ["approved"]
    installed.wait_for(lambda: "running" not in installed.run(["aios", "sessions"], user="bob").stdout)
    assert number not in installed.run(["aios", "pending"], user="bob").stdout
    assert not installed.enter(["sh", "-c", "ls /var/lib/aios/waiting"]).stdout


def test_a_no_reaches_the_turn_that_goes_on(installed: Guest) -> None:
    path = "/home/bob/never-made"
    number = _propose(installed, path)
    _end_daemon(installed, "kill")
    installed.run(["aios", "deny", number, "not", "today"], user="bob")
    installed.run(["aios", "status"], user="bob")
    installed.wait_for(lambda: _outcomes(installed, path) == ["denied"])
    assert not installed.exists(path)


@pytest.mark.parametrize(
    "order",
    [
        ["kill", "--signal=KILL", "aios-guard.service"],
        ["kill", "--signal=KILL", "aiosd.service", "aios-guard.service"],
        ["restart", "aiosd.service", "aios-guard.service"],
    ],
    ids=["the guard is killed", "both are killed", "both are restarted"],
)
def test_a_card_outlives_the_guard_and_is_answered_to_the_next_one(installed: Guest, order: list[str]) -> None:
    path = f"/home/bob/guard-{len(order)}-{order[0]}"
    number = _propose(installed, path)
    installed.enter(["systemctl", *order])
    installed.run(["aios", "status"], user="bob")
    assert number in _pending(installed, path)
    installed.run(["aios", "approve", "--yes", number], user="bob")
    installed.wait_for(lambda: installed.exists(path))
    assert _outcomes(installed, path) == ["approved"]
    installed.wait_for(lambda: "running" not in installed.run(["aios", "sessions"], user="bob").stdout)
    assert installed.run(["aios", "approve", "--yes", number], user="bob", check=False).status == 65
    assert _outcomes(installed, path) == ["approved"]


def test_an_interrupted_turns_card_is_over(installed: Guest) -> None:
    path = "/home/bob/interrupted"
    number = _propose(installed, path)
    name = installed.run(["aios", "sessions"], user="bob").stdout.splitlines()[1].split()[0]
    installed.run(["aios", "cancel", name], user="bob")
    assert number not in installed.run(["aios", "pending"], user="bob").stdout
    assert not installed.exists(path)
