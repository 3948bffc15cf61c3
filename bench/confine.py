"""Sandboxes alone: a command in a warm one, in a fresh workspace, and the first of a cold one; a worker's memory.

Beside hardened bubblewrap for each command, and what else of that kind is installed: firejail, `srt`, `codex sandbox`.
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable

from aiosd.guard.host import find_host
from aiosd.sandbox.link import Identity, Link
from aiosd.sandbox.profile import HostFacts, Profile, ProfileName, render_environment
from aiosd.sandbox.start import DirectStarter
from bench.floor_daemon import HARDENED
from bench.places import pss_kib
from bench.timing import Timed, render_ratios

FLOOR = "hardened bwrap true"
_CLOSED = Profile(name=ProfileName.READ_ONLY)
_GOALS = {"a command in a warm sandbox": 0.5, "the first command of a cold one": 4.0}
_GOAL_WORKER_MIB = 10
_BETWEEN_S = 0.2  # from one session to the next: a launcher is ready again
_WORDS = ((("true", None, False),), ())
_RIVALS = {
    "firejail": ("firejail", "--quiet", "--noprofile", "--net=none", "true"),
    "srt": ("srt", "true"),
    "codex sandbox": ("codex", "sandbox", "linux", "true"),
}


def measure(rounds: int) -> str:
    """Run it; the table, and what a worker takes."""
    times, worker_kib = asyncio.run(_run(rounds))
    timed = {name: Timed(name=name, times_ms=tuple(found)) for name, found in times.items()}
    mark = "" if worker_kib <= _GOAL_WORKER_MIB * 1024 else "  MISSED"
    memory = f"a worker: {worker_kib / 1024:.1f} MiB PSS (goal ≤ {_GOAL_WORKER_MIB}){mark}\n"
    return render_ratios(timed, floor=FLOOR, goals=_GOALS) + memory


async def _run(rounds: int) -> tuple[dict[str, list[float]], int]:
    host = await find_host()
    identity = _person()
    times: dict[str, list[float]] = {FLOOR: []}
    starter = DirectStarter(ahead=True)  # as a standalone guard has
    warm = await _open(_CLOSED, host, identity, starter)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    rivals = {name: words for name, words in _RIVALS.items() if shutil.which(words[0])}
    try:
        await _true(warm, null)
        for _ in range(rounds):
            _note(times, FLOOR, lambda: subprocess.run([*HARDENED, "true"], check=True))
            began = time.perf_counter()
            await _true(warm, null)
            times.setdefault("a command in a warm sandbox", []).append((time.perf_counter() - began) * 1000)
            for name, profile in (
                ("the first command of a cold one", _CLOSED),
                ("a command in a fresh workspace", Profile(name=ProfileName.WORKSPACE, writes=("/var/tmp",))),
            ):
                await asyncio.sleep(_BETWEEN_S)
                began = time.perf_counter()
                cold = await _open(profile, host, identity, starter)
                await _true(cold, null)
                times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
                await cold.end()
            for name, words in rivals.items():
                _note(times, name, lambda words=words: subprocess.run(words, check=True, capture_output=True))  # type: ignore[misc]
        return times, pss_kib([warm.worker_pid])
    finally:
        await warm.end()
        await starter.close()
        os.close(null)


def _note(times: dict[str, list[float]], name: str, case: Callable[[], object]) -> None:
    began = time.perf_counter()
    case()
    times.setdefault(name, []).append((time.perf_counter() - began) * 1000)


def _person() -> Identity:
    """An ordinary user where this is root, else whoever runs it."""
    root = os.geteuid() == 0
    uid, gid = (65534, 65534) if root else (os.geteuid(), os.getegid())
    return Identity(uid=uid, gid=gid, groups=(gid,), user="bench", home="/nonexistent", drop=root)


async def _open(profile: Profile, host: HostFacts, identity: Identity, starter: DirectStarter) -> Link:
    link = Link(profile, identity, host, starter=starter)
    await link.start()
    return link


async def _true(link: Link, null: int) -> None:
    environment = render_environment(link.profile, user="bench", home="/nonexistent")
    status = await link.run(("run", (_WORDS,), "/", environment), (null, null, null))
    assert status == 0
