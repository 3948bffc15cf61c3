"""Unix sockets by path: the named one is reached, and nothing else that listens on this machine."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aiosd.sandbox.landlock import RESOLVE_ABI
from aiosd.sandbox.link import SandboxError
from aiosd.sandbox.profile import HostFacts, Profile, ProfileError, ProfileName
from tests.daemon.people import needs_root
from tests.sandbox.box import opened
from tests.sandbox.test_escapes import _CONNECT, listening, read_unix_sockets, run_outside, run_python
from tests.sandbox.test_folders import DENY, Tree, rule

_ASK = "import socket, sys; s = socket.socket(1); s.connect(sys.argv[1]); print(s.recv(9).decode(), end='')"


def reaching(*named: str, writes: tuple[str, ...] = (), network: tuple[str, ...] = ()) -> Profile:
    pairs = tuple(("", path) for path in named)
    return Profile(name=ProfileName.WORKSPACE, named=pairs, writes=writes, network=network)


@contextmanager
def speaking(path: str, word: bytes) -> Iterator[None]:
    """A server that says one word to whoever comes."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chmod(path, 0o777)
    server.listen()

    def serve() -> None:
        while True:
            try:
                came, _ = server.accept()
            except OSError:
                return
            with came, suppress(BrokenPipeError):
                came.sendall(word)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


async def test_the_named_socket_is_reached_and_no_other_of_the_host(host: HostFacts, place: Path) -> None:
    agent, other, later, abstract = f"{place}/agent", f"{place}/other", f"{place}/later", f"\0aios-named-{os.getpid()}"
    with speaking(agent, b"agent"), listening(other, abstract):
        async with opened(reaching(agent), host) as box:
            with listening(later):
                names = "\n".join([*read_unix_sockets(), other, later, agent])
                assert {other, later, f"@{abstract[1:]}"} <= set(names.splitlines())
                reached = set((await run_python(box, _CONNECT, stdin=names)).splitlines())
                mine = f"{agent}\n{other}\n{later}\n@{abstract[1:]}"
                outside = run_outside(sys.executable, "-I", "-c", _CONNECT, stdin=mine).splitlines()
            said = await run_python(box, _ASK, agent)
    assert (reached, said) == ({agent}, "agent")
    assert outside == [agent, other, later, f"@{abstract[1:]}"]


async def test_it_is_the_socket_that_was_there_whatever_takes_its_name(host: HostFacts, place: Path) -> None:
    agent = f"{place}/agent"
    with speaking(agent, b"first"):
        async with opened(reaching(agent), host) as box:
            os.rename(agent, f"{place}/moved")
            with speaking(agent, b"second"):
                inside, outside = await run_python(box, _ASK, agent), run_outside(sys.executable, "-c", _ASK, agent)
    assert (inside, outside) == ("first", "second")


async def test_a_link_on_the_way_to_it_is_followed_as_the_user(host: HostFacts, place: Path) -> None:
    (place / "real").mkdir(mode=0o755)
    os.symlink(place / "real", place / "link")
    with speaking(f"{place}/real/agent", b"agent"):
        async with opened(reaching(f"{place}/link/agent"), host) as box:
            assert await run_python(box, _ASK, f"{place}/link/agent") == "agent"
            assert await run_python(box, _ASK, f"{place}/real/agent") == "agent"


async def test_sockets_and_a_network_leave_each_other_as_they_are(host: HostFacts, place: Path) -> None:
    code = "import socket; [print(socket.socket(f).family.name) for f in (socket.AF_INET, socket.AF_UNIX)]"
    with speaking(f"{place}/agent", b"agent"), listening(f"{place}/other"):
        async with opened(reaching(f"{place}/agent", network=("example.org",)), host) as box:
            assert await run_python(box, code) == "AF_INET\nAF_UNIX\n"
            assert await run_python(box, _ASK, f"{place}/agent") == "agent"
            assert await run_python(box, _CONNECT, stdin=f"{place}/other\n@aios") == ""


async def test_nothing_is_shown_beside_it_where_the_kernel_cannot_tell_sockets_apart(
    host: HostFacts, place: Path
) -> None:
    older = replace(host, landlock=min(host.landlock, RESOLVE_ABI - 1))
    (place / "file").write_text("x")
    with speaking(f"{place}/agent", b"agent"):
        async with opened(reaching(f"{place}/agent"), older) as box:
            folders = (str(place), "/var", "/tmp", "/run", "/")
            seen = [set((await box.run("ls", folder)).out.decode().split()) for folder in folders]
    assert seen[:3] == [{"agent"}, {"run"}, {place.name}]
    assert {"tmp"} <= seen[3] <= {"systemd", "tmp", "udev"}
    assert seen[4] <= {"bin", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr", "var"}


async def test_what_cannot_be_promised_is_refused(host: HostFacts, place: Path) -> None:
    older = replace(host, landlock=min(host.landlock, RESOLVE_ABI - 1))
    (place / "file").write_text("x")
    (place / "closed").mkdir()
    fence = Tree(place).fence((rule("closed", DENY),))
    with speaking(f"{place}/agent", b"agent"), speaking(f"{place}/closed/agent", b"agent"):
        for profile, why in (
            (reaching(f"{place}/file"), "is not a Unix socket"),
            (reaching(f"{place}/none"), "cannot be given: No such file"),
            (reaching(f"{place}/closed/agent"), "cannot be given: "),
        ):
            with pytest.raises(SandboxError, match=why):
                async with opened(profile, older, fence=fence):
                    pass
        with pytest.raises(ProfileError, match="grant sockets and writes by two rules"):
            async with opened(reaching(f"{place}/agent", writes=(str(place),)), older):
                pass
        with pytest.raises(ProfileError, match="the system's own Python"):
            async with opened(reaching(f"{place}/agent"), replace(older, extra=("/opt/python",))):
                pass


@needs_root
async def test_a_socket_in_the_folders_that_are_shown_is_refused(host: HostFacts, place: Path) -> None:
    stray = f"/etc/aios-test-{os.getpid()}.sock"
    older = replace(host, landlock=min(host.landlock, RESOLVE_ABI - 1))
    with speaking(f"{place}/agent", b"agent"):
        try:
            with listening(stray), pytest.raises(SandboxError, match=f"{stray} lies in /etc, and could be reached"):
                async with opened(reaching(f"{place}/agent"), older):
                    pass
        finally:
            os.unlink(stray)
        async with opened(reaching(f"{place}/agent"), older) as box:
            assert await run_python(box, _ASK, f"{place}/agent") == "agent"


async def test_a_kernel_that_tells_sockets_apart_lets_others_be_seen_and_not_reached(
    host: HostFacts, place: Path
) -> None:
    if host.landlock < RESOLVE_ABI:
        pytest.skip(f"Landlock {host.landlock} does not know sockets by path")
    with speaking(f"{place}/agent", b"agent"), listening(f"{place}/other"):
        async with opened(reaching(f"{place}/agent", writes=(str(place),)), host) as box:
            assert (await box.shell(f"echo x > {place}/new && ls {place}")).out == b"agent\nnew\nother\n"
            assert await run_python(box, _CONNECT, stdin=f"{place}/agent\n{place}/other") == f"{place}/agent\n"
