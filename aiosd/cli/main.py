"""`aios`: finds the verb, asks the daemon, prints the answer. Every run pays for what is imported here: almost nothing.

Verbs whose answer the daemon renders need only a socket; the others bring their own module in when they are used.
"""

import posix
import sys

from aiosd import exits
from aiosd.cli.transport import NoDaemonError, fetch_told, tell, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Verbs without options that are one request and print what comes.
_FETCHED = {"status": "/v1/status", "models": "/v1/models", "doctor": "/v1/doctor"}


def main() -> "NoReturn":
    """Run one command line and end the process with its status."""
    try:
        status = _run(sys.argv[1:])
    except NoDaemonError as exc:
        tell(2, f"aios: {exc}\n")
        status = exits.UNREACHABLE
    except BrokenPipeError:
        status = exits.FAILED  # whoever read our output has gone
    except OSError as exc:
        tell(2, f"aios: {exc.strerror or exc}\n")
        status = exits.FAILED
    except KeyboardInterrupt:
        write_all(2, b"\n")
        status = exits.INTERRUPTED
    posix._exit(status)  # no interpreter teardown: everything was written by write(2)


def _run(words: list[str]) -> int:
    if len(words) == 1 and words[0] in _FETCHED:
        return fetch_told("GET", _FETCHED[words[0]])
    from aiosd.cli.verbs import run_verb

    return run_verb(words)
