"""Trying to get out, each try with the twin that gets through outside: the host's sockets, processes, devices."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiosd.sandbox import probe
from aiosd.sandbox.limits import Limits
from aiosd.sandbox.profile import HostFacts, Profile, ProfileName
from tests.daemon.people import IS_ROOT, PERSON, needs_root
from tests.sandbox.box import READ_ONLY, USER, VIEWS, Box, make_identity, opened

WORKSPACE = Profile(name=ProfileName.WORKSPACE, writes=("/var/empty-aios",))
REACHING = Profile(name=ProfileName.WORKSPACE, writes=("/var/empty-aios",), network=("example.org",))
CONFINED = {**VIEWS, "workspace": WORKSPACE, "workspace with network": REACHING}
every_confined = pytest.mark.parametrize("view", CONFINED)

_CONNECT = """
import socket, sys
for name in sys.stdin.read().split("\\n"):
    address = "\\0" + name[1:] if name[:1] == "@" else name
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            with socket.socket(socket.AF_UNIX, kind) as made:
                made.connect(address)
                print(name)
        except (OSError, ValueError):
            pass
"""


def read_unix_sockets() -> list[str]:
    """Every named Unix socket of the host, abstract ones with an @."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    return sorted({line.split(None, 7)[7] for line in lines if len(line.split(None, 7)) > 7})


@contextmanager
def listening(*addresses: str) -> Iterator[None]:
    made = []
    for address in addresses:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen()
        if not address.startswith("\0"):
            os.chmod(address, 0o777)
        made.append(listener)
    yield
    for listener in made:
        listener.close()


def run_outside(*words: str, stdin: str = "") -> str:
    person = ["setpriv", f"--reuid={PERSON}", f"--regid={PERSON}", "--clear-groups", "--"] if IS_ROOT else []
    ran = subprocess.run([*person, *words], input=stdin, capture_output=True, check=False, text=True, timeout=60)
    return ran.stdout


async def run_python(box: Box, code: str, *words: str, stdin: str = "") -> str:
    said = await box.run("/usr/bin/python3", "-I", "-S", "-c", code, *words, stdin=stdin.encode())
    return said.out.decode()


@every_confined
async def test_no_socket_of_the_host_can_be_connected_to(host: HostFacts, place: Path, view: str) -> None:
    own, abstract = f"{place}/open.sock", f"\0aios-test-{os.getpid()}"
    with listening(own, abstract):
        names = "\n".join([*read_unix_sockets(), own])
        assert own in names
        async with opened(CONFINED[view], host) as box:
            assert await run_python(box, _CONNECT, stdin=names) == ""
        reached = run_outside(sys.executable, "-I", "-c", _CONNECT, stdin=names).splitlines()
    assert {own, "@" + abstract[1:]} <= set(reached)


_LOOK = """
import os, sys
for name in ("root", "cwd", "exe", "fd", "environ", "mem", "maps", "auxv", "syscall", "stack", "io"):
    path = f"/proc/{sys.argv[1]}/{name}"
    try:
        if name in ("root", "cwd"):
            os.listdir(path + "/")
        elif name in ("exe", "fd"):
            os.readlink(path + "/0" * (name == "fd"))
        else:
            with open(path, "rb") as file:
                file.seek(int(sys.argv[2], 16) if name == "mem" else 0)
                file.read(1)
        print(name)
    except OSError:
        pass
try:
    os.kill(int(sys.argv[1]), 0)
    print("kill")
except OSError:
    pass
"""


