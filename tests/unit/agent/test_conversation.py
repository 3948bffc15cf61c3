"""The conversation as it is stored: every message comes back as it was."""

import json

import pytest

from aiosd.agent.conversation import parse_message, render_message
from aiosd.errors import StorageError
from aiosd.model.base import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from aiosd.types import CallId, JsonObject

MESSAGES: tuple[Message, ...] = (
    UserMessage(text=""),
    UserMessage(text="空きは？ \0 \udcff"),
    AssistantMessage(),
    AssistantMessage(
        text="I look.",
        calls=(
            ToolCall(id=CallId("a"), tool="bash", arguments={}),
            ToolCall(id=CallId("b"), tool="x", arguments={"deep": [1, 2.5, None, True, {"y": "z"}]}),
        ),
    ),
    ToolResult(call=CallId("a"), text="50%"),
    ToolResult(call=CallId("a"), text="", outcome="failed", status=3, truncated=True),
    ToolResult(call=CallId("b"), text="no", outcome="denied", status=None),
    ToolResult(call=CallId("c"), text="0", status=0, command="id -u"),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert parse_message(json.loads(json.dumps(render_message(message)))) == message


@pytest.mark.parametrize(
    "stored",
    [{}, {"role": "user"}, {"role": "user", "text": 1}, {"role": "system", "text": ""}, {"role": "tool", "call": "a"}],
)
def test_what_no_version_wrote_is_an_error_with_a_name(stored: JsonObject) -> None:
    with pytest.raises(StorageError):
        parse_message(stored)
