"""Models behind both wires: streaming, what a conversation becomes, and whatever can go wrong on the way."""

import asyncio
import socket
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from aiosd.errors import (
    ContextOverflowError,
    ModelBusyError,
    ModelGarbledError,
    ModelKeyError,
    ModelRejectedError,
    ModelUnavailableError,
    NotLocalError,
)
from aiosd.model.base import (
    AgainDelta,
    AssistantMessage,
    Delta,
    KeptDelta,
    PartDelta,
    ReasoningDelta,
    StopDelta,
    TextDelta,
    ToolCall,
    ToolResult,
    UsageDelta,
    Used,
    UserMessage,
    closing,
)
from aiosd.model.transport import LocalResolver, is_own_address
from aiosd.types import CallId
from tests.doubles.provider import COMPLETIONS, MESSAGES, Call, Raw, Say, chunk, complaint, render_answer
from tests.unit.model.conftest import QUESTION, Stage, calls, came, said

DF = Call(tool="bash", arguments={"command": "df -h"}, id="call_a")
FREE = Call(tool="bash", arguments={"command": "free", "reason": "見る"}, id="call_b")
BUSY = complaint(429, "slow down", headers={"retry-after": "0"})


async def test_an_answer_comes_piece_by_piece_with_its_usage(stage: Stage) -> None:
    stage.provider.says(Say(text="It is half full. 半分です", thinking="let me see", usage=(1000, 400, 20)))
    deltas = await stage.ask(input_price=3.0, cached_price=0.3, output_price=15.0)
    assert said(deltas) == "It is half full. 半分です"
    assert "".join(each.text for each in deltas if isinstance(each, ReasoningDelta)) == "let me see"
    cost = (600 * 3.0 + 400 * 0.3 + 20 * 15.0) / 1_000_000
    (usage,) = [each for each in deltas if isinstance(each, UsageDelta)]
    assert usage == UsageDelta(input_tokens=1000, cached_tokens=400, output_tokens=20, cost=cost)
    assert stage.log.used == [Used(input_tokens=1000, cached_tokens=400, output_tokens=20, cost=cost)]


@pytest.mark.parametrize("more", [0, 2], ids=["nothing more", "more unread"])
async def test_text_arrives_before_the_answer_has_ended(stage: Stage, more: int) -> None:
    path = MESSAGES if stage.kind == "anthropic" else COMPLETIONS
    pieces = render_answer(Say(text="It is"), path).pieces
    begun = 1 + next(at for at, piece in enumerate(pieces) if b"It is" in piece)
    stage.provider.says(Raw(pieces=pieces[: begun + more], then="hang"))
    async with closing(stage.stream()) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                break
    await came(stage.provider.abandoned)
    assert stage.log.used == [Used(error="interrupted")]


async def test_parallel_calls_arrive_whole_and_their_arguments_in_parts(stage: Stage) -> None:
    stage.provider.says(Say(text="I look.", calls=(DF, FREE)))
    deltas = await stage.ask()
    assert calls(deltas) == [
        ToolCall(id=CallId("call_a"), tool="bash", arguments={"command": "df -h"}),
        ToolCall(id=CallId("call_b"), tool="bash", arguments={"command": "free", "reason": "見る"}),
    ]
    parts = [each for each in deltas if isinstance(each, PartDelta)]
    assert "".join(each.text for each in parts) == DF.written + FREE.written
    assert len(parts) > 2


@pytest.mark.parametrize("written", ['{"command": "df', "[1]", "df -h", '"df"', "{" * 5000])
async def test_arguments_that_are_no_object_are_a_fault_of_the_call(stage: Stage, written: str) -> None:
    stage.provider.says(Say(calls=(Call(tool="bash", text=written),)))
    (call,) = calls(await stage.ask())
    assert (call.tool, call.arguments) == ("bash", {})
    assert "not a JSON object" in call.fault


async def test_a_call_without_arguments_has_none(stage: Stage) -> None:
    stage.provider.says(Say(calls=(Call(tool="bash", text=" "),)))
    (call,) = calls(await stage.ask())
    assert (call.arguments, call.fault) == ({}, "")


