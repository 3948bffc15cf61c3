"""Commands in the background: begun like any other, and going on after whoever began them has left.

A job is decided, asked about, confined, limited and recorded as every command is; it has a sandbox of its own, so that
the session's next command need not wait for it. Its output goes to a file without a name, both streams as they come,
and can be read in pieces. With a service manager it outlives this guard (`keep`); else it ends with it, as all commands
do. A list of those that ended is kept for a while.
"""

import asyncio
import base64
import contextlib
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from aiosd.audit.log import AuditError
from aiosd.audit.records import Done, Outcome
from aiosd.guard.door import Door
from aiosd.guard.keep import Kept
from aiosd.guard.keeper import Keeper
from aiosd.guard.ledger import Ledger
from aiosd.guard.request import Request, Result
from aiosd.guard.run import JOB_OUTPUT_BYTES, Ended
from aiosd.guard.running import Running
from aiosd.guard.sessions import GuardSession
from aiosd.policy import CommandAction
from aiosd.types import CallId, JsonObject, Tier

_MOST_RUNNING, _MOST_KEPT = 16, 64
_BEGIN_S = 20
_MOST_FOUND = 1000  # lines
_PIECE = 256 * 1024

Tell = Callable[[JsonObject], Awaitable[None]]


class TooManyJobsError(Exception):
    """The user has as many jobs as may run at once."""


@dataclass(slots=True, kw_only=True)
class Job:
    """One job. `result` is there when it has ended; `size` is what of its output was kept."""

    id: str
    request: Request
    output: int
    began_at: str
    size: int = 0
    result: Result | None = None
    keeper: Keeper | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def uid(self) -> int:
        """Whose it is."""
        return self.request.session.principal.uid

    def render(self) -> JsonObject:
        """As it is listed."""
        result = self.result
        return {
            "id": self.id,
            "session": self.request.session.id,
            "user": self.request.session.principal.user,
            "command": self.request.text,
            "cwd": self.request.cwd,
            "began_at": self.began_at,
            "state": result.outcome if result else "running",
            "status": result.status if result else -1,
            "reason": result.reason if result else "",
            "output_bytes": self.size,
            "foreign": bool(result and result.foreign),
        }


