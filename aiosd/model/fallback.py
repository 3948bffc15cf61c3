"""Several models as one: the first is asked; where it gives no answer the next one is, and at last the built-in one.

Who answers instead says so in one line. The built-in model knows its limits: a question that it does not understand
ends with the first model's own error, so that nobody takes its words for an answer.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from aiosd.errors import ContextOverflowError, ModelUnavailableError
from aiosd.model.base import AgainDelta, Delta, Model, ModelInfo, ModelRequest, VerdictDelta, closing


class FallbackModel:
    """A Model for one turn, listed as the first of `models`. Who did not answer is not asked again in that turn."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = models
        self._from = 0
        self._first: ModelUnavailableError | None = None

    @property
    def info(self) -> ModelInfo:
        """The first one's."""
        return self._models[0].info

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """The first answer. Raises the first model's error where none has one."""
        for index, model in enumerate(self._models[self._from :], self._from):
            try:
                async with aclosing(_answer(model, request, rescue=self._first)) as deltas:
                    async for delta in deltas:
                        yield delta
            except ContextOverflowError:
                raise  # the loop leaves something out and asks again
            except ModelUnavailableError as exc:
                self._first = self._first or exc
                if index + 1 < len(self._models):
                    self._from = index + 1
                    yield AgainDelta(reason=f"{exc.message}; {_name(self._models[index + 1])} answers instead")
            else:
                return
        assert self._first is not None
        raise self._first


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
