"""Idle memory: daemon and guard together, after a question was answered and its sandboxes are gone."""

import subprocess
import time

from bench.places import PROGRAMS, children, folder, our_daemon, pss_kib

_GOAL_MIB = 80


def measure(_rounds: int) -> str:
    """Run it; the figures."""
    with folder() as place:
        (place / "etc").mkdir()
        (place / "etc" / "config.toml").write_text("[guard]\nworker_idle_s = 1\n", encoding="utf-8")
        with our_daemon(place) as (process, environment):
            subprocess.run(
                [str(PROGRAMS / "aios"), "ask", "how much memory is free?"],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
            )
            (guard,) = children(process.pid)
            deadline = time.monotonic() + 30
            while children(guard) and time.monotonic() < deadline:
                time.sleep(0.2)
            daemon_kib, guard_kib = pss_kib([process.pid]), pss_kib([guard])
    total = (daemon_kib + guard_kib) / 1024
    mark = "" if total <= _GOAL_MIB else "  MISSED"
    return (
        f"aiosd {daemon_kib / 1024:.1f} MiB, guard {guard_kib / 1024:.1f} MiB, together {total:.1f} MiB PSS"
        f" (goal ≤ {_GOAL_MIB}){mark}\n"
    )
