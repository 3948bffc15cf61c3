"""The HTTP door: resources onto sessions, the guard and the configuration. Thin: it decodes, calls, encodes.

Who asks is the connection's peer. One request a connection: the guard takes each client's socket once.
"""

import asyncio
import grp
import os
import pwd
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from aiohttp import web

from aiosd import __version__, exits
from aiosd.api import text
from aiosd.api.attached import make_ask
from aiosd.api.export import make_export, render_markdown, render_script
from aiosd.api.gate import read_uid
from aiosd.api.problems import map_exception, problem_response
from aiosd.api.requests import MAX_CURSOR, check_cwd, check_turn, read_ask, read_body, read_json
from aiosd.api.streams import choose_form, render_stream
from aiosd.config import Live
from aiosd.errors import (
    AiosError,
    ForbiddenError,
    GuardRefusedError,
    GuardUnavailableError,
    InvalidRequestError,
    NotFoundError,
)
from aiosd.guard.client import GuardClient
from aiosd.memory.sent import SentRequests
from aiosd.model.catalog import Models
from aiosd.session.logins import Logins
from aiosd.session.manager import SessionManager
from aiosd.session.session import Session
from aiosd.session.turn import Ask
from aiosd.tools.base import parse_verdict
from aiosd.types import JsonObject
from aiosd.wire import (
    Cancelled,
    CheckInfo,
    Config,
    Doctor,
    LoginNotice,
    ModelEntry,
    ModelList,
    PolicyCheckRequest,
    Status,
)
from aiosd.wire_ask import Answered, AnswerRequest, TurnRequest
from aiosd.wire_export import Deleted, RenameRequest
from aiosd.wire_sent import SentList

