"""The configuration's words on egress, read once for as long as they stay the same."""

import functools
from collections.abc import Iterable

from aiosd.egress.given import Lists
from aiosd.egress.hosts import Host, HostError, parse_host_port
from aiosd.egress.proxy import Bounds
from aiosd.egress.rules import parse_entry, read_rules
from aiosd.egress.secret import parse_target

_MIB = 1024 * 1024


@functools.lru_cache(maxsize=4)
def make_bounds(lists: Lists) -> Bounds:
    """What holds at the next connection. HostError where a word is none."""
    return Bounds(
        rules=read_rules(lists.allow, lists.deny, lists.internal),
        asks=lists.unknown == "ask",
        parent=parse_parent(lists.parent),
        idle_s=lists.idle_s,
        max_bytes=lists.max_mib * _MIB,
        max_s=lists.max_s,
        secrets=lists.secrets,
    )


def parse_parent(text: str) -> tuple[Host, int] | None:
    """A parent proxy as `http://host:port`; None for "". Raises HostError."""
    if not text:
        return None
    if not text.startswith("http://"):
        raise HostError(f"{text!r} is not http://HOST:PORT")
    return parse_host_port(text.removeprefix("http://").removesuffix("/"))


def find_target_fault(hosts: Iterable[str]) -> str:
    """What is wrong with the hosts that a secret is put in for, "" where nothing is."""
    try:
        for host in hosts:
            parse_target(host)
    except HostError as exc:
        return str(exc)
    return ""


def find_fault(key: str, value: object) -> str:
    """What is wrong with a value of the configuration's `egress` table, "" where nothing is."""
    try:
        if key == "parent":
            parse_parent(str(value))
        elif isinstance(value, tuple):
            for text in value:
                parse_entry(str(text), wide=key == "deny")
    except HostError as exc:
        return str(exc)
    return ""
