"""What a tool asks of the guard, and what of the guard's answer the model and the clients get."""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest

from aiosd.guard.client import GuardClient
from aiosd.model.base import ToolCall, ToolResult
from aiosd.tools import ArgumentError, ToolContext, all_tools
from aiosd.types import CallId, JsonValue, SessionId
from aiosd.wire import (
    ApprovalNeeded,
    CallDone,
    DecisionMade,
    Event,
    OpaqueInfo,
    Output,
    PartInfo,
    RuleInfo,
    VerdictInfo,
)
from tests.doubles.guard import Reply, ScriptedGuard, decision, done, output

TOOLS = {tool.spec.name: tool for tool in all_tools()}


@dataclass(slots=True)
class Used:
    """A tool that was used once: its result, the events, what the guard was asked."""

    result: ToolResult
    events: list[Event] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """What clients saw of the output."""
        return "".join(event.text for event in self.events if isinstance(event, Output))


async def _use(
    guard: ScriptedGuard, tool: str, *replies: Reply, limit: int = 4096, wait_s: int = 0, **arguments: JsonValue
) -> Used:
    events: list[Event] = []
    guard.answers("Execute" if tool == "bash" else "Invoke", *(replies or (decision(), done())))
    context = ToolContext(
        guard=GuardClient(guard.path),
        session=SessionId("session1"),
        cwd="/srv/data",
        wait_s=wait_s,
        result_bytes=limit,
        emit=events.append,
    )
    result = await TOOLS[tool].run(ToolCall(id=CallId("c"), tool=tool, arguments=arguments), context)
    return Used(result=result, events=events, asked=guard.calls[-1])


async def _run(guard: ScriptedGuard, *pieces: dict[str, Any], limit: int = 4096, **end: Any) -> Used:
    return await _use(guard, "bash", decision(), *pieces, done(**end), limit=limit, command="x")


# What the guard is asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "asked"),
    [
        (
            "bash",
            {"command": "df -h", "reason": "to see"},
            {"command": "df -h", "cwd": "/srv/data", "claim": "to see"},
        ),
        (
            "bash",
            {"command": "df", "timeout_s": 5},
            {"command": "df", "cwd": "/srv/data", "claim": "", "timeout_s": 5},
        ),
        (
            "read_file",
            {"path": "a/../b", "offset": 3},
            {"tool": "read_file", "path": "/srv/data/b", "claim": "", "arguments": {"offset": 3}},
        ),
        (
            "write_file",
            {"path": "/etc/x", "content": "text", "reason": "asked to"},
            {"tool": "write_file", "path": "/etc/x", "claim": "asked to", "content": "text", "arguments": {}},
        ),
        (
            "edit_file",
            {"path": "x", "old": "a", "new": "b", "replace_all": True},
            {
                "tool": "edit_file",
                "path": "/srv/data/x",
                "claim": "",
                "arguments": {"old": "a", "new": "b", "replace_all": True},
            },
        ),
        (
            "glob",
            {"pattern": "**/*.c"},
            {"tool": "glob", "path": "/srv/data", "claim": "", "arguments": {"pattern": "**/*.c"}},
        ),
        (
            "grep",
            {"pattern": "x", "path": "..", "ignore_case": True},
            {"tool": "grep", "path": "/srv", "claim": "", "arguments": {"pattern": "x", "ignore_case": True}},
        ),
    ],
)
async def test_a_tool_asks_for_one_action_in_the_clients_folder(
    guard: ScriptedGuard, tool: str, arguments: Any, asked: dict[str, Any]
) -> None:
    used = await _use(guard, tool, **arguments)
    method = "Execute" if tool == "bash" else "Invoke"
    assert used.asked == {"method": method, "session": "session1", "call": "c", "wait_s": None, **asked}


async def test_a_shorter_wait_is_handed_on(guard: ScriptedGuard) -> None:
    assert (await _use(guard, "bash", wait_s=9, command="x")).asked["wait_s"] == 9


async def test_text_of_any_script_is_handed_on_as_it_is(guard: ScriptedGuard) -> None:
    line = "echo 日本語 'é' 👩‍💻 \udcff \x1b[0m"
    assert (await _use(guard, "bash", command=line)).asked["command"] == line


async def test_what_is_too_long_for_the_guard_is_an_argument_error_and_not_a_lost_guard(guard: ScriptedGuard) -> None:
    with pytest.raises(ArgumentError, match="more than the guard takes at once"):
        await _use(guard, "write_file", path="/x", content="日" * 400_000)
    assert guard.calls == []
    assert (await _use(guard, "write_file", path="/x", content="日" * 300_000)).result.outcome == "done"


def test_every_tool_tells_the_model_its_parameters_and_which_it_needs() -> None:
    for tool in TOOLS.values():
        parameters: dict[str, Any] = tool.spec.parameters
        assert parameters["type"] == "object"
        assert set(parameters.get("required", ())) <= set(parameters["properties"])
        assert all("type" in each for each in parameters["properties"].values())
    assert [TOOLS[name].spec.parameters.get("required") for name in TOOLS] == [
        ["command"],
        ["path"],
        ["path", "content"],
        ["path", "old", "new"],
        ["pattern"],
        ["pattern"],
        None,
        None,
        None,
        ["what"],
        ["url"],
    ]


# What comes back ------------------------------------------------------------------------------------------------------


