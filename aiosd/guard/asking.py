"""Asking a person about a proposed action, and what becomes of the question when whoever proposed it is gone.

An interruption ends the question: nobody is asked about what nobody wants any more. A proposer that *died* is another
matter: its turn goes on when it is started again. The card then stays until it expires, and whoever proposes the same
action of the same call again, with nothing changed, gets its answer, once. The same holds where the guard itself ended
and another one came: its store has the card.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiosd.audit.records import Decision, digest_text
from aiosd.guard.approvals import Answer, Approval, Approvals, State
from aiosd.guard.leases import Leases
from aiosd.guard.ledger import Ledger
from aiosd.guard.request import CONNECT, Request, render_lapsed
from aiosd.guard.settings import LiveSettings
from aiosd.guard.varlink import has_hung_up, open_peer_pidfd, wait_readable
from aiosd.policy import Verdict
from aiosd.types import ApprovalId, CallId, JsonObject, JsonValue, SessionId

PAUSED = "a person has said no several times in a row; nobody is asked for a while: do something else, or end the turn"
_FEWEST = 2  # cards that are shown together
_DEATH_S = 2.0  # a dying process closes its sockets before it is dead


Environment = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person is to be asked: `policy` is the digest of the one that says so."""

    request: Request
    verdict: Verdict
    confinement: str
    policy: str
    leasable: bool = False
    files: tuple[str, ...] = ()


class Asking:
    """Asks. `outlive`: whether cards outlive their proposers (a standalone guard ends with its aiosd)."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        leases: Leases,
        ledger: Ledger,
        live: LiveSettings,
        background: asyncio.TaskGroup,
        outlive: bool,
    ) -> None:
        self._approvals = approvals
        self._leases = leases
        self._ledger = ledger
        self._live = live
        self._background = background
        self._outlive = outlive
        self._denials: dict[SessionId, tuple[int, float]] = {}
        self._kept: dict[tuple[SessionId, CallId], tuple[Approval, asyncio.Task[None] | None]] = {}
        self._asked: set[asyncio.Task[object]] = set()
        self.leaving = False

    def take_up(self, approvals: Sequence[Approval], is_open: Callable[[SessionId], bool]) -> None:
        """Keep what an earlier guard had asked, for whoever proposes it again; their session has to be open."""
        for approval in approvals:
            if is_open(approval.session):
                self._keep(approval)
            else:
                self._approvals.withdraw(approval)

    def leave(self) -> None:
        """From now on leave what is asked to the next guard: whoever waits here is cancelled."""
        self.leaving = self._outlive
        for task in self._asked if self.leaving else ():
            task.cancel()

    def kept(self) -> list[tuple[SessionId, CallId]]:
        """The calls whose cards have outlived their proposer."""
        return list(self._kept)

    def close(self) -> None:
        """Keep nothing any longer."""
        for _approval, expiry in self._kept.values():
            if expiry:
                expiry.cancel()

    async def ask(
        self,
        asked: Asked,
        environment: Environment,
        tell: Callable[[JsonObject], Awaitable[None]],
    ) -> tuple[Answer, Approval | None]:
        """The answer to `asked`, and the approval it was given to, if any. Cancelling it is recorded, and asks no more.

        A lease answers without a card. After so many denials in a row a session asks nobody for a while: whoever is
        asked the same again and again says yes in the end.
        """
        session = asked.request.session.id
        if self._is_paused(session):
            return Answer(state=State.DENIED, reason=PAUSED), None
        ahead = (session, asked.request.call) in self._kept
        if asked.leasable and not ahead and (lease := await self._leases.take(_draft(asked, environment))):
            said = f"by lease {lease[0]}"
            return Answer(state=State.APPROVED, answered_by=lease[1], reason=said, lease=lease[0]), None
        answer, approval = await self._ask(asked, environment, tell)
        self._count(session, answer)
        return answer, approval

    def _count(self, session: SessionId, answer: Answer) -> None:
        """Count a person's no; what only went with it, and a step that was skipped, count neither way."""
        if answer.state is State.DENIED and answer.answered_by >= 0:
            self._denials[session] = (
                self._denials.get(session, (0, 0.0))[0] + 1,
                asyncio.get_running_loop().time(),
            )
        elif answer.state in (State.APPROVED, State.EXPIRED, State.EDITED):
            self._denials.pop(session, None)

    def _is_paused(self, session: SessionId) -> bool:
        count, last = self._denials.get(session, (0, 0.0))
        settings = self._live.now
        if count < settings.denials_in_a_row:
            return False
        if asyncio.get_running_loop().time() - last < settings.approval_wait_s:
            return True
        del self._denials[session]
        return False

    async def _ask(
        self,
        asked: Asked,
        environment: Environment,
        tell: Callable[[JsonObject], Awaitable[None]],
    ) -> tuple[Answer, Approval]:
        longest = self._live.now.approval_wait_s
        wait_s: float = min(asked.request.wait_s or longest, longest)
        draft = _draft(asked, environment)
        approval = self._take_kept(draft)
        if approval is None:
            approval = await self._approvals.request(draft, wait_s=int(wait_s))
        else:
            wait_s = _seconds_until(approval.expires_at)
        proposer = asked.request.proposer
        pidfd = open_peer_pidfd(proposer) if self._outlive and proposer else -1
        task = asyncio.current_task()
        assert task is not None
        self._asked.add(task)
        try:
            if wait_s and not self._approvals.answer_to(approval):
                await tell({"event": "approval", "approval": approval.id, "expires_at": approval.expires_at})
            if self.leaving:
                raise asyncio.CancelledError
            return await self._approvals.wait(approval, wait_s=wait_s), approval
        except (asyncio.CancelledError, OSError):
            if not (self.leaving and is_free(approval)):
                if proposer and pidfd >= 0 and has_hung_up(proposer) and await _ends(pidfd):
                    self._keep(approval)
                else:
                    self._approvals.withdraw(approval)
                    await self._record(approval, Decision.CANCELLED, "whoever proposed it went away before an answer")
            raise
        finally:
            self._asked.discard(task)
            if pidfd >= 0:
                os.close(pidfd)

    def _take_kept(self, draft: Approval) -> Approval | None:
        kept = self._kept.pop((draft.session, draft.call), None)
        if kept is None:
            return None
        approval, expiry = kept
        if expiry:
            expiry.cancel()
        if _is_same(approval, draft) and self._approvals.is_open(approval) and not self._is_stale(approval):
            return approval
        self._approvals.withdraw(approval)
        return None

    def _is_stale(self, approval: Approval) -> bool:
        """Whether a yes was given ahead, and what it is to comes only after its time."""
        answer = self._approvals.answer_to(approval)
        return answer is not None and answer.state is State.APPROVED and not _seconds_until(approval.expires_at)

    async def review(
        self, several: Sequence[tuple[Asked, Environment]], tell: Callable[[JsonObject], Awaitable[None]]
    ) -> None:
        """Ask about several actions before the first of them: whoever proposes one then gets its answer, once.

        Goes on until it is cancelled: what was not proposed until then is asked no more. `tell` hears of the cards,
        and when each has its answer or their time is over.
        """
        first = several[0][0].request
        if self._is_paused(first.session.id):
            return
        longest = self._live.now.approval_wait_s
        wait_s = min(first.wait_s or longest, longest)
        drafts = [(asked, _draft(asked, environment)) for asked, environment in several]
        drafts = [each for each in drafts if not await self._is_settled(*each)]
        if len(drafts) < _FEWEST:
            return
        pidfd = open_peer_pidfd(first.proposer) if self._outlive and first.proposer else -1
        cards: list[Approval] = []
        try:
            for _asked, draft in drafts:
                approval = await self._approvals.request(draft, wait_s=wait_s)
                self._kept[draft.session, draft.call] = approval, None
                cards.append(approval)
            shown: list[JsonValue] = [
                {"call": card.call, "approval": card.id, "expires_at": card.expires_at} for card in cards
            ]
            await tell({"event": "review", "approvals": shown})
            await self._approvals.settle(cards, wait_s=wait_s)
            await tell({"event": "settled"})
            await asyncio.get_running_loop().create_future()
        finally:
            died = self.leaving or (
                pidfd >= 0 and first.proposer is not None and has_hung_up(first.proposer) and await _ends(pidfd)
            )
            for card in cards:
                await self._leave(card, died=died)
            if pidfd >= 0:
                os.close(pidfd)

    async def _is_settled(self, asked: Asked, draft: Approval) -> bool:
        """Whether nobody needs to be asked about it: there is a card, or a lease."""
        return (draft.session, draft.call) in self._kept or (asked.leasable and await self._leases.reaches(draft))

    async def _leave(self, card: Approval, *, died: bool) -> None:
        """What becomes of a card that was asked ahead, when whoever asked has gone."""
        if self._kept.get((card.session, card.call), (None, None))[0] is not card:
            return
        if died:
            self._keep(card)
            return
        del self._kept[card.session, card.call]
        self._approvals.withdraw(card)
        await self._record(card, Decision.CANCELLED, "whoever proposed it went away before it was done")

    def _keep(self, approval: Approval) -> None:
        expiry = self._background.create_task(self._expire(approval))
        self._kept[approval.session, approval.call] = approval, expiry

    async def _expire(self, approval: Approval) -> None:
        await asyncio.sleep(_seconds_until(approval.expires_at))
        del self._kept[approval.session, approval.call]
        self._approvals.withdraw(approval)
        await self._record(approval, Decision.UNANSWERED, "whoever proposed it died and did not come back")

    async def _record(self, approval: Approval, decision: Decision, reason: str) -> None:
        await self._ledger.decided(render_lapsed(approval, decision, reason))


