"""A conversation with the built-in model: commands go to a table of outputs, or really to bash."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    FactsDelta,
    Message,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
    VerdictDelta,
)
from aiosd.model.builtin import BuiltinModel
from aiosd.types import CallId

BASH = ToolSpec(name="bash", description="Runs a command line.", parameters={"type": "object"})
OBSERVE = ToolSpec(name="observe", description="Looks as root.", parameters={"type": "object"})
MODEL = BuiltinModel()
_ARGUMENTS = {
    "bash": (("command",), ("command", "cwd"), ("command", "cwd", "reason")),
    "observe": (("what",), ("what", "name")),
}

Outcome = Literal["done", "failed", "denied", "skipped", "unanswered", "timed_out", "cancelled", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a command gives: its text, and how it ended. The status follows from the outcome unless told."""

    text: str = ""
    outcome: Outcome = "done"
    status: int | None = None
    truncated: bool = False

    def result(self, call: CallId) -> ToolResult:
        """As the tool gives it back."""
        status = {"done": 0, "failed": 1}.get(self.outcome) if self.status is None else self.status
        return ToolResult(call=call, text=self.text, outcome=self.outcome, status=status, truncated=self.truncated)


Machine = Callable[[str], Printed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One turn: the command lines of each step, the answer, the verdict ("" when none was given)."""

    steps: tuple[tuple[str, ...], ...]
    answer: str
    verdict: str
    messages: tuple[Message, ...]


async def ask(question: str, machine: Machine, *, before: tuple[Message, ...] = (), tools: bool = True) -> Exchange:
    """The turn for `question`, to its end."""
    messages: list[Message] = [*before, UserMessage(text=question)]
    steps: list[tuple[str, ...]] = []
    while len(steps) < 8:
        calls, answer, verdict = await step(tuple(messages), tools=tools)
        if not calls:
            return Exchange(steps=tuple(steps), answer=answer, verdict=verdict, messages=tuple(messages))
        assert answer == verdict == ""
        steps.append(tuple(map(_line, calls)))
        messages.append(AssistantMessage(calls=calls))
        messages.extend(machine(_line(call)).result(call.id) for call in calls)
    raise AssertionError(f"no answer after {steps}")


def _line(call: ToolCall) -> str:
    """A call as one line: the command, or `observe` and what."""
    if call.tool == "observe":
        return " ".join(["observe", *map(str, call.arguments.values())])
    return str(call.arguments["command"])


async def step(messages: tuple[Message, ...], *, tools: bool = True) -> tuple[tuple[ToolCall, ...], str, str]:
    """What the model says next: its calls, its text, its verdict."""
    calls: list[ToolCall] = []
    text = verdict = ""
    request = ModelRequest(system="", messages=messages, tools=(BASH, OBSERVE) if tools else ())
    async for delta in MODEL.stream(request):
        match delta:
            case CallDelta():
                assert tuple(delta.call.arguments) in _ARGUMENTS[delta.call.tool]
                calls.append(delta.call)
            case TextDelta():
                text += delta.text
            case VerdictDelta():
                verdict = delta.verdict
            case FactsDelta():
                assert not text, "the data comes before the text"
    return tuple(calls), text, verdict


def printing(outputs: Mapping[str, Printed | str]) -> Machine:
    """A machine that knows the commands that begin with a key of `outputs`, and no others."""

    def run(command: str) -> Printed:
        for start, printed in outputs.items():
            if command.startswith(start):
                return Printed(text=printed) if isinstance(printed, str) else printed
        raise AssertionError(f"not expected: {command}")

    return run


def everything(printed: Printed) -> Machine:
    """A machine on which every command ends alike."""
    return lambda _: printed


def real(command: str) -> Printed:
    """This machine: the command line in bash, stdout and then stderr. Nothing is changed, and nothing seen as root."""
    if command.startswith(("sudo ", "observe ")):
        return Printed(text="[refused: commands as root need the installed service]", outcome="refused")
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", command], capture_output=True, text=True, env=environment, check=False
    )
    text = done.stdout
    if done.stderr:
        text += f"{'' if text.endswith(chr(10)) or not text else chr(10)}[stderr]\n{done.stderr}"
    return Printed(text=text, outcome="failed" if done.returncode else "done", status=done.returncode)
