"""One conversation: its event log and the turn now running.

A turn's outermost frame is here: whatever ends it becomes a `turn_failed` event and a row that says so, and the daemon
goes on. A client that goes away changes nothing; a turn ends by itself, by `cancel`, or with the daemon.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from aiosd import exits
from aiosd.agent.budget import Budget
from aiosd.agent.conversation import parse_message, render_message
from aiosd.agent.loop import Answered
from aiosd.agent.prompt import find_facts
from aiosd.agent.summary import ROLE, parse_summary
from aiosd.config import Live
from aiosd.errors import AiosError, NotFoundError, SessionBusyError, StorageError, TurnTimeoutError
from aiosd.guard.client import GuardClient
from aiosd.memory.transcripts import Begun, Transcripts, parse_messages
from aiosd.model.base import Model, UserMessage
from aiosd.model.catalog import Models
from aiosd.sandbox.bundle import PLACE
from aiosd.session.belongings import Belongings
from aiosd.session.events import EventLog
from aiosd.session.turn import Ask, Turn
from aiosd.session.waiting import Waiting, WaitingTurn
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
_NEVER_S = 86_400
_State = Literal["idle", "starting", "going", "cancelled", "leaving", "ending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What a turn needs of the daemon. `reveal` reads a credential."""

    transcripts: Transcripts
    waiting: Waiting
    guard: GuardClient
    models: Models
    live: Live
    reveal: Callable[[str], str]
    mode: Literal["system", "standalone"] = "standalone"


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
        self._questions: dict[str, asyncio.Future[str]] = {}
        self._told = ""  # why what this turn says is in memory alone, once that was told
        self.new = False  # it was made by this daemon, of nothing
        self.unmatched = ""  # what the policy does with what no rule knows

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
            message = UserMessage(text=await self._attach(ask), pictures=ask.pictures)
            after = self.log.last_seq
            if ask.model:
                self._rooms.models.find(ask.model)
            begun = await self._rooms.transcripts.begin_turn(
                self.uid,
                self.id,
                ask.about,
                render_message(message),
                cwd=ask.cwd,
                wait_s=ask.wait_s,
                model=ask.model,
            )
        except BaseException:
            self._state = "idle"
            raise
        model = self._find_model(begun.model)
        self.log.append(SessionStarted(name=self.name, turn=begun.number, model=model.info.name))
        if begun.model not in ("", model.info.name):
            self.log.append(
                Notice(text=f"the model {begun.model} is not there any more; {model.info.name} is", void=False)
            )
        if ask.max_cost and not model.info.priced:
            text = (
                f"{model.info.name} has no price in the configuration: what it costs is not counted, and bounds nothing"
            )
            self.log.append(Notice(text=text, void=False))
        self._told = ""
        self._tell_trouble()
        self.task = group.create_task(self._run(ask, begun, model))
        return after

    async def _attach(self, ask: Ask) -> str:
        """Keep what came along; the question's text, with where that is. TooLargeError."""
        if not ask.files:
            return ask.text
        most = self._rooms.live.loaded.guard.session_files_mib * 1024 * 1024
        added = await self._rooms.transcripts.files.add(self.uid, self.id, ask.files, most=most)
        listed = "; ".join(f"{PLACE}/{each.path} ({each.bytes} bytes)" for each in added)
        return f"{ask.text}\n\n[attached: {listed}]".strip()

    def _tell_trouble(self) -> None:
        """Say that what is said is in memory alone, once in a turn."""
        why = self._rooms.transcripts.trouble(self.uid)
        if why and not self._told:
            self.log.append(
                Notice(text=f"what is said is kept in memory, as the disk takes nothing: {why}", void=False)
            )
        self._told = self._told or why

    async def go_on(self, group: asyncio.TaskGroup) -> None:
        """Go on with the turn that was running when an earlier daemon died; nothing where none was."""
        found = await self._rooms.transcripts.running_turn(self.uid, self.id)
        if found is None or self.running:
            return
        begun, prompt, cwd, wait_s = found
        self._state = "starting"
        self._waits = True  # it is noted on disk, also where its card has been answered meanwhile
        ask = Ask(prompt=prompt, input="", cwd=cwd, wait_s=wait_s)
        self.task = group.create_task(self._run(ask, begun, self._find_model(begun.model)))

    def _find_model(self, name: str) -> Model:
        """The model of that name, or the configured one where that is gone."""
        try:
            return self._rooms.models.find(name)
        except NotFoundError:
            return self._rooms.models.find("")

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

    async def _run(self, ask: Ask, begun: Begun, model: Model) -> None:
        """The turn, from its start to its last event, which is shown even where it cannot be stored. Raises nothing."""
        answer, state = "", "failed"
        last: TurnDone | TurnFailed
        try:
            if self._state == "cancelled":
                raise asyncio.CancelledError
            self._state = "going"
            answered = await self._run_loop(ask, begun, model)
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
            await self._end(begun.number, answer, cast("TurnState", state), last)
        except StorageError as exc:
            _LOG.error("the end of a turn of session %s is not stored: %s", self.id, exc.message)
        except Exception:  # noqa: BLE001 - nor does a bug at its end
            _LOG.exception("the end of a turn of session %s failed", self.id)
        finally:
            self._settle()
            self.log.show_unstored()

    async def _run_loop(self, ask: Ask, begun: Begun, model: Model) -> Answered:
        rooms, limits = self._rooms, self._rooms.live.config.agent
        seconds = min(limits.max_seconds, ask.timeout_s or limits.max_seconds)
        budget = Budget(steps=limits.max_steps, tokens=limits.max_tokens, seconds=seconds)
        belongings = Belongings(rooms.guard, rooms.transcripts.files, self.uid, self.id, self._emit)
        turn = Turn(
            uid=self.uid,
            session=self.id,
            number=begun.number,
            ask=ask,
            model=model,
            facts=find_facts(self.uid, mode=rooms.mode, unmatched=self.unmatched, memory=limits.notes),
            guard=rooms.guard,
            transcripts=rooms.transcripts,
            live=rooms.live,
            emit=self._emit,
            wait=lambda call, tell: self._ask_person(call, tell, ask.wait_s),
            reveal=rooms.reveal,
            keep=belongings.keep,
            put_files=belongings.begin,
            summariser=rooms.models.find(model.info.name),
        )
        told = parse_messages(begun.messages)
        history = [parse_message(stored) for stored in told if stored.get("role") != ROLE]
        summary = next(filter(None, map(parse_summary, reversed(told))), None)
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                draining = group.create_task(self.log.drain_forever())
                if not (self.new and begun.number == 1 and not ask.files):
                    await belongings.begin()
                answered = await turn.make_loop(budget).run(history, summary, planned=ask.carry_out)
                draining.cancel()
        except TimeoutError as exc:
            if seconds < limits.max_seconds:
                raise TurnTimeoutError(f"the turn took its {seconds} s", hint="give it more: --timeout") from exc
            raise budget.out_of_time() from exc
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        finally:
            await belongings.end()
        return answered

    async def _ask_person(self, call: CallId, tell: Callable[[], None], wait_s: int) -> str | None:
        """What the person says to a question that `tell` shows; None where nobody does."""
        future = self._questions[call] = asyncio.get_running_loop().create_future()
        tell()
        try:
            async with asyncio.timeout(min(wait_s or _NEVER_S, self._rooms.live.config.agent.question_wait_s)):
                return await future or None
        except TimeoutError:
            return None
        finally:
            del self._questions[call]

    def answer(self, call: str, text: str) -> bool:
        """The person says `text` to the question of `call` ("" is nobody there); whether it still waited."""
        future = self._questions.get(call)
        if future is None or future.done():
            return False
        future.set_result(text)
        return True

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
        """Say how it ended, show it."""
        self._tell_trouble()
        self.log.append(last)
        await self._rooms.transcripts.end_turn(
            self.uid, self.id, turn, answer=answer, state=state, exit_status=last.exit_status
        )
        await self.log.drain(then=self._settle)

    def _settle(self) -> None:
        """The turn is over: whoever sees its last event may ask again, and nobody before."""
        self._state = "idle"
        self.used_at = asyncio.get_running_loop().time()


def _failed(code: str, message: str, hint: str, exit_status: int) -> TurnFailed:
    return TurnFailed(code=code, message=message, hint=hint, exit_status=exit_status)
