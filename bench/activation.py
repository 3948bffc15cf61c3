"""From a cold socket to the first answer: a really activated aiosd with its guard, against a bare aiohttp server."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench.places import PROGRAMS, ROOT, folder, variables
from bench.timing import Timed, render_ratios

FLOOR = "bare aiohttp server: GET"
_GOALS = {"aiosd: status": 2.5, "aiosd: a question, one confined command": 2.5}
_STATUS = b"GET /v1/status HTTP/1.1\r\nHost: aios\r\nConnection: close\r\n\r\n"
_BODY = b"how much disk space is left?"
_ASK = (
    b"POST /v1/ask HTTP/1.1\r\nHost: aios\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


def measure(rounds: int) -> str:
    """Run it; the table."""
    activate = shutil.which("systemd-socket-activate") or "/usr/lib/systemd/systemd-socket-activate"
    if not Path(activate).exists():
        return "systemd-socket-activate is not installed; not measured\n"
    floor = [sys.executable, str(ROOT / "bench" / "floor_aiohttp.py")]
    ours = [str(PROGRAMS / "aiosd"), "--standalone"]
    cases = {
        FLOOR: (floor, _STATUS, b"ok"),
        "aiosd: status": (ours, _STATUS, b'"standalone"'),
        "aiosd: a question, one confined command": (ours, _ASK, b"turn_done"),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for index in range(rounds + 1):
        for name, (argv, request, wanted) in cases.items():
            took = _first_answer(activate, argv, request, wanted)
            if index:
                times[name].append(took)
    return render_ratios(
        {name: Timed(name=name, times_ms=tuple(found)) for name, found in times.items()}, floor=FLOOR, goals=_GOALS
    )


def _wait_until_listening(path: Path) -> None:
    """Return when the activator listens, without connecting: that would start the server."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in Path("/proc/net/unix").read_text(encoding="ascii", errors="replace").splitlines():
            if line.endswith(f" {path}") and line.split()[3] == "00010000":  # __SO_ACCEPTCON
                return
        time.sleep(0.005)
    raise TimeoutError(f"nobody listens at {path}")


def _first_answer(activate: str, argv: list[str], request: bytes, wanted: bytes) -> float:
    with folder() as place:
        (place / "aios").mkdir()
        path = place / "aios" / "aiosd.sock"
        environment = {name: value for name, value in variables(place).items() if name != "AIOS_SOCKET"}
        passed = [f"--setenv={name}={value}" for name, value in environment.items()]
        process = subprocess.Popen(
            [activate, f"--listen={path}", "--fdname=api", *passed, *argv],
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_until_listening(path)
            began = time.perf_counter()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(20)
                connection.connect(str(path))
                connection.sendall(request)
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
            took = (time.perf_counter() - began) * 1000
            if wanted not in answer:
                raise ValueError(f"not the answer: {answer[-300:]!r}")
            return took
        finally:
            process.terminate()
            process.wait(20)
