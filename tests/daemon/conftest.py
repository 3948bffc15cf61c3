"""Fixtures: a daemon for a module, a daemon of a test's own, and nothing left behind."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.daemon.harness import Daemon, make_folder, processes_with, remove_folder, wait_until
from tests.leaks import nothing_left

__all__ = ["MakeDaemon", "daemon", "make_daemon", "nothing_left", "running"]

MakeDaemon = Callable[..., Daemon]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with the default configuration, shared by a module."""
    with running() as made:
        yield made


@pytest.fixture
def make_daemon() -> Iterator[MakeDaemon]:
    """Makes daemons of the test's own; `start=False` leaves that to the test."""
    made: list[Any] = []

    def make(*, start: bool = True, **fields: Any) -> Daemon:
        context = running(start=start, **fields)
        made.append(context)
        return context.__enter__()

    yield make
    for context in reversed(made):
        context.__exit__(None, None, None)


class running:  # noqa: N801 - used as a context manager function
    def __init__(self, *, start: bool = True, **fields: Any) -> None:
        self._start = start
        self._daemon = Daemon(folder=make_folder(), **fields)

    def __enter__(self) -> Daemon:
        if self._daemon.uid != os.geteuid():
            for folder in (self._daemon.folder / "run", self._daemon.folder / "state", self._daemon.folder):
                os.chown(folder, self._daemon.uid, self._daemon.uid)
        if self._start:
            self._daemon.start()
        return self._daemon

    def __exit__(self, *_exc: object) -> None:
        folder = str(self._daemon.folder)
        if self._daemon.process is not None:
            self._daemon.stop()
        wait_until(lambda: not processes_with(folder), f"the processes of {folder} to end")
        remove_folder(self._daemon.folder)
