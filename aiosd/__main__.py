"""`aiosd`: the command line of the daemon."""

import gc
import os
import sys

from aiosd import __version__, exits
from aiosd.errors import AiosError
from aiosd.log import set_up_logging
from aiosd.words import retell, say


def main() -> None:
    """Run the daemon; returns never."""
    words = sys.argv[1:]
    known = {"--standalone", "--verbose", "--show-config", "--try-model", "--version", "--help"}
    unknown = [word for word in words if word not in known]
    if unknown:
        sys.stderr.write(f"aiosd: {say('unknown option {option}', option=unknown[0])}\n{_describe()}")
        sys.exit(exits.USAGE)
    if "--help" in words:
        sys.stdout.write(_describe())
    elif "--version" in words:
        sys.stdout.write(f"aiosd {__version__}\n")
    else:
        _run(words)


def _describe() -> str:
    options = {
        "--standalone": say("make its own socket under $XDG_RUNTIME_DIR and run the guard as its child"),
        "--verbose": say("log more"),
        "--show-config": say("print the effective configuration and where each value came from"),
        "--try-model": say("ask a model that standard input describes one question (for aios model add)"),
        "--version": say("print the version"),
    }
    about = say("The daemon behind aios. Under systemd it takes its socket from aiosd.socket.")
    return (
        "usage: aiosd [--standalone] [--verbose]\n       aiosd --show-config | --try-model | --version | --help\n"
        f"\n{about}\n\n" + "".join(f"  {option:14}  {text}\n" for option, text in options.items())
    )


def _run(words: list[str]) -> None:
    set_up_logging(verbose="--verbose" in words)
    try:
        if "--show-config" in words:
            _show_config(standalone="--standalone" in words)
            return
        if "--try-model" in words:
            _try_model()
            return
        _serve(standalone="--standalone" in words)
    except AiosError as exc:
        text = f"aiosd: {exc.message}{f'; {exc.hint}' if exc.hint else ''}\n"
        asked = "--show-config" in words or sys.stderr.isatty()  # else it is the journal's
        sys.stderr.write(retell(text) if asked else text)
        sys.exit(exc.exit_status)


def _serve(*, standalone: bool) -> None:
    """Settle places and start the guard before the rest is loaded: they then load side by side."""
    from aiosd.places import find_places, start_guard  # noqa: PLC0415 - not for --help

    gc.disable()  # until the daemon is ready: what is loaded now stays
    listener, places = find_places(standalone=standalone)
    os.umask(0o077)
    guard = start_guard(places) if standalone else None

    import asyncio  # noqa: PLC0415 - heavy, as is what follows

    from aiosd.daemon import run_daemon  # noqa: PLC0415

    asyncio.run(run_daemon(places, listener, guard))


def _try_model() -> None:
    import asyncio  # noqa: PLC0415
    import json  # noqa: PLC0415

    from aiosd.agent.trial import try_model  # noqa: PLC0415

    sys.stdout.write(f"{json.dumps(asyncio.run(try_model(sys.stdin.read())))}\n")


def _show_config(*, standalone: bool) -> None:
    from aiosd.api.text import render_config  # noqa: PLC0415
    from aiosd.config import load_config  # noqa: PLC0415
    from aiosd.layers import config_folders  # noqa: PLC0415
    from aiosd.wire import Config  # noqa: PLC0415

    folders = config_folders(os.environ, standalone=standalone)
    loaded = load_config(folders, os.environ, standalone=standalone)
    sys.stdout.write(retell(render_config(Config(entries=loaded.entries))))


if __name__ == "__main__":
    main()
