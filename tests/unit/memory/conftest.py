"""Transcripts in a folder of the test's own; nothing is left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aiosd.memory.transcripts import Transcripts
from tests.leaks import no_task_left, nothing_left

__all__ = ["no_task_left", "nothing_left", "transcripts"]


@pytest.fixture
def transcripts(tmp_path: Path) -> Iterator[Transcripts]:
    """The transcripts of a new daemon."""
    made = Transcripts(tmp_path / "users")
    yield made
    made.close()
