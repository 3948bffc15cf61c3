"""Runs inside a guest, as root: one command line in the bus view, or beside it, as a user; prints what came.

    bus_probe.py USER inside|outside ARGV...

Not a test: `test_observing.py` puts it into the guest.
"""

import asyncio
import json
import os
import pwd
import subprocess
import sys

sys.path.insert(0, "/usr/lib/aios")

from aiosd.guard.bus import BusProxy
from aiosd.guard.host import find_host
from aiosd.guard.settings import GuardSettings, LiveSettings
from aiosd.guard.workers import Workers
from aiosd.sandbox.link import Identity
from aiosd.sandbox.profile import Profile, ProfileName, render_environment
from aiosd.sandbox.start import DirectStarter
from aiosd.types import Facet, SessionId


async def _inside(identity: Identity, argv: list[str]) -> tuple[int, str]:
    bus = BusProxy("/run/bus-probe", managed=False)
    profile = Profile(name=ProfileName.READ_ONLY, facets=frozenset({Facet.BUS}))
    out, end = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    async with asyncio.TaskGroup() as group:
        workers = Workers(
            LiveSettings(GuardSettings(spare_workers=0)), await find_host(), group, starter=DirectStarter(), masks=()
        )
        workers.use_bus_proxy(await bus.path())
        async with workers.warm(SessionId("probe"), identity, profile) as link:
            environment = render_environment(profile, user=identity.user, home=identity.home)
            words = tuple((word, None, False) for word in argv)
            status = await link.run(("run", ((words, ()),), "/", environment), (null, end, end))
        await workers.close()
    os.close(end)
    await bus.close()
    text = b""
    while piece := os.read(out, 65536):
        text += piece
    return status, text.decode("utf-8", "replace")


def main() -> None:
    """Do it, and print status and output as JSON."""
    user, where, *argv = sys.argv[1:]
    entry = pwd.getpwnam(user)
    groups = tuple(os.getgrouplist(user, entry.pw_gid))
    if where == "outside":
        ran = subprocess.run(
            argv,
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=list(groups),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "TERM": "dumb"},
        )
        status, text = ran.returncode, ran.stdout.decode()
    else:
        os.makedirs("/run/bus-probe", exist_ok=True)
        identity = Identity(
            uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, user=user, home=entry.pw_dir, drop=True
        )  # fmt: skip
        status, text = asyncio.run(_inside(identity, argv))
    print(json.dumps({"status": status, "text": text}))


main()
