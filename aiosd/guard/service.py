"""The guard's Varlink methods: who may call what, and nothing else; the rooms behind do the work.

aiosd (its uid, or in standalone mode the guard's own) may open sessions for the people whose sockets it hands over and
act in those; a person in their own. Approvals and the record are answered by the caller's uid alone.
"""

import base64
import json
import os
import pwd
from dataclasses import replace
from pathlib import Path

from aiosd import __version__
from aiosd.audit.log import AuditError, Query
from aiosd.audit.records import Kind
from aiosd.guard.approvals import Approvals, Approver
from aiosd.guard.connections import parse_connected
from aiosd.guard.diagnose import check_record, diagnose
from aiosd.guard.door import Door
from aiosd.guard.exported import parse_variables
from aiosd.guard.identity import ClientSockets, NotIdentifiedError, load_identity, load_principal
from aiosd.guard.job_calls import JobCalls
from aiosd.guard.jobs import Jobs, Tell, TooManyJobsError
from aiosd.guard.leases import Leases
from aiosd.guard.ledger import Ledger
from aiosd.guard.observations import OBSERVATIONS, OWN
from aiosd.guard.observe import ObserveAction, is_possible_name
from aiosd.guard.orders import Orders
from aiosd.guard.proposals import parse_arguments, parse_command, parse_most, parse_tool_action, render_result
from aiosd.guard.reach import ReachCalls
from aiosd.guard.request import Proposed, Request, Result
from aiosd.guard.running import Running
from aiosd.guard.sessions import GuardSession, SessionError, Sessions
from aiosd.guard.settings import LiveSettings
from aiosd.guard.varlink import Call, Interface, Peer, VarlinkError, invalid_parameter
from aiosd.guard.workers import CLOSED, Workers
from aiosd.policy.render import render_verdict
from aiosd.sandbox.link import Identity
from aiosd.sandbox.profile import ProfileName
from aiosd.types import CallId, JsonObject, Principal, SessionId, Tier

_NAME = "io.aios.Guard"
_MAX_CONTENT = 768 * 1024
_MOST_HELD = 256 * 1024 * 1024  # of all sessions
_MAX_HEADS = 2 * 1024 * 1024  # of the files of a session, beside the files
_MOST_OWN = 200  # records
_MOST_REVIEWED = 32


