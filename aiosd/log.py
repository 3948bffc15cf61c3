"""The daemon's own logging: for us, not the record. To the journal under systemd, else to standard error."""

import logging
import os
import sys


def set_up_logging(*, verbose: bool = False) -> None:
    """Log to the journal with priorities where standard error is the journal's, else as plain lines."""
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.addHandler(_journal_handler() if _is_journal() else _stderr_handler())
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _stderr_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("aiosd: %(message)s"))
    return handler


def _journal_handler() -> logging.Handler:
    from systemd.journal import JournalHandler  # noqa: PLC0415 - 16 ms, and only where there is a journal

    handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="aiosd")
    return handler


def _is_journal() -> bool:
    """Whether standard error is the journal's: JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    status = os.fstat(2)
    return stream == f"{status.st_dev}:{status.st_ino}"
