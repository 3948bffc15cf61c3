"""The thin client on a terminal of its own: a real pty, typed into and read from."""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.daemon.harness import DEADLINE_S, Daemon, _becoming, client_command
from tests.daemon.people import default_person

QUESTION = "(no): "


class Terminal:
    """A client whose controlling terminal this is. `separate` keeps its standard output out of it."""

    def __init__(
        self,
        daemon: Daemon,
        words: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        columns: int,
        separate: bool,
        program: Sequence[str],
    ) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        who = default_person() if daemon.uid == 0 else daemon.uid
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            ["setsid", "--ctty", *program, *words],
            stdin=slave,
            stdout=subprocess.PIPE if separate else slave,
            stderr=slave,
            cwd="/",
            env={
                "PATH": "/usr/bin:/bin",
                "AIOS_SOCKET": daemon.socket_path,
                "LANG": "C.UTF-8",
                "TERM": "xterm",
                **environment,
            },
            **_becoming(who),
        )
        os.close(slave)
        self.raw = ""
        self.out = ""

    @property
    def screen(self) -> str:
        """What was written so far, as lines, without the one that is rewritten."""
        return re.sub(r"\r\x1b\[K[^\r\n\x1b]*|\r\x1b\[2K", "", self.raw.replace("\r\n", "\n"))

    @property
    def plain(self) -> str:
        """The same without colours."""
        return re.sub(r"\x1b\[\d*m", "", self.screen)

    def wait_for(self, text: str, *, times: int = 1) -> str:
        """Read until `text` is on the screen; the screen."""
        deadline = time.monotonic() + DEADLINE_S
        while self.plain.count(text) < times:
            assert self._read(deadline), f"the client ended without {text!r}: {self.screen}"
        return self.plain

    def type(self, text: str) -> None:
        """Type, and Enter."""
        os.write(self._master, f"{text}\n".encode())

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._master, key)

    def read_on(self) -> str:
        """All that was written so far, with what there is just now."""
        while select.select([self._master], [], [], 0)[0] and self._read(time.monotonic() + DEADLINE_S):
            pass
        return self.raw

    def end(self) -> int:
        """Read to the end; the exit status."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        if self._process.stdout is not None:
            self.out = self._process.stdout.read().decode()
        return self._process.wait(DEADLINE_S)

    def close(self) -> None:
        """End the client, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(DEADLINE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        os.close(self._master)

    def _read(self, deadline: float) -> bool:
        """Take what there is, waiting for some; False at its end."""
        readable, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        assert readable, f"waited in vain; on the screen: {self.screen}"
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # nobody has it open any more
            return False
        self.raw += piece.decode("utf-8", "replace")
        return bool(piece)


@contextmanager
def on_terminal(
    daemon: Daemon,
    *words: str,
    columns: int = 80,
    separate: bool = False,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = (),
) -> Iterator[Terminal]:
    """Run the client (or `program`) with `words` on a terminal."""
    terminal = Terminal(
        daemon, words, environment or {}, columns=columns, separate=separate, program=program or client_command()
    )
    try:
        yield terminal
    finally:
        terminal.close()


def approval_on(screen: str) -> str:
    """The id of the newest card on a screen."""
    found = re.findall(r"── approval ([0-9a-f]+) ", screen)
    assert found, screen
    return str(found[-1])
