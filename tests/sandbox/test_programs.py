"""What people run every day does in a sandbox what it does outside: no call that a program is made of is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aiosd.sandbox.profile import HostFacts
from tests.daemon.people import IS_ROOT, PERSON, default_person
from tests.sandbox.box import PROCESSES, SOCKETS, USER, VIEWS, make_identity, opened

_PYTHON = """
import asyncio, concurrent.futures as f, multiprocessing as m, os, sqlite3, subprocess, tempfile, threading, time, zlib
with tempfile.TemporaryDirectory() as folder:
    store = sqlite3.connect(folder + "/db")
    store.execute("pragma journal_mode=wal"); store.execute("create table t(x)")
    with f.ThreadPoolExecutor(4) as pool: assert sum(pool.map(zlib.crc32, [b"x"] * 9))
    with m.get_context("fork").Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]
    async def run():
        child = await asyncio.create_subprocess_exec("true"); return await child.wait()
    assert asyncio.run(run()) == 0 and os.sched_getaffinity(0) and os.getrandom(4) and os.memfd_create("x")
    os.sched_setaffinity(0, os.sched_getaffinity(0)); os.statvfs("/"); os.pidfd_open(os.getpid())
print("ran")
"""
_C = r"int main(void){return __builtin_puts(\"ran\") < 0;}"
_COMMIT = "git -c user.name=x -c user.email=x commit -q --allow-empty -m ran"
_NODE = 'new (require("worker_threads").Worker)("1", {eval: true}).on("exit", () => console.log("ran"))'
_COPY = "cp --sparse=auto $TMPDIR/z $TMPDIR/y && cmp $TMPDIR/z $TMPDIR/y"
_EVERYWHERE = {
    "python3": f"python3 -I -c '{_PYTHON}'",
    "tar": "cd $TMPDIR && echo ran >f && tar czf a f && rm f && tar xzf a && cat f",
    "git": f"cd $(mktemp -d) && git init -q . && {_COMMIT} && git gc -q && git log --format=%s",
    "gcc": f'cd $(mktemp -d) && echo "{_C}" >c.c && gcc -O1 -pipe c.c && ./a.out',
    "node": f"node -e '{_NODE}'",
    "perl": 'perl -e \'use IPC::Open3; waitpid(open3(undef, undef, undef, "true"), 0); print "ran\\n"\'',
    "find": "find /etc/hostname -newermt 1970-01-01 -printf 'ran\\n'",
    "timeout": "timeout 9 sort --parallel=2 /etc/passwd | flock /dev/shm nice stdbuf -o0 tail >/dev/null && echo ran",
    "dd": f"dd if=/dev/zero of=$TMPDIR/z bs=1M count=3 conv=fsync status=none && {_COPY} && echo ran",
}


@pytest.mark.parametrize("program", _EVERYWHERE)
@pytest.mark.parametrize("view", ["closed", "processes", "user"])
async def test_it_runs_in_a_sandbox(host: HostFacts, place: Path, program: str, view: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here")
    async with opened({**VIEWS, "user": USER}[view], host, who=make_identity(home=str(place))) as box:
        said = await box.shell(f"export TMPDIR=${{TMPDIR:-{place}}}; {_EVERYWHERE[program]}", cwd=str(place))
    assert (said.status, said.out) == (0, b"ran\n"), said


async def test_the_host_is_seen_with_the_programs_for_it(host: HostFacts) -> None:
    async with opened(PROCESSES, host) as box:
        assert str(os.getpid()) in (await box.run("ps", "-eo", "pid")).out.decode().split()
        assert (await box.shell("top -bn1 | head -3; uptime; free; vmstat 2>/dev/null")).status == 0
    async with opened(SOCKETS, host) as box:
        assert (await box.shell("ss -tulnp && ip -br addr && ip route")).status == 0


_MOVE = "import os, sys; os.sched_setaffinity(int(sys.argv[1]), {0})"


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor is every process's")
async def test_no_process_outside_is_bound_to_other_processors(host: HostFacts) -> None:
    words = ["sleep", "300"]
    with subprocess.Popen(words, user=default_person() if IS_ROOT else None) as other:
        try:
            before = os.sched_getaffinity(other.pid)
            async with opened(PROCESSES, host) as box:
                said = await box.run("/usr/bin/python3", "-I", "-S", "-c", _MOVE, str(other.pid))
            assert (said.status, os.sched_getaffinity(other.pid)) == (1, before)
            subprocess.run(["python3", "-c", _MOVE, str(other.pid)], check=True, user=PERSON if IS_ROOT else None)
            assert os.sched_getaffinity(other.pid) == {0} != before
        finally:
            other.kill()
