"""Secrets are hidden from the read-only view however they are named, linked or made later; the rest looks the same."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.link import Link, SandboxError
from aiosd.sandbox.profile import HOME_SECRETS, HostFacts
from tests.daemon.harness import ROOT
from tests.daemon.people import IS_ROOT, default_person
from tests.sandbox.box import READ_ONLY, USER, VIEWS, make_identity, opened

_PLAN = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from aiosd.sandbox.masks import plan_masks
paths, direct, rebuild = json.loads(sys.argv[1])
print(json.dumps(plan_masks(paths, direct=direct, rebuild=rebuild)))
"""
# Where a secret may lie: the name below the home folder, and what else has to be there.
HELD = {
    ".ssh/id_ed25519": "a key",
    ".gnupg/private-keys-v1.d/k": "a ring",
    ".netrc": "a file",
    ".config/gh/hosts.yml": "a folder in a folder with other things",
    ".config/syui/ai/token": "deeper",
    ".bash_history": "a history",
    ".docker/config.json": "a file in a folder with other things",
    "dotfiles/aws/credentials": "the target of a link in the home folder: .aws",
    "dotfiles/npmrc": "the target of a link to a file: .npmrc",
    "../elsewhere/kube/config": "the target of a link out of the home folder: .kube",
    "config-of-old/rclone/rclone.conf": "below a linked folder",
}
LINKS = {".aws": "dotfiles/aws", ".npmrc": "dotfiles/npmrc", ".kube": "../elsewhere/kube", "key": ".ssh/id_ed25519"}
LINKS |= {".config/rclone": "../config-of-old/rclone", ".pypirc": "nowhere"}
PLAIN = ("notes.txt", ".config/app.toml", ".docker/buildx", "dotfiles/vimrc", "dir/日本語 memo", "../elsewhere/open")


@pytest.fixture
def home() -> Iterator[Path]:
    """A person's home folder, full of secrets, in a place where (if root made it) only root makes folders."""
    top = Path(tempfile.mkdtemp(prefix="aios-", dir="/srv" if IS_ROOT else "/tmp")).resolve()
    top.chmod(0o755)
    made = top / "home"
    for name in (*HELD, *PLAIN):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("SECRET\n" if name in HELD else "plain\n", encoding="utf-8")
        (made / name).chmod(0o600 if name in HELD else 0o644)
    for name, target in LINKS.items():
        (made / name).symlink_to(target)
    for folder, folders, files in os.walk(top):
        for name in (folder, *(f"{folder}/{each}" for each in (*folders, *files))):
            os.chown(name, default_person(), -1, follow_symlinks=False)
    os.chown(top, 0 if IS_ROOT else -1, -1)
    yield made
    shutil.rmtree(top)


def as_person(*words: str) -> subprocess.CompletedProcess[str]:
    """A command outside, as the person."""
    person: dict[str, Any] = (
        {"user": default_person(), "group": default_person(), "extra_groups": []} if IS_ROOT else {}
    )
    return subprocess.run([*words], capture_output=True, text=True, check=False, **person)


def plan(paths: list[str], *, direct: bool, rebuild: bool = True) -> tuple[list[str], list[str]]:
    """`plan_masks` run as the person, as the launcher does."""
    ran = as_person(sys.executable, "-c", _PLAN, json.dumps([paths, direct, rebuild]))
    assert ran.stderr == ""
    arguments, watched = json.loads(ran.stdout)
    return arguments, watched


@pytest.mark.parametrize("direct", [False, True], ids=["rebuilt", "direct"])
@pytest.mark.parametrize("view", VIEWS)
async def test_no_secret_can_be_read_and_all_else_can(host: HostFacts, home: Path, view: str, *, direct: bool) -> None:
    who = make_identity(home=str(home))
    search = ["grep", "-rsl", "SECRET", f"{home}/..", "--"]
    show = ["stat", "--format=%N %A %u %s %Y", *(f"{home}/{name}" for name in (*PLAIN, "dir"))]
    async with opened(VIEWS[view], replace(host, direct_masks=direct), who=who) as box:
        found = await box.run(*search)
        byname = await box.pipe(*[(tuple((w, None, False) for w in ("cat", f"{home}/{name}")), ()) for name in HELD])
        plain = await box.run("cat", *(f"{home}/{name}" for name in PLAIN))
        seen = await box.run(*show)
    outside = as_person(*show)
    assert (found.status, found.out) == (2 if direct else 1, b"")  # a covered file cannot be opened, nor searched
    assert b"SECRET" not in byname.out
    assert plain.out == b"plain\n" * len(PLAIN)
    assert seen.out.decode() == outside.stdout
    # The twin: outside, the person finds every one.
    assert len(set(as_person(*search).stdout.split("\n")) - {""}) == len(HELD)


@pytest.mark.parametrize("direct", [False, True], ids=["rebuilt", "direct"])
async def test_secrets_are_hidden_in_a_home_folder_that_is_a_link(host: HostFacts, home: Path, *, direct: bool) -> None:
    linked = home.with_name("linked")
    linked.symlink_to("home")
    who = make_identity(home=str(linked))
    async with opened(READ_ONLY, replace(host, direct_masks=direct), who=who) as box:
        found = await box.run("grep", "-rsl", "SECRET", f"{linked}/", f"{home}/")
        plain = await box.run("cat", f"{linked}/notes.txt")
    assert (found.out, plain.out) == (b"", b"plain\n")


