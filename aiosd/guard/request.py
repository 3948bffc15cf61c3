"""An action as it is proposed to the guard, how it ended, and both as they go on the record."""

import posixpath
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiosd.audit.records import Decided, Decision, digest_text
from aiosd.guard.approvals import Answer, Approval, State
from aiosd.guard.exported import Variables
from aiosd.guard.keeper import Keeper
from aiosd.guard.observe import ObserveAction
from aiosd.guard.sessions import GuardSession
from aiosd.policy import CommandAction, FetchAction, FileAction, Part, RuleRef, Verdict
from aiosd.policy.folders import FolderRule, Folders
from aiosd.policy.tools import WEB
from aiosd.sandbox.profile import ProfileName
from aiosd.types import CallId, RunAs, Tier

CONNECT: Final = "connect"
Proposed = CommandAction | FileAction | FetchAction | ObserveAction
MAX_LINE: Final = 65_536 + 1  # the policy denies what is over; the wire only bounds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One proposed action of a session. `content` is what a file tool writes; `arguments` the tool's, for the worker.

    `claim` is the model's reason, shown as such; `wait_s` may shorten how long an approval waits, never lengthen it.
    `proposer` is the connection it came by: a card whose proposer died outlives it. `profile` is the confinement that
    a person chose for a command of their own, "" where policy does; `egress` is the channel by which a sandbox's
    listener goes to the proxy, -1 for none. What is stricter than `most` asks nobody and does not run; where text of
    others was read (`careful` names whence) what would only be announced is asked about. `variables` are what a command
    is given beside the environment that is ours.
    """

    session: GuardSession
    call: CallId
    action: Proposed
    timeout_s: int
    arguments: tuple[tuple[str, str | int | bool], ...] = ()
    content: bytes = b""
    claim: str = ""
    wait_s: int = 0
    proposer: socket.socket | None = None
    profile: str = ""
    egress: int = -1
    background: bool = False
    begun: Callable[[], None] | None = None
    keep: Keeper | None = None
    most: Tier | None = None
    careful: str = ""
    variables: Variables = ()

    @property
    def tool(self) -> str:
        """Which tool it is of."""
        match self.action:
            case CommandAction():
                return "bash"
            case FileAction():
                return self.action.tool
            case FetchAction():
                return WEB
            case ObserveAction():
                return "observe"

    @property
    def cwd(self) -> str:
        """A command's working directory, absolute; "" for a file tool."""
        return self.action.cwd if isinstance(self.action, CommandAction) else ""

    @property
    def text(self) -> str:
        """The action as one text: the exact line, or the tool with what it is about."""
        match self.action:
            case CommandAction():
                return self.action.line
            case FileAction():
                return f"{self.action.tool} {self.action.path}"
            case FetchAction():
                return f"{WEB} {self.action.url}"
            case ObserveAction():
                return self.action.text

    @property
    def shown(self) -> str:
        """What stands on a card below the action: what a file tool would write, or a command reads as its input."""
        match self.action:
            case FileAction():
                return self.exact.partition("\0")[2]
            case CommandAction():
                return self.content.decode("utf-8", "surrogateescape")
            case _:
                return ""

    @property
    def exact(self) -> str:
        """Everything that makes this action what it is, for the digests."""
        arguments = "\0".join(f"{name}={value}" for name, value in (*self.arguments, *self.variables))
        return f"{self.text}\0{arguments}\0{self.content.decode('utf-8', 'surrogateescape')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest(Request):
    """The connection to `where` (HOST:PORT) that the command of a request wants."""

    where: str

    @property
    def tool(self) -> str:
        """No tool of the model's."""
        return CONNECT

    @property
    def text(self) -> str:
        """What is asked."""
        return f"connect to {self.where}"

    @property
    def shown(self) -> str:
        """For which command."""
        return self.action.line if isinstance(self.action, CommandAction) else ""

    @property
    def exact(self) -> str:
        """The connection and the command."""
        return f"{self.text}\0{self.shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a request ended, whatever became of it. `cwd` is where a command was run, "" where none was.

    `command` is the line that a person put in the place of the proposed one, "" where nobody did.
    `foreign`: it was given files that are not the person's and not root's.
    `volatile`: why it is on record in memory alone, "" where it is on the disk.
    `variables` are those that the session's next command is given, None where they are as before.
    """

    outcome: str
    reason: str = ""
    status: int = -1
    duration_ms: int = 0
    output_bytes: int = 0
    truncated: bool = False
    cwd: str = ""
    command: str = ""
    foreign: bool = False
    volatile: str = ""
    variables: Variables | None = None


def as_chosen(verdict: Verdict, request: Request) -> Verdict:
    """`verdict` where a person chose the confinement of a command of their own: nobody has to be asked then.

    In `read-only` it can change nothing; in `workspace` what lies in its working directory. Denied stays denied, and
    nothing that was chosen is wider than what it says.
    """
    if not request.profile or verdict.tier is Tier.DENY or verdict.run_as is RunAs.ROOT:
        return verdict
    writes = (request.cwd,) if request.profile == ProfileName.WORKSPACE else ()
    tier = Tier.NOTIFY if writes else Tier.AUTO_ALLOW
    ref = RuleRef(name=f"--profile {request.profile}", tier=tier)
    reason = f"A person runs it in sandbox '{request.profile}'."
    part = Part(text=verdict.line, tier=tier, reason=reason, rules=(ref,), writes=writes)
    return replace(verdict, tier=tier, reason=reason, parts=(part,))


def as_given(request: Request, verdict: Verdict) -> Request:
    """`request` with what it is given of the session's variables: nothing as root, as with sudo."""
    return replace(request, variables=()) if verdict.run_as is RunAs.ROOT else request


