"""An answer that fits a schema: the model gives it as the arguments of a tool, which are held against the schema here.

Of JSON Schema that is understood which people write for answers: type, enum, const, properties, required,
additionalProperties, items, minItems, maxItems, minimum, maximum. What else a schema says is for the model to heed.
"""

import json
from collections.abc import Callable

from aiosd.errors import InvalidRequestError
from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools import ToolContext
from aiosd.types import JsonObject, JsonValue
from aiosd.wire import CallDone, Event, TextDelta

NUDGE = "Give your answer now by calling the tool `answer`, and say nothing else."
_FIELD = "value"
_MAX_DEPTH = 32
_KINDS: dict[str, Callable[[JsonValue], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == int(value),
}


def parse_schema(text: str) -> JsonObject:
    """A schema as it was given. InvalidRequestError for what is no JSON object."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequestError(f"the schema is not JSON: {exc}", hint="write a JSON Schema object") from exc
    if not isinstance(schema, dict):
        raise InvalidRequestError("the schema is no JSON object", hint="write a JSON Schema object")
    return schema


class Answer:
    """The tool `answer`, until it has taken one that fits."""

    def __init__(self, schema: JsonObject) -> None:
        self._schema = schema
        self._whole = schema.get("type") == "object"
        parameters: JsonObject = schema if self._whole else _wrap(schema)
        self.spec = ToolSpec(
            name="answer", description="Give the final answer, once, when you have it.", parameters=parameters
        )
        self.is_given = False
        self._given: JsonValue = None

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Take the answer if it fits, say why not if it does not."""
        value: JsonValue = call.arguments if self._whole else call.arguments.get(_FIELD)
        fault = find_fault(value, self._schema)
        context.emit(
            CallDone(
                call=call.id,
                outcome="failed" if fault else "done",
                status=0,
                reason=fault,
                duration_ms=0,
                output_bytes=0,
                truncated=False,
            )
        )
        if fault:
            return ToolResult(call=call.id, text=f"{fault}; call answer again", outcome="failed")
        self._given, self.is_given = value, True
        return ToolResult(call=call.id, text="taken")

    def render(self, emit: Callable[[Event], None]) -> str:
        """The answer as JSON, told."""
        text = json.dumps(self._given, ensure_ascii=False, indent=2)
        emit(TextDelta(text=text))
        return text


def _wrap(schema: JsonObject) -> JsonObject:
    return {"type": "object", "properties": {_FIELD: schema}, "required": [_FIELD]}


def find_fault(value: JsonValue, schema: JsonValue, *, where: str = "the answer", depth: int = 0) -> str:
    """Why `value` does not fit, "" where it does."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return ""
    kinds = schema.get("type")
    wanted = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    if wanted and not any(str(kind) not in _KINDS or _KINDS[str(kind)](value) for kind in wanted):
        return f"{where} is not of type {' or '.join(map(str, wanted))}"
    if "const" in schema and value != schema["const"]:
        return f"{where} is not {json.dumps(schema['const'])}"
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        return f"{where} is none of {json.dumps(choices)}"
    if isinstance(value, dict):
        return _find_in_object(value, schema, where, depth)
    if isinstance(value, list):
        return _find_in_list(value, schema, where, depth)
    if isinstance(value, int | float) and not isinstance(value, bool):
        least, most = schema.get("minimum"), schema.get("maximum")
        if isinstance(least, int | float) and value < least:
            return f"{where} is below {least}"
        if isinstance(most, int | float) and value > most:
            return f"{where} is above {most}"
    return ""


def _find_in_object(value: JsonObject, schema: JsonObject, where: str, depth: int) -> str:
    required, given = schema.get("required"), schema.get("properties")
    properties: JsonObject = given if isinstance(given, dict) else {}
    for name in required if isinstance(required, list) else []:
        if name not in value:
            return f"{where} lacks {name}"
    for name, each in value.items():
        if name in properties:
            fault = find_fault(each, properties[name], where=f"{where}.{name}", depth=depth + 1)
            if fault:
                return fault
        elif schema.get("additionalProperties") is False:
            return f"{where} has {name}, which the schema does not know"
    return ""


def _find_in_list(value: list[JsonValue], schema: JsonObject, where: str, depth: int) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if isinstance(least, int) and len(value) < least:
        return f"{where} has fewer than {least} items"
    if isinstance(most, int) and len(value) > most:
        return f"{where} has more than {most} items"
    faults = (
        find_fault(each, schema.get("items"), where=f"{where}[{index}]", depth=depth + 1)
        for index, each in enumerate(value)
    )
    return next((fault for fault in faults if fault), "")
