"""The `web_fetch` tool: a page as text, fetched in a sandbox of the person's by the rules of egress."""

from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.base import NOT_RUN, ArgumentError, ToolContext, integer_argument, perform, text_argument
from aiosd.types import JsonObject

_TIMEOUT_S = 60


class WebFetch:
    """Proposes a page to the guard, which reads it inside, asks a person, or refuses."""

    spec = ToolSpec(
        name="web_fetch",
        description="A page as text from `offset` on.",
        parameters={
            "type": "object",
            "properties": {
                "url": {"type": "string"},
                "offset": {"type": "integer"},
                "reason": {"type": "string"},
            },
            "required": ["url"],
        },
    )

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Hand it over. Whatever came back holds words of somebody else's."""
        result = await perform(call, context, "Invoke", self.propose(call, context))
        if result.outcome not in NOT_RUN:
            context.foreign.add("web")
        return result

    def propose(self, call: ToolCall, _context: ToolContext) -> JsonObject:
        """The page, and from where on."""
        from aiosd.policy import UrlError, parse_url  # noqa: PLC0415 - the daemon starts without the room of rules

        try:
            page = parse_url(text_argument(call, "url"))
        except UrlError as exc:
            raise ArgumentError(str(exc)) from exc
        return {
            "tool": self.spec.name,
            "path": page.url,
            "arguments": {"offset": max(integer_argument(call, "offset", default=0), 0)},
            "claim": text_argument(call, "reason", default=""),
            "timeout_s": _TIMEOUT_S,
        }
