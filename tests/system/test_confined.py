"""The installed service confines: a workspace, the network by a rule, cgroups, and nobody chooses for models."""

import contextlib
import json

import pytest

from tests.system.guest import Guest

_POLICY = """
[[rule]]
pattern = ["python3 -I /srv/site/fetch.py"]
tier = "notify"
user = ["bob"]
network = ["127.0.0.1:8765"]
"""
_FETCH = "import urllib.request as r\nprint(r.urlopen('http://127.0.0.1:8765/hello').read().decode())\n"
_LINE = "python3 -I /srv/site/fetch.py"


@pytest.fixture(scope="module")
def machine(installed: Guest) -> Guest:
    installed.put("/etc/aios/policy.d/60-test.toml", _POLICY)
    installed.enter(["sh", "-c", "mkdir -p /srv/site && echo hello >/srv/site/hello"])
    installed.put("/srv/site/fetch.py", _FETCH)
    serve = ["python3", "-m", "http.server", "--directory", "/srv/site", "--bind", "127.0.0.1", "8765"]
    installed.enter(["systemd-run", "--quiet", "--unit=site", *serve])
    installed.enter(["install", "-d", "-o", "bob", "-g", "bob", "/home/bob/work"])
    installed.wait_for(lambda: installed.enter(["ss", "-Htln", "sport = :8765"]).stdout != "")
    return installed


def test_a_workspace_is_written_and_keeps_no_ghosts(machine: Guest) -> None:
    line = "cd work; aios run -p workspace 'echo x >made; echo y >../beside; mkdir -p .vscode/x; ls -d .vscode .idea'"
    ran = machine.run(["bash", "-c", line], user="bob", check=False)
    assert ran.stdout.split() == [".idea", ".vscode"]  # held, while it ran
    assert machine.enter(["ls", "-A", "/home/bob/work"]).stdout == "made\n"
    assert not machine.exists("/home/bob/beside")


def test_a_command_is_in_a_cgroup_of_its_own_below_its_sandbox(machine: Guest) -> None:
    said = machine.run(["aios", "run", "cat", "/proc/self/cgroup"], user="bob").stdout
    group = next(line for line in said.splitlines() if line.startswith("0::")).removeprefix("0::")
    assert group.startswith("/../command-") or "/aios.slice/aios-work.slice/aios-sandbox-" in group, said
    assert "command-" in group
    units = machine.units("aios-sandbox-*")
    assert units
    assert {machine.unit(unit)["Slice"][:10] for unit in units} == {"aios-work-"}  # a session's, or the next one's


def test_a_rule_gives_the_network_and_each_connection_is_recorded(machine: Guest) -> None:
    asked = machine.run(["aios", "ask", "--wait", "1", f"$ {_LINE}"], user="bob")
    assert "hello" in asked.stdout
    records = [json.loads(line) for line in machine.run(["aios", "log", "--json"], user="bob").stdout.splitlines()]
    (made,) = [record for record in records if record["kind"] == "connected"]
    assert (made["host"], made["port"], made["reason"], made["user"]) == ("127.0.0.1", 8765, "", "bob")
    (entry,) = machine.journal("AIOS_KIND=connected")
    assert entry["MESSAGE"] == "A command used the network"
    refused = machine.run(["aios", "run", _LINE], user="bob", check=False)
    assert (refused.status != 0, refused.stdout) == (True, "")  # a person's own command has no proxy behind it


def test_aiosd_chooses_no_profile_and_tells_of_no_connection_of_others(machine: Guest) -> None:
    def call(user: str, method: str, **parameters: object) -> str:
        words = [
            "varlinkctl",
            "call",
            "--more",
            "/run/aios/guard.sock",
            f"io.aios.Guard.{method}",
            json.dumps(parameters),
        ]
        ran = machine.enter(["runuser", "-u", user, "--", *words], check=False)
        return ran.stdout + ran.stderr

    proposal = {"call": "c", "command": "true", "cwd": "/", "profile": "workspace"}
    for user, refused in (("aios", True), ("bob", False)):
        opened = call(user, "OpenSession")
        assert "{" in opened, opened
        session = json.loads(opened[opened.index("{") :])["session"]
        assert ("NotEntitled" in call(user, "Execute", session=session, **proposal)) is refused
        told = call(user, "Connected", session=session, call="c", host="h", port=1)
        assert ("NotEntitled" in told) is not refused