async def test_events_are_passed_on_in_order(guard: ScriptedGuard) -> None:
    used = await _use(
        guard,
        "bash",
        decision(tier="require_approval", run_as="root", opaque={"position": 3, "reason": "a loop"}),
        {"event": "approval", "approval": "a1b2", "expires_at": "2026-01-01T00:00:00.000Z"},
        output(b"out\n"),
        output(b"err\n", "stderr"),
        done(duration_ms=12, output_bytes=8),
        command="x",
    )
    assert used.events == [
        DecisionMade(
            call="c",
            verdict=VerdictInfo(
                tier="require_approval",
                reason="it only reads",
                confinement="a read-only sandbox",
                run_as="root",
                opaque=OpaqueInfo(position=3, reason="a loop"),
                parts=(
                    PartInfo(
                        text="df",
                        tier="auto_allow",
                        reason="it only reads",
                        suggest="",
                        remedy="",
                        facets=("processes",),
                        rules=(RuleInfo(name="df", tier="auto_allow", file="/etc/p.toml", line=3),),
                    ),
                ),
            ),
        ),
        ApprovalNeeded(call="c", approval="a1b2", expires_at="2026-01-01T00:00:00.000Z"),
        Output(call="c", stream="stdout", text="out\n"),
        Output(call="c", stream="stderr", text="err\n"),
        CallDone(call="c", outcome="done", status=0, reason="", duration_ms=12, output_bytes=8, truncated=False),
    ]
    assert used.result == ToolResult(call=CallId("c"), text="out\n[stderr]\nerr\n", outcome="done", status=0)


@pytest.mark.parametrize(
    ("out", "err", "text"),
    [
        (b"", b"", ""),
        (b"a", b"", "a"),
        (b"a\n", b"e\n", "a\n[stderr]\ne\n"),
        (b"a", b"e", "a\n[stderr]\ne"),
        (b"", b"e\n", "[stderr]\ne\n"),
    ],
)
async def test_standard_error_stands_below_the_output_under_a_line_that_says_so(
    guard: ScriptedGuard, out: bytes, err: bytes, text: str
) -> None:
    pieces = ([output(err, "stderr")] if err else []) + ([output(out)] if out else [])
    assert (await _run(guard, *pieces)).result.text == text


async def test_a_character_that_came_in_two_pieces_is_one(guard: ScriptedGuard) -> None:
    data = "空き 50%".encode()
    used = await _run(guard, *(output(data[index : index + 1]) for index in range(len(data))))
    assert (used.result.text, used.output) == ("空き 50%", "空き 50%")


async def test_bytes_that_are_no_text_are_replaced_also_at_the_very_end(guard: ScriptedGuard) -> None:
    used = await _run(guard, output(b"a\xff\xfeb"), output(b"c\xe3\x81"))
    assert (used.result.text, used.output) == ("a��bc�", "a��bc�")


async def test_binary_output_does_no_harm(guard: ScriptedGuard) -> None:
    data = bytes(range(256)) * 256
    used = await _run(guard, output(data), limit=1 << 20)
    assert used.result.text == data.decode("utf-8", "replace")


async def test_of_long_output_the_head_and_the_tail_go_back_within_the_bound(guard: ScriptedGuard) -> None:
    lines = "".join(f"line {number:05}\n" for number in range(2000)).encode()  # 22 000 bytes
    pieces = [output(lines[start : start + 1000]) for start in range(0, len(lines), 1000)]
    result = (await _run(guard, *pieces, limit=1024)).result
    head, tail = lines[:768].decode(), lines[-256:].decode()
    assert result.text == f"{head}\n[… 20976 bytes left out …]\n{tail}"
    assert result.truncated


@pytest.mark.parametrize("size", [1023, 1024])
async def test_output_up_to_the_bound_goes_back_whole(guard: ScriptedGuard, size: int) -> None:
    result = (await _run(guard, output(b"x" * size), limit=1024)).result
    assert (result.text, result.truncated) == ("x" * size, False)
    over = (await _run(guard, output(b"x" * 1025), limit=1024)).result
    assert over.truncated


async def test_the_bound_is_in_bytes_whatever_the_script_and_cuts_no_character(guard: ScriptedGuard) -> None:
    result = (await _run(guard, output("日本語".encode() * 1000), limit=1030)).result
    assert result.text == "日本語" * 85 + "日本\n[… 7974 bytes left out …]\n" + "語" + "日本語" * 28
    assert len(("日本語" * 85 + "日本" + "語" + "日本語" * 28).encode()) == 1026


async def test_both_streams_share_the_bound(guard: ScriptedGuard) -> None:
    result = (await _run(guard, output(b"o" * 5000), output(b"e" * 5000, "stderr"), limit=2048)).result
    assert result.text.count("o" * 10) * 10 + result.text.count("e" * 10) * 10 <= 2048
    assert "[stderr]\neee" in result.text


async def test_what_the_guard_cut_is_said_to_be_cut(guard: ScriptedGuard) -> None:
    used = await _run(guard, output(b"head"), truncated=True, output_bytes=5_000_000)
    assert used.result.truncated
    assert used.events[-1] == CallDone(
        call="c", outcome="done", status=0, reason="", duration_ms=5, output_bytes=5_000_000, truncated=True
    )


async def test_of_a_calls_output_the_event_log_has_the_first_64_kib(guard: ScriptedGuard) -> None:
    data = os.urandom(100_000).hex()
    pieces = [output(data[start : start + 30_000].encode()) for start in range(0, len(data), 30_000)]
    used = await _run(guard, *pieces, limit=1024)
    assert used.output == data[: 64 * 1024]
    assert used.result.truncated


def test_no_tool_lets_the_model_choose_how_it_is_confined() -> None:
    """Neither its tier, its sandbox, its user, its limits nor what it may write or reach."""
    chosen = {
        "profile",
        "tier",
        "sandbox",
        "unsandboxed",
        "network",
        "writes",
        "run_as",
        "uid",
        "user",
        "egress",
        "most",
    }
    for tool in TOOLS.values():
        properties = tool.spec.parameters["properties"]
        assert isinstance(properties, dict)
        assert properties
        assert not chosen & set(properties)
