"""Looking after the guard that is aiosd's own child: started again when it ends, waited for at the end.

What a killed guard leaves comes to aiosd, which has no other children, and is killed: a sandbox that was being made
when the guard died would otherwise wait for it for ever.

Source: prctl(2) PR_SET_CHILD_SUBREAPER, proc(5) children.
"""

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import signal
from pathlib import Path

from aiosd import exits
from aiosd.errors import ConfigError
from aiosd.guard.spawn import GuardProcess

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_LIVED_S = 10.0
_END_DEADLINE_S = 70.0
_PR_SET_CHILD_SUBREAPER = 36
_LEFT_DEADLINE_S, _LEFT_PAUSE_S = 5.0, 0.005


async def supervise(guard: GuardProcess) -> None:
    """Start it again whenever it ends, with a growing pause; until cancelled. ConfigError if the first cannot work.

    While there is none that could work, whoever asks it is hung up on at once.
    """
    loop = asyncio.get_running_loop()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    loop.add_signal_handler(signal.SIGCHLD, _reap_orphans, guard)
    pause_s = _FIRST_PAUSE_S
    for number in itertools.count():
        began = loop.time()
        status = await _wait(guard)
        await _end_what_it_left()
        if status == exits.BROKEN and number == 0:
            raise ConfigError("the guard cannot work here", hint="it has said why")
        if loop.time() - began > _LIVED_S:
            pause_s = _FIRST_PAUSE_S
        _LOG.error("the guard ended with %d; starting it again in %.1f s", status, pause_s)
        if status == exits.BROKEN:
            loop.add_reader(guard.listener, guard.hang_up)
        try:
            await asyncio.sleep(pause_s)
        finally:
            loop.remove_reader(guard.listener)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        guard.start()


async def end(guard: GuardProcess) -> None:
    """Let go of it and wait until it has ended in order; by force when that takes too long."""
    guard.close()
    if not guard.pid:
        return
    try:
        async with asyncio.timeout(_END_DEADLINE_S):
            await _wait(guard)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(guard.pid, signal.SIGKILL)


async def _wait(guard: GuardProcess) -> int:
    pid = guard.pid
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return 0
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    _pid, raw = os.waitpid(pid, 0)
    guard.pid = 0
    return os.waitstatus_to_exitcode(raw)


def _reap_orphans(guard: GuardProcess) -> None:
    """Reap what a sandbox left when it ended. The guard itself is waited for elsewhere."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != guard.pid:
            os.waitpid(ended.si_pid, 0)


async def _end_what_it_left() -> None:
    """Kill and reap every child of this process, and those that come to it by that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LEFT_DEADLINE_S):
            while left := _children():
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, os.WNOHANG)
                await asyncio.sleep(_LEFT_PAUSE_S)


def _children() -> list[int]:
    """The processes right below this one, whichever of its threads started them, dead ones included."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (thread / "children").read_bytes().split())
    return found
