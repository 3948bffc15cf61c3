"""What the policy says of an action, with everything needed to explain it and to run it."""

from dataclasses import dataclass

from aiosd.policy.program import Opaque, Program
from aiosd.types import Facet, RunAs, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAction:
    """A shell line proposed to run in `cwd` (absolute). `run_as` root can only make the verdict stricter.

    `machine` names the container it is for; "" is this host.
    """

    line: str
    cwd: str
    run_as: RunAs = RunAs.USER
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAction:
    """A file tool proposed for an absolute `path`: `read_file`, `write_file`, `edit_file`, `glob` or `grep`."""

    tool: str
    path: str
    writes: bool
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAction:
    """A tool of an MCP server proposed, as `server/tool`. What it does nobody here knows."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchAction:
    """A page to be read at `url`, which is of `host` and `port` and nobody else. `aiosd.policy.web` makes it."""

    url: str
    host: str
    port: int

    @property
    def where(self) -> str:
        """The host and its port, as egress lists have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Action = CommandAction | FileAction | FetchAction | ToolAction


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRef:
    """The rule that spoke: its pattern or name, the tier it gives, and where it is written (line 1 is the first).

    What no file says (an unmatched command, a limit) has `file` "" and line 0.
    """

    name: str
    tier: Tier
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The verdict for one simple command (or one tool): its text as a person would write it.

    `writes`, `network` and `sockets` are what a `notify` grants it: paths (`.` is its working directory, `/` all that
    the person may write), hosts (`*` is any), Unix sockets (`PATH` or `NAME=PATH`). `remedy` is what would make it
    pass, where somebody asked for that.
    """

    text: str
    tier: Tier
    reason: str
    rules: tuple[RuleRef, ...]
    facets: frozenset[Facet] = frozenset()
    suggest: str = ""
    writes: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The tier of a whole action: the strictest of its parts.

    `program` is what `auto_allow` and `notify` execute; None for an opaque line and for file tools. `opaque` says why
    a line is outside the language. `run_as` is root when any part asked for root (`sudo` stripped, or the request).
    `facets` holds one set for each pipeline of `program`, in order. `line` is the line without such a leading `sudo`.
    `programs` are the only ones that may be started, None for any.
    """

    tier: Tier
    reason: str
    parts: tuple[Part, ...]
    line: str = ""
    program: Program | None = None
    opaque: Opaque | None = None
    run_as: RunAs = RunAs.USER
    facets: tuple[frozenset[Facet], ...] = ()
    programs: tuple[str, ...] | None = None

    @property
    def writes(self) -> tuple[str, ...]:
        """Every path that its parts are granted to write, each once."""
        return tuple(dict.fromkeys(path for part in self.parts for path in part.writes))

    @property
    def network(self) -> tuple[str, ...]:
        """Every host that its parts are granted to reach, each once."""
        return tuple(dict.fromkeys(host for part in self.parts for host in part.network))

    @property
    def sockets(self) -> tuple[str, ...]:
        """Every Unix socket that its parts are granted, each once."""
        return tuple(dict.fromkeys(socket for part in self.parts for socket in part.sockets))

    @property
    def rules(self) -> tuple[RuleRef, ...]:
        """The rules that gave the tier, each once."""
        if len(self.parts) == 1:
            return self.parts[0].rules
        seen: dict[RuleRef, None] = {}
        for part in self.parts:
            if part.tier is self.tier:
                seen.update(dict.fromkeys(part.rules))
        return tuple(seen)
