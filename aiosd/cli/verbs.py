"""What each verb does. Modules that only one verb needs are imported there."""

from __future__ import annotations

from aiosd import exits
from aiosd.cli.parse import UsageError, asks_for_help, find_verb, parse_words, render_help
from aiosd.cli.reach import NoDaemonError, write_all
from aiosd.cli.transport import complain, fetch_told, request, tell


def run_verb(words: list[str]) -> int:
    """Run one command line; its exit status."""
    if not words or words[0] in ("-h", "--help"):
        write_all(1 if words else 2, render_help().encode())
        return exits.OK if words else exits.USAGE
    if words[0] in ("-V", "--version"):
        from aiosd import __version__

        write_all(1, f"aios {__version__}\n".encode())
        return exits.OK
    try:
        verb, rest = find_verb(words)
        if asks_for_help(verb, rest):
            write_all(1, render_help(verb[0]).encode())
            return exits.OK
        options, operands = parse_words(verb, rest)
        return _run(verb[0], options, operands)
    except UsageError as exc:
        from aiosd.cli.show import escape

        more = f"aios help {exc.verb}" if exc.verb else "aios help"
        tell(2, f"aios: {escape(str(exc))}\n  {more}\n")
        return exits.USAGE


def _run(name: str, options: dict[str, str], operands: list[str]) -> int:
    match name:
        case "ask":
            from aiosd.cli.ask import ask

            return ask(options, operands)
        case "status" | "models" | "doctor":
            return fetch_told("GET", f"/v1/{name}")
        case "sessions":
            from aiosd.cli import sessions

            return sessions.show(options, operands)
        case "session rename" | "session attach" | "session export" | "session delete" | "session file":
            from aiosd.cli import sessions

            return sessions.run(name.removeprefix("session "), options, operands)
        case "cancel":
            return _cancel(operands[0])
        case "chat":
            from aiosd.cli.chat import chat

            return chat(options, run_verb)
        case "model add":
            from aiosd.cli import model

            return model.add(options, operands[0])
        case "config show":
            return _show_config()
        case "run":
            from aiosd.cli.run import run

            return run(options, operands)
        case "jobs" | "job output" | "job wait" | "job kill":
            from aiosd.cli import jobs

            return jobs.run(name, options, operands)
        case "policy import":
            from aiosd.cli.folders import import_folders

            return import_folders(operands[0])
        case "policy check" | "policy show" | "policy test" | "policy backtest":
            from aiosd.cli import policy

            return policy.run(name.removeprefix("policy "), options, operands)
        case "log":
            from aiosd.cli.log import show_log

            return show_log(options)
        case "pending" | "approve" | "deny" | "skip":
            from aiosd.cli import approvals

            return approvals.run(name, options, operands)
        case "stop" | "thaw" | "lease list" | "lease revoke":
            from aiosd.cli import orders

            return orders.run(name, options, operands)
        case "login enable" | "login disable" | "login status":
            from aiosd.cli import login

            return login.run(name.removeprefix("login "), operands)
        case "setup":
            from aiosd.cli import setup

            return setup.run(options)
        case "completion":
            from aiosd.cli.completion import render_completion

            write_all(1, render_completion(operands[0]).encode())
            return exits.OK
        case _:
            write_all(1, render_help(" ".join(operands)).encode())
            return exits.OK


def _cancel(name: str) -> int:
    import json

    from aiosd.cli.sessions import path_part

    answer = request("POST", f"/v1/sessions/{path_part(name)}/cancel", accept="application/json")
    if answer.status != 200:
        return complain(answer)
    cancelled = json.loads(answer.whole())["cancelled"]
    tell(2, "interrupted\n" if cancelled else "no turn runs there\n")
    return exits.OK


def _show_config() -> int:
    """The running daemon's; where none runs, what the files and this environment say."""
    try:
        return fetch_told("GET", "/v1/config")
    except NoDaemonError:
        import os
        import sys

        tell(2, "aios: no daemon runs; this is what one started from here would use\n")
        daemon = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "aiosd")
        os.execv(daemon, [daemon, "--show-config", "--standalone"])
