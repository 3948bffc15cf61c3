"""Timing side by side: every round runs each case once, so that a busy moment hits all of them; medians and ratios."""

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """The times of one case, in milliseconds."""

    name: str
    times_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The median."""
        return statistics.median(self.times_ms)

    @property
    def best_ms(self) -> float:
        """The minimum."""
        return min(self.times_ms)


def time_cases(cases: Mapping[str, Callable[[], None]], *, rounds: int) -> dict[str, Timed]:
    """Run every case `rounds` times, in turn, after one round that does not count."""
    for case in cases.values():
        case()
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            began = time.perf_counter()
            case()
            times[name].append((time.perf_counter() - began) * 1000)
    return {name: Timed(name=name, times_ms=tuple(found)) for name, found in times.items()}


def command(*words: str, environment: Mapping[str, str] | None = None) -> Callable[[], None]:
    """A case that is a process, from its start to its end; it must succeed."""

    def run() -> None:
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True, env=environment)

    return run


def render_ratios(timed: Mapping[str, Timed], *, floor: str, goals: Mapping[str, float]) -> str:
    """A table: each case, its median and minimum, and how many times the floor it takes beside the goal."""
    out = f"{'':44} {'median ms':>10} {'min ms':>8} {'× floor':>8} {'goal':>7}\n"
    base = timed[floor].median_ms
    for name, each in timed.items():
        ratio = each.median_ms / base
        goal = goals.get(name)
        mark = "" if goal is None else f"≤ {goal:g}" + ("" if ratio <= goal else "  MISSED")
        out += f"{name:44} {each.median_ms:10.2f} {each.best_ms:8.2f} {ratio:8.2f} {mark:>7}\n"
    return out
