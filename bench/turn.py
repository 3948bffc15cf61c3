"""A whole turn of a model behind HTTP, two requests and one confined command, against the floor; and many at once."""

import functools
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.places import PROGRAMS, PYTHON, ROOT, children, folder, our_daemon, pss_kib, running
from bench.rivals import NAMES, Rival, find_rivals
from bench.timing import Timed, command, render_ratios, time_cases
from bench.weight import weigh

FLOOR = "the floor: client, model, bwrap, model"
OURS = "aios ask, one command"
OURS_TEN = "aios ask, ten commands"
_GOALS = {OURS: 2.0}
_AT_ONCE = (1, 4, 16)
_NULL = subprocess.DEVNULL


def measure(rounds: int) -> str:
    """Run it; the tables."""
    with (
        folder() as place,
        folder() as floor_place,
        folder() as model_place,
        folder("/var/tmp") as beside,  # codex runs no command from a home below /tmp
        _model(model_place) as port,
    ):
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
                OURS_TEN: command(aios, "ask", "run 10 commands", environment=environment),
            }
            timed: dict[str, Timed] = time_cases(cases, rounds=rounds)
            out = render_ratios(timed, floor=FLOOR, goals=_GOALS)
            out += _count_bytes(port, {FLOOR: cases[FLOOR], OURS: cases[OURS]})
            rivals, told = _try_rivals(beside, port)
            out += _time_rivals(timed, rivals, rounds=rounds, port=port) if rivals else ""
            many: dict[str, tuple[list[str], Mapping[str, str] | None]] = {
                "the floor": ([*client, "run 1 command"], None),
                "aios ask": ([aios, "ask", "run 1 command"], environment),
            }
            many |= {each.name: ([*each.words, "run 1 command"], each.environment) for each in rivals}
            out += _time_many(many)
            guards = [process.pid, *children(process.pid)]
            out += _weigh_many(many, {"aios ask": guards})
            out += f"our daemon and its guard: {pss_kib(guards) / 1024:.1f} MiB PSS\n"
    return out + told


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


def _try_rivals(place: Path, port: int) -> tuple[list[Rival], str]:
    """Those that are installed and take a turn here, and a line on the others."""
    able, told = list[Rival](), ""
    for rival in find_rivals(place, port):
        try:
            rival.run("run 1 command")
        except (RuntimeError, subprocess.TimeoutExpired) as exc:
            told += f"(not measured: {exc})\n"
        else:
            able.append(rival)
    named = {each.name for each in able}
    missing = [name for name in NAMES if name not in named and name not in told]
    return able, told + (f"(not installed: {', '.join(missing)})\n" if missing else "")


def _time_rivals(ours: Mapping[str, Timed], rivals: Sequence[Rival], *, rounds: int, port: int) -> str:
    """Rivals beside ours: how many times our wall time they take, and what they send."""
    cases = {
        f"{each.name}{name}": functools.partial(each.run, question)
        for each in rivals
        for name, question in ((", one command", "run 1 command"), (", ten commands", "run 10 commands"))
    }
    timed = time_cases(cases, rounds=max(min(rounds, 5), 2))
    base = {"one": ours[OURS].median_ms, "ten": ours[OURS_TEN].median_ms}
    out = f"\n{'rivals':44} {'median ms':>10} {'min ms':>8} {'× ours':>8}\n"
    for name, each in timed.items():
        ratio = each.median_ms / base["ten" if "ten" in name else "one"]
        out += f"{name:44} {each.median_ms:10.0f} {each.best_ms:8.0f} {ratio:8.1f}\n"
    fastest = min(each.median_ms for name, each in timed.items() if "one" in name)
    out += f"the fastest takes {fastest / base['one']:.1f} times ours (goal: at least 8)\n"
    return out + _count_bytes(port, {name: case for name, case in cases.items() if "one" in name})


def _time_many(cases: Mapping[str, tuple[list[str], Mapping[str, str] | None]]) -> str:
    """So many turns at once, from the first start to the last end."""
    out = f"\n{'turns at once, wall ms':44}{''.join(f'{count:>10}' for count in _AT_ONCE)}\n"
    for name, (words, variables) in cases.items():
        cells = "".join(f"{_time_at_once(words, variables, count):>10}" for count in _AT_ONCE)
        out += f"{name:44}{cells}\n"
    return out


def _weigh_many(
    cases: Mapping[str, tuple[list[str], Mapping[str, str] | None]], serving: Mapping[str, Sequence[int]]
) -> str:
    """What they use up, over all processes; but not the floor, whose daemon is not told apart here."""
    out = f"\n{'turns at once, CPU s / peak PSS MiB':44}{''.join(f'{count:>16}' for count in _AT_ONCE)}\n"
    for name, (words, variables) in cases.items():
        if name != "the floor":
            weights = [weigh(words, variables, count=count, serving=serving.get(name, ())) for count in _AT_ONCE]
            cells = [f"{cpu_s:.2f} / {mib:.0f}" for cpu_s, mib in weights]
            out += f"{name:44}{''.join(f'{cell:>16}' for cell in cells)}\n"
    return out


def _time_at_once(words: list[str], environment: Mapping[str, str] | None, count: int) -> str:
    began = time.perf_counter()
    running_now = [
        subprocess.Popen(words, stdin=_NULL, stdout=_NULL, stderr=_NULL, env=environment) for _ in range(count)
    ]
    failed = sum(each.wait(180) != 0 for each in running_now)
    return f"{failed} failed" if failed else f"{(time.perf_counter() - began) * 1000:.0f}"
