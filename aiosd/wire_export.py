"""What crosses the API socket about sessions that are kept, as `aiosd.wire` has everything else."""

from dataclasses import dataclass
from typing import Literal

from aiosd.wire import Argument, FileInfo, SessionInfo, TurnState


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameRequest:
    """A session's new name: small letters, digits and -."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """The session that is no more."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStep:
    """A call and what became of it. `tier` is "" where nothing was decided; `status` -1 where nothing ran to an end."""

    call: str
    tool: str
    arguments: tuple[Argument, ...]
    tier: str
    outcome: str
    status: int
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTurn:
    """A turn with what was done in it."""

    number: int
    prompt: str
    answer: str
    state: TurnState
    started_at: str
    exit_status: int
    steps: tuple[ExportStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExport:
    """A session as a whole."""

    v: Literal[1] = 1
    session: SessionInfo
    turns: tuple[ExportTurn, ...]
    files: tuple[FileInfo, ...] = ()
