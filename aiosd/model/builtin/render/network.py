"""Addresses and the way out."""

import json
from dataclasses import dataclass
from typing import Any

from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.text import Answer, Table, clip

_LOOPBACK = "LOOPBACK"
_NAME_COLUMNS = 20
_MOST_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interface:
    name: str
    state: str
    loopback: bool
    addresses: tuple[str, ...]  # with their prefix length, IPv4 first
    links: tuple[str, ...]  # those that hold on this link only


def addresses(seen: Seen) -> Answer:
    """From `ip -json`: the address by which this machine is reached, then each interface that has one."""
    say = seen.say
    interfaces = _parse_addresses(seen["addresses"])
    if interfaces is None:
        return no_answer(seen, seen["addresses"])
    routes = _parse_routes(seen["routes"])
    notes = caveats(seen, seen["addresses"])
    if routes is None:
        notes += (trouble(seen, seen["routes"]),)
    asked = seen.slot("interface")
    if asked:
        return Answer(sentences=_one(seen, asked, interfaces, routes or []), notes=notes)
    useful = [one for one in interfaces if not one.loopback and (one.addresses or one.links)]
    if not useful:
        own = tuple(address.split("/")[0] for one in interfaces if one.loopback for address in one.addresses)
        sentence = say("only_loopback", addresses=say.list(own)) if own else say("no_addresses")
        return Answer(sentences=(sentence,), notes=notes)
    main = next((one for gateway in routes or [] for one in useful if one.name == gateway[1]), None)
    sentences: tuple[str, ...] = ()
    if main:
        sentences = _one(seen, main.name, useful, routes or [])
    elif routes is not None:
        sentences = (say("no_gateway"),)
    silent = tuple(one.name for one in interfaces if not one.loopback and one not in useful)
    if silent:
        notes = (say("without_address", names=say.list(silent[:_MOST_ROWS])), *notes)
    table = Table(
        headings=(say("col_interface"), say("col_state"), say("col_addresses")),
        rows=tuple(
            (one.name, one.state, say.list(one.addresses + one.links))
            for one in sorted(useful, key=lambda one: one is not main)
        )[:_MOST_ROWS],
    )
    return Answer(sentences=sentences, table=table, notes=notes)


def _one(seen: Seen, name: str, interfaces: list[_Interface], routes: list[tuple[str, str]]) -> tuple[str, ...]:
    """The sentences about one interface."""
    say = seen.say
    shown = clip(name, _NAME_COLUMNS)
    found = next((one for one in interfaces if one.name == name), None)
    if found is None:
        return (say("no_interface", interface=shown, names=say.list(tuple(one.name for one in interfaces))),)
    known = tuple(address.split("/")[0] for address in found.addresses or found.links)
    if not known:
        return (say("interface_bare", interface=shown, state=found.state),)
    gateway = next((gateway for gateway, device in routes if device == name and gateway), "")
    sentence = say("interface_has", interface=shown, addresses=say.list(known))
    return (sentence, say("gateway", gateway=gateway)) if gateway else (sentence,)


def _parse_addresses(reading: Reading) -> list[_Interface] | None:
    entries = parse_json(reading)
    if not entries:
        return None
    interfaces = []
    for entry in entries:
        known = [info for info in dicts(entry.get("addr_info")) if isinstance(info.get("local"), str)]
        known.sort(key=lambda info: info.get("family") != "inet")
        shown = [(f"{info['local']}/{info.get('prefixlen')}", info.get("scope") == "link") for info in known]
        flags = entry.get("flags")
        interfaces.append(
            _Interface(
                name=clip(str(entry.get("ifname", "?")), _NAME_COLUMNS),
                state=clip(str(entry.get("operstate", "?")), _NAME_COLUMNS).lower(),
                loopback=isinstance(flags, list) and _LOOPBACK in flags,
                addresses=tuple(clip(address, 50) for address, link in shown if not link),
                links=tuple(clip(address, 50) for address, link in shown if link),
            )
        )
    return interfaces


def _parse_routes(reading: Reading) -> list[tuple[str, str]] | None:
    """The default routes, as gateway (may be empty) and device; None when they cannot be read."""
    entries = parse_json(reading)
    if entries is None:
        return None
    defaults = [entry for entry in entries if entry.get("dst") == "default"]
    return [(clip(str(entry.get("gateway", "")), 50), str(entry.get("dev", ""))) for entry in defaults]


def parse_json(reading: Reading) -> list[dict[str, Any]] | None:
    """What `ip -json` printed; an older one prints nothing where there is nothing."""
    if not reading.out.strip():
        return [] if reading.result.outcome == "done" and not reading.complaints else None
    try:
        value = json.loads(reading.out)
    except (ValueError, RecursionError):
        return None
    return dicts(value) if isinstance(value, list) and reading.result.outcome == "done" else None


def dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
