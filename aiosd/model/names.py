"""Ids and names of calls as every provider takes them: what one invented, another would refuse for ever. Pure."""

import hashlib
import re

_MAX_ID = 40  # OpenAI's limit
_MAX_TOOL = 64
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


def render_id(call: str) -> str:
    """A call's id; one with other characters, or too long, becomes one that is made from it."""
    if call and len(call) <= _MAX_ID and not _UNFIT.search(call):
        return call
    return f"call-{hashlib.sha256(call.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def render_tool(name: str) -> str:
    """A tool's name, which may be one that the model made up."""
    return _UNFIT.sub("_", name)[:_MAX_TOOL] or "unknown"
