"""What a person asks over the API socket, as `aiosd.wire` has everything else: turns, and answers within them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture that goes with a question, in base64."""

    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with a question, in base64. It is kept in the session's `uploads`, by the end of its name."""

    name: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One turn in the session that the path names.

    `input` is what came on the client's standard input; `cwd` its working directory, absolute. `wait_s` shortens how
    long an approval waits for an answer; 0 leaves the administrator's setting. `model` is asked from now on in this
    session; "" leaves the one asked before, or the configured one.

    With `plan` nothing that changes something is run, only proposed; `carry_out` begins with what the turn before left
    undone like that, as it was proposed, each step judged and asked about as ever. `yes_to` is the strictest tier that
    may run: what is above it asks nobody and does not run. `timeout_s` and `max_cost` bound the turn below what is
    configured, 0 leaves that. `schema` is a JSON Schema: the answer is one JSON value that fits it.
    Of `files` pictures are shown to the model and short texts told, like `input`; the session's commands find all of
    them in its `uploads`.
    """

    prompt: str
    input: str = ""
    cwd: str = "/"
    wait_s: int = 0
    model: str = ""
    plan: bool = False
    carry_out: bool = False
    yes_to: Literal["", "auto_allow", "notify"] = ""
    timeout_s: int = 0
    max_cost: float = 0.0
    schema: str = ""
    images: tuple[Image, ...] = ()
    files: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRequest(TurnRequest):
    """One turn. `session` is an id or name (a new session where it is empty, the newest with `continue_newest`).

    With `fork` it goes on in a copy of that session; a new session, or the copy, is called `name` where that is not "".
    """

    session: str = ""
    continue_newest: bool = False
    name: str = ""
    fork: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """What the person says to a question of the model's, by its call; "" is nobody there."""

    call: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Whether that question still waited."""

    answered: bool
