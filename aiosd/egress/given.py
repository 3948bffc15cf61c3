"""What the egress room is given and what it tells, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """The configuration's words on whom commands may reach: hosts as `rules` reads them, and bounds of a connection."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    parent: str = ""
    idle_s: int = 120
    max_mib: int = 1024


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
