"""The store of approvals: one way through the states, a digest over everything, an answer used once."""

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiosd.guard.approvals import Answer, Approval, ApprovalError, Approvals, Approver, State
from aiosd.policy.verdict import RuleRef
from aiosd.types import ApprovalId, CallId, RunAs, SessionId, Tier

ANN, BOB, ADMIN = Approver(uid=1000), Approver(uid=1001), Approver(uid=1002, administers=True)
ROOT = Approver(uid=0)
DRAFT = Approval(
    id=ApprovalId(""),
    nonce="",
    boot="",
    requested_at="",
    expires_at="",
    session=SessionId("s1"),
    call=CallId("c1"),
    uid=1000,
    user="ann",
    tool="bash",
    action="touch x",
    exact="e" * 64,
    content="",
    cwd="/srv",
    environment=(("PATH", "/usr/bin"),),
    run_as=RunAs.USER,
    confinement="sandbox 'user'",
    policy="p" * 64,
    reason="It changes files.",
    rules=(RuleRef(name="touch", tier=Tier.REQUIRE_APPROVAL, file="/etc/x.toml", line=3),),
    claim="I need it.",
)


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[Approvals]:
    store = Approvals(path, boot="b1")
    try:
        await store.open_store(lambda _approval: False)
        yield store
    finally:
        store.close()


@pytest.fixture
async def store(no_task_left: None, tmp_path: Path) -> AsyncIterator[Approvals]:
    """An empty store."""
    async with _opened(tmp_path / "approvals.db") as made:
        yield made


def _stored(path: Path, identity: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(path)) as database:
        row: tuple[Any, ...] = database.execute(
            "SELECT state, answered_by, reason FROM approvals WHERE id = ?", (identity,)
        ).fetchone()
    return row


async def _authenticates(_approval: Approval) -> None:
    """The person did."""


async def _answer(
    store: Approvals,
    approval: Approval,
    who: Approver = ANN,
    *,
    approve: bool = True,
    reason: str = "",
    digest: str | None = None,
    said: Answer | None = None,
) -> str:
    """Answer; "" where it was taken, else the error's code."""
    try:
        await store.answer(
            approval.id,
            approval.digest if digest is None else digest,
            said=said or Answer(state=State.APPROVED if approve else State.DENIED, reason=reason),
            who=who,
            authenticate=_authenticates,
        )
    except ApprovalError as exc:
        return exc.code
    return ""


async def test_a_yes_is_consumed_by_the_one_who_waits(store: Approvals, tmp_path: Path) -> None:
    approval = await store.request(DRAFT, wait_s=60)
    path = tmp_path / "approvals.db"
    assert _stored(path, approval.id) == ("pending", None, None)
    assert await _answer(store, approval) == ""
    assert _stored(path, approval.id)[:2] == ("approved", 1000)
    assert await store.wait(approval, wait_s=60) == Answer(state=State.APPROVED, answered_by=1000)
    assert _stored(path, approval.id)[:2] == ("consumed", 1000)
    assert await _answer(store, approval) == "unknown"
    assert (store.open, store.pending(who=ROOT)) == (0, [])


async def test_a_no_has_its_reason(store: Approvals, tmp_path: Path) -> None:
    approval = await store.request(DRAFT, wait_s=60)
    assert await _answer(store, approval, approve=False, reason="not now") == ""
    assert await store.wait(approval, wait_s=60) == Answer(state=State.DENIED, answered_by=1000, reason="not now")
    assert _stored(tmp_path / "approvals.db", approval.id) == ("denied", 1000, "not now")


async def test_b6_a_no_is_one_to_all_that_its_session_has_pending(store: Approvals, tmp_path: Path) -> None:
    first, second, third = [await store.request(DRAFT, wait_s=60) for _ in range(3)]
    elsewhere = await store.request(replace(DRAFT, session=SessionId("s2")), wait_s=60)
    assert await _answer(store, third) == ""
    assert await _answer(store, first, approve=False, reason="not now") == ""
    assert store.pending(who=ANN) == [elsewhere]
    assert await _answer(store, second) == "unknown"
    cleared = Answer(state=State.DENIED, reason=f"a no to {first.id}, which waited beside it")
    assert await store.wait(second, wait_s=60) == cleared
    assert (await store.wait(third, wait_s=60)).state is State.APPROVED  # it was answered before
    path = tmp_path / "approvals.db"
    assert [_stored(path, each.id)[0] for each in (first, second, third, elsewhere)] == [
        "denied",
        "denied",
        "consumed",
        "pending",
    ]


