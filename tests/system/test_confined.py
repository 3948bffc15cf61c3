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

[[rule]]
pattern = ["git clone *"]
tier = "notify"
user = ["bob"]
writes = ["."]
network = ["127.0.0.1:2222"]

[[rule]]
pattern = ["sync-site"]
tier = "notify"
user = ["bob"]
writes = ["."]
network = ["127.0.0.1:8765"]

[[rule]]
pattern = ["truncate -s 1 *"]
tier = "notify"
user = ["bob"]
run_as = "root"
writes = ["/srv/open"]
"""
_SSHD = """
cd /srv/site && ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f key
chown bob: key && chmod 600 key host && mkdir -p /run/sshd
printf 'Host 127.0.0.1\\n IdentityFile /srv/site/key\\n' >/etc/ssh/ssh_config.d/site.conf
printf '[127.0.0.1]:2222 %s\\n' "$(cut -d' ' -f1,2 host.pub)" >/etc/ssh/ssh_known_hosts
git init -q -b main work && git -C work -c user.name=x -c user.email=x@y.z commit -q --allow-empty -m one
git clone -q --bare work repo.git && chown -R bob: repo.git
systemd-run --quiet --unit=ssh-site /usr/sbin/sshd -D -f /dev/null -p 2222 -o ListenAddress=127.0.0.1 \\
  -o HostKey=/srv/site/host -o AuthorizedKeysFile=/srv/site/key.pub -o StrictModes=no -o UsePAM=no
"""
_PACMAN = """
mkdir -p tiny-1.0-1 /srv/site/pacman && printf '%%FILENAME%%\\ntiny-1.0-1-any.pkg.tar.zst\\n\\n' >tiny-1.0-1/desc
printf '%%NAME%%\\ntiny\\n\\n%%VERSION%%\\n1.0-1\\n\\n' >>tiny-1.0-1/desc
tar -czf /srv/site/pacman/test.db tiny-1.0-1 && mkdir -p /home/bob/place/db /home/bob/place/root
cd /home/bob/place && printf '[options]\\nArchitecture = auto\\nSigLevel = Never\\nDisableSandbox\\n' >pacman.conf
printf '[test]\\nServer = http://127.0.0.1:8765/pacman\\n' >>pacman.conf
chown -R bob: /home/bob/place
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
    installed.enter(["install", "-d", "-o", "bob", "-g", "bob", "/home/bob/place"])
    installed.wait_for(lambda: installed.enter(["ss", "-Htln", "sport = :8765"]).stdout != "")
    return installed


def test_a_workspace_is_written_and_keeps_no_ghosts(machine: Guest) -> None:
    line = "cd place; aios run -p workspace 'echo x >made; echo y >../beside; mkdir -p .vscode/x; ls -d .vscode .idea'"
    ran = machine.run(["bash", "-c", line], user="bob", check=False)
    assert ran.stdout.split() == [".idea", ".vscode"]  # held, while it ran
    assert machine.enter(["ls", "-A", "/home/bob/place"]).stdout == "made\n"
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


def _ask(machine: Guest, line: str) -> str:
    ran = machine.run(
        ["sh", "-c", 'cd place && exec aios ask --wait 1 "$1"', "sh", f"$ {line}"], user="bob", check=False
    )
    return ran.stdout + ran.stderr


def test_git_clones_by_ssh_from_the_host_that_was_granted_and_from_no_other(machine: Guest) -> None:
    machine.enter(["sh", "-ec", _SSHD])
    machine.wait_for(lambda: machine.enter(["ss", "-Htln", "sport = :2222"]).stdout != "")
    said = _ask(machine, "git clone ssh://bob@127.0.0.1:2222/srv/site/repo.git cloned")
    log = machine.run(["git", "-C", "/home/bob/place/cloned", "log", "--format=%s"], user="bob", check=False)
    assert log.stdout == "one\n", said
    machine.enter(["systemctl", "stop", "ssh-site"])
    refused = _ask(machine, "git clone ssh://bob@127.0.0.1:22/srv/site/repo.git other")
    assert "127.0.0.1:22 is not granted" in refused
    assert not machine.exists("/home/bob/place/other")


def test_pacman_reads_its_mirror_by_the_proxy(machine: Guest) -> None:
    machine.enter(["sh", "-ec", f"cd $(mktemp -d) && {_PACMAN.strip()}"])
    options = "--noconfirm --disable-download-timeout --root root --dbpath db --config pacman.conf --logfile /dev/null"
    machine.put("/usr/local/bin/sync-site", f"#!/bin/sh\nexec fakeroot pacman -Syy {options}\n", mode=0o755)
    said = _ask(machine, "sync-site")
    listed = machine.run(
        ["sh", "-c", "cd place && pacman -Sl --dbpath db --config pacman.conf"], user="bob", check=False
    )
    assert listed.stdout == "test tiny 1.0-1\n", said
    machine.enter(["sed", "-i", "s/8765/8766/", "/home/bob/place/pacman.conf"])
    assert "127.0.0.1:8766 is not granted" in _ask(machine, "sync-site")


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


def test_as_root_a_rule_that_names_what_is_written_lets_nothing_else_be(machine: Guest) -> None:
    machine.enter(["mkdir", "-p", "/srv/open"])
    assert machine.run(["aios", "run", "--", "sudo", "truncate", "-s", "1", "/srv/open/in"], user="bob").status == 0
    refused = machine.run(["aios", "run", "--", "sudo", "truncate", "-s", "1", "/srv/out"], user="bob", check=False)
    assert "Read-only file system" in refused.stderr
    found = machine.enter(["stat", "-c", "%U %n", "/srv/open/in", "/srv/out"], check=False).stdout
    assert found == "root /srv/open/in\n"


def test_the_doctor_finds_every_wall_standing(machine: Guest) -> None:
    said = [
        line.split()[0]
        for line in machine.run(["aios", "doctor"], user="bob").stdout.splitlines()
        if "ways out" in line
    ]
    assert said == ["ok"] * 5


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
        assert "ok      limits: " in doctor
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
