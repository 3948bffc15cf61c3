"""`aios`: finds the verb, asks the daemon, prints the answer. Every run pays for what is imported here: almost nothing.

Verbs whose answer the daemon renders need only a socket; the others bring their own module in when they are used.
"""

import posix
import sys

from aiosd.cli.reach import NoDaemonError, fetch_plain, maybe_japanese

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Verbs without options that are one request and print what comes.
_FETCHED = {"status": "/v1/status", "models": "/v1/models", "doctor": "/v1/doctor"}


def main() -> "NoReturn":
    """Run one command line and end the process with its status."""
    try:
        status = _run(sys.argv[1:])
    except (NoDaemonError, OSError, KeyboardInterrupt) as exc:
        from aiosd.cli.transport import explain

        status = explain(exc)
    posix._exit(status)  # no interpreter teardown: everything was written by write(2)


def _run(words: list[str]) -> int:
    if len(words) == 1 and words[0] in _FETCHED:
        path = _FETCHED[words[0]]
        if not maybe_japanese() and (status := fetch_plain(path)) is not None:
            return status
        from aiosd.cli.transport import fetch_told

        return fetch_told("GET", path)
    from aiosd.cli.verbs import run_verb

    return run_verb(words)
