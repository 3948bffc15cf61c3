"""The records: what the guard writes down of every action, and under which message id the journal knows each kind.

One kind is the journal's alone: what a transaction of the package manager changed.

What cannot be shown (control and format characters, bytes that are no UTF-8) is spelled out in an action, and its exact
bytes stand beside it, as far as it is shown.

A record is flat: names to text, numbers and lists of text, so that it reads the same as a line of the log and as fields
of the journal. Text that came from a model or a command is redacted and cut here, on the way in: an entry has ≤ 4 KiB.
"""

import base64
import hashlib
import json
import unicodedata
from dataclasses import dataclass, fields
from enum import StrEnum

from aiosd.audit.redact import redact
from aiosd.types import JsonObject, JsonValue, RunAs, Tier

# In bytes of UTF-8, so that with names, numbers and hashes an entry has at most 4 KiB.
_MAX_BYTES = {
    "action": 1536,
    "packages": 1536,
    "cwd": 320,
    "confinement": 320,
    "reason": 320,
    "digest": 64,
    "host": 256,
}
# Of an action beside which its bytes stand: those of all that is shown, so that both together have the room of one.
_MAX_SPELLED_BYTES = 656
_MAX_RAW_BYTES = 654
_MAX_NAME_BYTES = 80
_MAX_RULES_BYTES = 480
_MARK_BYTES = 32
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Kind(StrEnum):
    """The kinds of record. Their message ids never change."""

    STARTED = "started"
    STOPPED = "stopped"
    DECIDED = "decided"
    DONE = "done"
    CONNECTED = "connected"
    PACKAGES = "packages"
    ORDERED = "ordered"
    LAPSED = "lapsed"

    @property
    def message_id(self) -> str:
        """The journal's MESSAGE_ID of this kind."""
        return _MESSAGE_IDS[self]


_MESSAGE_IDS = {
    Kind.STARTED: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40101",
    Kind.STOPPED: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40102",
    Kind.DECIDED: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40103",
    Kind.DONE: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40104",
    Kind.PACKAGES: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40105",
    Kind.CONNECTED: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40106",
    Kind.ORDERED: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40107",
    Kind.LAPSED: "6d2a3c1f9e8b4f0fa7c5b1e2d3f40108",
}


class Decision(StrEnum):
    """What became of a proposal before anything ran."""

    ALLOWED = "allowed"  # by policy
    APPROVED = "approved"  # by a person
    DENIED = "denied"  # by policy or by a person
    SKIPPED = "skipped"  # by a person, who goes on without it
    EDITED = "edited"  # by a person: another line was proposed in its place
    UNANSWERED = "unanswered"  # nobody answered in time
    REFUSED = "refused"  # could not be confined
    CANCELLED = "cancelled"  # whoever asked went away


class Outcome(StrEnum):
    """How an action that was allowed ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    LOST = "lost"  # the guard itself ended first


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The guard has started: its version and whether it is the system's or standalone.

    `kept` are the actions (SESSION/CALL) of an earlier guard that go on.
    """

    version: str
    mode: str
    kept: tuple[str, ...] = ()

    kind = Kind.STARTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The guard ended in order."""

    reason: str

    kind = Kind.STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A proposal was decided; an allowed one runs after this is stored. `approver` is a uid, -1 where nobody answered.

    `action` is the command line, or the file tool with its path; `digest` is over its exact bytes, as it may be cut.
    `landlock` is the version that the kernel has of the second wall, 0 for none.
    """

    session: str
    call: str
    uid: int
    user: str
    tool: str
    action: str
    digest: str
    cwd: str
    run_as: RunAs
    tier: Tier
    decision: Decision
    confinement: str
    rules: tuple[str, ...]
    reason: str
    approval: str = ""
    approver: int = -1
    landlock: int = 0

    kind = Kind.DECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An allowed action has ended. `status` is the exit status, -1 where there is none."""

    session: str
    call: str
    uid: int
    user: str
    tier: Tier
    outcome: Outcome
    status: int
    duration_ms: int
    output_bytes: int
    truncated: bool
    reason: str = ""

    kind = Kind.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A command's connection has ended, or was refused (`reason`): to which host, and at what address that was."""

    session: str
    call: str
    uid: int
    user: str
    host: str
    port: int
    address: str
    sent_bytes: int
    received_bytes: int
    reason: str = ""

    kind = Kind.CONNECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """A transaction of the package manager, whoever began it: how many packages it changed, and each as it is now."""

    count: int
    packages: str

    kind = Kind.PACKAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A person gave an order to the guard: to stop or thaw actions, to grant or revoke a lease. `reason` says which."""

    order: str
    uid: int
    user: str
    session: str = ""
    reason: str = ""

    kind = Kind.ORDERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapsed:
    """A lease has ended: used up, over or revoked (`how`). `action` is what it was a yes to, `approver` by whom.

    `session` and `cwd` are "" where it was for any.
    """

    lease: str
    uid: int
    user: str
    session: str
    cwd: str
    action: str
    how: str
    used: int
    uses: int
    approver: int

    kind = Kind.LAPSED


Record = Started | Stopped | Decided | Done | Connected | Ordered | Lapsed


def render_record(record: Record | Packages) -> JsonObject:
    """The record as names and values, redacted and cut, `kind` first."""
    out: JsonObject = {"kind": record.kind.value}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, str):
            out[field.name] = _cut(redact(str(value)), _MAX_BYTES.get(field.name, _MAX_NAME_BYTES))
        elif isinstance(value, tuple):
            out[field.name] = _cut_list(value)
        else:
            out[field.name] = value
    if isinstance(record, Decided | Lapsed):
        _spell_out(record.action, out)
    return out


def _spell_out(action: str, out: JsonObject) -> None:
    """Show what cannot be seen in an action, with its bytes in base64, if there is any."""
    text = redact(action)
    spelled = "".join(rf"\u{{{ord(char):x}}}" if _is_unseen(char) else char for char in text)
    if spelled != text:
        out["action"] = _cut(spelled, _MAX_SPELLED_BYTES)
        out["raw"] = base64.b64encode(_encode(text)[:_MAX_RAW_BYTES]).decode()


def _is_unseen(char: str) -> bool:
    return char not in "\n\t" and unicodedata.category(char) in _UNSEEN


def _encode(text: str) -> bytes:
    """Bytes as they came; half of a surrogate pair, which no bytes were, as three of its own."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def digest_text(text: str) -> str:
    """SHA-256 of the exact bytes of an action, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _cut(text: str, limit: int) -> str:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= limit:
        return text
    kept = data[: limit - _MARK_BYTES].decode("utf-8", "ignore")
    return f"{kept}… [{len(data) - len(kept.encode())} more bytes]"


def _cut_list(texts: tuple[str, ...]) -> list[JsonValue]:
    out: list[JsonValue] = []
    room = _MAX_RULES_BYTES - _MARK_BYTES
    for number, text in enumerate(texts):
        cut = _cut(redact(text), 240)
        room -= len(json.dumps(cut, ensure_ascii=False).encode("utf-8", "surrogatepass")) + 2
        if room < 0:
            return [*out, f"… [{len(texts) - number} more]"]
        out.append(cut)
    return out
