"""The `bash` tool: one command line."""

import os

from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.base import ToolContext, integer_argument, perform, text_argument
from aiosd.types import JsonObject


class Bash:
    """Proposes a line to the guard, which runs it by itself, asks a person, or refuses."""

    spec = ToolSpec(
        name="bash",
        description=("Run one command line; nothing interactive."),
        parameters={
            "type": "object",
            "properties": {
                "command": {"type": "string"},
                "reason": {"type": "string"},
                "cwd": {"type": "string"},
                "timeout_s": {"type": "integer"},
            },
            "required": ["command"],
        },
    )

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Hand the line over."""
        parameters: JsonObject = {
            "command": text_argument(call, "command"),
            "cwd": os.path.normpath(os.path.join(context.place, text_argument(call, "cwd", default="."))),
            "claim": text_argument(call, "reason", default=""),
        }
        if "timeout_s" in call.arguments:
            parameters["timeout_s"] = integer_argument(call, "timeout_s", default=0)
        stays = "cwd" not in call.arguments  # a folder that is named for one command is for that one
        return await perform(call, context, "Execute", parameters, moves=stays)
