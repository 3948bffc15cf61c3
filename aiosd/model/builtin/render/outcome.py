"""What came back from a command, and the honest sentence for each way in which it can be no answer.

A renderer takes what it can from `Reading.out`, and calls `trouble` when that is nothing and `caveats` when it may not
be all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiosd.model.base import ToolResult
from aiosd.model.builtin.intents import Knowledge
from aiosd.model.builtin.slots import Slot
from aiosd.model.builtin.text import Answer, Say, clip

_STDERR = "[stderr]"
_UNREAD = ("Permission denied", "Operation not permitted")
_ABSENT = "No such file or directory"
_NO_COMMAND = "command not found"
_NOT_FOUND = 127  # the shell's exit status for a command that is not there: POSIX, Shell Command Language, 2.8.2
_COMMAND_COLUMNS = 72
# What the guard says of a person, in the language of the answer.
_REASONS = {"a person said no": "reason_said_no", "nobody answered in time; that is a no": "reason_unanswered"}
_REASON_COLUMNS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One command's outcome. `out` and `err` are empty where none ran; `reason` is why it did not, or not to its end.

    `text` is all that was printed, as it came.
    """

    command: str
    text: str
    out: str
    err: str
    reason: str
    result: ToolResult

    @property
    def tool(self) -> str:
        """The command's first word."""
        return next(iter(self.command.split(maxsplit=1)), "")

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of `out` that are not blank."""
        return tuple(line for line in self.out.split("\n") if line.strip())

    @property
    def complaints(self) -> tuple[str, ...]:
        """The lines of `err` that are not blank."""
        return tuple(line.strip() for line in self.err.split("\n") if line.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """A renderer's wish for one of its intent's later commands; `fill` gives its slots, quoted."""

    command: str
    fill: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that a renderer may use: which intent it is, the named parts, what the commands gave, and the catalogue."""

    slots: Mapping[str, Slot]
    readings: Mapping[str, Reading]
    say: Say
    knowledge: Knowledge
    intent: str = ""

    def __getitem__(self, name: str) -> Reading:
        return self.readings[name]

    def slot(self, name: str) -> str:
        """What the person named, or nothing."""
        return self.slots[name].value if name in self.slots else ""


Renderer = Callable[[Seen], Answer | More]


def parse_result(command: str, result: ToolResult) -> Reading:
    """`result` of `command`, stdout and stderr told apart at the last `[stderr]` line.

    Where a person put another command in its place, it is the result of that.
    """
    ran = result.outcome in {"done", "failed", "timed_out", "cancelled"}
    command = result.command or command
    lines = result.text.removeprefix(result.instead).split("\n")
    reason = ""
    if not ran or result.outcome in {"timed_out", "cancelled"}:
        lines, reason = _split_reason(lines, result.outcome)
    marks = [index for index, line in enumerate(lines) if line == _STDERR]
    split = marks[-1] if marks else len(lines)
    # A tool's own complaints may also stand among its output: `du: cannot read directory …`.
    own = f"{command.split(maxsplit=1)[0]}: " if command.strip() else ": "
    complaints = [line for line in lines[:split] if line.startswith(own)]
    return Reading(
        command=command,
        text="\n".join(lines) if ran else "",
        out="\n".join(line for line in lines[:split] if not line.startswith(own)) if ran else "",
        err="\n".join(complaints + lines[split + 1 :]) if ran else "",
        reason=reason,
        result=result,
    )


def _split_reason(lines: list[str], outcome: str) -> tuple[list[str], str]:
    """The tool ends such a result with `[outcome: reason]`; a reason that stands alone is all there is."""
    while lines and not lines[-1].strip():
        lines.pop()
    opening = f"[{outcome}: "
    if lines and lines[-1].startswith(opening) and lines[-1].endswith("]"):
        return lines[:-1], lines[-1][len(opening) : -1]
    if outcome in {"timed_out", "cancelled"}:
        return lines, ""
    return [], lines[0].strip() if lines else ""


