"""A person's own file of rules, `~/.config/aios/policy.toml`: over the policy in force it may ask and deny more.

Read once for each session, at its first action: what the person writes there later counts from the next one. The guard
reads its own user's, as a plain file of that user and nobody else's; another's is read by that person's worker. A file
that is wrong denies everything, with its line, until it is mended.
"""

import asyncio
import os
import stat
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from aiosd.guard.run import CannotLookError
from aiosd.guard.sessions import GuardSession
from aiosd.policy import Policy, tighten_policy
from aiosd.types import SessionId

_NAME: Final = ".config/aios/policy.toml"
_MOST_BYTES: Final = 64 * 1024
_REMEMBERED: Final = 4096


class OwnPolicies:
    """The policy for each session. `read` gives a file's content as its session's user, None where there is none.

    It raises CannotLookError where that user can have no sandbox.
    """

    def __init__(self, read: Callable[[GuardSession, str], Awaitable[bytes | None]]) -> None:
        self._read = read
        self._files: OrderedDict[SessionId, bytes | None] = OrderedDict()
        self._made: dict[tuple[str, str, bytes], Policy] = {}

    async def of(self, session: GuardSession, base: Policy, *, anew: bool = False) -> Policy:
        """`base` with what the session's person adds, read `anew` or as it was. Raises PolicyError."""
        path = f"{session.principal.home.rstrip('/')}/{_NAME}"
        if anew or session.id not in self._files:
            try:
                self._files[session.id] = await self._find(session, path)
            except CannotLookError:  # nothing of that person's runs now; it is read when something could
                return base
            if len(self._files) > _REMEMBERED:
                self._files.popitem(last=False)
        content = self._files[session.id]
        if content is None:
            return base
        key = (base.digest, path, content)
        if key not in self._made:
            self._made.clear()
            self._made[key] = tighten_policy(base, path, content)
        return self._made[key]

    async def _find(self, session: GuardSession, path: str) -> bytes | None:
        uid = session.principal.uid
        if uid == os.geteuid():
            content = await asyncio.to_thread(_read_own, path, uid)
        else:
            content = await self._read(session, path)
        if content is not None and len(content) > _MOST_BYTES:
            return b"# larger than 64 KiB\n= "  # no file of rules: said as such when it is read
        return content


def _read_own(path: str, uid: int) -> bytes | None:
    """The content of a plain file of that uid; None where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != uid:
            return None
        return file.read(_MOST_BYTES + 1)
