"""The hook's talk with servers that answer, flood, hang and lie; and what it lets onto a terminal."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from aiosd.login.hook import ask, clean

ROOT = Path(__file__).parents[3]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def served(path: str, serve: Callable[[socket.socket], None]) -> Iterator[list[bytes]]:
    """A server at `path` that treats one connection as `serve` does; what it was asked."""
    asked: list[bytes] = []

    def run() -> None:
        with suppress(OSError):
            connection, _address = listener.accept()
            with connection:
                connection.settimeout(20)
                asked.append(connection.recv(4096))
                serve(connection)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(20)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield asked
        finally:
            thread.join(20)
    assert not thread.is_alive()


def _answers(*pieces: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
        connection.recv(1)  # until the hook has what it wants, and goes

    return serve


def _floods(connection: socket.socket) -> None:
    connection.sendall(OK % 10**9)
    while True:
        connection.sendall(b"\x1b]0;owned\x07" * 1000)


def _ends(_connection: socket.socket) -> None:
    """At once."""


TEXT = b"1 approval waits for your answer: aios pending\n"


@pytest.mark.parametrize(
    ("serve", "text"),
    [
        (_answers(OK % len(TEXT), TEXT), TEXT),
        (_answers(OK % len(TEXT) + TEXT[:10], TEXT[10:]), TEXT),
        (_answers((OK % len(TEXT)).lower().replace(b"http/1.1 200 ok", b"HTTP/1.1 200 OK") + TEXT + b"more"), TEXT),
        (_answers(OK % 0), b""),
        (_answers(OK.replace(b"200 OK", b"403 Forbidden") % len(TEXT) + TEXT), b""),
        (_answers(OK.replace(b"text/plain", b"text/html") % len(TEXT) + TEXT), b""),
        (_answers(OK % 100 + TEXT), b""),  # less than it said
        (_answers(b""), b""),  # hangs
        (_answers(b"\0" * 9000), b""),
        (_floods, b""),
        (_ends, b""),
    ],
)
def test_only_a_whole_answer_counts_and_nothing_is_waited_for_long(
    tmp_path: Path, serve: Callable[[socket.socket], None], text: bytes
) -> None:
    path = str(tmp_path / "s")
    with served(path, serve) as asked:
        assert ask(path, shown=True) == text
    assert asked[0].startswith(b"POST /v1/login?shown=true HTTP/1.1\r\n")


def test_where_nobody_is_to_ask_there_is_nothing_to_say(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert ask(path, shown=False) == b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
    assert ask(path, shown=False) == b""


def test_a_full_queue_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        assert ask(path, shown=False) == b""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (TEXT, b"aios: " + TEXT),
        (b"", b""),
        (b"\n\n  \n", b""),
        (b"a\x1b[2Jb\r\x07\x9b\xe2\x80\xae\tc", b"aios: a?[2Jb????????c\n".replace(b"????????", b"?" * 7)),
        (b"".join(b"%d\n" % number for number in range(9)), b"aios: 0\naios: 1\naios: 2\naios: 3\n"),
        (b"x" * 5000, b"aios: " + b"x" * 200 + b"\n"),
    ],
)
def test_what_is_shown_is_a_few_lines_of_plain_text(text: bytes, shown: bytes) -> None:
    assert clean(text) == shown


def _hook(**environment: str) -> subprocess.CompletedProcess[bytes]:
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from aiosd.login.hook import main; main()"
    command = [os.path.realpath(getattr(sys, "_base_executable", sys.executable)), "-IS", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, timeout=20, check=False)


@pytest.mark.parametrize(
    "environment",
    [
        {"PAM_TYPE": "close_session", "PAM_USER": "root"},
        {"PAM_TYPE": "auth", "PAM_USER": "root"},
        {"PAM_TYPE": "open_session", "PAM_USER": ""},
        {"PAM_TYPE": "open_session"},
        {},
        {"PAM_TYPE": "open_session", "PAM_USER": "nobody-of-that-name"},
        {"PAM_TYPE": "open_session", "PAM_USER": "root\udcff"},
        {"PAM_TYPE": "open_session", "PAM_USER": "root"},
    ],
)
def test_it_always_ends_well_and_says_nothing_where_nobody_looks(environment: dict[str, str]) -> None:
    ran = _hook(**environment)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_it_imports_next_to_nothing() -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]; before = set(sys.modules); import aiosd.login.hook;"
        "print(*sorted(set(sys.modules) - before))"
    )
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    loaded = subprocess.run([python, "-IS", "-c", code], capture_output=True, text=True, timeout=20, check=True).stdout
    ours = {name for name in loaded.split() if name.startswith("aiosd")}
    assert ours == {"aiosd", "aiosd.login", "aiosd.login.hook"}
    assert set(loaded.split()) - ours <= {"_socket", "pwd", "select", "stat", "_stat"}