def no_answer(seen: Seen, reading: Reading) -> Answer:
    """The whole answer when the command it rests on gave nothing that can be used."""
    return Answer(sentences=(trouble(seen, reading),), failed=True)


def trouble(seen: Seen, reading: Reading) -> str:
    """The sentence for a command that gave nothing that can be used."""
    say, result = seen.say, reading.result
    command = clip(reading.command, _COMMAND_COLUMNS)
    said = reading.complaints[0] if reading.complaints else reading.reason or next(iter(reading.lines), "")
    # The first command of a pipeline may have failed although its last ended well.
    if (result.outcome in {"failed", "refused", "denied"} or reading.complaints) and (known := _known(seen, reading)):
        return known
    match result.outcome:
        case "done":
            if not said:
                return say("empty", command=command)
            name = "only_complained" if reading.complaints else "cut_short" if result.truncated else "garbage"
            return say(name, command=command, reason=clip(said, _REASON_COLUMNS))
        case "failed":
            status = "?" if result.status is None else str(result.status)
            if not said:
                return say("failed", command=command, status=status)
            return say("failed_why", command=command, status=status, reason=clip(said, _REASON_COLUMNS))
        case "denied" | "refused" | "cancelled":
            name = f"{result.outcome}_why" if reading.reason else result.outcome
            reason = say(_REASONS[reading.reason]) if reading.reason in _REASONS else reading.reason
            return say(name, command=command, reason=clip(reason, _REASON_COLUMNS))
    return say(result.outcome, command=command)


def _known(seen: Seen, reading: Reading) -> str:
    """The sentence for a failure whose cause the words give away, or nothing."""
    words = f"{reading.err}\n{reading.reason}\n{reading.out}"
    missing = [line for line in reading.complaints if line.endswith(_NO_COMMAND)]
    if missing or reading.result.status == _NOT_FOUND:
        tool = missing[0].split(": ")[-2] if missing and missing[0].count(": ") else reading.tool
        return seen.say("missing_tool", tool=clip(tool, _COMMAND_COLUMNS))
    for sign, sentence in seen.knowledge.symptoms:
        if sign in words:
            return seen.say(sentence)
    folder = clip(seen.slot("folder"), _COMMAND_COLUMNS)
    if folder and _ABSENT in reading.err:
        return seen.say("no_folder", folder=folder)
    if folder and any(sign in reading.err for sign in _UNREAD):
        return seen.say("unreadable", folder=folder)
    return ""


def caveats(seen: Seen, reading: Reading, *, odd_lines: int = 0) -> tuple[str, ...]:
    """Why what a command gave may not be all: `odd_lines` of it could not be understood."""
    say, notes = seen.say, []
    if reading.result.outcome in {"timed_out", "cancelled"}:
        notes.append(say("unfinished"))
    if reading.result.truncated:
        notes.append(say("cut"))
    elif odd_lines:
        notes.append(say.count("odd_lines", odd_lines))
    unread = unread_places(reading)
    # Where the output was cut there are halves of lines.
    other = [line for line in reading.complaints if not line.endswith(_UNREAD) and not reading.result.truncated]
    if unread:
        notes.append(say.count("unread", len(unread), example=clip(unread[0], _COMMAND_COLUMNS)))
    if other:
        notes.append(say("complained", tool=clip(reading.tool, 20), reason=clip(other[0], _REASON_COLUMNS)))
    return tuple(notes)


def unread_places(reading: Reading) -> tuple[str, ...]:
    """The paths that could not be read for want of permission."""
    return tuple(_place(line) for line in reading.complaints if line.endswith(_UNREAD))


def _place(complaint: str) -> str:
    """The path that a tool complains about: `find: ‘/root’: Permission denied`, or the whole line."""
    for opening, closing in (("‘", "’"), ("'", "'")):
        start, end = complaint.find(opening), complaint.rfind(closing)
        if 0 <= start < end:
            return complaint[start + 1 : end]
    return complaint
