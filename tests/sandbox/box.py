"""Real sandboxes for tests: opened through `Link`, used with plain argv lists, output read from files in memory."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiosd.guard.host import find_host
from aiosd.sandbox.folders import Fence
from aiosd.sandbox.limits import Limits
from aiosd.sandbox.link import Identity, Link
from aiosd.sandbox.profile import HostFacts, Profile, ProfileName, render_environment
from aiosd.types import Facet
from tests.daemon.people import IS_ROOT, default_person

READ_ONLY = Profile(name=ProfileName.READ_ONLY)
USER = Profile(name=ProfileName.USER)
PROCESSES = Profile(name=ProfileName.READ_ONLY, facets=frozenset({Facet.PROCESSES}))
SOCKETS = Profile(name=ProfileName.READ_ONLY, facets=frozenset({Facet.SOCKETS}))
BOTH = Profile(name=ProfileName.READ_ONLY, facets=frozenset({Facet.PROCESSES, Facet.SOCKETS}))
VIEWS = {"closed": READ_ONLY, "processes": PROCESSES, "sockets": SOCKETS, "processes+sockets": BOTH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an action said, and its exit status."""

    status: int
    out: bytes
    err: bytes


def load_host() -> HostFacts:
    """What this machine lets a sandbox have."""
    host = asyncio.run(find_host())
    probe = [host.bwrap, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    return replace(host, fresh_proc=subprocess.run(probe, check=False, capture_output=True).returncode == 0)


def make_identity(*, uid: int = -1, home: str = "/nonexistent", groups: tuple[int, ...] = ()) -> Identity:
    """The rights of `uid` (by default of an ordinary person), as the guard would give them."""
    who = default_person() if uid < 0 else uid
    gid = who if IS_ROOT else os.getegid()
    return Identity(uid=who, gid=gid, groups=(gid, *groups), user=str(who), home=home, drop=IS_ROOT)


def command(*argv: str, redirects: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """One stage of a pipeline, of plain words."""
    return tuple((word, None, False) for word in argv), redirects


@dataclass(frozen=True, slots=True)
class Box:
    """One open sandbox."""

    link: Link

    def is_stale(self) -> bool:
        """Whether its view is out of date by now."""
        return self.link.stale

    async def run(self, *argv: str, cwd: str = "/", stdin: bytes = b"") -> Said:
        """Run one command."""
        return await self.pipe(command(*argv), cwd=cwd, stdin=stdin)

    async def shell(self, line: str, *, cwd: str = "/") -> Said:
        """Run a line under bash."""
        return await self.run("/bin/bash", "--norc", "--noprofile", "-c", line, cwd=cwd)

    async def pipe(self, *stages: tuple[Any, ...], cwd: str = "/", stdin: bytes = b"") -> Said:
        """Run a pipeline."""
        return await self.send(("run", stages, cwd, self.environment()), stdin=stdin)

    async def tool(self, name: str, *, content: bytes = b"", **arguments: Any) -> Said:
        """Run a file tool."""
        return await self.send(("tool", name, arguments, "/", self.environment()), stdin=content)

    def environment(self) -> tuple[tuple[str, str], ...]:
        """The environment of an action here."""
        who = self.link.identity
        return render_environment(self.link.profile, user=who.user, home=who.home)

    async def send(self, packet: tuple[Any, ...], *, stdin: bytes = b"") -> Said:
        """Send one packet, as the guard would."""
        fds = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr")]
        try:
            os.pwrite(fds[0], stdin, 0)
            status = await self.link.run(packet, (fds[0], fds[1], fds[2]))
            out, err = (os.pread(fd, 1 << 26, 0) for fd in fds[1:])
        finally:
            for fd in fds:
                os.close(fd)
        return Said(status=status, out=out, err=err)


@asynccontextmanager
async def opened(
    profile: Profile,
    host: HostFacts,
    *,
    who: Identity | None = None,
    masks: tuple[str, ...] = (),
    fence: Fence = (),
    cwd: str = "/",
    tool: bool = False,
    limits: Limits | None = None,
) -> AsyncIterator[Box]:
    """A sandbox that is ended with the context."""
    link = Link(profile, who or make_identity(), host, masks=masks, fence=fence, cwd=cwd, tool=tool, limits=limits)
    await link.start()
    try:
        yield Box(link)
    finally:
        await link.end()


async def until(condition: Callable[[], bool], what: str, *, deadline_s: float = 20.0) -> None:
    """Return when `condition` holds; a failure that says what was waited for, after the deadline."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():  # noqa: ASYNC110 - about other processes, which tell nobody
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None
