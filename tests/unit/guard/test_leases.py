"""Leases and stops, as the guard keeps them: how far each reaches, and what ends it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aiosd.audit.journal import JournalSink
from aiosd.audit.log import AuditLog, Query
from aiosd.audit.records import Lapsed
from aiosd.guard.approvals import Approvals, Approver
from aiosd.guard.lapsing import Lapsing
from aiosd.guard.leases import Leases, Terms, may_be_leased
from aiosd.guard.ledger import Ledger
from aiosd.guard.running import EVERYBODY, Running, Scope
from aiosd.guard.sessions import GuardSession
from aiosd.policy import FileAction
from aiosd.sandbox.link import Identity
from aiosd.types import Principal, RunAs, SessionId
from tests.unit.guard.test_approvals import ADMIN, ANN, BOB, DRAFT, ROOT
from tests.unit.policy.samples import shipped_policy, verdict

_ASKED = replace(DRAFT, leasable=True, files=("1:2 /srv", "ab  /usr/bin/touch"))


@pytest.fixture
async def store(no_task_left: None, tmp_path: Path) -> AsyncIterator[Approvals]:
    """An empty store."""
    made = Approvals(tmp_path / "approvals.db", boot="b1")
    try:
        await made.open_store(lambda _approval: False)
        yield made
    finally:
        made.close()


async def _opened(store: Approvals, boot: str = "b1") -> Leases:
    leases = Leases(store, boot=boot)
    await leases.open()
    return leases


async def _states(leases: Leases, who: Approver = ANN) -> list[object]:
    return [lease["state"] for lease in await leases.list(who)]


async def test_a_lease_is_used_up(store: Approvals) -> None:
    leases = await _opened(store)
    identity = await leases.grant(_ASKED, Terms(uses=2), by=1000)
    taken = [await leases.take(_ASKED) for _ in range(4)]
    assert taken == [(identity, 1000), (identity, 1000), None, None]
    assert await _states(leases) == ["used up"]


async def test_a_lease_ends_with_its_time_and_with_the_boot(store: Approvals) -> None:
    leases = await _opened(store)
    await leases.grant(_ASKED, Terms(seconds=-1), by=1000)
    assert await leases.take(_ASKED) is None
    await leases.grant(_ASKED, Terms(), by=1000)
    rebooted = await _opened(store, boot="b2")
    assert await rebooted.take(_ASKED) is None
    assert await _states(rebooted) == ["over", "over"]
    assert await leases.take(_ASKED) is not None


class _HeardLedger(Ledger):
    """A record that says when the end of a lease came."""

    heard = asyncio.Event()

    def lapsed(self, record: Lapsed) -> None:
        super().lapsed(record)
        self.heard.set()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[_HeardLedger]:
    """A record of its own."""
    made = _HeardLedger(AuditLog(tmp_path / "audit", tmp_path / "reserve"), JournalSink(str(tmp_path / "no-journal")))
    yield made
    made.close()


async def _ends(ledger: Ledger) -> list[tuple[object, ...]]:
    records = await ledger.read(Query(kind="lapsed"))
    return [(each["lease"], each["how"], each["used"], each["uses"], each["action"]) for each in records]


async def test_each_end_is_recorded_once_also_of_what_ended_while_no_guard_ran(
    store: Approvals, ledger: Ledger
) -> None:
    leases = await _opened(store)
    used = await leases.grant(_ASKED, Terms(uses=1), by=1000)
    assert await leases.take(_ASKED) is not None
    over = await leases.grant(_ASKED, Terms(seconds=-1), by=1000)
    revoked = await leases.grant(_ASKED, Terms(), by=1000)
    assert await leases.revoke(ANN, identity=revoked) == 1
    rebooted = await leases.grant(_ASKED, Terms(), by=1000)
    lapsing = Lapsing(leases, ledger)
    assert [await lapsing.record() for _ in range(2)] == [3, 0]
    known = [
        (used, "used up", 1, 1, "touch x"),
        (over, "over", 0, 10, "touch x"),
        (revoked, "revoked", 0, 10, "touch x"),
    ]
    assert await _ends(ledger) == known
    assert 1700 < await leases.seconds_left() <= 1800
    later = await _opened(store, boot="b2")
    assert [await Lapsing(later, ledger).record() for _ in range(2)] == [1, 0]
    assert await _ends(ledger) == [*known, (rebooted, "over", 0, 10, "touch x")]
    assert await later.seconds_left() == float("inf")


async def test_an_end_is_recorded_when_it_comes(store: Approvals, ledger: _HeardLedger) -> None:
    leases = await _opened(store)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        watching = group.create_task(Lapsing(leases, ledger).watch())
        used = await leases.grant(_ASKED, Terms(uses=1), by=1000)
        assert await leases.take(_ASKED) is not None
        over = await leases.grant(_ASKED, Terms(seconds=1), by=1000)
        ends = 0
        while ends < 2:
            ledger.heard.clear()
            ends = len(await _ends(ledger))
            if ends < 2:
                await ledger.heard.wait()
        watching.cancel()
    assert [each[:2] for each in await _ends(ledger)] == [(used, "used up"), (over, "over")]


@pytest.mark.parametrize(
    ("changed", "narrow", "wide"),
    [
        ({}, True, True),
        ({"action": "touch y"}, False, False),
        ({"action": "touch  x"}, False, False),
        ({"session": SessionId("s2")}, False, True),
        ({"cwd": "/srv/x", "files": ("1:3 /srv/x", "ab  /usr/bin/touch")}, False, True),
        ({"files": ("1:3 /srv", "ab  /usr/bin/touch")}, False, True),
        ({"files": ("1:2 /srv", "cd  /usr/bin/touch")}, False, False),
        ({"policy": "q" * 64}, False, False),
        ({"uid": 1001}, False, False),
    ],
)
async def test_a_lease_reaches_as_far_as_it_was_given(
    store: Approvals, changed: dict[str, object], narrow: bool, wide: bool
) -> None:
    leases = await _opened(store)
    other = replace(_ASKED, **changed)  # type: ignore[arg-type] # by name
    await leases.grant(_ASKED, Terms(), by=1000)
    assert (await leases.take(other) is not None) is narrow
    await leases.grant(_ASKED, Terms(session=False, cwd=False), by=1000)
    assert (await leases.take(other) is not None) is wide


async def test_a_store_of_before_is_opened(store: Approvals) -> None:
    await store.transact(
        lambda database: database.executescript(
            "CREATE TABLE leases (id TEXT PRIMARY KEY, uid INTEGER NOT NULL, user TEXT NOT NULL, line TEXT NOT NULL,"
            " session TEXT NOT NULL, cwd TEXT NOT NULL, policy TEXT NOT NULL, boot TEXT NOT NULL,"
            " granted_by INTEGER NOT NULL, granted_at REAL NOT NULL, expires_at REAL NOT NULL, uses INTEGER NOT NULL,"
            " used INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT"
        )
    )
    leases = await _opened(store)
    await leases.grant(_ASKED, Terms(), by=1000)
    assert await leases.take(_ASKED) is not None


async def test_who_may_see_and_end_a_lease(store: Approvals) -> None:
    leases = await _opened(store)
    identity = await leases.grant(_ASKED, Terms(), by=1000)
    assert [len(await leases.list(who)) for who in (ANN, BOB, ADMIN, ROOT)] == [1, 0, 0, 1]
    assert await leases.revoke(BOB, identity=identity) == 0
    assert await leases.take(_ASKED) is not None
    assert await leases.revoke(ANN, identity=identity) == 1
    assert await leases.take(_ASKED) is None
    assert await leases.revoke(ANN, identity=identity) == 0
    other = await leases.grant(_ASKED, Terms(), by=1000)
    assert await leases.revoke(ADMIN, identity=other) == 1
    assert await _states(leases) == ["revoked", "revoked"]


async def test_a_stop_ends_the_leases_of_its_scope(store: Approvals) -> None:
    leases = await _opened(store)
    for asked in (_ASKED, replace(_ASKED, session=SessionId("s2")), replace(_ASKED, uid=1001)):
        await leases.grant(asked, Terms(), by=asked.uid)
    assert await leases.revoke(ADMIN, uid=1000, session="s1") == 1
    assert await leases.revoke(ADMIN, uid=1000) == 1
    assert await leases.revoke(ADMIN) == 1


@pytest.mark.parametrize(
    "line", ["touch x", "mkdir -p a/b", "touch a; touch b", "ls | tee out", "git add x", "kill 12"]
)
def test_a18_twin_what_is_known_word_by_word_may_be_leased(line: str) -> None:
    said = verdict(shipped_policy(), line)
    assert may_be_leased(said, _action(line)), said


@pytest.mark.parametrize(
    "line",
    """bash -c 'touch x'; sh x; python3 x.py; env touch x; sudo touch x; xargs touch; timeout 5 touch x; find . -delete
    find . -exec touch {} +; rm x; rm -rf build; make; npm install; git push -f; dd of=x; touch x > y; touch $x
    ./touch x; vim x; ssh host ls; docker run x; sed -i s/a/b/ x | sh; ls; rm -rf /; frobnicate | touch x""".replace(
        "\n", ";"
    ).split(";"),
)
def test_a18_no_lease_for_what_could_be_anything_or_needs_none(line: str) -> None:
    assert not may_be_leased(verdict(shipped_policy(), line.strip()), _action(line.strip()))


def _action(line: str) -> object:
    from aiosd.policy import CommandAction  # noqa: PLC0415 - beside its use

    return CommandAction(line=line, cwd="/home/alice")


def test_a18_no_lease_as_root_or_for_a_file_tool() -> None:
    as_root = verdict(shipped_policy(), "touch x", run_as=RunAs.ROOT)
    assert not may_be_leased(as_root, _action("touch x"))
    said = verdict(shipped_policy(), "touch x")
    assert not may_be_leased(said, FileAction(tool="write_file", path="/x", writes=True))


def _session(uid: int, name: str) -> GuardSession:
    who = Principal(uid=uid, gid=uid, user=str(uid), home="/")
    identity = Identity(uid=uid, gid=uid, groups=(), user=str(uid), home="/", drop=False)
    return GuardSession(id=SessionId(name), principal=who, identity=identity)


def test_a_stop_holds_for_its_scope_until_it_is_taken_back_and_in_the_next_guard(tmp_path: Path) -> None:
    running = Running(tmp_path / "stopped")
    one, two, other = _session(1000, "s1"), _session(1000, "s2"), _session(1001, "s3")
    told: list[tuple[str, bool]] = []
    with (
        running.holding(one, lambda on: told.append(("s1", on))),
        running.holding(other, lambda on: told.append(("s3", on))),
    ):
        assert running.stop(Scope(uid=1000, session="s1")) == 1
        assert [bool(running.why_stopped(each)) for each in (one, two, other)] == [True, False, False]
        assert running.stop(Scope(uid=EVERYBODY)) == 2
        assert running.thaw(Scope(uid=1000)) == 1  # everybody is still stopped, and so are they
        assert told == [("s1", True), ("s1", True), ("s3", True)]
        assert all(Running(tmp_path / "stopped").why_stopped(each) for each in (one, two, other))
        assert running.thaw(Scope()) == 2
        assert told[3:] == [("s1", False), ("s3", False)]
    assert not any(Running(tmp_path / "stopped").why_stopped(each) for each in (one, two, other))
    assert list(tmp_path.iterdir()) == []


def test_a_stop_that_cannot_be_read_is_everybodys(tmp_path: Path) -> None:
    (tmp_path / "stopped").write_text("nonsense", encoding="utf-8")
    assert Running(tmp_path / "stopped").why_stopped(_session(1000, "s1"))
