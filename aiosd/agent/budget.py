"""A turn's budget: steps, tokens, seconds. What is used up ends the turn with a named error, never silently."""

from dataclasses import dataclass, field

from aiosd.errors import BudgetExceededError

_HINT = "continue the session, or raise agent.max_{0} in the configuration"


@dataclass(slots=True, kw_only=True)
class Budget:
    """What a turn may use; `seconds` is for whoever runs the turn to hold."""

    steps: int
    tokens: int
    seconds: int
    used_steps: int = field(default=0, init=False)
    used_tokens: int = field(default=0, init=False)

    def begin_step(self) -> None:
        """Count one request to the model; BudgetExceededError where there was none left."""
        if self.used_steps >= self.steps:
            raise BudgetExceededError(f"the turn took its {self.steps} steps", hint=_HINT.format("steps"))
        if self.used_tokens >= self.tokens:
            raise BudgetExceededError(f"the turn took its {self.tokens} tokens", hint=_HINT.format("tokens"))
        self.used_steps += 1

    def spare_step(self) -> bool:
        """Count one for what is not the answer, where at least one is left for that; whether it may be made."""
        if self.used_steps + 1 > self.steps or self.used_tokens >= self.tokens:
            return False
        self.used_steps += 1
        return True

    def use_tokens(self, count: int) -> None:
        """Count tokens of a request that was made."""
        self.used_tokens += count

    def out_of_time(self) -> BudgetExceededError:
        """The error for the seconds."""
        return BudgetExceededError(f"the turn took its {self.seconds} s", hint=_HINT.format("seconds"))
