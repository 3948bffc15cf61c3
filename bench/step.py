"""A further confined command inside a turn: loop, parse, policy, record, store and sandbox, against hardened bwrap.

The rooms are the daemon's own, the guard a real process; only the model is scripted: it proposes `true` each time, each
time with another word behind it, for what is repeated is not run.
"""

import asyncio
import itertools
import os
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiosd.config import Live, load_config
from aiosd.guard.child import end
from aiosd.guard.client import GuardClient
from aiosd.guard.spawn import GuardPlaces, GuardProcess
from aiosd.memory.transcripts import Transcripts
from aiosd.model.base import CallDelta, Delta, ModelInfo, ModelRequest, TextDelta, ToolCall
from aiosd.model.catalog import OneModel
from aiosd.session.manager import SessionManager
from aiosd.session.session import Rooms
from aiosd.session.turn import Ask
from aiosd.session.waiting import Waiting
from aiosd.systemd.activation import make_listener
from aiosd.types import CallId
from bench.floor_daemon import HARDENED
from bench.places import folder
from bench.timing import Timed, render_ratios

FLOOR = "hardened bwrap true"
_GOALS = {"a further command in a turn": 2.4}


class _Again:
    """Proposes `true N`, `count` times, one a step; notes when each step begins."""

    info = ModelInfo(name="again", provider="bench", description="", local=True)

    def __init__(self, count: int) -> None:
        self._count = count
        self.began: list[float] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        self.began.append(time.perf_counter())
        asked = sum(1 for message in request.messages if hasattr(message, "calls"))
        if asked < self._count:
            call = ToolCall(id=CallId(f"call-{asked}"), tool="bash", arguments={"command": f"true {asked}"})
            yield CallDelta(call=call)
        else:
            yield TextDelta(text="done\n")


def measure(rounds: int) -> str:
    """Run it; the table."""
    with folder() as place:
        steps = asyncio.run(_run(place, rounds))
    floor: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([*HARDENED, "true"], check=True)
        floor.append((time.perf_counter() - began) * 1000)
    timed = {
        FLOOR: Timed(name=FLOOR, times_ms=tuple(floor)),
        "a further command in a turn": Timed(name="step", times_ms=tuple(steps)),
    }
    return render_ratios(timed, floor=FLOOR, goals=_GOALS) + f"(the turn: {statistics.fmean(steps):.2f} ms a step)\n"


async def _run(place: Path, count: int) -> list[float]:
    run_dir = place / "aios"
    api = make_listener(str(run_dir / "aiosd.sock"))
    listener = make_listener(str(run_dir / "guard.sock"))
    places = GuardPlaces(run_dir=str(run_dir), state_dir=str(place / "guard"), api_socket=str(run_dir / "aiosd.sock"))
    guard = GuardProcess(places, listener)
    guard.start()
    model = _Again(count + 5)
    transcripts = Transcripts(place / "users")
    live = Live(load_config([], {"AIOS_AGENT__MAX_STEPS": str(count + 20)}))
    guarded = GuardClient(str(run_dir / "guard.sock"))
    waiting = Waiting(place / "waiting")
    rooms = Rooms(
        transcripts=transcripts, waiting=waiting, guard=guarded, models=OneModel(model), live=live, reveal=str
    )
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.TaskGroup() as group:
            manager = SessionManager(rooms, group)
            reader, writer = await asyncio.open_unix_connection(str(run_dir / "aiosd.sock"))
            accepted, _ = await loop.sock_accept(api)
            ask = Ask(prompt="again", input="", cwd="/", wait_s=0)
            session, _after = await manager.ask(
                os.geteuid(), ask, session="", newest=False, client_fd=accepted.fileno()
            )
            assert session.task is not None
            await session.task
            said = await transcripts.messages(os.geteuid(), session.id)
            outcomes = {each["outcome"] for each in said if each["role"] == "tool"}
            assert outcomes == {"done"}, outcomes  # or something else would be measured
            writer.close()
            accepted.close()
            del reader
    finally:
        transcripts.close()
        await end(guard)
        api.close()
    began = model.began[5:]
    return [(after - before) * 1000 for before, after in itertools.pairwise(began)][:count]
