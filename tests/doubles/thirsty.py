"""The built-in model, which counts no tokens, saying that each of its answers took 600."""

from collections.abc import AsyncIterator

from aiosd.model.base import Delta, ModelRequest, UsageDelta
from aiosd.model.builtin import BuiltinModel


class ThirstyModel(BuiltinModel):
    """Answers as the built-in one."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """The same, with the usage before it."""
        yield UsageDelta(input_tokens=500, output_tokens=100)
        async for delta in super().stream(request):
            yield delta
