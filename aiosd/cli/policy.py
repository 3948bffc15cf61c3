"""`aios policy`: check, show, test, backtest. What needs no daemon is judged here, by the guard's own code."""

from __future__ import annotations

import json
import os
import sys

from aiosd import exits
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import NoDaemonError, write_all
from aiosd.cli.show import escape
from aiosd.cli.transport import complain, fetch_told, request, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_PAGE = 1000


def run(verb: str, options: dict[str, str], operands: list[str]) -> int:
    """Run one verb; its exit status."""
    if verb == "check" and not {"policy", "batch"} & options.keys():
        return _ask_daemon(options, _line(operands))
    from aiosd.judging.load import JudgingError

    try:
        match verb:
            case "check":
                return _check(options, operands)
            case "show":
                return _show(options)
            case "test":
                return _test(operands)
            case _:
                return _backtest(options, operands[0])
    except JudgingError as exc:
        tell(2, f"aios: {escape(str(exc))}\n")
        return exits.BROKEN


def _line(operands: list[str]) -> str:
    from aiosd.cli.quote import join_words

    if not operands:
        raise UsageError("policy check needs LINE", "policy check")
    return operands[0] if len(operands) == 1 else join_words(operands)


def _ask_daemon(options: dict[str, str], line: str) -> int:
    body = {"command": line, "cwd": _cwd(), "run_as": "root" if "root" in options else "user"}
    content = json.dumps(body).encode()
    if "json" not in options:
        return fetch_told("POST", "/v1/policy/check", content_type="application/json", body=content)
    answer = request(
        "POST", "/v1/policy/check", accept="application/json", content_type="application/json", body=content
    )
    if answer.status != 200:
        return complain(answer)
    write_all(1, answer.whole() + b"\n")
    return exits.OK


def _check(options: dict[str, str], operands: list[str]) -> int:
    from aiosd.judging.check import check_batch, judge_line, make_action, render_json, render_text
    from aiosd.judging.load import find_caller, load_chosen

    policy, caller = load_chosen(options.get("policy", "")), find_caller()
    if "batch" in options:
        if operands:
            raise UsageError("with --batch the lines come from standard input", "policy check")
        wrong = check_batch(policy, caller, sys.stdin.buffer, lambda data: write_all(1, data), _cwd())
        if wrong:
            tell(2, f'aios: {wrong} lines were no requests {{"id": ..., "command": "..."}}\n')
        return exits.BAD_INPUT if wrong else exits.OK
    verdict = judge_line(policy, caller, make_action(_line(operands), _cwd(), as_root="root" in options))
    text = render_json(verdict) if "json" in options else render_text(verdict, escape)
    tell(1, text) if "json" not in options else write_all(1, text.encode("utf-8", "surrogateescape"))
    return exits.OK


def _show(options: dict[str, str]) -> int:
    from aiosd.judging.load import load_chosen
    from aiosd.judging.show import count_hits, list_rules, render_rules

    policy = load_chosen(options.get("policy", ""))
    hits = None
    if "policy" not in options:
        try:
            hits = count_hits(_records())
        except NoDaemonError:
            tell(2, "aios: no guard answers, so how often each rule decided is not known\n")
    rules = list_rules(policy, hits)
    if "json" in options:
        write_all(1, "".join(f"{json.dumps(rule)}\n" for rule in rules).encode())
    else:
        tell(1, render_rules(policy, rules, escape))
    return exits.OK


def _test(operands: list[str]) -> int:
    from aiosd.judging.load import list_files
    from aiosd.judging.show import check_examples

    out, well = check_examples(operands or list_files())
    tell(1, out)
    return exits.OK if well else exits.FAILED


def _backtest(options: dict[str, str], file: str) -> int:
    from aiosd.cli.guard import GuardError
    from aiosd.judging.backtest import render_backtest, replay
    from aiosd.judging.load import load_proposed

    policy = load_proposed(file)
    since = ""
    if "since" in options:
        from datetime import UTC, datetime

        from aiosd.cli.log import parse_time

        since = parse_time(options["since"], now=datetime.now(UTC))
    try:
        found = replay(policy, _records(since))
    except GuardError as exc:
        tell(2, f"aios: {escape(str(exc))}\n")
        return exc.exit_status
    if "json" in options:
        write_all(1, "".join(f"{json.dumps(row)}\n" for row in found.rows()).encode())
    else:
        tell(1, render_backtest(found, escape))
    return exits.OK


def _records(since: str = "") -> Iterable[dict[str, Any]]:
    """Every record that the guard shows the caller, newest page first. Raises GuardError, NoDaemonError."""
    from aiosd.cli.guard import call

    seen: set[int] = set()
    until = ""
    found: list[dict[str, Any]] = []
    while True:
        page = call("Records", {"since": since, "until": until, "limit": _PAGE})["records"]
        fresh = [record for record in page if record["seq"] not in seen]
        seen.update(record["seq"] for record in fresh)
        found += fresh
        if not fresh or len(page) < _PAGE:
            return found
        until = page[0]["at"]


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"
