"""`aios log`: the guard's record as a timeline, one line an action: when, who, which tier, what, how it ended."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

from aiosd import exits
from aiosd.cli.guard import GuardError, call
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import write_all
from aiosd.cli.show import escape, width
from aiosd.cli.table import TIERS
from aiosd.cli.transport import fetch, tell
from aiosd.words import retell, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_AGO = re.compile(r"(\d{1,6}) ?(?:(s)(?:ec(?:ond)?s?)?|(m)(?:in(?:ute)?s?)?|(h)(?:ours?)?|(d)(?:ays?)?)(?: ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_RUNS = ("allowed", "approved")
_INDENT = " " * 10


def show_log(options: dict[str, str]) -> int:
    """Print the record; the exit status."""
    if "sent" in options or "show" in options:
        return _show_sent(options)
    try:
        if "verify" in options:
            return _verify()
        records = call("Records", _render_query(options))["records"]
    except GuardError as exc:
        tell(2, f"aios: {escape(str(exc))}\n")
        return exc.exit_status
    if "json" in options:
        write_all(1, "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records).encode())
    else:
        write_all(1, render_timeline(records).encode() or f"{say('no records')}\n".encode())
    return exits.OK


def render_timeline(records: list[dict[str, Any]]) -> str:
    """The records as lines under their day, in local time: a decision with its end beside it, and why not."""
    ends = {(record["session"], record["call"]): record for record in records if record["kind"] == "done"}
    decided = {(record["session"], record["call"]) for record in records if record["kind"] == "decided"}
    rows: list[tuple[str, ...]] = []
    shown_day = ""
    for record in records:
        day, moment = datetime.fromisoformat(record["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S").split()
        if day != shown_day:
            rows.append((day,))
            shown_day = day
        if record.get("lost"):
            lost = say("{count} records before this were not on the disk when the power was cut", count=record["lost"])
            rows.append((f"{moment}  -- {lost}",))
        match record["kind"]:
            case "decided":
                own = record["tool"] != "connect"  # which is a question of a command that has a record of its own
                end = ends.get((record["session"], record["call"])) if own else None
                head = (
                    moment,
                    record["session"][:8],
                    record["user"],
                    record["tier"],
                    _describe(record, end) if own else record["decision"],
                )
                rows.append((*head, record["action"]))
                reason = end["reason"] if end else "" if record["decision"] in _RUNS else record["reason"]
                if reason:
                    rows.append((_INDENT + reason,))
            case "done" if (record["session"], record["call"]) not in decided:
                rows.append((moment, record["session"][:8], record["user"], record["tier"], _describe_end(record), ""))
            case "connected":
                refused = f": {retell(record['reason'])}" if record["reason"] else ""
                what = say("reached {host}:{port}", host=record["host"], port=record["port"]) + refused
                moved = f"{record['sent_bytes']} out, {record['received_bytes']} in"
                rows.append((moment, record["session"][:8], record["user"], "network", moved, what))
            case "ordered":
                rows.append((f"{moment}  -- {_tell_order(record)}",))
            case "lapsed":
                ways = {"used up": say("used up"), "over": say("over"), "revoked": say("revoked")}
                how = ways.get(record["how"], record["how"])
                lease = say("{user}: lease {lease} {how}", user=record["user"], lease=record["lease"], how=how)
                rows.append((f"{moment}  -- {lease} ({record['used']}/{record['uses']}): {record['action']}",))
            case "started":
                rows.append((f"{moment}  -- guard {record['version']} started ({record['mode']})",))
            case "stopped":
                rows.append((f"{moment}  -- guard stopped ({record['reason']})",))
    return _render_columns(rows)


_TOLD = (0, 4)  # a line by itself, and what became of it


def _render_columns(rows: list[tuple[str, ...]]) -> str:
    """Columns as wide as they need to be, the last one running on; a row of one cell is a line by itself."""
    shown = [
        tuple(retell(escape(cell)) if index in _TOLD else escape(cell) for index, cell in enumerate(row))
        for row in rows
    ]
    widths = [max(map(width, column)) for column in zip(*(row for row in shown if len(row) > 1), strict=True)]
    lines = []
    for row in shown:
        cells = [cell + " " * (widths[index] - width(cell)) for index, cell in enumerate(row[:-1])]
        lines.append("  ".join([*cells, row[-1]]).rstrip() + "\n")
    return "".join(lines)


def _tell_order(record: dict[str, Any]) -> str:
    said = {"user": record["user"], "reason": retell(record["reason"])}
    match record["order"]:
        case "stop":
            return say("{user}: stop ({reason})", **said)
        case "kill":
            return say("{user}: kill ({reason})", **said)
        case "thaw":
            return say("{user}: thaw ({reason})", **said)
        case "grant a lease":
            return say("{user}: grant a lease ({reason})", **said)
        case "revoke a lease":
            return say("{user}: revoke a lease ({reason})", **said)
        case order:
            return f"{record['user']}: {order} ({record['reason']})"


def _describe(record: dict[str, Any], end: dict[str, Any] | None) -> str:
    decision = str(record["decision"])
    if decision not in _RUNS:
        return decision
    if end is None:
        return "no end yet"
    return _describe_end(end)


def _describe_end(end: dict[str, Any]) -> str:
    outcome = retell(str(end["outcome"]).replace("_", " "))
    if end["status"] < 0:
        return outcome
    status = f" ({end['status']})" if end["status"] else ""
    return f"{outcome}{status}, {end['duration_ms']} ms"


def _show_sent(options: dict[str, str]) -> int:
    """What left for models; the daemon keeps that."""
    from aiosd.cli.transport import complain, fetch_told, request

    path = f"/v1/sent?limit={_read_count(options)}"
    if "show" in options:
        if not options["show"].isdecimal():
            raise UsageError("--show takes the number of a request; aios log --sent lists them", "log")
        path = f"/v1/sent/{options['show']}"
    elif "session" in options:
        path += f"&session={find_session(options['session'])}"
    if "json" not in options:
        return fetch("GET", path) if "show" in options else fetch_told("GET", path)
    answer = request("GET", path, accept="application/json")
    if answer.status != 200:
        return complain(answer)
    write_all(1, answer.whole() + b"\n")
    return exits.OK


def _read_count(options: dict[str, str]) -> int:
    lines = options.get("lines", "100")
    if not lines.isdecimal() or not 1 <= int(lines) <= 1000:
        raise UsageError("--lines takes a number from 1 to 1000", "log")
    return int(lines)


def _verify() -> int:
    problems = call("Verify", {})["problems"]
    for problem in problems:
        tell(1, f"{escape(problem)}\n")
    if not problems:
        write_all(1, f"{say('the record is whole')}\n".encode())
    return exits.FAILED if problems else exits.OK


def _render_query(options: dict[str, str]) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if "session" in options:
        query["session"] = find_session(options["session"])
    if "user" in options:
        query["user"] = options["user"]
    if "tier" in options:
        if options["tier"] not in TIERS:
            raise UsageError(f"there is no tier {options['tier']}; there are {', '.join(TIERS)}", "log")
        query["tier"] = options["tier"]
    for name in ("since", "until"):
        if name in options:
            query[name] = parse_time(options[name], now=datetime.now(UTC))
    if "lines" in options:
        query["limit"] = _read_count(options)
    return query


_PATIENCE_S = 3.0


def find_session(name: str) -> str:
    """A session's id: what has dashes is a name, which the daemon knows."""
    if "-" not in name:
        return name
    from aiosd.cli.transport import request

    answer = request("GET", f"/v1/sessions/{name}", accept="application/json", patience_s=_PATIENCE_S)
    if answer.status != 200:
        raise UsageError(f"there is no session {name} of yours", "log")
    return str(json.loads(answer.whole())["session"]["id"])


def parse_time(text: str, *, now: datetime) -> str:
    """A time as people write it, as records carry it: UTC in RFC 3339."""
    try:
        moment = _find_moment(text, now).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time; write 2026-01-31, '2026-01-31 14:00', today or 2h", "log") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _find_moment(text: str, now: datetime) -> datetime:
    """The moment, where it has no zone of its own the local one's; ValueError or OverflowError if there is none."""
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - timedelta(**{_UNITS[str(ago[ago.lastindex or 0])]: int(ago[1])})
    if text not in ("today", "yesterday"):
        return datetime.fromisoformat(text)
    day = now.astimezone().replace(tzinfo=None) - timedelta(days=text == "yesterday")
    return day.replace(hour=0, minute=0, second=0, microsecond=0)
