"""What stopped a command, in one sentence: which wall, at what, which setting would allow it, and who may change that.

The kernel tells the command and nobody else. So what the command itself said of it is read, in the words that programs
share (strerror(3)); a command that says nothing leaves the sentence out. Pure.
"""

import posixpath
import re
from dataclasses import dataclass
from typing import Final

from aiosd.policy.folders import Folders
from aiosd.sandbox.calls import REFUSED
from aiosd.sandbox.cgroup import SESSION_MEMORY
from aiosd.sandbox.profile import Profile, ProfileName

_PATH: Final = r"[`'\"‘]?(/[^\s:`'\"’]+|[\w.][^\s:`'\"’]*)[`'\"’]?"
_READ_ONLY: Final = re.compile(rf"(?:{_PATH}\W*: ?)?Read-only file system")
_DENIED: Final = re.compile(rf"(?:{_PATH}\W*: ?)?Permission denied")
_NETWORK: Final = re.compile(
    r"Network is unreachable|Could not resolve host|Temporary failure in name resolution|Name or service not known"
    r"|Address family not supported by protocol|Failed to connect to \S+ port"
)
_SOCKET: Final = re.compile(
    r"(?:socket ['\"]|unix://)(?P<path>/[^\s'\":]+?)\.?(?=[\s'\":]|$)"
    r"|connect\w* to agent|connection to your authentication agent"
)
_FORKING: Final = re.compile(r"[Ff]ork\b.*Resource temporarily unavailable|Cannot fork|can't start new thread")
_CALL: Final = re.compile(
    r"(?im)(?:^(?=\w+: )|\b(?=\w+(?:\(| failed| system call)|ptrace_))"  # its program says so, or another names it
    rf"(?P<call>{'|'.join(sorted(REFUSED, key=len, reverse=True))})(?![a-z])[^\n]*"
    r"(?:Operation not permitted|Function not implemented|permission denied|must be superuser)"
)
_PORT: Final = re.compile(r"(?i)\b(?:connect\w*|bind(?:ing)?|listen(?:ing)?)\b[^\n/]*Permission denied")
_STARTING: Final = re.compile(
    r"(?m)^(?:aios|\S*\b(?:ba|da)?sh|env|xargs):.*?(?P<name>[^\s:'\"‘]+)['\"’]?: Permission denied"
)
_AS_ROOT: Final = "what an administrator approves to run as root has none"
_WHO: Final = "an administrator can change that in /etc/aios/policy.d"


@dataclass(slots=True)
class Why:
    """What is known of an action: for the sentence on why it failed, and whether it was given files of others.

    `served`: whether somebody serves its way to the network.
    """

    profile: Profile
    folders: Folders
    home: str
    cwd: str
    explains: bool = True
    served: bool = True
    over_memory: str = ""
    foreign: bool = False

    def explain(self, said: str, memory_mib: int) -> str:
        if not self.explains:
            return ""
        if self.over_memory == SESSION_MEMORY:
            return "its session used more memory than guard.session_memory_mib allows, and it was ended"
        if self.over_memory:
            return f"it used more than {memory_mib} MiB of memory and was ended; guard.command_memory_mib is the limit"
        return explain_violation(self.profile, self.folders, self.home, self.cwd, said, served=self.served)


def explain_violation(
    profile: Profile, folders: Folders, home: str, cwd: str, said: str, *, served: bool = True
) -> str:
    """The sentence about the last wall that a failed command ran into, by what it `said`; "" where it names none."""
    if profile.programs is not None and (found := _last(_STARTING, said)):
        return f"the policy's only_programs does not let it start {found['name']}; {_WHO}"
    if profile.name is not ProfileName.ROOT and (found := _last(_CALL, said)):
        return f"the system-call filter refused {found['call'].lower()}, which no setting gives a sandbox; {_AS_ROOT}"
    if profile.name not in (ProfileName.READ_ONLY, ProfileName.WORKSPACE):
        return ""
    if found := _last(_READ_ONLY, said):
        return _of_writing(profile, folders, home, _place(found, cwd))
    if (found := _last(_DENIED, said)) and (place := _place(found, cwd)):
        hold = folders.find(place, home)
        if not hold.read or hold.refuses(place):
            return f"a folder policy for {hold.path} denies {place}; {_WHO}"
    if found := _last(_SOCKET, said):
        return _of_socket(profile, found["path"] or "")
    if profile.network and _last(_PORT, said):
        return "inside, TCP reaches its proxy's port alone and nothing is served, which no setting changes (Landlock)"
    if _last(_NETWORK, said):
        if profile.network and not served:
            return "the network is served in turns alone: not in the background, nor for aios run; aios ask reaches it"
        if profile.network:
            return f"the network reaches {', '.join(profile.network)} only, through the proxy; {_WHO}"
        return f"sandbox '{profile.name}' has no network; a rule with network = [...] gives it one, and {_WHO}"
    if _last(_FORKING, said):
        return (
            "it may have no more processes at once; guard.command_processes is the limit, guard.session_processes the"
            " one of its session, and both are an administrator's"
        )
    return ""


def _of_writing(profile: Profile, folders: Folders, home: str, place: str) -> str:
    what = f"writing to {place}" if place else "writing there"
    hold = folders.find(place, home) if place else None
    if hold is not None and hold.write is False and hold.path:
        return f"a folder policy for {hold.path} does not let it write to {place}; {_WHO}"
    if profile.writes:
        allowed = ", ".join(profile.writes)
        return f"sandbox 'workspace' does not let it write to {place or 'there'}: below {allowed} only; {_WHO}"
    return f"sandbox '{profile.name}' refused {what}; a rule with writes = [...] or an approval allows it, and {_WHO}"


def _of_socket(profile: Profile, path: str) -> str:
    named = [each for _, each in profile.named]
    if path in named:
        return ""
    if named:
        return f"of Unix sockets it reaches {', '.join(named)} only; {_WHO}"
    text = path or "PATH"
    return f"sandbox '{profile.name}' reaches no Unix socket; a rule with sockets = [\"{text}\"] names one, and {_WHO}"


def _last(wanted: re.Pattern[str], said: str) -> re.Match[str] | None:
    return max(wanted.finditer(said), key=lambda found: found.start(), default=None)


def _place(found: re.Match[str], cwd: str) -> str:
    text = found.group(1)
    return posixpath.normpath(posixpath.join(cwd, text)) if text else ""
