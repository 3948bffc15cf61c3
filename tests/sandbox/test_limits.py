"""What one command may use up, each limit tried by going over it, with the twin that stays below."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.cgroup import CommandGroup
from aiosd.sandbox.limits import Limits, render_group, render_resources
from aiosd.sandbox.profile import HostFacts
from tests.sandbox.box import READ_ONLY, USER, opened

_ALLOCATE = "python3 -I -S -c 'data = bytearray(200 << 20); print(len(data))'"
_OPEN = "python3 -I -S -c 'files = [open(\"/dev/null\") for _ in range(100)]; print(len(files))'"
# The limit that is lowered, a line that goes over it, what it says within it, and its status over it.
TRIES: dict[str, tuple[dict[str, Any], str, bytes, int]] = {
    "memory": ({"command_memory_mib": 100}, _ALLOCATE, b"209715200\n", 1),
    "open files": ({"command_open_files": 50}, _OPEN, b"100\n", 1),
    "file size": (
        {"command_file_mib": 1},
        "head -c 2M /dev/zero >$TMPDIR/f; s=$?; stat -c %s $TMPDIR/f; exit $s",
        b"2097152\n",
        153,
    ),
    "processor": (
        {"command_cpu_s": 1},
        "i=0; while [ $i -lt 40000000 ]; do i=$((i + 1)); [ $i = 1000 ] && echo on; done",
        b"",
        137,
    ),
}


@pytest.mark.parametrize("name", TRIES)
@pytest.mark.parametrize("profile", [READ_ONLY, USER], ids=["read-only", "user"])
async def test_a_command_that_uses_too_much_is_stopped(host: HostFacts, name: str, profile: Any) -> None:
    lowered, line, within, status = TRIES[name]
    line = line.replace("$TMPDIR", "${TMPDIR:-/dev/shm}")
    async with opened(profile, host, limits=replace(Limits(), **lowered)) as box:
        over = await box.shell(line)
        assert over.status in (status, 128 + 9, 128 + 24) if name == "processor" else over.status == status, over
        assert over.out != within or not within
        assert (await box.shell("echo still here")).out == b"still here\n"
    if name != "processor":
        async with opened(profile, host) as box:
            assert (await box.shell(line)).out == within


async def test_a_fork_bomb_stops_at_its_number_and_leaves_nothing(host: HostFacts) -> None:
    bomb = (
        "import os, time\nmade = 0\ntry:\n while made < 300:\n  if os.fork() == 0: time.sleep(60)\n  made += 1\n"
        "except OSError: pass\nprint(made)"
    )
    count = f"python3 -I -S -c '{bomb}'"
    async with opened(READ_ONLY, host, limits=Limits(command_processes=40)) as box:
        async with asyncio.timeout(60):
            refused = await box.shell(count)
        assert (await box.shell("ls -d /proc/[0-9]* | wc -l")).out in (b"4\n", b"5\n")  # worker, shell, ls, wc
    assert 20 < int(refused.out) < 40
    async with opened(READ_ONLY, host) as box:
        assert (await box.shell(count)).out == b"300\n"


async def test_no_command_raises_its_own_limits(host: HostFacts) -> None:
    async with opened(
        USER, host, limits=Limits(command_processes=50, command_open_files=60, command_file_mib=1)
    ) as box:
        said = await box.shell("ulimit -u 51; ulimit -n 61; ulimit -f 2048; ulimit -u; ulimit -n; ulimit -f; ulimit -c")
    assert said.out == b"50\n60\n1024\n0\n"
    assert said.err.count(b"cannot modify limit") == 3


def test_a_cgroup_counts_the_whole_command_and_leaves_memory_to_itself() -> None:
    limits = Limits(
        command_memory_mib=2,
        command_processes=3,
        command_cpu_s=4,
        command_file_mib=5,
        command_open_files=6,
        command_cpu_weight=7,
        command_io_weight=8,
    )
    assert render_group(limits) == (
        ("memory.max", "2097152"),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("pids.max", "3"),
        ("cpu.weight", "7"),
        ("io.weight", "default 8"),
    )
    assert render_resources(limits, counted=True) == ((0, 4), (1, 5 << 20), (4, 0), (6, 3), (7, 6))
    assert render_resources(limits, counted=False) == ((0, 4), (1, 5 << 20), (4, 0), (6, 3), (7, 6), (2, 2 << 20))


async def test_a_command_group_writes_its_limits_and_reads_what_was_killed(tmp_path: Path) -> None:
    """A folder stands for the cgroup: which files get what, where the kernel's have the same names."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory hugetlb")
    (tmp_path / "cgroup.subtree_control").write_text("cpu")
    group = CommandGroup(str(tmp_path), "command-1", (("memory.max", "5"), ("absent/file", "x")))
    await group.__aenter__()
    made = tmp_path / "command-1"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
    assert (made / "memory.max").read_text() == "5"
    assert group.over_memory() == ""
    (made / "memory.events").write_text("low 0\noom 1\noom_kill 2\noom_group_kill 1\n")
    assert group.over_memory() == "guard.command_memory_mib"
    (made / "memory.events").write_text("low 0\noom 0\noom_kill 2\noom_group_kill 1\n")
    assert group.over_memory() == "guard.session_memory_mib"
    await group.__aexit__()
    assert (made / "cgroup.kill").read_text() == "1"
