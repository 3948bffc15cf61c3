"""`python -m tests.whole [system] [PYTEST OPTION...]`: every test, or those on booted machines, side by side.

The tests of booted machines and of daemons wait much; the modules of the former are dealt out to two processes, and
those that bring a kernel of their own (which the tests of a booted systemd do without) have another.
Progress is printed as it comes, a line at a time with the part's name; each part's report is printed whole at its end.
The exit status is that of the worst part (pytest's own: 0 all passed, 1 some failed, 2 interrupted, ...).
"""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

SYSTEM = Path("tests/system")
DAEMON = "tests/daemon"
REPORT = "===="  # pytest's first line after its progress begins so, if it has anything to report

printing = threading.Lock()


def parts_of(*, system_alone: bool) -> dict[str, list[str]]:
    """Each part's name, and the paths that pytest takes."""
    modules = sorted(map(str, SYSTEM.glob("test_*.py")))
    first, second = modules[0::2], modules[1::2]
    second.append(first.pop(first.index(str(SYSTEM / "test_testbed.py"))))  # so that both take about as long
    machines = {"machines 1": first, "machines 2": second}
    if system_alone:
        return machines
    others = ["tests", f"--ignore={SYSTEM}", f"--ignore={DAEMON}"]
    return machines | {"daemons": [DAEMON], "others": others, "kernels": [str(SYSTEM / "kernels")]}


def follow(name: str, process: subprocess.Popen[str]) -> None:
    """Print a part's progress as it comes, and what follows it in one piece."""
    report: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        if report or line.startswith(REPORT):
            report.append(line)
        else:
            with printing:
                print(f"{name}: {line}", end="", flush=True)
    with printing:
        sys.stdout.writelines(report)
        sys.stdout.flush()


def start(paths: list[str], options: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", *options, *paths]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace"
    )


def run(parts: dict[str, list[str]], options: list[str]) -> int:
    """Run the parts; the worst exit status."""
    began = time.monotonic()
    running = {name: start(paths, options) for name, paths in parts.items()}

    def pass_on(number: int, frame: FrameType | None) -> None:
        for each in running.values():
            each.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the parts too, and they end by it
    followers = [threading.Thread(target=follow, args=each) for each in running.items()]
    for each in followers:
        each.start()
    for each in followers:
        each.join()
    ends = {name: process.wait() for name, process in running.items()}
    said = ", ".join(f"{name} {status}" for name, status in ends.items())
    print(f"all parts in {time.monotonic() - began:.0f} s; pytest's exit statuses: {said}", flush=True)
    return max(abs(status) for status in ends.values())


if __name__ == "__main__":
    system_alone = sys.argv[1:2] == ["system"]
    sys.exit(run(parts_of(system_alone=system_alone), sys.argv[2 if system_alone else 1 :]))
