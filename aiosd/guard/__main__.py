"""aios-guard: builds each room once, by hand, in order; serves until told to stop.

Options come from aiosd (standalone) or the unit: `--standalone`, `--listen-fd N`, `--lifeline-fd N` (its end of file is
the order to stop), `--run-dir`, `--state-dir`, `--api-socket`. Everything else is configuration.
"""

import asyncio
import functools
import gc
import logging
import os
import pwd
import socket
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiosd
from aiosd import exits
from aiosd.audit.journal import JournalSink
from aiosd.audit.log import AuditError, AuditLog
from aiosd.begin import begin
from aiosd.errors import AiosError, CannotBeginError
from aiosd.guard.activation import ActivationError, take_listener
from aiosd.guard.approvals import Approval, Approvals
from aiosd.guard.asking import Asking, is_free
from aiosd.guard.bus import BusProxy
from aiosd.guard.door import Door
from aiosd.guard.host import find_host
from aiosd.guard.identity import ClientSockets, NotIdentifiedError, load_identity
from aiosd.guard.jobs import Jobs
from aiosd.guard.keep import Kept, take_kept
from aiosd.guard.lapsing import Lapsing
from aiosd.guard.leases import Leases
from aiosd.guard.ledger import Ledger
from aiosd.guard.life import Life
from aiosd.guard.mark import StopMark
from aiosd.guard.people import find_principal
from aiosd.guard.refusal import Manager, refuse
from aiosd.guard.root import open_root_units
from aiosd.guard.run import Runner
from aiosd.guard.running import MARK, Running
from aiosd.guard.service import Service
from aiosd.guard.sessions import GuardSession, Sessions
from aiosd.guard.settings import GuardSettings, LiveSettings, load_guard_settings
from aiosd.guard.standins import Secret, load_secrets
from aiosd.guard.varlink import Peer, Server
from aiosd.guard.workers import Workers
from aiosd.layers import config_folders
from aiosd.policy import Policy, PolicyError, load_policy
from aiosd.sandbox.link import Identity, SandboxError
from aiosd.sandbox.units import ManagedStarter, find_starter, slice_of
from aiosd.types import Principal, SessionId

_LOG = logging.getLogger(__name__)
_AGENT_SHARE = 16  # times what one person may have
_SESSIONS = "sessions"
_NO_DISK = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    standalone: bool = False
    listen_fd: int = -1
    lifeline_fd: int = -1
    run_dir: str = "/run/aios"
    state_dir: str = "/var/lib/aios-guard"
    api_socket: str = "/run/aios/aiosd.sock"


def main() -> None:
    """Run the guard; returns never. Its exit status is 0, 64 for the command line, 78 where it cannot work."""
    try:
        options = _parse_options(sys.argv[1:])
    except ValueError as exc:
        sys.exit(_complain(f"{exc}; see the module's text", exits.USAGE))
    logging.basicConfig(level=logging.INFO, format="aios-guard: %(message)s", stream=sys.stderr)
    os.umask(0o077)
    gc.disable()
    try:
        asyncio.run(_run(options))
    except (CannotBeginError, SandboxError, ActivationError) as exc:
        sys.exit(_complain(str(exc), exits.BROKEN))


