"""Fixtures: what the host lets a sandbox have, folders that a sandboxed person sees, nothing left behind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiosd.sandbox.profile import HostFacts
from tests.daemon.people import default_person
from tests.leftovers import nothing_left  # noqa: F401 - a fixture
from tests.sandbox.box import load_host


@pytest.fixture(autouse=True)
def _clean(nothing_left: None) -> None:  # noqa: F811
    """Every test here leaves nothing."""


@pytest.fixture(scope="session")
def host() -> HostFacts:
    """What this machine lets a sandbox have."""
    return load_host()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the person who is confined, in a place that others may look into."""
    folder = Path(tempfile.mkdtemp(prefix="aios-", dir="/tmp"))
    os.chown(folder, default_person(), -1)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
