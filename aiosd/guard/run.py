"""Running what was allowed: programs in warm read-only workers, everything else in a sandbox of its own.

Output is read as it comes, passed on up to a bound and counted beyond it; a command whose output nobody takes is held
up, not buffered. When `run_*` returns, nothing of the action runs any more: the worker has ended what it left behind
before it reports, and only then is the rest of the output read, so a background child that kept the pipe hangs nobody.
"""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiosd import sandbox
from aiosd.audit.records import Done, Outcome
from aiosd.guard.bus import BusProxy, runs_systemd
from aiosd.guard.clock import Clock
from aiosd.guard.host import find_remedy
from aiosd.guard.keeper import Keeper
from aiosd.guard.observations import OBSERVATIONS
from aiosd.guard.observe import ObserveAction, find_argv
from aiosd.guard.request import Request
from aiosd.guard.root import RootUnit, RootUnits
from aiosd.guard.running import Running
from aiosd.guard.sessions import GuardSession
from aiosd.guard.settings import LiveSettings
from aiosd.guard.stages import render_stages, skips
from aiosd.guard.streams import Output, Tell, open_input
from aiosd.guard.violations import Why
from aiosd.guard.workers import Workers
from aiosd.policy.folders import Folders
from aiosd.policy.program import Pipeline, Program, Simple, Word
from aiosd.policy.verdict import FetchAction, Verdict
from aiosd.sandbox.file_tools import FOREIGN
from aiosd.sandbox.link import Link, SandboxError, WorkingDirectoryError
from aiosd.sandbox.profile import Profile, ProfileError, ProfileName, render_environment
from aiosd.types import Facet, JsonObject

_DRAIN_S = 5.0
_LOOK_S = 20
JOB_OUTPUT_BYTES = 64 * 1024 * 1024  # of a command in the background, which goes to a file
# They ask again what a person or a rule has just answered, and take the end of their input for a no. Enter is each
# question's own default, as with --noconfirm: yes to going on, no to what is out of the ordinary.
_ASK_AGAIN = frozenset({"pacman", "apt", "apt-get"})
_ENTER, _MOST_QUESTIONS = b"\n", 64
_FETCH = Path(sandbox.__file__).with_name("fetch.py")
_SHELL = ("/bin/bash", "--norc", "--noprofile", "-c", "--")  # --: a line may begin with a dash

Environment = tuple[tuple[str, str], ...]


class CannotLookError(Exception):
    """What a command stands on cannot be seen as its user sees it; why is in the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an action ended. `status` is -1 where there is no exit status; `foreign`: it was given files of others."""

    outcome: Outcome
    status: int = -1
    reason: str = ""
    duration_ms: int = 0
    output_bytes: int = 0
    truncated: bool = False
    foreign: bool = False


