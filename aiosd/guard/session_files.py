"""What a session keeps from one of its sandboxes to the next: `uploads` of the person's, `outputs` of its commands.

aiosd stores them with the session and puts them here; here they are held in memory, given to a sandbox before its next
action where it does not hold them yet, and taken from it after one that changed `outputs`. What comes out of a sandbox
is bytes to this process, which reads none of them: they go back into a sandbox of the same session, or to aiosd.
"""

import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from aiosd.sandbox.link import Link, SandboxError
from aiosd.sandbox.parts import put_in_memory
from aiosd.types import JsonObject

_PIECE = 512 * 1024  # of a bundle, in an event
_HEADS = 1024 * 1024  # what a bundle's heads take beside the files, at the most
_TOLD = 500


@dataclass(slots=True)
class SessionFiles:
    """One session's. `fresh`: there are outputs that aiosd does not have; `trouble`: why there are some it will not.

    `digest` tells one state from another; it is "" of nothing.
    """

    uploads: bytes = b""
    outputs: bytes = b""
    digest: str = ""
    fresh: bool = False
    trouble: str = ""

    def put(self, uploads: bytes, outputs: bytes) -> None:
        """Hold what aiosd has stored; outputs that it has not had yet stay."""
        self.uploads = uploads
        if not self.fresh:
            self.outputs = outputs
        self.digest = _digest(self.uploads, self.outputs)

    async def bring(self, link: Link) -> None:
        """Have the sandbox hold them before an action. SandboxError."""
        if link.holds == self.digest:
            return
        status, said = await _act(link, "unpack", {}, self.uploads + self.outputs)
        if status:
            raise SandboxError(f"what the session keeps cannot be put there: {said.decode('utf-8', 'replace')}")
        link.holds = self.digest

    async def fetch(self, link: Link, most: int) -> None:
        """Take what an action left in `outputs`, at most so many bytes; where it is more, what was there stays."""
        if not link.changed:
            return
        link.changed = False
        status, said = await _act(link, "pack", {"most": most}, b"", most + _HEADS)
        if status or len(said) > most + _HEADS:
            reason = said[:_TOLD].decode("utf-8", "replace").strip() if status else "it is too much"
            self.trouble = f"what is new in outputs is not kept: {reason}"
            return
        self.outputs, self.fresh, self.trouble = said, True, ""
        link.holds = self.digest = _digest(self.uploads, self.outputs)

    def take_events(self) -> Iterator[JsonObject]:
        """The outputs for aiosd, if it does not have them; it does then."""
        if not self.fresh:
            return
        self.fresh = False
        for at in range(0, max(len(self.outputs), 1), _PIECE):
            piece = base64.b64encode(self.outputs[at : at + _PIECE]).decode("ascii")
            yield {"event": "files", "data": piece, "more": at + _PIECE < len(self.outputs)}


def _digest(uploads: bytes, outputs: bytes) -> str:
    if not uploads and not outputs:
        return ""
    return hashlib.sha256(b"%d\n%s%s" % (len(uploads), uploads, outputs)).hexdigest()


async def _act(link: Link, tool: str, arguments: dict[str, int], given: bytes, most: int = 0) -> tuple[int, bytes]:
    """Have the worker do it with `given`: its status, and what it said, or where that is not 0 complained of."""
    fds: list[int] = []
    try:
        fds.append(put_in_memory(given))
        fds += [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("said", "complaint")]
        status = await link.run(("tool", tool, arguments, "/", ()), (fds[0], fds[1], fds[2]))
        said = os.pread(fds[2] if status else fds[1], _TOLD if status else most + 1, 0)
    finally:
        for fd in fds:
            os.close(fd)
    return status, said
