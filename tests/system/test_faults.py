"""Faults on a booted machine: after each, nothing is lost, nothing has run twice, and nobody was let in.

What is asked for grows a file by one byte, so the file's size is how often it has run. The clock cannot be set here:
tests/system/kernels/test_power.py does, on a kernel of its own.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.system.command import CompletedGuest
from tests.system.guest import Guest

_LOOKS = "$ cat /etc/hostname"
_UNITS = ("aiosd.service", "aios-guard.service")
_SOCKETS = {"aiosd.service": "/run/aios/aiosd.sock", "aios-guard.service": "/run/aios/guard.sock"}
# Opens COUNT connections, says how many there are, and holds them until its input ends.
_HOLDER = """\
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(60)
    try:
        one.connect(sys.argv[1])
    except OSError:
        break
    held.append(one)
print("held", len(held), flush=True)
sys.stdin.read()
"""
# Asks COUNT times at once; prints how many answers of each kind there were.
_CROWD = """\
import collections, json, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
crowd = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(150)
    one.connect(sys.argv[1])
    one.sendall(b"GET /v1/status HTTP/1.1\\r\\nHost: aios\\r\\nConnection: close\\r\\n\\r\\n")
    crowd.append(one)
said = collections.Counter()
for one in crowd:
    try:
        words = one.recv(65536).split(b" ", 2)
        said[words[1].decode() if len(words) > 1 else "closed"] += 1
    except TimeoutError:
        said["silence"] += 1
    except ConnectionError:
        said["closed"] += 1
print(json.dumps(said))
"""


# Starts a daemon as systemd would, on a socket of its own.
_WITH_SOCKET = """\
import os, socket, sys
path, name, command = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=name)
os.execv(command, [command])
"""


@pytest.fixture
def machine(installed: Guest) -> Iterator[Guest]:
    """The module's machine, well before each test and found well, with its record whole, after it."""
    installed.enter(["systemctl", "reset-failed"])
    yield installed
    _assert_well(installed)


def _ask(guest: Guest, words: str = "which services failed?") -> CompletedGuest:
    return guest.run(["aios", "ask", words], user="bob", check=False)


def _assert_well(guest: Guest) -> None:
    guest.wait_for(lambda: _ask(guest).stdout == "No unit has failed.\n")
    assert guest.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"
    assert guest.units(state="failed") == []


def _propose(guest: Guest, path: str) -> str:
    """Have bob ask for `path` to grow by a byte; the id of the card that waits."""
    with guest.start(["aios", "ask", f"run: truncate -s +1 {path}"], user="bob") as asking:
        asking.end_of_input()
        cards = guest.wait_for(lambda: text if path in (text := _pending(guest)) else "")
    return str(re.findall(r"approval (\w+)", cards[: cards.index(path)])[-1])


def _pending(guest: Guest) -> str:
    return guest.run(["aios", "pending"], user="bob", check=False).stdout


def _times_run(guest: Guest, path: str) -> int:
    found = guest.enter(["stat", "-c", "%s", path], check=False).stdout
    return int(found or 0)


def _kinds(guest: Guest, words: str) -> list[tuple[str, str]]:
    """What the record says of a command: each record's kind with its decision or outcome."""
    lines = guest.enter(["aios", "log", "--user", "bob", "--json", "-n", "1000"]).stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    calls = {(entry["session"], entry["call"]) for entry in entries if words in json.dumps(entry)}
    return [
        (entry["kind"], entry.get("decision") or entry.get("outcome", ""))
        for entry in entries
        if (entry.get("session"), entry.get("call")) in calls
    ]


def _signal(guest: Guest, unit: str, name: str) -> None:
    guest.enter(["systemctl", "kill", f"--signal={name}", unit])


@contextmanager
def _drop_in(guest: Guest, unit: str, text: str) -> Iterator[None]:
    guest.put(f"/run/systemd/system/{unit}.d/fault.conf", f"[Service]\n{text}\n")
    guest.enter(["systemctl", "daemon-reload"])
    guest.enter(["systemctl", "restart", unit])
    try:
        yield
    finally:
        guest.enter(["rm", "-r", f"/run/systemd/system/{unit}.d"])
        guest.enter(["systemctl", "daemon-reload"])
        guest.enter(["systemctl", "restart", unit])


@pytest.mark.parametrize("unit", _UNITS)
def test_stopped_by_a_signal_it_goes_on_where_it_was(machine: Guest, unit: str) -> None:
    path = f"/home/bob/stopped-{unit}"
    number = _propose(machine, path)
    _signal(machine, unit, "STOP")
    with machine.start(["aios", "approve", "--yes", number], user="bob") as approving:
        approving.end_of_input()
        if unit == "aios-guard.service":
            assert _times_run(machine, path) == 0
        _signal(machine, unit, "CONT")
        assert approving.wait().status == 0
    machine.wait_for(lambda: _times_run(machine, path) == 1)
    machine.wait_for(lambda: _kinds(machine, path)[-1:] == [("done", "done")])
    assert [kind for kind, _ in _kinds(machine, path)].count("done") == 1
    assert _times_run(machine, path) == 1


