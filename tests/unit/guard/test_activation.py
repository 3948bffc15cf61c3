"""Telling the service manager: the guard's own way and the daemon's, also where it does not read or is gone."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aiosd.guard.activation import notify
from aiosd.systemd.notify import Manager

TOLD = b"STATUS=well"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.setblocking(False)
        yield listener


@pytest.fixture(params=["guard", "daemon"])
def tell(request: pytest.FixtureRequest, manager: socket.socket) -> Iterator[Callable[[], None]]:
    """Tells the manager, in one of the two ways."""
    assert manager.fileno() >= 0
    if request.param == "guard":
        yield lambda: notify(TOLD.decode())
        return
    daemon = Manager()
    yield lambda: daemon.status("well")
    daemon.close()


def read_all(manager: socket.socket) -> list[bytes]:
    told: list[bytes] = []
    with suppress(BlockingIOError):
        while len(told) < 100_000:
            told.append(manager.recv(4096))
    return told


def test_the_manager_is_told(manager: socket.socket, tell: Callable[[], None]) -> None:
    tell()
    assert read_all(manager) == [TOLD]


def test_one_that_does_not_read_holds_nobody_up(manager: socket.socket, tell: Callable[[], None]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
        other.setblocking(False)
        other.connect(manager.getsockname())
        for _ in range(100_000):
            other.send(b"STATUS=of another service")
    tell()
    assert TOLD not in read_all(manager)
    tell()
    assert read_all(manager) == [TOLD]


def test_one_that_is_gone_ends_nobody(manager: socket.socket, tell: Callable[[], None]) -> None:
    manager.close()
    tell()


def test_the_guard_says_in_its_log_that_it_told_nobody(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    manager.close()
    notify("WATCHDOG=1")
    assert "the service manager was not told 'WATCHDOG=1': Connection refused" in caplog.text
