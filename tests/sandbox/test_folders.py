"""Folder policies: one table, asked by commands and by file tools, in every profile; and tries to get round them."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from aiosd.policy.folders import FolderRule, Folders
from aiosd.sandbox.folders import Fence
from aiosd.sandbox.link import SandboxError, WorkingDirectoryError
from aiosd.sandbox.profile import HostFacts, Profile, ProfileName
from tests.daemon.people import default_person
from tests.sandbox.box import READ_ONLY, USER, Box, opened, until

DENY, READ, WRITE = (False, False), (True, False), (True, True)


def rule(path: str, access: tuple[bool, bool] | None = None, **fields: object) -> FolderRule:
    read, write = access or (None, None)
    return FolderRule(path=path, read=read, write=write, **fields)  # type: ignore[arg-type] # by name


RULES = (
    rule("denied", DENY),
    rule("denied/given", READ),
    rule("denied/given/denied", DENY),
    rule("read", READ),
    rule("read/write", WRITE),
    rule("read/write/denied", DENY),
    rule("write", WRITE),
    rule("write/read", READ),
    rule("write/file", READ),
    rule("firm", None, firm=True),
    rule("firm/write", WRITE),
    rule("link", DENY),
    rule("endings", WRITE, denied=(".key", ".tar.gz")),
    rule("only", WRITE, allowed=(".txt",)),
    rule("only/any", WRITE, allowed=(".txt", ".key")),
    rule("small", WRITE, max_bytes=1024 * 1024),
)
# Where: what can be done there with rights to everything else, in `user`; and in `read-only`, where nothing is written.
TABLE = {
    "plain/f": "rw",
    "denied/f": "",
    "denied/deep/f": "",
    "denied/given/f": "r",
    "denied/given/deep/f": "r",
    "denied/given/denied/f": "",
    "denied-not/f": "rw",
    "read/f": "r",
    "read/write/f": "rw",
    "read/write/denied/f": "",
    "write/f": "rw",
    "write/read/f": "r",
    "write/file": "r",
    "firm/f": "r",
    "firm/write/f": "r",
    "target/f": "",
    "link/f": "",
    "by-link/f": "",
    "plain/../denied/f": "",
    "plain/to-denied": "",
    "endings/f.key": "",
    "endings/F.KEY": "",
    "endings/deep/f.tar.gz": "",
    "only/f.txt": "rt",
    "only/f.key": "",
    "only/f": "",
    "only/any/f.key": "rt",
    "endings/f": "rt",
    "small/f": "rt",
}
LINKS = {"link": "target", "by-link": "denied", "plain/to-denied": "../denied/f"}


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of the table, and the policies about them."""

    top: Path

    def fence(self, rules: tuple[FolderRule, ...] = RULES) -> Fence:
        return Folders(tuple(replace(each, path=f"{self.top}/{each.path}") for each in rules)).fence("/nonexistent")

    def read(self, name: str) -> str:
        return (self.top / name).read_text(encoding="utf-8")


def own(top: Path) -> None:
    """Give everything there to the person who is confined."""
    if os.geteuid() == 0:
        for folder, folders, files in os.walk(top):
            for name in (folder, *(f"{folder}/{each}" for each in (*folders, *files))):
                os.chown(name, default_person(), default_person(), follow_symlinks=False)


def make_tree(top: Path) -> Tree:
    for name in TABLE:
        if ".." not in name and not any(name.startswith(link) for link in LINKS):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text("text\n", encoding="utf-8")
    for name, target in LINKS.items():
        (top / name).symlink_to(target)
    own(top)
    return Tree(top)


@pytest.fixture
def tree(place: Path) -> Tree:
    return make_tree(place)


async def by_command(box: Box, path: str) -> str:
    read = await box.run("cat", path)
    wrote = await box.shell(f"echo more >>{path}")
    return ("r" if (read.status, read.out[:4]) == (0, b"text") else "") + ("w" if wrote.status == 0 else "")


async def by_tool(box: Box, path: str) -> str:
    read = await box.tool("read_file", path=path)
    real = path if Path(path).is_symlink() else os.path.realpath(path)
    wrote = await box.tool("write_file", path=real, content=b"text, new\n")
    return ("r" if (read.status, read.out[:4]) == (0, b"text") else "") + ("w" if wrote.status == 0 else "")


