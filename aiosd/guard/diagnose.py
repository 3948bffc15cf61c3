"""What the guard can confine here, found by making the sandboxes and trying them, each finding with its remedy."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from aiosd.guard.bus import runs_systemd
from aiosd.guard.host import ALLOW_NAMESPACES, INSTALL
from aiosd.guard.workers import CLOSED, Workers
from aiosd.sandbox import probe
from aiosd.sandbox.cgroup import find_controllers
from aiosd.sandbox.landlock import RESOLVE_ABI, SCOPE_ABI
from aiosd.sandbox.limits import Limits
from aiosd.sandbox.link import Identity, SandboxError
from aiosd.sandbox.parts import put_in_memory
from aiosd.sandbox.probe import WALLS
from aiosd.sandbox.profile import HostFacts, Profile, ProfileError, ProfileName, render_environment
from aiosd.types import Facet, JsonObject

_PROBE = Path(probe.__file__)
_PLAIN_FACETS = (Facet.PROCESSES, Facet.SOCKETS)
_BY_NAME = "sockets by name"
_MOST_SOCKETS = 64
_FEW, _LITTLE_MIB = 24, 96
_REPORT = "report this as a security problem"
_REMEDIES = {
    "files": "install bubblewrap 0.12 or later, whose mounts these are",
    "network": "boot a kernel with network namespaces and seccomp filters",
    "processes": "boot Linux 6.12 or later, with landlock among lsm=",
    "rights": "install bubblewrap without setuid, and let no_new_privs be",
    "system calls": "boot a kernel with seccomp filters",
}


async def diagnose(workers: Workers, identity: Identity, *, mode: str, socket: str) -> list[JsonObject]:
    """The checks, most important first: name, state (ok, missing, weaker), detail, remedy. `socket` is the guard's."""
    checks = [await _try(workers, identity, CLOSED, "sandbox", ALLOW_NAMESPACES)]
    checks += [
        await _try(workers, identity, _seeing(facet), f"observe {facet}", ALLOW_NAMESPACES) for facet in _PLAIN_FACETS
    ]
    checks += await _walls(workers, identity)
    checks.append(await _named_socket(workers, identity, socket))
    checks.append(await _limits(workers, identity))
    checks.append(await _worker(workers, identity))
    host = workers.host  # as these have left it
    checks.append(_bus())
    checks.append(
        _check("owners", ok=identity.drop, detail="files and processes show their owners")
        if identity.drop
        else _check(
            "owners",
            ok=False,
            weaker=True,
            detail="without root, what belongs to others shows as nobody's",
            remedy="install the service; its guard can map users",
        )
    )
    checks.append(_bubblewrap(host))
    checks.append(_landlock(host.landlock))
    checks.append(
        _check(
            "own /proc",
            ok=host.fresh_proc,
            weaker=True,
            detail="a sandbox has its own" if host.fresh_proc else "a sandbox shows the one of this container",
            remedy="nothing to do on a host; in a container, show one whole /proc",
        )
    )
    checks.append(
        _check(
            "commands as root",
            ok=mode == "system",
            weaker=True,
            detail="by systemd" if mode == "system" else "refused in standalone mode",
            remedy="install the service",
        )
    )
    return checks


