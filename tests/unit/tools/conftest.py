"""A guard that follows a script; nothing is left behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.guard import ScriptedGuard
from tests.leaks import no_task_left, nothing_left

__all__ = ["guard", "no_task_left", "nothing_left"]


@pytest.fixture
async def guard(no_task_left: None, tmp_path: Path) -> AsyncIterator[ScriptedGuard]:
    """A guard at a socket of the test's own."""
    async with ScriptedGuard(path=str(tmp_path / "guard.sock")).serving() as made:
        yield made