async def test_a_conversation_is_told_as_it_was(stage: Stage) -> None:
    """With two calls at once, a failed one, a fault, and what a person said twice in a row."""
    df = ToolCall(id=CallId("functions.bash:0"), tool="bash", arguments={"command": "df"})
    odd = ToolCall(id=CallId("x" * 80), tool="no such tool!", arguments={}, fault="cut off")
    conversation = (
        QUESTION,
        AssistantMessage(text="I look. ", calls=(df, odd)),
        ToolResult(call=df.id, text="50%", status=0),
        ToolResult(call=odd.id, text="no", outcome="failed"),
        AssistantMessage(text=""),
        AssistantMessage(text="Half full."),
        UserMessage(text="and"),
        UserMessage(text="memory?"),
    )
    stage.provider.says(Say(text="ok"))
    assert said(await stage.ask(*conversation)) == "ok"
    (asked,) = stage.provider.asked
    assert asked.system == "be brief"
    kinds = [kind for kind, _what in asked.turns if kind != "user"]
    assert kinds == ["assistant", "call", "call", "result", "result", "assistant"]
    first, second = asked.results.values()
    assert ("50%" in first, "no" in second, "status=0" in first, "outcome=failed" in second) == (True,) * 4
    assert all(len(call) <= 40 for call in asked.results)
    assert [tool.get("name") or tool["function"]["name"] for tool in asked.body["tools"]][:2] == ["bash", "read_file"]


async def test_the_prefix_of_a_conversation_stays_the_same_byte_for_byte(stage: Stage) -> None:
    stage.provider.says(Say(text="ok"), Say(text="ok"))
    df = ToolCall(id=CallId("call_a"), tool="bash", arguments={"command": "df"})
    begun = (QUESTION, AssistantMessage(calls=(df,)), ToolResult(call=df.id, text="token=abcdefgh 50%", status=0))
    await stage.ask(*begun)
    await stage.ask(*begun, AssistantMessage(text="Half."), UserMessage(text="sure?"))
    first, second = (each.raw.replace(b',"cache_control":{"type":"ephemeral"}', b"") for each in stage.provider.asked)
    shared = next(at for at in range(len(first)) if first[at] != second[at])
    assert b"50%" in first[:shared]


async def test_what_can_be_cached_is_marked_where_the_wire_has_marks(stage: Stage) -> None:
    stage.provider.says(Say(text="ok"))
    await stage.ask()
    raw = stage.provider.asked[0].raw
    assert raw.count(b'"cache_control"') == (2 if stage.kind == "anthropic" else 0)


async def test_signed_reasoning_goes_back_unchanged_to_whom_it_is_from(stage: Stage) -> None:
    stage.provider.says(Say(text="I look.", thinking="hm", calls=(DF,)), Say(text="Half."))
    deltas = await stage.ask(effort="low")
    kept = tuple(each.block for each in deltas if isinstance(each, KeptDelta))
    answer = AssistantMessage(text="I look.", calls=tuple(calls(deltas)), kept=kept)
    await stage.ask(QUESTION, answer, ToolResult(call=CallId("call_a"), text="50%"), effort="low")
    first, second = stage.provider.asked
    if stage.kind == "anthropic":
        assert first.body["thinking"] == {"type": "enabled", "budget_tokens": 1024}
        assert ("thinking", {"type": "thinking", "thinking": "hm", "signature": "signed"}) in second.turns
    else:
        assert (kept, first.body["reasoning_effort"]) == ((), "low")
        assert b"hm" not in second.raw


@pytest.mark.parametrize("stop", ["length", "refused"])
async def test_an_answer_that_ended_early_says_so(stage: Stage, stop: Any) -> None:
    stage.provider.says(Say(text="It is", stop=stop))
    assert StopDelta(reason=stop) in await stage.ask()


