"""Whose slice a session's commands go to: nobody's first, then the one's who took it; none without a manager."""

from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aiosd.guard.settings import GuardSettings, LiveSettings
from aiosd.guard.slices import Slices
from aiosd.sandbox.limits import SessionLimits
from aiosd.sandbox.link import Identity, SandboxError
from aiosd.sandbox.units import find_user_manager, slice_of, slice_path
from aiosd.types import SessionId

_ANN = Identity(uid=1000, gid=1000, groups=(1000,), user="ann", home="/home/ann", drop=False)
_ONE, _OTHER = SessionId("session1"), SessionId("session2")


@dataclass(slots=True)
class Made:
    """Slices as PID 1 would keep them: by name, with what bounds each; those in `busy` have something in them."""

    there: dict[str, SessionLimits] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    count: int = 0

    async def open(self, limits: SessionLimits) -> str:
        if self.count == 3:
            raise OSError(5, "no more")
        self.count += 1
        self.there[f"slice {self.count}"] = limits
        return f"slice {self.count}"

    async def limit(self, name: str, limits: SessionLimits) -> None:
        self.there[name] = limits

    async def close_empty(self, keep: Container[str]) -> set[str]:
        gone = {name for name in self.there if name not in keep and name not in self.busy}
        for name in gone:
            del self.there[name]
        return gone


async def test_without_a_manager_every_session_has_the_same_none() -> None:
    slices = Slices(LiveSettings(GuardSettings()), None)
    async with slices.of(_ONE) as one, slices.of(_OTHER) as other, slices.ahead(_ANN) as ahead:
        assert (one, other, ahead) == ("", "", "")
    assert await slices.take(_ONE, _ANN, "")
    await slices.tidy()


async def test_what_was_made_ahead_is_for_one_session_and_not_for_one_that_has_a_slice() -> None:
    slices = Slices(LiveSettings(GuardSettings()), Made())
    async with slices.of(_OTHER) as own, slices.ahead(_ANN) as name:
        assert own != name
        assert not await slices.take(_OTHER, _ANN, name)
        assert await slices.take(_ONE, _ANN, name)
    async with slices.of(_ONE) as mine:
        assert mine == name
    assert await slices.take(_ONE, _ANN, name)
    assert not await slices.take(SessionId("session3"), _ANN, name)


async def test_an_empty_slice_goes_and_one_in_which_something_runs_or_begins_stays() -> None:
    made = Made()
    slices = Slices(LiveSettings(GuardSettings()), made)
    async with slices.of(_ONE) as one:
        await slices.tidy()
        assert set(made.there) == {one}
    made.busy = {one}
    await slices.tidy()
    assert set(made.there) == {one}
    made.busy = set()
    await slices.tidy()
    assert made.there == {}
    async with slices.of(_ONE) as again:
        assert again != one
        slices.keep(_OTHER, again)
    async with slices.of(_OTHER) as other:
        assert other == again


async def test_new_limits_hold_for_a_session_that_goes_on_and_none_is_unbounded() -> None:
    made = Made(count=2)
    live = LiveSettings(GuardSettings())
    slices = Slices(live, made)
    async with slices.of(_ONE) as one:
        assert made.there[one] == SessionLimits()
    live.now = GuardSettings(session_processes=5)
    async with slices.of(_ONE) as same:
        assert same == one
        assert made.there[one] == SessionLimits(session_processes=5)
        live.now = GuardSettings(session_memory_mib=7)
        await slices.tidy()
        assert made.there[one] == SessionLimits(session_memory_mib=7)
    with pytest.raises(SandboxError, match="the service manager gives the session no cgroup: no more"):
        async with slices.of(_OTHER):
            raise AssertionError("nothing may begin")


def test_a_cgroup_tells_its_sessions_slice() -> None:
    unit = f"{slice_path('aios-work-0f.slice')}/aios-sandbox-1-2.service"
    assert unit == "/sys/fs/cgroup/aios.slice/aios-work.slice/aios-work-0f.slice/aios-sandbox-1-2.service"
    assert slice_of(unit) == "aios-work-0f.slice"
    assert slice_of("/sys/fs/cgroup/aios.slice/aios-work.slice/aios-sandbox-1-2.service") == ""
    assert slice_path("") == "/sys/fs/cgroup/aios.slice/aios-work.slice"


def test_where_no_manager_of_the_user_serves_there_is_none(tmp_path: Path) -> None:
    assert find_user_manager({}) is None
    assert find_user_manager({"XDG_RUNTIME_DIR": str(tmp_path)}) is None
