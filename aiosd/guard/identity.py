"""Who somebody is, on the kernel's word alone.

A person who calls the guard is the peer of that connection. A person whom aiosd speaks for is the peer of *their own*
accepted socket, which aiosd hands over: the guard reads the credentials from it, makes sure that it was accepted by
aiosd's listening socket (a socket that somebody connected would show the listener's credentials, root's perhaps), and
takes each one once.

Source: unix(7) SO_PEERCRED, getsockname(2), socket(7) SO_COOKIE.
"""

import asyncio
import functools
import os
import pwd
import socket
from collections import OrderedDict

from aiosd.guard.people import find_principal
from aiosd.guard.varlink import Peer, read_peer
from aiosd.sandbox.link import Identity
from aiosd.types import Principal

_SO_COOKIE = 57
_REMEMBERED = 65536


class NotIdentifiedError(Exception):
    """The kernel does not vouch for this; the message says what is wrong with it."""


class ClientSockets:
    """Reads identities from clients' sockets that aiosd accepted at `api_path`, each once."""

    def __init__(self, api_path: str) -> None:
        self._api_path = api_path
        self._taken: OrderedDict[bytes, None] = OrderedDict()

    def identify(self, descriptor: int) -> Peer:
        """The peer of one accepted socket; NotIdentifiedError for anything else. The descriptor stays the caller's."""
        try:
            copy = os.dup(descriptor)
            try:
                client = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)
                raise
        except OSError as exc:
            raise NotIdentifiedError("the descriptor is not a socket") from exc
        with client:
            try:
                if client.family != socket.AF_UNIX or client.type != socket.SOCK_STREAM:
                    raise NotIdentifiedError("the descriptor is not a Unix stream socket")
                if client.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    raise NotIdentifiedError("the descriptor is a listening socket")
                if client.getsockname() != self._api_path:
                    raise NotIdentifiedError(f"the socket was not accepted at {self._api_path}")
                cookie = client.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8)
                peer = read_peer(client)
            except OSError as exc:
                raise NotIdentifiedError(f"the socket has no peer: {exc.strerror}") from exc
        if cookie in self._taken:
            raise NotIdentifiedError("the socket was taken before")
        self._taken[cookie] = None
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)
        return peer


def is_sandboxed(peer: Peer) -> bool:
    """Whether the peer runs in another pid namespace than the guard: in a sandbox of ours, or a container.

    Nobody in there answers an approval. A peer that cannot be looked at counts as one.
    """
    try:
        with open(f"/proc/{peer.pid}/status", encoding="utf-8", errors="replace") as status:
            for line in status:
                if line.startswith("NSpid:"):
                    return len(line.split()) != len(_own_namespaces()) + 1
    except OSError:
        pass
    return True


@functools.cache
def _own_namespaces() -> tuple[str, ...]:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
        return next(tuple(line.split()[1:]) for line in status if line.startswith("NSpid:"))


async def load_principal(peer: Peer) -> Principal:
    """The person of `peer`, from the user database; an unknown one is a uid without name, home and groups."""
    return await asyncio.to_thread(find_principal, peer.uid, peer.gid)


async def load_identity(principal: Principal, *, observe_user: str) -> Identity:
    """Whose rights the principal's sandboxes have: their own; for root those of `observe_user`, or nobody's.

    NotIdentifiedError where the guard is not root and the principal is somebody else.
    """
    return await asyncio.to_thread(_load_identity, principal, observe_user)


def _load_identity(principal: Principal, observe_user: str) -> Identity:
    own = os.geteuid()
    if own != 0:
        if principal.uid != own:
            raise NotIdentifiedError("a standalone guard without root serves its own user only")
        groups = tuple(os.getgroups())
        return Identity(
            uid=own, gid=os.getegid(), groups=groups, user=principal.user, home=principal.home, drop=False
        )  # fmt: skip
    if principal.uid == 0:
        return _observer(observe_user)
    try:
        groups = tuple(os.getgrouplist(pwd.getpwuid(principal.uid).pw_name, principal.gid))
    except KeyError:
        groups = (principal.gid,)
    return Identity(
        uid=principal.uid,
        gid=principal.gid,
        groups=tuple(group for group in groups if group != 0),
        user=principal.user,
        home=principal.home,
        drop=True,
    )


def _observer(observe_user: str) -> Identity:
    for name in (observe_user, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid and entry.pw_gid:
            groups = tuple(group for group in os.getgrouplist(name, entry.pw_gid) if group != 0)
            return Identity(
                uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, user=name, home=entry.pw_dir or "/", drop=True
            )  # fmt: skip
    return Identity(uid=65534, gid=65534, groups=(65534,), user="nobody", home="/", drop=True)