class Runner:
    """Runs allowed actions."""

    def __init__(
        self, *, live: LiveSettings, workers: Workers, bus: BusProxy, root: RootUnits | None, running: Running
    ) -> None:
        self._running = running
        self._live = live
        self._workers = workers
        self._bus = bus
        self._root = root

    def use_folders(self, folders: Folders) -> None:
        """Hold what runs to these folder policies from now on."""
        self._workers.use_folders(folders)

    @property
    def landlock(self) -> int:
        """The version that the kernel has of the second wall."""
        return self._workers.host.landlock

    async def ensure(self, session: GuardSession) -> None:
        """SandboxError where nothing of this session could be confined."""
        await self._workers.ensure(session.identity)

    async def run_program(
        self,
        session: GuardSession,
        profiles: tuple[Profile, ...],
        program: Program,
        *,
        cwd: str,
        environment: Environment,
        timeout_s: int,
        tell: Tell,
        content: bytes = b"",
        egress: int = -1,
        alone: bool = False,
        clock: Clock | None = None,
        keep: Keeper | None = None,
    ) -> Ended:
        """Run a recognised line, each pipeline in the session's worker for its view. The status is the last one's."""
        why = Why(profiles[0], self._workers.folders, session.identity.home, cwd, served=egress >= 0)

        async def act(fds: tuple[int, int, int]) -> int:
            status = 0
            for at, (pipeline, profile) in enumerate(zip(program.pipelines, profiles, strict=True), 1):
                if skips(pipeline.joiner, status):
                    continue
                async with self._open(session, profile, cwd=cwd, egress=egress, alone=alone) as link:
                    # A view of listed folders holds no working directory; what is asked there depends on none.
                    where = "/" if link.sees_white_list else cwd
                    if keep:
                        keep.begin(link, last=at == len(profiles))
                    status = await link.run(("run", render_stages(pipeline), where, environment), fds)
                    why.over_memory = why.over_memory or link.over_memory
                    why.foreign = why.foreign or link.foreign
            return status

        return await self._perform(
            act, timeout_s=timeout_s, tell=tell, content=content, why=why, alone=alone, clock=clock, keep=keep
        )

    async def look(self, session: GuardSession, program: Program) -> tuple[str, ...]:
        """The lines that `program`, of ours, prints in the session's closed view. CannotLookError where it cannot."""
        return tuple(sorted((await self._show(session, program)).decode("utf-8", "surrogateescape").splitlines()))

    async def read_file(self, session: GuardSession, path: str) -> bytes | None:
        """A plain file as the session's user sees it; None where there is none. CannotLookError where it cannot."""
        argv = tuple(Word(text=text) for text in ("head", "-c", "65537", "--", path))
        return await self._show(session, Program(pipelines=(Pipeline(stages=(Simple(argv=argv),)),))) or None

    async def _show(self, session: GuardSession, program: Program) -> bytes:
        """What `program`, of ours, prints in the session's closed view."""
        said: list[bytes] = []

        async def tell(event: JsonObject) -> None:
            if event["stream"] == "stdout":
                said.append(base64.b64decode(str(event["data"])))

        profiles = tuple(Profile(name=ProfileName.READ_ONLY) for _ in program.pipelines)
        user, home = session.identity.user, session.identity.home
        environment = render_environment(profiles[0], user=user, home=home)
        ended = await self.run_program(
            session, profiles, program, cwd="/", environment=environment, timeout_s=_LOOK_S, tell=tell
        )
        if ended.outcome not in (Outcome.DONE, Outcome.FAILED):
            raise CannotLookError(ended.reason)
        return b"".join(said)

    async def run_shell(
        self,
        session: GuardSession,
        profile: Profile,
        verdict: Verdict,
        *,
        cwd: str,
        environment: Environment,
        timeout_s: int,
        tell: Tell,
        content: bytes = b"",
        egress: int = -1,
        alone: bool = False,
        keep: Keeper | None = None,
    ) -> Ended:
        """Run a line that may change something: a plain command as its argv, else exactly its bytes under bash."""
        argv = (verdict.program and verdict.program.plain_argv()) or (*_SHELL, verdict.line)
        answers = _ENTER * _MOST_QUESTIONS if profile.name is ProfileName.ROOT and argv[0] in _ASK_AGAIN else b""
        words = tuple((word, None, False) for word in argv)
        packet = ("run", ((words, ()),), cwd, environment)
        why = Why(profile, self._workers.folders, session.identity.home, cwd)

        async def act(fds: tuple[int, int, int]) -> int:
            if profile.name is ProfileName.ROOT:
                if keep:
                    keep.begun.set()
                async with self._unit(session, profile) as unit:
                    return await self._as_root().run(argv, unit, cwd=cwd, environment=environment, fds=fds)
            async with self._open(session, profile, cwd=cwd, egress=egress, alone=alone) as link:
                if keep:
                    keep.begin(link, last=True)
                status = await link.run(packet, fds)
                why.over_memory, why.foreign = link.over_memory, link.foreign
                return status

        return await self._perform(
            act, timeout_s=timeout_s, tell=tell, content=content or answers, why=why, alone=alone, keep=keep
        )

    async def run_tool(
        self,
        session: GuardSession,
        profile: Profile,
        tool: tuple[str, dict[str, Any], bytes],
        environment: Environment,
        *,
        timeout_s: int,
        tell: Tell,
    ) -> Ended:
        """Run a file tool: name, arguments, and what it reads from standard input."""
        name, arguments, content = tool
        packet = ("tool", name, arguments, "/", environment)
        why = Why(profile, self._workers.folders, session.identity.home, "/", explains=False)

        async def act(fds: tuple[int, int, int]) -> int:
            if profile.name is ProfileName.ROOT:
                argv = self._as_root().render_tool(name, arguments)
                async with self._unit(session, profile) as unit:
                    status = await self._as_root().run(argv, unit, cwd="/", environment=environment, fds=fds)
            else:
                async with self._open(session, profile, tool=True) as link:
                    status = await link.run(packet, fds)
            why.foreign = status == FOREIGN
            return 0 if why.foreign else status

        return await self._perform(act, timeout_s=timeout_s, tell=tell, content=content, why=why)

    async def run_fetch(
        self, request: Request, action: FetchAction, profile: Profile, environment: Environment, tell: Tell
    ) -> Ended:
        """Read a page. The program that does is ours, handed over on its standard input, and runs inside."""
        offset = str(dict(request.arguments).get("offset", 0))
        argv = (self._workers.host.interpreter, "-I", "-S", "-", action.url, offset)
        stage = Simple(argv=tuple(Word(text=text) for text in argv))
        return await self.run_program(
            request.session,
            (profile,),
            Program(pipelines=(Pipeline(stages=(stage,)),)),
            cwd="/",
            environment=environment,
            timeout_s=request.timeout_s,
            tell=tell,
            content=_FETCH.read_bytes(),
            egress=request.egress,
        )

    async def run_observation(
        self, action: ObserveAction, environment: Environment, *, timeout_s: int, tell: Tell
    ) -> Ended:
        """Look, as root. A status that is none of trouble counts as 0."""
        try:
            argv = find_argv(action, dict(environment)["PATH"])
        except FileNotFoundError as exc:
            return Ended(outcome=Outcome.REFUSED, reason=f"this machine has no {exc}")

        async def act(fds: tuple[int, int, int]) -> int:
            root = self._as_root()
            status = await root.run(argv, root.name(), cwd="/", environment=environment, fds=fds)
            return 0 if status in OBSERVATIONS[action.what].fine else status

        return await self._perform(act, timeout_s=timeout_s, tell=tell)

    def _as_root(self) -> RootUnits:
        if self._root is None:
            raise SandboxError("this guard runs nothing as root")
        return self._root

    @asynccontextmanager
    async def _unit(self, session: GuardSession, profile: Profile) -> AsyncIterator[RootUnit]:
        """A unit in the session's slice, which can be stopped in its tracks while it runs."""
        async with self._workers.slices.of(session.id) as name:
            unit = self._as_root().name(name, profile.writes)
            with self._running.holding(session, unit.freeze):
                yield unit

    @asynccontextmanager
    async def _open(
        self,
        session: GuardSession,
        profile: Profile,
        *,
        cwd: str = "/",
        tool: bool = False,
        egress: int = -1,
        alone: bool = False,
    ) -> AsyncIterator[Link]:
        if Facet.BUS in profile.facets and not runs_systemd():
            # There is nothing to see, which the closed view shows truthfully: systemctl says so itself.
            profile = replace(profile, facets=profile.facets - {Facet.BUS})
        elif Facet.BUS in profile.facets:
            self._workers.use_bus_proxy(await self._bus.path())
        if profile.name is ProfileName.READ_ONLY and not alone:
            opened = self._workers.warm(session.id, session.identity, profile)
        else:
            opened = self._workers.fresh(session.identity, profile, session=session.id, cwd=cwd, tool=tool)
        async with opened as link:
            if profile.network:
                link.hand_over(egress, json.dumps({"granted": profile.network}).encode())
            with self._running.holding(session, link.freeze):
                await session.files.bring(link)
                yield link
                await session.files.fetch(link, self._live.now.session_files_mib * 1024 * 1024)

    async def _perform(
        self,
        act: Callable[[tuple[int, int, int]], Awaitable[int]],
        *,
        timeout_s: int,
        tell: Tell,
        content: bytes = b"",
        why: Why | None = None,
        alone: bool = False,
        clock: Clock | None = None,
        keep: Keeper | None = None,
    ) -> Ended:
        loop = asyncio.get_running_loop()
        began = loop.time()
        most = JOB_OUTPUT_BYTES if alone else self._live.now.output_bytes
        output = Output(most, tell)
        try:
            status = await self._act(act, output, (clock or Clock()).running(timeout_s), content, keep)
            reason = why.explain(output.complaint, self._live.now.limits.command_memory_mib) if status and why else ""
            ended = Ended(outcome=Outcome.DONE if status == 0 else Outcome.FAILED, status=status, reason=reason)
        except TimeoutError:
            ended = Ended(outcome=Outcome.TIMED_OUT, reason=f"ended after {timeout_s} s")
        except WorkingDirectoryError as exc:
            reason = f"the working directory cannot be entered ({exc}): name another cwd"
            ended = Ended(outcome=Outcome.REFUSED, reason=reason)
        except (SandboxError, ProfileError) as exc:
            ended = Ended(outcome=Outcome.REFUSED, reason=render_trouble(exc))
        return replace(
            ended,
            duration_ms=round((loop.time() - began) * 1000),
            output_bytes=output.total,
            truncated=output.total > most,
            foreign=why is not None and why.foreign,
        )

    async def _act(
        self,
        act: Callable[[tuple[int, int, int]], Awaitable[int]],
        output: Output,
        deadline: AbstractAsyncContextManager[None],
        content: bytes,
        keep: Keeper | None,
    ) -> int:
        standard_input = open_input(content)
        out, out_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        err, err_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for end in (out_end, err_end):
            os.set_blocking(end, True)
        if keep:
            keep.take_pipes(out, err)
        ends = [standard_input, out_end, err_end]
        status, failure = -1, None
        try:
            async with asyncio.TaskGroup() as group:
                pumps = [group.create_task(output.pump(out, "stdout")), group.create_task(output.pump(err, "stderr"))]
                try:
                    async with deadline:
                        status = await act((standard_input, out_end, err_end))
                except (TimeoutError, SandboxError, ProfileError) as exc:
                    failure = exc
                finally:
                    while ends:
                        os.close(ends.pop())
                    _done, late = await asyncio.wait(pumps, timeout=_DRAIN_S)
                    for pump in late:
                        pump.cancel()
        finally:
            os.close(out)
            os.close(err)
        if failure is not None:
            raise failure
        return status


def render_trouble(error: SandboxError | ProfileError) -> str:
    """Why there is no sandbox, and what to do."""
    return "; ".join(filter(None, (f"no sandbox: {error}", find_remedy(str(error)))))


def render_done(request: Request, verdict: Verdict, ended: Ended) -> Done:
    """How an action ended, as it goes on the record."""
    principal = request.session.principal
    return Done(
        session=request.session.id,
        call=request.call,
        uid=principal.uid,
        user=principal.user,
        tier=verdict.tier,
        outcome=ended.outcome,
        status=ended.status,
        duration_ms=ended.duration_ms,
        output_bytes=ended.output_bytes,
        truncated=ended.truncated,
        reason=ended.reason,
    )
