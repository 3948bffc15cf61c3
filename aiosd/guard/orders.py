"""What a person says to the guard itself: answers, leases, and to stop what runs and let it go on.

Who may answer what is `approvals`' part. Everybody may stop, thaw and revoke their own; root, in standalone mode the
guard's own user, and administrators everybody's. No order can let more happen than an approval did.
"""

import json
import os
from collections.abc import Callable, Coroutine

from aiosd.audit.log import AuditError
from aiosd.audit.records import Ordered
from aiosd.guard.approvals import Answer, Approval, ApprovalError, Approvals, Approver, State
from aiosd.guard.identity import is_sandboxed, load_principal
from aiosd.guard.leases import MOST_S, MOST_USES, USUAL_S, USUAL_USES, Leases, Terms
from aiosd.guard.ledger import Ledger
from aiosd.guard.people import find_principal
from aiosd.guard.polkit import NotAuthenticatedError, authenticate
from aiosd.guard.request import MAX_LINE
from aiosd.guard.running import EVERYBODY, Running, Scope
from aiosd.guard.settings import LiveSettings
from aiosd.guard.varlink import Call, Peer, VarlinkError, invalid_parameter, open_peer_pidfd
from aiosd.types import ApprovalId, JsonObject

_NAME = "io.aios.Guard"
_STOPPED = "a person stopped the session"
_STATES = {"approve": State.APPROVED, "deny": State.DENIED, "skip": State.SKIPPED, "edit": State.EDITED}


