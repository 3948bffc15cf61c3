"""`aios stop`, `aios thaw`, `aios lease`: orders to the guard itself, so that they work when the daemon does not.

Where not even the guard answers, root stops the slice of all agent work by its cgroup, and leaves the guard a mark of
it; anybody else stops what runs as they, by signals, and is told what more there is to do.
"""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime

from aiosd import exits
from aiosd.cli.guard import GuardError, HungGuardError, call
from aiosd.cli.log import find_session
from aiosd.cli.reach import NoDaemonError, write_all
from aiosd.cli.show import escape
from aiosd.cli.transport import tell
from aiosd.words import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SLICE = "/sys/fs/cgroup/aios.slice/aios-work.slice"
_MARK = "/var/lib/aios-guard/stop-everything"  # which the guard heeds before anything else
_PATIENCE_S = 3.0
_MOST_ENDED = 1000


def run(verb: str, options: dict[str, str], operands: list[str]) -> int:
    """Run one verb; its exit status."""
    try:
        match verb:
            case "stop":
                return _stop(options, operands)
            case "thaw":
                return _thaw(options, operands)
            case "lease list":
                return _list(options)
            case _:
                call("RevokeLease", {"id": operands[0]})
                write_all(2, f"{say('revoked')}\n".encode())
                return exits.OK
    except GuardError as exc:
        tell(2, f"aios: {escape(str(exc))}\n")
        return exc.exit_status


def _stop(options: dict[str, str], operands: list[str]) -> int:
    kill = "kill" in options
    try:
        said = call("Freeze", {**_scope(options, operands), "kill": kill}, patience_s=_PATIENCE_S)
    except (NoDaemonError, GuardError) as exc:
        cannot = isinstance(exc, NoDaemonError) or exc.exit_status == exits.BROKEN
        if not cannot or operands or not os.path.isdir(_SLICE):
            raise NoDaemonError(_advise(exc)) if isinstance(exc, NoDaemonError) else exc from exc
        if os.geteuid() != 0:
            return _stop_own(exc, kill=kill)
        _stop_all(kill=kill)
        return exits.OK
    ended = say("ended") if kill else say("stopped")
    text = say("{ended}: {actions} actions; denied: {approvals}; leases over: {leases}", ended=ended, **said)
    write_all(2, f"{text}\n{say('nothing more begins until: aios thaw')}\n".encode())
    return exits.OK


def _stop_all(*, kill: bool) -> None:
    """Stop all agent work without the guard, which takes the order when it answers again."""
    try:
        fd = os.open(_MARK, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        write_all(fd, b"kill\n" if kill else b"stop\n")
        os.close(fd)
        text = say("approvals and leases are over as soon as it answers again")
    except OSError as exc:
        text = say("approvals and leases stay as they are: {why}", why=exc)
    with open(f"{_SLICE}/{'cgroup.kill' if kill else 'cgroup.freeze'}", "w", encoding="ascii") as file:
        file.write("1")
    stopped = say("the guard does not answer; all agent work was stopped by its cgroup")
    write_all(2, f"{stopped}\n{text}\n".encode())


def _stop_own(trouble: Exception, *, kill: bool) -> int:
    """Stop what runs as the caller without the guard: the processes of the agent's work are the caller's own."""
    stopped = _signal_own(signal.SIGKILL if kill else signal.SIGSTOP)
    if not stopped:
        raise NoDaemonError(_advise(trouble)) if isinstance(trouble, NoDaemonError) else trouble
    text = say("the guard does not answer; {count} processes of yours that the AI runs were stopped", count=stopped)
    rest = say("its approvals and leases stay until aios stop is answered; root stops the rest: sudo aios stop")
    write_all(2, f"{text}\n{rest}\n".encode())
    return exits.OK


def _signal_own(number: int) -> int:
    """Send a signal to the caller's processes below the slice of all agent work; how many that were."""
    reached = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                ours = _SLICE.rpartition("/")[2] in file.read().split("/")
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                uids = next(line.split()[1:3] for line in file if line.startswith("Uid:"))
            if ours and set(uids) == {str(os.geteuid())}:
                os.kill(int(pid), number)
                reached += 1
        except OSError:
            continue  # it has ended
    return reached


def _thaw(options: dict[str, str], operands: list[str]) -> int:
    if os.geteuid() == 0 and not operands and os.path.exists(f"{_SLICE}/cgroup.freeze"):
        with open(f"{_SLICE}/cgroup.freeze", "w", encoding="ascii") as file:
            file.write("0")
    said = call("Thaw", _scope(options, operands), patience_s=_PATIENCE_S)
    if os.geteuid() != 0 and not operands:
        _signal_own(signal.SIGCONT)
    write_all(2, f"{say('goes on: {actions} actions', actions=said['actions'])}\n".encode())
    return exits.OK


def _advise(trouble: NoDaemonError) -> str:
    """What stops it all the same. A standalone guard is its person's own process, and what it runs ends with it."""
    if not isinstance(trouble, HungGuardError):
        return str(trouble)
    if trouble.uid == os.geteuid() != 0:
        hint = say("end it, and with it all that it runs: pkill -KILL -U {uid} -f aiosd.guard", uid=trouble.uid)
    else:
        hint = say("root stops all agent work by its cgroup: sudo aios stop")
    return f"{say('the guard does not answer')}\n  {hint}"


def _scope(options: dict[str, str], operands: list[str]) -> dict[str, Any]:
    """One session; else everybody's for root and whoever says so; else the caller's."""
    if operands:
        return {"session": find_session(operands[0])}
    return {"everybody": "everybody" in options or os.geteuid() == 0}


def _list(options: dict[str, str]) -> int:
    leases = [lease for lease in call("ListLeases", {})["leases"] if lease["state"] == "open"]
    if "all" in options:
        leases += _find_ended()
    if "json" in options:
        write_all(1, "".join(f"{json.dumps(lease)}\n" for lease in leases).encode())
        return exits.OK
    for lease in leases:
        where = " ".join(filter(None, (lease["cwd"], f"session {lease['session'][:8]}" if lease["session"] else "")))
        text = f"{lease['id']}  {_tell_state(lease)}, {lease['used']} of {lease['uses']} times, {lease['user']}, "
        write_all(1, f"{escape(text + (where or 'anywhere'))}\n    {escape(lease['line'])}\n".encode())
    if not leases:
        write_all(1, f"{say('there are no leases')}\n".encode())
    return exits.OK


def _find_ended() -> list[dict[str, Any]]:
    """The leases that are over, newest first, as the record has their ends."""
    records = call("Records", {"kind": "lapsed", "limit": _MOST_ENDED})["records"]
    return [
        {
            "id": record["lease"],
            "uid": record["uid"],
            "user": record["user"],
            "line": record["action"],
            "session": record["session"],
            "cwd": record["cwd"],
            "granted_by": record["approver"],
            "uses": record["uses"],
            "used": record["used"],
            "state": record["how"],
            "ended_at": record["at"],
        }
        for record in reversed(records)
    ]


def _tell_state(lease: dict[str, Any]) -> str:
    if lease["state"] != "open":
        return f"{lease['state']} {datetime.fromisoformat(lease['ended_at']).astimezone().strftime('%Y-%m-%d %H:%M')}"
    left = f"{max(int(lease['expires_at'] - time.time()), 0) // 60} min left"
    return f"open, {left}"