@pytest.mark.parametrize("how", [by_command, by_tool], ids=["command", "tool"])
@pytest.mark.parametrize("profile", [READ_ONLY, USER, "workspace"], ids=["read-only", "user", "workspace"])
@pytest.mark.parametrize("order", [1, -1], ids=["", "reversed"])
async def test_commands_and_file_tools_get_the_answers_of_one_table(
    host: HostFacts, tree: Tree, profile: Profile | str, how: Callable[[Box, str], Awaitable[str]], order: int
) -> None:
    """`t` in the table: a file tool may write, a command may not, as no wall of the kernel knows names and sizes."""
    confined = profile if isinstance(profile, Profile) else Profile(name=ProfileName.WORKSPACE, writes=(str(tree.top),))
    fence = tree.fence(RULES[::order])
    found, expected = {}, {}
    before = {name: tree.read(name) for name in TABLE}
    async with opened(confined, host, fence=fence, tool=how is by_tool) as box:
        for name in TABLE:
            found[name] = await how(box, f"{tree.top}/{name}")
    for name, can in TABLE.items():
        writes = "w" if "w" in can or ("t" in can and how is by_tool) else ""
        expected[name] = can[:1].replace("w", "") + (writes if confined.name is not ProfileName.READ_ONLY else "")
    assert found == expected
    changed = {name for name in TABLE if tree.read(name) != before[name]}
    assert changed == {name for name in TABLE if "w" in expected[name]}  # the twin of every refusal


async def test_what_lies_above_a_restriction_cannot_be_moved_away_and_all_else_can(host: HostFacts, tree: Tree) -> None:
    async with opened(USER, host, fence=tree.fence()) as box:
        moved = await box.shell("mv firm plain/; mv write plain/; mv plain elsewhere", cwd=str(tree.top))
    assert moved.err.count(b"busy") == 2
    assert (tree.top / "firm/f").exists()
    assert (tree.top / "write/read/f").exists()
    assert (tree.top / "elsewhere/f").exists()


async def test_without_policies_everything_of_the_table_can_be_done(host: HostFacts, tree: Tree) -> None:
    async with opened(USER, host) as box:
        for name in TABLE:
            assert await by_command(box, f"{tree.top}/{name}") == "rw", name


# Getting round it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "cat denied/f",
        "ls denied",
        "cat plain/to-denied",
        "cd denied; cat f",
        "cat /proc/self/root$PWD/denied/f",
        "cat /proc/self/cwd/denied/f",
        "ln denied/f plain/hard; cat plain/hard",
        "ln -s ../denied/f plain/soft; cat plain/soft",
        "mv denied moved; cat moved/f",
        "mv write plain/write; echo x >>plain/write/read/f",
        "mv read plain/read; echo x >>plain/read/f",
        "rm -rf denied; cat denied/f",
        "chmod -R 777 denied; cat denied/f",
        "chmod 777 read/f; echo x >>read/f",
        "umount denied; cat denied/f",
        "unshare -Urm sh -c 'umount denied; cat denied/f'",
        "mkdir m; mount --bind denied m; cat m/f",
        "cp -a denied plain/copy; cat plain/copy/f",
        "tar c denied | tar xO",
        "truncate -s 0 write/file",
        "rm -f write/file",
        "mv plain/f write/file",
        "ln -f plain/f write/file",
        "touch -d 2000-01-01 read/f",
        "mv endings/f.key endings/f.txt; cat endings/f.txt",
        "ln endings/f.key plain/k; cat plain/k",
        "find denied -name f -exec cat {} +",
    ],
)
async def test_no_way_round_is_found_inside(host: HostFacts, tree: Tree, line: str) -> None:
    def look(top: Path) -> dict[str, tuple[str, int, float]]:
        kept = [name for name in TABLE if "w" not in TABLE[name]]
        found = [(name, (top / name).read_text(), (top / name).stat()) for name in kept]
        return {name: (text, status.st_mode, status.st_mtime) for name, text, status in found}

    before = look(tree.top)
    async with opened(USER, host, fence=tree.fence()) as box:
        said = await box.shell(line, cwd=str(tree.top))
    assert b"text" not in said.out, said
    assert look(tree.top) == before
    if "mount" in line:
        return  # there is no more right to mount outside
    twin = make_tree(tree.top / "twin")
    untouched = look(twin.top)
    async with opened(USER, host) as box:
        said = await box.shell(line, cwd=str(twin.top))
    changed = not all(os.path.lexists(twin.top / name) for name in TABLE) or look(twin.top) != untouched
    assert said.out or changed, said


_SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
first, second = (os.fsencode(path) for path in sys.argv[1:])
print("swapping", flush=True)
while True:
    libc.renameat2(-100, first, -100, second, 2)
"""


async def test_a_folder_that_is_exchanged_all_the_time_is_never_shown(host: HostFacts, tree: Tree) -> None:
    """Two names change places in a loop: a folder and a link. Each sandbox has it covered, or does not begin."""
    (tree.top / "decoy").symlink_to("plain")
    person: dict[str, Any] = {"user": default_person()} if os.geteuid() == 0 else {}
    swapper = subprocess.Popen(
        [sys.executable, "-c", _SWAP, tree.top / "write", tree.top / "decoy"],
        stdout=subprocess.PIPE,
        **person,
    )
    fence = tree.fence((rule("write/read", DENY), rule("denied", DENY)))
    outcomes = {"begun": 0, "refused": 0}
    try:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        for _ in range(40):
            try:
                async with opened(USER, host, fence=fence) as box:
                    said = await box.shell("cat denied/f; echo begun", cwd=str(tree.top))
                    assert said.out == b"begun\n"
                    outcomes["begun"] += 1
            except SandboxError:
                outcomes["refused"] += 1
    finally:
        swapper.kill()
        swapper.communicate()
    assert sum(outcomes.values()) == 40
    assert (tree.top / "denied/f").read_text() == "text\n"


# Execute, network, size, kinds ----------------------------------------------------------------------------------------


async def test_execute_deny_and_allow_hold_for_programs(host: HostFacts, place: Path) -> None:
    for name in ("bin/tool", "bin/good/tool"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/echo", place / name)
        (place / name).chmod(0o755)
    rules = (rule("bin", None, execute=False), rule("bin/good", None, execute=True))
    line = f"{place}/bin/tool one; {place}/bin/good/tool two; /lib64/ld-linux-x86-64.so.2 {place}/bin/tool three"
    for profile in (READ_ONLY, USER):
        async with opened(profile, host, fence=Tree(place).fence(rules)) as box:
            assert (await box.shell(line)).out == b"two\n"
        async with opened(profile, host) as box:
            assert (await box.shell(line)).out == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("cwd", ["far", "far/deep", "by-link"])
async def test_a_command_in_a_folder_without_network_has_none(host: HostFacts, place: Path, cwd: str) -> None:
    for name in ("far/deep", "near"):
        (place / name).mkdir(parents=True)
    (place / "by-link").symlink_to("far")
    fence = Tree(place).fence((rule("far", None, network=False), rule("near", None, network=True)))
    line = "cat /proc/net/dev | wc -l"
    links = {}
    for where in (cwd, "near"):
        async with opened(USER, host, fence=fence, cwd=f"{place}/{where}") as box:
            links[where] = os.path.basename((await box.run("readlink", "/proc/self/ns/net")).out.decode().strip())
            assert (await box.shell(line, cwd=f"{place}/{where}")).status == 0
    assert links["near"] == os.readlink("/proc/self/ns/net")
    assert links[cwd] != links["near"]


async def test_a_size_holds_for_what_is_written_by_command_and_tool(host: HostFacts, place: Path) -> None:
    (place / "small").mkdir()
    os.chown(place / "small", default_person(), -1)
    fence = Tree(place).fence((rule("small", WRITE, max_bytes=1024 * 1024),))
    confined = Profile(name=ProfileName.WORKSPACE, writes=(f"{place}/small",))
    async with opened(confined, host, fence=fence) as box:
        fits = await box.shell(f"head -c 1048576 /dev/zero >{place}/small/fits")
        over = await box.shell(f"head -c 1048577 /dev/zero >{place}/small/over")
    assert (fits.status, over.status) == (0, 128 + 25)  # SIGXFSZ
    async with opened(confined, host, fence=fence, tool=True) as box:
        tool_fits = await box.tool("write_file", path=f"{place}/small/tool-fits", content=b"x" * 1048576)
        tool_over = await box.tool("write_file", path=f"{place}/small/tool-over", content=b"x" * 1048577)
    assert (tool_fits.status, tool_over.status) == (0, 1)
    assert tool_over.err.decode() == (
        f"{place}/small/tool-over: a folder policy for {place}/small gives a file at most 1 MiB\n"
    )
    sizes = {path.name: path.stat().st_size for path in (place / "small").iterdir()}
    assert sizes == {"fits": 1048576, "over": 1048576, "tool-fits": 1048576}


async def test_a_file_tool_says_whose_word_a_refusal_was(host: HostFacts, tree: Tree) -> None:
    (tree.top / "plain/to-target").symlink_to("../target/f")
    async with opened(USER, host, fence=tree.fence(), tool=True) as box:
        denied = await box.tool("read_file", path=f"{tree.top}/plain/to-target")
        closed = await box.tool("write_file", path=f"{tree.top}/read/new", content=b"x")
        kind = await box.tool("write_file", path=f"{tree.top}/endings/new.key", content=b"x")
        plain = await box.tool("read_file", path=f"{tree.top}/plain/f")
    top, word = tree.top, "and an administrator can change that"
    there = f"{top}/plain/to-target"
    assert denied.err.decode() == f"{there}: Permission denied; a folder policy for {top}/target denies it, {word}\n"
    assert closed.err.decode() == (
        f"{top}/read/new: Read-only file system; a folder policy for {top}/read makes it read-only, {word}\n"
    )
    kinds = f"a folder policy for {top}/endings gives no files of this kind"
    assert kind.err.decode() == f"{top}/endings/new.key: {kinds}\n"
    assert plain.out == b"text\n"
    assert not (top / "endings/new.key").exists()
    assert not (top / "read/new").exists()


async def test_a_denied_working_directory_cannot_be_entered(host: HostFacts, tree: Tree) -> None:
    async with opened(READ_ONLY, host, fence=tree.fence()) as box:
        with pytest.raises(WorkingDirectoryError):
            await box.run("true", cwd=f"{tree.top}/target")
        assert (await box.run("true", cwd=f"{tree.top}/denied/given")).status == 0


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """As few as a service may have open unless its unit says more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_folder_with_too_many_files_of_a_refused_kind_is_covered_whole(
    host: HostFacts, place: Path, few_descriptors: None
) -> None:
    (place / "keys").mkdir()
    for number in range(1001):
        (place / "keys" / f"{number}.key").write_text("text\n")
    (place / "keys/plain").write_text("text\n")
    fence = Tree(place).fence((rule("keys", WRITE, denied=(".key",)),))
    async with opened(READ_ONLY, host, fence=fence) as box:
        assert (await box.shell(f"cat {place}/keys/*.key {place}/keys/plain")).out == b""
    os.unlink(place / "keys/0.key")
    async with opened(READ_ONLY, host, fence=fence) as box:
        assert (await box.shell(f"cat {place}/keys/*.key {place}/keys/plain")).out == b"text\n"


