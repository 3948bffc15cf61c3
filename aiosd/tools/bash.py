"""The `bash` tool: one command line, at once or as a job in the background, and what becomes of such a job."""

import os

from aiosd.errors import GuardRefusedError, GuardUnavailableError, InvalidRequestError
from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.base import ArgumentError, ToolContext, integer_argument, perform, report, text_argument
from aiosd.types import JsonObject

_NEW, _LIST = "new", "list"
_WAIT_S, _MOST_WAIT_S = 60, 240
_ASK = "with job=ID the command is: output [OFFSET], grep TEXT, wait [SECONDS] or kill"


class Bash:
    """Proposes a line to the guard, which runs it by itself, asks a person, or refuses; or asks after a job."""

    spec = ToolSpec(
        name="bash",
        description="One command line, not interactive. `job`: `new` (background), or its id with command output, "
        "grep, wait or kill.",
        parameters={
            "type": "object",
            "properties": {
                "command": {"type": "string"},
                "reason": {"type": "string"},
                "cwd": {"type": "string"},
                "timeout_s": {"type": "integer"},
                "job": {"type": "string"},
            },
            "required": ["command"],
        },
    )

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Hand the line over."""
        job = text_argument(call, "job", default="")
        if job not in ("", _NEW):
            return await _ask_after(job, call, context)
        stays = "cwd" not in call.arguments and not job  # a folder that is named for one command is for that one
        return await perform(call, context, "Execute", self.propose(call, context), moves=stays)

    def propose(self, call: ToolCall, context: ToolContext) -> JsonObject:
        """The line and where it is to run."""
        job = text_argument(call, "job", default="")
        if job not in ("", _NEW):
            raise ArgumentError(f"job {job} runs already: nothing is to be decided about it")
        parameters: JsonObject = {
            "command": text_argument(call, "command"),
            "cwd": os.path.normpath(os.path.join(context.place, text_argument(call, "cwd", default="."))),
            "claim": text_argument(call, "reason", default=""),
        }
        if job:
            parameters["background"] = True
        if context.variables:
            parameters["variables"] = dict(context.variables)
        if "timeout_s" in call.arguments:
            parameters["timeout_s"] = integer_argument(call, "timeout_s", default=0)
        return parameters


async def _ask_after(job: str, call: ToolCall, context: ToolContext) -> ToolResult:
    """What a job of this session has said or how it ended; or its end. Nothing is decided: that was, when it began."""
    method, parameters = _parse(job, text_argument(call, "command"), context.result_bytes)
    try:
        answer = await context.guard.call(
            method, {**parameters, "session": context.session}, deadline_s=_MOST_WAIT_S + 30.0
        )
    except (GuardRefusedError, GuardUnavailableError, InvalidRequestError) as exc:
        return report(call, context, "failed", f"{exc.message}; {_ASK}, job=list names them")
    if method == "ListJobs":
        jobs = answer["jobs"] if isinstance(answer["jobs"], list) else []
        return report(call, context, "done", "".join(f"{_describe(each)}\n" for each in jobs) or "no job of yours")
    one = answer["job"]
    assert isinstance(one, dict)
    text = str(answer.get("text", ""))
    if text and (one["foreign"] or one["state"] == "running"):  # of one that runs that is not known yet
        context.foreign.add("a job")
    rest = f"; more from {answer['next']} on" if answer.get("next", one["output_bytes"]) != one["output_bytes"] else ""
    return report(call, context, "done", f"{text}\n[{_describe(one)}{rest}]")


def _parse(job: str, command: str, most: int) -> tuple[str, JsonObject]:
    """The guard's method and its parameters. ArgumentError for what is none of the four."""
    if job == _LIST:
        return "ListJobs", {}
    word, _, rest = command.strip().partition(" ")
    rest = rest.strip()
    number = int(rest) if rest.isascii() and rest.isdecimal() else 0
    match word:
        case "output" if number or rest in ("", "0"):
            return "JobOutput", {"id": job, "offset": number, "limit": max(most // 2, 1)}
        case "grep" if rest:
            return "JobOutput", {"id": job, "grep": rest}
        case "wait" if number or not rest:
            return "WaitJob", {"id": job, "wait_s": min(number or _WAIT_S, _MOST_WAIT_S)}
        case "kill" if not rest:
            return "KillJob", {"id": job}
        case _:
            raise ArgumentError(_ASK)


def _describe(job: object) -> str:
    assert isinstance(job, dict)
    reason = f": {job['reason']}" if job["reason"] else ""
    status = f" with {job['status']}" if job["status"] > 0 else ""
    return f"job {job['id']} {job['state']}{status}{reason}, {job['output_bytes']} bytes: {job['command']}"
