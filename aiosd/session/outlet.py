"""The way out of a turn's requests to models: within what may be spent, and written down. Nothing leaves beside it."""

from dataclasses import dataclass

from aiosd.config import Live
from aiosd.errors import BudgetExceededError
from aiosd.memory.sent import SentRequests
from aiosd.model.base import Sent, Used
from aiosd.types import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A SentLog of one turn."""

    requests: SentRequests
    live: Live
    uid: int
    session: SessionId
    turn: int
    max_cost: float = 0.0  # of this turn, where the configuration has no lower one

    async def sending(self, sent: Sent) -> int:
        """Write it down; its number. BudgetExceededError where the money is spent: then it is not sent."""
        await self._check_spent()
        return await self.requests.add(
            self.uid,
            self.session,
            self.turn,
            model=sent.model,
            address=sent.address,
            body=sent.body,
            sources=sent.sources,
        )

    async def sent(self, number: int, used: Used) -> None:
        """Write down what became of it."""
        tokens = (used.input_tokens, used.cached_tokens, used.output_tokens)
        self.requests.finish(self.uid, number, tokens=tokens, cost=used.cost, error=used.error)

    async def _check_spent(self) -> None:
        agent = self.live.config.agent
        own = bool(self.max_cost) and (not agent.max_cost or self.max_cost < agent.max_cost)
        max_cost = self.max_cost if own else agent.max_cost
        if not (
            max_cost or agent.max_session_cost or agent.max_day_cost or agent.max_session_tokens or agent.max_day_tokens
        ):
            return
        spent = await self.requests.spent(self.uid, self.session, self.turn)
        for key, used, most in (
            ("max_cost", spent.turn, max_cost),
            ("max_session_cost", spent.session, agent.max_session_cost),
            ("max_day_cost", spent.day, agent.max_day_cost),
            ("max_session_tokens", spent.session_tokens, agent.max_session_tokens),
            ("max_day_tokens", spent.day_tokens, agent.max_day_tokens),
        ):
            if most and used >= most and own and key == "max_cost":
                raise BudgetExceededError(
                    f"the turn's budget is {most:g}, and {used:g} are used up",
                    hint="give it more: --budget, or go on without a price: aios ask --model builtin",
                )
            if most and used >= most:
                raise BudgetExceededError(
                    f"agent.{key} is {most:g}, and {used:g} are used up",
                    hint=f"raise agent.{key}, or go on without a price: aios ask --model builtin",
                )
