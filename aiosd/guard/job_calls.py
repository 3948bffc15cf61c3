"""The interface's methods about jobs: their owner sees and ends them, root everybody's, aiosd those of a session."""

from collections.abc import Callable, Coroutine

from aiosd.guard.jobs import Job, Jobs
from aiosd.guard.varlink import Call, VarlinkError

_NAME = "io.aios.Guard"
_MOST_WAIT_S = 300


class JobCalls:
    """Binds them. `agent_uid` is aiosd's."""

    def __init__(self, jobs: Jobs, agent_uid: int) -> None:
        self._jobs = jobs
        self._agent_uid = agent_uid

    def methods(self) -> dict[str, Callable[[Call], Coroutine[None, None, None]]]:
        """By their names in the interface."""
        return {"ListJobs": self._list, "JobOutput": self._output, "WaitJob": self._wait, "KillJob": self._kill}

    async def _list(self, call: Call) -> None:
        session = call.optional_text("session")
        everybody = call.peer.uid == 0 or (call.peer.uid == self._agent_uid and bool(session))
        jobs = self._jobs.of(uid=None if everybody else call.peer.uid, session=session)
        await call.reply({"jobs": [job.render() for job in jobs]})

    async def _output(self, call: Call) -> None:
        job = self._find(call)
        if text := call.optional_text("grep", limit=1000):
            await call.reply({"job": job.render(), "text": "".join(f"{line}\n" for line in self._jobs.grep(job, text))})
            return
        offset = call.optional_integer("offset", default=0, least=0, most=1 << 40)
        limit = call.optional_integer("limit", default=65536, least=1, most=262_144)
        data = self._jobs.read(job, offset=offset, limit=limit)
        text = data.decode("utf-8", "replace")
        await call.reply({"job": job.render(), "text": text, "next": offset + len(data)})

    async def _wait(self, call: Call) -> None:
        job = self._find(call)
        wait_s = call.optional_integer("wait_s", default=60, least=0, most=_MOST_WAIT_S)
        await self._jobs.await_end(job, wait_s)
        await call.reply({"job": job.render()})

    async def _kill(self, call: Call) -> None:
        job = self._find(call)
        await self._jobs.kill(job)
        await call.reply({"job": job.render()})

    def _find(self, call: Call) -> Job:
        job = self._jobs.find(call.text("id"))
        uid, session = call.peer.uid, call.optional_text("session")
        if job is None or not (uid in (0, job.uid) or (uid == self._agent_uid and session == job.request.session.id)):
            raise VarlinkError(f"{_NAME}.NotPending", reason=f"there is no job {call.text('id')} of yours")
        return job
