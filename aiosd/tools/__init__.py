"""What the model can call: every tool plans an action and hands it to the guard."""

from aiosd.tools.base import ArgumentError, Tool, ToolContext
from aiosd.tools.bash import Bash
from aiosd.tools.files import file_tools
from aiosd.tools.machine import typed_tools
from aiosd.tools.observe import Observe
from aiosd.tools.review import reviewed
from aiosd.tools.web import WebFetch

__all__ = ["ArgumentError", "Tool", "ToolContext", "all_tools", "reviewed"]


def all_tools() -> tuple[Tool, ...]:
    """Every tool, in the order the model is told of them."""
    return (Bash(), *file_tools(), *typed_tools(), Observe(), WebFetch())
