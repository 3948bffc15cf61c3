"""Daemons to measure: ours and the floors, each in a folder of its own, ended by the pid we started."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / ".venv" / "bin"
PYTHON = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
_DEADLINE_S = 20.0


@contextmanager
def folder(parent: str = "/tmp") -> Iterator[Path]:
    """A folder with a short path, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="aios-bench-", dir=parent))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def variables(place: Path) -> dict[str, str]:
    """The environment of our daemon and client in `place`."""
    return {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(place),
        "XDG_RUNTIME_DIR": str(place),
        "XDG_STATE_HOME": str(place / "state"),
        "AIOS_CONFIG_DIR": str(place / "etc"),
        "AIOS_SOCKET": "",
    }


@contextmanager
def running(argv: list[str], environment: dict[str, str], awaited: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves `awaited`, ended afterwards."""
    process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_socket(awaited)
        yield process
    finally:
        process.terminate()
        process.wait(_DEADLINE_S)


@contextmanager
def our_daemon(place: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """aiosd, standalone, in `place`; the environment for its clients."""
    environment = variables(place)
    path = place / "aios" / "aiosd.sock"
    own = {name: value for name, value in environment.items() if name != "AIOS_SOCKET"}
    with running([str(PROGRAMS / "aiosd"), "--standalone"], own, path) as process:
        yield process, {**environment, "AIOS_SOCKET": str(path)}


def wait_for_socket(path: Path) -> None:
    """Return when somebody accepts at `path`."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.02)
            else:
                return
    raise TimeoutError(f"nobody serves {path}")


def pss_kib(pids: list[int]) -> int:
    """The proportional set size of processes together."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except ProcessLookupError:  # it has ended, and nobody has reaped it yet
            continue
        for line in lines:
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