async def _try(workers: Workers, identity: Identity, profile: Profile, name: str, remedy: str) -> JsonObject:
    """Make the sandbox, run `true` in it, and let it try to write where it must not."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    environment = render_environment(profile, user=identity.user, home=identity.home)
    try:
        async with workers.fresh(identity, profile) as link:
            ran = await link.run(("run", _words("true"), "/", environment), (null, null, null))
            wrote = await link.run(("run", _words("touch", "/tmp/.aios-probe"), "/", environment), (null, null, null))
    except (SandboxError, ProfileError) as exc:
        return _check(name, ok=False, detail=str(exc), remedy=remedy)
    finally:
        os.close(null)
    if ran != 0:
        return _check(name, ok=False, detail=f"true ended with {ran}", remedy=remedy)
    if wrote == 0:
        return _check(name, ok=False, detail="a file could be written", remedy=_REPORT)
    return _check(name, ok=True, detail="works, and nothing could be written")


async def _walls(workers: Workers, identity: Identity) -> list[JsonObject]:
    """Try to break out of each view that needs no approval, in every way that `sandbox.probe` knows; by wall."""
    broken: dict[str, list[str]] = {name: [] for name in WALLS}
    for view, profile in (("", CLOSED), *((f" ({facet})", _seeing(facet)) for facet in _PLAIN_FACETS)):
        try:
            said = await _probe(workers, identity, profile)
        except (SandboxError, ProfileError) as exc:
            return [_check("walls", ok=False, detail=str(exc), remedy=ALLOW_NAMESPACES)]
        if said.status != 0:
            return [_check("walls", ok=False, detail=f"the probe ended with {said.status}", remedy=_REPORT)]
        for name in said.lines:
            broken[next(wall for wall, tries in WALLS.items() if name in tries)].append(f"{name}{view}")
    return [
        _check(
            wall,
            ok=not gave_way,
            detail=f"these gave way: {', '.join(gave_way)}"
            if gave_way
            else f"{len(WALLS[wall])} ways out tried, closed",
            remedy=f"{_REMEDIES[wall]}; {_REPORT}",
        )
        for wall, gave_way in broken.items()
    ]


async def _named_socket(workers: Workers, identity: Identity, own: str) -> JsonObject:
    """Where a rule names a socket (here the guard's `own`), that one is reached and no other of the machine's."""
    others = [path for path in _read_sockets() if path != own][:_MOST_SOCKETS]
    profile = Profile(name=ProfileName.WORKSPACE, named=(("", own),))
    try:
        said = await _probe(workers, identity, profile, "sockets", own, *others)
    except (SandboxError, ProfileError) as exc:
        remedy = "boot Linux 7.1 or later, with landlock among lsm=, or run the system's own Python"
        return _check(_BY_NAME, ok=False, weaker=True, detail=str(exc), remedy=remedy)
    reached = [path for path in said.lines if path != own]
    if reached or said.status != 0:
        detail = f"these gave way: {', '.join(reached)}" if reached else f"the probe ended with {said.status}"
        return _check(_BY_NAME, ok=False, detail=detail, remedy=_REPORT)
    if own not in said.lines:
        detail = f"{own} is not reached where a rule names it"
        return _check(_BY_NAME, ok=False, weaker=True, detail=detail, remedy="let its user enter its folder")
    return _check(_BY_NAME, ok=True, detail=f"the named one is reached, and none of {len(others)} others")


async def _limits(workers: Workers, identity: Identity) -> JsonObject:
    """Try to have more processes and memory than a small limit allows."""
    small = Limits(command_processes=_FEW, command_memory_mib=_LITTLE_MIB)
    try:
        forked = await _probe(workers, identity, CLOSED, "processes", str(4 * _FEW), limits=small)
        filled = await _probe(workers, identity, CLOSED, "memory", str(4 * _LITTLE_MIB), limits=small)
    except (SandboxError, ProfileError) as exc:
        return _check("limits", ok=False, detail=str(exc), remedy=ALLOW_NAMESPACES)
    if gave_way := [*forked.lines, *filled.lines]:
        detail = f"these gave way: {', '.join(gave_way)}; limits: {forked.limits}"
        remedy = "give the service its cgroup controllers (systemd, cgroup v2 with memory and pids)"
        return _check("limits", ok=False, weaker=True, detail=detail, remedy=remedy)
    return _check("limits", ok=True, detail=forked.limits)


async def _worker(workers: Workers, identity: Identity) -> JsonObject:
    """Whether a worker answers, and those that sessions have."""
    try:
        async with workers.fresh(identity, CLOSED) as link:
            answers = await link.ping()
    except (SandboxError, ProfileError) as exc:
        return _check("worker", ok=False, detail=str(exc), remedy=ALLOW_NAMESPACES)
    answered, ended = await workers.ping()
    detail = f"{answered} of sessions answer" + (f"; {ended} did not and were ended" if ended else "")
    return _check("worker", ok=answers, detail=detail if answers else "it does not answer", remedy=_REPORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the probe said, how it ended, and by what it was limited."""

    lines: list[str]
    status: int
    limits: str


async def _probe(
    workers: Workers, identity: Identity, profile: Profile, *arguments: str, limits: Limits | None = None
) -> _Said:
    out = os.memfd_create("probe", os.MFD_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    environment = render_environment(profile, user=identity.user, home=identity.home)
    words = _words(workers.host.interpreter, "-I", "-S", "-", *arguments)
    source = put_in_memory(_PROBE.read_bytes())  # a view of listed folders may not hold the file
    try:
        async with workers.fresh(identity, profile, limits=limits) as link:
            status = await link.run(("run", words, "/", environment), (source, out, null))
            held = find_controllers(link.group) if link.group else "of each process by itself"
        return _Said(lines=os.pread(out, 1 << 16, 0).decode().splitlines(), status=status, limits=held)
    finally:
        for fd in (out, null, source):
            os.close(fd)


def _seeing(facet: Facet) -> Profile:
    return Profile(name=ProfileName.READ_ONLY, facets=frozenset({facet}))


def _read_sockets() -> list[str]:
    """The sockets of this machine that have a path here."""
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.rstrip("\n").split(None, 7) for line in file]
    return sorted({row[7] for row in rows[1:] if len(row) > 7 and row[7].startswith("/") and row[7].isprintable()})


def check_record(trouble: str) -> JsonObject:
    """Whether what is recorded is on the disk; `trouble` says why it is not."""
    return _check(
        "record",
        ok=not trouble,
        weaker=True,
        detail=f"in memory, as the disk takes nothing: {trouble}; what changes anything is refused"
        if trouble
        else "on the disk",
        remedy="make room on it, or make it writable; what was kept in memory is written there then",
    )


def _bubblewrap(host: HostFacts) -> JsonObject:
    if host.trouble:
        return _check("bubblewrap", ok=False, detail=host.trouble, remedy=INSTALL)
    detail = "0.12 or later" if host.direct_masks else "before 0.12: hidden folders are copies of names"
    remedy = "install bubblewrap 0.12 or later"
    return _check("bubblewrap", ok=host.direct_masks, weaker=True, detail=detail, remedy=remedy)


def _bus() -> JsonObject:
    if not runs_systemd():
        return _check(
            "observe bus", ok=False, weaker=True, detail="this machine does not run systemd", remedy="nothing to do"
        )  # fmt: skip
    found = shutil.which("xdg-dbus-proxy", path="/usr/bin:/bin") is not None
    return _check(
        "observe bus",
        ok=found,
        detail="by xdg-dbus-proxy" if found else "xdg-dbus-proxy is missing: services cannot be asked about",
        remedy="install xdg-dbus-proxy",
    )


def _landlock(abi: int) -> JsonObject:
    if abi == 0:
        detail = "the kernel has none: a confined command can write to named pipes that its user may write to"
    else:
        detail = f"version {abi}" + ("" if abi >= SCOPE_ABI else ": namespaces alone keep signals and sockets apart")
        if SCOPE_ABI <= abi < RESOLVE_ABI:
            detail += f"; below {RESOLVE_ABI}, what reaches a named Unix socket sees no folders but the system's"
    remedy = "boot Linux 6.12 or later, with landlock among lsm="
    return _check("Landlock", ok=abi >= SCOPE_ABI, weaker=True, detail=detail, remedy=remedy)


def _words(*words: str) -> tuple[tuple[tuple[tuple[str, None, bool], ...], tuple[()]], ...]:
    return ((tuple((word, None, False) for word in words), ()),)


def _check(name: str, *, ok: bool, detail: str, remedy: str = "", weaker: bool = False) -> JsonObject:
    state = "ok" if ok else "weaker" if weaker else "missing"
    return {"name": name, "state": state, "detail": detail, "remedy": "" if ok else remedy}
