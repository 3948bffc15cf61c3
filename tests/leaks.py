"""What a test must not leave behind: processes, descriptors, threads, mounts, tasks.

While such a test runs, its process adopts orphans (PR_SET_CHILD_SUBREAPER): whatever it started stays below it, however
often it forked and wherever it went; what ended meanwhile is reaped here. Other tests adopt nobody: a dead process of a
container that nobody reaps keeps the container from ending.
"""

import asyncio
import ctypes
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_PR_SET_CHILD_SUBREAPER = 36
_DEADLINE_S = 10.0
_LIBC = ctypes.CDLL(None)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No process, descriptor, thread or mount is there after a test that was not there before it."""
    assert _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    before, children = _held(), _children()
    yield
    deadline = time.monotonic() + _DEADLINE_S
    while True:  # what was killed may take a moment to be gone; what was not never will be
        for pid in _children() - children:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        left = _held() - before | {_describe(pid) for pid in _children() - children}
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    assert _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0
    assert not left, left


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    """No task of the test's own loop goes on after it."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


def descendants() -> set[int]:
    """Every process below this one, the dead that nobody has reaped included."""
    above = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                above[int(entry.name)] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
    below, grown = {os.getpid()}, True
    while grown:
        new = {pid for pid, parent in above.items() if parent in below} - below
        below |= new
        grown = bool(new)
    return below - {os.getpid()}


def _children() -> set[int]:
    """The processes right below this one, whichever thread started them."""
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        with suppress(OSError):
            found |= {int(pid) for pid in Path(f"/proc/self/task/{thread}/children").read_bytes().split()}
    return found


def _held() -> set[str]:
    """Descriptors and threads of this process, and mounts of tests, each as text."""
    held = {f"thread {thread.name}" for thread in threading.enumerate() if not thread.daemon}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the folder's own
            what = os.readlink(f"/proc/self/fd/{name}")
            if not what.startswith(f"/proc/{os.getpid()}/"):  # what the process watches of itself all its life
                held.add(f"descriptor {name} of {what}")
    own = f"{tempfile.gettempdir()}/aios-{os.getpid()}-"
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return held | {f"mount {place}" for line in lines if (place := line.split()[4]).startswith(own)}


def _describe(pid: int) -> str:
    """A process in words, for a failure."""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
        return f"process {pid} {state} {command[:200]}"
    return f"process {pid}"
