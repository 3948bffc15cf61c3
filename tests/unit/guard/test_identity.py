"""Who somebody is: the kernel's word, read from real sockets, whatever a client hands over."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiosd.guard.identity import ClientSockets, NotIdentifiedError, is_sandboxed, load_identity, load_principal
from aiosd.guard.varlink import Peer, read_peer
from tests.daemon.people import IS_ROOT, OTHER, PERSON, acting_as, needs_root


@contextmanager
def _accepted(path: Path, *, uid: int | None = None) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection to `path` made by `uid`: the client's end, and the one that was accepted."""
    path.parent.chmod(0o755)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
    ):
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(1)
        with acting_as(os.geteuid() if uid is None else uid):
            client.connect(str(path))
        server, _address = listener.accept()
        path.unlink()
        with server:
            yield client, server


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path that everybody can reach."""
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="aios-", dir="/tmp") as name:
        yield Path(name) / "api.sock"


def _refused(sockets: ClientSockets, descriptor: int) -> str:
    with pytest.raises(NotIdentifiedError) as caught:
        sockets.identify(descriptor)
    return str(caught.value)


def test_the_peer_of_an_accepted_socket_is_known_and_each_socket_is_taken_once(place: Path) -> None:
    sockets = ClientSockets(str(place))
    with _accepted(place) as (_client, server):
        assert sockets.identify(server.fileno()) == Peer(pid=os.getpid(), uid=os.geteuid(), gid=os.getegid())
        assert _refused(sockets, server.fileno()) == "the socket was taken before"
        with server.dup() as again:
            assert _refused(sockets, again.fileno()) == "the socket was taken before"
        os.fstat(server.fileno())  # it stays the caller's
    with _accepted(place) as (_client, server):
        assert sockets.identify(server.fileno()).uid == os.geteuid()


@needs_root
def test_the_uid_is_that_of_who_connected(place: Path) -> None:
    sockets = ClientSockets(str(place))
    for uid in (PERSON, OTHER):
        with _accepted(place, uid=uid) as (_client, server):
            peer = sockets.identify(server.fileno())
            assert (peer.uid, peer.gid) == (uid, uid)


def test_the_clients_own_end_shows_the_listeners_credentials_and_is_not_taken(place: Path) -> None:
    sockets = ClientSockets(str(place))
    with _accepted(place, uid=PERSON if IS_ROOT else None) as (client, server):
        assert read_peer(client).uid == os.geteuid()  # which may be root's
        assert _refused(sockets, client.fileno()) == f"the socket was not accepted at {place}"
        assert sockets.identify(server.fileno()).uid == (PERSON if IS_ROOT else os.geteuid())


def test_what_is_no_clients_socket_is_refused(place: Path) -> None:
    sockets = ClientSockets(str(place))
    with _accepted(place.with_name("other.sock")) as (_client, server):
        assert _refused(sockets, server.fileno()) == f"the socket was not accepted at {place}"
    one, two = socket.socketpair()
    with one, two:
        assert _refused(sockets, one.fileno()) == f"the socket was not accepted at {place}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        listener.listen(1)
        assert _refused(sockets, listener.fileno()) == "the descriptor is a listening socket"
    place.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:  # bound there, and connected to nothing
        bound.bind(str(place))
        assert _refused(sockets, bound.fileno()).startswith("the socket has no peer")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        assert _refused(sockets, other.fileno()) == "the descriptor is not a Unix stream socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        assert _refused(sockets, other.fileno()) == "the descriptor is not a Unix stream socket"
    with open("/dev/null", "rb") as file:
        assert _refused(sockets, file.fileno()) == "the descriptor is not a socket"
    assert _refused(sockets, 9999) == "the descriptor is not a socket"


@needs_root
def test_a_pair_bound_to_the_name_by_its_maker_is_not_the_daemons(place: Path) -> None:
    """Whoever owns both ends could name one after the API's socket, where they may bind there: nobody but us."""
    sockets = ClientSockets(str(place))
    place.parent.chmod(0o755)
    with acting_as(PERSON), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as forged, pytest.raises(PermissionError):
        forged.bind(str(place))
    with acting_as(PERSON), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as forged:
        forged.bind(f"\0{place}")  # an abstract name may look alike
        assert _refused(sockets, forged.fileno()) == f"the socket was not accepted at {place}"


def test_who_is_gone_or_in_another_namespace_answers_nothing() -> None:
    assert is_sandboxed(Peer(pid=os.getpid(), uid=0, gid=0)) is False
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert is_sandboxed(Peer(pid=child.pid, uid=0, gid=0)) is True
    assert is_sandboxed(Peer(pid=0, uid=0, gid=0)) is True


@needs_root
def test_who_is_in_a_sandbox_answers_nothing() -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "echo ready; read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text(encoding="ascii").split()
        assert is_sandboxed(Peer(pid=int(children[0]), uid=0, gid=0)) is True
        assert is_sandboxed(Peer(pid=outer.pid, uid=0, gid=0)) is False
        outer.communicate(b"\n", timeout=30)


async def test_a_person_is_who_the_user_database_says() -> None:
    entry = pwd.getpwuid(os.geteuid())
    principal = await load_principal(Peer(pid=1, uid=entry.pw_uid, gid=12345))
    assert (principal.uid, principal.gid, principal.user, principal.home) == (
        entry.pw_uid,
        entry.pw_gid,
        entry.pw_name,
        entry.pw_dir,
    )
    assert principal.groups
    unknown = await load_principal(Peer(pid=1, uid=PERSON, gid=OTHER))
    assert (unknown.uid, unknown.gid, unknown.user, unknown.home, unknown.groups) == (
        PERSON,
        OTHER,
        str(PERSON),
        "/",
        (),
    )


@needs_root
@pytest.mark.parametrize("observer", ["nobody", "no-such-user", "root", "daemon"])
async def test_root_observes_without_roots_rights(observer: str) -> None:
    root = await load_principal(Peer(pid=1, uid=0, gid=0))
    identity = await load_identity(root, observe_user=observer)
    assert identity.drop
    assert identity.uid != 0
    assert 0 not in (identity.gid, *identity.groups)
    assert identity.user == (observer if observer == "daemon" else "nobody")


@needs_root
async def test_a_persons_sandbox_has_their_rights_and_never_roots_group() -> None:
    person = await load_principal(Peer(pid=1, uid=PERSON, gid=PERSON))
    identity = await load_identity(person, observe_user="nobody")
    assert (identity.uid, identity.gid, identity.groups, identity.drop) == (PERSON, PERSON, (PERSON,), True)
    grouped = await load_principal(Peer(pid=1, uid=PERSON, gid=0))
    assert 0 not in (await load_identity(grouped, observe_user="nobody")).groups