class Service:
    """Binds the rooms to the interface. `agent_uid` is aiosd's."""

    def __init__(
        self,
        *,
        door: Door,
        sessions: Sessions,
        approvals: Approvals,
        ledger: Ledger,
        leases: Leases,
        running: Running,
        jobs: Jobs,
        workers: Workers,
        clients: ClientSockets,
        live: LiveSettings,
        agent_uid: int,
        mode: str,
    ) -> None:
        self._door = door
        self._sessions = sessions
        self._approvals = approvals
        self._ledger = ledger
        self._workers, self._running = workers, running
        self.orders = Orders(running=running, approvals=approvals, leases=leases, ledger=ledger, live=live)
        self._jobs, self._job_calls = jobs, JobCalls(jobs, agent_uid)
        self._reach_calls = ReachCalls(door.reaching, lambda: door.policy_digest, agent_uid)
        self._clients = clients
        self._live = live
        self._agent_uid = agent_uid
        self._mode = mode

    def interface(self) -> Interface:
        """The interface as the server takes it."""
        return Interface(
            name=_NAME,
            description=Path(__file__).with_name(f"{_NAME}.varlink").read_text(encoding="utf-8"),
            methods={
                "OpenSession": self._open_session,
                "CloseSession": self._close_session,
                "PutFiles": self._put_files,
                "Evaluate": self._evaluate,
                "Execute": self._execute,
                "Invoke": self._invoke,
                "Observe": self._observe,
                "Review": self._review,
                "Connected": self._connected,
                "ListKept": self._list_kept,
                "Records": self._records,
                "Verify": self._verify,
                "Ping": self._ping,
                "Diagnose": self._diagnose,
                **self.orders.methods(),
                **self._job_calls.methods(),
                **self._reach_calls.methods(),
            },
            streaming=frozenset({"Execute", "Invoke", "Observe", "Reach", "Review"}),
        )

    async def _open_session(self, call: Call) -> None:
        principal, identity = await self._identify(call)
        try:
            session = self._sessions.open(call.optional_text("session"), principal, identity)
        except SessionError as exc:
            raise VarlinkError(f"{_NAME}.NoSession", reason=str(exc)) from exc
        if not self._running.why_stopped(session):
            self._workers.prepare(identity, CLOSED)
        await call.reply(
            {
                "session": session.id,
                "uid": principal.uid,
                "user": principal.user,
                "home": principal.home,
                "unmatched": self._door.unmatched,
            }
        )  # fmt: skip

    async def _put_files(self, call: Call) -> None:
        """What aiosd has stored of a session's files: in the file that comes along, the uploads before the rest."""
        if call.peer.uid != self._agent_uid or len(call.descriptors) != 1:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="only aiosd, which stores them, puts the files there")
        most = self._live.now.session_files_mib * 1024 * 1024 * 2 + _MAX_HEADS
        size = call.optional_integer("uploads", default=0, least=0, most=most)
        data = os.pread(call.descriptors[0], most + 1, 0)
        if len(data) > most:
            raise invalid_parameter("uploads")
        if self._sessions.held_bytes + len(data) > _MOST_HELD:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="the files of other sessions take all the room there is")
        self._session(call).files.put(data[:size], data[size:])

    async def _close_session(self, call: Call) -> None:
        session = self._session(call)
        self._sessions.close(session.id)
        await self._workers.release(session.id)

    async def _evaluate(self, call: Call) -> None:
        principal, identity = await self._identify(call)
        session = GuardSession(id=SessionId(f"check {principal.uid}"), principal=principal, identity=identity)
        tool = call.optional_text("tool")
        action = parse_tool_action(call) if tool else parse_command(call, cwd=call.optional_text("cwd") or "/")
        verdict, confinement = await self._door.judge(session, action)
        await call.reply({"verdict": render_verdict(verdict, confinement)})

    async def _execute(self, call: Call) -> None:
        await self._perform(call, self._read_execute(call))

    async def _invoke(self, call: Call) -> None:
        await self._perform(call, self._read_invoke(call))

    def _read_execute(self, call: Call) -> Request:
        content = call.optional_text("input", limit=_MAX_CONTENT).encode("utf-8", "surrogateescape")
        request = self._read(call, parse_command(call, cwd=call.text("cwd")), content=content)
        variables = parse_variables(call.parameters.get("variables") or {})
        if variables is None:
            raise invalid_parameter("variables")
        return replace(request, variables=variables)

    def _read_invoke(self, call: Call) -> Request:
        action = parse_tool_action(call)
        content = call.optional_text("content", limit=_MAX_CONTENT).encode("utf-8", "surrogateescape")
        return self._read(call, action, arguments=parse_arguments(call, action), content=content)

    async def _review(self, call: Call) -> None:
        given = call.parameters.get("proposals")
        if not isinstance(given, list) or not 1 < len(given) <= _MOST_REVIEWED:
            raise invalid_parameter("proposals")
        session = self._session(call).id
        each = [
            replace(call, parameters={**(one if isinstance(one, dict) else {}), "session": session}) for one in given
        ]
        requests = [self._read_invoke(one) if one.optional_text("tool") else self._read_execute(one) for one in each]

        async def tell(event: JsonObject) -> None:
            await call.reply(event, continues=True)

        await self._door.review(requests, tell)
        await call.reply({"event": "done"})

    def _read(
        self,
        call: Call,
        action: Proposed,
        *,
        arguments: tuple[tuple[str, str | int | bool], ...] = (),
        content: bytes = b"",
    ) -> Request:
        settings = self._live.now
        return Request(
            session=self._session(call),
            call=CallId(call.text("call", limit=100)),
            action=action,
            arguments=arguments,
            content=content,
            timeout_s=call.optional_integer(
                "timeout_s",
                default=settings.timeout_s,
                least=1,
                most=max(settings.max_timeout_s, settings.job_s if call.flag("background") else 0),
            ),
            wait_s=call.optional_integer("wait_s", default=0, least=0, most=86_400),
            claim=call.optional_text("claim", limit=2000),
            proposer=call.connection,
            profile=self._chosen_profile(call),
            egress=call.descriptors[0] if call.flag("egress") and call.descriptors else -1,
            most=parse_most(call),
            careful=call.optional_text("careful", limit=200),
        )

    async def _perform(self, call: Call, request: Request) -> None:
        async def tell(event: JsonObject) -> None:
            await call.reply(event, continues=True)

        if call.flag("background"):
            await self._begin_job(call, request, tell)
            return
        try:
            result = await self._door.execute(request, tell)
        except AuditError as exc:
            raise VarlinkError(f"{_NAME}.CannotRecord", reason=f"nothing was run: {exc}") from exc
        files = request.session.files
        for event in files.take_events():
            await call.reply(event, continues=True)
        reason, files.trouble = "; ".join(filter(None, (result.reason, files.trouble))), ""
        await call.reply(render_result(replace(result, reason=reason, volatile=self._ledger.trouble)))

    async def _begin_job(self, call: Call, request: Request, tell: Tell) -> None:
        longest = self._live.now.job_s
        request = replace(request, timeout_s=call.optional_integer("timeout_s", default=longest, least=1, most=longest))
        try:
            job = await self._jobs.start(request, tell)
        except TooManyJobsError as exc:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason=str(exc)) from exc
        result = job.result or Result(outcome="done", status=0, cwd=request.cwd)
        await call.reply({**render_result(result), "job": job.id})

    async def _observe(self, call: Call) -> None:
        action = ObserveAction(what=call.text("what"), name=call.optional_text("name", limit=255))
        if action.what in OWN:
            await self._show_own(call, action.what)
        elif is_possible_name(action):
            await self._perform(call, self._read(call, action))
        else:
            raise invalid_parameter("name" if action.what in OBSERVATIONS else "what")

    async def _show_own(self, call: Call, what: str) -> None:
        """What the session's person could ask for themself: nothing runs."""
        principal = self._session(call).principal
        if what == "approvals":
            found = [approval.card() for approval in self._approvals.pending(who=Approver(uid=principal.uid))]
        else:
            found = await self._ledger.read(Query(uid=principal.uid, limit=_MOST_OWN))
        lines = "".join(f"{json.dumps(entry)}\n" for entry in found).encode()
        data = base64.b64encode(lines).decode("ascii")
        await call.reply({"event": "output", "stream": "stdout", "data": data}, continues=True)
        await call.reply(render_result(Result(outcome="done", status=0, output_bytes=len(lines))))

    def _chosen_profile(self, call: Call) -> str:
        """The confinement that a person chooses for a command of their own; aiosd, which speaks for models, may not."""
        profile = call.optional_text("profile")
        if profile not in ("", ProfileName.READ_ONLY, ProfileName.WORKSPACE):
            raise invalid_parameter("profile")
        if profile and self._mode == "system" and call.peer.uid == self._agent_uid:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="only a person chooses how a command is confined")
        return profile

    async def _connected(self, call: Call) -> None:
        if call.peer.uid != self._agent_uid:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="only aiosd, whose proxy it is, tells of connections")
        record = parse_connected(call, self._session(call))
        try:
            self._ledger.connected(record)
        except AuditError as exc:
            raise VarlinkError(f"{_NAME}.CannotRecord", reason=str(exc)) from exc

    async def _list_kept(self, call: Call) -> None:
        if call.peer.uid != self._agent_uid:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="only aiosd goes on with what an aiosd proposed")
        if self._door.leaving:
            raise VarlinkError(f"{_NAME}.NotReady", reason="it ends; the next one knows")
        await call.reply({"kept": [{"session": session, "call": each} for session, each in self._door.kept()]})

    async def _records(self, call: Call) -> None:
        uid: int | None = call.peer.uid
        user = call.optional_text("user")
        if call.peer.uid == 0:
            uid = _find_uid(user) if user else None
        elif user and _find_uid(user) != call.peer.uid:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="the record of other users is for root")
        tier = call.optional_text("tier")
        if tier and tier not in set(map(str, Tier)):
            raise invalid_parameter("tier")
        kind = call.optional_text("kind")
        if kind and kind not in set(map(str, Kind)):
            raise invalid_parameter("kind")
        query = Query(
            session=call.optional_text("session"),
            tier=tier,
            kind=kind,
            uid=uid,
            since=call.optional_text("since"),
            until=call.optional_text("until"),
            limit=call.optional_integer("limit", default=100, least=1, most=1000),
        )
        await call.reply({"records": list(await self._ledger.read(query))})

    async def _verify(self, call: Call) -> None:
        if call.peer.uid not in (0, os.geteuid()):
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="checking the whole record is for root")
        await call.reply({"problems": list(await self._ledger.verify())})

    async def _ping(self, call: Call) -> None:
        peer = self._whose(call)
        await call.reply(
            {
                "version": __version__,
                "mode": self._mode,
                "sessions": len(self._sessions),
                "running": self._door.under_way,
                "volatile": self._ledger.trouble,
                "pending": len(self._approvals.pending(who=await self.orders.find_approver(peer))),
            }
        )

    async def _diagnose(self, call: Call) -> None:
        _principal, identity = await self._identify(call)
        own = str(call.connection.getsockname())
        checks = await diagnose(self._workers, identity, mode=self._mode, socket=own)
        await call.reply({"checks": [*checks, check_record(self._ledger.trouble)]})

    def _whose(self, call: Call) -> Peer:
        """The person a call is about: its peer, or the peer of the socket that aiosd hands over with it."""
        if not call.flag("client"):
            return call.peer
        if call.peer.uid != self._agent_uid:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="only aiosd speaks for others")
        if len(call.descriptors) != 1:
            raise VarlinkError(f"{_NAME}.NotIdentified", reason="the client's socket did not come with the call")
        try:
            return self._clients.identify(call.descriptors[0])
        except NotIdentifiedError as exc:
            raise VarlinkError(f"{_NAME}.NotIdentified", reason=str(exc)) from exc

    async def _identify(self, call: Call) -> tuple[Principal, Identity]:
        principal = await load_principal(self._whose(call))
        try:
            return principal, await load_identity(principal, observe_user=self._live.now.observe_user)
        except NotIdentifiedError as exc:
            raise VarlinkError(f"{_NAME}.NotIdentified", reason=str(exc)) from exc

    def _session(self, call: Call) -> GuardSession:
        """The session a call names, if the caller may act in it: aiosd in any, a person in their own."""
        name = call.text("session")
        try:
            session = self._sessions.get(name)
        except SessionError as exc:
            raise VarlinkError(f"{_NAME}.NoSession", reason=str(exc)) from exc
        if call.peer.uid not in (self._agent_uid, session.principal.uid):
            raise VarlinkError(f"{_NAME}.NoSession", reason=f"there is no open session {SessionId(name)}")
        return session


def _find_uid(user: str) -> int:
    """The uid of a login name, or of digits; -2, which is nobody's, for an unknown name."""
    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return -2
