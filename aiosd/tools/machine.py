"""The tools with types of their own for what is asked most: services, journal, packages. They only look.

Each call is one command line, made here of checked arguments for this distribution, and goes the way of every other
line; or an observation of the guard's, where root has to look. Source: systemctl(1), journalctl(1), pacman(8),
apt-cache(8), dpkg-query(1).
"""

import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace

from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.base import ArgumentError, ToolContext, integer_argument, perform, text_argument
from aiosd.tools.observe import Observe
from aiosd.types import JsonObject

_LISTS = {
    "failed": "list-units --failed",
    "running": "list-units --type=service --state=running",
    "enabled": "list-unit-files --state=enabled",
    "timers": "list-timers",
}
_PACMAN = {
    "search": "pacman -Ss {}",
    "info": "pacman -Qi {0} || pacman -Si {0}",
    "files": "pacman -Ql {}",
    "owner": "pacman -Qo {}",
    "installed": "pacman -Q",
    "updates": "pacman -Qu",
}
_APT = {
    "search": "apt-cache search {}",
    "info": "apt-cache show --no-all-versions {}",
    "files": "dpkg-query --listfiles {}",
    "owner": "dpkg-query --search {}",
    "installed": "dpkg-query --show",
    "updates": "apt list --upgradable",
}
_JOURNAL = ("unit", "since", "priority", "grep")
_MOST_LINES = 1000


class Typed:
    """A tool whose calls are lines that `render` makes of their arguments; those with `root` are observations."""

    def __init__(self, spec: ToolSpec, render: Callable[[ToolCall], str]) -> None:
        self.spec = spec
        self._render = render

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Hand the line over."""
        if call.arguments.get("root") is True:
            return await Observe().run(replace(call, arguments=_find_observation(call)), context)
        return await perform(call, context, "Execute", self.propose(call, context))

    def propose(self, call: ToolCall, context: ToolContext) -> JsonObject:
        """The line. An observation is none: its table asks nobody."""
        if call.arguments.get("root") is True:
            raise ArgumentError("what root is asked to show is never asked about")
        return {"command": self._render(call), "cwd": context.place}


def typed_tools() -> tuple[Typed, ...]:
    """Services, journal, packages."""
    text: JsonObject = {"type": "string"}
    journal: JsonObject = dict.fromkeys(_JOURNAL, text)
    return (
        Typed(
            _spec("services", "Units by state, or one's status.", {"state": _choice(_LISTS), "unit": text}),
            _render_services,
        ),
        Typed(
            _spec(
                "journal",
                "`root`: errors, kernel or unit, all users'.",
                {**journal, "lines": {"type": "integer"}, "kernel": {"type": "boolean"}, "root": {"type": "boolean"}},
            ),
            _render_journal,
        ),
        Typed(
            _spec("packages", "`name`: package, word or path.", {"do": _choice(_PACMAN), "name": text}),
            _render_packages,
        ),
    )


def _spec(name: str, description: str, properties: JsonObject) -> ToolSpec:
    return ToolSpec(name=name, description=description, parameters={"type": "object", "properties": properties})


def _choice(names: Mapping[str, str]) -> JsonObject:
    return {"type": "string", "enum": list(names)}


def _chosen(call: ToolCall, name: str, choices: Mapping[str, str]) -> str:
    value = text_argument(call, name, default="")
    if value and value not in choices:
        raise ArgumentError(f"{name} of {call.tool} is one of {', '.join(choices)}")
    return value


def _word(call: ToolCall, name: str) -> str:
    """A text argument as one word of a line that is no option; "" where it is not given."""
    value = text_argument(call, name, default="")
    if value.startswith("-"):
        raise ArgumentError(f"{name} of {call.tool} begins with no dash")
    return shlex.quote(value) if value else ""


def _render_services(call: ToolCall) -> str:
    state, unit = _chosen(call, "state", _LISTS), _word(call, "unit")
    if unit:
        return f"systemctl --no-pager --full --lines=10 status {unit}"
    return f"systemctl --no-pager --full {_LISTS[state or 'failed']}"


def _render_journal(call: ToolCall) -> str:
    lines = min(max(integer_argument(call, "lines", default=50), 1), _MOST_LINES)
    words = ["journalctl --no-pager --output=short-iso", f"--lines={lines}"]
    words += ["--dmesg"] if call.arguments.get("kernel") is True else []
    words += [f"--{name}={value}" for name in _JOURNAL if (value := _value(call, name))]
    return " ".join(words)


def _find_observation(call: ToolCall) -> JsonObject:
    """What of the journal only root reads, as the guard's table has it."""
    unit = text_argument(call, "unit", default="")
    if unit:
        return {"what": "unit_journal", "name": unit if "." in unit else f"{unit}.service"}
    return {"what": "kernel_messages" if call.arguments.get("kernel") is True else "journal_errors"}


def _value(call: ToolCall, name: str) -> str:
    """As an option's value, which may begin with a dash: `-1h`."""
    value = text_argument(call, name, default="")
    return shlex.quote(value) if value else ""


def _render_packages(call: ToolCall) -> str:
    if shutil.which("apt-get"):
        lines = _APT
    elif shutil.which("pacman"):
        lines = _PACMAN
    else:
        raise ArgumentError("packages knows pacman and apt, and this host has neither: use bash")
    do, name = _chosen(call, "do", lines), _word(call, "name")
    if not do:
        raise ArgumentError(f"packages needs do, one of {', '.join(lines)}")
    if "{" in lines[do] and not name:
        raise ArgumentError(f"packages needs the name to {do}")
    return lines[do].format(name)