@pytest.mark.parametrize("state", [State.APPROVED, State.SKIPPED, State.EDITED])
async def test_b6_twin_any_other_answer_is_to_its_own_card_alone(store: Approvals, state: State) -> None:
    first, second = [await store.request(DRAFT, wait_s=60) for _ in range(2)]
    said = Answer(state=state, reason="so", line="id" if state is State.EDITED else "")
    assert await _answer(store, first, said=said) == ""
    assert store.pending(who=ANN) == [second]
    assert await store.wait(first, wait_s=60) == replace(said, answered_by=1000)
    assert await _answer(store, second) == ""


@pytest.mark.parametrize(
    ("changed", "who", "code"),
    [
        ({}, ANN, ""),
        ({"run_as": RunAs.ROOT}, ANN, ""),
        ({"run_as": RunAs.ROOT}, ADMIN, "not_entitled"),
        ({"run_as": RunAs.ROOT}, ROOT, "not_entitled"),
        ({"tool": "write_file"}, ANN, "not_entitled"),
        ({}, BOB, "unknown"),
    ],
)
async def test_who_may_put_another_line_in_its_place(
    store: Approvals, changed: dict[str, Any], who: Approver, code: str
) -> None:
    approval = await store.request(replace(DRAFT, **changed), wait_s=60)
    assert await _answer(store, approval, who, said=Answer(state=State.EDITED, line="id")) == code
    assert store.pending(who=ANN) == ([] if code == "" else [approval])


async def test_the_first_answer_counts(store: Approvals, tmp_path: Path) -> None:
    approval = await store.request(DRAFT, wait_s=60)
    answers = [_answer(store, approval, approve=number % 2 == 0) for number in range(6)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in answers]
    results = [task.result() for task in tasks]
    assert results.count("") == 1
    assert set(results) <= {"", "not_pending", "unknown"}
    answer = await store.wait(approval, wait_s=60)
    wanted = State.APPROVED if results.index("") % 2 == 0 else State.DENIED
    assert answer.state is wanted
    assert _stored(tmp_path / "approvals.db", approval.id)[0] == ("consumed" if wanted is State.APPROVED else "denied")


async def test_no_answer_in_time_is_no_for_good(store: Approvals, tmp_path: Path) -> None:
    approval = await store.request(DRAFT, wait_s=60)
    assert await store.wait(approval, wait_s=0) == Answer(state=State.EXPIRED)
    assert _stored(tmp_path / "approvals.db", approval.id)[0] == "expired"
    assert await _answer(store, approval) == "unknown"


async def test_what_is_withdrawn_is_gone_and_expires(store: Approvals, tmp_path: Path) -> None:
    approval = await store.request(DRAFT, wait_s=60)
    assert store.is_open(approval)
    store.withdraw(approval)
    store.withdraw(approval)
    assert not store.is_open(approval)
    assert await _answer(store, approval) == "unknown"
    await store.request(DRAFT, wait_s=60)  # one thread: what was told before is done
    assert _stored(tmp_path / "approvals.db", approval.id)[0] == "expired"


async def test_what_was_open_when_the_guard_ended_is_expired_at_its_next_start(
    no_task_left: None, tmp_path: Path
) -> None:
    path = tmp_path / "approvals.db"
    async with _opened(path) as store:
        pending = await store.request(DRAFT, wait_s=60)
        approved = await store.request(DRAFT, wait_s=60)
        denied = await store.request(replace(DRAFT, session=SessionId("s2")), wait_s=60)
        assert await _answer(store, approved) == await _answer(store, denied, approve=False) == ""
    store = Approvals(path, boot="b2")
    try:
        assert await store.open_store(lambda _approval: True) == ([], 2)
        assert await _answer(store, pending) == await _answer(store, approved) == "unknown"
        assert store.pending(who=ROOT) == []
    finally:
        store.close()
    states = [_stored(path, each.id)[0] for each in (pending, approved, denied)]
    assert states == ["expired", "expired", "denied"]


async def test_what_was_open_in_this_boot_is_open_again_with_the_yes_that_was_not_used(
    no_task_left: None, tmp_path: Path
) -> None:
    path = tmp_path / "approvals.db"
    async with _opened(path) as store:
        pending = await store.request(
            replace(DRAFT, environment=(("A", "b=c"), ("PATH", "/x")), files=("f",)), wait_s=60
        )
        approved = await store.request(DRAFT, wait_s=60)
        used = await store.request(DRAFT, wait_s=60)
        over = await store.request(replace(DRAFT, action="late"), wait_s=0)
        tied = await store.request(replace(DRAFT, tool="connect"), wait_s=60)
        changed = await store.request(DRAFT, wait_s=60)
        assert await _answer(store, approved) == await _answer(store, used) == ""
        assert (await store.wait(used, wait_s=60)).state is State.APPROVED
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "UPDATE approvals SET record = replace(record, 'touch x', 'touch y') WHERE id = ?", (changed.id,)
        )
        database.commit()
    store = Approvals(path, boot="b1")
    try:
        assert await store.open_store(lambda each: each.tool != "connect") == ([pending, approved], 3)
        assert store.pending(who=ANN) == [pending]
        assert (await store.wait(approved, wait_s=0)).answered_by == 1000
        assert await _answer(store, pending) == ""
        assert (await store.wait(pending, wait_s=60)).state is State.APPROVED
    finally:
        store.close()
    states = [_stored(path, each.id)[0] for each in (pending, approved, used, over, tied, changed)]
    assert states == ["consumed", "consumed", "consumed", "expired", "expired", "expired"]


