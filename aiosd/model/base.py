"""What a model is to the agent loop: messages and tools in, a stream of deltas out.

The loop owns the conversation and the budget; a model owns its wire and nothing else. Every implementation, the
built-in one included, sees the machine only through the tool results it is given.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiosd.types import CallId, JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One proposal to use a tool; `arguments` is the decoded JSON object."""

    id: CallId
    tool: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage:
    """What the person asked, with what came on standard input below it."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantMessage:
    """What the model said and proposed in one step."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What came back for one call. `status` is a command's exit status, None where none ran.

    `outcome` tells apart what `is_error` lumps together: `done`, `failed` (ran, non-zero), `denied`, `unanswered`,
    `timed_out`, `cancelled`, `refused` (could not be confined, recorded or started).
    """

    call: CallId
    text: str
    outcome: Literal["done", "failed", "denied", "unanswered", "timed_out", "cancelled", "refused"] = "done"
    status: int | None = None
    truncated: bool = False

    @property
    def is_error(self) -> bool:
        """Whether the call did not do what it proposed."""
        return self.outcome != "done"


Message = UserMessage | AssistantMessage | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as the model is told of it; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request: the whole conversation so far, oldest first."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    max_output_tokens: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of the answer, to be shown as it comes."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDelta:
    """A complete tool call."""

    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDelta:
    """Tokens of this request; a model that does not count says nothing."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictDelta:
    """What the model itself says of its answer: `answered`, or that the turn failed or was not understood."""

    verdict: Literal["answered", "not_understood", "failed"] = "answered"


Delta = TextDelta | CallDelta | UsageDelta | VerdictDelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """How a model is listed."""

    name: str
    provider: str
    description: str
    local: bool
    languages: tuple[str, ...] = field(default=())


class Model(Protocol):
    """A model. `stream` raises ModelUnavailableError, and nothing else on purpose."""

    @property
    def info(self) -> ModelInfo:
        """What `aios models` shows."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """The answer to `request`, piece by piece. Closing the iterator ends the request."""
        ...