def find_folder(action: Proposed) -> str:
    """What `.` means in a rule's `writes`."""
    match action:
        case CommandAction():
            return action.cwd
        case FileAction():
            return posixpath.dirname(action.path)
        case _:
            return "/"


def find_audited(folders: Folders, request: Request, verdict: Verdict) -> tuple[FolderRule, ...]:
    """The folder rules that want this action on the record: where it is done, and every path that it names."""
    home, action = request.session.principal.home, request.action
    if isinstance(action, FileAction):
        named = [action.path]
    else:
        words = [word.text for stage in (verdict.program.commands() if verdict.program else ()) for word in stage.argv]
        named = [request.cwd, *(posixpath.normpath(posixpath.join(request.cwd, word)) for word in words[1:])]
    return tuple(dict.fromkeys(rule for path in named if path for rule in folders.audited(path, home)))


def render_decided(
    request: Request,
    verdict: Verdict,
    confinement: str,
    *,
    decision: Decision,
    answer: Answer,
    approval: Approval | None,
    landlock: int = 0,
) -> Decided:
    """What was decided about a request, by whose answer, as it goes on the record."""
    principal = request.session.principal
    return Decided(
        session=request.session.id,
        call=request.call,
        uid=principal.uid,
        user=principal.user,
        tool=request.tool,
        action=request.text,
        digest=digest_text(request.exact),
        cwd=request.cwd,
        run_as=verdict.run_as,
        tier=verdict.tier,
        decision=decision,
        confinement=confinement,
        rules=name_rules(verdict.rules),
        reason=f"in its place: {answer.line}" if answer.line else answer.reason or verdict.reason,
        approval=approval.id if approval else answer.lease,
        approver=answer.answered_by,
        landlock=landlock,
    )


def render_lapsed(approval: Approval, decision: Decision, reason: str) -> Decided:
    """What became of a question that whoever proposed it asks no more."""
    return Decided(
        session=approval.session,
        call=approval.call,
        uid=approval.uid,
        user=approval.user,
        tool=approval.tool,
        action=approval.action,
        digest=approval.exact,
        cwd=approval.cwd,
        run_as=approval.run_as,
        tier=Tier.REQUIRE_APPROVAL,
        decision=decision,
        confinement=approval.confinement,
        rules=name_rules(approval.rules),
        reason=reason,
        approval=approval.id,
        approver=-1,
    )


def name_rules(rules: Sequence[RuleRef]) -> tuple[str, ...]:
    """Rules as the record names them."""
    return tuple(f"{rule.file}:{rule.line} {rule.name}" if rule.file else rule.name for rule in rules)


_DECISIONS: Final = {
    State.APPROVED: Decision.APPROVED,
    State.DENIED: Decision.DENIED,
    State.SKIPPED: Decision.SKIPPED,
    State.EDITED: Decision.EDITED,
}
_REASONS: Final = {
    Decision.UNANSWERED: "nobody answered in time; that is a no",
    Decision.SKIPPED: "a person skipped this step: go on without it",
}


def find_decision(verdict: Verdict, answer: Answer) -> Decision:
    """What a verdict comes to, with the answer to it where a person had to be asked."""
    match verdict.tier:
        case Tier.DENY:
            return Decision.DENIED
        case Tier.AUTO_ALLOW | Tier.NOTIFY:
            return Decision.ALLOWED
        case Tier.REQUIRE_APPROVAL:
            return _DECISIONS.get(answer.state, Decision.UNANSWERED)


def explain_decision(verdict: Verdict, decision: Decision, answer: Answer) -> str:
    """Why nothing runs, for whoever proposed it."""
    if answer.reason:
        return answer.reason
    return verdict.reason if verdict.tier is Tier.DENY else _REASONS.get(decision, "a person said no")


def is_beyond(request: Request, verdict: Verdict) -> bool:
    """Whether it is stricter than its proposer wants to have run."""
    if request.most is None or isinstance(request.action, ObserveAction) or verdict.tier is Tier.DENY:
        return False
    return verdict.tier.strictness > request.most.strictness
