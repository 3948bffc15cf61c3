"""Asking a person about a host that a command wants to reach and no list names.

aiosd's proxy says which host; which command it is for, whose it is and how it is confined the guard knows by itself.
Only a command that is under way, and whose rule leaves its hosts to the configuration (`network = ["*"]`), is asked
for. Its time stands still meanwhile.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

from aiosd.audit.records import Decision
from aiosd.guard.approvals import Answer, State
from aiosd.guard.asking import Asked, Asking
from aiosd.guard.clock import Clock
from aiosd.guard.ledger import Ledger
from aiosd.guard.request import ConnectRequest, Request, render_decided
from aiosd.guard.running import Running
from aiosd.guard.varlink import Call, VarlinkError, invalid_parameter
from aiosd.policy import Verdict
from aiosd.types import CallId, JsonObject, SessionId, Tier

_NAME = "io.aios.Guard"
_LISTS = "*"
_NOBODY = "nobody answered in time; an administrator can add it to egress.allow"
_NOT_ASKED = "nobody is asked in this turn; an administrator can add it to egress.allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    request: Request
    verdict: Verdict
    confinement: str
    clock: Clock


class Reaching:
    """The commands under way that may reach what the lists allow, and the questions about other hosts."""

    def __init__(self, *, asking: Asking, ledger: Ledger, running: Running) -> None:
        self._asking = asking
        self._ledger = ledger
        self._running = running
        self._under_way: dict[tuple[SessionId, CallId], _UnderWay] = {}

    @contextmanager
    def under_way(self, request: Request, verdict: Verdict, confinement: str) -> Iterator[Clock]:
        """While a command runs; its clock."""
        clock = Clock()
        key = request.session.id, request.call
        if _LISTS in verdict.network and request.egress >= 0:
            self._under_way[key] = _UnderWay(request=request, verdict=verdict, confinement=confinement, clock=clock)
        try:
            yield clock
        finally:
            self._under_way.pop(key, None)

    async def ask(
        self, key: tuple[SessionId, CallId], where: str, policy: str, tell: Callable[[JsonObject], Awaitable[None]]
    ) -> tuple[Decision, str]:
        """What a person says to `where` (HOST:PORT), recorded, and why not. KeyError for no command under way."""
        found = self._under_way[key]
        given = {each.name: getattr(found.request, each.name) for each in fields(Request)}
        request = ConnectRequest(**{**given, "claim": "", "proposer": None}, where=where)
        reason = f"Neither egress.allow nor egress.deny names {where}."
        verdict = replace(found.verdict, tier=Tier.REQUIRE_APPROVAL, reason=reason)
        if request.most is not None:
            return Decision.DENIED, f"{where} is not in egress.allow, and {_NOT_ASKED}"
        asked = Asked(request=request, verdict=verdict, confinement=found.confinement, policy=policy, leasable=True)
        with found.clock.stopped():
            answer, approval = await self._asking.ask(asked, (), tell)
        if answer.state is State.APPROVED and (why := self._running.why_stopped(request.session)):
            answer = replace(answer, state=State.DENIED, reason=why)
        decision, why = _conclude(answer, where)
        record = render_decided(
            request, verdict, found.confinement, decision=decision, answer=answer, approval=approval
        )
        await self._ledger.decided(record)
        return decision, why


def _conclude(answer: Answer, where: str) -> tuple[Decision, str]:
    match answer.state:
        case State.APPROVED:
            return Decision.APPROVED, ""
        case State.DENIED | State.SKIPPED:
            because = f" ({answer.reason})" if answer.reason else ""
            return Decision.DENIED, f"a person said no to {where}{because}"
        case _:
            return Decision.UNANSWERED, f"{where} is not in egress.allow, and {_NOBODY}"


class ReachCalls:
    """The interface's method about it, for aiosd, whose uid is `agent_uid`. `policy` is a digest."""

    def __init__(self, reaching: Reaching, policy: Callable[[], str], agent_uid: int) -> None:
        self._reaching = reaching
        self._policy = policy
        self._agent_uid = agent_uid

    def methods(self) -> dict[str, Callable[[Call], Coroutine[None, None, None]]]:
        """By its name in the interface."""
        return {"Reach": self._reach}

    async def _reach(self, call: Call) -> None:
        if call.peer.uid != self._agent_uid:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="only aiosd, whose proxy it is, asks about hosts")
        port = call.optional_integer("port", default=0, least=1, most=65535)
        if not port:
            raise invalid_parameter("port")
        key = SessionId(call.text("session")), CallId(call.text("call", limit=100))

        async def tell(event: JsonObject) -> None:
            await call.reply(event, continues=True)

        try:
            decision, why = await self._reaching.ask(
                key, f"{call.text('host', limit=256)}:{port}", self._policy(), tell
            )
        except KeyError:
            raise VarlinkError(f"{_NAME}.NotPending", reason="no such command is under way") from None
        await call.reply({"event": "done", "outcome": decision.value, "reason": why})
