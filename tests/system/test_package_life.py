"""The package on a machine: installed, upgraded, downgraded, removed, purged, and under a new Python."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aiosd import __version__
from tests.system.guest import REPOSITORY, Guest, Testbed
from tests.system.packages import Source, content_key, copy_tree, install, make_source, stored_package

_NOT_OURS = "/proc /sys /dev /run /tmp /root /home /var/log /var/cache /var/tmp /var/lib/pacman /etc/pacman.d".split()
_COMPILED = """\
import importlib.util, pathlib, struct
for source in sorted(pathlib.Path("/usr/lib/aios").rglob("*.py")):
    compiled, stat = pathlib.Path(importlib.util.cache_from_source(str(source))), source.stat()
    head = compiled.read_bytes()[:16] if compiled.exists() else b""
    if head != importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(stat.st_mtime), stat.st_size):
        print(source)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The working tree's package, and a release of the same tree with another `__version__`."""

    old: Path
    new: Path


@pytest.fixture(scope="module")
def versions(testbed: Testbed, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    folder = tmp_path_factory.mktemp("versions")

    def newer() -> Source:
        tree = folder / "tree"
        copy_tree(REPOSITORY, tree)
        marked = tree / "aiosd/__init__.py"
        source = marked.read_text(encoding="utf-8")
        marked.write_text(source.replace('__version__ = "', '__version__ = "7.'), encoding="utf-8")
        _git(tree, "init", "--quiet")
        _commit(tree, "new", "v1.0.1")
        return make_source(folder / "new", "HEAD", repository=tree)

    return Versions(old=package, new=stored_package(testbed, f"{content_key()}-newer", newer))


@pytest.fixture
def machine(testbed: Testbed) -> Iterator[Guest]:
    """A machine for one test."""
    with testbed.boot() as guest:
        yield guest


def _git(tree: Path, *words: str) -> None:
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    subprocess.run(["git", *identity, "-C", str(tree), *words], check=True, timeout=60)


def _commit(tree: Path, message: str, tag: str | None = None) -> None:
    _git(tree, "add", "--all")
    _git(tree, "commit", "--quiet", "--message", message)
    if tag:
        _git(tree, "tag", tag)


def _enable(guest: Guest) -> None:
    guest.enter(["systemctl", "enable", "--now", "--quiet", "aiosd.socket"])


def _files(guest: Guest) -> dict[str, str]:
    """Every file, folder and link of the machine but what changes by itself: type, owner, mode."""
    prune = " -o ".join(f"-path {path}" for path in _NOT_OURS)
    found = guest.enter(["sh", "-c", rf"find / -xdev \( {prune} \) -prune -o -printf '%p\t%y %u %m\n'"]).stdout
    return dict(line.split("\t", 1) for line in found.splitlines())


def _left(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {path for path in after if before.get(path) != after[path]}


def _pacman(guest: Guest, *words: str) -> str:
    return guest.enter(["pacman", "--noconfirm", "--noprogressbar", *words]).stdout


def _served(guest: Guest) -> str:
    """The version that the running daemon says it has."""
    return guest.enter(["aios", "status"]).stdout.split()[1]


def _pids(guest: Guest) -> tuple[str, str]:
    return guest.unit("aiosd.service")["MainPID"], guest.unit("aios-guard.service")["MainPID"]


# Versions


def test_versions_come_from_tags_and_sort_as_they_were_made(
    installed: Guest, versions: Versions, tmp_path: Path
) -> None:
    for name in ("packaging/version", "aiosd/__init__.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(REPOSITORY / name, tmp_path / name)
    _git(tmp_path, "init", "--quiet")
    made = []
    for number, tag in enumerate([None, "v1.0.0", None, "v1.0.1"]):
        (tmp_path / "change").write_text(f"{number}")
        _commit(tmp_path, "change", tag)
        said = subprocess.run([tmp_path / "packaging/version"], check=True, capture_output=True, text=True, timeout=60)
        made.append(said.stdout.strip())
    assert re.sub(r"\.g[0-9a-f]{9}$", "", made[0]) == f"{__version__}dev1"
    assert made[1] == "1.0.0"
    assert re.sub(r"\.g[0-9a-f]{9}$", "", made[2]) == "1.0.0.r1"
    assert made[3] == "1.0.1"
    assert versions.new.name == "aios-1.0.1-1-any.pkg.tar.zst"
    in_order = [*made[:3], "1.0.1dev1.g012345678", "1.0.1", "1.0.10"]
    for lower, higher in itertools.pairwise(in_order):
        assert installed.enter(["vercmp", lower, higher]).stdout == "-1\n", (lower, higher)


# Installing


def test_it_installs_says_what_next_and_starts_nothing(machine: Guest, package: Path) -> None:
    said = install(machine, package)
    assert ":: Start it:           systemctl enable --now aiosd.socket\n" in said
    assert "error" not in said
    for unit in ("aiosd.socket", "aiosd.service", "aios-guard.socket", "aios-guard.service"):
        assert machine.unit(unit)["ActiveState"] == "inactive"
    assert (
        machine.unit("aiosd.socket")["UnitFileState"]
        == machine.unit("aios-guard.socket")["UnitFileState"]
        == "disabled"
    )
    _enable(machine)
    assert machine.unit("aios-guard.socket")["UnitFileState"] == "enabled"
    assert machine.run(["aios", "ask", "which services failed?"], user="bob").stdout == "No unit has failed.\n"


def test_a_missing_dependency_stops_it(machine: Guest, package: Path) -> None:
    _pacman(machine, "-Rdd", "bubblewrap")
    machine.put("/root/aios.pkg.tar.zst", package.read_bytes())
    refused = machine.enter(["pacman", "-U", "--noconfirm", "/root/aios.pkg.tar.zst"], check=False)
    assert refused.status == 1
    assert "unable to satisfy dependency 'bubblewrap" in refused.stdout + refused.stderr
    assert not machine.exists("/usr/lib/aios")


def test_users_and_folders_are_as_designed(installed: Guest) -> None:
    installed.run(["aios", "ask", "which services failed?"], user="bob")
    places = [
        "/run/aios",
        "/run/aios/aiosd.sock",
        "/run/aios/guard.sock",
        "/var/lib/aios",
        "/var/lib/aios-guard",
        "/etc/aios",
    ]
    assert installed.enter(["stat", "-c", "%n %U %G %a", *places]).stdout.splitlines() == [
        "/run/aios root root 755",
        "/run/aios/aiosd.sock root root 666",
        "/run/aios/guard.sock root root 666",
        "/var/lib/aios aios aios 700",
        "/var/lib/aios-guard root root 700",
        "/etc/aios root root 755",
    ]
    for user in ("aios", "aios-observe", "aios-bus"):
        assert installed.enter(["getent", "passwd", user]).stdout.endswith(":/usr/sbin/nologin\n")
        assert installed.enter(["passwd", "--status", user]).stdout.split()[1] == "L"
        assert installed.enter(["id", "-nG", user]).stdout == f"{user}\n"


def test_what_is_installed_is_what_was_packed(installed: Guest) -> None:
    assert "0 altered files" in installed.enter(["pacman", "-Qkk", "aios"]).stdout


def test_byte_code_is_made_on_the_machine_and_found(installed: Guest) -> None:
    assert installed.enter(["python3", "-c", _COMPILED]).stdout == ""
    said = installed.run(["python3", "-IS", "-v", "/usr/bin/aios", "status"], user="bob").stderr
    assert "code object from '/usr/lib/aios/aiosd/cli/__pycache__/main.cpython-" in said
    assert "code object from '/usr/lib/aios/aiosd/cli/main.py'" not in said


def test_it_works_whatever_the_umask_of_who_installs_it(machine: Guest, package: Path) -> None:
    machine.put("/root/aios.pkg.tar.zst", package.read_bytes())
    machine.enter(["sh", "-c", "umask 077; pacman -U --noconfirm /root/aios.pkg.tar.zst"])
    unreadable = [
        "find",
        "/usr/lib/aios",
        "/usr/share/doc/aios",
        "!",
        "-perm",
        "-o=r",
        "-o",
        "-type",
        "d",
        "!",
        "-perm",
        "-o=x",
    ]
    assert machine.enter(unreadable).stdout == ""
    _enable(machine)
    assert machine.run(["aios", "ask", "which services failed?"], user="bob").stdout == "No unit has failed.\n"


def test_completions_and_manual_pages_are_read_by_their_tools(installed: Guest) -> None:
    installed.enter(["bash", "-n", "/usr/share/bash-completion/completions/aios"])
    for page in ("1 aios", "5 aios-config", "5 aios-policy", "8 aiosd", "8 aios-guard"):
        shown = installed.enter(["man", "--warnings", *page.split()])
        assert "NAME" in shown.stdout
        assert shown.stderr == ""


# A new Python


def test_a_new_python_gets_byte_code_of_its_own_and_restarts_what_runs(machine: Guest, package: Path) -> None:
    install(machine, package)
    _enable(machine)
    before = _served(machine), _pids(machine)
    # What an upgrade of Python leaves: byte-code that is not this Python's.
    machine.enter(["find", "/usr/lib/aios", "-name", "*.pyc", "-exec", "truncate", "-s", "1", "{}", "+"])
    assert machine.enter(["python3", "-c", _COMPILED]).stdout != ""
    _pacman(machine, "-U", _newer_python(machine))
    assert machine.enter(["python3", "-c", _COMPILED]).stdout == ""
    assert _served(machine) == before[0]
    assert set(_pids(machine)).isdisjoint(before[1])


def _newer_python(guest: Guest) -> str:
    """A package `python`, newer than the one that is installed."""
    recipe = "pkgname=python\npkgver=99\npkgrel=1\narch=(any)\noptions=(!debug)\n"
    recipe += 'package() { install -Dm644 "$startdir/PKGBUILD" "$pkgdir/usr/share/newer-python"; }\n'
    guest.put("/home/builder/python/PKGBUILD", recipe, owner="builder")
    guest.enter(["chown", "builder:", "/home/builder/python"])
    guest.run(["sh", "-c", "cd ~/python && makepkg --nodeps"], user="builder", env={"PKGDEST": "/home/builder/python"})
    return "/home/builder/python/python-99-1-any.pkg.tar.zst"


# Upgrading


def test_an_upgrade_restarts_what_runs_and_keeps_sessions_record_and_settings(
    machine: Guest, versions: Versions
) -> None:
    install(machine, versions.old)
    _enable(machine)
    machine.put("/etc/aios/config.toml", "[agent]\nmax_steps = 9\n")
    machine.put("/etc/aios/policy.d/mine.toml", '[permissions]\ndeny = ["uptime"]\n')
    machine.enter(["systemctl", "restart", "aios-guard.service"])
    machine.run(["aios", "ask", "which services failed?"], user="bob")
    sessions = machine.run(["aios", "sessions"], user="bob").stdout
    name = sessions.splitlines()[1].split()[0]
    record = _record(machine)
    before, pids = _served(machine), _pids(machine)
    assert "error" not in install(machine, versions.new)
    assert (before, _served(machine)) == ("0.1.0", "7.0.1.0")
    assert set(_pids(machine)).isdisjoint(pids)
    assert machine.run(["aios", "sessions"], user="bob").stdout == sessions
    assert (
        machine.run(["aios", "ask", "-s", name, "which services failed?"], user="bob").stdout == "No unit has failed.\n"
    )
    assert _record(machine)[: len(record)] == record
    assert machine.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"
    assert "max_steps" in machine.enter(["aios", "config", "show"]).stdout
    assert machine.run(["aios", "policy", "check", "--", "uptime"], user="bob", check=False).stdout.startswith("deny")
    assert machine.enter(["find", "/etc", "-name", "*.pacnew", "-o", "-name", "*.pacsave"]).stdout == ""
    assert machine.enter(["python3", "-c", _COMPILED]).stdout == ""
    assert machine.units(state="failed") == []


def _record(guest: Guest) -> list[object]:
    lines = guest.enter(["aios", "log", "--json", "-n", "1000"]).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_an_upgrade_starts_nothing_that_did_not_run(machine: Guest, versions: Versions) -> None:
    install(machine, versions.old)
    install(machine, versions.new)
    assert _pids(machine) == ("0", "0")
    assert machine.unit("aiosd.socket")["ActiveState"] == "inactive"
    _enable(machine)
    assert _pids(machine) == ("0", "0")
    install(machine, versions.old)
    assert _pids(machine) == ("0", "0")
    assert machine.unit("aiosd.socket")["ActiveState"] == "active"


def test_a_command_that_runs_during_an_upgrade_ends_and_is_recorded_once(machine: Guest, versions: Versions) -> None:
    install(machine, versions.old)
    _enable(machine)
    with machine.start(["aios", "ask", "$ sleep 6"], user="bob") as asking:
        asking.end_of_input()
        machine.wait_for(["pgrep", "-x", "sleep"])
        install(machine, versions.new)
        asking.wait()
    assert machine.enter(["pgrep", "-x", "sleep"], check=False).status == 1
    assert _served(machine) == "7.0.1.0"
    kinds = [entry["AIOS_KIND"] for entry in machine.journal("-t", "aios", "AIOS_USER=bob")]
    assert kinds == ["decided", "done"]
    done = machine.journal("-t", "aios", "AIOS_KIND=done")[-1]
    assert (done["AIOS_OUTCOME"], done["AIOS_STATUS"]) == ("done", "0")
    assert machine.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"


def test_a_downgrade_is_a_transaction_as_any_other(machine: Guest, versions: Versions) -> None:
    install(machine, versions.new)
    _enable(machine)
    machine.run(["aios", "ask", "which services failed?"], user="bob")
    sessions = machine.run(["aios", "sessions"], user="bob").stdout
    said = install(machine, versions.old)
    assert "downgrading aios" in said
    assert _served(machine) == "0.1.0"
    assert machine.run(["aios", "sessions"], user="bob").stdout == sessions
    assert machine.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"


# Removing


def test_removing_leaves_what_people_made_and_nothing_else(machine: Guest, package: Path) -> None:
    before = _files(machine)
    install(machine, package)
    _enable(machine)
    machine.put("/etc/aios/config.toml", "[agent]\nmax_steps = 9\n")
    machine.run(["aios", "ask", "which services failed?"], user="bob")
    machine.enter(["systemctl", "--global", "--quiet", "enable", "aiosd.socket"])
    said = _pacman(machine, "-R", "aios")
    kept = ("/var/lib/aios", "/var/lib/aios-guard", "/etc/aios")
    line = f":: Sessions, the record and your settings stay; when they should go too: rm -r {' '.join(kept)}\n"
    assert line in said
    left = {path for path in _left(before, _files(machine)) if not path.startswith(kept)}
    assert left == {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"} & left
    assert machine.read("/etc/aios/config.toml") == "[agent]\nmax_steps = 9\n"
    assert machine.units("aios*", state="active") == machine.units(state="failed") == []
    assert machine.enter(["pgrep", "-f", "/usr/lib/aios|/usr/bin/aiosd"], check=False).status == 1
    assert machine.enter(["ls", "/run/aios"]).stdout == ""


def test_what_was_removed_comes_back_with_its_sessions(machine: Guest, package: Path) -> None:
    install(machine, package)
    _enable(machine)
    machine.run(["aios", "ask", "which services failed?"], user="bob")
    sessions = machine.run(["aios", "sessions"], user="bob").stdout
    _pacman(machine, "-R", "aios")
    install(machine, package)
    _enable(machine)
    assert machine.run(["aios", "sessions"], user="bob").stdout == sessions
    assert machine.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"


def test_purging_by_the_line_it_prints_leaves_only_its_locked_users(machine: Guest, package: Path) -> None:
    before = _files(machine)
    install(machine, package)
    _enable(machine)
    machine.put("/etc/aios/config.toml", "[agent]\nmax_steps = 9\n")
    machine.run(["aios", "ask", "which services failed?"], user="bob")
    said = _pacman(machine, "-Rns", "aios")
    line = said.partition("when they should go too: ")[2].partition("\n")[0]
    machine.enter(["sh", "-c", line])
    left = _left(before, _files(machine))
    assert left == {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"} & left
    assert "aios" in machine.read("/etc/passwd")


# Transactions


def test_each_transaction_is_noted_in_the_journal_with_who_began_it(machine: Guest, package: Path) -> None:
    install(machine, package)
    machine.run(
        ["pacman", "--noconfirm", "-U", _newer_python(machine)],
        properties=["Description=somebody"],
    )
    _pacman(machine, "-Rdd", "python-mcp" if "python-mcp" in machine.enter(["pacman", "-Qq"]).stdout else "btrfs-progs")
    noted = machine.journal("-t", "aios", "AIOS_KIND=packages")
    assert noted[0]["AIOS_PACKAGES"].startswith("aios 0.1.0")
    assert (noted[1]["AIOS_PACKAGES"], noted[1]["AIOS_COUNT"]) == ("python 99-1", "1")
    assert noted[1]["_SYSTEMD_UNIT"].startswith("guest-")
    assert noted[2]["AIOS_PACKAGES"].endswith(" removed")
    assert {entry["_UID"] for entry in noted} == {"0"}