@every_confined
async def test_a_process_of_the_same_user_outside_cannot_be_looked_into(host: HostFacts, view: str) -> None:
    person = ["setpriv", f"--reuid={PERSON}", f"--regid={PERSON}", "--clear-groups", "--"] if IS_ROOT else []
    with subprocess.Popen([*person, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"x\n")
        other.stdin.flush()
        other.stdout.readline()
        at = Path(f"/proc/{other.pid}/maps").read_text().partition("-")[0]
        async with opened(CONFINED[view], host) as box:
            assert await run_python(box, _LOOK, str(other.pid), at) == ""
        seen = set(run_outside(sys.executable, "-I", "-c", _LOOK, str(other.pid), at).split())
        assert other.poll() is None
        other.stdin.close()
    assert {"root", "cwd", "exe", "fd", "environ", "maps", "kill"} <= seen


async def test_what_the_doctor_tries_to_use_up_or_reach_is_had_outside_and_not_inside(host: HostFacts) -> None:
    with tempfile.TemporaryDirectory(prefix="aios-probe-") as folder, socket.socket(socket.AF_UNIX) as listener:
        os.chmod(folder, 0o755)
        path = f"{folder}/socket"
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen(8)
        tries = {"sockets": ("sockets", path), "processes": ("processes", "96"), "memory": ("memory", "256")}
        said = {"sockets": path, "processes": "processes", "memory": "memory"}
        for name, words in tries.items():
            ran = subprocess.run(
                [sys.executable, "-I", "-S", probe.__file__, *words], capture_output=True, check=True, text=True
            )
            assert ran.stdout == f"{said[name]}\n"
            async with opened(READ_ONLY, host, limits=Limits(command_processes=24, command_memory_mib=64)) as box:
                inside = await box.run("/usr/bin/python3", "-I", "-S", probe.__file__, *words)
            assert inside.out == b""


@every_confined
async def test_no_way_out_that_the_doctor_tries_is_open(host: HostFacts, view: str) -> None:
    async with opened(CONFINED[view], host) as box:
        said = await box.run("/usr/bin/python3", "-I", "-S", probe.__file__)
    open_ones = {"the network\nthe network (IPv6)\n"} if view == "workspace with network" else {""}
    assert (said.status, said.err) == (0, b"")
    assert said.out.decode() in open_ones  # sockets of a network in which there is nothing but the proxy


def test_outside_the_doctors_tries_succeed() -> None:
    ran = subprocess.run([sys.executable, "-I", "-S", probe.__file__], capture_output=True, check=True, text=True)
    gave_way = set(ran.stdout.splitlines())
    assert {"a file in /tmp", "the network", "sockets of the host"} <= gave_way
    if IS_ROOT:
        assert {"raw packets", "mounts", "a user namespace"} <= gave_way


@every_confined
async def test_a_double_fork_and_a_new_session_do_not_outlive_the_command(host: HostFacts, view: str) -> None:
    mark = f"aios-mark-{os.getpid()}-{view.replace(' ', '')}"
    sleep = f"bash -c 'exec -a {mark} sleep 300'"
    line = f"(setsid {sleep} & ) & disown; (nohup {sleep} &) >/dev/null 2>&1"
    async with opened(CONFINED[view], host) as box:
        await box.shell(line)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    assert mark not in (entry / "cmdline").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue


async def test_a_flood_of_output_is_read_to_its_end_and_changes_nothing_else(host: HostFacts) -> None:
    async with opened(VIEWS["closed"], host) as box:
        said = await box.shell("head -c 30000000 /dev/zero; echo end >&2")
        assert (len(said.out), said.err) == (30_000_000, b"end\n")
        assert (await box.run("echo", "next")).out == b"next\n"


@needs_root
@every_confined
async def test_a_groups_rights_write_nothing(host: HostFacts, place: Path, view: str) -> None:
    (place / "f").write_text("kept\n")
    os.chown(place / "f", 0, PERSON + 9)
    (place / "f").chmod(0o660)
    line = f"echo bad >{place}/f; cat {place}/f"
    async with opened(CONFINED[view], host, who=make_identity(groups=(PERSON + 9,))) as box:
        assert (await box.shell(line)).out == b"kept\n"
    assert (place / "f").read_text() == "kept\n"
    async with opened(USER, host, who=make_identity(groups=(PERSON + 9,))) as box:
        assert (await box.shell(line)).out == b"bad\n"  # the twin: approved, it is what that user may


async def test_devices_are_few_and_none_of_the_hosts(host: HostFacts) -> None:
    async with opened(VIEWS["closed"], host) as box:
        names = set((await box.run("ls", "/dev")).out.decode().split())
        made = await box.shell("mknod $TMPDIR/d b 1 0; mknod $TMPDIR/c c 1 1; echo $?")
    assert names <= {
        "console", "core", "fd", "full", "null", "ptmx", "pts", "random", "session", "shm", "stderr", "stdin", "stdout",
        "tty", "urandom", "zero",
    }  # fmt: skip
    assert made.out == b"1\n"
