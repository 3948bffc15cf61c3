"""A child process of the guard, started without a copy of the guard's memory and watched by a descriptor.

Source: posix_spawn(3), pidfd_open(2), pidfd_send_signal(2).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Process:
    """`argv` started with `fds` (the child's number → ours) and an environment of its own.

    Signals do there what they do by default, whatever is ignored here. Standard descriptors that are left out are null.
    With `group` it leads a process group, which is killed when it ends. OSError where it cannot be started. `close` it
    after waiting.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        fds: Mapping[int, int],
        environment: Mapping[str, str] | None = None,
        group: bool = False,
    ) -> None:
        self._group = group
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            placed = {0: null, 1: null, 2: null, **fds}
            self.pid = os.posix_spawn(
                argv[0],
                list(argv),
                environment if environment is not None else {"PATH": "/usr/bin:/bin"},
                file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in sorted(placed.items())],
                setsigmask=(),
                setsigdef=_SIGNALS,
                setpgroup=0 if group else os.getpgrp(),
            )
        finally:
            os.close(null)
        self._pidfd = os.pidfd_open(self.pid)
        self._exited = asyncio.Event()
        self._status = 0
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._exited.is_set()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    async def wait(self) -> int:
        """Its exit status, negative for a signal, when it has ended."""
        await self._exited.wait()
        return self._status

    def close(self) -> None:
        """Let go of it."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        if self._group:  # its number is nobody else's until it has been waited for
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        _pid, raw = os.waitpid(self.pid, 0)
        self._status = os.waitstatus_to_exitcode(raw)
        self._exited.set()
