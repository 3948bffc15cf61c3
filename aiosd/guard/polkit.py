"""An administrator proves, while approving, to be at the keyboard: polkit asks for a password, and keeps nothing.

The subject is the process at the other end of the connection. Its start time is read while the kernel's descriptor of
that very process shows it alive, so that no later process with its number is taken for it.

Source: pkcheck(1), polkit(8), proc_pid_stat(5).
"""

import asyncio
import select
import signal
from collections.abc import Mapping

from aiosd.guard.varlink import Peer, wait_readable
from aiosd.sandbox.process import Process

ACTION = "io.aios.approve.root"
_PATH = "/usr/bin:/bin"
_AUTHORIZED, _NO_AGENT, _DISMISSED = 0, 2, 3
_MAX_DETAIL = 1000


class NotAuthenticatedError(Exception):
    """Polkit did not say yes; the message says why and what to do."""


async def authenticate(peer: Peer, pidfd: int, details: Mapping[str, str], *, wait_s: float) -> None:
    """Return when the person at `peer` has authenticated as an administrator. Raises NotAuthenticatedError.

    `pidfd` is the peer's process, as the connection gives it; `details` are shown with the question.
    """
    subject = _render_subject(peer, pidfd)
    argv = ["/usr/bin/pkcheck", "--action-id", ACTION, "--process", subject, "--allow-user-interaction"]
    for name, value in details.items():
        argv += ["-d", name, value[:_MAX_DETAIL]]
    try:
        process = Process(argv, fds={}, environment={"PATH": _PATH, "LANG": "C.UTF-8"})
    except OSError as exc:
        raise NotAuthenticatedError(f"polkit cannot be asked: pkcheck: {exc.strerror}") from exc
    try:
        async with asyncio.timeout(wait_s), asyncio.TaskGroup() as group:
            waits = {group.create_task(process.wait()), group.create_task(wait_readable(pidfd))}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        status = await process.wait() if process.ended else -1
    except TimeoutError:
        raise NotAuthenticatedError("nobody authenticated in time") from None
    finally:
        await _end(process)
    if status != _AUTHORIZED:
        raise NotAuthenticatedError(_REASONS.get(status, "polkit refused: a wrong password, or a rule"))


_REASONS = {
    -1: "who was to authenticate has gone",
    127: "polkit cannot be asked: is polkitd running, and io.aios.policy installed?",
    _NO_AGENT: "there is nothing to authenticate with: run aios approve on a terminal with pkttyagent installed",
    _DISMISSED: "the authentication was dismissed",
}


def _render_subject(peer: Peer, pidfd: int) -> str:
    if pidfd < 0:
        raise NotAuthenticatedError("this kernel does not say which process calls (Linux 6.5 or later does)")
    try:
        with open(f"/proc/{peer.pid}/stat", encoding="utf-8", errors="replace") as stat:
            started = stat.read().rpartition(")")[2].split()[19]
    except OSError:
        started = ""
    alive = select.poll()
    alive.register(pidfd, select.POLLIN)
    if not started or alive.poll(0):
        raise NotAuthenticatedError(_REASONS[-1])
    return f"{peer.pid},{started},{peer.uid}"


async def _end(process: Process) -> None:
    if not process.ended:
        process.send(signal.SIGKILL)
    await process.wait()
    process.close()
