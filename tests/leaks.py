"""What a test must not leave behind: children, descriptors, threads, tasks."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

_DEADLINE_S = 10.0


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No child, descriptor or thread is there after a test that was not there before it."""
    before = _held()
    yield
    deadline = time.monotonic() + _DEADLINE_S
    while (left := _held() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, left


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    """No task of the test's own loop goes on after it."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


def _held() -> set[str]:
    """Children, descriptors and threads of this process, each as text."""
    held = {f"thread {thread.name}" for thread in threading.enumerate() if not thread.daemon}
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
        held |= {f"child {pid}" for pid in children.read().split()}
    for name in os.listdir("/proc/self/fd"):
        try:
            held.add(f"descriptor {name} of {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:
            continue  # the folder's own
    return held