class Orders:
    """The methods of the interface that a person calls about what waits or runs."""

    def __init__(
        self,
        *,
        running: Running,
        approvals: Approvals,
        leases: Leases,
        ledger: Ledger,
        live: LiveSettings,
    ) -> None:
        self._running = running
        self._approvals = approvals
        self._leases = leases
        self._ledger = ledger
        self._live = live

    def methods(self) -> dict[str, Callable[[Call], Coroutine[None, None, None]]]:
        """By their names in the interface."""
        return {
            "ListPending": self._list_pending,
            "Answer": self._answer,
            "Freeze": self._freeze,
            "Thaw": self._thaw,
            "ListLeases": self._list_leases,
            "RevokeLease": self._revoke_lease,
        }

    async def find_approver(self, peer: Peer) -> Approver:
        """The caller, as somebody who may see and answer."""
        if peer.uid == 0:
            return Approver(uid=0)
        principal = await load_principal(peer)
        return Approver(uid=peer.uid, administers=not set(principal.groups).isdisjoint(self._live.now.admin_groups))

    async def _list_pending(self, call: Call) -> None:
        wanted = call.optional_text("id")
        who = await self.find_approver(call.peer)
        cards = [
            approval.card() for approval in self._approvals.pending(who=who) if not wanted or approval.id == wanted
        ]
        await call.reply({"approvals": list(cards)})

    async def _answer(self, call: Call) -> None:
        said = _parse_answer(call)
        if is_sandboxed(call.peer):
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="nobody answers from inside a sandbox or container")
        who, identity = await self.find_approver(call.peer), ApprovalId(call.text("id"))
        lease = ""
        try:
            approval = self._approvals.get(identity, who=who)
            terms = parse_terms(call, approval) if said.state is State.APPROVED else None
            await self._approvals.answer(
                identity,
                call.text("digest"),
                said=said,
                who=who,
                authenticate=lambda approval: self._authenticate(call, approval),
            )
            lease = await self._grant(call, approval, terms) if terms else ""
        except ApprovalError as exc:
            names = {"not_entitled": "NotEntitled", "digest_differs": "DigestDiffers"}
            raise VarlinkError(f"{_NAME}.{names.get(exc.code, 'NotPending')}", reason=str(exc)) from exc
        except AuditError as exc:
            raise VarlinkError(f"{_NAME}.CannotRecord", reason=f"the answer was not taken: {exc}") from exc
        if lease:
            await call.reply({"lease": lease})

    async def _authenticate(self, call: Call, approval: Approval) -> None:
        pidfd = open_peer_pidfd(call.connection)
        try:
            shown = json.dumps(approval.action)  # in ASCII: nothing in it moves a cursor
            details = {"aios.command": shown, "aios.user": approval.user, "aios.digest": approval.digest}
            await authenticate(call.peer, pidfd, details, wait_s=self._live.now.approval_wait_s)
        except NotAuthenticatedError as exc:
            raise ApprovalError("not_entitled", f"{exc}; or: sudo aios approve {approval.id}") from exc
        finally:
            if pidfd >= 0:
                os.close(pidfd)

    async def _freeze(self, call: Call) -> None:
        await call.reply(await self._stop(await self._scope(call), kill=call.flag("kill"), uid=call.peer.uid))

    async def stop_all(self, kill: bool) -> None:
        """Root's order that was given while this guard did not answer. AuditError."""
        await self._stop(Scope(), kill=kill, uid=os.geteuid())

    async def _stop(self, scope: Scope, *, kill: bool, uid: int) -> JsonObject:
        actions = self._running.stop(scope)
        dismissed = self._approvals.dismiss(lambda each: scope.holds(each.uid, each.session), _STOPPED)
        revoked = await self._leases.revoke(Approver(uid=0, administers=True), uid=scope.uid, session=scope.session)
        if kill:
            actions = self._running.end(scope)
        told = f"{actions} actions, {dismissed} approvals, {revoked} leases"
        await self._record(uid, "kill" if kill else "stop", scope, told)
        return {"actions": actions, "approvals": dismissed, "leases": revoked}

    async def _thaw(self, call: Call) -> None:
        scope = await self._scope(call)
        actions = self._running.thaw(scope)
        await self._record(call.peer.uid, "thaw", scope, reason=f"{actions} actions go on")
        await call.reply({"actions": actions})

    async def _list_leases(self, call: Call) -> None:
        await call.reply({"leases": list(await self._leases.list(await self.find_approver(call.peer)))})

    async def _revoke_lease(self, call: Call) -> None:
        identity = call.text("id")
        if not await self._leases.revoke(await self.find_approver(call.peer), identity=identity):
            raise VarlinkError(f"{_NAME}.NotPending", reason=f"no lease {identity} of yours is open")
        await self._record(call.peer.uid, "revoke a lease", Scope(uid=call.peer.uid), identity)
        await call.reply({})

    async def _grant(self, call: Call, approval: Approval, terms: Terms) -> str:
        """The lease that was asked for with a yes to `approval`; its id."""
        identity = await self._leases.grant(approval, terms, by=call.peer.uid)
        where = " ".join((*(["this session"] if terms.session else []), *([approval.cwd] if terms.cwd else [])))
        said = f"{identity}: {terms.uses} times, {terms.seconds} s, {where or 'anywhere'}: {approval.action}"
        scope = Scope(uid=approval.uid, session=approval.session if terms.session else "")
        await self._record(call.peer.uid, "grant a lease", scope, said)
        return identity

    async def _scope(self, call: Call) -> Scope:
        """Whom a call is about: all of the caller's, everybody, or one session."""
        if is_sandboxed(call.peer):
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="nobody gives orders from inside a sandbox or container")
        who = await self.find_approver(call.peer)
        rules = who.administers or call.peer.uid in (0, os.geteuid())
        if call.flag("everybody") and not rules:
            raise VarlinkError(f"{_NAME}.NotEntitled", reason="everybody's actions are for administrators to stop")
        session = call.optional_text("session")
        uid = EVERYBODY if call.flag("everybody") or (rules and session) else call.peer.uid
        return Scope(uid=uid, session=session)

    async def _record(self, uid: int, order: str, scope: Scope, reason: str) -> None:
        user = find_principal(uid, 0).user
        whose = "everybody" if scope.uid == EVERYBODY else find_principal(scope.uid, 0).user
        await self._ledger.ordered(
            Ordered(order=order, uid=uid, user=user, session=scope.session, reason=f"{whose}: {reason}")
        )


def _parse_answer(call: Call) -> Answer:
    state = _STATES.get(call.text("decision"))
    if state is None:
        raise invalid_parameter("decision")
    line = call.text("command", limit=MAX_LINE) if state is State.EDITED else ""
    if state is State.EDITED and not line.strip():
        raise invalid_parameter("command")
    return Answer(state=state, reason=call.optional_text("reason", limit=1000), line=line)


def parse_terms(call: Call, approval: Approval) -> Terms | None:
    """The lease that an answer asks for, if it does."""
    given = call.parameters.get("lease")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise invalid_parameter("lease")
    if not approval.leasable:
        raise VarlinkError(f"{_NAME}.NotEntitled", reason="a yes to this holds once, and never for longer")
    return Terms(
        seconds=_number(given, "seconds", USUAL_S, MOST_S),
        uses=_number(given, "uses", USUAL_USES, MOST_USES),
        session=given.get("session", True) is not False,
        cwd=given.get("cwd", True) is not False,
    )


def _number(given: JsonObject, name: str, usual: int, most: int) -> int:
    value = given.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise invalid_parameter(f"lease.{name}")
    return value
