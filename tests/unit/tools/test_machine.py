"""The typed tools: the line, or the observation, that each call is."""

from typing import Any

import pytest

from aiosd.guard.client import GuardClient
from aiosd.model.base import ToolCall
from aiosd.policy import Program, recognise
from aiosd.tools import ArgumentError, ToolContext, all_tools
from aiosd.tools import machine as tools
from aiosd.types import CallId, SessionId
from tests.doubles.guard import ScriptedGuard, decision, done

_TOOLS = {tool.spec.name: tool for tool in all_tools()}
_JOURNAL = "journalctl --no-pager --output=short-iso --lines=50"
_SYSTEMCTL = "systemctl --no-pager --full"


async def _use(guard: ScriptedGuard, tool: str, **arguments: Any) -> dict[str, Any]:
    """What the guard was asked."""
    for method in ("Execute", "Observe"):
        guard.answers(method, decision(), done())
    context = ToolContext(
        guard=GuardClient(guard.path),
        session=SessionId("session1"),
        cwd="/srv",
        wait_s=0,
        result_bytes=4096,
        emit=lambda _event: None,
    )
    await _TOOLS[tool].run(ToolCall(id=CallId("c"), tool=tool, arguments=arguments), context)
    return guard.calls[-1]


@pytest.mark.parametrize(
    ("tool", "arguments", "line"),
    [
        ("services", {}, f"{_SYSTEMCTL} list-units --failed"),
        ("services", {"state": "running"}, f"{_SYSTEMCTL} list-units --type=service --state=running"),
        ("services", {"state": "timers"}, f"{_SYSTEMCTL} list-timers"),
        ("services", {"unit": "sshd"}, f"{_SYSTEMCTL} --lines=10 status sshd"),
        ("services", {"unit": "a; rm -rf /"}, f"{_SYSTEMCTL} --lines=10 status 'a; rm -rf /'"),
        ("journal", {}, _JOURNAL),
        ("journal", {"unit": "sshd", "since": "-1h"}, f"{_JOURNAL} --unit=sshd --since=-1h"),
        ("journal", {"lines": 9999, "kernel": True}, f"{_JOURNAL.replace('=50', '=1000')} --dmesg"),
        ("journal", {"priority": "err", "grep": "it's $(x)"}, f"{_JOURNAL} --priority=err --grep='it'\"'\"'s $(x)'"),
    ],
)
async def test_a_typed_call_is_one_line_of_the_recognised_language(
    guard: ScriptedGuard, tool: str, arguments: dict[str, Any], line: str
) -> None:
    asked = await _use(guard, tool, **arguments)
    assert (asked["method"], asked["command"], asked["cwd"]) == ("Execute", line, "/srv")
    assert isinstance(recognise(line), Program)


@pytest.mark.parametrize("lines", [tools._PACMAN, tools._APT])
def test_what_is_asked_of_packages_is_asked_in_one_language_or_the_other(lines: dict[str, str]) -> None:
    properties: Any = _TOOLS["packages"].spec.parameters["properties"]
    assert set(lines) == set(properties["do"]["enum"])
    assert all(isinstance(recognise(line.format("'a b'")), Program) for line in lines.values())


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ({}, {"what": "journal_errors", "name": ""}),
        ({"kernel": True}, {"what": "kernel_messages", "name": ""}),
        ({"unit": "sshd"}, {"what": "unit_journal", "name": "sshd.service"}),
        ({"unit": "x.timer"}, {"what": "unit_journal", "name": "x.timer"}),
    ],
)
async def test_the_journal_as_root_sees_it_is_an_observation_of_the_guards(
    guard: ScriptedGuard, arguments: dict[str, Any], asked: dict[str, str]
) -> None:
    said = await _use(guard, "journal", root=True, **arguments)
    assert (said["method"], {name: said[name] for name in asked}) == ("Observe", asked)


@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        ("services", {"state": "odd"}, "state of services is one of failed, running"),
        ("services", {"unit": "--force"}, "unit of services begins with no dash"),
        ("services", {"unit": 1}, "services needs unit, a string"),
        ("journal", {"lines": "many"}, "lines of journal is a whole number"),
        ("packages", {}, "packages needs do, one of search"),
        ("packages", {"do": "info"}, "packages needs the name to info"),
        ("packages", {"do": "owner", "name": "-x"}, "name of packages begins with no dash"),
    ],
)
async def test_what_no_line_can_be_made_of_is_told_to_the_model(
    guard: ScriptedGuard, tool: str, arguments: dict[str, Any], why: str
) -> None:
    with pytest.raises(ArgumentError, match=why):
        await _use(guard, tool, **arguments)
    assert guard.calls == []
