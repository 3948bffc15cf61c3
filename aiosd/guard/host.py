"""What this host lets a sandbox have, as far as it can be told without making one."""

import asyncio
import os
import re
import shutil
import stat
import sys

from aiosd.sandbox.landlock import read_abi
from aiosd.sandbox.link import SandboxError
from aiosd.sandbox.parts import default_interpreter
from aiosd.sandbox.process import Process
from aiosd.sandbox.profile import HostFacts

_LEAST_BWRAP = (0, 8)
_DIRECT_MASKS_BWRAP = (0, 12)  # from here on a bind target below a user's folder cannot be led astray
_VERSION_DEADLINE_S = 5.0
INSTALL = "install bubblewrap 0.8 or later (Debian: apt install bubblewrap, Arch: pacman -S bubblewrap)"
ALLOW_NAMESPACES = (
    "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0, or the "
    "AppArmor profile of bwrap), and install bubblewrap 0.8 or later"
)


async def find_host() -> HostFacts:
    """The facts. Where nothing can be confined their `trouble` says why, and what to do."""
    path, trouble = "", ""
    version: tuple[int, ...] = ()
    try:
        path, version = await _find_bwrap()
    except (SandboxError, OSError, TimeoutError) as exc:
        trouble = str(exc)
    interpreter = default_interpreter()
    prefix = os.path.realpath(sys.base_prefix)
    return HostFacts(
        bwrap=path,
        direct_masks=version >= _DIRECT_MASKS_BWRAP,
        fresh_proc=True,
        machine=os.uname().machine,
        landlock=read_abi(),
        interpreter=interpreter,
        extra=() if prefix == "/usr" or prefix.startswith("/usr/") else (prefix,),
        trouble=trouble,
    )


def find_remedy(problem: str) -> str:
    """What to do about a sandbox that cannot be made, as far as its own words tell; else ""."""
    return ALLOW_NAMESPACES if "namespace" in problem or "uid map" in problem else ""


async def _find_bwrap() -> tuple[str, tuple[int, ...]]:
    """Its path and version; SandboxError where there is none to use."""
    path = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
    if path is None:
        raise SandboxError(f"bubblewrap is missing, and nothing runs unconfined; {INSTALL}")
    if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise SandboxError(f"{path} is setuid, which is not safe to use; {INSTALL}")
    version = await _read_version(path)
    if version < _LEAST_BWRAP:
        raise SandboxError(f"{path} is version {'.'.join(map(str, version))}; {INSTALL}")
    return path, version


async def _read_version(path: str) -> tuple[int, ...]:
    out, end = os.pipe2(os.O_CLOEXEC)
    try:
        process = Process([path, "--version"], fds={1: end})
        os.close(end)
        async with asyncio.timeout(_VERSION_DEADLINE_S):
            await process.wait()
        process.close()
        text = os.read(out, 200)
    finally:
        os.close(out)
    match = re.search(rb"(\d+(?:\.\d+)+)", text)
    if match is None:
        raise SandboxError(f"{path} --version says nothing understandable; {INSTALL}")
    return tuple(map(int, match[1].split(b".")))
