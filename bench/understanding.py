"""What the built-in model adds: time to understand a question, time to read its data, the memory that holds it."""

import time
import tracemalloc

from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.understand import understand_all
from bench.timing import Timed
from tests.unit.builtin import everyday

_GOAL_MS = 5.0
_GOAL_MIB = 3.0


def measure(rounds: int) -> str:
    """Every phrasing of the tests, `rounds` times; the figures."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    knowledge = load_knowledge()
    held_mib = (tracemalloc.get_traced_memory()[0] - before) / 2**20
    tracemalloc.stop()
    began = time.process_time()
    load_knowledge()
    load_ms = (time.process_time() - began) * 1000
    asked = [
        question
        for intent in everyday.EVERYDAY
        for language in everyday.LANGUAGES
        for question in everyday.phrasings(intent, language)
    ]
    times_ms = []
    for question in asked * rounds:
        began = time.process_time()
        understand_all(question, knowledge)
        times_ms.append((time.process_time() - began) * 1000)
    timed = Timed(name="understanding", times_ms=tuple(times_ms))
    late_ms = sorted(times_ms)[len(times_ms) * 99 // 100]
    marks = ["" if late_ms <= _GOAL_MS else "  MISSED", "" if held_mib <= _GOAL_MIB else "  MISSED"]
    return (
        f"{len(asked)} questions: median {timed.median_ms:.2f} ms, 99 in 100 within {late_ms:.2f} ms of CPU"
        f" (goal ≤ {_GOAL_MS:g}){marks[0]}\n"
        f"its data: {load_ms:.0f} ms to read, once, with the first question; {held_mib:.1f} MiB held"
        f" (goal ≤ {_GOAL_MIB:g}){marks[1]}\n"
    )
