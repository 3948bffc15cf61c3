"""The `observe` tool: what only root can see, by name; and what the person's own approvals and record are."""

from dataclasses import replace

from aiosd.guard.observations import OBSERVATIONS, OWN
from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.base import ToolContext, perform, text_argument
from aiosd.types import JsonObject

_OF_JOURNAL = ("journal_errors", "kernel_messages", "unit_journal")  # which the journal tool asks for, too
_JOURNAL = ("failed_logins", *_OF_JOURNAL)
_TOLD = tuple(name for name in OBSERVATIONS if name not in _OF_JOURNAL)


class Observe:
    """Asks the guard for one observation of its closed table."""

    spec = ToolSpec(
        name="observe",
        description="What only root sees, for administrators; the person's approvals, record.",
        parameters={
            "type": "object",
            "properties": {"what": {"type": "string", "enum": [*_TOLD, *OWN]}},
            "required": ["what"],
        },
    )

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Ask for it. What may not be seen is an answer too: the turn that goes on without it has not failed."""
        parameters: JsonObject = {"what": text_argument(call, "what"), "name": text_argument(call, "name", default="")}
        if parameters["what"] in _JOURNAL:
            context.foreign.add("journal")
        result = await perform(call, context, "Observe", parameters)
        return replace(result, outcome="failed") if result.outcome in {"denied", "refused"} else result
