"""The `bash` tool: one command line."""

import os

from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.base import ToolContext, integer_argument, perform, text_argument
from aiosd.types import JsonObject


class Bash:
    """Proposes a line to the guard, which runs it by itself, asks a person, or refuses."""

    spec = ToolSpec(
        name="bash",
        description=(
            "Run one command line on this machine. What only reads runs at once, read-only and without network. What "
            "changes something is first shown to a person; propose it with its reason. Write sudo in front of what "
            "needs root. Plain commands, pipes and && run; no interactive programs."
        ),
        parameters={
            "type": "object",
            "properties": {
                "command": {"type": "string"},
                "reason": {"type": "string", "description": "why, in one sentence, for the person who is asked"},
                "cwd": {"type": "string", "description": "absolute; without it, the person's working directory"},
                "timeout_s": {"type": "integer", "minimum": 1},
            },
            "required": ["command"],
        },
    )

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Hand the line over."""
        parameters: JsonObject = {
            "command": text_argument(call, "command"),
            "cwd": os.path.normpath(os.path.join(context.cwd, text_argument(call, "cwd", default="."))),
            "claim": text_argument(call, "reason", default=""),
        }
        if "timeout_s" in call.arguments:
            parameters["timeout_s"] = integer_argument(call, "timeout_s", default=0)
        return await perform(call, context, "Execute", parameters)
