"""Whether the network is up, and if not, which of link, address, route and DNS is the first to fail; names."""

from aiosd.model.builtin.render.network import dicts, parse_json
from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.text import Answer, clip

_NAME_COLUMNS = 60
_STUB = "127.0.0.53"  # systemd-resolved(8)


def network_check(seen: Seen) -> Answer:
    """From `ip -json` and resolv.conf, in the order in which a connection is made; the first failure is the answer."""
    say = seen.say
    links, addresses = parse_json(seen["links"]), parse_json(seen["addresses"])
    if links is None or addresses is None:
        return no_answer(seen, seen["links"] if links is None else seen["addresses"])
    notes = (say("net_passive"),)
    devices = [link for link in links if "LOOPBACK" not in _flags(link)]
    if not devices:
        return Answer(sentences=(say("net_no_device"),), notes=notes)
    # Only what has a carrier can carry; tunnels and some virtual devices say UNKNOWN.
    carrying = [link for link in devices if link.get("operstate") in {"UP", "UNKNOWN"} and "UP" in _flags(link)]
    if not carrying:
        off = all("UP" not in _flags(link) for link in devices)
        names = say.list(tuple(_name(link) for link in devices[:5]))
        fix = say("net_try_link", name=_name(devices[0]))
        return Answer(sentences=(say("net_link_off" if off else "net_link", names=names), fix), notes=notes)
    known = {
        str(entry.get("ifname")): [
            str(info["local"])
            for info in dicts(entry.get("addr_info"))
            if info.get("scope") == "global" and "local" in info
        ]
        for entry in addresses
    }
    with_address = [link for link in carrying if known.get(str(link.get("ifname")))]
    if not with_address:
        names = say.list(tuple(_name(link) for link in carrying[:5]))
        return Answer(sentences=(say("net_address", names=names), say("net_try_address")), notes=notes)
    routes = [*(parse_json(seen["routes"]) or []), *(parse_json(seen["routes6"]) or [])]
    route = next((route for route in routes if route.get("dst") == "default"), None)
    if route is None:
        readable = parse_json(seen["routes"]) is not None
        return Answer(sentences=(say("net_route") if readable else trouble(seen, seen["routes"]),), notes=notes)
    servers, _ = parse_resolv(seen["dns"])
    if not servers:
        return Answer(sentences=(say("net_dns"),), notes=notes)
    device = str(route.get("dev", ""))
    address = next(iter(known.get(device) or known[str(with_address[0].get("ifname"))]))
    return Answer(
        sentences=(
            say(
                "net_up",
                link=clip(device, _NAME_COLUMNS),
                address=clip(address, 50),
                gateway=clip(str(route.get("gateway", device)), 50),
                dns=say.list(servers),
            ),
        ),
        notes=(*notes, *caveats(seen, seen["links"])),
    )


def _flags(link: dict[str, object]) -> list[object]:
    flags = link.get("flags")
    return flags if isinstance(flags, list) else []


def _name(link: dict[str, object]) -> str:
    return clip(str(link.get("ifname", "?")), _NAME_COLUMNS)


def parse_resolv(reading: Reading) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The name servers and the search domains of resolv.conf(5)."""
    servers: list[str] = []
    domains: list[str] = []
    for line in reading.lines:
        word, *values = line.split()
        if word == "nameserver" and values:
            servers.append(clip(values[0], 50))
        elif word in {"search", "domain"}:
            domains = [clip(value, _NAME_COLUMNS) for value in values if value != "."]
    return tuple(servers), tuple(domains)


def dns_servers(seen: Seen) -> Answer:
    """From resolv.conf."""
    reading, say = seen["dns"], seen.say
    if reading.result.outcome != "done":
        return no_answer(seen, reading)
    servers, domains = parse_resolv(reading)
    if not servers:
        return Answer(sentences=(say("dns_none"),))
    sentences = [say("dns_some", servers=say.list(servers))]
    if _STUB in servers:
        sentences.append(say("dns_stub"))
    if domains:
        sentences.append(say("dns_search", domains=say.list(domains)))
    return Answer(sentences=tuple(sentences))


def hostname(seen: Seen) -> Answer:
    """From the kernel; and where /etc/hostname says otherwise, that too."""
    say, name = seen.say, seen["name"].out.strip()
    if not name or len(seen["name"].lines) != 1:
        return no_answer(seen, seen["name"])
    sentences = [say("hostname_is", name=clip(name, _NAME_COLUMNS))]
    written = next((line.strip() for line in seen["file"].lines if not line.startswith("#")), "")
    if seen["file"].result.outcome == "done" and written and written != name:
        sentences.append(say("hostname_file", name=clip(written, _NAME_COLUMNS)))
    return Answer(sentences=tuple(sentences))
