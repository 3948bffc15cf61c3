"""Leaving a job with the service manager, so that it outlives this guard: `keep` takes it up again.

Source: sd_notify(3) FDSTORE=1, systemd.service(5) FileDescriptorStoreMax=, FileDescriptorStorePreserve=.
"""

import asyncio
import json
import os
import time
from typing import Final

from aiosd.guard.activation import notify
from aiosd.sandbox.link import Link
from aiosd.sandbox.parts import put_in_memory
from aiosd.types import JsonObject

PREFIX: Final = "job-"
PARTS: Final = frozenset(("control", "stdout", "stderr", "output", "facts"))


def boot_time() -> float:
    """Seconds since the machine began, which every guard counts alike."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def forget(identity: str) -> None:
    """Take everything of a job back from the manager."""
    for part in PARTS:
        notify(f"FDSTOREREMOVE=1\nFDNAME={PREFIX}{identity}.{part}")


class Keeper:
    """Leaves one job with the service manager, from when it is `left` on. `facts` is what the next guard must know."""

    def __init__(self, identity: str, output: int, facts: JsonObject) -> None:
        self._id = identity
        self._output = output
        self._facts = facts
        self._pipes = (-1, -1)
        self.left = False
        self.begun = asyncio.Event()  # it runs: as one that is left, or as one that cannot be

    def note(self, *, tier: str, timeout_s: int) -> None:
        """Its tier, once that is known, and how long it may take from now on."""
        self._facts |= {"tier": tier, "timeout_s": timeout_s, "deadline": boot_time() + timeout_s}

    def take_pipes(self, out: int, err: int) -> None:
        """Where what it writes can be read."""
        self._pipes = (out, err)

    def begin(self, link: Link, *, last: bool) -> None:
        """Leave it as it is about to begin; `last` where nothing of its line comes after."""
        self.begun.set()
        left = link.left
        if left is None:
            return
        control, group, action = left
        self.end()
        facts = put_in_memory(json.dumps({**self._facts, "group": group, "action": action, "last": last}).encode())
        try:
            fds = {"control": control, "facts": facts, "output": self._output}
            for part, fd in (fds | dict(zip(("stdout", "stderr"), self._pipes, strict=True))).items():
                notify(f"FDSTORE=1\nFDNAME={PREFIX}{self._id}.{part}\nFDPOLL=0", fd)
        finally:
            os.close(facts)
        self.left = True

    def end(self) -> None:
        """Take it back: it has ended."""
        if self.left:
            forget(self._id)
        self.left = False
