"""Warm sandboxes: at most one read-only worker per session and view, and a few kept ready for the next to ask.

It promises that a read-only sandbox serves one session only, one action at a time, and that one whose policy of what is
visible has changed (`stale`) is not used again. What has a write set, network or an approval gets a fresh sandbox.
A ready one belongs to nobody yet: only its user and view are fixed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from aiosd.guard.host import find_host
from aiosd.guard.settings import LiveSettings
from aiosd.guard.slices import Slices
from aiosd.guard.standins import find_files
from aiosd.policy.folders import NO_FOLDERS, Folders
from aiosd.sandbox.folders import Fence, expand_home, make_fence
from aiosd.sandbox.limits import Limits
from aiosd.sandbox.link import Identity, Link, SandboxError
from aiosd.sandbox.profile import HostFacts, Profile, ProfileError, ProfileName
from aiosd.sandbox.start import Starter
from aiosd.sandbox.units import ManagedStarter, SliceMaker
from aiosd.types import Facet, SessionId

_LOG = logging.getLogger(__name__)
_MAX_WARM = 4  # of sessions where nothing runs just now; each takes memory, and comes back in a few milliseconds


@dataclass(slots=True)
class _Warm:
    used_at: float
    link: Link | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Workers:
    """All sandboxes of this guard. Its background work runs in `group`, which the guard's root owns."""

    def __init__(
        self,
        live: LiveSettings,
        host: HostFacts,
        group: asyncio.TaskGroup,
        *,
        starter: Starter,
        masks: tuple[str, ...],
    ) -> None:
        self._live = live
        self._host = host
        self._group = group
        self._starter = starter
        self._masks = masks
        self._warm: dict[tuple[SessionId, Profile], _Warm] = {}
        self._ready: dict[tuple[Identity, Profile], tuple[Link, str]] = {}
        self._wanted: dict[tuple[Identity, Profile], float] = {}
        self._making: set[tuple[Identity, Profile]] = set()
        self._closing = False
        self._folders = NO_FOLDERS
        self._failed = bool(host.trouble)
        self.slices = Slices(live, SliceMaker(starter.manager) if isinstance(starter, ManagedStarter) else None)

    @property
    def host(self) -> HostFacts:
        """What the host lets a sandbox have, as learned so far."""
        return self._host

    def use_bus_proxy(self, path: str) -> None:
        """Set where the filtering proxy of the system bus listens."""
        self._host = replace(self._host, bus_proxy=path)

    def use_folders(self, folders: Folders) -> None:
        """Hold sandboxes to these folder policies from now on; a warm one made by others serves no further action."""
        self._folders = folders

    @property
    def folders(self) -> Folders:
        """The folder policies in force."""
        return self._folders

    def _is_current(self, link: Link) -> bool:
        return (
            link.alive
            and not link.stale
            and (link.fence == self._fence(link.identity, link.profile) and link.limits == self._live.now.limits)
        )

    @asynccontextmanager
    async def warm(self, session: SessionId, identity: Identity, profile: Profile) -> AsyncIterator[Link]:
        """The session's worker for this view, made or taken from the ready ones if need be."""
        key = (session, profile)
        warm = self._warm.setdefault(key, _Warm(used_at=_now()))
        async with warm.lock:
            if warm.link is None or not self._is_current(warm.link):
                if warm.link is not None:
                    await warm.link.end()
                    warm.link = None
                warm.link = await self._take(session, identity, profile)
            try:
                yield warm.link
            finally:
                warm.used_at = _now()
        self._trim()

    async def ensure(self, identity: Identity) -> None:
        """SandboxError where no sandbox can be made: where the last could not, another is tried."""
        if self._failed:
            async with self.fresh(identity, CLOSED):
                return

    @asynccontextmanager
    async def fresh(
        self,
        identity: Identity,
        profile: Profile,
        *,
        session: SessionId | None = None,
        cwd: str = "/",
        tool: bool = False,
        limits: Limits | None = None,
    ) -> AsyncIterator[Link]:
        """A sandbox for one action, ended with it: what is done there in `cwd`, and whether it is a file tool.

        Without a `session` it is nobody's, and a try, which may have `limits` of its own.
        """
        if session is None:
            link = await self._start(identity, profile, "", cwd=cwd, tool=tool, limits=limits)
        else:
            async with self.slices.of(session) as name:
                link = await self._start(identity, profile, name, cwd=cwd, tool=tool)
        try:
            yield link
        finally:
            await link.end()

    def prepare(self, identity: Identity, profile: Profile) -> None:
        """Begin to make a sandbox ready ahead of the first action, in the background."""
        key = (identity, profile)
        self._wanted[key] = _now()
        busy = key in self._making or key in self._ready
        if busy or self._closing or len(self._ready) + len(self._making) >= self._live.now.spare_workers:
            return
        self._making.add(key)
        self._group.create_task(self._make_ready(key))

    async def release(self, session: SessionId) -> None:
        """End the session's workers."""
        for key in [key for key in self._warm if key[0] == session]:
            await self._drop(key)

    async def sweep(self) -> None:
        """End what has been idle too long. Called from time to time."""
        oldest = _now() - self._live.now.worker_idle_s
        for session_key, warm in list(self._warm.items()):
            if warm.used_at < oldest and not warm.lock.locked():
                await self._drop(session_key)
        for key in [key for key in self._ready if self._wanted.get(key, 0.0) < oldest]:
            await self._ready.pop(key)[0].end()
        await self.slices.tidy()

    async def ping(self) -> tuple[int, int]:
        """How many warm workers answer, of those in which nothing is done; how many did not, and were ended."""
        answered = ended = 0
        for warm in [each for each in self._warm.values() if not each.lock.locked()]:
            async with warm.lock:
                if warm.link is not None and warm.link.alive:
                    if await warm.link.ping():
                        answered += 1
                    else:
                        ended += 1
        return answered, ended

    @property
    def busy(self) -> bool:
        """Whether any action runs in a warm worker."""
        return any(warm.lock.locked() for warm in self._warm.values())

    async def close(self) -> None:
        """End every sandbox."""
        self._closing = True
        for session_key in list(self._warm):
            await self._drop(session_key)
        while self._ready:
            await self._ready.popitem()[1][0].end()
        await self._starter.close()
        await self.slices.tidy()

    async def _take(self, session: SessionId, identity: Identity, profile: Profile) -> Link:
        link = await self._take_ready(session, identity, profile)
        if link is None:
            async with self.slices.of(session) as name:
                link = await self._start(identity, profile, name)
        self.prepare(identity, profile)
        return link

    async def _take_ready(self, session: SessionId, identity: Identity, profile: Profile) -> Link | None:
        link, name = self._ready.pop((identity, profile), (None, ""))
        if link is not None and not (self._is_current(link) and await self.slices.take(session, identity, name)):
            await link.end()
            return None
        return link

    async def _make_ready(self, key: tuple[Identity, Profile]) -> None:
        try:
            async with self.slices.ahead(key[0]) as name:
                link = await self._start(*key, name)
        except (SandboxError, ProfileError, OSError) as exc:
            _LOG.info("no sandbox ahead of time: %s", exc)
            return
        finally:
            self._making.discard(key)
        if self._closing or key in self._ready:
            await link.end()
        else:
            self._ready[key] = link, name

    async def _start(
        self,
        identity: Identity,
        profile: Profile,
        within: str,
        *,
        cwd: str = "/",
        tool: bool = False,
        limits: Limits | None = None,
    ) -> Link:
        self._failed = True
        if self._host.trouble:  # it may have been mended
            found = await find_host()
            self._host = replace(found, fresh_proc=self._host.fresh_proc, bus_proxy=self._host.bus_proxy)
        if self._host.trouble:
            raise SandboxError(self._host.trouble)
        least = self._live.now.least_landlock
        if self._host.landlock < least:
            raise SandboxError(f"the kernel has Landlock {self._host.landlock}, guard.least_landlock asks for {least}")
        if profile.programs is not None and not self._host.landlock:
            raise SandboxError("the policy's only_programs needs Landlock, which this kernel has not")
        link = await self._make(identity, profile, within, cwd, tool=tool, limits=limits or self._live.now.limits)
        self._failed = False
        return link

    async def _make(
        self, identity: Identity, profile: Profile, within: str, cwd: str, *, tool: bool, limits: Limits
    ) -> Link:
        link = self._link(identity, profile, within, cwd, tool=tool, limits=limits)
        try:
            await link.start()
        except SandboxError as exc:
            shows_proc = Facet.PROCESSES not in profile.facets and self._host.fresh_proc
            if not (shows_proc and "mount proc" in str(exc)):
                raise
            # A container that hides parts of its /proc lets nobody mount a new one: show the container's own.
            self._host = replace(self._host, fresh_proc=False)
            link = self._link(identity, profile, within, cwd, tool=tool, limits=limits)
            await link.start()
        return link

    def _link(self, identity: Identity, profile: Profile, within: str, cwd: str, *, tool: bool, limits: Limits) -> Link:
        return Link(
            profile,
            identity,
            self._host,
            starter=self._starter.within(within),
            masks=self._masks,
            fence=self._fence(identity, profile),
            texts=find_files(self._live.secrets, identity.user) if profile.network else (),
            cwd=cwd,
            tool=tool,
            limits=limits,
        )

    def _fence(self, identity: Identity, profile: Profile) -> Fence:
        """The folder policies; and what holds a secret, hidden from all but what a person approved."""
        fence = self._folders.fence(identity.home)
        files = [each.file for each in self._live.secrets if each.file]
        if profile.name is ProfileName.USER or not files:
            return fence
        hidden = (expand_home(path, identity.home) for path in files)
        return make_fence((*fence, *((path, False, False, False, None, None, (), (), 0) for path in hidden)))

    def _trim(self) -> None:
        idle = sorted(
            (item for item in self._warm.items() if not item[1].lock.locked()), key=lambda item: item[1].used_at
        )
        for key, _warm in idle[: max(len(self._warm) - _MAX_WARM, 0)]:
            self._group.create_task(self._drop(key))

    async def _drop(self, key: tuple[SessionId, Profile]) -> None:
        warm = self._warm.pop(key, None)
        if warm is not None and warm.link is not None:
            await warm.link.end()


def _now() -> float:
    return asyncio.get_running_loop().time()


CLOSED = Profile(name=ProfileName.READ_ONLY)
