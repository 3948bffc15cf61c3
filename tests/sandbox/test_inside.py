"""What a command finds around itself: three descriptors, one environment, the user's ids, and no right beyond them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.profile import HostFacts, Profile, render_environment
from tests.daemon.harness import ROOT
from tests.daemon.people import IS_ROOT, PERSON, default_person, needs_root
from tests.sandbox.box import READ_ONLY, USER, VIEWS, make_identity, opened

EVERYWHERE = {**VIEWS, "user": USER}
every_view = pytest.mark.parametrize("view", EVERYWHERE)
GROUP = PERSON + 77


def read_status(text: bytes) -> dict[str, str]:
    """/proc/PID/status as names and values."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.decode().splitlines())}


@every_view
async def test_a_command_has_no_right_but_its_users(host: HostFacts, view: str) -> None:
    who = make_identity(groups=(GROUP,) if IS_ROOT else ())
    async with opened(EVERYWHERE[view], host, who=who) as box:
        status = read_status((await box.run("cat", "/proc/self/status")).out)
    uid = str(who.uid)
    assert status["Uid"].split() == [uid] * 4
    assert status["Gid"].split() == [str(who.gid)] * 4
    assert {name: status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0000000000000000"
    )
    outside = read_status(Path("/proc/self/status").read_bytes())["Seccomp_filters"]
    assert int(status["Seccomp_filters"]) == int(outside) + 2
    assert (status["NoNewPrivs"], status["Seccomp"], status["Umask"]) == ("1", "2", "0022")
    assert (status["SigBlk"], status["ShdPnd"]) == ("0" * 16, "0" * 16)
    assert int(status["SigIgn"], 16) & ~0x180000000 == 0  # but for 32 and 33, which posix_spawn(3) of glibc ignores
    if IS_ROOT:
        assert status["Groups"].split() == [str(who.gid), str(GROUP)]


@every_view
async def test_a_command_has_three_descriptors(host: HostFacts, view: str) -> None:
    async with opened(EVERYWHERE[view], host) as box:
        for _ in range(2):  # the second time no descriptor of the first is left
            listed = await box.run("ls", "/proc/self/fd")
            assert listed.out.split() == [b"0", b"1", b"2", b"3"]  # 3 is the folder that ls reads
        in_pipe = await box.shell("ls /proc/self/fd | cat")
        assert in_pipe.out.split() == [b"0", b"1", b"2", b"3"]


@every_view
async def test_a_command_gets_the_golden_environment_and_nothing_else(
    host: HostFacts, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "/leak")
    profile = EVERYWHERE[view]
    async with opened(profile, host) as box:
        found = (await box.run("env", "-0")).out.decode().rstrip("\0").split("\0")
    who = make_identity()
    golden = render_environment(profile, user=who.user, home=who.home)
    assert sorted(found) == [f"{name}={value}" for name, value in golden]


@every_view
async def test_a_command_has_no_terminal_no_core_and_a_session_of_its_own(host: HostFacts, view: str) -> None:
    line = (
        "ulimit -c; ulimit -H -c; (: </dev/tty) 2>/dev/null || echo no terminal; "
        "ps -o pid=,ppid=,pgid=,sid=,tty= -p $$ 2>/dev/null; echo $$ $PPID; pwd; umask; tty"
    )
    async with opened(EVERYWHERE[view], host) as box:
        lines = (await box.shell(line)).out.decode().splitlines()
    assert lines[:3] == ["0", "0", "no terminal"]
    pid, above = next(line for line in lines if len(line.split()) == 2 and line.replace(" ", "").isdigit()).split()
    assert (above == "1") is (
        "processes" not in view
    )  # the worker is above: the host's number for it where the host's are shown
    if "processes" not in view:
        assert [pid, above, pid, pid, "?"] in [line.split() for line in lines]
    assert lines[-3:] == ["/", "0022", "not a tty"]


@every_view
async def test_owners_read_true(host: HostFacts, place: Path, view: str) -> None:
    (place / "own").touch()
    (place / "anothers").touch()
    if IS_ROOT:
        os.chown(place / "own", PERSON, PERSON)
        os.chown(place / "anothers", PERSON + 5, PERSON + 6)
    paths = ["/", "/etc/passwd", "/etc/shadow", "/usr/bin/env", str(place / "own"), str(place / "anothers")]
    words = ["stat", "--format=%n %u %g %U %a", *paths]
    async with opened(EVERYWHERE[view], host) as box:
        inside = (await box.run(*words)).out
        mapped = (await box.run("cat", "/proc/self/uid_map")).out.split()
    outside = subprocess.run(words, capture_output=True, check=True).stdout
    if IS_ROOT:
        assert inside == outside
        assert mapped == Path("/proc/self/uid_map").read_bytes().split()[:1] * 2 + mapped[2:]
    else:  # without root others' files read as nobody's: the doctor says so
        assert inside.count(b" 65534 ") >= 3


