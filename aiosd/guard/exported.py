"""Variables that a session's commands are given: what a leading `export NAME=VALUE` asks for, kept for those after it.

`export CC=clang && make` is `make`, given CC; so it is judged, shown, recorded and run as that, and what comes after is
given CC, too, until `unset CC`. Only plain words count, as with `cd` (`place`); whatever else an `export` may be is for
the shell, if somebody approves it. What is given some is never only announced: it can change nothing, or is asked
about. As root nothing is given. A name that decides which code runs, or that is ours to set, is never kept. Pure.

Source: the `export` and `unset` of POSIX shells, environ(7), ld.so(8).
"""

import re
import shlex
from dataclasses import replace
from typing import Final

from aiosd.guard.place import NOTHING, follow_cd
from aiosd.policy import CommandAction, Policy, Verdict
from aiosd.policy.explain import denied
from aiosd.sandbox.profile import Profile
from aiosd.types import Principal, RunAs, Tier

Variables = tuple[tuple[str, str], ...]

_MOST, _MOST_BYTES = 16, 2048
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_VALUE: Final = r"(?:'[^'\0\n]*'|\"[^\"$`\\\n\0]*\"|[A-Za-z0-9_./@%+,:=-]*)"
_LEAD: Final = re.compile(
    rf"\s*(?:export(?P<set>(?:[ \t]+{_NAME}={_VALUE})+)|unset(?P<drop>(?:[ \t]+{_NAME})+))[ \t]*(?:&&(?P<rest>.+))?",
    re.DOTALL,
)
_PAIR: Final = re.compile(rf"({_NAME})=({_VALUE})")
# What a loader, an interpreter or a common program takes code, or the place of its configuration, from; and our own.
_NEVER: Final = re.compile(
    r"(?:LD|DYLD|GLIBC|MALLOC|GCONV|GIT|SSH|SUDO|DBUS|XDG|SYSTEMD|SYSTEMCTL|GTK|QT|OPENSSL|AIOS|LUA|PHP|RESOLV)_\w*"
    r"|(?:BASH|PYTHON|PERL|RUBY|LESS|SHELL|LANG|TERM|AWK)\w*|LC_\w+|PS\d|PATH|CDPATH|ENV|ZDOTDIR|IFS|PROMPT_COMMAND"
    r"|HOME|USER|LOGNAME|PWD|OLDPWD|TMPDIR|NO_COLOR|NLSPATH|LOCPATH|TZDIR|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS"
    r"|GETCONF_DIR|GEM_(?:HOME|PATH)|NODE_(?:OPTIONS|PATH)|CLASSPATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS"
    r"|RUSTC_\w*WRAPPER|MAKEFLAGS|GNUMAKEFLAGS|MAKEFILES|BROWSER|VISUAL|INPUTRC|VIMINIT|EXINIT|\w+_OPTIONS|R_PROFILE\w*"
    r"|RIPGREP_CONFIG_PATH|CURL_HOME|WGETRC|\w*(?:PAGER|EDITOR|ASKPASS)|(?i:\w+_proxy)"
)


def follow(action: CommandAction, variables: Variables, home: str) -> tuple[CommandAction, Variables]:
    """`action` where its line goes first and without what it sets first, and all that is set then."""
    action, variables = _follow_exports(action, variables)
    return _follow_exports(follow_cd(action, home), variables)


def evaluate(policy: Policy, action: CommandAction, variables: Variables, principal: Principal) -> Verdict:
    """The verdict on a followed line that is given `variables`."""
    found = _LEAD.fullmatch(action.line.rstrip())
    if found is not None and not found["rest"] and action.run_as is RunAs.USER:
        why = "names that decide what code runs are kept for no command, nor more than 16 variables or 2 KiB of them"
        return denied(action.line, why)
    verdict = policy.evaluate(action, principal)
    if variables and verdict.tier is Tier.NOTIFY and verdict.run_as is not RunAs.ROOT:
        reason = "It is given variables of the session, so what would be announced is asked about."
        return replace(verdict, tier=Tier.REQUIRE_APPROVAL, reason=f"{reason} {verdict.reason}")
    return verdict


def describe(profile: Profile, variables: Variables) -> str:
    """In what it runs and what it is given, for a card and the record."""
    if not variables:
        return profile.describe()
    given = f"given {' '.join(f'{name}={shlex.quote(value)}' for name, value in variables)}"
    return f"{profile.describe()}, {given}"


def parse_variables(given: object) -> Variables | None:
    """Those of a call; None where some could not have been set."""
    if not isinstance(given, dict):
        return None
    pairs = tuple((name, value) for name, value in given.items() if isinstance(name, str) and isinstance(value, str))
    right = len(pairs) == len(given) and all(re.fullmatch(_NAME, name) for name, _ in pairs) and _may_be_kept(pairs)
    return tuple(sorted(pairs)) if right else None


def _follow_exports(action: CommandAction, variables: Variables) -> tuple[CommandAction, Variables]:
    for _ in range(_MOST):
        line = action.line
        action, variables = _follow_export(action, variables)
        if action.line == line:
            break
    return action, variables


def _follow_export(action: CommandAction, variables: Variables) -> tuple[CommandAction, Variables]:
    found = _LEAD.fullmatch(action.line.rstrip())
    if found is None or action.run_as is not RunAs.USER or (found["rest"] is not None and not found["rest"].strip()):
        return action, variables
    kept = dict(variables)
    for name in (found["drop"] or "").split():
        kept.pop(name, None)
    kept |= {name: _strip(value) for name, value in _PAIR.findall(found["set"] or "")}
    pairs = tuple(sorted(kept.items()))
    if not _may_be_kept(pairs):
        return action, variables
    return replace(action, line=found["rest"].strip() if found["rest"] else NOTHING), pairs


def _may_be_kept(pairs: Variables) -> bool:
    size = sum(len(name.encode()) + len(value.encode("utf-8", "surrogateescape")) for name, value in pairs)
    return (
        len(pairs) <= _MOST
        and size <= _MOST_BYTES
        and all(value.isprintable() and not _NEVER.fullmatch(name) for name, value in pairs)
    )


def _strip(value: str) -> str:
    return value[1:-1] if value[:1] in ("'", '"') else value