def is_free(approval: Approval) -> bool:
    """Whether it may outlive a guard: what a command that runs wants to reach is over when that ends."""
    return approval.tool != CONNECT


def _draft(asked: Asked, environment: Environment) -> Approval:
    request, verdict, principal = asked.request, asked.verdict, asked.request.session.principal
    return Approval(
        id=ApprovalId(""),
        nonce="",
        boot="",
        requested_at="",
        expires_at="",
        session=request.session.id,
        call=request.call,
        uid=principal.uid,
        user=principal.user,
        tool=request.tool,
        action=request.text,
        exact=digest_text(request.exact),
        content=request.shown,
        cwd=request.cwd,
        environment=environment,
        run_as=verdict.run_as,
        confinement=asked.confinement,
        policy=asked.policy,
        reason=verdict.reason,
        rules=verdict.rules,
        leasable=asked.leasable,
        files=asked.files,
        claim=request.claim,
    )


def _is_same(approval: Approval, draft: Approval) -> bool:
    """Whether what would be asked now is what was asked: all but who it is and when it was asked."""
    return draft == replace(approval, id=draft.id, nonce="", boot="", requested_at="", expires_at="", claim=draft.claim)


def _seconds_until(moment: str) -> float:
    return max((datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds(), 0.0)


async def _ends(pidfd: int) -> bool:
    """Whether a process has ended, or does so now."""
    try:
        async with asyncio.timeout(_DEATH_S):
            await wait_readable(pidfd)
    except TimeoutError:
        return False
    return True