async def test_the_store_keeps_a_thousand(no_task_left: None, tmp_path: Path) -> None:
    path = tmp_path / "approvals.db"
    async with _opened(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        rows = [(f"{number:08x}",) for number in range(2500)]
        database.executemany("INSERT INTO approvals VALUES (?, 1, 'denied', '', '', 1, '', '')", rows)
        database.commit()
    async with _opened(path):
        pass
    with closing(sqlite3.connect(path)) as database:
        ((count, oldest),) = database.execute("SELECT count(*), min(id) FROM approvals")
    assert (count, oldest) == (1000, f"{1500:08x}")


# The digest -----------------------------------------------------------------------------------------------------------

OTHER_VALUES: dict[str, Any] = {
    "uid": 1001,
    "environment": (("PATH", "/tmp"),),
    "run_as": RunAs.ROOT,
    "rules": (replace(DRAFT.rules[0], line=4),),
}


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(Approval) if each.name != "claim"])
def test_the_digest_is_over_everything_that_is_asked(name: str) -> None:
    other = OTHER_VALUES.get(name, f"{getattr(DRAFT, name)}x")
    assert replace(DRAFT, **{name: other}).digest != DRAFT.digest


def test_the_digest_is_not_over_the_models_words() -> None:
    assert replace(DRAFT, claim="Trust me.").digest == DRAFT.digest


def test_no_field_runs_into_the_next() -> None:
    assert replace(DRAFT, action="touch", content=" x").digest != replace(DRAFT, action="touch x", content="").digest
    one, two = (("A", "b"), ("C", "d")), (("A", "b\nC=d"),)
    assert replace(DRAFT, environment=one).digest != replace(DRAFT, environment=two).digest


async def test_two_requests_alike_are_two_approvals(store: Approvals) -> None:
    first, second = await store.request(DRAFT, wait_s=60), await store.request(DRAFT, wait_s=60)
    assert first.id != second.id
    assert first.digest != second.digest
    assert (first.boot, first.action, first.claim) == ("b1", "touch x", "I need it.")
    assert first.requested_at < first.expires_at
    assert await _answer(store, first, digest=second.digest) == "digest_differs"
    assert await _answer(store, first, digest="") == "digest_differs"
    assert store.pending(who=ANN) == [first, second]
    assert await _answer(store, first) == ""
    assert store.pending(who=ANN) == [second]


# Who may --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run_as", "who", "approve", "deny"),
    [
        (RunAs.USER, ANN, "", ""),
        (RunAs.USER, BOB, "unknown", "unknown"),
        (RunAs.USER, ADMIN, "unknown", "unknown"),
        (RunAs.USER, ROOT, "not_entitled", "not_entitled"),
        (RunAs.ROOT, ANN, "not_entitled", ""),
        (RunAs.ROOT, BOB, "unknown", "unknown"),
        (RunAs.ROOT, ADMIN, "", ""),
        (RunAs.ROOT, ROOT, "", ""),
    ],
)
async def test_who_may_approve_and_who_may_deny(
    store: Approvals, run_as: RunAs, who: Approver, approve: str, deny: str
) -> None:
    first = await store.request(replace(DRAFT, run_as=run_as), wait_s=60)
    second = await store.request(replace(DRAFT, run_as=run_as), wait_s=60)
    seen = store.pending(who=who)
    assert seen == ([] if approve == "unknown" else [first, second])
    assert await _answer(store, first, who) == approve
    assert await _answer(store, second, who, approve=False) == deny


async def test_an_administrator_who_does_not_authenticate_approves_nothing(store: Approvals) -> None:
    approval = await store.request(replace(DRAFT, run_as=RunAs.ROOT), wait_s=60)

    async def fails(_approval: Approval) -> None:
        raise ApprovalError("not_entitled", "not authenticated")

    with pytest.raises(ApprovalError, match="not authenticated"):
        await store.answer(
            approval.id, approval.digest, said=Answer(state=State.APPROVED), who=ADMIN, authenticate=fails
        )
    assert store.pending(who=ANN) == [approval]
