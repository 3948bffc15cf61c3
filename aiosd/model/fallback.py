"""Several models as one: the first is asked; where it gives no answer the next one is, and at last the built-in one.

Who answers instead says so in one line. The built-in model knows its limits: a question that it does not understand
ends with the first model's own error, so that nobody takes its words for an answer.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from aiosd.errors import ContextOverflowError, ModelUnavailableError
from aiosd.model.base import AgainDelta, Delta, Model, ModelInfo, ModelRequest, VerdictDelta, closing


class FallbackModel:
    """A Model that is listed as the first of `models`."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = models

    @property
    def info(self) -> ModelInfo:
        """The first one's."""
        return self._models[0].info

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """The first answer. Raises the first model's error where none has one."""
        first: ModelUnavailableError | None = None
        for model in self._models:
            try:
                async with aclosing(_answer(model, request, rescue=first)) as deltas:
                    async for delta in deltas:
                        yield delta
            except ContextOverflowError:
                raise  # the loop leaves something out and asks again
            except ModelUnavailableError as exc:
                first = first or exc
                following = self._models.index(model) + 1
                if following < len(self._models):
                    yield AgainDelta(reason=f"{exc.message}; {_name(self._models[following])} answers instead")
            else:
                return
        assert first is not None
        raise first


async def _answer(
    model: Model, request: ModelRequest, *, rescue: ModelUnavailableError | None
) -> AsyncGenerator[Delta, None]:
    """Its answer; the built-in model's, where it comes to the `rescue`, only when it has understood the question."""
    hold = rescue is not None and model.info.provider == "builtin"
    held: list[Delta] = []
    async with closing(model.stream(request)) as deltas:
        async for delta in deltas:
            if hold:
                held.append(delta)
            else:
                yield delta
    if rescue and VerdictDelta(verdict="not_understood") in held:
        raise rescue
    for delta in held:
        yield delta


def _name(model: Model) -> str:
    return "the built-in model" if model.info.provider == "builtin" else model.info.name