# What goes wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (complaint(401, "invalid x-api-key"), ModelKeyError, "invalid x-api-key"),
        (complaint(403, "not for you"), ModelKeyError, "not for you"),
        (complaint(404, "no such model: m-1"), ModelRejectedError, "no such model: m-1"),
        (complaint(400, "prompt is too long: 300000 tokens > 200000 maximum"), ContextOverflowError, "too long"),
        (complaint(400, "…", code="context_length_exceeded"), ContextOverflowError, "400"),
        (complaint(400, "x", type="exceed_context_size_error"), ContextOverflowError, "400"),
        (complaint(413, "request_too_large"), ContextOverflowError, "413"),
        (complaint(429, "pay", code="insufficient_quota"), ModelBusyError, "pay"),
        (complaint(402, "credit"), ModelBusyError, "credit"),
        (complaint(429, "later", headers={"retry-after": "3600"}), ModelBusyError, "later"),
        (Raw(status=302, headers={"location": "http://192.0.2.1/"}), ModelRejectedError, "302"),
        (Raw(status=400, pieces=(b"<html><b>Bad</b> gateway</html>",)), ModelRejectedError, "Bad gateway"),
    ],
)
async def test_what_asking_again_would_not_change_ends_at_once(
    stage: Stage, step: Raw, error: type[Exception], words: str
) -> None:
    stage.provider.says(step)
    with pytest.raises(error) as caught:
        await stage.ask()
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert str(caught.value).startswith("mine: ")
    assert len(stage.provider.asked) == 1
    assert stage.log.used == [Used(error=caught.value.code)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "step",
    [
        BUSY,
        complaint(529, "overloaded_error", headers={"retry-after": "0"}),
        complaint(500, "oops", headers={"retry-after-ms": "0"}),
        complaint(503, "x", headers={"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}),
        complaint(408, "late", headers={"retry-after": "0"}),
    ],
    ids=lambda step: str(step.status),
)
async def test_what_passes_is_asked_again_and_told(stage: Stage, step: Raw) -> None:
    stage.provider.says(step, Say(text="ok"))
    deltas = await stage.ask()
    assert said(deltas) == "ok"
    assert isinstance(deltas[0], AgainDelta)
    assert "asking again" in deltas[0].reason
    assert [used.error == "" for used in stage.log.used] == [False, True]
    assert stage.log.sent_[0].body == stage.log.sent_[1].body == stage.provider.asked[1].raw


async def test_it_is_not_asked_for_ever(stage: Stage) -> None:
    stage.provider.says(BUSY, BUSY, BUSY, Say(text="too late"))
    with pytest.raises(ModelBusyError):
        await stage.ask(retries=2)
    assert len(stage.provider.asked) == 3
    stage.provider.says(BUSY)
    assert said(await stage.ask()) == "too late"


def _garbage(kind: str) -> list[Raw]:
    event = b'event: x\ndata: {"x": 1}\n\n'
    return [
        Raw(pieces=(b"data: nonsense\n\n",)),
        Raw(pieces=(b"data: [1, 2]\n\n",)),
        Raw(pieces=(b"\x00\xff" * 500,)),
        Raw(pieces=(event if kind == "openai" else b'data: {"x": 1}\n\n',)),
        Raw(headers={"content-type": "text/html"}, pieces=(b"<html>hello</html>",)),
        Raw(headers={"content-type": "application/json"}, pieces=(b"{}",)),
        Raw(pieces=()),
        Raw(head=False, pieces=(b"SSH-2.0-OpenSSH_9.9\r\n",)),
        Raw(head=False, pieces=()),
        Raw(head=False, pieces=(b"HTTP/1.1 200",), then="reset"),
        Raw(pieces=(b"data: " + b"x" * 5_000_000,)),
        Raw(headers={"content-type": "text/event-stream", "transfer-encoding": "chunked"}, pieces=(b"zz\r\n",)),
    ]


@pytest.mark.parametrize("index", range(12))
async def test_garbage_is_a_named_error_or_passes(stage: Stage, index: int) -> None:
    garbage = _garbage(stage.kind)[index]
    stage.provider.says(garbage, Say(text="ok"))
    assert said(await stage.ask(retries=1, idle_s=2)) == "ok"
    stage.provider.says(garbage)
    with pytest.raises(ModelUnavailableError) as caught:
        await stage.ask(retries=0, idle_s=2)
    assert type(caught.value) in (ModelGarbledError, ModelUnavailableError)


def _classes_of_cuts(stream: bytes) -> list[int]:
    """Where a stream can break: around each line's end, and inside the first of each kind of line."""
    cuts = set()
    for at, byte in enumerate(stream):
        if byte == 0x0A:
            cuts |= {at, at + 1}
    cuts |= {1, 3, stream.index(b"data: ") + 6}
    first_text = stream.index("半".encode()) if "半".encode() in stream else stream.index(rb"\u534a")
    cuts |= {first_text + 1, first_text + 2}
    return sorted(cut for cut in cuts if cut < len(stream))


@pytest.mark.parametrize("then", ["end", "reset"])
async def test_a_stream_that_breaks_off_anywhere_is_asked_again(stage: Stage, then: Any) -> None:
    """At each class of byte: no half answer passes for a whole one, and no half call is ever proposed."""
    path = MESSAGES if stage.kind == "anthropic" else COMPLETIONS
    stream = b"".join(render_answer(Say(text="半分 full", calls=(DF,)), path).pieces)
    whole = 0
    for cut in _classes_of_cuts(stream):
        stage.provider.asked.clear()
        stage.provider.says(Raw(pieces=(stream[:cut],), then=then), Say(text="半分 full", calls=(DF,)))
        deltas = await stage.ask()
        again = [index for index, each in enumerate(deltas) if isinstance(each, AgainDelta)]
        after: list[Delta] = deltas[again[-1] + 1 if again else 0 :]
        assert (said(after), [call.arguments for call in calls(after)]) == ("半分 full", [{"command": "df -h"}])
        if not again:  # everything that matters had come
            whole += 1
            stage.provider._steps.clear()
    assert whole < 8


async def test_an_error_in_the_middle_of_a_stream_is_asked_again(stage: Stage) -> None:
    path = MESSAGES if stage.kind == "anthropic" else COMPLETIONS
    begun = render_answer(Say(text="It is half full"), path).pieces[:6]
    error = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
    stage.provider.says(Raw(pieces=(*begun, error)), Say(text="ok"))
    deltas = await stage.ask()
    assert [each for each in deltas if isinstance(each, AgainDelta)] == [
        AgainDelta(reason="mine: the model broke off: overloaded_error: Overloaded; asking again")
    ]
    assert said(deltas).endswith("ok")


@pytest.mark.parametrize(
    ("pieces", "head"), [((), False), ((), True), ((b": still there\n\n",), True)], ids=["no head", "no body", "idle"]
)
async def test_silence_has_an_end(stage: Stage, pieces: tuple[bytes, ...], head: bool) -> None:
    stage.provider.says(Raw(head=head, pieces=pieces, then="hang"))
    with pytest.raises(ModelUnavailableError) as caught:
        await stage.ask(first_byte_s=0.05, idle_s=0.05, retries=0)
    assert "0.05 s" in caught.value.message
    await came(stage.provider.abandoned)


async def test_nobody_there_is_told_at_once(stage: Stage) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        await stage.ask(base_url="http://127.0.0.1:1/v1")
    assert type(caught.value) is ModelUnavailableError
    assert "builtin" in caught.value.hint


async def test_leaving_while_it_waits_to_ask_again_ends_it(stage: Stage) -> None:
    stage.provider.says(complaint(429, "slow down", headers={"retry-after": "50"}))
    async with asyncio.timeout(10):
        async with closing(stage.stream()) as deltas:
            async for delta in deltas:
                assert isinstance(delta, AgainDelta)
                break
    assert len(stage.provider.asked) == 1


async def test_what_cannot_be_written_down_is_not_sent(stage: Stage) -> None:
    class FullDisk:
        async def sending(self, _sent: object) -> int:
            raise OSError("full")

        async def sent(self, _number: int, _used: Used) -> None:
            raise AssertionError

    stage.log = FullDisk()  # type: ignore[assignment]
    with pytest.raises(OSError, match="full"):
        await stage.ask()
    assert stage.provider.asked == []


# Ways of servers that are not the first of their kind ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openai"], indirect=False)
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["stream_options"], "Unrecognized request argument supplied: stream_options"),
        (["max_tokens"], "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    ],
)
async def test_what_a_server_does_not_know_is_left_out_from_then_on(
    stage: Stage, names: list[str], message: str
) -> None:
    stage.provider.says(complaint(400, message), Say(text="ok"))
    assert said(await stage.ask()) == "ok"
    first, second = stage.provider.asked
    assert all(name in first.body and name not in second.body for name in names)


@pytest.mark.parametrize("kind", ["openai"], indirect=False)
async def test_calls_without_ids_or_at_the_same_place_are_told_apart(stage: Stage) -> None:
    part = {"index": 0, "function": {"name": "bash", "arguments": {"command": "df"}}}
    named = {"index": 0, "id": "b", "function": {"name": "bash", "arguments": '{"command": "free"}'}}
    pieces = (chunk({"tool_calls": [part]}), chunk({"tool_calls": [part]}), chunk({"tool_calls": [named]}))
    stage.provider.says(Raw(pieces=(*pieces, chunk({}, finish_reason="stop"), b"data: [DONE]\n\n")))
    got = calls(await stage.ask())
    assert [call.arguments["command"] for call in got] == ["df", "df", "free"]
    assert len({call.id for call in got}) == 3


async def test_an_answer_at_once_is_taken_too(stage: Stage) -> None:
    wholes = {
        "anthropic": b'{"type": "message", "content": [{"type": "text", "text": "hi"}, {"type": "tool_use", "id": "c",'
        b' "name": "bash", "input": {"command": "df"}}], "stop_reason": "tool_use", "usage": {"input_tokens": 3}}',
        "openai": b'{"choices": [{"message": {"content": "hi", "tool_calls": [{"id": "c", "function":'
        b' {"name": "bash", "arguments": "{\\"command\\": \\"df\\"}"}}]}, "finish_reason": "stop"}],'
        b' "usage": {"prompt_tokens": 3}}',
    }
    stage.provider.says(Raw(headers={"content-type": "application/json"}, pieces=(wholes[stage.kind],)))
    deltas = await stage.ask()
    assert (said(deltas), [call.arguments for call in calls(deltas)]) == ("hi", [{"command": "df"}])
    assert UsageDelta(input_tokens=3) in deltas


# Where it goes -------------------------------------------------------------------------------------------------------


async def test_the_key_goes_to_the_provider_in_its_header_and_nowhere_else(stage: Stage) -> None:
    stage.environment["MY_KEY"] = "topmost-secret-value"
    stage.provider.says(Say(text="ok"))
    await stage.ask(UserMessage(text="is it topmost-secret-value?"), key="MY_KEY")
    (asked,) = stage.provider.asked
    wanted = {
        "anthropic": ("x-api-key", "topmost-secret-value"),
        "openai": ("authorization", "Bearer topmost-secret-value"),
    }
    name, value = wanted[stage.kind]
    assert asked.headers[name] == value
    assert b"topmost" not in asked.raw
    assert "topmost" not in repr(stage.log.sent_)


async def test_without_its_key_nothing_is_sent(stage: Stage) -> None:
    with pytest.raises(ModelKeyError, match="there is no key MY_KEY"):
        await stage.ask(key="MY_KEY")
    assert (stage.provider.asked, stage.log.sent_) == ([], [])


async def test_where_only_this_machine_may_be_asked_no_other_address_is(stage: Stage) -> None:
    stage.local_only = True
    stage.provider.says(Say(text="ok"), Say(text="ok"))
    assert said(await stage.ask()) == "ok"
    with pytest.raises(NotLocalError):
        await stage.ask(base_url="http://192.0.2.1/v1", first_byte_s=0.05)


def test_a_name_is_held_to_the_same_when_it_is_resolved() -> None:
    with pytest.raises(OSError, match="not this machine"):
        asyncio.run(LocalResolver().resolve("192.0.2.1", 80))
    assert [each["host"] for each in asyncio.run(LocalResolver().resolve("127.0.0.1", 80))] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("192.0.2.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
    ],
)
def test_which_addresses_are_this_machines(address: str, own: bool) -> None:
    assert is_own_address(address) is own


def test_every_thread_of_the_double_ends() -> None:
    assert [each for each in threading.enumerate() if not each.daemon] == [threading.main_thread()]


# What a table says ---------------------------------------------------------------------------------------------------


async def test_how_much_a_model_reads_and_writes_is_as_configured(stage: Stage) -> None:
    assert stage.model(context_tokens=9000, max_output_tokens=1000).info.context_tokens == 8000
    stage.provider.says(Say(text="ok"))
    await stage.ask(max_output_tokens=77)
    body = stage.provider.asked[0].body
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_a_connection_has_its_time_to_come_about(stage: Stage) -> None:
    """A listener whose queue is full lets whoever else connects wait. Source: listen(2), tcp_abort_on_overflow."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(2):
            queued = waiting.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        with pytest.raises(ModelUnavailableError, match="no connection came about in time"):
            await stage.ask(base_url=url, connect_s=0.2, first_byte_s=20, retries=0)
