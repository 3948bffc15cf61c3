"""A session read out whole: as a value, as Markdown to be read, as a script of what was run. Pure."""

import json
import shlex
from collections.abc import Mapping, Sequence

from aiosd.api.text import escape, escape_prose
from aiosd.types import JsonObject, JsonValue
from aiosd.wire import Argument, SessionDetail
from aiosd.wire_export import ExportStep, ExportTurn, SessionExport

_RAN = ("done", "failed", "timed_out", "cancelled")
_MAX_SHOWN = 2000  # of a result, in Markdown


def make_export(
    detail: SessionDetail, messages: Sequence[tuple[int, JsonObject]], tiers: Mapping[str, str]
) -> SessionExport:
    """The session with every call and its result."""
    results = {str(body["call"]): body for _turn, body in messages if body.get("role") == "tool"}
    steps: dict[int, list[ExportStep]] = {}
    for turn, body in messages:
        calls = body.get("calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                identity = str(call["id"])
                step = _read_step(call, results.get(identity, {}), tiers.get(identity, ""))
                steps.setdefault(turn, []).append(step)
    turns = tuple(
        ExportTurn(
            number=turn.number,
            prompt=turn.prompt,
            answer=turn.answer,
            state=turn.state,
            started_at=turn.started_at,
            exit_status=turn.exit_status,
            steps=tuple(steps.get(turn.number, ())),
        )
        for turn in detail.turns
    )
    return SessionExport(session=detail.session, turns=turns, files=detail.files)


def _read_step(call: JsonObject, result: JsonObject, tier: str) -> ExportStep:
    """A step as it went: with the command that a person put in the place of the proposed one."""
    given = call.get("arguments")
    arguments: JsonObject = dict(given) if isinstance(given, dict) else {}
    if result.get("command"):
        arguments["command"] = result["command"]
    status = result.get("status")
    return ExportStep(
        call=str(call["id"]),
        tool=str(call["tool"]),
        arguments=tuple(Argument(name=name, value=_show(value)) for name, value in arguments.items()),
        tier=tier,
        outcome=str(result.get("outcome", "cancelled")),
        status=status if isinstance(status, int) else -1,
        result=str(result.get("text", "")),
    )


def _show(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def render_markdown(export: SessionExport) -> str:
    """To be read."""
    out = f"# {escape(export.session.name)}\n\n{escape(export.session.title)}\n"
    for turn in export.turns:
        out += f"\n## {turn.number}. {turn.started_at[:16].replace('T', ' ')} UTC\n\n"
        out += "".join(f"> {line}\n" for line in escape_prose(turn.prompt).splitlines())
        for step in turn.steps:
            ended = step.outcome if step.status <= 0 else f"{step.outcome}, status {step.status}"
            tier = f"{step.tier}, " if step.tier else ""
            shown = step.result[:_MAX_SHOWN] + ("…" if len(step.result) > _MAX_SHOWN else "")
            fence = _fence(shown + _describe(step))
            out += f"\n{fence}console\n$ {escape_prose(_describe(step))}\n{escape_prose(shown).rstrip()}\n{fence}\n"
            out += f"({tier}{ended.replace('_', ' ')})\n"
        out += f"\n{escape_prose(turn.answer).strip()}\n" if turn.answer.strip() else ""
        out += "" if turn.state == "done" else f"\n*{turn.state}*\n"
    if export.files:
        out += "\n## Files\n\n" + "".join(f"- {escape(each.path)} ({each.bytes} bytes)\n" for each in export.files)
    return out


def render_script(export: SessionExport) -> str:
    """What was run, to be read before it is run again; what only looked, or did not run, is a comment."""
    out = (
        "#!/bin/bash\n"
        f"# What was run in aios, session {escape(export.session.name)}. Read it, and take out what you do not want.\n"
        ': "${REVIEWED:?read this script, then run it with REVIEWED=1}"\n'
        "set -eu\n"
    )
    for turn in export.turns:
        out += f"\n{_comment(f'{turn.number}. {turn.prompt}')}"
        for step in turn.steps:
            given = {argument.name: argument.value for argument in step.arguments}
            if step.outcome not in _RAN or step.tier not in ("notify", "require_approval"):
                label = "looked" if step.outcome in _RAN else step.outcome.replace("_", " ")
                out += _comment(f"{label}: {_describe(step)}")
            elif step.tool == "bash":
                within = f"cd {shlex.quote(given['cwd'])}\n" if given.get("cwd") else ""
                out += f"{within}{given.get('command', '')}\n"
                out += _comment(f"it ended with status {step.status}") if step.status > 0 else ""
            elif step.tool == "write_file":
                written = shlex.quote(given.get("content", ""))
                out += f"printf %s {written} >{shlex.quote(given.get('path', ''))}\n"
            else:
                out += _comment(f"by hand: {_describe(step)}")
    return out


def _describe(step: ExportStep) -> str:
    given = {argument.name: argument.value for argument in step.arguments}
    if step.tool == "bash":
        return given.get("command", "")
    return " ".join([step.tool, *(f"{name}={value[:200]}" for name, value in given.items() if name != "reason")])


def _comment(text: str) -> str:
    return "".join(f"# {escape(line)}\n" for line in text.splitlines() or [""])


def _fence(text: str) -> str:
    """Longer than any row of back quotes in the text."""
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return "`" * max(3, longest + 1)
