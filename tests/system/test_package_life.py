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
from tests.system.packages import Source, bare_package, content_key, copy_tree, install, make_source, stored_package

_NOT_OURS = "/proc /sys /dev /run /tmp /root /home /var/log /var/cache /var/tmp /var/lib/pacman /etc/pacman.d".split()
_COMPILED = """\
import importlib.util, pathlib, struct
for source in sorted(pathlib.Path("/usr/lib/aios").rglob("*.py")):
    compiled, stat = pathlib.Path(importlib.util.cache_from_source(str(source))), source.stat()
    head = compiled.read_bytes()[:16] if compiled.exists() else b""
    if head != importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(stat.st_mtime), stat.st_size):
        print(source)
"""


_UNREADABLE = "find /usr/lib/aios /usr/share/doc/aios ! -perm -o=r -o -type d ! -perm -o=x"


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
    """A machine for one test, without the package."""
    with testbed.boot() as guest:
        yield guest


@pytest.fixture
def enabled(testbed: Testbed, layer: Path) -> Iterator[Guest]:
    """A machine for one test, with the package, as `installed` has it."""
    with testbed.boot(layer=layer) as guest:
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


def test_completions_and_manual_pages_are_read_by_their_tools(installed: Guest) -> None:
    installed.enter(["bash", "-n", "/usr/share/bash-completion/completions/aios"])
    for page in ("1 aios", "5 aios-config", "5 aios-policy", "8 aiosd", "8 aios-guard"):
        shown = installed.enter(["man", "--warnings", *page.split()])
        assert "NAME" in shown.stdout
        assert shown.stderr == ""


# A new Python


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A machine whose Python was upgraded, and what was true before."""

    guest: Guest
    served: str
    pids: tuple[str, str]
    stale: str


@pytest.fixture(scope="module")
def renewed(testbed: Testbed, layer: Path) -> Iterator[Renewal]:
    with testbed.boot(layer=layer) as guest:
        served, pids = _served(guest), _pids(guest)
        # What an upgrade of Python leaves: byte-code that is not this Python's.
        guest.enter(["find", "/usr/lib/aios", "-name", "*.pyc", "-exec", "truncate", "-s", "1", "{}", "+"])
        stale = guest.enter(["python3", "-c", _COMPILED]).stdout
        bare_package(guest, "python", "99-1", "/root/python.pkg.tar.zst")
        upgrade = ["pacman", "--noconfirm", "-U", "/root/python.pkg.tar.zst"]
        guest.run(upgrade, properties=["Description=somebody"])
        yield Renewal(guest=guest, served=served, pids=pids, stale=stale)


def test_a_new_python_gets_byte_code_of_its_own_and_restarts_what_runs(renewed: Renewal) -> None:
    assert "/usr/lib/aios/aiosd/wire.py" in renewed.stale
    assert renewed.guest.enter(["python3", "-c", _COMPILED]).stdout == ""
    assert _served(renewed.guest) == renewed.served
    assert set(_pids(renewed.guest)).isdisjoint(renewed.pids)


def test_each_transaction_is_noted_in_the_journal_with_who_began_it(renewed: Renewal) -> None:
    _pacman(renewed.guest, "-Rdd", "btrfs-progs")
    noted = renewed.guest.journal("-t", "aios", "AIOS_KIND=packages")
    assert (noted[0]["AIOS_PACKAGES"], noted[0]["AIOS_COUNT"]) == ("python 99-1", "1")
    assert noted[0]["_SYSTEMD_UNIT"].startswith("guest-")
    assert noted[1]["AIOS_PACKAGES"] == "btrfs-progs removed"
    assert {entry["_UID"] for entry in noted} == {"0"}


# Upgrading


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A machine that was used and upgraded while it ran, and what was true before."""

    guest: Guest
    said: str
    served: str
    pids: tuple[str, str]
    sessions: str
    record: list[object]


