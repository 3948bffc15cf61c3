"""The Landlock domain: what is asked of each version of the kernel's, and what this kernel's then holds back."""

import errno
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from aiosd.sandbox.domain import render_domain, render_place
from aiosd.sandbox.landlock import read_abi

ROOT = Path(__file__).parents[3]
ABI = read_abi()
_WRITING = 0b1_1111_1111_0010  # LANDLOCK_ACCESS_FS_WRITE_FILE, REMOVE_DIR to MAKE_SYM
_REFER, _TRUNCATE, _RESOLVE = 1 << 13, 1 << 14, 1 << 16


@pytest.mark.parametrize(
    ("abi", "files", "more"),
    [
        (1, _WRITING, []),
        (2, _WRITING | _REFER, []),
        (3, _WRITING | _REFER | _TRUNCATE, []),
        (4, _WRITING | _REFER | _TRUNCATE, [3]),
        (6, _WRITING | _REFER | _TRUNCATE, [3, 3]),
        (8, _WRITING | _REFER | _TRUNCATE, [3, 3]),
        (9, _WRITING | _REFER | _TRUNCATE | _RESOLVE, [3, 3]),
        (12, _WRITING | _REFER | _TRUNCATE | _RESOLVE, [3, 3]),
    ],
)
def test_every_right_that_a_version_knows_is_taken_away(abi: int, files: int, more: list[int]) -> None:
    words = [files, *more]
    assert render_domain(abi) == b"".join(word.to_bytes(8, "little") for word in words)


def test_what_may_be_started_is_taken_away_with_writing_or_by_itself() -> None:
    def words(*values: int) -> bytes:
        return b"".join(value.to_bytes(8, "little") for value in values)

    assert render_domain(7, starts=True) == words(1 | _WRITING | _REFER | _TRUNCATE, 3, 3)
    assert render_domain(7, writes=False, starts=True) == words(1 | _REFER, 0, 3)
    assert render_domain(1, writes=False, starts=True) == words(1)


@pytest.mark.parametrize(
    ("abi", "folder", "is_socket", "rights"),
    [
        (1, True, False, _WRITING),
        (7, True, False, _WRITING | _REFER | _TRUNCATE),
        (1, False, False, 2),
        (7, False, False, 2 | _TRUNCATE),
        (7, False, True, 0),
        (9, True, False, _WRITING | _REFER | _TRUNCATE),
        (9, False, True, _RESOLVE),
    ],
)
def test_what_a_place_gives_back(abi: int, folder: bool, is_socket: bool, rights: int) -> None:
    assert int.from_bytes(render_place(abi, folder=folder, socket=is_socket), "little") == rights


_TRY = """
import errno, os, socket, sys
from aiosd.sandbox.domain import restrict
free, closed, granted, other = sys.argv[1:]
if granted != "0":
    restrict((free,), (), (int(granted),))
def told(act):
    try:
        act()
    except OSError as exc:
        return errno.errorcode[exc.errno]
    return "done"
def reach(port):
    with socket.socket() as made:
        made.connect(("127.0.0.1", int(port)))
def serve():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
print(told(lambda: reach(granted if granted != "0" else other)), told(lambda: reach(other)), told(serve),
      told(lambda: open(free + "/made", "w").close()), told(lambda: open(closed + "/made", "w").close()),
      told(lambda: os.close(os.open(closed + "/pipe", os.O_RDWR | os.O_NONBLOCK))))
"""


def test_this_kernel_lets_through_what_is_granted_and_nothing_else(tmp_path: Path) -> None:
    free, closed = tmp_path / "free", tmp_path / "closed"
    for folder in (free, closed):
        folder.mkdir()
    os.mkfifo(closed / "pipe")
    with closing(socket.create_server(("127.0.0.1", 0))) as one, closing(socket.create_server(("127.0.0.1", 0))) as two:
        ports = [str(each.getsockname()[1]) for each in (one, two)]
        said = {
            granted: subprocess.run(
                [sys.executable, "-c", _TRY, str(free), str(closed), granted, ports[1]],
                capture_output=True, check=True, text=True, cwd=ROOT,
            ).stdout.split()
            for granted in ("0", ports[0])
        }  # fmt: skip
    assert said["0"] == ["done"] * 6
    tcp = errno.errorcode[errno.EACCES] if ABI >= 4 else "done"
    files = errno.errorcode[errno.EACCES] if ABI >= 1 else "done"
    assert said[ports[0]] == ["done", tcp, tcp, "done", files, files]
