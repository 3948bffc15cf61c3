"""The rooms of a turn: real transcripts, a guard and a model that follow a script; nothing is left behind."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from aiosd.config import AgentTable, Config, LimitsTable, Live, Loaded
from aiosd.guard.client import GuardClient
from aiosd.guard.settings import GuardSettings
from aiosd.memory.transcripts import Transcripts
from aiosd.model.catalog import OneModel
from aiosd.session.manager import SessionManager
from aiosd.session.session import Rooms, Session
from aiosd.session.turn import Ask
from aiosd.session.waiting import Waiting
from tests.doubles.guard import ScriptedGuard
from tests.doubles.model import ScriptedModel, text
from tests.leaks import no_task_left, nothing_left

__all__ = ["guard", "no_task_left", "nothing_left", "stage", "transcripts"]

ANN, BOB = 7, 8


class GatedTranscripts(Transcripts):
    """Real transcripts whose thread can be held just before it stores events, as by a slow disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.open = threading.Event()
        self.open.set()
        self.waiting = asyncio.Event()

    async def append_events(self, *args: Any, **options: Any) -> None:
        """Store events when the gate is open."""
        if not self.open.is_set():
            self._store._thread.submit(self.open.wait)
            self.waiting.set()
        await super().append_events(*args, **options)


@dataclass(slots=True)
class Stage:
    """All sessions, as the daemon holds them."""

    transcripts: GatedTranscripts
    guard: ScriptedGuard
    model: ScriptedModel
    live: Live
    group: asyncio.TaskGroup
    sessions: SessionManager = field(init=False)

    def __post_init__(self) -> None:
        rooms = Rooms(
            transcripts=self.transcripts,
            waiting=Waiting(Path(self.guard.path).parent / "waiting"),
            guard=GuardClient(self.guard.path),
            models=OneModel(self.model),
            live=self.live,
            reveal=str,
        )
        self.sessions = SessionManager(rooms, self.group)

    def limit(self, *, agent: AgentTable | None = None, limits: LimitsTable | None = None) -> None:
        """Change the configuration in force."""
        config = self.live.config
        self.live.loaded = replace(
            self.live.loaded,
            config=replace(config, agent=agent or config.agent, limits=limits or config.limits),
        )

    async def begin(self, prompt: str = "?", *, uid: int = ANN, session: str = "", given: str = "") -> Session:
        """Start a turn."""
        ask = Ask(prompt=prompt, input=given, cwd="/", wait_s=0)
        found, _after = await self.sessions.ask(uid, ask, session=session, newest=False, client_fd=-1)
        return found

    async def begin_and_hold_the_end(self) -> Session:
        """A turn of three events of which the last one is on its way to the disk, and stays there."""
        last = asyncio.Event()
        self.model.says([text("ok"), last])
        session = await self.begin()
        await until(lambda: session.log.last_seq == 2)
        self.transcripts.open.clear()
        last.set()
        await self.transcripts.waiting.wait()
        return session

    async def ask(self, prompt: str = "?", *, session: str = "") -> list[tuple[int, str, str]]:
        """A whole turn: its events."""
        ask = Ask(prompt=prompt, input="", cwd="/", wait_s=0)
        found, after = await self.sessions.ask(ANN, ask, session=session, newest=False, client_fd=-1)
        return await read(found, after)


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; fail after a deadline."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


async def read(session: Session, after: int = 0) -> list[tuple[int, str, str]]:
    """The events after a cursor, to the end of the turn that runs."""
    async with asyncio.timeout(10):
        return [event async for event in session.log.read(after, running=lambda: session.running)]


@pytest.fixture
def transcripts(tmp_path: Path) -> Iterator[Transcripts]:
    """The transcripts of a new daemon."""
    made = Transcripts(tmp_path / "users")
    yield made
    made.close()


@pytest.fixture
async def guard(no_task_left: None, tmp_path: Path) -> AsyncIterator[ScriptedGuard]:
    """A guard at a socket of the test's own."""
    async with ScriptedGuard(path=str(tmp_path / "guard.sock")).serving() as made:
        yield made


@pytest.fixture
async def stage(guard: ScriptedGuard, tmp_path: Path) -> AsyncIterator[Stage]:
    """All sessions; what still runs at the end is interrupted."""
    live = Live(Loaded(config=Config(), guard=GuardSettings(), entries=()))
    gated = GatedTranscripts(tmp_path / "users")
    try:
        async with asyncio.TaskGroup() as group:
            made = Stage(transcripts=gated, guard=guard, model=ScriptedModel(), live=live, group=group)
            yield made
            gated.open.set()
            await made.sessions.stop(0)
    finally:
        gated.close()


@pytest.fixture
def stage_transcripts(tmp_path: Path) -> Iterator[GatedTranscripts]:
    """Transcripts whose thread can be held."""
    made = GatedTranscripts(tmp_path / "users")
    yield made
    made.open.set()
    made.close()
