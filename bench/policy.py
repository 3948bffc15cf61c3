"""Decisions: one, many through `aios policy check --batch`, and the costliest inputs of 64 KiB.

Lines are the corpus of the tests. The floor of a batch is a process that reads and writes JSON and decides nothing.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from aiosd.policy import CommandAction, Policy, load_policy
from aiosd.types import Principal
from tests.unit.policy.corpus import read_corpus

ROOT = Path(__file__).parents[1]
_DEFAULTS = ROOT / "aiosd" / "policy" / "defaults"
_WHO = Principal(uid=1000, gid=1000, user="alice", home="/home/alice", groups=("alice",))
_SIZE = 65_500
_BATCH = 10_000
_AIOS = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from aiosd.cli.main import main; main()"
_ECHO = (
    "import json,sys\nfor line in sys.stdin.buffer: print(json.dumps({'id': json.loads(line)['id'], 'decision': ''}))"
)
# What costs most of each kind: repeated to 64 KiB.
_COSTLY = (
    *(
        "a ",
        "a;",
        "a&",
        "$",
        "'a' ",
        '"',
        "\\",
        "{",
        "*",
        "(",
        "`",
        ">",
        "> a ",
        "a=b ",
        "env ",
        "sudo ",
        "/../",
        "-rf ",
    ),
    *("=cd a;", "echo cd a;(){", "rm -rf ls | echo ", "{a,b} cd a;", "./0* ", "x=1 ", "2>", "a > /b "),
    *("$x; rm -rf / ", "sh -c 'a' ", "find . -exec rm ", "cat <<E\nrm x\n", "$(", "a|xargs ", "'a'", "ls '*'*"),
)

_COUNTED = (
    ("rm -rf ", "./{}* "),
    ("env ", "--x{}=/ kill -9 ./{}* * "),
    ("cat x | xargs rm ", "a{} * ~/"),
    ("rm -rf / ", "=#> /a{} $"),
    ("git ", "--x{}=/ >& /"),
)


def measure(rounds: int) -> str:
    """Run it; the table."""
    policy = load_policy([_DEFAULTS], owner_uids=frozenset({_DEFAULTS.stat().st_uid}))
    lines = [judged.line for name in ("benign", "harmful", "evasions") for judged in read_corpus(name)]
    one = [_time(policy, line) for _ in range(max(rounds // 10, 1)) for line in lines]
    costly = {text: min(_time(policy, (text * _SIZE)[:_SIZE]) for _ in range(3)) for text in _COSTLY}
    for begin, unit in _COUNTED:
        costly[f"{begin}{unit}"] = min(_time(policy, _counted(begin, unit)) for _ in range(3))
    slowest = max(costly, key=lambda text: costly[text])
    batch, floor = (_batch([line for line in lines if "\0" not in line], code) for code in (_AIOS, _ECHO))
    rows = (
        ("one decision, median", f"{statistics.median(one) * 1e6:.0f} µs", "≤ 200 µs"),
        ("one decision, of 100 the slowest", f"{statistics.quantiles(one, n=100)[-1] * 1e6:.0f} µs", ""),
        ("64 KiB, the costliest of all kinds", f"{costly[slowest] * 1e3:.0f} ms ({slowest!r})", "≤ 50 ms"),
        ("policy check --batch, lines a second", f"{batch:.0f}", "≥ 5000"),
        ("the same JSON read and written alone", f"{floor:.0f}", "(floor)"),
    )
    return "".join(f"{name:40} {figure:>20}   {goal}\n" for name, figure, goal in rows)


def _counted(begin: str, unit: str) -> str:
    """The unit again and again, with another number each time."""
    return (begin + "".join(unit.format(number, number) for number in range(_SIZE // len(unit))))[:_SIZE]


def _time(policy: Policy, line: str) -> float:
    """Seconds of processor time, so that what else runs does not count."""
    began = time.process_time()
    policy.evaluate(CommandAction(line=line, cwd="/home/alice"), _WHO)
    return time.process_time() - began


def _batch(lines: list[str], code: str) -> float:
    """Lines a second of processor time of one process, its start included."""
    asked = "".join(
        f"{json.dumps({'id': at, 'command': lines[at % len(lines)], 'cwd': '/tmp'})}\n" for at in range(_BATCH)
    )
    words = ["policy", "check", "--batch"] if code is _AIOS else []
    before = os.times()
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *words], input=asked, capture_output=True, text=True, check=True
    )
    after = os.times()
    took = after.children_user + after.children_system - before.children_user - before.children_system
    assert ran.stdout.count("\n") == _BATCH
    return _BATCH / took
