"""The events that only tell: what is thought, what a person should know, what is asked of them,
what is to be done.

As `aiosd.wire`, where every other event is; each has the version, its number in the session, and when.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBase:
    """What every event has."""

    v: Literal[1] = 1
    seq: int = 0
    session: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressDelta(EventBase):
    """What the model thinks, or (with `tool`) the arguments it is writing. Only to be shown."""

    type: Literal["progress_delta"] = "progress_delta"
    tool: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(EventBase):
    """What a person should know, in a line. With `void`, the text since the last call is: it comes again."""

    type: Literal["notice"] = "notice"
    text: str
    void: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(EventBase):
    """The model asks the person, who may choose or say something else: POST …/answer. It decides nothing by itself."""

    type: Literal["question"] = "question"
    call: str
    text: str
    choices: tuple[str, ...]


TodoState = Literal["open", "doing", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TodoItem:
    """A thing to do, and how far it is."""

    text: str
    state: TodoState


@dataclass(frozen=True, slots=True, kw_only=True)
class TodoList(EventBase):
    """What the model has set out to do, whole; a later one replaces it."""

    type: Literal["todo"] = "todo"
    items: tuple[TodoItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A named part of a fact: as people read it, and as a number (bytes, seconds, percent, a count) where it is one."""

    name: str
    text: str
    number: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that an answer says, by the name of its sentence, which is the same in every language."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(EventBase):
    """An answer of the built-in model as data: what it is `about`, what is said, the rows of its table, and why

    it may not be all (`missing`). It comes before the text that says the same.
    """

    type: Literal["facts"] = "facts"
    about: str
    said: tuple[Fact, ...]
    rows: tuple[tuple[Value, ...], ...]
    missing: tuple[Fact, ...]
