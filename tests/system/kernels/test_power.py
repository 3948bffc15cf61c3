"""What takes a kernel of its own: the power is cut during a turn, the clock jumps, limits hold.

The cut of the power is tried in every run, the rest in `make soak`. Where User-Mode Linux does not run, which takes
mounts and some tracing that containers may lack, that is said and skipped.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.command import PATIENCE_S
from tests.system.guest import GuestUnavailableError, Testbed
from tests.system.uml import Machine, booted


@pytest.fixture(scope="module")
def machine(testbed: Testbed, package: Path) -> Iterator[Machine]:
    """A machine with the package, used once."""
    try:
        with booted(testbed) as machine:
            machine.put(f"/root/{package.name}", package.read_bytes())
            machine.run(["pacman", "-U", "--noconfirm", f"/root/{package.name}"])
            machine.run(["systemctl", "enable", "--now", "aiosd.socket"])
            yield machine
    except GuestUnavailableError as exc:
        pytest.skip(f"no machine with a kernel of its own: {exc}")


@contextmanager
def _asked(machine: Machine, line: str) -> Iterator[None]:
    """Have bob ask in the background, for as long as the block takes."""
    asking = machine.start(["aios", "ask", line], user="bob")
    try:
        yield
    finally:
        asking.kill()
        asking.wait()


def _wait_for_card(machine: Machine, path: str) -> str:
    until = time.monotonic() + PATIENCE_S
    while True:
        shown = machine.run(["aios", "pending"], user="bob", check=False).stdout
        if path in shown:
            return str(re.findall(r"approval (\w+)", shown[: shown.index(path)])[-1])
        assert time.monotonic() < until, shown


def _times_run(machine: Machine, path: str) -> int:
    return int(machine.run(["stat", "-c", "%s", path], check=False).stdout or 0)


def _kinds(machine: Machine, words: str) -> list[tuple[str, str]]:
    """What the record says of a command: each record's kind with its decision or outcome."""
    lines = machine.run(["aios", "log", "--user", "bob", "--json", "-n", "1000"]).stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    calls = {(entry["session"], entry["call"]) for entry in entries if words in json.dumps(entry)}
    return [
        (entry["kind"], entry.get("decision") or entry.get("outcome", ""))
        for entry in entries
        if (entry.get("session"), entry.get("call")) in calls
    ]


def _assert_well(machine: Machine) -> None:
    assert machine.run(["aios", "ask", "which services failed?"], user="bob").stdout == "No unit has failed.\n"
    assert machine.run(["aios", "log", "--verify"]).stdout == "the record is whole\n"


def test_after_a_power_cut_nothing_is_lost_and_nothing_runs_twice(machine: Machine) -> None:
    with _asked(machine, "run: truncate -s +1 /home/bob/approved"):
        number = _wait_for_card(machine, "/home/bob/approved")
        machine.run(["aios", "approve", "--yes", number], user="bob")
        until = time.monotonic() + PATIENCE_S
        while ("done", "done") not in _kinds(machine, "/home/bob/approved"):
            assert time.monotonic() < until
    machine.run(["sync"])  # the file is bob's, and not ours to bring to the disk
    sessions = machine.run(["aios", "sessions"], user="bob").stdout.count("\n")
    with _asked(machine, "run: truncate -s +1 /home/bob/waiting"), _asked(machine, "$ sleep 98770"):
        number = _wait_for_card(machine, "/home/bob/waiting")
        until = time.monotonic() + PATIENCE_S
        while not _kinds(machine, "sleep 98770"):
            assert time.monotonic() < until
        machine.cut_power(keep=True)
    machine.boot(again=True)
    _assert_well(machine)
    assert _times_run(machine, "/home/bob/approved") == 1
    assert _kinds(machine, "/home/bob/approved") == [("decided", "approved"), ("done", "done")]
    assert _kinds(machine, "sleep 98770") in ([], [("decided", "allowed"), ("done", "lost")])
    assert machine.run(["pgrep", "-f", "^sleep 98770"], check=False).status == 1
    assert machine.run(["aios", "approve", "--yes", number], user="bob", check=False).status != 0
    assert _times_run(machine, "/home/bob/waiting") == 0
    assert machine.run(["aios", "sessions"], user="bob").stdout.count("\n") >= sessions


@pytest.mark.soak
@pytest.mark.parametrize("jump", ["+2 days", "-3 days"])
def test_when_the_clock_jumps_a_card_is_answered_once_or_over(machine: Machine, jump: str) -> None:
    path = f"/home/bob/jump{jump[:2]}"
    with _asked(machine, f"run: truncate -s +1 {path}"):
        number = _wait_for_card(machine, path)
        machine.run(["date", "-s", jump])
        approved = machine.run(["aios", "approve", "--yes", number], user="bob", check=False)
        again = machine.run(["aios", "approve", "--yes", number], user="bob", check=False)
        assert again.status != 0
        until = time.monotonic() + PATIENCE_S
        while approved.status == 0 and ("done", "done") not in _kinds(machine, path):
            assert time.monotonic() < until
    assert _times_run(machine, path) == (approved.status == 0)
    _assert_well(machine)


@pytest.mark.soak
def test_memory_and_processes_are_bounded(machine: Machine) -> None:
    machine.put("/etc/aios/config.d/50-small.toml", b"[guard]\ncommand_memory_mib = 64\ncommand_processes = 12\n")
    machine.run(["systemctl", "restart", "aios-guard.service"])
    hungry = machine.run(["aios", "ask", "$ head -c 300M /dev/zero | tail -c 290M | wc -c"], user="bob", check=False)
    assert "304087040" not in hungry.stdout
    modest = machine.run(["aios", "ask", "$ head -c 30M /dev/zero | tail -c 20M | wc -c"], user="bob")
    assert "20971520" in modest.stdout
    many = " | ".join(["cat"] * 20)
    crowd = machine.run(["aios", "ask", f"$ cat /etc/hostname | {many}"], user="bob", check=False)
    assert "testbed" not in crowd.stdout
    few = machine.run(["aios", "ask", "$ cat /etc/hostname | cat | cat"], user="bob")
    assert few.stdout == "testbed\n"
    _assert_well(machine)


@pytest.mark.soak
def test_a_session_is_bounded_over_all_its_commands_and_says_so(machine: Machine) -> None:
    small = b"[guard]\nsession_memory_mib = 64\nsession_processes = 14\n"
    machine.put("/etc/aios/config.d/50-small.toml", small)
    machine.run(["systemctl", "restart", "aios-guard.service"])
    hungry = machine.run(["aios", "run", "head -c 300M /dev/zero | tail -c 290M | wc -c"], user="bob", check=False)
    assert "304087040" not in hungry.stdout
    assert "its session used more memory than guard.session_memory_mib allows, and it was ended" in hungry.stderr
    modest = machine.run(["aios", "run", "head -c 20M /dev/zero | tail -c 10M | wc -c"], user="bob")
    assert "10485760" in modest.stdout
    crowd = machine.run(["aios", "run", f"cat /etc/hostname | {' | '.join(['cat'] * 20)}"], user="bob", check=False)
    assert "testbed" not in crowd.stdout
    assert machine.run(["aios", "run", "cat /etc/hostname | cat"], user="bob").stdout == "testbed\n"
    _assert_well(machine)