def test_a_killed_guard_takes_its_command_along_and_the_next_one_records_that(machine: Guest) -> None:
    with machine.start(["aios", "ask", "$ sleep 98769"], user="bob") as asking:
        asking.end_of_input()
        machine.wait_for(["pgrep", "-f", "^sleep 98769"])
        _signal(machine, "aios-guard.service", "KILL")
        assert asking.wait().status != 0
    machine.wait_for(lambda: machine.enter(["pgrep", "-f", "^sleep 98769"], check=False).status == 1)
    _assert_well(machine)
    assert _kinds(machine, "sleep 98769") == [("decided", "allowed"), ("done", "lost")]


def test_a_killed_guard_leaves_no_command_as_root_behind(machine: Guest) -> None:
    with machine.start(["aios", "ask", "run: sudo sleep 98771"], user="bob") as asking:
        asking.end_of_input()
        (number,) = machine.wait_for(lambda: re.findall(r"approval (\w+)", _pending(machine)))
        assert machine.enter(["aios", "approve", "--yes", number]).status == 0
        machine.wait_for(["pgrep", "-f", "^(/usr/bin/)?sleep 98771$"])
        _signal(machine, "aios-guard.service", "KILL")
        assert asking.wait().status != 0
    _assert_well(machine)
    machine.wait_for(lambda: machine.enter(["pgrep", "-f", "^(/usr/bin/)?sleep 98771$"], check=False).status == 1)
    assert _kinds(machine, "sleep 98771") == [("decided", "approved"), ("done", "lost")]


@pytest.mark.parametrize("unit", _UNITS)
def test_out_of_descriptors_it_stays_and_serves_again(machine: Guest, unit: str) -> None:
    machine.put("/srv/hold.py", _HOLDER)
    with _drop_in(machine, unit, "LimitNOFILE=48"):
        with ExitStack() as stack:
            for user in ("carol", "alice"):
                command = ["python3", "/srv/hold.py", _SOCKETS[unit], "60"]
                stack.enter_context(machine.start(command, user=user)).expect(r"held \d+")
            seen = machine.unit(unit)
            assert (seen["ActiveState"], seen["NRestarts"]) == ("active", "0")
        machine.wait_for(lambda: _ask(machine).stdout == "No unit has failed.\n")
        assert machine.unit(unit)["NRestarts"] == "0"


@pytest.mark.parametrize(("unit", "folder", "owner"), [
    ("aiosd.service", "/var/lib/aios", "aios"),
    ("aios-guard.service", "/var/lib/aios-guard", "root"),
])  # fmt: skip
def test_out_of_disk_nothing_runs_that_is_not_recorded(machine: Guest, unit: str, folder: str, owner: str) -> None:
    assert _ask(machine).stdout == "No unit has failed.\n"
    machine.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
    machine.enter(["cp", "-a", folder, f"{folder}.kept"])
    uid = machine.enter(["id", "-u", owner]).stdout.strip()
    machine.enter(["mount", "-t", "tmpfs", "-o", f"size=4m,mode=700,uid={uid},gid={uid}", "none", folder])
    machine.enter(["sh", "-c", f"cp -a {folder}.kept/. {folder}/"])
    path = f"/home/bob/full-{unit}"
    try:
        number = _propose(machine, path)
        machine.enter(["sh", "-c", f"cat /dev/zero >{folder}/full 2>/dev/null || true"])
        answered = 0
        if unit == "aios-guard.service":
            # The page that the record ends in takes some more; then what only looks is recorded in memory alone.
            while "in memory alone" not in machine.run(["aios", "status"], user="bob").stdout:
                assert _ask(machine, _LOOKS).stdout == "testbed\n"
                answered += 1
                assert answered < 100
        machine.run(["aios", "approve", "--yes", number], user="bob", check=False)
        if unit == "aios-guard.service":
            assert _times_run(machine, path) == 0
        machine.enter(["rm", f"{folder}/full"])
        machine.wait_for(lambda: _ask(machine).stdout == "No unit has failed.\n")
        assert [kind for kind, _ in _kinds(machine, path)].count("done") == _times_run(machine, path) <= 1
        assert [kind for kind, _ in _kinds(machine, "cat /etc/hostname")].count("decided") >= answered
        assert machine.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"
    finally:
        machine.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
        machine.enter(["umount", folder])
        machine.enter(["sh", "-c", f"rm -r {folder} && mv {folder}.kept {folder}"])


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_when_the_journal_is_restarted_the_record_goes_on_in_it(machine: Guest, how: str) -> None:
    words = f"cat /etc/hostname --{how}"
    assert _ask(machine).status == 0
    command = ["restart"] if how == "restart" else ["kill", "--signal=KILL"]
    machine.enter(["systemctl", *command, "systemd-journald.service"])
    _ask(machine, f"$ {words}")
    recorded = [kind for kind, _ in _kinds(machine, words)]
    assert recorded
    machine.wait_for(
        lambda: (
            [entry["AIOS_KIND"] for entry in machine.journal("-t", "aios", "AIOS_USER=bob")][-len(recorded) :]
            == recorded
        )
    )


