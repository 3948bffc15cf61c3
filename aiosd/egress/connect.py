"""The connection to a host that may be reached: names are resolved once, every address is checked, and one of those
checked is connected to. Where there is a parent proxy, it resolves, and only the name was checked.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from aiosd.egress.hosts import Address, Host, render_host, why_not_public
from aiosd.egress.rules import Ruling

_BY_ADDRESS = "no name may, and an administrator can list the address itself in egress.allow"
_RESOLVE_S, _CONNECT_S, _MAX_ANSWER = 10.0, 15.0, 8192


class NotConnectedError(Exception):
    """There is no connection; the message says why. `refused` where it is by rule and not by failure."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection, and the address at its other end."""

    socket: socket.socket
    address: str


async def open_connection(host: Host, port: int, ruling: Ruling, *, parent: tuple[Host, int] | None) -> Connected:
    """Connect, by `parent` where there is one. Raises NotConnectedError."""
    if parent is not None:
        return await _by_parent(host, port, parent)
    addresses = await find_addresses(host, port)
    if not ruling.listed:
        for address in addresses:
            check_address(host, address, internal=ruling.internal)
    return await _connect(addresses, port)


async def find_addresses(host: Host, port: int) -> tuple[Address, ...]:
    """What a host's name leads to, each address once."""
    if not isinstance(host, str):
        return (host,)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise NotConnectedError(f"{host}: no answer to its name in {_RESOLVE_S:.0f} s") from None
    except OSError as exc:
        raise NotConnectedError(f"{host}: {exc.strerror or exc}") from exc
    return tuple(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


def check_address(host: Host, address: Address, *, internal: bool) -> None:
    """NotConnectedError where a name must not lead to `address`: nobody's, this machine's, or a private network's."""
    why = why_not_public(address)
    private = internal and address.is_private and not (address.is_loopback or address.is_link_local)
    if why and not (private and not address.is_unspecified and not address.is_multicast):
        there, _, kind = why.partition(", ")
        raise NotConnectedError(f"{host} leads to {there}, {kind}; {_find_hint(address)}", refused=True)
    if is_own(address):
        raise NotConnectedError(f"{host} leads to {address}, this machine itself; {_BY_ADDRESS}", refused=True)


def _find_hint(address: Address) -> str:
    within = address.is_private and not (address.is_loopback or address.is_link_local or address.is_unspecified)
    return "an administrator can name it in egress.internal" if within else _BY_ADDRESS


def is_own(address: Address) -> bool:
    """Whether an address is this machine's: the kernel lets nobody bind to another's."""
    family = socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


async def _connect(addresses: tuple[Address, ...], port: int) -> Connected:
    problem = "it has no address"
    for address in addresses:
        family = socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
        except TimeoutError:
            sock.close()
            problem = f"{address} does not answer in {_CONNECT_S:.0f} s"
        except OSError as exc:
            sock.close()
            problem = f"{address}: {exc.strerror}"
        except BaseException:
            sock.close()
            raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Connected(sock, str(address))
    raise NotConnectedError(problem)


async def _by_parent(host: Host, port: int, parent: tuple[Host, int]) -> Connected:
    loop = asyncio.get_running_loop()
    connected = await _connect(await find_addresses(*parent), parent[1])
    where = f"{render_host(host)}:{port}"
    answer = b""
    try:
        async with asyncio.timeout(_CONNECT_S):
            await loop.sock_sendall(connected.socket, f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
            while b"\r\n\r\n" not in answer and len(answer) < _MAX_ANSWER:
                piece = await loop.sock_recv(connected.socket, 1)  # not a byte of what comes after
                if not piece:
                    break
                answer += piece
    except (OSError, TimeoutError) as exc:
        connected.socket.close()
        raise NotConnectedError("the parent proxy does not answer") from exc
    words = answer.split(b" ", 2)
    if len(words) < 2 or not words[1].startswith(b"200"):
        connected.socket.close()
        said = words[1][:3].decode("ascii", "replace") if len(words) > 1 else "nothing"
        raise NotConnectedError(f"the parent proxy says {said} to {where}; egress.parent is it, and its rules its own")
    return Connected(connected.socket, f"{render_host(parent[0])}:{parent[1]}")
