"""One line or many, judged: as text for a person, as JSON for a program."""

import gc
import json
import posixpath
from collections.abc import Callable, Iterable
from typing import Final

from aiosd.guard.exported import evaluate, follow
from aiosd.policy import CommandAction, Policy, Verdict
from aiosd.policy.remedy import with_remedies
from aiosd.policy.render import render_verdict
from aiosd.types import JsonObject, JsonValue, Principal, RunAs, Tier

_RIGHTS: Final = [each.value for each in RunAs]
_FLUSH_LINES: Final = 200
_AS_ROOT: Final = "root, in a unit of its own"
_INDENT: Final = " " * 19


class _RequestError(ValueError):
    """A line of a batch that asks nothing."""


def make_action(line: str, cwd: str, *, as_root: bool) -> CommandAction:
    """A line as somebody would propose it."""
    return CommandAction(line=line, cwd=cwd, run_as=RunAs.ROOT if as_root else RunAs.USER)


def judge_line(policy: Policy, principal: Principal, action: CommandAction) -> Verdict:
    """The verdict with its remedies."""
    action, given = follow(action, (), principal.home)
    return with_remedies(policy, action, principal, evaluate(policy, action, given, principal))


def render_json(verdict: Verdict) -> str:
    """The verdict as `POST /v1/policy/check` gives it."""
    return json.dumps(render_verdict(verdict, describe_confinement(verdict)), ensure_ascii=False) + "\n"


def describe_confinement(verdict: Verdict) -> str:
    """Where it would run, in words: the tier decides that, and nothing in the line can."""
    match verdict.tier:
        case Tier.DENY:
            return ""
        case Tier.REQUIRE_APPROVAL:
            return (
                "root, in a unit of its own" if verdict.run_as is RunAs.ROOT else "user: files and network as the user"
            )
        case _ if verdict.run_as is RunAs.ROOT:
            return "root, in a unit of its own"
        case _ if verdict.writes or verdict.network or verdict.sockets:
            hosts = f", network {' '.join(verdict.network)}" if verdict.network else ", no network"
            sockets = f", sockets {' '.join(verdict.sockets)}" if verdict.sockets else ""
            return f"declared: writes {' '.join(verdict.writes) or 'nothing'}{hosts}{sockets}"
        case _:
            return "read-only: no writing, no network"


def render_text(verdict: Verdict, escape: Callable[[str], str]) -> str:
    """The verdict for a terminal."""
    reason = escape(verdict.reason)
    out = f"{verdict.tier} as root: {reason}\n" if verdict.run_as is RunAs.ROOT else f"{verdict.tier}: {reason}\n"
    if where := describe_confinement(verdict):
        out += f"  would run in {escape(where)}\n"
    if verdict.opaque:
        out += f"  not recognised from character {verdict.opaque.position + 1} on: {escape(verdict.opaque.reason)}\n"
    for part in verdict.parts:
        out += f"  {part.tier:16} {escape(part.text)}\n"
        said = [part.reason]
        if part.facets:
            said.append(f"sees the host's {', '.join(sorted(part.facets))}")
        said += [f"rule {rule.name}{f' ({rule.file}:{rule.line})' if rule.file else ''}" for rule in part.rules]
        said += [f"instead: {part.suggest}"] if part.suggest else []
        said += [f"to pass: {part.remedy}"] if part.remedy else []
        out += "".join(f"{_INDENT}{escape(each)}\n" for each in said)
    return out


def check_batch(
    policy: Policy, principal: Principal, lines: Iterable[bytes], write: Callable[[bytes], None], cwd: str
) -> int:
    """Judge JSON lines `{"id", "command", "cwd", "run_as"}`, answer `{"id", "decision", ...}` in order.

    The last two may be missing. A line that is no such object is answered with `deny` and an `error`; how many were.
    """
    gc.disable()  # a decision leaves no cycles behind
    wrong = 0
    encode = json.JSONEncoder(check_circular=False).encode
    answers: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        answer = _answer(policy, principal, line, cwd)
        wrong += "error" in answer
        answers.append(encode(answer))
        if len(answers) >= _FLUSH_LINES:
            write("".join(f"{each}\n" for each in answers).encode())
            answers.clear()
    write("".join(f"{each}\n" for each in answers).encode())
    return wrong


def _answer(policy: Policy, principal: Principal, line: bytes, cwd: str) -> JsonObject:
    identity: JsonValue = None
    try:
        asked: JsonValue = json.loads(line.decode())
        if isinstance(asked, dict):
            identity = asked.get("id")
        action = _read_action(asked, cwd)
    except (ValueError, RecursionError) as exc:
        return {"id": identity, "decision": Tier.DENY.value, "error": str(exc) or "not a request"}
    action, given = follow(action, (), principal.home)
    verdict = evaluate(policy, action, given, principal)
    return {
        "id": identity,
        "decision": verdict.tier.value,
        "reason": verdict.reason,
        "confinement": describe_confinement(verdict),
        "run_as": verdict.run_as.value,
        "rules": [f"{rule.file}:{rule.line} {rule.name}" if rule.file else rule.name for rule in verdict.rules],
        "suggest": next((part.suggest for part in verdict.parts if part.tier is verdict.tier and part.suggest), ""),
    }


def _read_action(asked: JsonValue, cwd: str) -> CommandAction:
    line = asked.get("command") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(line, str):
        raise _RequestError('write {"id": ..., "command": "..."}')
    where, run_as = asked.get("cwd") or cwd, asked.get("run_as") or RunAs.USER.value
    if not isinstance(where, str) or run_as not in _RIGHTS:
        raise _RequestError("cwd is a path, run_as is user or root")
    where = where if where[:1] == "/" else posixpath.join(cwd, where)
    return CommandAction(line=line, cwd=where, run_as=RunAs.ROOT if run_as == RunAs.ROOT.value else RunAs.USER)
