"""`aios run`: a command of one's own through the guard's door, without any model.

It goes to the guard itself. What the policy wants to be asked about is asked about; with `--profile` it is run in that
confinement instead, in which nobody has to be asked.
"""

from __future__ import annotations

import base64
import os
import sys

from aiosd import exits
from aiosd.cli.approvals import answer_inline
from aiosd.cli.guard import GuardError, call, follow
from aiosd.cli.parse import UsageError
from aiosd.cli.quote import join_words
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape
from aiosd.cli.transport import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROFILES = ("read-only", "workspace")
_MAX_INPUT = 512 * 1024
# What became of it, where the command's own status does not say.
_STATUSES = {
    "timed_out": exits.TIMEOUT,
    "cancelled": exits.INTERRUPTED,
    "denied": exits.DENIED,
    "skipped": exits.OK,
    "unanswered": exits.NOBODY_TO_ASK,
}


def run(options: dict[str, str], operands: list[str]) -> int:
    """Run one command line; its exit status."""
    profile = options.get("profile", "")
    if profile and profile not in PROFILES:
        raise UsageError(f"there is no profile {profile}; there are: {', '.join(PROFILES)}", "run")
    proposal: dict[str, Any] = {
        "call": f"run-{os.getpid()}",
        "command": operands[0] if len(operands) == 1 else join_words(operands),
        "cwd": os.getcwd(),
        "profile": profile or None,
    }
    if "timeout" in options:
        if not options["timeout"].isdigit():
            raise UsageError("--timeout needs a whole number of seconds", "run")
        proposal["timeout_s"] = int(options["timeout"])
    if "background" in options:
        proposal["background"] = True
    if "stdin" in options:
        proposal["input"] = _read_input()
    try:
        proposal["session"] = call("OpenSession", {})["session"]
        return _follow(proposal, inline="inline" in options)
    except GuardError as exc:
        tell(2, f"aios: {escape(str(exc))}\n")
        return exc.exit_status


def _read_input() -> str:
    data = sys.stdin.buffer.read(_MAX_INPUT + 1)
    if len(data) > _MAX_INPUT:
        raise UsageError(f"standard input is over {_MAX_INPUT} bytes; put it into a file", "run")
    return data.decode("utf-8", "surrogateescape")


def _follow(proposal: dict[str, Any], *, inline: bool) -> int:
    status = exits.BROKEN
    for event in follow("Execute", proposal):
        match event.get("event"):
            case "decision" if event["verdict"]["tier"] == "notify":
                tell(2, f"› {escape(event['verdict']['confinement'])}\n")
            case "approval" if inline:
                answer_inline(event["approval"], None)
            case "approval":
                tell(2, f"aios: waits for an answer: aios approve {event['approval']}\n")
            case "output":
                write_all(2 if event["stream"] == "stderr" else 1, base64.b64decode(event["data"]))
            case "done":
                if event["reason"]:
                    tell(2, f"aios: {event['outcome']}: {escape(event['reason'])}\n")
                if event["truncated"]:
                    tell(2, "aios: what was written beyond guard.output_bytes is not shown\n")
                if event.get("job") and event["status"] >= 0:
                    write_all(1, f"{event['job']}\n".encode())
                status = event["status"] if event["status"] >= 0 else _STATUSES.get(event["outcome"], exits.BROKEN)
    return status
