"""What a call proposes, from its parameters, and how the end of it is told."""

import os

from aiosd.guard.request import MAX_LINE, Result
from aiosd.guard.varlink import Call, invalid_parameter
from aiosd.policy import CommandAction, FetchAction, FileAction, UrlError, parse_url
from aiosd.policy.tools import WEB
from aiosd.types import JsonObject, RunAs, Tier

_WRITING_TOOLS = frozenset({"write_file", "edit_file"})
# Each tool's own arguments, by type; `path` is the action's.
_TOOL_ARGUMENTS: dict[str, dict[str, type]] = {
    "read_file": {"offset": int, "limit": int},
    "write_file": {},
    "edit_file": {"old": str, "new": str, "replace_all": bool},
    "glob": {"pattern": str},
    "grep": {"pattern": str, "glob": str, "ignore_case": bool},
    WEB: {"offset": int},
}


def parse_most(call: Call) -> Tier | None:
    """The strictest tier that may run, where that is bounded."""
    most = call.optional_text("most")
    if most not in ("", Tier.AUTO_ALLOW, Tier.NOTIFY):
        raise invalid_parameter("most")
    return Tier(most) if most else None


def parse_command(call: Call, *, cwd: str) -> CommandAction:
    """A command line; `cwd` where it is to run."""
    if not cwd.startswith("/"):
        raise invalid_parameter("cwd")
    run_as = call.optional_text("run_as") or "user"
    if run_as not in set(map(str, RunAs)):
        raise invalid_parameter("run_as")
    return CommandAction(line=call.text("command", limit=MAX_LINE), cwd=cwd, run_as=RunAs(run_as))


def parse_tool_action(call: Call) -> FileAction | FetchAction:
    """A tool with its path, or the address of a page."""
    tool, path = call.text("tool"), call.text("path")
    if tool not in _TOOL_ARGUMENTS:
        raise invalid_parameter("tool")
    if tool == WEB:
        try:
            return parse_url(path)
        except UrlError as exc:
            raise invalid_parameter("path") from exc
    if not path.startswith("/"):
        raise invalid_parameter("path")
    return FileAction(tool=tool, path=os.path.normpath(path), writes=tool in _WRITING_TOOLS)


def parse_arguments(call: Call, action: FileAction | FetchAction) -> tuple[tuple[str, str | int | bool], ...]:
    """A file tool's own arguments, sorted by name."""
    given = call.parameters.get("arguments") or {}
    if not isinstance(given, dict):
        raise invalid_parameter("arguments")
    expected = _TOOL_ARGUMENTS[call.text("tool")]
    about = action.url if isinstance(action, FetchAction) else action.path
    values: list[tuple[str, str | int | bool]] = [("path", about)]
    for name, value in sorted(given.items()):
        if type(value) is not expected.get(name) or not isinstance(value, (str, int)):
            raise invalid_parameter(f"arguments.{name}")
        values.append((name, value))
    return tuple(values)


def render_result(result: Result) -> JsonObject:
    """The last event of an action."""
    changed: JsonObject = {} if result.variables is None else {"variables": dict(result.variables)}
    return {
        **changed,
        "event": "done",
        "outcome": result.outcome,
        "status": result.status,
        "reason": result.reason,
        "duration_ms": result.duration_ms,
        "output_bytes": result.output_bytes,
        "truncated": result.truncated,
        "cwd": result.cwd,
        "command": result.command,
        "foreign": result.foreign,
        "volatile": result.volatile,
    }
