"""One question to a model that is not configured yet: whether it answers, and takes tools, before anything is stored.

What comes in and goes out is JSON: `aios model add` asks for it, in a process without rights of its own.
"""

import json
import time
from typing import cast

from aiosd.config import load_config
from aiosd.errors import AiosError, InvalidRequestError
from aiosd.model.base import ModelRequest, TextDelta, UserMessage, closing
from aiosd.model.builtin import BuiltinModel
from aiosd.model.catalog import Catalog
from aiosd.model.keys import Keys
from aiosd.tools import all_tools
from aiosd.types import JsonObject, JsonValue

_PROMPT = "You are asked whether you answer."
_QUESTION = "This is a test of the connection. Answer with the one word: ready"
_MAX_SHOWN = 200


async def try_model(text: str) -> JsonObject:
    """`{"name", "table", "key"}` to `{"about", "answer", "ms"}`, or `{"error", "hint", "exit_status"}`."""
    try:
        given: JsonValue = json.loads(text)
        if not isinstance(given, dict) or not isinstance(given.get("table"), dict):
            raise InvalidRequestError("no model was given")
        return await _try(str(given["name"]), cast("JsonObject", given["table"]), str(given.get("key", "")))
    except AiosError as exc:
        return {"error": exc.message, "hint": exc.hint, "exit_status": exc.exit_status}


async def _try(name: str, table: JsonObject, key: str) -> JsonObject:
    written = {f"AIOS_MODELS__{name}__{each}": json.dumps(value) for each, value in table.items()}
    config = load_config([], written).config
    keys = Keys(environment={str(table.get("key", "")): key}, standalone=True)
    models = Catalog(lambda: config, keys, BuiltinModel())
    model = models.only(name)
    request = ModelRequest(
        system=_PROMPT, messages=(UserMessage(text=_QUESTION),), tools=tuple(tool.spec for tool in all_tools())
    )
    began = time.monotonic()
    answer = ""
    try:
        async with closing(model.stream(request)) as deltas:
            async for delta in deltas:
                answer += delta.text if isinstance(delta, TextDelta) else ""
    finally:
        await models.close()
    taken_ms = int((time.monotonic() - began) * 1000)
    return {"about": model.info.description, "answer": answer.strip()[:_MAX_SHOWN], "ms": taken_ms}
