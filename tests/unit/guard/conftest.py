"""Nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.leaks import no_task_left, nothing_left

__all__ = ["no_task_left", "no_thread_left", "nothing_left"]


@pytest.fixture(autouse=True)
async def no_thread_left(nothing_left: None) -> AsyncIterator[None]:
    """The loop's own threads end with the test."""
    yield
    await asyncio.get_running_loop().shutdown_default_executor()
