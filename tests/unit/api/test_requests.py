"""Questions in frames: what is read, and what is refused."""

from dataclasses import replace

import pytest

from aiosd import frames
from aiosd.api.requests import check_turn, parse_frames
from aiosd.errors import InvalidRequestError
from aiosd.wire_ask import AskRequest, Image


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
        + _frame(frames.MODEL, "mine")
        + _frame(frames.NAME, "disks")
        + _frame(frames.FORK, b"")
        + _frame(frames.PLAN, b"")
        + _frame(frames.YES_TO, "notify")
        + _frame(frames.TIMEOUT, "60")
        + _frame(frames.BUDGET, "0.5")
        + _frame(frames.SCHEMA, "{}")
        + _frame(frames.IMAGE, "image/png aa==")
        + _frame(frames.IMAGE, "image/gif bb==")
    )
    assert parse_frames(body) == AskRequest(
        prompt="空きは？\n2 lines",
        input="�\n",
        session="calm-keen-hopper",
        continue_newest=True,
        cwd="/srv",
        wait_s=30,
        model="mine",
        name="disks",
        fork=True,
        plan=True,
        yes_to="notify",
        timeout_s=60,
        max_cost=0.5,
        schema="{}",
        images=(Image(media_type="image/png", data="aa=="), Image(media_type="image/gif", data="bb==")),
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
        (b"Z1\na", "a frame is not known here: Z"),
        (b"\xff1\na", "a frame is not known here: �"),
        (b"p1\na", "a frame is not known here: p"),
        (b"p0\n", "a frame is not known here: p"),
        (b"p10\n9999999999", "wait_s is not between 0 and 86400"),
        (b"k4\ndeny", "nothing stricter than notify runs without a person"),
        (b"b1\nx", "'x' is no amount"),
        (b"b1\n0", "a budget of 0 would be none"),
        (b"b3\ninf", "max_cost is below 0, or no number"),
        (b"b2\n-1", "max_cost is below 0, or no number"),
        (b"o6\n100000", "timeout_s is not between 0 and 86400"),
        (b"g9\ntext/html", "text/html is no picture that models take"),
        (b"p5000\n" + b"9" * 5000, "a frame is not known here: p"),
    ],
)
def test_what_is_not_made_of_known_whole_frames_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_turn(replace(parse_frames(body), prompt="?"))
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
        check_turn(AskRequest(prompt=prompt, input=given, cwd=cwd, wait_s=wait_s))
    assert caught.value.message == said


@pytest.mark.parametrize(
    ("prompt", "given", "wait_s"), [("x" * 65_536, "", 0), ("", "x", 86_400), ("x", "y" * 200_000, 1)]
)
def test_a_question_within_them_is_taken(prompt: str, given: str, wait_s: int) -> None:
    check_turn(AskRequest(prompt=prompt, input=given, wait_s=wait_s))
