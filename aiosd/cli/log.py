"""`aios log`: the guard's record as a timeline, one line an action: when, who, which tier, what, how it ended."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from aiosd import exits
from aiosd.cli.guard import GuardError, call
from aiosd.cli.parse import UsageError
from aiosd.cli.show import escape
from aiosd.cli.transport import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_AGO = re.compile(r"(\d+)\s*(s|m|h|d)(?:in|ours?|ays?|ec)?(?: ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIERS = ("auto_allow", "notify", "require_approval", "deny")


def show_log(options: dict[str, str]) -> int:
    """Print the record; the exit status."""
    try:
        if "verify" in options:
            return _verify()
        records = call("Records", _render_query(options))["records"]
    except GuardError as exc:
        write_all(2, f"aios: {exc}\n".encode())
        return exits.DENIED
    if "json" in options:
        write_all(1, "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records).encode())
    else:
        write_all(1, render_timeline(records).encode() or b"no records\n")
    return exits.OK


def render_timeline(records: list[dict[str, Any]]) -> str:
    """The records as lines: a decision with its end beside it, in local time."""
    ends = {(record["session"], record["call"]): record for record in records if record["kind"] == "done"}
    decided = {(record["session"], record["call"]) for record in records if record["kind"] == "decided"}
    out = ""
    for record in records:
        at = datetime.fromisoformat(record["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        match record["kind"]:
            case "decided":
                end = ends.get((record["session"], record["call"]))
                what = escape(f"{'' if record['tool'] == 'bash' else record['tool'] + ': '}{record['action']}")
                head = f"{at}  {record['session'][:8]}  {record['user']:<10} {record['tier']:<16} "
                out += f"{head}{_describe(record, end):<24} {what}\n"
                if record["decision"] in ("denied", "refused", "unanswered") and record["reason"]:
                    out += f"{'':21}{escape(record['reason'])}\n"
            case "done" if (record["session"], record["call"]) not in decided:
                out += f"{at}  {record['session'][:8]}  {record['user']:<10} {'':<16} {_describe_end(record)}\n"
            case "started":
                out += f"{at}  -- guard {record['version']} started ({record['mode']})\n"
            case "stopped":
                out += f"{at}  -- guard stopped ({record['reason']})\n"
    return out


def _describe(record: dict[str, Any], end: dict[str, Any] | None) -> str:
    decision = str(record["decision"])
    if decision not in ("allowed", "approved"):
        return decision
    if end is None:
        return f"{decision}, runs or lost"
    return _describe_end(end) if decision == "allowed" else f"approved, {_describe_end(end)}"


def _describe_end(end: dict[str, Any]) -> str:
    outcome = str(end["outcome"]).replace("_", " ")
    return f"{outcome} ({end['status']}), {end['duration_ms']} ms" if end["status"] >= 0 else outcome


def _verify() -> int:
    problems = call("Verify", {})["problems"]
    for problem in problems:
        write_all(1, f"{escape(problem)}\n".encode())
    if not problems:
        write_all(1, b"the record is whole\n")
    return exits.FAILED if problems else exits.OK


def _render_query(options: dict[str, str]) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if "session" in options:
        query["session"] = _find_session(options["session"])
    if "user" in options:
        query["user"] = options["user"]
    if "tier" in options:
        if options["tier"] not in _TIERS:
            raise UsageError(f"there is no tier {options['tier']}; there are {', '.join(_TIERS)}", "log")
        query["tier"] = options["tier"]
    for name in ("since", "until"):
        if name in options:
            query[name] = parse_time(options[name], now=datetime.now(UTC))
    if "lines" in options:
        if not options["lines"].isdecimal() or not 1 <= int(options["lines"]) <= 1000:
            raise UsageError("--lines takes a number from 1 to 1000", "log")
        query["limit"] = int(options["lines"])
    return query


def _find_session(name: str) -> str:
    """A session's id: what has dashes is a name, which the daemon knows."""
    if "-" not in name:
        return name
    from aiosd.cli.transport import request

    answer = request("GET", f"/v1/sessions/{name}", accept="application/json")
    if answer.status != 200:
        raise UsageError(f"there is no session {name} of yours", "log")
    return str(json.loads(answer.whole())["session"]["id"])


def parse_time(text: str, *, now: datetime) -> str:
    """A time as people write it, as records carry it: UTC in RFC 3339."""
    local = now.astimezone()
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    ago = _AGO.fullmatch(text.strip())
    if text == "today":
        moment = midnight
    elif text == "yesterday":
        moment = midnight - timedelta(days=1)
    elif ago:
        moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{text!r} is no time; write 2026-01-31, '2026-01-31 14:00', today or 2h", "log") from None
    if moment.tzinfo is None:
        moment = moment.astimezone()
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