_T = TypeVar("_T")
_MAX_SENT = 1000
_WRITE_DEADLINE_S = 60.0
EXIT_HEADER = "Aios-Exit"  # what a command line should end with


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the resources need of the daemon."""

    sessions: SessionManager
    logins: Logins
    guard: GuardClient
    models: Models
    sent: SentRequests
    live: Live
    mode: str
    started_at: str


def make_app(door: Door) -> web.Application:
    """The application with every resource."""
    resources = _Resources(door)
    app = web.Application(middlewares=[resources.middleware], client_max_size=0)
    app.add_routes(
        [
            web.get("/v1/openapi.json", resources.openapi),
            web.post("/v1/ask", resources.ask),
            web.get("/v1/sessions", resources.list_sessions),
            web.get("/v1/sessions/{id}", resources.get_session),
            web.delete("/v1/sessions/{id}", resources.delete_session),
            web.post("/v1/sessions/{id}/rename", resources.rename_session),
            web.get("/v1/sessions/{id}/export", resources.export_session),
            web.get("/v1/sessions/{id}/files", resources.read_file),
            web.post("/v1/sessions/{id}/turns", resources.ask_in_session),
            web.get("/v1/sessions/{id}/events", resources.read_events),
            web.post("/v1/sessions/{id}/cancel", resources.cancel),
            web.post("/v1/sessions/{id}/answer", resources.answer),
            web.post("/v1/policy/check", resources.check_policy),
            web.post("/v1/login", resources.login),
            web.get("/v1/models", resources.list_models),
            web.get("/v1/sent", resources.list_sent),
            web.get("/v1/sent/{id}", resources.show_sent),
            web.get("/v1/status", resources.status),
            web.get("/v1/doctor", resources.doctor),
            web.get("/v1/config", resources.config),
        ]
    )
    return app


class _Resources:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._openapi: JsonObject | None = None

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let in whom the configuration lets in, give the body its deadline, turn errors into problems."""
        try:
            await self._check_access(request)
            limits = self._door.live.config.limits
            async with asyncio.timeout(limits.request_s):
                await read_body(request, limit=limits.body_bytes)
            response = await handler(request)
        except asyncio.CancelledError:
            raise
        except ConnectionError:
            if request.transport is not None:
                raise
            response = web.Response()  # the client has gone, as the login hook does in its haste: nobody reads it
        except Exception as exc:  # noqa: BLE001 - a bug ends its request, not the daemon
            response = problem_response(map_exception(exc))
            if isinstance(exc, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = exc.headers["Allow"]
        response.force_close()
        return response

    async def openapi(self, _request: web.Request) -> web.Response:
        if self._openapi is None:
            from aiosd.api.openapi import render_openapi  # noqa: PLC0415 - pydantic: 60 ms, and only for this

            self._openapi = render_openapi()
        return web.json_response(self._openapi)

    async def ask(self, request: web.Request) -> web.StreamResponse:
        ask = read_ask(request)
        turn = make_ask(ask, name=ask.name, fork=ask.fork)
        return await self._start(request, turn, session=ask.session, newest=ask.continue_newest)

    async def ask_in_session(self, request: web.Request) -> web.StreamResponse:
        ask = read_json(request, TurnRequest)
        check_turn(ask)
        turn = make_ask(ask)
        return await self._start(request, turn, session=request.match_info["id"], newest=False)

    async def list_sessions(self, request: web.Request) -> web.Response:
        sessions = await self._door.sessions.list(_uid(request), search=request.query.get("search", ""))
        return _answer(request, sessions, text.render_sessions)

    async def get_session(self, request: web.Request) -> web.Response:
        detail = await self._door.sessions.detail(_uid(request), request.match_info["id"])
        return _answer(request, detail, text.render_session)

    async def delete_session(self, request: web.Request) -> web.Response:
        identity, name = await self._door.sessions.delete(_uid(request), request.match_info["id"])
        return _answer(request, Deleted(id=identity, name=name), None)

    async def rename_session(self, request: web.Request) -> web.Response:
        uid, wanted = _uid(request), request.match_info["id"]
        found = await self._door.sessions.find(uid, wanted)
        await self._door.sessions.rename(uid, wanted, read_json(request, RenameRequest).name)
        return _answer(request, (await self._door.sessions.detail(uid, found.id)).session, None)

    async def export_session(self, request: web.Request) -> web.Response:
        script = request.query.get("script", "false")
        if script not in ("true", "false"):
            raise InvalidRequestError("script is true or false")
        render = render_script if script == "true" else render_markdown
        export = make_export(*await self._door.sessions.read(_uid(request), request.match_info["id"]))
        return _answer(request, export, render)

    async def read_file(self, request: web.Request) -> web.Response:
        path = request.query.get("path", "")
        content = await self._door.sessions.read_file(_uid(request), request.match_info["id"], path)
        return web.Response(body=content, content_type="application/octet-stream")

    async def read_events(self, request: web.Request) -> web.StreamResponse:
        after = request.query.get("after", "0")
        follow = request.query.get("follow", "true")
        if not re.fullmatch(r"[0-9]{1,16}", after) or int(after) > MAX_CURSOR or follow not in ("true", "false"):
            raise InvalidRequestError(f"after is a whole number up to {MAX_CURSOR}, follow is true or false")
        session = await self._door.sessions.find(_uid(request), request.match_info["id"])
        return await self._stream(request, session, int(after), follow=follow == "true")

    async def cancel(self, request: web.Request) -> web.Response:
        session = await self._door.sessions.find(_uid(request), request.match_info["id"])
        return _answer(request, Cancelled(cancelled=session.cancel()), None)

    async def answer(self, request: web.Request) -> web.Response:
        said = read_json(request, AnswerRequest)
        session = await self._door.sessions.find(_uid(request), request.match_info["id"])
        return _answer(request, Answered(answered=session.answer(said.call, said.text)), None)

    async def check_policy(self, request: web.Request) -> web.Response:
        asked = read_json(request, PolicyCheckRequest)
        check_cwd(asked.cwd)
        parameters: JsonObject = {"command": asked.command, "cwd": asked.cwd, "run_as": asked.run_as}
        answer = await self._door.guard.call("Evaluate", parameters, client_fd=_descriptor(request))
        given = answer.get("verdict")
        verdict = parse_verdict(given if isinstance(given, dict) else {})
        return _answer(request, verdict, text.render_verdict)

    async def login(self, request: web.Request) -> web.Response:
        shown = request.query.get("shown", "false")
        if shown not in ("true", "false"):
            raise InvalidRequestError("shown is true or false")
        uid, logins = _uid(request), self._door.logins
        pending = (await self._ping(request))[0] or 0
        since, failed, sessions = await logins.failures(uid)
        if shown == "true" and request.transport is not None:  # else it came too late to be seen
            await logins.note_told(uid)
        notice = LoginNotice(pending=pending, failed=failed, sessions=sessions, since_at=since)
        return _answer(request, notice, text.render_login)

    async def list_models(self, request: web.Request) -> web.Response:
        models = tuple(
            ModelEntry(
                name=info.name,
                provider=info.provider,
                description=info.description,
                local=info.local,
                default=info.name == self._door.live.config.agent.model,
            )
            for info in self._door.models.list()
        )
        return _answer(request, ModelList(models=models), text.render_models)

    async def list_sent(self, request: web.Request) -> web.Response:
        limit, wanted = request.query.get("limit", "100"), request.query.get("session", "")
        if not re.fullmatch(r"[0-9]{1,16}", limit) or int(limit) > MAX_CURSOR:
            raise InvalidRequestError(f"limit is a whole number; at most {_MAX_SENT} are given")
        uid = _uid(request)
        session = (await self._door.sessions.find(uid, wanted)).id if wanted else None
        found = await self._door.sent.list(uid, session=session, limit=min(int(limit), _MAX_SENT))
        return _answer(request, SentList(requests=found), text.render_sent)

    async def show_sent(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        found = await self._door.sent.show(_uid(request), int(number)) if re.fullmatch("[0-9]{1,15}", number) else None
        if found is None:
            raise NotFoundError(f"no request {number} of yours was sent", hint="aios log --sent lists them")
        return _answer(request, found, text.render_sent_text)

    async def status(self, request: web.Request) -> web.Response:
        pending, volatile = await self._ping(request)
        status = Status(
            version=__version__,
            mode="standalone" if self._door.mode == "standalone" else "system",
            guard="unavailable" if pending is None else "ok",
            model=self._door.live.config.agent.model,
            started_at=self._door.started_at,
            open_sessions=self._door.sessions.open_count,
            running_turns=self._door.sessions.running_count,
            pending=pending or 0,
            volatile=volatile,
        )
        return _answer(request, status, text.render_status)

    async def doctor(self, request: web.Request) -> web.Response:
        try:
            given = (await self._door.guard.call("Diagnose", client_fd=_descriptor(request))).get("checks")
            checks = [_parse_check(each) for each in given if isinstance(each, dict)] if isinstance(given, list) else []
            checks.insert(0, CheckInfo(name="guard", state="ok", detail="answers", remedy=""))
        except AiosError as exc:
            checks = [CheckInfo(name="guard", state="missing", detail=exc.message, remedy=exc.hint)]
        if why := self._door.sessions.trouble(_uid(request)):
            detail = f"in memory, as the disk takes nothing: {why}"
            checks.append(CheckInfo(name="sessions", state="weaker", detail=detail, remedy="make room on it"))
        checks += self._door.sessions.check_secrets(_uid(request))
        broken = any(check.state == "missing" for check in checks)
        response = _answer(request, Doctor(checks=tuple(checks)), text.render_doctor)
        response.headers[EXIT_HEADER] = str(exits.BROKEN if broken else exits.OK)
        return response

    async def config(self, request: web.Request) -> web.Response:
        return _answer(request, Config(entries=self._door.live.loaded.entries), text.render_config)

    async def _ping(self, request: web.Request) -> tuple[int | None, str]:
        """How many approvals wait for the caller, None where no guard says so; why its record is in memory."""
        try:
            ping = await self._door.guard.call("Ping", client_fd=_descriptor(request))
        except (GuardUnavailableError, GuardRefusedError):
            return None, ""
        return int(str(ping["pending"])), str(ping["volatile"])

    async def _start(self, request: web.Request, ask: Ask, *, session: str, newest: bool) -> web.StreamResponse:
        choose_form(request.headers.get("Accept", ""))  # what cannot be answered is not begun
        found, after = await self._door.sessions.ask(
            _uid(request), ask, session=session, newest=newest, client_fd=_descriptor(request)
        )
        return await self._stream(request, found, after, follow=True)

    async def _stream(self, request: web.Request, session: Session, after: int, *, follow: bool) -> web.StreamResponse:
        """Follow the log at the client's pace. One that reads nothing for a while is dropped; it can come back."""
        media_type, form = choose_form(request.headers.get("Accept", ""))
        response = web.StreamResponse(headers={"Content-Type": media_type, "Cache-Control": "no-store"})
        response.force_close()
        await response.prepare(request)
        events = session.log.read(after, running=lambda: follow and session.running)
        async for data in render_stream(events, form):
            try:
                async with asyncio.timeout(_WRITE_DEADLINE_S):
                    await response.write(data)
            except (ConnectionError, TimeoutError):
                return response
        try:
            await response.write_eof()
        except ConnectionError:
            return response
        return response

    async def _check_access(self, request: web.Request) -> None:
        wanted = frozenset(self._door.live.config.access.groups)
        if not wanted:
            return
        uid, gid = read_uid(_socket(request))
        if uid != 0 and not wanted & await asyncio.to_thread(_group_names, uid, gid):
            raise ForbiddenError(
                "this daemon is for members of certain groups",
                hint=f"join {' or '.join(sorted(wanted))} (access.groups)",
            )


def _answer(request: web.Request, value: _T, render_text: Callable[[_T], str] | None) -> web.Response:
    """JSON, or plain text where the client wants it and there is one."""
    if render_text is not None and request.headers.get("Accept", "").startswith("text/plain"):
        return web.Response(text=render_text(value))
    return web.json_response(asdict(cast("Any", value)))


def _parse_check(given: JsonObject) -> CheckInfo:
    state = given.get("state")
    return CheckInfo(
        name=str(given.get("name")),
        state="ok" if state == "ok" else "weaker" if state == "weaker" else "missing",
        detail=str(given.get("detail")),
        remedy=str(given.get("remedy")),
    )


def _socket(request: web.Request) -> socket.socket:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    return cast("socket.socket", transport.get_extra_info("socket"))


def _uid(request: web.Request) -> int:
    return read_uid(_socket(request))[0]


def _descriptor(request: web.Request) -> int:
    return _socket(request).fileno()


def _group_names(uid: int, gid: int) -> frozenset[str]:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return frozenset()
    names = set()
    for group in os.getgrouplist(name, gid):
        try:
            names.add(grp.getgrgid(group).gr_name)
        except KeyError:
            continue
    return frozenset(names)
