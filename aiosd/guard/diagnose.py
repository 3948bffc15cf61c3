"""What the guard can confine here, found by making the sandboxes and trying them, each finding with its remedy."""

import os
import shutil
from pathlib import Path

from aiosd.guard.bus import runs_systemd
from aiosd.guard.host import ALLOW_NAMESPACES, INSTALL
from aiosd.guard.workers import CLOSED, Workers
from aiosd.sandbox import probe
from aiosd.sandbox.cgroup import find_controllers
from aiosd.sandbox.landlock import RESOLVE_ABI, SCOPE_ABI
from aiosd.sandbox.link import Identity, SandboxError
from aiosd.sandbox.probe import TRIES
from aiosd.sandbox.profile import HostFacts, Profile, ProfileError, ProfileName, render_environment
from aiosd.types import Facet, JsonObject

_PROBE = Path(probe.__file__)


async def diagnose(workers: Workers, identity: Identity, *, mode: str) -> list[JsonObject]:
    """The checks, most important first: name, state (ok, missing, weaker), detail, remedy."""
    checks = [await _try(workers, identity, CLOSED, "sandbox", ALLOW_NAMESPACES)]
    for facet, remedy in ((Facet.PROCESSES, ""), (Facet.SOCKETS, "")):
        profile = Profile(name=ProfileName.READ_ONLY, facets=frozenset({facet}))
        checks.append(await _try(workers, identity, profile, f"observe {facet}", remedy or ALLOW_NAMESPACES))
    checks.append(await _walls(workers, identity))
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
        return _check(name, ok=False, detail="a file could be written", remedy="report this as a security problem")
    return _check(name, ok=True, detail="works, and nothing could be written")


async def _walls(workers: Workers, identity: Identity) -> JsonObject:
    """Try to break out of a closed sandbox in every way that `sandbox.probe` knows, and say by what limits are held."""
    out = os.memfd_create("probe", os.MFD_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    environment = render_environment(CLOSED, user=identity.user, home=identity.home)
    words = _words(workers.host.interpreter, "-I", "-S", str(_PROBE))
    try:
        async with workers.fresh(identity, CLOSED) as link:
            ended = await link.run(("run", words, "/", environment), (null, out, null))
            limits = find_controllers(link.group) if link.group else "of each process by itself"
        broken = os.pread(out, 4096, 0).decode().splitlines()
    except (SandboxError, ProfileError) as exc:
        return _check("walls", ok=False, detail=str(exc), remedy=ALLOW_NAMESPACES)
    finally:
        os.close(out)
        os.close(null)
    if ended != 0 or broken:
        detail = f"these gave way: {', '.join(broken)}" if broken else f"the probe ended with {ended}"
        return _check("walls", ok=False, detail=detail, remedy="report this as a security problem")
    return _check("walls", ok=True, detail=f"{len(TRIES)} ways out tried, all closed; limits: {limits}")


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