class Jobs:
    """All jobs of this guard. Their tasks run in `background`, which the guard's root owns.

    `keeps`: whether there is a service manager to leave them with.
    """

    def __init__(
        self, door: Door, background: asyncio.TaskGroup, *, ledger: Ledger, running: Running, keeps: bool
    ) -> None:
        self._door = door
        self._ledger = ledger
        self._running = running
        self._keeps = keeps
        self._background = background
        self._jobs: dict[str, Job] = {}

    async def start(self, request: Request, tell: Tell) -> Job:
        """Begin a job; returns when it runs, or has ended without. `tell` hears what is decided and asked until then.

        Cancelling before it runs ends it. Raises TooManyJobsError.
        """
        running = [job for job in self._jobs.values() if job.uid == request.session.principal.uid and not job.result]
        if len(running) >= _MOST_RUNNING:
            raise TooManyJobsError(f"{_MOST_RUNNING} jobs of yours run already; end one, or wait for it")
        with tempfile.TemporaryFile() as file:
            output = os.dup(file.fileno())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        job = Job(id=secrets.token_hex(4), request=request, output=output, began_at=now)
        if self._keeps:
            job.keeper = Keeper(job.id, output, _render_facts(request, now))
        job.request = replace(request, begun=job.begun.set, background=True, egress=-1, keep=job.keeper)
        self._jobs[job.id] = job
        job.task = self._background.create_task(self._run(job, tell))
        try:
            await job.begun.wait()
        except asyncio.CancelledError:
            job.task.cancel()
            raise
        return job

    def go_on(self, kept: Kept, session: GuardSession) -> None:
        """Take up a job that an earlier guard left, of a session as its person is now."""
        facts = {name: str(value) for name, value in kept.facts.items()}
        request = Request(
            session=session,
            call=CallId(facts["call"]),
            action=CommandAction(line=facts["command"], cwd=facts["cwd"]),
            timeout_s=int(facts["timeout_s"]),
        )
        size = os.fstat(kept.output).st_size
        job = Job(id=kept.id, request=request, output=kept.output, began_at=facts["began_at"], size=size)
        job.begun.set()
        job.keeper = Keeper(job.id, job.output, kept.facts)
        job.keeper.left = True
        job.keeper.begun.set()
        self._jobs[job.id] = job
        job.task = self._background.create_task(self._follow(job, kept))

    @property
    def running(self) -> int:
        """How many run."""
        return sum(job.result is None for job in self._jobs.values())

    async def leave(self) -> bool:
        """End what does not outlive this guard; whether there is what does, which must not be cancelled then."""
        for job in self._jobs.values():
            if job.keeper and job.begun.is_set() and not job.result:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_BEGIN_S):  # it was told to have begun; its sandbox is being made
                        await job.keeper.begun.wait()
        left = [job for job in self._jobs.values() if job.keeper and job.keeper.left and not job.result]
        for job in self._jobs.values():
            if job not in left:
                await self.kill(job)
        return bool(left)

    def find(self, identity: str) -> Job | None:
        """A job by its id."""
        return self._jobs.get(identity)

    def of(self, *, uid: int | None, session: str = "") -> list[Job]:
        """The jobs of a uid (None: everybody's), of one session if it is named, oldest first."""
        return [
            job for job in self._jobs.values() if uid in (None, job.uid) and session in ("", job.request.session.id)
        ]

    async def kill(self, job: Job) -> None:
        """End it, and wait until it has."""
        if job.task is not None and not job.ended.is_set():
            job.task.cancel()
            await job.ended.wait()

    async def await_end(self, job: Job, wait_s: float) -> None:
        """Return when it has ended, or after `wait_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await job.ended.wait()

    def read(self, job: Job, *, offset: int, limit: int) -> bytes:
        """A piece of its output."""
        return os.pread(job.output, min(limit, _PIECE), offset)

    def grep(self, job: Job, text: str) -> list[str]:
        """The lines of its output that hold `text`, numbered, the first thousand."""
        wanted, found = text.encode("utf-8", "surrogateescape"), list[str]()
        rest, number, offset = b"", 0, 0
        while (piece := os.pread(job.output, _PIECE, offset)) and len(found) < _MOST_FOUND:
            offset += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                number += 1
                if wanted in line:
                    found.append(f"{number}:{line.decode('utf-8', 'replace')}")
        if rest and wanted in rest:
            found.append(f"{number + 1}:{rest.decode('utf-8', 'replace')}")
        return found[:_MOST_FOUND]

    async def _follow(self, job: Job, kept: Kept) -> None:
        """See a job of an earlier guard to its end, and record that."""

        async def hear(event: JsonObject) -> None:
            _keep_output(job, event)

        session = job.request.session
        ended = Ended(outcome=Outcome.CANCELLED, reason="ended by a person")
        try:
            with self._running.acting(session), self._running.holding(session, kept.adopted.freeze):
                try:
                    ended = await kept.follow(hear)
                except asyncio.CancelledError:
                    if not self._running.was_ended():
                        raise
        finally:
            reason = self._record(job, Tier(str(kept.facts["tier"])), ended)
            job.result = Result(outcome=ended.outcome.value, reason=reason, status=ended.status, foreign=ended.foreign)
            job.ended.set()
            self._forget()

    def _record(self, job: Job, tier: Tier, ended: Ended) -> str:
        session = job.request.session
        done = Done(
            session=session.id,
            call=job.request.call,
            uid=session.principal.uid,
            user=session.principal.user,
            tier=tier,
            outcome=ended.outcome,
            status=ended.status,
            duration_ms=ended.duration_ms,
            output_bytes=ended.output_bytes,
            truncated=ended.truncated,
            reason=ended.reason,
        )
        try:
            self._ledger.done(done)
        except AuditError as exc:
            return f"{ended.reason}; its end is not on the record yet: {exc}".lstrip("; ")
        return ended.reason

    async def _run(self, job: Job, tell: Tell) -> None:
        async def hear(event: JsonObject) -> None:
            if event["event"] == "output":
                _keep_output(job, event)
            elif not job.begun.is_set():
                await tell(event)

        result = Result(outcome="cancelled", reason="ended by a person")
        try:
            result = await self._door.execute(job.request, hear)
        except AuditError as exc:
            result = Result(outcome="refused", reason=f"nothing was run: {exc}")
        except OSError as exc:
            result = Result(outcome="cancelled", reason=f"its output cannot be kept: {exc.strerror}")
        finally:
            job.result = result
            if job.keeper:
                job.keeper.end()
                job.keeper.begun.set()
            job.begun.set()
            job.ended.set()
            self._forget()

    def _forget(self) -> None:
        ended = [job for job in self._jobs.values() if job.result is not None]
        for job in ended[: max(len(ended) - _MOST_KEPT, 0)]:
            os.close(job.output)
            del self._jobs[job.id]


def _keep_output(job: Job, event: JsonObject) -> None:
    data = base64.b64decode(str(event["data"]))[: max(JOB_OUTPUT_BYTES - job.size, 0)]
    os.pwrite(job.output, data, job.size)
    job.size += len(data)


def _render_facts(request: Request, began_at: str) -> JsonObject:
    """What another guard has to know of a job, but for how it is confined."""
    principal = request.session.principal
    return {
        "session": request.session.id,
        "call": request.call,
        "uid": principal.uid,
        "gid": principal.gid,
        "command": request.text,
        "cwd": request.cwd,
        "began_at": began_at,
    }
