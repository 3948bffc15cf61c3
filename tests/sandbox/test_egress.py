"""A sandbox that may reach somebody: by its own proxy and no other way; git, curl and python as people use them."""

import asyncio
import functools
import http.server
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aiosd.egress.desk import Desk
from aiosd.egress.given import Lists, Made
from aiosd.sandbox.folders import Fence
from aiosd.sandbox.landlock import TCP_ABI
from aiosd.sandbox.profile import PROXY_PORT, HostFacts, Profile, ProfileName
from tests.sandbox.box import READ_ONLY, USER, Box, opened
from tests.sandbox.test_folders import Tree, own, rule


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[str, Path]]:
    """A web server on this machine's loopback, and its folder: a file and a repository."""
    folder = Path(tempfile.mkdtemp(prefix="aios-", dir="/tmp"))
    (folder / "hello").write_text("hello\n")
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=x", "-c", "user.email=x@y.z"]
    for words in (
        ["init", "-q", "-b", "main", f"{folder}/work"],
        ["-C", f"{folder}/work", "add", "-A"],
        ["-C", f"{folder}/work", *who, "commit", "-q", "--allow-empty", "-m", "one"],
        ["clone", "-q", "--bare", f"{folder}/work", f"{folder}/repo.git"],
        ["-C", f"{folder}/repo.git", "update-server-info"],
    ):
        subprocess.run(["git", *words], check=True, env=environment)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    serving.join()
    server.server_close()
    shutil.rmtree(folder)


@dataclass(slots=True)
class Reaching:
    """A sandbox with its proxy behind it, and what that told."""

    box: Box
    made: list[Made] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, bool]]:
        """Hosts and whether they were reached."""
        return [(f"{each.host}:{each.port}", not each.refused) for each in self.made]


@asynccontextmanager
async def reaching(
    host: HostFacts, place: Path, *granted: str, lists: Lists | None = None, fence: Fence = (), cwd: str = "/"
) -> AsyncIterator[Reaching]:
    profile = Profile(name=ProfileName.WORKSPACE, writes=(str(place),), network=granted)
    desk = Desk(lambda: lists or Lists())
    async with opened(profile, host, fence=fence, cwd=cwd) as box:
        there = Reaching(box)
        async with desk.channel(there.made.append) as channel:
            box.link.hand_over(channel, b'{"granted": %s}' % str(list(granted)).replace("'", '"').encode())
            yield there


@pytest.fixture
def work(place: Path) -> Path:
    own(place)
    return place


async def test_a_repository_is_cloned_where_that_was_granted(
    host: HostFacts, work: Path, site: tuple[str, Path]
) -> None:
    async with reaching(host, work, site[0]) as there:
        said = await there.box.shell(
            f"git clone -q http://{site[0]}/repo.git new && git -C new log --oneline", cwd=str(work)
        )
    assert (said.status, said.out[-5:]) == (0, b" one\n"), said
    assert (work / "new/.git/config").exists()
    assert set(there.told) == {(site[0], True)}
    assert all(made.address == "127.0.0.1" and made.received > 100 for made in there.made)


async def test_a_repository_is_not_cloned_where_it_was_not_granted(
    host: HostFacts, work: Path, site: tuple[str, Path]
) -> None:
    async with reaching(host, work, "elsewhere.example") as there:
        said = await there.box.shell(f"git clone -q http://{site[0]}/repo.git new", cwd=str(work))
    assert said.status == 128
    assert b"403" in said.err
    assert not (work / "new").exists()
    assert set(there.told) == {(site[0], False)}
    assert "is not granted: the rule's network names elsewhere.example" in there.made[0].refused


@pytest.mark.parametrize(
    "line",
    [
        "curl -sf http://{0}/hello",
        "curl -sf --proxytunnel http://{0}/hello",
        "curl -sf --socks5-hostname $PROXY http://{0}/hello",
        'python3 -I -c \'import urllib.request as r; print(r.urlopen("http://{0}/hello").read().decode(), end="")\'',
    ],
)
async def test_programs_find_the_proxy_by_themselves(
    host: HostFacts, work: Path, site: tuple[str, Path], line: str
) -> None:
    line = line.replace("$PROXY", f"127.0.0.1:{PROXY_PORT}").format(site[0])
    async with reaching(host, work, site[0]) as there:
        assert (await there.box.shell(line)).out == b"hello\n"
    async with reaching(host, work, "other.example") as there:
        assert (await there.box.shell(line)).out == b""
    assert there.told == [(site[0], False)]