@pytest.mark.parametrize("direct", [False, True], ids=["rebuilt", "direct"])
@pytest.mark.parametrize("secret", [".ssh/id_x", ".config/gcloud/key", ".netrc", ".local/share/keyrings/k"])
async def test_a_secret_made_later_makes_the_sandbox_stale(
    host: HostFacts, home: Path, secret: str, *, direct: bool
) -> None:
    shutil.rmtree(home / ".ssh")
    (home / ".netrc").unlink()
    who = make_identity(home=str(home))
    async with opened(READ_ONLY, replace(host, direct_masks=direct), who=who) as box:
        assert not box.is_stale()
        (home / secret).parent.mkdir(parents=True, exist_ok=True)
        (home / secret).write_text("SECRET", encoding="utf-8")
        (home / secret).chmod(0o644)
        assert box.is_stale()
    async with opened(READ_ONLY, replace(host, direct_masks=direct), who=who) as box:
        assert (await box.run("cat", f"{home}/{secret}")).out == b""
        assert not box.is_stale()


async def test_a_link_led_elsewhere_later_makes_the_sandbox_stale(host: HostFacts, home: Path) -> None:
    async with opened(READ_ONLY, replace(host, direct_masks=True), who=make_identity(home=str(home))) as box:
        (home / ".aws").unlink()
        (home / ".aws").symlink_to("dotfiles")
        assert box.is_stale()


async def test_an_approved_action_sees_what_its_user_sees(host: HostFacts, home: Path) -> None:
    async with opened(USER, host, who=make_identity(home=str(home))) as box:
        assert (await box.run("cat", f"{home}/.ssh/id_ed25519")).out == b"SECRET\n"


def test_a_mask_is_one_mount_where_bubblewrap_can_be_trusted_with_it(home: Path) -> None:
    paths = [f"{home}/.ssh", f"{home}/.netrc", f"{home}/.npmrc", f"{home}/.aws", f"{home}/absent/deep"]
    assert plan(paths, direct=True) == (
        [
            *("--size", "4096", "--tmpfs", f"{home}/.ssh", "--remount-ro", f"{home}/.ssh"),
            *("--ro-bind", "/dev/null", f"{home}/.netrc"),
            *("--ro-bind", "/dev/null", f"{home}/dotfiles/npmrc"),
            *("--size", "4096", "--tmpfs", f"{home}/dotfiles/aws", "--remount-ro", f"{home}/dotfiles/aws"),
        ],
        [str(home), f"{home}/dotfiles"],
    )


def test_a_mask_below_a_mask_is_one_mask(home: Path) -> None:
    ssh = ["--size", "4096", "--tmpfs", f"{home}/.ssh", "--remount-ro", f"{home}/.ssh"]
    for paths in ([f"{home}/.ssh", f"{home}/.ssh/id_ed25519"], [f"{home}/key", f"{home}/.ssh"], [f"{home}/.ssh/"] * 2):
        assert plan(paths, direct=True)[0] == ssh


def test_a_view_that_stays_writable_is_not_rebuilt(home: Path) -> None:
    assert plan([f"{home}/.ssh"], direct=False, rebuild=False)[0] == []


@pytest.mark.skipif(not IS_ROOT, reason="takes root to have folders that are not one's own")
@pytest.mark.parametrize("mode", [0o755, 0o555, 0o700])
def test_before_bubblewrap_0_12_nothing_is_mounted_below_what_the_user_can_change(home: Path, mode: int) -> None:
    (home / ".config").chmod(0o555)  # its owner can undo that
    home.chmod(mode)
    arguments, _watched = plan([f"{home}/{name}" for name in HOME_SECRETS], direct=False)
    rebuilt: list[str] = []
    targets = 0
    for at, word in enumerate(arguments):
        if word in ("--tmpfs", "--ro-bind", "--ro-bind-try", "--symlink"):
            target = arguments[at + (1 if word == "--tmpfs" else 2)]
            targets += 1
            inside = any(target.startswith(f"{folder}/") for folder in rebuilt)
            above = [Path(*Path(target).parts[:count]) for count in range(1, len(Path(target).parts))]
            own = [folder for folder in above if folder.stat().st_uid == default_person() or folder.stat().st_mode & 2]
            assert inside or not own, (word, target)
            if word == "--tmpfs":
                rebuilt.append(target)
    assert targets > 8
    assert str(home) in rebuilt


_SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
folder, link = (os.fsencode(name) for name in sys.argv[1:])
print("swapping", flush=True)
while True:
    libc.renameat2(-100, folder, -100, link, 2)
"""


@pytest.mark.parametrize("folder", [".config", ".docker", ".local"])
async def test_a_folder_swapped_for_a_link_leads_no_mount_astray(host: HostFacts, home: Path, folder: str) -> None:
    victim = home.parent / "elsewhere"
    before = as_person("find", str(victim), "-printf", "%p %y %s\n").stdout
    (home / ".local/share/keyrings").mkdir(parents=True)
    (home / "swap").symlink_to(victim)
    swapper = subprocess.Popen([sys.executable, "-c", _SWAP, home / folder, home / "swap"], stdout=subprocess.PIPE)
    try:
        assert swapper.stdout
        swapper.stdout.readline()
        for _ in range(8):
            link = Link(READ_ONLY, make_identity(home=str(home)), host)
            try:
                await link.start()
            except SandboxError:
                pass  # what the plan saw was gone when it was mounted: then there is no sandbox
            finally:
                await link.end()
    finally:
        swapper.kill()
        swapper.communicate()
    assert as_person("find", str(victim), "-printf", "%p %y %s\n").stdout == before
