"""A whole turn of a model behind HTTP, two requests and one confined command, against the floor; and many at once."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.places import PROGRAMS, PYTHON, ROOT, children, folder, our_daemon, pss_kib, running
from bench.timing import Timed, command, render_ratios, time_cases

FLOOR = "the floor: client, model, bwrap, model"
OURS = "aios ask, one command"
_GOALS = {OURS: 2.0}
_AT_ONCE = (1, 4, 16)
_NULL = subprocess.DEVNULL


def measure(rounds: int) -> str:
    """Run it; the tables."""
    with folder() as place, folder() as floor_place, folder() as model_place, _model(model_place) as port:
        floor_socket = floor_place / "socket"
        floor = [PYTHON, "-c", _code("bench.floor_turn"), str(floor_socket), str(port)]
        _configure(place, port)
        with our_daemon(place) as (process, environment), running(floor, {"PATH": "/usr/bin:/bin"}, floor_socket):
            aios = str(PROGRAMS / "aios")
            client = (PYTHON, "-I", "-S", str(ROOT / "bench" / "floor_client.py"), str(floor_socket))
            cases = {
                FLOOR: command(*client, "run 1 command"),
                OURS: command(aios, "ask", "run 1 command", environment=environment),
                "the floor, ten commands": command(*client, "run 10 commands"),
                "aios ask, ten commands": command(aios, "ask", "run 10 commands", environment=environment),
            }
            timed: dict[str, Timed] = time_cases(cases, rounds=rounds)
            out = render_ratios(timed, floor=FLOOR, goals=_GOALS)
            out += _count_bytes(port, {FLOOR: cases[FLOOR], OURS: cases[OURS]})
            out += _time_many([*client, "run 1 command"], [aios, "ask", "run 1 command"], environment)
            guards = [process.pid, *children(process.pid)]
            out += f"our daemon and its guard: {pss_kib(guards) / 1024:.1f} MiB PSS\n"
    return out + f"(rivals that are installed and not measured here: {_list_rivals()})\n"


@contextmanager
def _model(place: Path) -> Iterator[int]:
    """The scripted server; its port."""
    path = place / "socket"
    words = [PYTHON, str(ROOT / "bench" / "scripted_server.py"), str(path)]
    with running(words, {}, path), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        yield int(connection.recv(16))


def _configure(place: Path, port: int) -> None:
    (place / "etc").mkdir()
    limits = "[limits]\nturns_per_user = 64\n[agent]\nmodel = 'bench'\n"
    table = f"[models.bench]\nmodel = 'm'\nbase_url = 'http://127.0.0.1:{port}'\n"
    (place / "etc" / "config.toml").write_text(limits + table, encoding="utf-8")


def _code(module: str) -> str:
    return f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module({module!r}, run_name='__main__')"


def _count_bytes(port: int, cases: Mapping[str, Callable[[], None]]) -> str:
    """What one turn of each sends to the model."""
    out = "\nbytes sent to the model in one turn\n"
    for name, case in cases.items():
        before = _sent(port)
        case()
        out += f"  {name:42} {_sent(port) - before:8}\n"
    return out


def _sent(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        return int(json.load(answer)["bytes"])


def _time_many(floor: list[str], ours: list[str], environment: Mapping[str, str]) -> str:
    """So many turns at once, from the first start to the last end."""
    out = f"\n{'turns at once, wall ms':44}{''.join(f'{count:>10}' for count in _AT_ONCE)}\n"
    for name, words, variables in (("the floor", floor, None), ("aios ask", ours, environment)):
        cells = "".join(f"{_time_at_once(words, variables, count):10.0f}" for count in _AT_ONCE)
        out += f"{name:44}{cells}\n"
    return out


def _time_at_once(words: list[str], environment: Mapping[str, str] | None, count: int) -> float:
    began = time.perf_counter()
    running_now = [
        subprocess.Popen(words, stdin=_NULL, stdout=_NULL, stderr=_NULL, env=environment) for _ in range(count)
    ]
    statuses = [each.wait(60) for each in running_now]
    if any(statuses):
        raise RuntimeError(f"{words[0]} ended with {statuses}")
    return (time.perf_counter() - began) * 1000


def _list_rivals() -> str:
    found = [name for name in ("codex", "claude", "llm", "pi") if shutil.which(name)]
    return ", ".join(found) or "none"
