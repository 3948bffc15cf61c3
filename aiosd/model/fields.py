"""Reading what a provider sent: a value at a path, or a harmless one where it is missing or of another type. Pure.

Providers add fields, leave some out and send null for others; none of that is an error.
"""

import json

from aiosd.types import JsonObject, JsonValue


def get(value: JsonValue, *path: str | int) -> JsonValue:
    """The value at `path`, None where the path ends early."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def get_text(value: JsonValue, *path: str | int) -> str:
    """The text there, or ""."""
    found = get(value, *path)
    return found if isinstance(found, str) else ""


def get_count(value: JsonValue, *path: str | int) -> int:
    """The number there, not below 0, or 0."""
    found = get(value, *path)
    return max(int(found), 0) if isinstance(found, int | float) and abs(found) < 2**53 else 0


def get_object(value: JsonValue, *path: str | int) -> JsonObject:
    """The object there, or an empty one."""
    found = get(value, *path)
    return found if isinstance(found, dict) else {}


def get_list(value: JsonValue, *path: str | int) -> list[JsonValue]:
    """The list there, or an empty one."""
    found = get(value, *path)
    return found if isinstance(found, list) else []


def parse_object(text: str) -> JsonObject | None:
    """A JSON object; None for anything else."""
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parse_arguments(text: str) -> tuple[JsonObject, str]:
    """A call's arguments as they came, and what is wrong with them; no text at all is no arguments."""
    if not text.strip():
        return {}, ""
    found = parse_object(text)
    if found is None:
        return {}, "the arguments are not a JSON object, or were cut off; propose the call again"
    return found, ""
