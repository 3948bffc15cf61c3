"""What crosses the API socket about requests to models, as `aiosd.wire` has everything else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """A request that left for a model: SHA-256 of its body, where its texts come from, what became of it.

    Cached tokens are part of the input. `error` is "" for an answer, else the code of a Problem or `interrupted`.
    """

    number: int
    session: str
    name: str
    turn: int
    at: str
    model: str
    address: str
    bytes: int
    digest: str
    sources: tuple[str, ...]
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentList:
    """The caller's newest requests, oldest first."""

    requests: tuple[SentRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentText:
    """One request with its body, "" where that is no longer kept."""

    request: SentRequest
    text: str
