"""A sandbox that an earlier guard made: what its worker says, stopping it, ending it. One action, which it is doing.

Its worker's socket was left with the service manager, so the worker noticed nothing. Of this sandbox nothing is known
but that socket and the name of its unit, whose cgroup is where everything of it is.

Source: cgroups(7) `cgroup.events`, unix(7).
"""

import asyncio
import contextlib
import socket

from aiosd.sandbox.cgroup import find_limit
from aiosd.sandbox.link import SandboxError
from aiosd.sandbox.start import freeze_group, is_populated, kill_group

_PAUSE_S, _TRIES = 0.02, 125


class Adopted:
    """Takes `control` over. `group` is the cgroup of its unit, `action` the number of what it is doing."""

    def __init__(self, control: int, *, group: str, action: int) -> None:
        self._control = socket.socket(fileno=control)
        self._control.setblocking(False)
        self._group = group
        self._action = action
        self.foreign = False
        self.over_memory = ""

    async def wait(self) -> int:
        """The action's exit status. SandboxError where the worker is gone or says anything else."""
        packet = await asyncio.get_running_loop().sock_recv(self._control, 4096)
        self.over_memory = find_limit(f"{self._group}/command-{self._action}")
        match packet.split():
            case [b"exit", said, status, *more] if said == str(self._action).encode() and status.isdigit():
                self.foreign = b"foreign" in more
                return int(status)
            case _:
                raise SandboxError("the worker was lost" if not packet else "the worker spoke out of turn")

    def freeze(self, on: bool) -> None:
        """Stop everything in it in its tracks, or let it go on."""
        freeze_group(self._group, on=on)

    async def end(self) -> None:
        """End it and whatever is in it; what it left in folders is taken away by its own keeper first."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        for _ in range(_TRIES):
            if not is_populated(self._group):
                break
            await asyncio.sleep(_PAUSE_S)
        kill_group(self._group)
        self._control.close()