@needs_root
@every_view
async def test_a_setuid_program_gives_nobody_another_uid(host: HostFacts, view: str) -> None:
    top = next(each for each in ("/tmp", "/var/tmp", "/srv") if not os.statvfs(each).f_flag & os.ST_NOSUID)
    with tempfile.TemporaryDirectory(prefix="aios-", dir=top) as folder:
        os.chmod(folder, 0o755)
        program = Path(folder, "become")
        shutil.copy("/usr/bin/id", program)
        os.chown(program, 0, 0)
        program.chmod(0o6755)
        words = ["/bin/sh", "-c", f"{program} -u; {program} -g"]
        async with opened(EVERYWHERE[view], host) as box:
            inside = (await box.shell(words[2])).out.split()
        person: dict[str, Any] = {"user": PERSON, "group": PERSON, "extra_groups": []}
        outside = subprocess.run(words, capture_output=True, check=True, **person).stdout
    assert inside == [str(PERSON).encode()] * 2
    assert outside.split() == [b"0", b"0"]  # the twin


@every_view
async def test_nobody_becomes_root_inside(host: HostFacts, view: str) -> None:
    tries = (
        "setpriv --reuid=0 id -u; setpriv --regid=0 id -g; setpriv --clear-groups id; su -c id root </dev/null; "
        "unshare --user --map-root-user id -u; unshare --mount true; chroot / id; nsenter -t 1 -m id"
    )
    async with opened(EVERYWHERE[view], host) as box:
        said = await box.shell(tries)
    assert said.out == b""


@every_view
async def test_no_command_can_signal_the_worker_above_it(host: HostFacts, view: str) -> None:
    profile: Profile = EVERYWHERE[view]
    async with opened(profile, host) as box:
        said = (await box.shell("echo $PPID; kill -9 $PPID; kill -9 1; kill -9 -1; echo survived")).out
        again = (await box.shell("echo $PPID")).out
    assert said in (again + b"survived\n", again)  # kill -1 spares who sends it (kill(2)), or does not reach it
    assert (again == b"1\n") is ("processes" not in view)


_WITHOUT_ROOT = f"""
import asyncio, json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.daemon import people
people.IS_ROOT = False
from tests.sandbox import box
box.IS_ROOT = False
host = box.load_host()
async def main():
    out = {{}}
    for view, profile in [*box.VIEWS.items(), ("user", box.USER)]:
        async with box.opened(profile, host, who=box.make_identity(uid=os.getuid(), home=sys.argv[1])) as sandbox:
            said = await sandbox.shell(sys.argv[2])
            out[view] = [said.status, said.out.decode()]
    print(json.dumps(out))
asyncio.run(main())
"""


@needs_root
def test_without_root_the_same_walls_stand_and_owners_read_as_nobodys(place: Path) -> None:
    (place / ".ssh").mkdir()
    (place / ".ssh" / "id_x").write_text("SECRET")
    os.chown(place / ".ssh", PERSON, PERSON)
    os.chown(place / ".ssh" / "id_x", PERSON, PERSON)
    line = f"id -u; stat -c %u /etc/passwd; cat {place}/.ssh/id_x 2>/dev/null; touch {place}/made; cat /etc/shadow"
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT_ROOT, place, line],
        capture_output=True,
        check=True,
        cwd="/",
        user=PERSON,
        group=PERSON,
        extra_groups=[],
    )
    said: dict[str, Any] = json.loads(ran.stdout)
    expected = {view: [1, f"{PERSON}\n65534\n"] for view in VIEWS}
    assert said == {**expected, "user": [1, f"{PERSON}\n65534\nSECRET"]}
    assert sorted(os.listdir(place)) == [".ssh", "made"]  # by the approved action alone
    assert (place / "made").stat().st_uid == default_person()


async def test_a_view_has_its_own_scratch_and_shares_nothing_with_the_next(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as first, opened(READ_ONLY, host) as second:
        assert (await first.shell("echo x >$TMPDIR/f; echo y >/dev/shm/g; ls $TMPDIR /dev/shm")).out.split() == [
            *(b"/dev/shm:", b"g", b"/run/tmp:", b"f"),
        ]
        assert (await second.shell("ls $TMPDIR /dev/shm")).out.split() == [b"/dev/shm:", b"/run/tmp:"]
    assert not Path("/run/tmp").exists()
