"""What a wire is: a provider's protocol as pure functions, from a request to a body and from events to deltas."""

from collections.abc import Iterator
from typing import Literal, Protocol

from aiosd.config import ModelTable
from aiosd.model.base import Delta, ModelRequest
from aiosd.types import JsonObject

Effort = Literal["", "low", "medium", "high"]


class Reader(Protocol):
    """Reads one answer, from its first event to its last."""

    def read(self, data: str) -> Iterator[Delta]:
        """What an event's data says. Raises `failures.AttemptError` for an error in it, or what is no such event."""
        ...

    def end(self) -> Iterator[Delta]:
        """What the end of the stream completes. Raises `failures.AttemptError` where it came too early."""
        ...


class Wire(Protocol):
    """One provider's protocol."""

    def url(self, base_url: str) -> str:
        """Where requests go."""
        ...

    def headers(self, key: str) -> dict[str, str]:
        """What goes with them; `key` may be ""."""
        ...

    def render(self, request: ModelRequest, table: ModelTable) -> JsonObject:
        """The body."""
        ...

    def adapt(self, body: JsonObject, complaint: str) -> JsonObject | None:
        """The body without what the server complained of; None where that is nothing optional."""
        ...

    def unfold(self, whole: JsonObject) -> JsonObject:
        """An answer that came at once, though a stream was asked for, as the one event `Reader.read` takes."""
        ...

    def reader(self) -> Reader:
        """For one answer."""
        ...
