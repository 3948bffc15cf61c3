"""Approvals: what exactly is asked, who may answer, and that an answer is used once.

An approval is an immutable record with a digest over everything that will run. Its states go one way: pending, then
approved, denied, skipped, edited or expired; an approved one is consumed in the transaction that lets it run. Stored in
SQLite, so that no crash makes two runs of one answer; what was open when the guard ended is open again at its next
start of the same boot, as long as its time is not over: whoever proposed it proposes the same again, and waits on.

The store is used from one thread of its own; the loop never waits for the disk. What cannot be stored is AuditError.
"""

import asyncio
import hashlib
import json
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from aiosd.audit.log import AuditError
from aiosd.policy.render import render_rule
from aiosd.policy.verdict import RuleRef
from aiosd.types import ApprovalId, CallId, JsonObject, RunAs, SessionId, Tier

_T = TypeVar("_T")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS approvals (
    id TEXT PRIMARY KEY,
    uid INTEGER NOT NULL,
    state TEXT NOT NULL,
    digest TEXT NOT NULL,
    record TEXT NOT NULL,
    answered_by INTEGER,
    answered_at TEXT,
    reason TEXT
) STRICT;
"""
_KEPT = 1000


class State(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    SKIPPED = "skipped"
    EDITED = "edited"
    EXPIRED = "expired"
    CONSUMED = "consumed"


class ApprovalError(Exception):
    """An answer that cannot be taken; `code` is stable: unknown, not_entitled, not_pending, digest_differs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What is asked. Every field but `claim` is part of the digest; the claim is the model's words, shown as such.

    `content` is what a file tool would write, or a command's input; `exact` the SHA-256 of the action with all its
    arguments; `leasable` whether a yes may hold for more than once; `files` what the directory, the programs and the
    scripts are by inode or hash. Times are UTC in RFC 3339.
    """

    id: ApprovalId
    nonce: str
    boot: str
    requested_at: str
    expires_at: str
    session: SessionId
    call: CallId
    uid: int
    user: str
    tool: str
    action: str
    exact: str
    content: str
    cwd: str
    environment: tuple[tuple[str, str], ...]
    run_as: RunAs
    confinement: str
    policy: str
    reason: str
    rules: tuple[RuleRef, ...]
    leasable: bool = False
    files: tuple[str, ...] = ()
    claim: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the record."""
        return hashlib.sha256(json.dumps(_render(replace(self, claim="")), sort_keys=True).encode()).hexdigest()

    def card(self) -> JsonObject:
        """The record as a client draws it, with its digest."""
        return {**_render(self), "digest": self.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """Who looks or answers; `administers`: a member of `admin_groups`."""

    uid: int
    administers: bool = False

    def sees(self, approval: Approval) -> bool:
        """Their own; what is to run as root, for an administrator; all, for root."""
        return self.uid in (0, approval.uid) or (self.administers and approval.run_as is RunAs.ROOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person said: by which uid, with which reason for the model; or which `lease` said it.

    `line` is what an edit puts in the place of what was asked.
    """

    state: State
    answered_by: int = -1
    reason: str = ""
    lease: str = ""
    line: str = ""


class Approvals:
    """The store and those who wait for an answer."""

    def __init__(self, path: Path, *, boot: str) -> None:
        self._boot = boot
        self._waiting: dict[ApprovalId, tuple[Approval, asyncio.Future[Answer]]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="approvals")
        self._path = path
        self._database: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the store; whoever waits is cancelled by their own task."""
        if self._database is not None:
            self._thread.submit(self._database.close).result()
        self._thread.shutdown()

    async def open_store(self, stays: Callable[[Approval], bool]) -> tuple[list[Approval], int]:
        """What an earlier guard of this boot left open and `stays` so, and how much of the rest is expired.

        Call it once, first.
        """

        def work(database: sqlite3.Connection) -> tuple[list[tuple[Approval, Answer | None]], int]:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(_SCHEMA)
            taken_up = [each for each in self._read_open(database) if stays(each[0])]
            spared = {each.id for each, _answer in taken_up}
            left = database.execute("SELECT id FROM approvals WHERE state IN (?, ?)", (State.PENDING, State.APPROVED))
            over = [(State.EXPIRED, each) for (each,) in left.fetchall() if each not in spared]
            database.executemany("UPDATE approvals SET state = ? WHERE id = ?", over)
            database.execute("DELETE FROM approvals WHERE rowid <= (SELECT max(rowid) FROM approvals) - ?", (_KEPT,))
            return taken_up, len(over)

        taken_up, expired = await self.transact(work)
        for approval, answer in taken_up:
            answered = asyncio.get_running_loop().create_future()
            if answer is not None:
                answered.set_result(answer)
            self._waiting[approval.id] = (approval, answered)
        return [approval for approval, _answer in taken_up], expired

    def _read_open(self, database: sqlite3.Connection) -> Iterator[tuple[Approval, Answer | None]]:
        """What is open, of this boot and in time, as it was stored, with the yes that was given and not used."""
        now = _render_time(datetime.now(UTC))
        rows = database.execute(
            "SELECT record, digest, state, answered_by, reason FROM approvals WHERE state IN (?, ?) ORDER BY rowid",
            (State.PENDING, State.APPROVED),
        )
        for record, digest, state, answered_by, reason in rows:
            approval = _parse(record)
            if approval is None or approval.digest != digest or approval.boot != self._boot:
                continue
            if approval.expires_at > now:
                yes = Answer(state=State.APPROVED, answered_by=answered_by or 0, reason=reason or "")
                yield approval, yes if state == State.APPROVED else None

    async def request(self, draft: Approval, *, wait_s: int) -> Approval:
        """Store `draft` as pending, with an id, a nonce and its times; it lives `wait_s` seconds."""
        now = datetime.now(UTC)
        while (identity := ApprovalId(secrets.token_hex(4))) in self._waiting:
            pass
        approval = replace(
            draft,
            id=identity,
            nonce=secrets.token_hex(16),
            boot=self._boot,
            requested_at=_render_time(now),
            expires_at=_render_time(now + timedelta(seconds=wait_s)),
        )

        def work(database: sqlite3.Connection) -> None:
            database.execute(
                "INSERT INTO approvals (id, uid, state, digest, record) VALUES (?, ?, ?, ?, ?)",
                (approval.id, approval.uid, State.PENDING, approval.digest, json.dumps(approval.card())),
            )

        self._waiting[approval.id] = (approval, asyncio.get_running_loop().create_future())
        try:
            await self.transact(work)
        except BaseException:
            self.withdraw(approval)
            raise
        return approval

    async def wait(self, approval: Approval, *, wait_s: float) -> Answer:
        """The answer to a requested approval, consumed if it is yes; `expired` when none was taken in time.

        When it is cancelled before an answer the approval stays open: `withdraw` it, or wait again.
        """
        _approval, answered = self._waiting[approval.id]
        await asyncio.wait({answered}, timeout=wait_s)
        try:
            return await self._conclude(approval, answered)
        finally:
            self.withdraw(approval)

    async def _conclude(self, approval: Approval, answered: "asyncio.Future[Answer]") -> Answer:
        expired = Answer(state=State.EXPIRED)
        if not answered.done() and await self.transact(
            lambda _database: self._mark(approval.id, State.PENDING, expired)
        ):
            return expired
        answer = await answered  # taken in time: whoever gave it has been told so, or is about to be
        if answer.state is State.APPROVED and not await self.transact(
            lambda _database: self._mark(approval.id, State.APPROVED, replace(answer, state=State.CONSUMED))
        ):
            return expired
        return answer

    def dismiss(self, wanted: Callable[[Approval], bool], reason: str) -> int:
        """Answer no to all that is pending and `wanted`; how many that were."""
        chosen = [each for each in self._waiting.values() if not each[1].done() and wanted(each[0])]
        for approval, answered in chosen:
            answered.set_result(Answer(state=State.DENIED, reason=reason))
            self._thread.submit(self._mark, approval.id, State.PENDING, Answer(state=State.DENIED, reason=reason))
        return len(chosen)

    async def settle(self, several: Sequence[Approval], *, wait_s: float) -> None:
        """Return when each of them has its answer, or when the time is over."""
        waiting = [self._waiting[each.id][1] for each in several if each.id in self._waiting]
        if waiting:
            await asyncio.wait(waiting, timeout=wait_s)

    def answer_to(self, approval: Approval) -> Answer | None:
        """The answer that was taken and waits to be used."""
        _approval, answered = self._waiting.get(approval.id, (None, None))
        return answered.result() if answered is not None and answered.done() else None

    def is_open(self, approval: Approval) -> bool:
        """Whether it can still be waited for."""
        return approval.id in self._waiting

    def withdraw(self, approval: Approval) -> None:
        """Ask no more: nobody sees it any longer, and it expires if it has not come to its end."""
        if self._waiting.pop(approval.id, None) is not None:
            for state in (State.PENDING, State.APPROVED):
                self._thread.submit(self._mark, approval.id, state, Answer(state=State.EXPIRED))

    async def answer(
        self,
        identity: ApprovalId,
        digest: str,
        *,
        said: Answer,
        who: Approver,
        authenticate: Callable[[Approval], Awaitable[None]],
    ) -> None:
        """Take a person's answer. Raises ApprovalError; an answer that was taken is stored when this returns.

        What runs as root is approved by uid 0, or by an administrator for whom `authenticate` returns. A line is
        edited by nobody but the person whose session proposed it. A no is one to all that the session has pending.
        """
        approval = self.get(identity, who=who)
        if approval.run_as is RunAs.USER and who.uid != approval.uid:
            raise ApprovalError("not_entitled", f"only {approval.user} can answer this")
        if digest != approval.digest:
            raise ApprovalError("digest_differs", "the answer is to something else than what is asked; look again")
        if said.state is State.EDITED and (who.uid != approval.uid or approval.tool != "bash"):
            raise ApprovalError("not_entitled", f"only {approval.user} can edit this, and only a command line")
        if said.state is State.APPROVED and approval.run_as is RunAs.ROOT and who.uid != 0:
            if not who.administers:
                raise ApprovalError(
                    "not_entitled", f"effects as root are approved by root: sudo aios approve {identity}"
                )
            await authenticate(approval)
        answer = replace(said, answered_by=who.uid)
        if not await self.transact(lambda _database: self._mark(identity, State.PENDING, answer)):
            raise ApprovalError("not_pending", "it was answered or has expired")
        _approval, answered = self._waiting.get(identity, (approval, None))
        if answered is not None and not answered.done():
            answered.set_result(answer)
        if said.state is State.DENIED:
            self.dismiss(lambda each: each.session == approval.session, f"a no to {identity}, which waited beside it")

    def get(self, identity: ApprovalId, *, who: Approver) -> Approval:
        """A pending approval that `who` may see; ApprovalError if there is none."""
        approval, answered = self._waiting.get(identity, (None, None))
        if approval is None or answered is None or answered.done() or not who.sees(approval):
            raise ApprovalError("unknown", f"no approval {identity} is pending")
        return approval

    def pending(self, *, who: Approver) -> list[Approval]:
        """What waits for an answer and may be seen by `who`, oldest first."""
        return [approval for approval, answered in self._waiting.values() if not answered.done() and who.sees(approval)]

    @property
    def open(self) -> int:
        """How many wait, whoever's they are."""
        return len(self._waiting)

    def _mark(self, identity: ApprovalId, before: State, answer: Answer) -> bool:
        assert self._database is not None
        cursor = self._database.execute(
            "UPDATE approvals SET state = ?, answered_by = ?, answered_at = ?, reason = ? WHERE id = ? AND state = ?",
            (answer.state, answer.answered_by, _render_time(datetime.now(UTC)), answer.reason, identity, before),
        )
        return cursor.rowcount == 1

    async def transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `work` returns, done in the store's own thread. AuditError where the store fails."""

        def call() -> _T:
            if self._database is None:
                self._database = sqlite3.connect(self._path, isolation_level=None)
            return work(self._database)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except sqlite3.Error as exc:
            raise AuditError(f"the approval cannot be stored: {exc}") from exc


def _render(approval: Approval) -> JsonObject:
    values = asdict(approval)
    values["environment"] = [f"{name}={value}" for name, value in approval.environment]
    values["rules"] = [render_rule(rule) for rule in approval.rules]
    return values


def _parse(record: str) -> Approval | None:
    """The approval that was stored so; None for what another release stored."""
    try:
        values = json.loads(record)
        del values["digest"]
        rules = tuple(RuleRef(**{**each, "tier": Tier(each["tier"])}) for each in values["rules"])
        pairs = tuple((name, value) for name, _, value in (each.partition("=") for each in values["environment"]))
        run_as, files = RunAs(values["run_as"]), tuple(values["files"])
        return Approval(**{**values, "rules": rules, "environment": pairs, "run_as": run_as, "files": files})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _render_time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
