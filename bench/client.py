"""The thin client, and a whole warm question: against the interpreter's own start and the floor daemon."""

import shutil

from bench.places import PROGRAMS, PYTHON, ROOT, folder, our_daemon, running
from bench.timing import Timed, command, render_ratios, time_cases

FLOOR = "python3 -I -S -c pass"
_IMPORTS = f"import posix, sys; sys.path[:0] = [{str(ROOT)!r}]; from aiosd.cli.main import main; posix._exit(0)"
_GOALS = {"aios status": 1.1, "aios ask, one confined command": 8.0}


def measure(rounds: int) -> str:
    """Run it; the table."""
    with folder() as place, folder() as floor_place:
        floor_socket = floor_place / "socket"
        floor_argv = [PYTHON, str(ROOT / "bench" / "floor_daemon.py"), str(floor_socket)]
        floor_environment = {"PATH": "/usr/bin:/bin"}
        with our_daemon(place) as (_process, environment), running(floor_argv, floor_environment, floor_socket):
            aios, client = str(PROGRAMS / "aios"), str(ROOT / "bench" / "floor_client.py")
            cases = {
                FLOOR: command(PYTHON, "-I", "-S", "-c", "pass"),
                "of that: no teardown": command(PYTHON, "-I", "-S", "-c", "import posix; posix._exit(0)"),
                "and what the client imports": command(PYTHON, "-I", "-S", "-c", _IMPORTS),
                "and an answer that needs no guard: aios models": command(aios, "models", environment=environment),
                "aios status": command(aios, "status", environment=environment),
                "aios ask, one confined command": command(
                    aios, "ask", "how much disk space is left?", environment=environment
                ),
                "the floor daemon: client, bwrap, df": command(PYTHON, "-I", "-S", client, str(floor_socket)),
            }
            if shutil.which("curl"):
                url = ("--unix-socket", environment["AIOS_SOCKET"], "http://aios/v1/status")
                cases["curl of the same status"] = command("curl", "-s", *url)
            timed: dict[str, Timed] = time_cases(cases, rounds=rounds)
    return render_ratios(timed, floor=FLOOR, goals=_GOALS)
