"""What turns weigh: processor time and the most memory at once, over every process that takes part.

Memory is PSS, looked at every few milliseconds, so a peak between two looks is missed; processor time is what the
program and its children used (wait4(2)), and what the processes that serve it used meanwhile (proc(5)).
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.places import children, pss_kib

_LOOK_S = 0.005
_NULL = subprocess.DEVNULL
_TICKS = os.sysconf("SC_CLK_TCK")


def weigh(
    words: Sequence[str], environment: Mapping[str, str] | None, *, count: int, serving: Sequence[int] = ()
) -> tuple[float, float]:
    """`count` of them at once, served by the processes `serving`: seconds of processor time, MiB at the most."""
    before = sum(map(_ticks, _with_all_below(serving)))
    started = [subprocess.Popen(words, stdin=_NULL, stdout=_NULL, stderr=_NULL, env=environment) for _ in range(count)]
    left = {each.pid for each in started}
    own_s, most_kib = 0.0, 0
    while left:
        with suppress(OSError):
            most_kib = max(most_kib, pss_kib(_with_all_below([*left, *serving])))
        for pid in tuple(left):
            ended, _status, used = os.wait4(pid, os.WNOHANG)
            if ended:
                left.remove(pid)
                own_s += used.ru_utime + used.ru_stime
        time.sleep(_LOOK_S)
    for each in started:
        each.returncode = 0  # it was waited for here
    served = sum(map(_ticks, _with_all_below(serving))) - before
    return own_s + max(served, 0) / _TICKS, most_kib / 1024


def _with_all_below(pids: Sequence[int]) -> list[int]:
    found = list(dict.fromkeys(pids))
    for pid in found:  # which grows
        with suppress(OSError):
            found += [child for child in children(pid) if child not in found]
    return found


def _ticks(pid: int) -> int:
    """Processor time of a process and of its children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))
