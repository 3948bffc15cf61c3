"""One conversation: its event log and the turn now running.

A turn's outermost frame is here: whatever ends it becomes a `turn_failed` event and a row that says so, and the daemon
goes on. A client that goes away changes nothing; a turn ends by itself, by `cancel`, or with the daemon.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from aiosd import exits
from aiosd.agent.budget import Budget
from aiosd.agent.conversation import parse_message, render_message
from aiosd.agent.loop import Answered, Loop
from aiosd.agent.prompt import render_prompt
from aiosd.config import Live
from aiosd.errors import AiosError, NotFoundError, SessionBusyError, StorageError
from aiosd.guard.client import GuardClient
from aiosd.memory.transcripts import Transcripts, complete_calls
from aiosd.model.base import Message, Model, UserMessage
from aiosd.model.catalog import Models
from aiosd.session.events import EventLog
from aiosd.session.outlet import Outlet
from aiosd.session.waiting import Waiting, WaitingTurn
from aiosd.tools import ToolContext, all_tools
from aiosd.types import CallId, SessionId
from aiosd.wire import (
    ApprovalNeeded,
    CallDone,
    Event,
    Output,
    SessionStarted,
    TurnDone,
    TurnFailed,
    TurnState,
)
from aiosd.wire_talk import Notice

_LOG = logging.getLogger(__name__)
_MAX_ABOUT = 1000
_State = Literal["idle", "starting", "going", "cancelled", "leaving", "ending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What a turn needs of the daemon."""

    transcripts: Transcripts
    waiting: Waiting
    guard: GuardClient
    models: Models
    live: Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asks in a turn. `model` is asked from then on in the session; "" leaves the one it has."""

    prompt: str
    input: str
    cwd: str
    wait_s: int
    model: str = ""

    @property
    def about(self) -> str:
        """What was asked, for lists of it: the words, or where there are none what came on standard input."""
        return self.prompt if self.prompt.strip() else self.input[:_MAX_ABOUT].strip()

    @property
    def text(self) -> str:
        """The message: the words, and below them what came on standard input."""
        return f"{self.prompt}\n\n{self.input}".strip() if self.input else self.prompt


class Session:
    """A session of `uid`, in memory."""

    def __init__(self, rooms: Rooms, uid: int, session: SessionId, name: str, *, last_seq: int) -> None:
        self.uid = uid
        self.id = session
        self.name = name
        self.log = EventLog(
            rooms.transcripts,
            uid,
            session,
            last_seq=last_seq,
            keep=lambda: rooms.live.config.limits.events_per_session,
        )
        self.used_at = asyncio.get_running_loop().time()
        self._rooms = rooms
        self.task: asyncio.Task[None] | None = None
        self._state: _State = "idle"
        self._waits = False

    @property
    def running(self) -> bool:
        """Whether a turn runs, is about to, or has not told its end yet."""
        return self._state != "idle"

    async def start_turn(self, ask: Ask, group: asyncio.TaskGroup) -> int:
        """Start a turn in `group`; the cursor before its first event.

        SessionBusyError while another runs, StorageError when it cannot be stored; nothing has begun then.
        """
        if self.running:
            raise SessionBusyError(f"a turn runs in {self.name}", hint="wait for it, or cancel it")
        self._state = "starting"
        try:
            message = UserMessage(text=ask.text)
            after = self.log.last_seq
            model, gone = await self._choose_model(ask.model)
            turn = await self._rooms.transcripts.begin_turn(
                self.uid, self.id, ask.about, render_message(message), cwd=ask.cwd, wait_s=ask.wait_s
            )
        except BaseException:
            self._state = "idle"
            raise
        self.log.append(SessionStarted(name=self.name, turn=turn, model=model.info.name))
        if gone:
            self.log.append(Notice(text=f"the model {gone} is not there any more; {model.info.name} is", void=False))
        self.task = group.create_task(self._run(ask, turn))
        return after

    async def go_on(self, group: asyncio.TaskGroup) -> None:
        """Go on with the turn that was running when an earlier daemon died; nothing where none was."""
        begun = await self._rooms.transcripts.running_turn(self.uid, self.id)
        if begun is None or self.running:
            return
        turn, prompt, cwd, wait_s = begun
        self._state = "starting"
        self.task = group.create_task(self._run(Ask(prompt=prompt, input="", cwd=cwd, wait_s=wait_s), turn))

    async def _choose_model(self, wanted: str) -> tuple[Model, str]:
        """The model asked, from now on `wanted` where that is not "", and the name of the one before if it is gone."""
        if wanted:
            self._rooms.models.find(wanted)
        name = await self._rooms.transcripts.choose_model(self.uid, self.id, wanted)
        try:
            return self._rooms.models.find(name), ""
        except NotFoundError:
            return self._rooms.models.find(""), name

    @property
    def waits(self) -> bool:
        """Whether its turn waits for an answer to a card."""
        return self._waits

    def leave(self) -> None:
        """End the turn here, without an end: the daemon that comes next goes on with it."""
        if self.task is not None and self._state == "going":
            self._state = "leaving"
            self.task.cancel()

    def cancel(self) -> bool:
        """Interrupt the running turn; whether there was one, that nobody had interrupted before."""
        match self._state:
            case "starting":  # a task that is cancelled before its first step never takes one, and tells no end
                self._state = "cancelled"
                return True
            case "going" if self.task is not None:
                self._state = "cancelled"
                return self.task.cancel()
            case _:
                return False

    async def _run(self, ask: Ask, turn: int) -> None:
        """The turn, from its start to its last event, which is shown even where it cannot be stored. Raises nothing."""
        answer, state = "", "failed"
        last: TurnDone | TurnFailed
        try:
            if self._state == "cancelled":
                raise asyncio.CancelledError
            self._state = "going"
            answered = await self._run_loop(ask, turn)
            answer, state = answered.text, "done"
            last = TurnDone(exit_status=answered.exit_status, steps=answered.steps)
        except asyncio.CancelledError:
            if self._state == "leaving":
                await self.log.drain(then=self._settle)
                return
            state = "interrupted"
            last = _failed("interrupted", "interrupted", "continue the session when you like", exits.INTERRUPTED)
        except AiosError as exc:
            last = _failed(exc.code, exc.message, exc.hint, exc.exit_status)
        except Exception:  # noqa: BLE001 - a bug ends its turn, not the daemon
            fault = secrets.token_hex(4)
            _LOG.exception("a turn of session %s failed (%s)", self.id, fault)
            last = _failed("internal", f"an internal error ({fault})", "the daemon's log has it", exits.INTERNAL)
        self._state = "ending"
        self._note_waiting(None)
        try:
            await self._end(turn, answer, cast("TurnState", state), last)
        except StorageError as exc:
            _LOG.error("the end of a turn of session %s is not stored: %s", self.id, exc.message)
        except Exception:  # noqa: BLE001 - nor does a bug at its end
            _LOG.exception("the end of a turn of session %s failed", self.id)
        finally:
            self._settle()
            self.log.show_unstored()

    async def _run_loop(self, ask: Ask, turn: int) -> Answered:
        rooms, limits = self._rooms, self._rooms.live.config.agent
        budget = Budget(steps=limits.max_steps, tokens=limits.max_tokens, seconds=limits.max_seconds)

        async def store(messages: Sequence[Message]) -> None:
            await rooms.transcripts.append_messages(
                self.uid, self.id, turn, [render_message(each) for each in messages]
            )

        model, _gone = await self._choose_model("")
        loop = Loop(
            model=model,
            tools=all_tools(),
            system=render_prompt(),
            budget=budget,
            context=ToolContext(
                guard=rooms.guard,
                session=self.id,
                cwd=ask.cwd,
                wait_s=ask.wait_s,
                result_bytes=limits.result_bytes,
                emit=self._emit,
            ),
            store=store,
            log=Outlet(requests=rooms.transcripts.sent, live=rooms.live, uid=self.uid, session=self.id, turn=turn),
        )
        history = [parse_message(stored) for stored in await rooms.transcripts.messages(self.uid, self.id)]
        try:
            async with asyncio.timeout(limits.max_seconds), asyncio.TaskGroup() as group:
                draining = group.create_task(self.log.drain_forever())
                answered = await loop.run(history)
                draining.cancel()
        except TimeoutError as exc:
            raise budget.out_of_time() from exc
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return answered

    def _emit(self, event: Event) -> None:
        self.log.append(event)
        if isinstance(event, ApprovalNeeded):
            self._note_waiting(CallId(event.call))
        elif isinstance(event, CallDone | Output):
            self._note_waiting(None)

    def _note_waiting(self, call: CallId | None) -> None:
        if call is not None:
            self._rooms.waiting.add(WaitingTurn(uid=self.uid, session=self.id, call=call))
        elif self._waits:
            self._rooms.waiting.remove(self.uid, self.id)
        self._waits = call is not None

    async def _end(self, turn: int, answer: str, state: TurnState, last: TurnDone | TurnFailed) -> None:
        """Make the conversation whole, say how it ended, show it."""
        transcripts = self._rooms.transcripts
        self.log.append(last)
        missing = complete_calls(await transcripts.messages(self.uid, self.id))
        if missing:
            await transcripts.append_messages(self.uid, self.id, turn, missing)
        await transcripts.end_turn(self.uid, self.id, turn, answer=answer, state=state, exit_status=last.exit_status)
        await self.log.drain(then=self._settle)

    def _settle(self) -> None:
        """The turn is over: whoever sees its last event may ask again, and nobody before."""
        self._state = "idle"
        self.used_at = asyncio.get_running_loop().time()


def _failed(code: str, message: str, hint: str, exit_status: int) -> TurnFailed:
    return TurnFailed(code=code, message=message, hint=hint, exit_status=exit_status)
