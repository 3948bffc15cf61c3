"""Commands in the background: begun like any other, and going on after whoever began them has left.

A job is decided, asked about, confined, limited and recorded as every command is; it has a sandbox of its own, so that
the session's next command need not wait for it. Its output goes to a file without a name, both streams as they come,
and can be read in pieces. It ends with the guard, as all commands do; a list of those that ended is kept for a while.
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
from aiosd.guard.door import Door
from aiosd.guard.request import Request, Result
from aiosd.guard.run import JOB_OUTPUT_BYTES
from aiosd.types import JsonObject

_MOST_RUNNING, _MOST_KEPT = 16, 64
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
    """All jobs of this guard. Their tasks run in `background`, which the guard's root owns."""

    def __init__(self, door: Door, background: asyncio.TaskGroup) -> None:
        self._door = door
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
        job.request = replace(request, begun=job.begun.set, background=True, egress=-1)
        self._jobs[job.id] = job
        job.task = self._background.create_task(self._run(job, tell))
        try:
            await job.begun.wait()
        except asyncio.CancelledError:
            job.task.cancel()
            raise
        return job

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

    def close(self) -> None:
        """Let go of everything: what runs is ended by who owns the tasks."""
        for job in self._jobs.values():
            if job.task is not None:
                job.task.cancel()

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

    async def _run(self, job: Job, tell: Tell) -> None:
        async def hear(event: JsonObject) -> None:
            if event["event"] == "output":
                data = base64.b64decode(str(event["data"]))[: max(JOB_OUTPUT_BYTES - job.size, 0)]
                os.pwrite(job.output, data, job.size)
                job.size += len(data)
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
            job.begun.set()
            job.ended.set()
            self._forget()

    def _forget(self) -> None:
        ended = [job for job in self._jobs.values() if job.result is not None]
        for job in ended[: max(len(ended) - _MOST_KEPT, 0)]:
            os.close(job.output)
            del self._jobs[job.id]
