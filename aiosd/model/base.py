"""What a model is to the agent loop: messages and tools in, a stream of deltas out.

The loop owns the conversation and the budget; a model owns its wire and nothing else. Every implementation, the
built-in one included, sees the machine only through the tool results it is given.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiosd.types import CallId, JsonObject
from aiosd.wire_talk import Fact, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One proposal to use a tool; `arguments` is the decoded JSON object.

    `fault` says why the arguments could not be read, where they could not: such a call is answered and never run.
    """

    id: CallId
    tool: str
    arguments: JsonObject
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image, in base64."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage:
    """What the person asked, with what came on standard input below it, and the pictures that go with it."""

    text: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantMessage:
    """What the model said and proposed in one step.

    `kept` are blocks of its provider's own that it wants back unchanged (signed reasoning); nobody else reads them.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    kept: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What came back for one call. `status` is a command's exit status, None where none ran.

    `outcome` tells apart what `is_error` lumps together: `done`, `failed` (ran, non-zero), `denied`, `skipped` (by a
    person), `unanswered`, `timed_out`, `cancelled`, `refused` (could not be confined, recorded or started).
    `command` is what a person put in the place of the proposed one; the text says so first. `place` is the working
    directory in which a plan left it undone, "" where it is none of a plan's. `variables` are what the session's
    commands are given from here on, None where that did not change.
    """

    call: CallId
    text: str
    outcome: Literal["done", "failed", "denied", "skipped", "unanswered", "timed_out", "cancelled", "refused"] = "done"
    status: int | None = None
    truncated: bool = False
    command: str = ""
    place: str = ""
    variables: dict[str, str] | None = None

    @property
    def instead(self) -> str:
        """What the text begins with where a person put another command in the place of the proposed one."""
        return f"[a person ran this instead: {self.command}]\n" if self.command else ""

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
class Sent:
    """What is about to leave for a model: to whom, the body as it goes, and where its texts come from."""

    model: str
    address: str
    body: bytes
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What became of a request: its tokens (cached ones are part of the input), their price, the error's code or ""."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    error: str = ""


class SentLog(Protocol):
    """Where requests to models are written down, one conversation's."""

    async def sending(self, sent: Sent) -> int:
        """Write it down; its number. Raises StorageError: then it is not sent."""
        ...

    async def sent(self, number: int, used: Used) -> None:
        """Write down what became of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request: the whole conversation so far, oldest first. A model that sends it anywhere tells `log` first."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    log: SentLog | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of the answer, to be shown as it comes."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """A piece of what the model thinks before it answers; it is shown and not kept."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDelta:
    """A piece of a call's arguments, JSON in the making: only to be shown. The whole call comes as a CallDelta."""

    tool: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDelta:
    """A complete tool call."""

    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDelta:
    """A block for `AssistantMessage.kept`."""

    block: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDelta:
    """Tokens of this request; a model that does not count says nothing. Cached ones are part of the input.

    `cost` is their price where the configuration has one.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainDelta:
    """What came of this answer so far is void: it is asked for again, of the same model or another, for `reason`."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDelta:
    """The answer ended before its end: its length was used up (`length`), or the provider withheld it (`refused`)."""

    reason: Literal["length", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsDelta:
    """An answer as data, beside the text that says the same."""

    about: str
    said: tuple[Fact, ...]
    rows: tuple[tuple[Value, ...], ...]
    missing: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictDelta:
    """What the model itself says of its answer: `answered`, or that the turn failed or was not understood."""

    verdict: Literal["answered", "not_understood", "failed"] = "answered"


Delta = (
    TextDelta
    | ReasoningDelta
    | PartDelta
    | CallDelta
    | KeptDelta
    | UsageDelta
    | AgainDelta
    | StopDelta
    | FactsDelta
    | VerdictDelta
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """How a model is listed. `context_tokens` is how much it can read at once; 0 is any amount.

    `priced` is False where what it costs is not known here.
    """

    name: str
    provider: str
    description: str
    local: bool
    languages: tuple[str, ...] = field(default=())
    context_tokens: int = 0
    priced: bool = True


class Model(Protocol):
    """A model. `stream` raises ModelUnavailableError, and nothing else on purpose."""

    @property
    def info(self) -> ModelInfo:
        """What `aios models` shows."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """The answer to `request`, piece by piece. Closing the iterator ends the request."""
        ...


@asynccontextmanager
async def closing(stream: AsyncIterator[Delta]) -> AsyncIterator[AsyncIterator[Delta]]:
    """`stream`, closed at the end, whatever that is: the request behind it ends then and not some time later."""
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
