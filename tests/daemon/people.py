"""Being somebody else for a moment: connections and commands of other uids, which only root can make.

SO_PEERCRED is read by the kernel when a socket connects, so a test that is root can connect as anybody.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PERSON, OTHER = 64001, 64002  # uids that no user database knows
IS_ROOT = os.geteuid() == 0

needs_root = pytest.mark.skipif(not IS_ROOT, reason="acting as several users takes root")


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """This process's effective uid and gid are `uid` inside the context; only root can."""
    if uid == os.geteuid():
        yield
        return
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def default_person() -> int:
    """Who asks in tests: an ordinary user if we can be one, else who we are."""
    return PERSON if IS_ROOT else os.geteuid()
