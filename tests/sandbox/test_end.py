"""An action, a sandbox and the guard end, each by whatever way: nothing of them runs on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aiosd.sandbox.link import Link, SandboxError
from aiosd.sandbox.profile import HostFacts, Profile, ProfileError, ProfileName
from aiosd.sandbox.start import DirectStarter
from aiosd.types import Facet
from tests.daemon.harness import ROOT
from tests.leaks import descendants
from tests.sandbox.box import PROCESSES, READ_ONLY, USER, Box, make_identity, opened, until

LEAVERS = {
    "a background child": "sleep 31415 & echo started",
    "a child that holds the output": "(sleep 31415; echo never) & echo started",
    "a double fork": "(sh -c 'sleep 31415 &' &) ; echo started",
    "a daemon of its own session": "setsid -f sleep 31415 ; echo started",
    "one that ignores every polite signal": "(trap '' TERM HUP INT; sleep 31415) & echo started",
    "a stopped one": "sleep 31415 & kill -STOP $! ; echo started",
    "a tree": "for i in 1 2 3; do (sleep 31415 & sleep 31415 & wait) & done; echo started",
}


def sleepers() -> set[int]:
    """The sleeping children that tests here start, of this process alone."""
    found = set()
    for pid in descendants():
        with suppress(OSError):
            if b"sleep\x0031415" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def living() -> set[int]:
    """Every process below this one that is not dead."""
    found = set()
    for pid in descendants():
        with suppress(OSError):
            if b") Z " not in Path(f"/proc/{pid}/stat").read_bytes():
                found.add(pid)
    return found


async def outcome(action: Awaitable[object]) -> object:
    """What an action came to: its value, or what it raised."""
    try:
        return await action
    except Exception as exc:  # noqa: BLE001 - this is what the test looks at
        return exc


@pytest.mark.parametrize("line", LEAVERS.values(), ids=LEAVERS)
@pytest.mark.parametrize("profile", [READ_ONLY, USER, PROCESSES], ids=["read-only", "user", "processes"])
async def test_what_a_command_leaves_behind_is_gone_when_it_has_ended(
    host: HostFacts, line: str, profile: object
) -> None:
    async with opened(profile, host) as box:  # type: ignore[arg-type] # parametrized
        said = await box.shell(line)
        assert (said.status, said.out, said.err) == (0, b"started\n", b"")
        assert sleepers() == set()
        assert (await box.run("echo", "still here")).out == b"still here\n"


async def test_the_twin_outside_a_sandbox_leaves_its_child_behind() -> None:
    subprocess.run(["/bin/bash", "-c", "setsid -f sleep 31415"], check=True)
    (left,) = sleepers()
    os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize("profile", [READ_ONLY, PROCESSES], ids=["read-only", "processes"])
async def test_a_cancelled_action_is_killed_and_the_worker_serves_the_next(host: HostFacts, profile: Profile) -> None:
    async with opened(profile, host) as box:
        async with asyncio.TaskGroup() as group:
            action = group.create_task(box.shell("sleep 31415 & sleep 31415"))
            await until(lambda: len(sleepers()) == 2, "the command to run")
            action.cancel()
        assert action.cancelled()
        assert sleepers() == set()
        assert (await box.run("echo", "next")).out == b"next\n"


@pytest.mark.parametrize("profile", [READ_ONLY, PROCESSES], ids=["read-only", "processes"])
async def test_an_action_that_was_stopped_in_its_tracks_is_killed_there_and_the_worker_serves_the_next(
    host: HostFacts, profile: Profile
) -> None:
    async with opened(profile, host) as box:
        async with asyncio.TaskGroup() as group:
            action = group.create_task(box.shell("sleep 31415 & sleep 31415; echo went on"))
            await until(lambda: len(sleepers()) == 2, "the command to run")
            box.link.freeze(True)
            await until(lambda: {_state(pid) for pid in sleepers()} == {"T"}, "it to stand still")
            action.cancel()
        assert action.cancelled()
        assert sleepers() == set()
        assert (await box.run("echo", "next")).out == b"next\n"


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("profile", [READ_ONLY, PROCESSES], ids=["read-only", "processes"])
async def test_nothing_runs_when_a_sandbox_has_been_ended_in_the_middle_of_an_action(
    host: HostFacts, profile: Profile
) -> None:
    before = living()
    for _ in range(4):
        link = Link(profile, make_identity(), host)
        await link.start()
        null = os.open(os.devnull, os.O_RDWR)
        words = tuple((word, None, False) for word in ("bash", "-c", "for i in {1..200}; do sleep 31415 & done; wait"))
        try:
            async with asyncio.TaskGroup() as group:
                packet = ("run", ((words, ()),), "/", (("PATH", "/usr/bin:/bin"),))
                action = group.create_task(outcome(link.run(packet, (null, null, null))))
                await until(lambda: len(sleepers()) == 200, "the children to run")
                await link.end()
                assert living() - before == set()
            assert isinstance(action.result(), SandboxError)
        finally:
            os.close(null)


async def test_a_command_that_shares_the_hosts_pids_cannot_signal_its_worker(host: HostFacts) -> None:
    async with opened(PROCESSES, host) as box:
        said = await box.shell("kill -KILL $PPID; echo $?; kill -0 $$; echo $?; sleep 100 & kill $!; echo $?")
        assert said.out == b"1\n0\n0\n"
        assert (await box.run("echo", "still here")).out == b"still here\n"


async def test_a_sandbox_can_be_ended_by_several_at_once(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box, asyncio.TaskGroup() as group:
        action = group.create_task(outcome(box.shell("sleep 31415")))
        await until(lambda: len(sleepers()) == 1, "the command to run")
        ends = [group.create_task(outcome(box.link.end())) for _ in range(3)]
        done, _pending = await asyncio.wait([action, *ends], timeout=20)
        assert [task.result() for task in ends if task in done] == [None, None, None]
        assert isinstance(action.result(), SandboxError)


async def test_a_worker_that_dies_is_an_error_and_leaves_nothing(host: HostFacts) -> None:
    before = living()
    async with opened(READ_ONLY, host) as box:
        async with asyncio.TaskGroup() as group:
            action = group.create_task(outcome(box.shell("sleep 31415 & setsid -f sleep 31415; wait")))
            await until(lambda: len(sleepers()) == 2, "the command to run")
            await until(lambda: len(_others(before)) == 1, "setsid to end")
            (shell,) = _others(before)
            assert Path(f"/proc/{shell}/comm").read_text() == "bash\n"
            for worker in _bwrap_and_worker(before):
                if Path(f"/proc/{worker}/comm").read_text().startswith("python"):
                    os.kill(worker, signal.SIGKILL)
        lost = action.result()
        assert isinstance(lost, SandboxError)
        assert str(lost) == "the worker was lost"
        assert living() - before == set()
        assert isinstance(await outcome(box.run("true")), SandboxError)


async def test_bubblewrap_killed_from_outside_takes_the_sandbox_with_it(host: HostFacts) -> None:
    before = living()
    async with opened(READ_ONLY, host) as box:
        async with asyncio.TaskGroup() as group:
            action = group.create_task(outcome(box.shell("setsid -f sleep 31415; sleep 31415")))
            await until(lambda: len(sleepers()) == 2, "the command to run")
            for pid in _bwrap_and_worker(before):
                if Path(f"/proc/{pid}/comm").read_text() == "bwrap\n":
                    os.kill(pid, signal.SIGKILL)
        assert isinstance(action.result(), SandboxError)
        assert not box.link.alive
        assert living() - before == set()


_GUARD = f"""
import asyncio, os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.sandbox.box import VIEWS, load_host, opened
host = load_host()
async def main():
    async with opened(VIEWS[sys.argv[1]], host) as box:
        await box.shell("setsid -f sleep 31415; sleep 31415")