async def test_there_is_no_other_way_out(host: HostFacts, work: Path, site: tuple[str, Path]) -> None:
    """Each line reaches the server from outside the sandbox; inside, the proxy alone does."""
    port = site[0].partition(":")[2]
    lines = [
        f"curl -s --max-time 2 --noproxy '*' http://{site[0]}/hello",
        f"env -u http_proxy -u HTTP_PROXY -u all_proxy -u ALL_PROXY curl -s --max-time 2 http://{site[0]}/hello",
        f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET /hello HTTP/1.0\\r\\n\\r\\n' >&3 && tail -n 1 <&3",
    ]
    async with reaching(host, work, site[0]) as there:
        for line in lines:
            assert b"hello" not in (await there.box.shell(line)).out, line
        line = "getent ahosts example.org; tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/route"
        names = await there.box.shell(line)
        assert (await there.box.shell(f"curl -sf http://{site[0]}/hello")).out == b"hello\n"
    assert names.out.split()[0] == b"lo"
    assert names.out.count(b"\n") == 2  # and of the routes their heading only
    for line in lines:
        assert b"hello" in subprocess.run(["bash", "-c", line], capture_output=True, check=False).stdout, line


async def test_the_listener_is_this_sandboxs_alone(host: HostFacts, work: Path, site: tuple[str, Path]) -> None:
    line = f"curl -s --max-time 2 -x http://127.0.0.1:{PROXY_PORT} http://{site[0]}/hello"
    async with reaching(host, work, site[0]) as there:
        for profile in (READ_ONLY, USER):
            async with opened(profile, host) as other:
                assert (await other.shell(line)).out == b""
        async with reaching(host, work, "other.example") as other_one:
            assert b"hello" not in (await other_one.box.shell(line)).out
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", PROXY_PORT), timeout=5).close()
        assert there.made == []
        assert (await there.box.shell(line)).out == b"hello\n"


async def test_no_other_port_is_reached_even_inside(host: HostFacts, work: Path, site: tuple[str, Path]) -> None:
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0))"
    async with reaching(host, work, site[0]) as there:
        said = await there.box.run("/usr/bin/python3", "-I", "-S", "-c", code)
        assert (await there.box.shell(f"curl -sf http://{site[0]}/hello")).out == b"hello\n"
    assert (b"Permission denied" in said.err) is (host.landlock >= TCP_ABI)


async def test_no_listener_is_left_in_the_sandbox_where_nobody_takes_it(
    host: HostFacts, work: Path, site: tuple[str, Path]
) -> None:
    profile = Profile(name=ProfileName.WORKSPACE, writes=(str(work),), network=(site[0],))
    async with opened(profile, host) as box:
        box.link.hand_over(-1, b"")
        said = await box.shell(f"curl -s --max-time 5 http://{site[0]}/hello; echo $?; ls /proc/1/fd")
    assert said.out == b"7\n"  # nobody listens; and the worker cannot be looked into


async def test_the_configuration_is_asked_at_each_connection(
    host: HostFacts, work: Path, site: tuple[str, Path]
) -> None:
    lists = [Lists()]
    profile = Profile(name=ProfileName.WORKSPACE, writes=(str(work),), network=("*",))
    desk, made = Desk(lambda: lists[0]), list[Made]()
    line = f"curl -s -o /dev/null -w '%{{http_code}}' http://{site[0]}/hello"
    async with opened(profile, host) as box, desk.channel(made.append) as channel:
        box.link.hand_over(channel, b'{"granted": ["*"]}')
        codes = [(await box.shell(line)).out]
        for change in (Lists(allow=(site[0],)), Lists(allow=(site[0],), deny=(f"{site[0]} closed now",)), Lists()):
            lists[0] = change
            codes.append((await box.shell(line)).out)
    assert codes == [b"403", b"200", b"403", b"403"]
    assert f"{site[0]} is denied by egress.deny (closed now), which an administrator can change" in [
        each.refused for each in made
    ]


async def test_a_folder_without_network_has_none_whatever_was_granted(
    host: HostFacts, work: Path, site: tuple[str, Path]
) -> None:
    (work / "far").mkdir()
    own(work)
    fence = Tree(work).fence((rule("far", None, network=False),))
    line = f"curl -s --max-time 5 http://{site[0]}/hello"
    for where, out in (("far", b""), (".", b"hello\n")):
        async with reaching(host, work, site[0], fence=fence, cwd=f"{work}/{where}") as there:
            assert (await there.box.shell(line, cwd=f"{work}/{where}")).out == out


async def test_ssh_goes_by_the_command_we_provide(host: HostFacts, work: Path) -> None:
    """What it runs as its proxy command, with a server that says its word and takes one."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-word\r\n")
        heard.append(await reader.read(100))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, reaching(host, work, f"127.0.0.1:{port}") as there:
        ran = await there.box.shell('echo "$GIT_SSH_COMMAND" | sed "s/.*ProxyCommand=\'\\(.*\\) %h %p\'.*/\\1/"')
        command = ran.out.decode().strip()
        said = await there.box.shell(f"echo client | {command} 127.0.0.1 {port}")
        refused = await there.box.shell(f"{command} 127.0.0.1 1 </dev/null")
    assert (said.out, heard) == (b"SSH-2.0-word\r\n", [b"client\n"])
    assert refused.status == 1
    assert b"is not granted" in refused.err
