"""Jobs of the installed service outlive its daemons: they go on, are read, waited for and ended by the next ones."""

import json
from collections.abc import Iterator

import pytest

from tests.system.guest import Guest

_GO = "/srv/go"
_LOUD = f"n=0; until test -e {_GO}; do n=$((n+1)); echo line $n; sleep 0.05; done; sleep 98711 & exit 5"


@pytest.fixture
def machine(installed: Guest) -> Iterator[Guest]:
    """The module's machine, with nothing to wait for yet."""
    installed.enter(["systemctl", "reset-failed"])
    installed.enter(["rm", "-f", _GO])
    installed.run(["aios", "status"], user="bob")
    yield installed
    assert installed.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"
    assert installed.enter(["systemd-analyze", "fdstore", "aios-guard.service"], check=False).stdout.count("job-") == 0


def _begin(guest: Guest, *words: str) -> str:
    return guest.run(["aios", "run", "-b", "-p", "read-only", "--", *words], user="bob").stdout.strip()


def _lines(guest: Guest, job: str) -> list[str]:
    return guest.run(["aios", "job", "output", job], user="bob").stdout.split("\n")[:-1]


def _state(guest: Guest, job: str) -> str:
    listed = guest.run(["aios", "jobs"], user="bob").stdout.splitlines()
    return next((line.split()[2] for line in listed if line.startswith(job)), "")


def _kinds(guest: Guest, words: str) -> list[tuple[str, str]]:
    lines = guest.enter(["aios", "log", "--user", "bob", "--json", "-n", "1000"]).stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    calls = {(entry["session"], entry["call"]) for entry in entries if words in json.dumps(entry)}
    named = [entry for entry in entries if (entry.get("session"), entry.get("call")) in calls]
    return [(entry["kind"], entry.get("decision") or entry.get("outcome", "")) for entry in named]


_ENDS = {
    "the guard is killed": ["systemctl", "kill", "--signal=KILL", "aios-guard.service"],
    "the guard is restarted": ["systemctl", "restart", "aios-guard.service"],
    "both are stopped": ["systemctl", "stop", "aiosd.service", "aios-guard.service"],
}


@pytest.mark.parametrize("end", _ENDS)
def test_a_job_goes_on_and_loses_nothing_of_what_it_says(machine: Guest, end: str) -> None:
    said = f"{_LOUD} # {end}"
    job = _begin(machine, said)
    machine.wait_for(lambda: len(_lines(machine, job)) > 3)
    machine.enter(_ENDS[end])
    seen = len(machine.wait_for(lambda: _lines(machine, job)))
    assert _state(machine, job) == "running"
    machine.wait_for(lambda: len(_lines(machine, job)) > seen)
    machine.enter(["touch", _GO])
    waited = machine.run(["aios", "job", "wait", job], user="bob", check=False)
    assert (waited.status, waited.stderr) == (5, "failed (5)\n")
    lines = _lines(machine, job)
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert machine.enter(["pgrep", "-f", "^sleep 98711"], check=False).status == 1
    assert _kinds(machine, f"# {end}") == [("decided", "allowed"), ("done", "failed")]


def test_a_job_of_an_earlier_guard_is_stopped_let_go_on_and_ended(machine: Guest) -> None:
    job = _begin(machine, "sleep", "98712")
    machine.enter(["systemctl", "restart", "aios-guard.service"])
    assert _state(machine, job) == "running"
    machine.run(["aios", "stop"], user="bob")
    groups = "cat /sys/fs/cgroup/aios.slice/aios-work.slice/*/aios-sandbox-*/cgroup.freeze"
    assert "1" in machine.enter(["sh", "-c", groups]).stdout
    machine.run(["aios", "thaw"], user="bob")
    assert "1" not in machine.enter(["sh", "-c", groups]).stdout
    ended = machine.run(["aios", "job", "kill", job], user="bob")
    assert ended.stderr == "cancelled: ended by a person\n"
    assert machine.enter(["pgrep", "-f", "^sleep 98712"], check=False).status == 1
    assert _kinds(machine, "sleep 98712") == [("decided", "allowed"), ("done", "cancelled")]


def test_a_line_of_several_ends_where_its_guard_did(machine: Guest) -> None:
    job = _begin(machine, f"until test -e {_GO}; do sleep 0.05; done && echo never")
    several = _begin(machine, "sleep 2; uname")
    machine.enter(["systemctl", "restart", "aios-guard.service"])
    machine.enter(["touch", _GO])
    one, other = (machine.run(["aios", "job", "wait", each], user="bob", check=False) for each in (job, several))
    assert one.status == 0  # one line of bash, which knows its own way
    assert "what follows in its line was not begun" in other.stderr


def test_its_time_counts_while_no_guard_runs(machine: Guest) -> None:
    job = machine.run(["aios", "run", "-b", "-t", "3", "-p", "read-only", "--", "sleep", "98713"], user="bob").stdout
    machine.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
    waited = machine.run(["aios", "job", "wait", job.strip()], user="bob", check=False)
    assert waited.stderr == "timed_out: ended after 3 s\n"
    assert machine.enter(["pgrep", "-f", "^sleep 98713"], check=False).status == 1


def test_a_job_that_is_lost_after_its_second_guard_has_its_end_on_the_record(machine: Guest) -> None:
    job = _begin(machine, "sleep", "98715")
    machine.enter(["systemctl", "restart", "aios-guard.service"])
    assert _state(machine, job) == "running"
    machine.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
    machine.enter(["systemctl", "clean", "--what=fdstore", "aios-guard.service"])
    machine.wait_for(lambda: machine.enter(["pgrep", "-f", "^sleep 98715"], check=False).status != 0)
    machine.run(["aios", "status"], user="bob")
    assert _kinds(machine, "sleep 98715") == [("decided", "allowed"), ("done", "lost")]
