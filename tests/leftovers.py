"""What a test leaves behind: processes, descriptors, mounts. The fixture fails the test that left any.

The test process adopts orphans (PR_SET_CHILD_SUBREAPER), so whatever it started stays below it, however often it forked
and wherever it went; what ended meanwhile is reaped here.
"""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_PR_SET_CHILD_SUBREAPER = 36
_DEADLINE_S = 5.0
_ADOPTING = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def parents() -> dict[int, int]:
    """Every process and its parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
    return found


def descendants(root: int = 0) -> set[int]:
    """Every process below `root` (this one, by default), the dead that nobody has reaped included."""
    above = parents()
    below = {root or os.getpid()}
    grown = True
    while grown:
        new = {pid for pid, parent in above.items() if parent in below} - below
        below |= new
        grown = bool(new)
    return below - {root or os.getpid()}


def describe(pids: set[int]) -> list[str]:
    """The processes in words, for a failure."""
    lines = []
    for pid in sorted(pids):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
            lines.append(f"{pid} {state} {command[:200]}")
    return lines


def descriptors() -> dict[int, str]:
    """This process's open descriptors and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return {fd: what for fd, what in found.items() if not what.startswith("/proc/")}


def mounts() -> set[str]:
    """The mount points of tests, ours and others', in this mount namespace."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return {line.split()[4] for line in lines if "/aios-" in line or "/pytest-" in line}


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No process, descriptor or mount is left when the test is over."""
    assert _ADOPTING
    before = descendants(), descriptors(), mounts()
    kept = set().union(*(descendants(pid) for pid in before[0])) | before[0]
    yield
    deadline = time.monotonic() + _DEADLINE_S
    while True:  # what was killed may take a moment to be gone; what was not never will be
        for pid in descendants() - before[0]:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        of_shared = set().union(*(descendants(pid) for pid in before[0])) | kept
        left = descendants() - of_shared
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    assert describe(left) == []
    opened = descriptors()
    assert {fd: what for fd, what in opened.items() if before[1].get(fd) != what} == {}
    assert mounts() - before[2] == set()