@pytest.mark.parametrize("made", ["denied-later", "endings/deep/new.key", "way"])
async def test_what_appears_later_where_a_policy_speaks_makes_a_sandbox_stale(
    host: HostFacts, tree: Tree, made: str
) -> None:
    fence = tree.fence((rule("denied-later", DENY), rule("endings", WRITE, denied=(".key",)), rule("way/deep", DENY)))
    async with opened(READ_ONLY, host, fence=fence) as box:
        assert not box.is_stale()
        await box.run("ls", str(tree.top))
        assert not box.is_stale()
        (tree.top / made).mkdir()
        await until(box.is_stale, "the sandbox to be out of date")


async def test_what_may_be_written_moves_from_folder_to_folder_and_nowhere_else(host: HostFacts, place: Path) -> None:
    own(place)
    profile = Profile(name=ProfileName.WORKSPACE, writes=(str(place),))
    move = "import os, sys; os.rename(sys.argv[1], sys.argv[2])"
    async with opened(profile, host) as box:
        said = await box.shell(
            f"mkdir -p a/b c && echo x > a/b/f && /usr/bin/python3 -I -c '{move}' a/b/f c/f && cat c/f", cwd=str(place)
        )
        assert (said.status, said.out) == (0, b"x\n"), said
        out = await box.shell(f"/usr/bin/python3 -I -c '{move}' c/f /var/tmp/aios-moved", cwd=str(place))
        assert out.status == 1
    assert (place / "c/f").read_text() == "x\n"
    assert not Path("/var/tmp/aios-moved").exists()
