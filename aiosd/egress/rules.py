"""Whom a sandbox may reach: lists of hosts, and the decision about one connection. Pure.

An entry is `HOST`, `HOST:PORT`, `*.DOMAIN` or an address, with a reason after a blank where one is wanted; `any` is
every public host, and has to be said: an empty list is nobody. A domain's own name is not among `*.DOMAIN`. What is
denied stays denied, whatever else allows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiosd.egress.hosts import Address, Host, HostError, parse_host, parse_host_port, render_host

ANY: Final = "any"
EVERYBODY: Final = "*"  # in a rule's `network`: whoever the lists of the configuration allow


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One host, every host of a domain (`below`), or any (`host` ""); at one port, or 0 for all of them."""

    host: Host = ""
    below: bool = False
    port: int = 0
    reason: str = ""
    text: str = ""

    def covers(self, host: Host, port: int) -> bool:
        """Whether it speaks of this host at this port. An address is spoken of by itself only, never by `any`."""
        if self.port not in (0, port):
            return False
        if not self.host:
            return isinstance(host, str)
        if self.below:
            return isinstance(host, str) and host.endswith(f".{self.host}")
        return host == self.host


def parse_entry(text: str, *, wide: bool = False) -> Entry:
    """Read one entry. HostError where it is none; `wide` lets `*.com` pass, which only what denies may say."""
    what, _, reason = text.strip().partition(" ")
    if what == ANY or (wide and what == EVERYBODY):
        return Entry(reason=reason.strip(), text=what)
    below = what.startswith("*.")
    spelled = what[2:] if below else what
    host, port = (parse_host(spelled), 0) if _is_portless(spelled) else parse_host_port(spelled)
    if below and (not isinstance(host, str) or ("." not in host and not wide)):
        raise HostError(f"{what!r} is too wide; name a domain, as in *.example.org")
    return Entry(host=host, below=below, port=port, reason=reason.strip(), text=what)


def _is_portless(text: str) -> bool:
    return ":" not in text or text.endswith("]") or (text.count(":") > 1 and not text.startswith("["))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The lists in force. `internal` are names that may lead to private addresses, as a company's own hosts do."""

    allow: tuple[Entry, ...] = ()
    deny: tuple[Entry, ...] = ()
    internal: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What becomes of one connection: `refused` is why not, "" where it may be made.

    `listed` says that the address itself is on a list, `internal` that the name may lead to a private one. `unknown`:
    refused because no list of the configuration speaks of the host, so that a person may be asked.
    """

    refused: str = ""
    unknown: bool = False
    listed: bool = False
    internal: bool = False


def read_rules(allow: Iterable[str], deny: Iterable[str], internal: Iterable[str] = ()) -> Rules:
    """The lists of the configuration. HostError names the entry that is wrong."""
    return Rules(
        allow=tuple(parse_entry(text) for text in allow),
        deny=tuple(parse_entry(text, wide=True) for text in deny),
        internal=tuple(parse_entry(text) for text in internal),
    )


def decide(rules: Rules, granted: Iterable[str], host: Host, port: int) -> Ruling:
    """Whether a command with the grants of its rule (hosts, or `*` for the configuration's own list) may connect."""
    where = f"{render_host(host)}:{port}"
    for entry in rules.deny:
        if entry.covers(host, port) or (not entry.host and entry.port in (0, port)):
            because = f" ({entry.reason})" if entry.reason else ""
            return Ruling(refused=f"{where} is denied by egress.deny{because}, which an administrator can change")
    grants = tuple(granted)
    entries = [parse_entry(text) for text in grants if text != EVERYBODY]
    if EVERYBODY in grants:
        entries += rules.allow
    if any(entry.covers(host, port) for entry in entries):
        internal = any(entry.covers(host, port) for entry in rules.internal)
        return Ruling(listed=not isinstance(host, str), internal=internal)
    if EVERYBODY in grants:
        return Ruling(refused=f"{where} is not in egress.allow, where an administrator can add it", unknown=True)
    named = ", ".join(grants) or "no host"
    return Ruling(
        refused=f"{where} is not granted: the rule's network names {named}; "
        "an administrator can add it in /etc/aios/policy.d"
    )


__all__ = ["ANY", "EVERYBODY", "Address", "Entry", "Rules", "Ruling", "decide", "parse_entry", "read_rules"]
