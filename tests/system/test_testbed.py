"""The test machine proves itself: what the other system tests lean on, and that nothing stays behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.command import PATIENCE_S
from tests.system.guest import REPOSITORY, SCRIPTS, Guest, GuestError, GuestTimeoutError, Testbed
from tests.system.traces import traces

PKGBUILD = """\
pkgname=probe
pkgver=1
pkgrel=1
arch=(any)
license=(MIT)
depends=('python>=3.11' bubblewrap {extra})
options=(!debug)
check() {{ touch "$srcdir/checked"; }}
package() {{ test -e "$srcdir/checked"; install -Dm755 "$startdir/probe" "$pkgdir/usr/bin/probe"; }}
"""


def test_the_machine_runs_systemd_with_nothing_failed(guest: Guest) -> None:
    assert guest.state() == "running"
    assert guest.units(state="failed") == []
    assert guest.read("/proc/1/comm") == "systemd\n"
    assert "systemd 257" in guest.enter(["systemctl", "--version"]).stdout


def test_people_have_the_groups_that_tests_count_on(guest: Guest) -> None:
    groups = {
        user: set(guest.enter(["id", "-nG", user]).stdout.split()) for user in ("alice", "bob", "carol", "builder")
    }
    assert groups == {
        "alice": {"alice", "wheel", "sudo", "systemd-journal"},
        "bob": {"bob"},
        "carol": {"carol"},
        "builder": {"builder"},
    }


def test_a_command_of_a_user_has_a_session_and_a_user_manager(guest: Guest) -> None:
    said = guest.run(
        ["sh", "-c", 'echo "$USER $HOME $PWD $XDG_RUNTIME_DIR"; loginctl show-session self -P Name'], user="bob"
    )
    uid = guest.enter(["id", "-u", "bob"]).stdout.strip()
    assert said.stdout == f"bob /home/bob /home/bob /run/user/{uid}\nbob\n"
    assert guest.unit(f"user@{uid}.service")["ActiveState"] == "active"


@pytest.mark.parametrize("user", [None, "root", "bob"])
def test_status_input_and_output_pass_through(guest: Guest, user: str | None) -> None:
    script = 'read -r line; echo "out $line $MARK"; echo "err $$" | tr -d 0-9 >&2; exit 37'
    done = guest.run(["sh", "-c", script], user=user, stdin="in\n", env={"MARK": "a b"}, check=False)
    assert (done.status, done.stdout, done.stderr) == (37, "out in a b\n", "err \n")


def test_input_and_output_may_be_large(guest: Guest) -> None:
    text = "0123456789abcde\n" * 655360
    assert guest.run(["cat"], user="bob", stdin=text).stdout == text


def test_a_failed_command_is_an_error_that_shows_what_it_said(guest: Guest) -> None:
    with pytest.raises(GuestError, match=r"(?s)status 3.*no such luck"):
        guest.run(["sh", "-c", "echo no such luck >&2; exit 3"], user="bob")


@pytest.mark.parametrize("user", [None, "bob"])
def test_a_deadline_ends_the_command_in_the_guest_too(guest: Guest, user: str | None) -> None:
    with pytest.raises(GuestTimeoutError, match="not done in"):
        guest.run(["sleep", "98765"], user=user, timeout_s=1)
    guest.wait_for(lambda: guest.enter(["pgrep", "-f", "^sleep 98765"], check=False).status == 1)


def test_a_started_command_can_be_talked_to_and_is_killed_at_the_end(guest: Guest) -> None:
    with guest.start(
        ["sh", "-c", "while read -r line; do echo got $line; done; exec sleep 98766"], user="bob"
    ) as running:
        running.send("one\n")
        running.expect("got one\n")
        running.send("two\n")
        assert running.expect(r"got (\w+)\n")[1] == "two"
        running.end_of_input()
        guest.wait_for(["pgrep", "-f", "^sleep 98766"])
    guest.wait_for(lambda: guest.enter(["pgrep", "-f", "^sleep 98766"], check=False).status == 1)


def test_a_terminal_is_a_terminal_of_the_guest(guest: Guest) -> None:
    with guest.terminal(
        ["sh", "-c", "tty; read -r answer; echo got $answer; exec sleep 98767"], user="alice"
    ) as terminal:
        terminal.expect(r"/dev/pts/\d+\r\n")
        terminal.send("yes\n")
        terminal.expect("got yes\r\n")
        terminal.send("\x03")
        assert terminal.wait().status == 128 + signal.SIGINT


def test_login_on_a_terminal_reaches_the_shell(guest: Guest) -> None:
    guest.put("/usr/local/bin/ptylogin", (SCRIPTS / "ptylogin.py").read_bytes(), mode=0o755)
    shown = guest.enter(["ptylogin", "bob", "bob", "id -un; tty"]).stdout
    assert re.search(r"\bbob\r\n/dev/pts/\d+\r\n", shown), shown


def test_files_are_put_with_their_owner_and_mode(guest: Guest) -> None:
    guest.put("/srv/a/b", "text\n", mode=0o640, owner="bob")
    guest.put("/srv/a/b", "other\n", mode=0o600, owner="bob:alice")
    assert guest.enter(["stat", "-c", "%U %G %a", "/srv/a/b", "/srv/a"]).stdout == "bob alice 600\nroot root 755\n"
    assert guest.read("/srv/a/b") == "other\n"
    assert guest.exists("/srv/a/b")
    assert not guest.exists("/srv/a/c")


def test_the_working_tree_is_installed_where_the_package_will_be(guest: Guest) -> None:
    guest.install_tree()
    sources, compiled = (
        guest.enter(["find", "/usr/lib/aios", "-name", name]).stdout.count("\n") for name in ("*.py", "*.pyc")
    )
    assert sources == compiled > 0
    assert guest.enter(["find", "/usr/lib/aios", "!", "-user", "root"]).stdout == ""
    seen = guest.run(
        ["python3", "-IS", "-c", 'import sys; sys.path[:0] = ["/usr/lib/aios"]; import aiosd; print(aiosd.__file__)'],
        user="bob",
    )
    assert seen.stdout == "/usr/lib/aios/aiosd/__init__.py\n"
    for launcher in ("aios", "aiosd", "aios-guard"):
        assert guest.enter(["stat", "-c", "%a %U", f"/usr/bin/{launcher}"]).stdout == "755 root\n"


def test_the_journal_is_read_by_field(guest: Guest) -> None:
    guest.run(["logger", "-t", "probe", "one\ntwo"], user="carol")
    guest.run(["logger", "-t", "probe", "-p", "user.err", "日本語"], user="carol")
    entries = guest.journal("SYSLOG_IDENTIFIER=probe")
    uid = guest.enter(["id", "-u", "carol"]).stdout.strip()
    assert [(entry["MESSAGE"], entry["PRIORITY"], entry["_UID"]) for entry in entries] == [
        ("one\ntwo", "5", uid),
        ("日本語", "3", uid),
    ]
    assert guest.journal("SYSLOG_IDENTIFIER=nobody-logs-as-this") == []


def test_the_journal_is_for_administrators(guest: Guest) -> None:
    count = ["sh", "-c", "journalctl -q --no-pager -n 5 _PID=1 | wc -l"]
    assert guest.run(count, user="alice").stdout == "5\n"
    assert guest.run(count, user="bob").stdout == "0\n"


@pytest.mark.parametrize("user", ["root", "bob"])
def test_bubblewrap_confines(guest: Guest, user: str) -> None:
    guest.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], user=user)
    view = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    assert guest.run([*view, "sh", "-c", "ls -d /proc/[0-9]* | wc -l"], user=user).stdout.strip() in {"3", "4"}
    mark = ["sh", "-c", "touch ~/marked"]
    refused = guest.run([*view, *mark], user=user, check=False)
    assert (refused.status, "Read-only file system" in refused.stderr) == (1, True)
    guest.run(mark, user=user)


def test_the_kernel_is_the_real_one_without_a_filter_of_the_container(guest: Guest) -> None:
    assert "Seccomp:\t0\n" in guest.read("/proc/1/status")
    # landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) is call 444 on every architecture
    ask = "import ctypes; print(ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) > 0)"
    assert guest.run(["python3", "-c", ask], user="bob").stdout == "True\n"
    guest.run(["unshare", "--user", "--map-root-user", "--net", "true"], user="bob")


@pytest.mark.parametrize("user", [None, "root"])
def test_no_way_in_brings_rights_over_the_clock_and_the_kernel_of_this_machine(guest: Guest, user: str | None) -> None:
    # Looked at, not tried: a try that succeeds has done the harm. 16 is SYS_MODULE, 21 SYS_ADMIN, 25 SYS_TIME
    status = guest.run(["cat", "/proc/self/status"], user=user).stdout
    for kind in ("CapPrm", "CapEff", "CapBnd"):
        held = int(re.search(rf"^{kind}:\s*(\w+)$", status, re.MULTILINE)[1], 16)  # type: ignore[index]  # always there
        assert [bool(held & 1 << bit) for bit in (16, 21, 25)] == [False, True, False], kind


def test_polkit_keeps_ordinary_users_from_units(guest: Guest) -> None:
    refused = guest.run(["systemctl", "restart", "dbus.service"], user="bob", check=False)
    assert (refused.status, "authentication" in refused.stderr) == (1, True)
    guest.run(["systemctl", "restart", "systemd-hostnamed.service"], user="root")


@pytest.mark.soak
def test_a_package_is_built_checked_and_installed_if_its_dependencies_are_there(
    guest: Guest, testbed: Testbed, tmp_path: Path
) -> None:
    (tmp_path / "probe").write_text("#!/bin/sh\necho probed\n")
    make = [str(SCRIPTS / "mkpkg.sh"), guest.name, str(tmp_path)]
    environment = {**os.environ, "AIOS_TESTBED": str(testbed.folder)}
    for extra, status in (("", 0), ("no-such-package", 1)):
        (tmp_path / "PKGBUILD").write_text(PKGBUILD.format(extra=extra))
        built = subprocess.run(
            [*make, "--nodeps"], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        package = Path(built.stdout.strip())
        guest.put(f"/root/{package.name}", package.read_bytes())
        package.unlink()
        done = guest.enter(["pacman", "-U", "--noconfirm", f"/root/{package.name}"], check=False)
        assert (done.status, "no-such-package" in done.stdout + done.stderr) == (status, bool(extra))
    assert guest.run(["probe"], user="bob").stdout == "probed\n"
    assert guest.enter(["pacman", "-Qo", "/usr/bin/probe"]).stdout == "/usr/bin/probe is owned by probe 1-1\n"


def test_a_soft_reboot_keeps_the_kernel_and_a_reboot_does_not(guest: Guest) -> None:
    boot_id = guest.read("/proc/sys/kernel/random/boot_id")
    guest.put("/var/lib/kept", "kept")
    guest.reboot(soft=True)
    assert guest.read("/proc/sys/kernel/random/boot_id") == boot_id
    guest.reboot()
    assert guest.read("/proc/sys/kernel/random/boot_id") != boot_id
    assert guest.read("/var/lib/kept") == "kept"
    assert guest.run(["id", "-un"], user="alice").stdout == "alice\n"


def test_two_machines_stand_side_by_side_and_leave_nothing(guest: Guest, testbed: Testbed) -> None:
    guest.put("/srv/whose", "the first's")
    with testbed.boot() as other:
        assert traces(other.name)
        assert not other.exists("/srv/whose")
        assert other.read("/etc/machine-id") != guest.read("/etc/machine-id")
        other.put("/srv/whose", "the second's")
    assert guest.read("/srv/whose") == "the first's"
    assert traces(other.name) == []
    assert not (testbed.folder / "run" / other.name).exists()
    assert other.run(["true"], check=False).status == 125


def test_what_is_powered_off_leaves_nothing_either(testbed: Testbed) -> None:
    with testbed.boot() as guest:
        guest.stop()
        assert traces(guest.name) == []


def test_an_unchanged_recipe_is_not_built_again(testbed: Testbed) -> None:
    before = sorted(os.listdir(testbed.folder))
    assert Testbed.build(testbed.folder, deadline_s=PATIENCE_S) == testbed
    assert sorted(os.listdir(testbed.folder)) == before


@pytest.mark.soak
def test_a_killed_build_is_resumed_by_the_one_that_waited(testbed: Testbed) -> None:
    folder = testbed.folder / f"build-sysx{os.getpid()}"
    try:
        (folder / "cache").mkdir(parents=True)
        for tar in (testbed.folder / "cache").glob("*.tar"):
            os.link(tar, folder / "cache" / tar.name)
        command = [str(SCRIPTS / "build-root.sh")]
        environment = {**os.environ, "AIOS_TESTBED": str(folder)}
        with (
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as first,
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as second,
        ):
            # One of them has the lock, and says that it unpacks; the other says that it waits.
            assert first.stderr is not None
            assert second.stderr is not None
            lines = [first.stderr.readline(), second.stderr.readline()]
            assert sorted(line.split("] ")[1] for line in lines) == ["unpack\n", "waiting for another build\n"]
            builder, waiter = (first, second) if "unpack" in lines[0] else (second, first)
            builder.kill()
            assert (builder.wait(20), waiter.wait(300)) == (-signal.SIGKILL, 0)
        assert traces(folder.name) == []
        with Testbed.build(folder, deadline_s=PATIENCE_S).boot() as guest:
            assert guest.run(["id", "-un"], user="bob").stdout == "bob\n"
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.soak), signal.SIGINT, signal.SIGKILL]
)
def test_a_run_that_is_ended_takes_its_machine_with_it(
    testbed: Testbed, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "test_waiting.py").write_text(
        "import pathlib, time\n"
        "def test_waits(guest):\n"
        f"    pathlib.Path({str(tmp_path / 'name')!r}).write_text(guest.name)\n"
        "    time.sleep(300)\n"
    )
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.system.conftest", "-p", "no:cacheprovider"),
            *("-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "AIOS_TESTBED": str(testbed.folder), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with run:
        until = time.monotonic() + PATIENCE_S
        while not (tmp_path / "name").exists():
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < until
            time.sleep(0.025)
        name = (tmp_path / "name").read_text()
        assert traces(name)
        run.send_signal(number)
        run.communicate(timeout=PATIENCE_S)
    assert run.returncode == (-signal.SIGKILL if number == signal.SIGKILL else pytest.ExitCode.INTERRUPTED)
    while (testbed.folder / "run" / name).exists():  # after SIGKILL it is the lifeline that tidies up
        assert time.monotonic() < until
        time.sleep(0.025)
    assert traces(name) == []
