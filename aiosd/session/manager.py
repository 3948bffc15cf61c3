"""All sessions: opened for the person the kernel named, found again by id or name, forgotten when idle, pruned by age.

What is somebody else's does not exist. Every turn is a task of the daemon's own group.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence

from aiosd.errors import (
    AiosError,
    NameTakenError,
    NotFoundError,
    SessionBusyError,
    StoppingError,
    StorageError,
    TooManyRequestsError,
)
from aiosd.session.credentials import check_secrets
from aiosd.session.names import check_name, propose_names
from aiosd.session.session import Rooms, Session
from aiosd.session.turn import Ask
from aiosd.types import JsonObject, SessionId
from aiosd.wire import CheckInfo, SessionDetail, SessionList

_LOG = logging.getLogger(__name__)
_FORGET_S = 60.0
_SWEEP_S = 15.0
_END_S = 5.0
_GO_ON_S = 5.0
_LOOK_S = 0.5
_PRUNE_S = 24 * 3600.0
_TITLE = 80
_LISTED = 200


class SessionManager:
    """Every session of every user. Turns run in `group`."""

    def __init__(self, rooms: Rooms, group: asyncio.TaskGroup) -> None:
        self._rooms = rooms
        self._group = group
        self._open: dict[tuple[int, SessionId], Session] = {}
        self._starting: Counter[int] = Counter()  # turns of each user that are neither refused nor running yet
        self._stopping = False

    @property
    def open_count(self) -> int:
        """How many sessions are in memory."""
        return len(self._open)

    @property
    def running_count(self) -> int:
        """How many turns run."""
        return sum(session.running for session in self._open.values())

    async def ask(self, uid: int, ask: Ask, *, session: str, newest: bool, client_fd: int) -> tuple[Session, int]:
        """Start a turn in the session that is named, the newest, or a new one; the cursor before its first event.

        `client_fd` is the person's own connection: the guard reads from it for whom it will act.
        """
        self._refuse_when_stopping()
        if ask.model:
            self._rooms.models.find(ask.model)
        running = sum(each.uid == uid and each.running for each in self._open.values()) + self._starting[uid]
        if running >= self._rooms.live.config.limits.turns_per_user:
            raise TooManyRequestsError(
                f"{running} turns of yours run already", hint="wait for one, or raise limits.turns_per_user"
            )
        self._starting[uid] += 1
        try:
            found = await self._open_for(uid, ask, session=session, newest=newest, client_fd=client_fd)
        finally:
            self._starting[uid] -= 1
        self._refuse_when_stopping()
        return found, await found.start_turn(ask, self._group)

    async def _open_for(self, uid: int, ask: Ask, *, session: str, newest: bool, client_fd: int) -> Session:
        known = await self.find(uid, session) if session or newest else None
        if ask.name:
            check_name(ask.name)
        new = not known or ask.fork
        if known and ask.fork and known.running:
            raise SessionBusyError(f"a turn runs in {known.name}", hint="wait for it, or cancel it")
        session_id = SessionId(secrets.token_hex(13)) if new or not known else known.id
        opened = await self._rooms.guard.call("OpenSession", {"session": session_id}, client_fd=client_fd)
        found = await self._create(uid, session_id, ask, known) if new or not known else known
        found.unmatched = str(opened.get("unmatched", ""))
        return found

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            raise StoppingError("the daemon is stopping", hint="ask again; the next request starts a new one")

    async def find(self, uid: int, wanted: str) -> Session:
        """A session of `uid` by id or name, the newest by ""; NotFoundError if there is none."""
        info = await self._rooms.transcripts.find(uid, wanted)
        if info is None:
            raise NotFoundError(
                f"there is no session {wanted}" if wanted else "there is no session yet",
                hint="aios sessions lists them",
            )
        return await self._load(uid, SessionId(info.id), info.name)

    async def detail(self, uid: int, wanted: str) -> SessionDetail:
        """A session with its turns."""
        found = await self.find(uid, wanted)
        info = await self._rooms.transcripts.find(uid, found.id)
        assert info is not None
        turns = await self._rooms.transcripts.turns(uid, found.id)
        turn_seq = await self._rooms.transcripts.archive.turn_seq(uid, found.id)
        files = await self._rooms.transcripts.files.list(uid, found.id)
        return SessionDetail(session=info, turns=turns, files=files, last_seq=found.log.last_seq, turn_seq=turn_seq)

    async def list(self, uid: int, *, search: str = "") -> SessionList:
        """The newest sessions of `uid`, those in which `search` stands where it is not ""."""
        transcripts = self._rooms.transcripts
        if search:
            return SessionList(sessions=await transcripts.archive.search(uid, search, limit=_LISTED))
        return SessionList(sessions=await transcripts.sessions(uid, limit=_LISTED))

    async def read(
        self, uid: int, wanted: str
    ) -> tuple[SessionDetail, Sequence[tuple[int, JsonObject]], Mapping[str, str]]:
        """A session, its messages by turn, the tiers of its calls."""
        detail = await self.detail(uid, wanted)
        messages, tiers = await self._rooms.transcripts.archive.read(uid, SessionId(detail.session.id))
        return detail, messages, tiers

    async def read_file(self, uid: int, wanted: str, path: str) -> bytes:
        """A file that a session keeps. NotFoundError."""
        session = await self.find(uid, wanted)
        return await self._rooms.transcripts.files.get(uid, session.id, path)

    async def rename(self, uid: int, wanted: str, name: str) -> None:
        """Name a session. InvalidRequestError where that is no name, NameTakenError where it is another one's."""
        check_name(name)
        session = await self.find(uid, wanted)
        if not await self._rooms.transcripts.archive.rename(uid, session.id, name):
            raise NameTakenError(f"there is a session {name} already", hint="choose another name")
        session.name = name

    async def delete(self, uid: int, wanted: str) -> tuple[str, str]:
        """Delete a session; its id and name. SessionBusyError while a turn runs in it."""
        session = await self.find(uid, wanted)
        if session.running:
            raise SessionBusyError(f"a turn runs in {session.name}", hint="wait for it, or cancel it")
        await self._rooms.transcripts.archive.delete(uid, session.id)
        self._open.pop((uid, session.id), None)
        return session.id, session.name

    async def maintain(self) -> None:
        """Forget idle sessions and prune old ones, until cancelled."""
        loop = asyncio.get_running_loop()
        prune_at = loop.time()
        while True:
            await asyncio.sleep(_SWEEP_S)
            oldest = loop.time() - _FORGET_S
            for key, session in list(self._open.items()):
                if not session.running and session.used_at < oldest:
                    del self._open[key]
            if loop.time() >= prune_at:
                prune_at = loop.time() + _PRUNE_S
                await self._prune()

    async def go_on(self) -> None:
        """Go on with the turns whose cards outlived an earlier daemon. For once, before anything is asked."""
        left = self._rooms.waiting.read()
        if not left:
            return
        try:
            async with asyncio.timeout(_GO_ON_S):
                kept = await self._rooms.guard.list_kept()
        except (AiosError, TimeoutError) as exc:
            _LOG.warning("turns that waited for an answer are interrupted: %r", exc)
            kept = frozenset()
        going = [turn for turn in left if (turn.session, turn.call) in kept]
        self._rooms.transcripts.spare(frozenset(turn.session for turn in going))
        for turn in left:
            try:
                if turn in going:
                    session = await self.find(turn.uid, turn.session)
                    await session.go_on(self._group)
                else:
                    self._rooms.waiting.remove(turn.uid, turn.session)
            except AiosError as exc:
                _LOG.warning("a turn of session %s does not go on: %s", turn.session, exc.message)

    async def stop(self, drain_s: float, *, leave: bool = False) -> None:
        """Take no more turns; let those that run end within `drain_s` seconds, then interrupt them.

        With `leave`, those that wait for an answer are left as they are, at once: the next daemon goes on with them.
        """
        self._stopping = True
        deadline = asyncio.get_running_loop().time() + drain_s
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            busy = {
                each.task for each in self._open.values() if each.task and each.running and not (leave and each.waits)
            }
            if not busy:
                break
            await asyncio.wait(busy, timeout=min(left_s, _LOOK_S))
        for session in self._open.values():
            if not (leave and session.waits):
                session.cancel()
        await self._wait_for({each.task for each in self._open.values() if each.task and not (leave and each.waits)})
        self._rooms.guard.leave()
        for session in self._open.values():
            session.leave()
        await self._wait_for({each.task for each in self._open.values() if each.task})

    async def _wait_for(self, turns: set[asyncio.Task[None]]) -> None:
        if turns:
            await asyncio.wait(turns, timeout=_END_S)

    async def _create(self, uid: int, session: SessionId, ask: Ask, source: Session | None) -> Session:
        """A new session, or where there is a `source` a copy of it. NameTakenError."""
        transcripts = self._rooms.transcripts
        title = " ".join(ask.about.split())[:_TITLE]
        names = [ask.name] if ask.name else list(propose_names())
        if source:
            name = await transcripts.archive.fork(uid, source.id, session, names)
        else:
            name = await transcripts.create(uid, session, names, title)
        if ask.name and name != ask.name:
            await transcripts.archive.delete(uid, session)
            raise NameTakenError(f"there is a session {ask.name} already", hint="go on with it: --session NAME")
        made = self._open[uid, session] = Session(self._rooms, uid, session, name, last_seq=0)
        made.new = source is None
        return made

    async def _load(self, uid: int, session: SessionId, name: str) -> Session:
        found = self._open.get((uid, session))
        if found is None:
            last_seq = await self._rooms.transcripts.last_seq(uid, session)
            found = self._open.setdefault((uid, session), Session(self._rooms, uid, session, name, last_seq=last_seq))
        found.used_at = asyncio.get_running_loop().time()
        return found

    def trouble(self, uid: int) -> str:
        """Why what `uid` says is kept in memory alone; "" where it is on the disk."""
        return self._rooms.transcripts.trouble(uid)

    def check_secrets(self, uid: int) -> Sequence[CheckInfo]:
        """Whether the secrets that the commands of `uid` use can be put in."""
        return check_secrets(self._rooms.live.config.secrets, self._rooms.reveal, uid)

    async def _prune(self) -> None:
        for uid in self._rooms.transcripts.users():
            in_use = frozenset(session for owner, session in self._open if owner == uid)
            table = self._rooms.live.config.sessions
            try:
                deleted = await self._rooms.transcripts.prune(
                    uid, in_use=in_use, keep_days=table.keep_days, keep_bytes=table.keep_mib * 1024 * 1024
                )
            except StorageError as exc:
                _LOG.error("the transcripts of uid %d cannot be pruned: %s; %s", uid, exc.message, exc.hint)
                continue
            if deleted:
                _LOG.info("%d old sessions of uid %d were deleted", deleted, uid)
