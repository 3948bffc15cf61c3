"""Something at a socket that says what its script says, and the real client that asks it."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.daemon.harness import Ran, client_command

DEADLINE_S = 30.0


class Listener:
    """Answers each connection with `said`, after it has read `reads` bytes, and keeps what it read."""

    def __init__(self, path: Path, said: bytes, *, reads: int = 1) -> None:
        self.got = b""
        self._said, self._reads = said, reads
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for it."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE_S)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(DEADLINE_S)
                self.got += connection.recv(self._reads)
                connection.sendall(self._said)


@contextmanager
def listening(path: Path, said: bytes, *, reads: int = 65536) -> Iterator[Listener]:
    """Something that listens at `path`."""
    listener = Listener(path, said, reads=reads)
    try:
        yield listener
    finally:
        listener.close()


def run_client(
    *words: str | bytes,
    uid: int | None = None,
    stdin: bytes = b"",
    program: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **variables: str | bytes,
) -> Ran:
    """The real client (or its launcher, `program`), in an environment of these variables alone."""
    ran = subprocess.run(
        [*(program or client_command()), *words],
        input=stdin,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        cwd="/",
        start_new_session=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **(environment or {}), **variables},
        user=uid if uid not in (None, os.geteuid()) else None,
    )
    return Ran(status=ran.returncode, out=ran.stdout.decode(), err=ran.stderr.decode())
