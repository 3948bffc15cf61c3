"""Everything that crosses the API socket, version 1: requests, answers, events.

Standard library only, so that clients can import it; frozen, so that nobody edits what was said. The daemon checks what
comes in against these types and makes the OpenAPI document from them. Times end in `_at` and are UTC in RFC 3339.
"""

from dataclasses import dataclass
from typing import Literal

from aiosd.wire_talk import EventBase, Facts, Notice, ProgressDelta, Question, TodoList

VERSION = 1

TierName = Literal["auto_allow", "notify", "require_approval", "deny"]
CallOutcome = Literal["done", "failed", "timed_out", "cancelled", "refused", "denied", "skipped", "unanswered"]
TurnState = Literal["running", "done", "failed", "interrupted"]


# Requests ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCheckRequest:
    """A command line to judge; nothing is run."""

    command: str
    cwd: str = "/"
    run_as: Literal["user", "root"] = "user"


# Answers -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session in a list. `state` is that of its newest turn."""

    id: str
    name: str
    title: str
    created_at: str
    used_at: str
    turns: int
    state: TurnState


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionList:
    """The caller's sessions, newest first."""

    sessions: tuple[SessionInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnInfo:
    """A turn of a session: what was asked, what was answered."""

    number: int
    prompt: str
    answer: str
    state: TurnState
    started_at: str
    exit_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """A file that a session keeps: `uploads/NAME` came with a question, `outputs/NAME` was made by its commands."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDetail:
    """A session with its turns, oldest first, and the files it keeps.

    `last_seq` is its newest event's cursor, `turn_seq` its newest turn's.
    """

    session: SessionInfo
    turns: tuple[TurnInfo, ...]
    files: tuple[FileInfo, ...] = ()
    last_seq: int
    turn_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """Whether a turn was running and has been told to end."""

    cancelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """A rule that spoke: pattern or name, the tier it gives, file and line ("" and 0 where no file says it)."""

    name: str
    tier: TierName
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartInfo:
    """The verdict for one simple command of a line."""

    text: str
    tier: TierName
    reason: str
    suggest: str
    remedy: str
    facets: tuple[str, ...]
    rules: tuple[RuleInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueInfo:
    """Where a line leaves the language that is recognised exactly, and why."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictInfo:
    """The verdict for a whole action, and how it would be confined."""

    tier: TierName
    reason: str
    confinement: str
    run_as: Literal["user", "root"]
    opaque: OpaqueInfo | None
    parts: tuple[PartInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that can be asked."""

    name: str
    provider: str
    description: str
    local: bool
    default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """The models, the default first."""

    models: tuple[ModelEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the daemon is. Counts of sessions and turns are of the whole daemon, `pending` the caller's own.

    `volatile`: why the guard's newest records are in memory alone, "" where they are on the disk.
    """

    version: str
    mode: Literal["system", "standalone"]
    guard: Literal["ok", "unavailable"]
    model: str
    started_at: str
    open_sessions: int
    running_turns: int
    pending: int
    volatile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginNotice:
    """What waits for who logs in: approvals to answer, and turns cut short `since_at`, the newest named.

    Cut short: by an error, for want of an answer, by the daemon's end. `failed` counts them all.
    """

    pending: int
    failed: int
    sessions: tuple[str, ...]
    since_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInfo:
    """One finding of the doctor: `ok`, `missing` (something is refused for it) or `weaker`; with its remedy."""

    name: str
    state: Literal["ok", "missing", "weaker"]
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctor:
    """What works here and what does not."""

    checks: tuple[CheckInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigEntry:
    """One configuration key: its effective value as JSON, and the file or variable that set it (or `default`)."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective configuration."""

    entries: tuple[ConfigEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error, RFC 9457. `code` is stable, `hint` says what to do, `exit_status` is for a command line to end with."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    exit_status: int


# Events: each with the version, its number in the session, and when -------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(EventBase):
    """A turn begins: the session's id and name, the turn's number, the model asked."""

    type: Literal["session_started"] = "session_started"
    name: str
    turn: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta(EventBase):
    """A piece of the answer."""

    type: Literal["text_delta"] = "text_delta"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A tool's argument; what is not text is JSON."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProposed(EventBase):
    """The model proposes to use a tool."""

    type: Literal["call_proposed"] = "call_proposed"
    call: str
    tool: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade(EventBase):
    """What the policy says of a proposal; `notify` is hereby announced, before it starts."""

    type: Literal["decision"] = "decision"
    call: str
    verdict: VerdictInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNeeded(EventBase):
    """A person has to answer: fetch the card from the guard by this id, and answer to the guard."""

    type: Literal["approval_needed"] = "approval_needed"
    call: str
    approval: str
    expires_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInfo:
    """A card that waits, and which call it is about."""

    call: str
    approval: str
    expires_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewNeeded(EventBase):
    """A person has to answer several at once, before the first is done; each as by `approval_needed`."""

    type: Literal["review_needed"] = "review_needed"
    approvals: tuple[CardInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(EventBase):
    """What a command writes, as it comes; bytes that are no UTF-8 are replaced."""

    type: Literal["output"] = "output"
    call: str
    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDone(EventBase):
    """A proposal is settled. `status` is the exit status, -1 where nothing ran to an end.

    `command` is the line that a person put in the place of the proposed one.
    """

    type: Literal["call_done"] = "call_done"
    call: str
    outcome: CallOutcome
    status: int
    reason: str
    duration_ms: int
    output_bytes: int
    truncated: bool
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(EventBase):
    """Tokens of one request to the model; cached ones are part of the input. `cost` by the configured prices."""

    type: Literal["usage"] = "usage"
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDone(EventBase):
    """The turn has an answer. `exit_status` is not 0 where a step was denied, refused, failed or not understood."""

    type: Literal["turn_done"] = "turn_done"
    exit_status: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFailed(EventBase):
    """The turn ended without one; `code` is that of a Problem."""

    type: Literal["turn_failed"] = "turn_failed"
    code: str
    message: str
    hint: str
    exit_status: int


Event = (
    SessionStarted
    | TextDelta
    | ProgressDelta
    | Notice
    | Question
    | TodoList
    | Facts
    | CallProposed
    | DecisionMade
    | ApprovalNeeded
    | ReviewNeeded
    | Output
    | CallDone
    | Usage
    | TurnDone
    | TurnFailed
)
LAST_EVENTS = ("turn_done", "turn_failed")