asyncio.run(main())
"""


@pytest.mark.parametrize("view", ["closed", "processes"])
async def test_nothing_runs_on_when_the_guard_is_killed_in_the_middle_of_an_action(view: str) -> None:
    before = living()
    guard = subprocess.Popen([sys.executable, "-c", _GUARD, view], stdout=subprocess.PIPE)
    try:
        await until(lambda: len(sleepers()) == 2, "the command to run")
    finally:
        guard.kill()
        guard.communicate()
    await until(lambda: living() - before == set(), "everything to end")


@pytest.mark.parametrize("program", ["/bin/false", "/bin/sleep", "/nonexistent"])
async def test_nothing_is_left_of_a_sandbox_that_could_not_be_made(host: HostFacts, program: str) -> None:
    before = living()
    link = Link(READ_ONLY, make_identity(), replace(host, bwrap=program))
    assert isinstance(await outcome(link.start()), SandboxError)
    assert living() - before == set()


@pytest.mark.parametrize(
    ("profile", "machine", "error"),
    [
        (Profile(name=ProfileName.READ_ONLY, facets=frozenset({Facet.BUS})), "x86_64", ProfileError),
        (Profile(name=ProfileName.READ_ONLY, facets=frozenset({Facet.BUS, Facet.SOCKETS})), "x86_64", ProfileError),
        (READ_ONLY, "riscv64", SandboxError),
    ],
    ids=["no bus here", "views that exclude each other", "a machine without a filter"],
)
async def test_what_cannot_be_rendered_is_an_error_and_leaves_nothing(
    host: HostFacts, profile: Profile, machine: str, error: type[Exception]
) -> None:
    link = Link(profile, make_identity(), replace(host, machine=machine))
    assert isinstance(await outcome(link.start()), error)
    assert not link.alive


@pytest.mark.parametrize("reached", ["", "python3", "bwrap"])
async def test_nothing_is_left_of_a_sandbox_whose_start_was_cancelled(host: HostFacts, reached: str) -> None:
    before = living()
    for _ in range(3):
        link = Link(READ_ONLY, make_identity(), host)
        async with asyncio.TaskGroup() as group:
            start = group.create_task(link.start())
            await until(lambda: start.done() or not reached or reached in _names(before), f"{reached} to run")  # noqa: B023
            start.cancel()
        await link.end()
        await until(lambda: living() - before == set(), "everything to end")


@pytest.mark.parametrize("profile", [READ_ONLY, PROCESSES], ids=["read-only", "processes"])
async def test_what_is_killed_at_any_moment_while_it_is_made_leaves_no_half_of_it(
    host: HostFacts, profile: Profile
) -> None:
    """Also where one of bubblewrap's two processes waits for the other, which is dead."""
    before = living()
    for number in range(40):
        link = Link(profile, make_identity(), host)
        async with asyncio.TaskGroup() as group:
            start = group.create_task(link.start())
            await until(lambda: start.done() or "bwrap" in _names(before), "bwrap to run")  # noqa: B023
            await asyncio.sleep(number * 0.0006)
            start.cancel()
        await link.end()
        await until(lambda: living() - before == set(), "everything to end")