@pytest.fixture(scope="module")
def upgraded(testbed: Testbed, layer: Path, versions: Versions) -> Iterator[Upgrade]:
    with testbed.boot(layer=layer) as guest:
        guest.put("/etc/aios/config.toml", "[agent]\nmax_steps = 9\n")
        guest.put("/etc/aios/policy.d/mine.toml", '[permissions]\ndeny = ["uptime"]\n')
        guest.run(["aios", "ask", "which services failed?"], user="bob")
        sessions = guest.run(["aios", "sessions"], user="bob").stdout
        record, served, pids = _record(guest), _served(guest), _pids(guest)
        said = install(guest, versions.new)
        yield Upgrade(guest=guest, said=said, served=served, pids=pids, sessions=sessions, record=record)


def test_an_upgrade_restarts_what_runs_and_keeps_sessions_record_and_settings(upgraded: Upgrade) -> None:
    guest = upgraded.guest
    assert "error" not in upgraded.said
    assert (upgraded.served, _served(guest)) == (__version__, f"7.{__version__}")
    assert set(_pids(guest)).isdisjoint(upgraded.pids)
    assert guest.run(["aios", "sessions"], user="bob").stdout == upgraded.sessions
    name = upgraded.sessions.splitlines()[1].split()[0]
    again = guest.run(["aios", "ask", "-s", name, "which services failed?"], user="bob")
    assert again.stdout == "No unit has failed.\n"
    assert _record(guest)[: len(upgraded.record)] == upgraded.record
    assert guest.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"
    assert "max_steps" in guest.enter(["aios", "config", "show"]).stdout
    assert guest.run(["aios", "policy", "check", "--", "uptime"], user="bob", check=False).stdout.startswith("deny")
    assert guest.enter(["find", "/etc", "-name", "*.pacnew", "-o", "-name", "*.pacsave"]).stdout == ""
    assert guest.enter(["python3", "-c", _COMPILED]).stdout == ""
    assert guest.units(state="failed") == []


def test_a_downgrade_is_a_transaction_as_any_other(upgraded: Upgrade, versions: Versions) -> None:
    guest = upgraded.guest
    sessions = guest.run(["aios", "sessions"], user="bob").stdout
    said = install(guest, versions.old)
    assert "downgrading aios" in said
    assert _served(guest) == __version__
    assert guest.run(["aios", "sessions"], user="bob").stdout == sessions
    assert guest.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"


def _record(guest: Guest) -> list[object]:
    lines = guest.enter(["aios", "log", "--json", "-n", "1000"]).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_an_upgrade_starts_nothing_that_did_not_run(enabled: Guest, versions: Versions) -> None:
    install(enabled, versions.new)
    assert _pids(enabled) == ("0", "0")
    assert enabled.unit("aiosd.socket")["ActiveState"] == "active"
    enabled.enter(["systemctl", "disable", "--now", "--quiet", "aiosd.socket"])
    install(enabled, versions.old)
    assert _pids(enabled) == ("0", "0")
    assert enabled.unit("aiosd.socket")["ActiveState"] == "inactive"


def test_a_command_that_runs_during_an_upgrade_ends_and_is_recorded_once(enabled: Guest, versions: Versions) -> None:
    with enabled.start(["aios", "ask", "$ sleep 6"], user="bob") as asking:
        asking.end_of_input()
        enabled.wait_for(["pgrep", "-x", "sleep"])
        install(enabled, versions.new)
        asking.wait()
    assert enabled.enter(["pgrep", "-x", "sleep"], check=False).status == 1
    assert _served(enabled) == f"7.{__version__}"
    kinds = [entry["AIOS_KIND"] for entry in enabled.journal("-t", "aios", "AIOS_USER=bob")]
    assert kinds == ["decided", "done"]
    done = enabled.journal("-t", "aios", "AIOS_KIND=done")[-1]
    assert (done["AIOS_OUTCOME"], done["AIOS_STATUS"]) == ("done", "0")
    assert enabled.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"