def test_the_doctor_finds_every_wall_standing(machine: Guest) -> None:
    (line,) = [line for line in machine.run(["aios", "doctor"], user="bob").stdout.splitlines() if "ways out" in line]
    assert "all closed" in line


def test_the_end_of_a_sandbox_is_no_failure_to_pid_1(machine: Guest) -> None:
    assert machine.run(["aios", "run", "true"], user="bob").status == 0
    units = machine.units("aios-sandbox-*")
    assert units
    machine.enter(["systemctl", "restart", "aios-guard.service"])
    assert set(machine.units("aios-sandbox-*")).isdisjoint(units)
    said = [entry["MESSAGE"] for entry in machine.journal("_PID=1") if entry.get("UNIT") in units]
    assert [line for line in said if "Failed" in line or "killed" in line] == []


def test_a_session_has_a_slice_with_its_bounds_and_another_one_another(machine: Guest) -> None:
    small = "[guard]\nsession_memory_mib = 700\nsession_processes = 300\nworker_idle_s = 1\n"
    machine.put("/etc/aios/config.d/50-small.toml", small)
    machine.enter(["systemctl", "reload", "aios-guard.service"])

    def varlink(method: str, **parameters: object) -> list[str]:
        return [
            "varlinkctl",
            "call",
            "--more",
            "/run/aios/guard.sock",
            f"io.aios.Guard.{method}",
            json.dumps(parameters),
        ]

    def opened() -> str:
        said = machine.run(varlink("OpenSession"), user="bob").stdout
        return str(json.loads(said[said.index("{") :])["session"])

    def slice_of(words: str) -> str:
        pid = machine.wait_for(["pgrep", "-f", f"^{words}"]).stdout.strip()
        group = machine.enter(["cat", f"/proc/{pid}/cgroup"]).stdout
        return group[group.index("/aios-work.slice/") :].split("/")[2]

    one, other = opened(), opened()
    runs = [(one, "sleep 47111", "read-only"), (one, "sleep 47112", "workspace"), (other, "sleep 47113", "read-only")]
    with contextlib.ExitStack() as stack:
        for session, words, profile in runs:
            asked = varlink("Execute", session=session, call="c", command=words, cwd="/", profile=profile)
            stack.enter_context(machine.start(asked, user="bob"))
        first, second, third = (slice_of(words) for _session, words, _profile in runs)
        assert first == second != third
        for name in (first, third):
            shown = machine.unit(name)
            assert (shown["MemoryMax"], shown["TasksMax"], shown["MemorySwapMax"]) == (str(700 << 20), "300", "0")
        machine.enter(["aios", "stop", "--kill"])
        machine.enter(["aios", "thaw"])
    machine.wait_for(lambda: not {first, third} & set(machine.units("aios-work-*.slice")))


def test_a_standalone_guard_asks_its_persons_own_manager_and_what_it_runs_ends_with_it(machine: Guest) -> None:
    uid = machine.enter(["id", "-u", "carol"]).stdout.strip()
    socket = {"AIOS_SOCKET": f"/run/user/{uid}/aios/aiosd.sock"}
    nap = ["pgrep", "-f", "^sleep 47121"]
    with machine.start(["aiosd", "--standalone"], user="carol") as daemon:
        machine.wait_for(["test", "-S", socket["AIOS_SOCKET"]])
        doctor = machine.run(["aios", "doctor"], user="carol", env=socket, check=False).stdout
        assert "all closed; limits: " in doctor
        assert ("limits: of each process by itself" in doctor) is ("its cgroup has no controllers" in doctor)
        with machine.start(["aios", "run", "-p", "read-only", "--", "sleep", "47121"], user="carol", env=socket):
            pid = machine.wait_for(nap).stdout.strip()
            group = machine.enter(["cat", f"/proc/{pid}/cgroup"]).stdout.splitlines()[-1]
            below = f"0::/user.slice/user-{uid}.slice/user@{uid}.service/aios.slice/aios-work.slice/aios-work-"
            assert group.startswith(below), group
            assert "/aios-sandbox-" in group
            assert group.endswith("/command-1")
            daemon.kill()
            machine.wait_for(lambda: machine.enter(nap, check=False).status != 0)
