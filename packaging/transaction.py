#!/usr/bin/python3 -IS
"""A pacman hook: put what a transaction has changed into the journal, among the records of what an AI did.

The names come on standard input, one a line. Who began it is for the journal to say: it adds the sender's unit, uid and
session, as the kernel knows them. What cannot be noted does not trouble the transaction.
"""

import subprocess
import sys

sys.path[:0] = ["/usr/lib/aios"]

from aiosd.audit.journal import JournalSink  # noqa: E402 - found there
from aiosd.audit.records import Packages, render_record  # noqa: E402


def describe(names: list[str]) -> str:
    """Each package with its version, or as removed."""
    asked = subprocess.run(["pacman", "-Q", "--", *names], check=False, capture_output=True, text=True, timeout=60)
    versions = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    return ", ".join(f"{name} {versions.get(name, 'removed')}" for name in names)


def main() -> None:
    """Note the transaction."""
    names = sorted(set(sys.stdin.read().split()))
    record = Packages(count=len(names), packages=describe(names))
    JournalSink().send(record.kind, render_record(record))
    # The journal looks the sender up when it reads the entry: be there until it has.
    subprocess.run(["journalctl", "--sync"], check=False, capture_output=True, timeout=60)


if __name__ == "__main__":
    main()
