"""Questions in frames: what is read, and what is refused."""

import pytest

from aiosd import frames
from aiosd.api.requests import check_ask, parse_frames
from aiosd.errors import InvalidRequestError
from aiosd.wire import AskRequest


def _frame(tag: str, content: str | bytes) -> bytes:
    return frames.render(tag, content.encode() if isinstance(content, str) else content)


def test_every_field_has_its_frame() -> None:
    body = (
        _frame(frames.PROMPT, "空きは？\n2 lines")
        + _frame(frames.INPUT, b"\xff\n")
        + _frame(frames.CWD, "/srv")
        + _frame(frames.WANTED, "calm-keen-hopper")
        + _frame(frames.NEWEST, b"")
        + _frame(frames.WAIT, "30")
    )
    assert parse_frames(body) == AskRequest(
        prompt="空きは？\n2 lines",
        input="�\n",
        session="calm-keen-hopper",
        continue_newest=True,
        cwd="/srv",
        wait_s=30,
    )


def test_what_is_left_out_has_its_default() -> None:
    assert parse_frames(_frame("q", "x")) == AskRequest(prompt="x")
    assert parse_frames(b"") == AskRequest(prompt="")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"q5\nabc", "the body is not made of whole frames"),
        (b"q", "the body is not made of whole frames"),
        (b"qx\nabc", "the body is not made of whole frames"),
        (b"q-1\nabc", "the body is not made of whole frames"),
        (b"q\xc2\xb2\nab", "the body is not made of whole frames"),
        (b"q9999999999\nabc", "the body is not made of whole frames"),
        (b"\n", "the body is not made of whole frames"),
        (b"q1\na\n", "the body is not made of whole frames"),
        (b"z1\na", "a frame is not known here: z"),
        (b"\xff1\na", "a frame is not known here: �"),
        (b"p1\na", "a frame is not known here: p"),
        (b"p0\n", "a frame is not known here: p"),
        (b"p10\n9999999999", "wait_s is not between 0 and 86400"),
        (b"p5000\n" + b"9" * 5000, "a frame is not known here: p"),
    ],
)
def test_what_is_not_made_of_known_whole_frames_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_ask("?", "", "/", parse_frames(body).wait_s)
    assert caught.value.message == said


@pytest.mark.parametrize(
    ("prompt", "given", "cwd", "wait_s", "said"),
    [
        ("", "", "/", 0, "the question is empty"),
        (" \n\t　", " ", "/", 0, "the question is empty"),
        ("x" * 65_537, "", "/", 0, "the question is over 64 KiB"),
        ("x", "", "srv", 0, "cwd is not an absolute path"),
        ("x", "", "", 0, "cwd is not an absolute path"),
        ("x", "", "/a\0b", 0, "cwd is not an absolute path"),
        ("x", "", "/", -1, "wait_s is not between 0 and 86400"),
        ("x", "", "/", 86_401, "wait_s is not between 0 and 86400"),
    ],
)
def test_a_question_has_bounds(prompt: str, given: str, cwd: str, wait_s: int, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_ask(prompt, given, cwd, wait_s)
    assert caught.value.message == said


@pytest.mark.parametrize(
    ("prompt", "given", "wait_s"), [("x" * 65_536, "", 0), ("", "x", 86_400), ("x", "y" * 200_000, 1)]
)
def test_a_question_within_them_is_taken(prompt: str, given: str, wait_s: int) -> None:
    check_ask(prompt, given, "/", wait_s)
