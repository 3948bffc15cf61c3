"""The event stream in its four forms, event by event, as whole values."""

import json
from dataclasses import asdict, replace
from typing import Any, get_args

import pytest

from aiosd import frames
from aiosd.api.streams import _FORMS, choose_form
from aiosd.errors import InvalidRequestError
from aiosd.session.events import Numbered
from aiosd.wire import (
    ApprovalNeeded,
    Argument,
    CallDone,
    CallOutcome,
    CallProposed,
    CardInfo,
    DecisionMade,
    Event,
    Output,
    ReviewNeeded,
    SessionStarted,
    TextDelta,
    TierName,
    TurnDone,
    TurnFailed,
    Usage,
    VerdictInfo,
)
from aiosd.wire_talk import Fact, Facts, Notice, ProgressDelta, Question, TodoItem, TodoList, Value

SSE, LINES, TEXT, FRAMES = "text/event-stream", "application/x-ndjson", "text/plain", frames.MEDIA_TYPE


def _number(event: Event) -> Numbered:
    body = {**asdict(event), "seq": 7, "session": "s1", "at": "2026-01-01T00:00:00.000Z"}
    return 7, event.type, json.dumps(body, ensure_ascii=False)


def _render(form: str, event: Event) -> bytes:
    return _FORMS[form](_number(event))


def _frame(tag: str, content: str) -> bytes:
    return f"{tag}{len(content.encode())}\n{content}".encode()


def _proposed(tool: str = "bash", **arguments: str) -> CallProposed:
    return CallProposed(call="c", tool=tool, arguments=tuple(Argument(name=n, value=v) for n, v in arguments.items()))


def _decided(tier: TierName) -> DecisionMade:
    verdict = VerdictInfo(tier=tier, reason="because", confinement="", run_as="user", opaque=None, parts=())
    return DecisionMade(call="c", verdict=verdict)


def _done(outcome: CallOutcome, reason: str = "", status: int = -1) -> CallDone:
    return CallDone(
        call="c", outcome=outcome, status=status, reason=reason, duration_ms=1, output_bytes=2, truncated=False
    )


def _failed(hint: str = "try later") -> TurnFailed:
    return TurnFailed(code="internal", message="it broke", hint=hint, exit_status=70)


EVENTS: tuple[tuple[Event, str, bytes], ...] = (  # the event, as plain text, as frames
    (SessionStarted(name="calm-keen-hopper", turn=1, model="m"), "", _frame("s", "s1 calm-keen-hopper")),
    (TextDelta(text="空き\n50%"), "空き\n50%", _frame("t", "空き\n50%")),
    (_proposed(command="df  -h\n/"), "", _frame("n", "› df -h /")),
    (_proposed("read_file", path="/etc/x", offset="3"), "", _frame("n", "› read_file /etc/x")),
    (_proposed("future"), "", _frame("n", "› future")),
    (_decided("auto_allow"), "", b""),
    (_decided("notify"), "", _frame("n", "  announced: because")),
    (_decided("require_approval"), "", b""),
    (_decided("deny"), "", b""),
    (
        ApprovalNeeded(call="c", approval="a1b2", expires_at="2026-01-01T00:05:00.000Z"),
        "[waits for: aios approve a1b2]\n",
        _frame("a", "a1b2 2026-01-01T00:05:00.000Z"),
    ),
    (
        ReviewNeeded(approvals=tuple(CardInfo(call="c", approval=each, expires_at="") for each in ("a1", "b2"))),
        "[waits for: aios approve a1 b2]\n",
        _frame("r", "a1 b2"),
    ),
    (Output(call="c", stream="stdout", text="out"), "", b""),
    (_done("done", status=0), "", b""),
    (_done("failed", status=3), "", _frame("n", "  ended with status 3")),
    (_done("done", "not all"), "[done: not all]\n", _frame("n", "  not all")),
    (
        _done("failed", "bash needs command"),
        "[failed: bash needs command]\n",
        _frame("n", "  failed: bash needs command"),
    ),
    (
        _done("timed_out", "ended after 5 s"),
        "[timed_out: ended after 5 s]\n",
        _frame("n", "  timed out: ended after 5 s"),
    ),
    (_done("cancelled"), "", _frame("n", "  cancelled")),
    (_done("refused", "no sandbox"), "[refused: no sandbox]\n", _frame("n", "  refused: no sandbox")),
    (_done("denied", "not now"), "[denied: not now]\n", _frame("n", "  denied: not now")),
    (_done("skipped", "go on"), "[skipped: go on]\n", _frame("n", "  skipped: go on")),
    (replace(_done("done", status=0), command="id\n"), "", _frame("n", "  run instead: id\\u{a}")),
    (_done("unanswered", "nobody"), "[unanswered: nobody]\n", _frame("n", "  unanswered: nobody")),
    (Usage(input_tokens=1, output_tokens=2), "", b""),
    (ProgressDelta(tool="", text="hm"), "", b""),
    (Notice(text="told\nonce", void=False), "[told\\u{a}once]\n", _frame("n", "! told\\u{a}once")),
    (Notice(text="asking again", void=True), "\n[asking again]\n", _frame("v", "") + _frame("n", "! asking again")),
    (
        Question(call="c", text="which?", choices=("a", "b")),
        "[asks: which? / a / b]\n",
        _frame("u", '{"call": "c", "text": "which?", "choices": ["a", "b"]}'),
    ),
    (
        TodoList(items=(TodoItem(text="look", state="done"), TodoItem(text="mend", state="doing"))),
        "",
        _frame("n", "  [x] look") + _frame("n", "  [>] mend"),
    ),
    (
        Facts(
            about="uptime",
            said=(Fact(name="up_for", values=(Value(name="span", text="1 hour", number=3600.0),)),),
            rows=((Value(name="cpu", text="x", number=None),),),
            missing=(),
        ),
        "",
        b"",
    ),
    (TurnDone(exit_status=77, steps=2), "\n", _frame("x", "77")),
    (_failed(), "[failed: it broke]\n", _frame("n", "! it broke (try later)") + _frame("x", "70")),
    (_failed(""), "[failed: it broke]\n", _frame("n", "! it broke") + _frame("x", "70")),
)


