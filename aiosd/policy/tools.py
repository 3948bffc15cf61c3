"""Patterns over tools: a file tool with the paths it is about, pages with their hosts, or a tool of an MCP server.

`write_file` is the tool on any path; `write_file:/etc/fstab` one file; `write_file:/etc/*` everything below. Elsewhere
a `*` stands for a part of one name (`/srv/*/data/*`, `/etc/*.conf`). `web_fetch:docs.example.org` is the pages of one
host, `web_fetch:*.example.org` of every host below a domain. `mcp:server/tool` is one tool; either name may
hold a `*`. A path is compared after `.`, `..` and doubled slashes are resolved; links are the sandbox's matter.
"""

import re
from dataclasses import dataclass
from typing import Final

WRITING_TOOLS: Final = ("write_file", "edit_file")
FILE_TOOLS: Final = ("read_file", *WRITING_TOOLS, "glob", "grep")
MCP: Final = "mcp"
WEB: Final = "web_fetch"
ALL_TOOLS: Final = (*FILE_TOOLS, WEB, MCP)

_STARS: Final = re.compile(r"\*+")
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")
_MCP_NAMES: Final = re.compile(r"[A-Za-z0-9_.*-]+/[A-Za-z0-9_.*-]+")


class ToolPatternError(ValueError):
    """A pattern that cannot be what was meant; the second argument says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPattern:
    """A kind of tool, and which of its objects (a path, a host, `server/tool`); any of them where `about` is None."""

    tool: str
    about: re.Pattern[str] | None = None

    def covers(self, tool: str, about: str) -> bool:
        """Whether the action is meant; a path is canonical."""
        return tool == self.tool and (self.about is None or self.about.fullmatch(about) is not None)


def parse_tool_pattern(text: str) -> ToolPattern:
    """Read `tool`, `tool:/path`, `web_fetch:host` or `mcp:server/tool`. Raises ToolPatternError(message, hint)."""
    tool, colon, about = text.partition(":")
    if tool == MCP:
        if not _MCP_NAMES.fullmatch(about):
            raise ToolPatternError(f"`{text}` names no tool of a server", "write mcp:SERVER/TOOL; either may hold a *")
        return ToolPattern(tool=MCP, about=_compile(about))
    if tool == WEB:
        return ToolPattern(tool=WEB, about=_compile_host(about) if colon else None)
    if tool not in FILE_TOOLS:
        raise ToolPatternError(
            f"unknown tool `{tool}`", f"there are {', '.join((*FILE_TOOLS, WEB))}; others are mcp:SERVER/TOOL"
        )
    if not colon:
        return ToolPattern(tool=tool)
    if not about.startswith("/"):
        raise ToolPatternError(f"`{about}` is not an absolute path", "write /a/file, or /a/folder/* for all below it")
    if about.endswith("/*"):
        folder = _compile(_plain(about[:-2] or "/").rstrip("/")).pattern
        return ToolPattern(tool=tool, about=re.compile(f"{folder}/.+", re.DOTALL))
    return ToolPattern(tool=tool, about=_compile(_plain(about)))


def _compile_host(text: str) -> re.Pattern[str]:
    if not _HOST.fullmatch(text):
        raise ToolPatternError(f"`{text}` is no host", "write web_fetch:HOST, in small letters, or web_fetch:*.DOMAIN")
    return re.compile(f".+{re.escape(text[1:])}" if text.startswith("*") else re.escape(text))


def _plain(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/" + "/".join(parts)


def _compile(glob: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(map(re.escape, _STARS.split(glob))), re.DOTALL)
