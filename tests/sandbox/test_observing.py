"""Answers about the host: a command in its observing view prints what it prints outside, run as the same user.

What may differ is stated at each: a process table and counters move on, and a sandbox adds its own.
"""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from aiosd.sandbox.profile import HostFacts
from tests.daemon.people import IS_ROOT, default_person
from tests.leaks import descendants
from tests.sandbox.box import BOTH, PROCESSES, READ_ONLY, SOCKETS, VIEWS, Box, opened

# The same bytes in every view.
ANYWHERE = (
    *("nproc", "uname -srm", "uname -a", "hostname", "cat /etc/os-release", "id -u", "arch", "cat /proc/version"),
    *("cat /proc/sys/kernel/hostname", "lscpu -p=CPU", "getconf PAGESIZE", "cat /proc/filesystems", "ls -ln /etc"),
    *(
        "cat /proc/sys/vm/overcommit_memory",
        "ls -ln /usr/bin",
        "stat -c %a:%u:%g:%s /etc/passwd /usr /var",
        "uptime -s",
    ),
    *(
        "lsblk -n -o NAME,SIZE,TYPE",
        "du -x -B1 -d 1 /etc/default",
        "cat /proc/cpuinfo --",
        "readlink /proc/self/ns/time",
    ),
)
WITHOUT_TIMES = {"cat /proc/cpuinfo --": re.compile(rb"cpu MHz.*")}  # a clock, not a fact


def outside(box: Box, line: str) -> bytes:
    """A command as the same user with the same environment, without a sandbox."""
    person: dict[str, Any] = (
        {"user": default_person(), "group": default_person(), "extra_groups": []} if IS_ROOT else {}
    )
    environment = dict(box.environment())
    ran = subprocess.run(line.split(), capture_output=True, check=False, cwd="/", env=environment, **person)
    return bytes(ran.stdout)


async def inside(box: Box, line: str) -> bytes:
    return (await box.run(*line.split())).out


@pytest.mark.parametrize("view", VIEWS)
async def test_what_does_not_move_reads_the_same_in_every_view(host: HostFacts, view: str) -> None:
    async with opened(VIEWS[view], host) as box:
        for line in ANYWHERE:
            ours, theirs = await inside(box, line), outside(box, line)
            if line in WITHOUT_TIMES:
                ours, theirs = (WITHOUT_TIMES[line].sub(b"", said) for said in (ours, theirs))
            assert theirs
            assert (line, ours) == (line, theirs)


KTHREADD = b"2"  # its children rename themselves as they work


async def test_the_process_table_is_the_hosts(host: HostFacts) -> None:
    line = "ps -eo pid,user:32,ppid,etimes,comm"

    def table(said: bytes, *columns: int) -> set[tuple[bytes, ...]]:
        rows = [row.split(None, 4) for row in said.splitlines()[1:]]
        return {tuple(row[column] for column in columns) for row in rows if row[2] != KTHREADD}

    async with opened(PROCESSES, host) as box:
        before = outside(box, line)
        ours = await inside(box, line)
        after = outside(box, line)
    who, pids = (0, 1, 2, 4), (0,)
    steady = table(before, *who) & table(after, *who)
    assert len(steady) > 3
    assert steady <= table(ours, *who)
    # Besides processes that came or went meanwhile only our own are seen: bubblewrap, the worker, ps.
    added = {int(pid) for (pid,) in table(ours, *pids) - table(before, *pids) - table(after, *pids)}
    assert len(added) <= 8
    assert (b"1",) in table(ours, *pids)


async def test_the_closed_view_shows_its_own_processes_only(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        said = await inside(box, "ps -eo pid,comm")
    if host.fresh_proc:
        assert [row.split()[1] for row in said.splitlines()[1:]] == [b"python3.11", b"ps"] or len(
            said.splitlines()
        ) == 3
    assert str(os.getpid()).encode() not in said.split()


@pytest.mark.parametrize(
    "line", ["ip -json addr show", "ip -json route show", "ip -json link show", "ip -json rule show"]
)
async def test_addresses_and_routes_are_the_hosts(host: HostFacts, line: str) -> None:
    async with opened(SOCKETS, host) as box:
        ours, theirs = await inside(box, line), outside(box, line)
    async with opened(READ_ONLY, host) as box:
        closed = await inside(box, line)
    assert json.loads(ours) == json.loads(theirs)
    assert len(json.loads(theirs)) > 0
    assert closed == b""  # no netlink there: nothing, rather than the sandbox's own loopback


async def test_listening_sockets_are_the_hosts(host: HostFacts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with opened(BOTH, host) as box:
            rows = (await inside(box, "ss -Htln")).splitlines()
        address = f"127.0.0.1:{listener.getsockname()[1]}".encode()
        assert [row for row in rows if row.split()[3] == address]


def totals(said: bytes) -> list[bytes]:
    """The first column of `free`, whose others move."""
    return [b" ".join(row.split()[:2]) for row in said.splitlines()[1:]]


def file_systems(said: bytes) -> set[tuple[bytes, ...]]:
    """Source, type, size and mount point of `df -P -T`; use moves, and what the sandbox mounted itself is its own."""
    own = (b"/dev", b"/dev/shm", b"/run", b"/run/tmp", b"/run/lock")
    rows = [row.split() for row in said.splitlines()[1:]]
    return {(row[0], row[1], row[2], row[6]) for row in rows if row[6] not in own}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("line", "what_counts"),
    [
        ("free -b", totals),
        ("df -P -T -B1 -x tmpfs -x devtmpfs -x squashfs -x efivarfs", file_systems),
        ("df -P -T -B1 /", file_systems),
        ("df -P -T -B1 /etc", file_systems),
    ],
    ids=["free", "df", "df /", "df /etc"],
)
async def test_what_is_counted_of_the_host_is_the_hosts(
    host: HostFacts, view: str, line: str, what_counts: Callable[[bytes], object]
) -> None:
    async with opened(VIEWS[view], host) as box:
        ours, theirs = await inside(box, line), outside(box, line)
    assert what_counts(ours) == what_counts(theirs)
    assert what_counts(theirs)


@pytest.mark.parametrize("view", VIEWS)
async def test_time_and_load_are_the_hosts(host: HostFacts, view: str) -> None:
    async with opened(VIEWS[view], host) as box:
        before = outside(box, "cat /proc/uptime")
        ours = await inside(box, "cat /proc/uptime /proc/loadavg")
        after = outside(box, "cat /proc/uptime")
    up = [float(said.split()[0]) for said in (before, ours, after)]
    assert up == sorted(up)
    assert re.fullmatch(rb"\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+", ours.splitlines()[1])


async def test_no_file_of_another_is_readable_but_by_its_mode(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        shadow = await box.run("cat", "/etc/shadow")
        passwd = await box.run("cat", "/etc/passwd")
    assert (shadow.status, shadow.out) == (1, b"")
    assert passwd.out == outside(box, "cat /etc/passwd")


async def test_nothing_that_observes_is_left(host: HostFacts) -> None:
    before = descendants()
    for view in VIEWS.values():
        async with opened(view, host) as box:
            await box.run("true")
    assert descendants() - before <= {pid for pid in descendants() if _is_dead(pid)}


def _is_dead(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return b") Z " in stat.read()
    except OSError:
        return True
