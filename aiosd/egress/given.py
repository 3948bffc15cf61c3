"""What the egress room is given and what it tells, as plain values."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# Puts a host and a port to a person: why it may not be reached, "" where it may.
AskPerson = Callable[[str, int], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A secret that the proxy puts in where `placeholder` stands in one of `headers` of a request to one of `hosts`.

    `credential` names what holds the value; headers in small letters.
    """

    placeholder: str
    credential: str
    hosts: tuple[str, ...]
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The configuration's words on whom commands may reach: hosts as `rules` reads them, and bounds of a connection.

    `unknown` is what becomes of a host that neither list names: `deny`, or `ask`.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    unknown: str = "deny"
    parent: str = ""
    idle_s: int = 120
    max_mib: int = 1024
    max_s: int = 3600
    secrets: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One connection that a command wanted. `refused` is why there was none, or why it was ended; "" where it went.

    `sent` and `received` are bytes, `address` what the host's name led to.
    """

    host: str
    port: int
    address: str
    refused: str
    sent: int
    received: int
