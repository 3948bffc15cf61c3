"""`aios jobs`, `aios job output|wait|kill`: commands in the background, asked of the guard itself."""

from __future__ import annotations

from aiosd import exits
from aiosd.cli.guard import GuardError, call
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape
from aiosd.cli.transport import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PIECE = 200_000
_WAIT_S = 60


def run(verb: str, options: dict[str, str], operands: list[str]) -> int:
    """One of the verbs; the exit status."""
    try:
        if verb == "jobs":
            return _list()
        identity = operands[0]
        match verb:
            case "job output":
                return _print(identity, options.get("grep", ""))
            case "job wait":
                return _wait(identity, options.get("timeout", ""))
            case _:
                write_all(2, f"{_describe(call('KillJob', {'id': identity})['job'])}\n".encode())
                return exits.OK
    except GuardError as exc:
        tell(2, f"aios: {escape(str(exc))}\n")
        return exc.exit_status


def _list() -> int:
    jobs = call("ListJobs", {})["jobs"]
    if not jobs:
        tell(2, "nothing runs in the background\n")
    for job in jobs:
        write_all(1, f"{job['id']}  {job['began_at']}  {_describe(job)}  {escape(job['command'])}\n".encode())
    return exits.OK


def _describe(job: dict[str, Any]) -> str:
    status = f" ({job['status']})" if job["status"] > 0 else ""
    reason = f": {escape(job['reason'])}" if job["reason"] else ""
    return f"{job['state']}{status}{reason}"


def _print(identity: str, text: str) -> int:
    if text:
        found = call("JobOutput", {"id": identity, "grep": text})["text"]
        write_all(1, found.encode())
        return exits.OK if found else exits.FAILED
    offset = 0
    while True:
        answer = call("JobOutput", {"id": identity, "offset": offset, "limit": _PIECE})
        if answer["next"] == offset:
            return exits.OK
        write_all(1, answer["text"].encode())
        offset = answer["next"]


def _wait(identity: str, seconds: str) -> int:
    if seconds and not seconds.isdigit():
        raise UsageError("--timeout needs a whole number of seconds", "job wait")
    left = int(seconds) if seconds else 1 << 31
    while True:
        job = call("WaitJob", {"id": identity, "wait_s": min(left, _WAIT_S)})["job"]
        left -= _WAIT_S
        if job["state"] != "running":
            tell(2, f"{_describe(job)}\n")
            return int(job["status"]) if job["status"] >= 0 else exits.FAILED
        if left <= 0:
            tell(2, "it still runs\n")
            return exits.TIMEOUT