# One machine's life: installed, used, removed, installed again, purged


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What was seen on the way. `left` is what is there after a removal and was not before the package was."""

    noted: list[dict[str, str]]
    removed_said: str
    removed_left: set[str]
    kept_config: str
    still_active: list[str]
    still_running: bool
    still_listening: str
    sessions: tuple[str, str]
    verified: str
    unreadable: str
    answered: str
    purged_left: set[str]
    users: str


_KEPT = ("/var/lib/aios", "/var/lib/aios-guard", "/etc/aios")
# Backups by the tools that made the locked users, which stay.
_OF_USERS = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}


@pytest.fixture(scope="module")
def life(testbed: Testbed, package: Path) -> Iterator[Life]:
    with testbed.boot() as guest:
        before = _files(guest)
        install(guest, package)
        noted = guest.journal("-t", "aios", "AIOS_KIND=packages")
        _enable(guest)
        guest.put("/etc/aios/config.toml", "[agent]\nmax_steps = 9\n")
        guest.run(["aios", "ask", "which services failed?"], user="bob")
        sessions = guest.run(["aios", "sessions"], user="bob").stdout
        guest.enter(["systemctl", "--global", "--quiet", "enable", "aiosd.socket"])
        removed_said = _pacman(guest, "-R", "aios")
        removed_left = {path for path in _left(before, _files(guest)) if not path.startswith(_KEPT)} - _OF_USERS
        kept_config = guest.read("/etc/aios/config.toml")
        still_listening = guest.enter(["ls", "/run/aios"]).stdout
        still_active = guest.units("aios*", state="active") + guest.units(state="failed")
        still_running = guest.enter(["pgrep", "-f", "/usr/lib/aios|/usr/bin/aiosd"], check=False).status == 0
        script = f"umask 077; pacman -U --noconfirm --noprogressbar /root/{package.name}"
        guest.enter(["sh", "-c", script])
        _enable(guest)
        again = guest.run(["aios", "sessions"], user="bob").stdout
        answered = guest.run(["aios", "ask", "which services failed?"], user="bob").stdout
        verified = guest.enter(["aios", "log", "--verify"]).stdout
        unreadable = guest.enter(["sh", "-c", _UNREADABLE]).stdout
        said = _pacman(guest, "-Rns", "aios")
        guest.enter(["sh", "-c", said.partition("when they should go too: ")[2].partition("\n")[0]])
        yield Life(
            noted=noted,
            removed_said=removed_said,
            removed_left=removed_left,
            kept_config=kept_config,
            still_listening=still_listening,
            still_active=still_active,
            still_running=still_running,
            sessions=(sessions, again),
            verified=verified,
            unreadable=unreadable,
            answered=answered,
            purged_left=_left(before, _files(guest)) - _OF_USERS,
            users=guest.read("/etc/passwd"),
        )


def test_removing_leaves_what_people_made_and_nothing_else(life: Life) -> None:
    line = f":: Sessions, the record and your settings stay; when they should go too: rm -r {' '.join(_KEPT)}\n"
    assert line in life.removed_said
    assert life.removed_left == set()
    assert life.kept_config == "[agent]\nmax_steps = 9\n"
    assert (life.still_active, life.still_running, life.still_listening) == ([], False, "")


def test_what_was_removed_comes_back_with_its_sessions(life: Life) -> None:
    assert life.sessions[0].count("\n") > 1
    assert life.sessions[0] == life.sessions[1]
    assert life.verified == "the record is whole\n"


def test_it_works_whatever_the_umask_of_who_installs_it(life: Life) -> None:
    assert (life.unreadable, life.answered) == ("", "No unit has failed.\n")


def test_purging_by_the_line_it_prints_leaves_only_its_locked_users(life: Life) -> None:
    assert life.purged_left == set()
    assert "aios" in life.users


def test_its_own_installation_is_noted_too(life: Life) -> None:
    (entry,) = life.noted
    assert entry["AIOS_PACKAGES"].startswith(f"aios {__version__}")