def _load_policy(settings: GuardSettings) -> Policy:
    """The vendor's defaults, then the administrator's folders: root's, or whose the guard and its code are."""
    code = Path(aiosd.__file__).parent
    owners = frozenset({0, os.geteuid(), code.stat().st_uid})
    folders = [code / "policy" / "defaults", *map(Path, settings.policy_dirs)]
    return load_policy([folder for folder in folders if folder.exists()], owner_uids=owners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What must be there: policy and settings that can be read, the record, the store of approvals."""

    settings: GuardSettings
    secrets: tuple[Secret, ...]
    policy: Policy
    ledger: Ledger
    approvals: Approvals
    asked: tuple[Approval, ...]
    leases: Leases
    agent_uid: int
    kept: tuple[Kept, ...]


async def _run(options: Options) -> None:
    listener = take_listener(options.listen_fd, name="guard")
    if options.standalone:  # whoever started it reads what it says
        await _serve(options, listener, await _open(options))
        return
    kept = take_kept()
    opened = await begin(
        listener, lambda: _open(options, kept), expected=CannotBeginError, refuse=refuse, manager=Manager()
    )
    if opened:
        await _serve(options, listener, opened)


async def _open(options: Options, kept: Sequence[Kept] = ()) -> Opened:
    state = Path(options.state_dir)
    try:
        settings, secrets = _load_settings(options)
        policy = _load_policy(settings)
        agent_uid = os.geteuid() if options.standalone else _find_agent_uid()
        log = AuditLog(state / "audit", Path(os.environ.get("RUNTIME_DIRECTORY", options.run_dir), "record.jsonl"))
    except AiosError as exc:
        raise CannotBeginError(f"{exc.message}; {exc.hint}") from exc
    except (PolicyError, AuditError, ActivationError) as exc:
        raise CannotBeginError(str(exc)) from exc
    ledger = Ledger(log, JournalSink())
    approvals, asked, expired = await _open_approvals(state / "approvals.db", log)
    try:
        leases = Leases(approvals, boot=log.boot)
        await leases.open()
        mode = "standalone" if options.standalone else "system"
        lost = ledger.started(version=aiosd.__version__, mode=mode, kept=frozenset(each.call for each in kept))
    except (sqlite3.Error, AuditError) as exc:
        approvals.close()
        ledger.close()
        raise CannotBeginError(f"{state}: {exc}") from exc
    if expired or lost:
        _LOG.warning("an earlier guard left %d approvals open and %d actions unfinished", expired, lost)
    return Opened(
        settings=settings,
        secrets=secrets,
        policy=policy,
        ledger=ledger,
        approvals=approvals,
        asked=tuple(asked),
        leases=leases,
        agent_uid=agent_uid,
        kept=tuple(kept),
    )


async def _open_approvals(path: Path, log: AuditLog) -> tuple[Approvals, list[Approval], int]:
    """The store of approvals, what an earlier guard asked and is still asked, and how much of it is over.

    It is in memory where the disk takes nothing.
    """

    approvals = Approvals(path, boot=log.boot)
    try:
        return approvals, *await approvals.open_store(is_free)
    except AuditError as exc:
        approvals.close()
        if getattr(exc.__cause__, "sqlite_errorcode", 0) & 0xFF not in _NO_DISK:
            log.close()
            raise CannotBeginError(f"{path.parent}: {exc}") from exc
    approvals = Approvals(Path(":memory:"), boot=log.boot)
    return approvals, *await approvals.open_store(is_free)


async def _take_up(options: Options, live: LiveSettings, asking: Asking, asked: Sequence[Approval]) -> Sessions:
    """The sessions that an earlier guard had open, with what it asked. A boot empties the folder of their notes."""
    sessions = Sessions(Path(os.environ.get("RUNTIME_DIRECTORY", options.run_dir), _SESSIONS))
    await sessions.take_up(functools.partial(_load_person, live))
    asking.take_up(asked, sessions.is_open)
    return sessions


async def _load_person(live: LiveSettings, uid: int, gid: int) -> tuple[Principal, Identity] | None:
    """Whose session it is; None for whom this guard serves nothing."""
    try:
        principal = find_principal(uid, gid)
        return principal, await load_identity(principal, observe_user=live.now.observe_user)
    except (NotIdentifiedError, OverflowError):
        return None


async def _serve(options: Options, listener: socket.socket, opened: Opened) -> None:
    ledger, approvals = opened.ledger, opened.approvals
    reason = "failed"
    bus = BusProxy(options.run_dir, managed=not options.standalone)
    live = LiveSettings(opened.settings, opened.secrets)
    try:
        async with asyncio.TaskGroup() as background:
            masks = () if os.geteuid() == 0 else (options.state_dir, options.run_dir)
            starter = await find_starter(os.environ) if options.standalone else ManagedStarter()
            host = await find_host()
            root = None if options.standalone else open_root_units(host.interpreter)
            workers = Workers(live, host, background, starter=starter, masks=(*masks, "/run/aios"))
            running = Running(Path(options.state_dir) / "stopped")
            runner = Runner(live=live, workers=workers, bus=bus, root=root, running=running)
            asking = Asking(
                approvals=approvals,
                leases=opened.leases,
                ledger=ledger,
                live=live,
                background=background,
                outlive=not options.standalone,
            )
            door = Door(
                policy=opened.policy,
                asking=asking,
                ledger=ledger,
                runner=runner,
                live=live,
                running=running,
                root=bool(root),
            )
            for each in opened.kept:
                workers.slices.keep(SessionId(each.call[0]), slice_of(str(each.facts["group"])))
            await workers.slices.tidy()
            jobs = Jobs(door, background, ledger=ledger, running=running, keeps=not options.standalone)
            for each in opened.kept:
                principal = find_principal(int(str(each.facts["uid"])), int(str(each.facts["gid"])))
                identity = await load_identity(principal, observe_user=live.now.observe_user)
                jobs.go_on(each, GuardSession(id=SessionId(each.call[0]), principal=principal, identity=identity))
            sessions = await _take_up(options, live, asking, opened.asked)
            service = Service(
                door=door,
                jobs=jobs,
                sessions=sessions,
                approvals=approvals,
                ledger=ledger,
                leases=opened.leases,
                running=running,
                workers=workers,
                clients=ClientSockets(options.api_socket),
                live=live,
                agent_uid=opened.agent_uid,
                mode="standalone" if options.standalone else "system",
            )
            mark = StopMark(Path(options.state_dir) / MARK, service.orders.stop_all)
            await mark.heed()
            limit = functools.partial(_limit, options, opened, live)
            server = Server(mark.before(service.interface()), version=aiosd.__version__, limit=limit)
            serving = background.create_task(server.serve(listener))
            lapsing = background.create_task(Lapsing(opened.leases, ledger).watch())
            gc.freeze()  # what was loaded stays
            gc.enable()
            life = Life(
                server=server,
                door=door,
                approvals=approvals,
                workers=workers,
                live=live,
                jobs=jobs,
                sessions=sessions,
                reload=lambda: _reload(options, live, door),
                lifeline_fd=options.lifeline_fd,
            )
            reason = await life.run()
            serving.cancel()
            lapsing.cancel()
            await asyncio.wait({serving, lapsing})
            asking.close()
            left = await jobs.leave()
            await workers.close()
            if left:  # they go on as they would if this guard were killed, and nothing of it is in their way
                await bus.close()
                approvals.close()
                ledger.stopped(reason)
                os._exit(0)
    finally:
        await bus.close()
        approvals.close()
        ledger.stopped(reason)
        ledger.close()


def _reload(options: Options, live: LiveSettings, door: Door) -> str:
    """Read settings and policy anew: both are taken, or neither."""
    try:
        settings, secrets = _load_settings(options)
        policy = _load_policy(settings)
    except AiosError as exc:
        return f"kept the old policy: {exc.message}"
    except PolicyError as exc:
        return f"kept the old policy: {exc}"
    live.now, live.secrets = settings, secrets
    door.use_policy(policy)
    return "policy and settings reloaded"


def _load_settings(options: Options) -> tuple[GuardSettings, tuple[Secret, ...]]:
    folders = config_folders(os.environ, standalone=options.standalone)
    return load_guard_settings(folders, os.environ), load_secrets(folders, os.environ)


def _limit(options: Options, opened: Opened, live: LiveSettings, peer: Peer) -> tuple[str, int]:
    """As whose a peer's connections count, and how many. aiosd, which has its own bound for each person, has many."""
    most = live.now.connections_per_user
    by_process = options.standalone and options.lifeline_fd >= 0  # aiosd is our parent, and has its person's uid
    if peer.pid == os.getppid() if by_process else peer.uid == opened.agent_uid:
        return "aiosd", _AGENT_SHARE * most
    return f"uid {peer.uid}", most


def _find_agent_uid() -> int:
    try:
        return pwd.getpwnam("aios").pw_uid
    except KeyError:
        raise ActivationError("there is no user aios; run systemd-sysusers, or use --standalone") from None


def _parse_options(words: list[str]) -> Options:
    values: dict[str, str | int | bool] = {}
    remaining = iter(words)
    for word in remaining:
        name = word.removeprefix("--").replace("-", "_")
        if not word.startswith("--") or name not in Options.__dataclass_fields__:
            raise ValueError(f"unknown option {word}")
        if name == "standalone":
            values[name] = True
            continue
        value = next(remaining, None)
        if value is None:
            raise ValueError(f"{word} needs a value")
        values[name] = int(value) if name.endswith("_fd") else value
    return Options(**values)  # type: ignore[arg-type] # by name: numbers for _fd, a flag, text for the rest


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"aios-guard: {text}\n")
    return status


if __name__ == "__main__":
    main()
