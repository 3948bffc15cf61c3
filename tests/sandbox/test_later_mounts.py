"""What is mounted on the host while a sandbox lives does not come into it: a new mount would not be read-only."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.profile import HostFacts
from tests.daemon.harness import ROOT
from tests.daemon.people import PERSON, needs_root
from tests.sandbox.box import READ_ONLY, VIEWS, opened

_TRY = "cd {folder} && ls; echo x >made; chmod 600 owned; mkdir m; rm -f owned; stat -c %a owned; ls"
# Runs one sandbox in the mount namespace it is started in, tries when told, and says what happened.
_GUARD = f"""
import asyncio, json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.daemon import people
people.IS_ROOT = os.geteuid() == 0
from tests.sandbox import box
host = box.load_host()
async def main():
    view, line = sys.argv[1:]
    async with box.opened(box.VIEWS[view], host) as sandbox:
        print("ready", flush=True)
        sys.stdin.readline()
        said = await sandbox.shell(line)
        stale = sandbox.is_stale()
    async with box.opened(box.VIEWS[view], host) as sandbox:
        again = await sandbox.shell(line)
    print(json.dumps([said.out.decode(), stale, again.out.decode()]))
asyncio.run(main())
"""


@contextmanager
def shared_mounts() -> Iterator[list[str]]:
    """A mount namespace whose mounts are shared, as on a booted host: the words that run a command in it."""
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "shared", "--", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout
    holder.stdout.readline()
    try:
        yield ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--"]
    finally:
        holder.communicate()


@needs_root
@pytest.mark.parametrize("who", [0, PERSON], ids=["guard of root", "guard without root"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_file_system_mounted_later_cannot_be_changed(place: Path, view: str, who: int) -> None:
    folder = place / "stick"
    folder.mkdir()
    with shared_mounts() as inside:
        become = ["setpriv", f"--reuid={who}", f"--regid={who}", "--clear-groups", "--"] if who else []
        guard: subprocess.Popen[str] = subprocess.Popen(
            [*inside, *become, sys.executable, "-c", _GUARD, view, _TRY.format(folder=folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert guard.stdout
        assert guard.stdout.readline() == "ready\n"
        mount = (
            f"mount -t tmpfs -o mode=0755,uid={PERSON} stick {folder} && install -o {PERSON} /dev/null {folder}/owned"
        )
        subprocess.run([*inside, "sh", "-c", mount], check=True)
        out, _ = guard.communicate("go\n")
        kept = subprocess.run([*inside, "stat", "-c", "%a", f"{folder}/owned"], capture_output=True, check=True)
        # The twin: the same line outside, as the same person, changes what it can.
        person = ["setpriv", f"--reuid={PERSON}", f"--regid={PERSON}", "--clear-groups", "--", "sh", "-c"]
        twin = subprocess.run(
            [*inside, *person, _TRY.format(folder=folder)], capture_output=True, check=False, text=True
        )
    first, stale, second = json.loads(out)
    assert first == ""  # not seen, and so not touched
    assert stale  # the next action gets a sandbox that shows the host as it is now
    assert second == "owned\n755\nowned\n"  # seen, and still not to be changed
    assert kept.stdout == b"755\n"
    assert twin.stdout == "owned\nm\nmade\n"


async def test_a_sandbox_is_not_stale_while_the_mounts_stay_as_they_are(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        await box.run("true")
        assert not box.is_stale()
        assert not box.is_stale()


@pytest.mark.parametrize("view", VIEWS)
async def test_a_named_pipe_of_the_host_cannot_be_written(host: HostFacts, place: Path, view: str) -> None:
    pipe = place / "control"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with opened(VIEWS[view], host) as box:
            said = await box.shell(f"echo sent >{pipe}")
            assert said.status == 1
            assert said.err.endswith(b"Permission denied\n")
            assert _received(reader) == b""
            scratch = "cd $TMPDIR; mkfifo p; (echo through >p) & cat p; mkdir a b; echo 1 >a/f; mv a/f b/g; cat b/g"
            assert (await box.shell(scratch)).out == b"through\n1\n"
            assert (await box.shell("echo 1 >/dev/null; echo 2 >/dev/stdout; echo 3 | tee /dev/stderr")).err == b"3\n"
        subprocess.run(["sh", "-c", f"echo sent >{pipe}"], check=True)
        assert _received(reader) == b"sent\n"
    finally:
        os.close(reader)


def _received(reader: int) -> Any:
    try:
        return os.read(reader, 100)
    except BlockingIOError:
        return b""
