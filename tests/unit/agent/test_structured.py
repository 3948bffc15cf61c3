"""Answers that fit a schema: what fits, and what a loop does until one does."""

import json
from typing import Any

import pytest

from aiosd.agent.structured import NUDGE, Answer, find_fault, parse_schema
from aiosd.errors import InvalidRequestError, ModelGarbledError
from aiosd.model.base import ToolResult, UserMessage
from aiosd.types import JsonValue
from aiosd.wire import TextDelta
from tests.doubles.guard import ScriptedGuard
from tests.doubles.model import ScriptedModel, call, text
from tests.unit.agent.test_loop import Turn

DISKS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "disks": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        "full": {"type": "number", "minimum": 0, "maximum": 100},
        "state": {"enum": ["good", "bad"]},
    },
    "required": ["disks"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"disks": ["sda"], "full": 50.5, "state": "good"}, ""),
        ({"disks": ["sda", "sdb"], "full": 100}, ""),
        ([], "the answer is not of type object"),
        ({}, "the answer lacks disks"),
        ({"disks": []}, "the answer.disks has fewer than 1 items"),
        ({"disks": ["a", "b", "c"]}, "the answer.disks has more than 2 items"),
        ({"disks": ["a", 1]}, "the answer.disks[1] is not of type string"),
        ({"disks": ["a"], "full": "50"}, "the answer.full is not of type number"),
        ({"disks": ["a"], "full": True}, "the answer.full is not of type number"),
        ({"disks": ["a"], "full": -1}, "the answer.full is below 0"),
        ({"disks": ["a"], "full": 101}, "the answer.full is above 100"),
        ({"disks": ["a"], "state": "so"}, 'the answer.state is none of ["good", "bad"]'),
        ({"disks": ["a"], "more": 1}, "the answer has more, which the schema does not know"),
    ],
)
def test_what_fits_a_schema(value: JsonValue, fault: str) -> None:
    assert find_fault(value, DISKS) == fault


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"type": ["string", "null"]}, None, True),
        ({"type": ["string", "null"]}, 1, False),
        ({"type": "integer"}, 2.0, True),
        ({"type": "integer"}, 2.5, False),
        ({"const": 3}, 3, True),
        ({"const": 3}, 4, False),
        ({"type": "of another world"}, 4, True),
        (True, 4, True),
    ],
)
def test_other_words_of_a_schema(schema: Any, value: Any, fits: bool) -> None:
    assert (find_fault(value, schema) == "") is fits


@pytest.mark.parametrize("given", ["", "[]", "{", '"x"', "1"])
def test_what_is_no_schema_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_schema(given)


async def test_the_answer_is_what_fits_and_nothing_else(guard: ScriptedGuard) -> None:
    model = ScriptedModel([call("answer", "a", disks=[])], [text("Well: "), call("answer", "b", disks=["sda"])])
    turn = Turn(guard=guard, model=model, answer=Answer(DISKS))
    answered = await turn.run()
    assert json.loads(answered.text) == {"disks": ["sda"]}
    assert [each.text for each in turn.events if isinstance(each, TextDelta)] == [answered.text]
    assert model.requests[0].tools[-1].parameters == DISKS
    results = [each for each in turn.stored if isinstance(each, ToolResult)]
    assert [(each.outcome, each.text) for each in results] == [
        ("failed", "the answer.disks has fewer than 1 items; call answer again"),
        ("done", "taken"),
    ]


async def test_an_answer_that_is_no_object_is_taken_in_one(guard: ScriptedGuard) -> None:
    turn = Turn(guard=guard, model=ScriptedModel([call("answer", "a", value=7)]), answer=Answer({"type": "integer"}))
    assert (await turn.run()).text == "7"


async def test_a_model_that_only_talks_is_told_once(guard: ScriptedGuard) -> None:
    model = ScriptedModel([text("sda")], [call("answer", "a", disks=["sda"])])
    turn = Turn(guard=guard, model=model, answer=Answer(DISKS))
    assert json.loads((await turn.run()).text) == {"disks": ["sda"]}
    assert UserMessage(text=NUDGE) in turn.stored
    never = Turn(guard=guard, model=ScriptedModel([text("sda")], [text("sda!")]), answer=Answer(DISKS))
    with pytest.raises(ModelGarbledError):
        await never.run()
