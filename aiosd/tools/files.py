"""The file tools: read, write, edit, glob, grep. They run in the user's sandbox, under the same policy as commands."""

import os

from aiosd.model.base import ToolCall, ToolResult, ToolSpec
from aiosd.tools.base import ArgumentError, ToolContext, perform
from aiosd.types import JsonObject

_PATH: JsonObject = {"type": "string"}


class FileTool:
    """One of the guard's file tools: `content` names the argument that is written, the rest are its own arguments."""

    def __init__(self, spec: ToolSpec, *, content: str = "") -> None:
        self.spec = spec
        self._content = content

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Hand the action over."""
        return await perform(call, context, "Invoke", self.propose(call, context))

    def propose(self, call: ToolCall, context: ToolContext) -> JsonObject:
        """The path and the tool's own arguments."""
        arguments = dict(call.arguments)
        path = arguments.pop("path", ".")
        if not isinstance(path, str) or not path:
            raise ArgumentError(f"{call.tool} needs path, a string")
        reason = arguments.pop("reason", "")
        parameters: JsonObject = {
            "tool": self.spec.name,
            "path": os.path.normpath(os.path.join(context.place, path)),
            "claim": str(reason),
        }
        if self._content:
            content = arguments.pop(self._content, None)
            if not isinstance(content, str):
                raise ArgumentError(f"{call.tool} needs {self._content}, a string")
            parameters["content"] = content
        parameters["arguments"] = arguments
        return parameters


def file_tools() -> tuple[FileTool, ...]:
    """All five."""
    reason: JsonObject = {"type": "string"}
    return (
        FileTool(
            _spec(
                "read_file",
                "Lines from `offset` on.",
                {"offset": _integer(), "limit": _integer()},
            )
        ),
        FileTool(
            _spec(
                "write_file",
                "The whole file.",
                {"content": {"type": "string"}, "reason": reason},
                required=("path", "content"),
            ),
            content="content",
        ),
        FileTool(
            _spec(
                "edit_file",
                "Replace a text that stands once.",
                {
                    "old": {"type": "string"},
                    "new": {"type": "string"},
                    "replace_all": {"type": "boolean"},
                    "reason": reason,
                },
                required=("path", "old", "new"),
            )
        ),
        FileTool(
            _spec(
                "glob",
                "Matching paths; ** crosses folders.",
                {"pattern": {"type": "string"}},
                required=("pattern",),
            )
        ),
        FileTool(
            _spec(
                "grep",
                "Lines that match a regex below `path`.",
                {"pattern": {"type": "string"}, "glob": {"type": "string"}, "ignore_case": {"type": "boolean"}},
                required=("pattern",),
            )
        ),
    )


def _spec(name: str, description: str, properties: JsonObject, *, required: tuple[str, ...] = ("path",)) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=description,
        parameters={"type": "object", "properties": {"path": _PATH, **properties}, "required": list(required)},
    )


def _integer() -> JsonObject:
    return {"type": "integer"}