@pytest.mark.parametrize(("unit", "name", "user", "words"), [
    ("aios-guard.service", "guard", "root", "/var/lib/aios-guard/audit: another guard writes this record"),
    ("aiosd.service", "api", "aios", "/var/lib/aios: another daemon keeps its sessions there"),
])  # fmt: skip
def test_a_second_daemon_says_so_and_leaves_the_first_alone(
    machine: Guest, unit: str, name: str, user: str, words: str
) -> None:
    _ask(machine)
    before = machine.unit(unit)["MainPID"]
    command = machine.unit(unit)["ExecStart"].partition("path=")[2].split()[0]
    groups = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    socket = f"/run/two-{name}/socket"
    machine.enter(["install", "-d", "-o", user, f"/run/two-{name}"])
    with machine.start([*groups, "python3", "-c", _WITH_SOCKET, socket, name, command]) as second:
        path = f"/home/bob/two-{unit}"
        number = _propose(machine, path)
        machine.wait_for(lambda: words in second.stderr())
        machine.run(["aios", "approve", "--yes", number], user="bob")
        machine.wait_for(lambda: _times_run(machine, path) == 1)
    assert machine.unit(unit)["MainPID"] == before
    assert [kind for kind, _ in _kinds(machine, path)].count("done") == 1


@pytest.mark.parametrize(("path", "spoil", "mend"), [
    ("/etc/aios", "chown bob", "chown root"),
    ("/etc/aios", "chmod 777", "chmod 755"),
    ("/etc/aios/policy.d", "chown bob", "chown root"),
    ("/etc/aios/policy.d", "chmod 777", "chmod 755"),
])  # fmt: skip
def test_policy_in_a_folder_that_is_not_roots_alone_lets_nobody_in(
    machine: Guest, path: str, spoil: str, mend: str
) -> None:
    machine.put("/etc/aios/policy.d/50-given.toml", '[permissions]\nnotify = ["truncate"]\n')
    machine.enter(["systemctl", "restart", "aios-guard.service"])
    machine.enter([*spoil.split(), path])
    try:
        machine.enter(["systemctl", "restart", "aios-guard.service"])
        refused = _ask(machine, "run: truncate -s +1 /home/bob/let-in")
        assert refused.status == 78, refused
        assert path in refused.stderr
        assert _times_run(machine, "/home/bob/let-in") == 0
    finally:
        machine.enter([*mend.split(), path])
        machine.enter(["rm", "/etc/aios/policy.d/50-given.toml"])
        machine.enter(["systemctl", "restart", "aios-guard.service"])


@pytest.mark.parametrize("unit", _UNITS)
def test_a_removed_socket_is_told_and_comes_back_with_everything(machine: Guest, unit: str) -> None:
    _ask(machine)
    sessions = machine.run(["aios", "sessions"], user="bob").stdout
    machine.enter(["rm", _SOCKETS[unit]])
    verb = "sessions" if unit == "aiosd.service" else "pending"
    gone = machine.run(["aios", verb], user="bob", check=False)
    assert gone.status == 69
    assert _SOCKETS[unit] in gone.stderr
    machine.enter(["systemctl", "restart", unit.replace("service", "socket")])
    assert machine.run(["aios", verb], user="bob").status == 0
    assert machine.run(["aios", "sessions"], user="bob").stdout == sessions


def test_a_thousand_connections_at_its_start_are_all_answered(machine: Guest) -> None:
    machine.put("/srv/crowd.py", _CROWD)
    sessions = machine.run(["aios", "sessions"], user="bob").stdout
    machine.enter(["systemctl", "stop", "aiosd.service", "aios-guard.service"])
    said: Counter[str] = Counter()
    with ExitStack() as stack:
        crowds = [
            stack.enter_context(
                machine.start(["python3", "/srv/crowd.py", _SOCKETS["aiosd.service"], "250"], user=user)
            )
            for user in ("alice", "bob", "carol", "root")
        ]
        for crowd in crowds:
            said += Counter(json.loads(crowd.expect(r"\{.*\}")[0]))
    assert sum(said.values()) == 1000
    assert set(said) <= {"200", "429", "503"}, said
    assert said["200"] >= 1
    assert machine.unit("aiosd.service")["NRestarts"] == "0"
    assert machine.run(["aios", "sessions"], user="bob").stdout == sessions