@pytest.mark.parametrize(("event", "text", "framed"), EVENTS)
def test_an_event_in_each_form(event: Event, text: str, framed: bytes) -> None:
    body = _number(event)[2]
    assert _render(SSE, event) == f"id: 7\nevent: {event.type}\ndata: {body}\n\n".encode()
    assert _render(LINES, event) == f"{body}\n".encode()
    assert _render(TEXT, event) == text.encode()
    assert _render(FRAMES, event) == framed


def test_every_kind_of_event_is_in_the_table() -> None:
    assert {type(event) for event, _, _ in EVENTS} == set(get_args(Event))


EVIL = "a\x1b[2J\rb\x07\x9b31mc\u202ed\u200be\x00f\u2066g"
SHOWN = r"a\u{1b}[2J\u{d}b\u{7}\u{9b}31mc\u{202e}d\u{200b}e\u{0}f\u{2066}g"


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (_proposed(command=EVIL), "› a\\u{1b}[2J b\\u{7}\\u{9b}31mc\\u{202e}d\\u{200b}e\\u{0}f\\u{2066}g"),
        (_done("denied", EVIL), f"  denied: {SHOWN}"),
        (_failed(EVIL), f"! it broke ({SHOWN})"),
        (TextDelta(text=EVIL), SHOWN),
    ],
)
def test_nothing_in_what_a_terminal_prints_moves_its_cursor_or_hides(event: Event, shown: str) -> None:
    assert shown.encode() in _render(FRAMES, event)
    plain = _render(TEXT, event).decode()
    assert not any(char in plain for char in EVIL if char < " " and char != "\n")


@pytest.mark.parametrize(
    "text", ["tab\there\n", "日本語。「はい」", "👩‍💻 🏳️‍🌈", "می‌خواهم", "שלום", "naïve naïve", "🫠🫨"]
)
def test_an_answer_in_any_language_is_printed_as_it_is(text: str) -> None:
    assert _render(FRAMES, TextDelta(text=text)) == _frame("t", text)
    assert _render(TEXT, TextDelta(text=text)) == text.encode()


def test_the_data_forms_hold_any_text_as_data() -> None:
    event = TextDelta(text=EVIL + "\n\u2028\ndata: x\n\nevent: turn_done")
    data = _render(SSE, event).decode()
    assert data.count("\n") == 4  # three lines and an empty one
    assert json.loads(data.split("data: ", 1)[1])["text"] == event.text
    assert json.loads(_render(LINES, event))["text"] == event.text


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", SSE),
        ("*/*", SSE),
        ("text/*", SSE),
        ("text/event-stream", SSE),
        ("application/x-ndjson", LINES),
        ("Application/X-NDJSON; q=0.5", LINES),
        ("text/plain", TEXT),
        (frames.MEDIA_TYPE, FRAMES),
        ("image/png, text/plain", TEXT),
        ("application/json, */*;q=0.1", SSE),
    ],
)
def test_the_form_is_the_one_the_client_takes(accept: str, media: str) -> None:
    assert choose_form(accept)[0] == media


@pytest.mark.parametrize("accept", ["application/json", "image/png", "text/html, application/xml"])
def test_what_there_is_not_is_said_with_what_there_is(accept: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        choose_form(accept)
    assert caught.value.message == f"there is no {accept} of this"
    assert caught.value.hint == f"accept one of {SSE}, {LINES}, {TEXT}, {FRAMES}"


def test_frames_say_how_long_they_are_in_bytes() -> None:
    rendered: Any = frames.render("t", "空".encode())
    assert rendered == b"t3\n\xe7\xa9\xba"
    assert frames.render("c", b"") == b"c0\n"