def _names(before: set[int]) -> str:
    names = []
    for pid in descendants() - before:
        with suppress(OSError):
            names.append(Path(f"/proc/{pid}/comm").read_text())
    return "".join(names)


def _others(before: set[int]) -> set[int]:
    """What runs but the sleepers, bubblewrap and the worker."""
    return living() - before - sleepers() - _bwrap_and_worker(before)


def _bwrap_and_worker(before: set[int]) -> set[int]:
    found = set()
    for pid in descendants() - before:
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text()
            if name.startswith(("bwrap", "python")):
                found.add(pid)
    return found


@pytest.mark.parametrize("profile", [READ_ONLY, PROCESSES, USER], ids=["read-only", "processes", "user"])
async def test_a_worker_answers_between_actions_and_one_that_is_gone_does_not(
    host: HostFacts, profile: Profile
) -> None:
    async with opened(profile, host) as box:
        assert await box.link.ping()
        assert (await box.run("echo", "on")).out == b"on\n"
        assert await box.link.ping()
        os.kill(box.link.worker_pid, signal.SIGKILL)
        assert not await box.link.ping()
        assert not box.link.alive
        with pytest.raises(SandboxError):
            await box.run("echo", "never")


def _waiting(before: set[int]) -> set[int]:
    """The launchers that wait until they are needed."""
    found = set()
    for pid in living() - before:
        with suppress(OSError):
            if b"main_ahead" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


async def test_a_launcher_that_waits_becomes_the_next_sandbox_and_one_that_is_gone_is_done_without(
    host: HostFacts,
) -> None:
    before, starter = living(), DirectStarter(ahead=True)
    for gone in (False, False, True, False):
        link = Link(READ_ONLY, make_identity(), host, starter=starter)
        waited = _waiting(before)
        if gone:
            os.kill(waited.pop(), signal.SIGKILL)
            await until(lambda: not _waiting(before), "it to end")
        await link.start()
        box = Box(link)
        assert (await box.run("echo", "on")).out == b"on\n"
        if waited and not gone:
            assert waited <= living()  # the same process, which is bubblewrap now
        await until(lambda: len(_waiting(before)) == 1, "the next to wait")
        await link.end()
        assert living() - before == _waiting(before)
    await starter.close()
    assert living() - before == set()
    link = Link(READ_ONLY, make_identity(), host, starter=starter)
    await link.start()
    await link.end()
    assert living() - before == set()
