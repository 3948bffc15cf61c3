"""A command's time, which stands still while a person is asked on its behalf."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Clock:
    """The time of one command."""

    def __init__(self) -> None:
        self._deadline: asyncio.Timeout | None = None

    @asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator[None]:
        """So long at most; TimeoutError past it."""
        try:
            async with asyncio.timeout(seconds) as self._deadline:
                yield
        finally:
            self._deadline = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Meanwhile no time passes."""
        began = asyncio.get_running_loop().time()
        deadline = self._deadline
        when = deadline.when() if deadline and not deadline.expired() else None
        if deadline is None or when is None:
            yield
            return
        deadline.reschedule(None)
        try:
            yield
        finally:
            if deadline is self._deadline and not deadline.expired():
                deadline.reschedule(when + asyncio.get_running_loop().time() - began)
