"""The door: the one place where something happens to the machine, and the order in which it does.

Judge, ask, record, run, record. The policy picks the tier, the tier picks the confinement; nothing in a request can.
What cannot be confined is refused before anybody is asked, and never tried in a lesser way. What was decided is on the
disk before it runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from aiosd.audit.log import AuditError
from aiosd.audit.records import Decision, Outcome
from aiosd.guard.approvals import Answer, Approval, State
from aiosd.guard.asking import Asked, Asking, Environment
from aiosd.guard.confining import confine
from aiosd.guard.drift import find_changed, looking_at
from aiosd.guard.exported import Variables, describe, evaluate, follow
from aiosd.guard.leases import may_be_leased
from aiosd.guard.ledger import Ledger
from aiosd.guard.observe import ObserveAction, judge_observation
from aiosd.guard.own import OwnPolicies
from aiosd.guard.reach import Reaching
from aiosd.guard.request import (
    Request,
    Result,
    as_chosen,
    as_given,
    explain_decision,
    find_audited,
    find_decision,
    is_beyond,
    render_decided,
)
from aiosd.guard.run import CannotLookError, Ended, Runner, render_done, render_trouble
from aiosd.guard.running import Running
from aiosd.guard.sessions import GuardSession
from aiosd.guard.settings import LiveSettings
from aiosd.guard.standins import find_environment
from aiosd.policy import CommandAction, FetchAction, FileAction, Policy, PolicyError, Verdict
from aiosd.policy.explain import denied
from aiosd.policy.remedy import with_remedies
from aiosd.policy.render import render_verdict
from aiosd.sandbox.link import SandboxError
from aiosd.sandbox.profile import Profile, ProfileError, ProfileName, render_environment
from aiosd.types import CallId, JsonObject, RunAs, SessionId, Tier

_CAREFUL = "Text from elsewhere was read in this turn ({}), so what would be announced is asked about."
Tell = Callable[[JsonObject], Awaitable[None]]
_RAN = frozenset((Outcome.DONE.value, Outcome.FAILED.value, Outcome.TIMED_OUT.value))


class _RefusedError(Exception):
    """It cannot be run here; the message is the reason."""


class Door:
    """Takes requests. One for the whole guard; requests run side by side. `root`: whether anything can run as root."""

    def __init__(
        self,
        *,
        policy: Policy,
        asking: Asking,
        ledger: Ledger,
        runner: Runner,
        live: LiveSettings,
        running: Running,
        root: bool,
    ) -> None:
        self._asking = asking
        self._ledger = ledger
        self._runner = runner
        self._live = live
        self._running = running
        self.reaching = Reaching(asking=asking, ledger=ledger, running=running)
        self._own = OwnPolicies(runner.read_file)
        self._root = root
        self.under_way = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.use_policy(policy)

    def use_policy(self, policy: Policy) -> None:
        """Decide by `policy` from now on; what was decided stays."""
        self._policy = policy
        self._runner.use_folders(policy.folders)

    @property
    def policy_digest(self) -> str:
        """Of the policy in force."""
        return self._policy.digest

    @property
    def unmatched(self) -> str:
        """What becomes of what no rule speaks of."""
        return self._policy.unmatched.value

    def kept(self) -> list[tuple[SessionId, CallId]]:
        """The actions whose proposer died while they waited for an answer, and that can be proposed again."""
        return self._asking.kept()

    def leave(self) -> None:
        """Wait for no more answers: what is asked is left to the next guard, where one comes."""
        self._asking.leave()

    @property
    def leaving(self) -> bool:
        """Whether what is asked is left to the next guard."""
        return self._asking.leaving

    async def judge(
        self, session: GuardSession, action: CommandAction | FileAction | FetchAction
    ) -> tuple[Verdict, str]:
        """The verdict, and the confinement it would run in, in words. Nothing is run or recorded."""
        principal = session.principal
        try:
            policy = await self._own.of(session, self._policy, anew=True)
        except PolicyError as exc:
            return denied("", f"your own rules cannot be used: {exc}"), ""
        given: Variables = ()
        if isinstance(action, CommandAction):
            action, given = follow(action, (), principal.home)
            verdict = evaluate(policy, action, given, principal)
        else:
            verdict = policy.evaluate(action, principal)
        verdict = with_remedies(policy, action, principal, verdict)
        try:
            run_as, profiles = confine(principal, action, verdict, root=self._root)
            return replace(verdict, run_as=run_as), describe(profiles[0], () if run_as is RunAs.ROOT else given)
        except ProfileError as exc:
            return verdict, f"cannot be confined here: {exc}"

    async def execute(self, request: Request, tell: Tell) -> Result:
        """Decide `request`, ask if need be, record, run, record. `tell` gets the events as they come."""
        waited_for = request.keep is None  # what is kept goes on without this guard
        self.under_way += waited_for
        if self.under_way:
            self.idle.clear()
        try:
            with self._running.acting(request.session):
                try:
                    return await self._follow(request, tell)
                except asyncio.CancelledError:
                    if not self._running.was_ended():
                        raise
                    return Result(outcome=Outcome.CANCELLED.value, reason="ended by a person: aios stop --kill")
        finally:
            self.under_way -= waited_for
            if self.under_way == 0:
                self.idle.set()

    async def _follow(self, request: Request, tell: Tell) -> Result:
        """Go where the line goes first, and do the rest there; the result says where the session is then."""
        if not isinstance(request.action, CommandAction):
            return await self._execute(request, tell)
        action, given = follow(request.action, request.variables, request.session.principal.home)
        result = await self._execute(replace(request, action=action, variables=given), tell)
        if result.outcome not in _RAN:
            return result
        given_next = result.variables if given == request.variables or result.variables is not None else given
        return replace(result, cwd=result.cwd or action.cwd, variables=given_next)

    async def _follow_edit(self, request: Request, line: str, tell: Tell) -> Result:
        """Decide what a person put in the place of a proposed line, from the beginning, without the model's words."""
        assert isinstance(request.action, CommandAction)
        result = await self._follow(replace(request, action=replace(request.action, line=line), claim=""), tell)
        return replace(result, command=result.command or line)

    async def _execute(self, request: Request, tell: Tell) -> Result:
        policy, verdict = await self._evaluate(request)
        verdict = as_chosen(verdict, request)
        try:
            verdict, profiles = await self._prepare(request, verdict)
        except _RefusedError as exc:
            return await self._refuse(request, verdict, str(exc))
        request = as_given(request, verdict)
        confinement = describe(profiles[0], request.variables) if verdict.tier is not Tier.DENY else ""
        await tell({"event": "decision", "verdict": render_verdict(verdict, confinement)})
        if is_beyond(request, verdict):
            return await self._leave(request, verdict, confinement)
        answer = Answer(state=State.APPROVED)
        approval: Approval | None = None
        if verdict.tier is Tier.REQUIRE_APPROVAL:
            await self._ledger.ensure_disk()  # so that nobody is asked about what could not be recorded
            environment = self._environment(request, profiles[0])
            try:
                asked = await self._describe(request, policy, verdict, confinement, environment)
            except CannotLookError as exc:
                return await self._refuse(request, verdict, str(exc))
            answer, approval = await self._asking.ask(asked, environment, tell)
            if answer.state is State.APPROVED and (why := await self._why_drifted(asked, environment)):
                return await self._refuse(request, verdict, why)
        if answer.state is State.APPROVED and (why := self._running.why_stopped(request.session)):
            return await self._refuse(request, verdict, why)
        decision = find_decision(verdict, answer)
        watched = find_audited(self._policy.folders, request, verdict)
        record = render_decided(
            request,
            verdict,
            confinement,
            decision=decision,
            answer=answer,
            approval=approval,
            landlock=self._runner.landlock,
        )
        record = replace(record, rules=(*record.rules, *(f"audit {rule.describe()}" for rule in watched)))
        await self._ledger.decided(record, durable=bool(watched))
        if decision is Decision.EDITED:
            return await self._follow_edit(request, answer.line, tell)
        if decision not in (Decision.ALLOWED, Decision.APPROVED):
            return Result(outcome=decision.value, reason=explain_decision(verdict, decision, answer))
        return await self._run(request, verdict, profiles, tell)

    async def _prepare(self, request: Request, verdict: Verdict) -> tuple[Verdict, tuple[Profile, ...]]:
        """The verdict with as whom it would run, and in what; _RefusedError where that cannot be."""
        if why := self._running.why_stopped(request.session):
            raise _RefusedError(why)
        try:
            run_as, profiles = confine(request.session.principal, request.action, verdict, root=self._root)
            if verdict.tier is Tier.REQUIRE_APPROVAL and run_as is not RunAs.ROOT:
                await self._runner.ensure(request.session)
        except ProfileError as exc:
            raise _RefusedError(str(exc)) from exc
        except SandboxError as exc:
            raise _RefusedError(render_trouble(exc)) from exc
        return replace(verdict, run_as=run_as), profiles

    async def review(self, requests: Sequence[Request], tell: Tell) -> None:
        """Ask about several actions of a step before the first; what asks nobody, or cannot be, is passed over."""
        several = [each for request in requests if (each := await self._foresee(request))]
        if len(several) > 1:
            await self._asking.review(several, tell)

    async def _foresee(self, request: Request) -> tuple[Asked, Environment] | None:
        """What a person is going to be asked about `request`, if they are."""
        if isinstance(request.action, CommandAction):
            action, given = follow(request.action, request.variables, request.session.principal.home)
            request = replace(request, action=action, variables=given)
        policy, verdict = await self._evaluate(request)
        try:
            verdict, profiles = await self._prepare(request, verdict)
            if verdict.tier is not Tier.REQUIRE_APPROVAL:
                return None
            request = as_given(request, verdict)
            environment, confinement = self._environment(request, profiles[0]), describe(profiles[0], request.variables)
            asked = await self._describe(request, policy, verdict, confinement, environment)
        except (_RefusedError, CannotLookError):
            return None
        return asked, environment

    async def _describe(
        self, request: Request, policy: Policy, verdict: Verdict, confinement: str, environment: Environment
    ) -> Asked:
        """What a person is asked. CannotLookError."""
        return Asked(
            request=request,
            verdict=verdict,
            confinement=confinement,
            policy=policy.digest,
            leasable=may_be_leased(verdict, request.action) and not request.variables,
            files=await self._look(request, verdict, environment),
        )

    async def _look(self, request: Request, verdict: Verdict, environment: Environment) -> tuple[str, ...]:
        """What a command stands on, now. CannotLookError; but root may act where no sandbox can be made at all."""
        if not isinstance(request.action, CommandAction):
            return ()
        looking = looking_at(verdict, request.action, dict(environment)["PATH"])
        try:
            return await self._runner.look(request.session, looking)
        except CannotLookError:
            if verdict.run_as is RunAs.ROOT:
                return ()
            raise

    async def _why_drifted(self, asked: Asked, environment: Environment) -> str:
        """Why what was approved is not what would run now; "" where it is."""
        policy, _verdict = await self._evaluate(asked.request)
        if asked.policy != policy.digest:
            return "the policy has changed since this was shown; propose it again"
        try:
            now = await self._look(asked.request, asked.verdict, environment)
        except CannotLookError as exc:
            return str(exc)
        changed = find_changed(asked.files, now)
        return f"{changed} has changed since this was shown; propose it again" if changed else ""

    async def _evaluate(self, request: Request) -> tuple[Policy, Verdict]:
        """The verdict, and the policy that gave it: the administrator's with what the session's person adds."""
        principal = request.session.principal
        if isinstance(request.action, ObserveAction):
            return self._policy, judge_observation(request.action, principal, self._live.now.admin_groups)
        try:
            stopped = self._running.why_stopped(request.session)  # then nothing starts, nor what reads their rules
            policy = self._policy if stopped else await self._own.of(request.session, self._policy)
        except PolicyError as exc:
            return self._policy, denied(request.text, f"your own rules cannot be used: {exc}")
        if isinstance(request.action, CommandAction):
            verdict = evaluate(policy, request.action, request.variables, principal)
        else:
            verdict = policy.evaluate(request.action, principal)
        if request.careful and verdict.tier is Tier.NOTIFY:
            return policy, replace(
                verdict, tier=Tier.REQUIRE_APPROVAL, reason=f"{_CAREFUL.format(request.careful)} {verdict.reason}"
            )
        return policy, verdict

    async def _run(self, request: Request, verdict: Verdict, profiles: tuple[Profile, ...], tell: Tell) -> Result:
        """Run what was allowed, and record its end, whatever that is."""
        ended = Ended(outcome=Outcome.CANCELLED, reason="interrupted")
        if request.begun:
            request.begun()
        if request.keep:
            request.keep.note(tier=verdict.tier, timeout_s=request.timeout_s)
        environment = self._environment(request, profiles[0])
        try:
            if isinstance(request.action, ObserveAction):
                ended = await self._runner.run_observation(
                    request.action, environment, timeout_s=request.timeout_s, tell=tell
                )
            elif isinstance(request.action, FetchAction):
                ended = await self._runner.run_fetch(request, request.action, profiles[0], environment, tell)
            elif isinstance(request.action, FileAction):
                tool = (request.action.tool, dict(request.arguments), request.content)
                ended = await self._runner.run_tool(
                    request.session, profiles[0], tool, environment, timeout_s=request.timeout_s, tell=tell
                )
            elif verdict.program is not None and profiles[0].name in (ProfileName.READ_ONLY, ProfileName.WORKSPACE):
                with self.reaching.under_way(request, verdict, describe(profiles[0], request.variables)) as clock:
                    ended = await self._runner.run_program(
                        request.session,
                        profiles,
                        verdict.program,
                        cwd=request.action.cwd,
                        environment=environment,
                        timeout_s=request.timeout_s,
                        tell=tell,
                        content=request.content,
                        egress=request.egress,
                        alone=request.background,
                        clock=clock,
                        keep=request.keep,
                    )
            else:
                ended = await self._runner.run_shell(
                    request.session,
                    profiles[0],
                    verdict,
                    cwd=request.action.cwd,
                    environment=environment,
                    timeout_s=request.timeout_s,
                    tell=tell,
                    content=request.content,
                    egress=request.egress,
                    alone=request.background,
                    keep=request.keep,
                )
        finally:
            reason = self._record_end(request, verdict, ended)
        return Result(
            outcome=ended.outcome.value,
            reason=reason,
            status=ended.status,
            duration_ms=ended.duration_ms,
            output_bytes=ended.output_bytes,
            truncated=ended.truncated,
            foreign=ended.foreign,
        )

    def _record_end(self, request: Request, verdict: Verdict, ended: Ended) -> str:
        try:
            self._ledger.done(render_done(request, verdict, ended))
        except AuditError as exc:
            return f"{ended.reason}; its end is not on the record yet: {exc}".lstrip("; ")
        return ended.reason

    async def _leave(self, request: Request, verdict: Verdict, confinement: str) -> Result:
        """Leave undone what is stricter than its proposer wants it to be."""
        reason = f"nothing stricter than {request.most} is run here, and nobody asked"
        answer = Answer(state=State.DENIED, reason=reason)
        decided = render_decided(
            request, verdict, confinement, decision=Decision.UNANSWERED, answer=answer, approval=None
        )
        await self._ledger.decided(decided)
        return Result(outcome=Decision.UNANSWERED.value, reason=answer.reason)

    async def _refuse(self, request: Request, verdict: Verdict, reason: str) -> Result:
        answer = Answer(state=State.DENIED, reason=reason)
        await self._ledger.decided(
            render_decided(request, verdict, "", decision=Decision.REFUSED, answer=answer, approval=None)
        )
        return Result(outcome=Outcome.REFUSED.value, reason=reason)

    def _environment(self, request: Request, profile: Profile) -> tuple[tuple[str, str], ...]:
        session = request.session
        as_root = profile.name is ProfileName.ROOT
        user, home = ("root", "/root") if as_root else (session.identity.user, session.identity.home)
        besides = find_environment(self._live.secrets, session.principal.user) if profile.network else {}
        return render_environment(profile, user=user, home=home, besides={**dict(request.variables), **besides})
