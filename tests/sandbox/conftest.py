"""Fixtures: what the host lets a sandbox have, folders that a sandboxed person sees, nothing left behind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiosd.sandbox.profile import HostFacts
from tests.daemon.people import default_person
from tests.leaks import nothing_left
from tests.sandbox.box import load_host

__all__ = ["host", "nothing_left", "place"]


@pytest.fixture(scope="session")
def host() -> HostFacts:
    """What this machine lets a sandbox have."""
    return load_host()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the person who is confined, in a place that others may look into."""
    folder = Path(tempfile.mkdtemp(prefix=f"aios-{os.getpid()}-", dir="/tmp"))
    os.chown(folder, default_person(), -1)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
