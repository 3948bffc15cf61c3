"""Who listens, who is connected, and the firewall. Whose socket it is only root sees: the guard's observations tell."""

import re
from collections import Counter
from dataclasses import dataclass

from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer
from aiosd.model.builtin.text import Answer, Table, clip

_MOST_ROWS = 40
_MISSING = re.compile(r"this machine has no (.+?)\]?$")
_UNIT = re.compile(r"cgroup:\S*/([^/\s]+\.(?:service|socket))(?:\s|$)")
_REASON = re.compile(r"\[(?:failed|denied|refused): (.*)\]")
_USER = re.compile(r'\("([^"]+)",pid=(\d+)')
_LOOPBACK = re.compile(r"127\.|\[::1\]|\[::ffff:127\.|::1$")
_EVERYWHERE = {"0.0.0.0", "*", "[::]"}
_DROPS = re.compile(r"hook input .*policy drop;|^:INPUT DROP|-P INPUT DROP", re.MULTILINE)
_NFT_RULE = re.compile(r"\s+(?!type |policy |flags |elements |chain |set |map |table )\S.*[^{};]\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A listening socket. Whose it is, and of which unit, is empty where that was not seen."""

    protocol: str
    address: str
    port: str
    owner: str = ""
    unit: str = ""

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return _LOOPBACK.match(self.address) is not None


def withheld(seen: Seen, reading: Reading) -> str:
    """Why an observation was not given, "" where it was."""
    if reading.result.outcome == "done":
        return ""
    lines = [*reading.lines, *reading.complaints, reading.reason]
    said = next((line for line in reversed(lines) if line.strip()), reading.result.outcome)
    if missing := _MISSING.search(said):
        return seen.say("missing_tool", tool=clip(missing[1], 60))
    known = next((sentence for sign, sentence in seen.knowledge.symptoms if sign in said), "")
    return seen.say(known) if known else clip(_REASON.sub(r"\1", said.strip()), 200) or reading.result.outcome


def parse_sockets(reading: Reading) -> list[Socket] | None:
    """The sockets that `ss -tuln` lists; None where it did not tell."""
    found = []
    for line in reading.lines:
        fields = line.split()
        if len(fields) >= 6 and fields[0] in {"tcp", "udp"} and ":" in fields[4]:
            address, _, port = fields[4].rpartition(":")
            owner = ", ".join(f"{name} (PID {pid})" for name, pid in dict.fromkeys(_USER.findall(line)))
            unit = _UNIT.search(line)
            found.append(
                Socket(
                    protocol=fields[0],
                    address=clip(address.partition("%")[0], 50),
                    port=clip(port, 10),
                    owner=owner,
                    unit=unit[1] if unit else "",
                )
            )
    if not found and (reading.lines or reading.complaints or reading.result.outcome != "done"):
        return None
    return found


def _see(seen: Seen) -> tuple[list[Socket] | None, tuple[str, ...]]:
    """The sockets, with their owners where those may be seen, and the note on what may not."""
    owned = parse_sockets(seen["owners"]) if seen["owners"].result.outcome == "done" else None
    if owned:
        return owned, ()
    reason = withheld(seen, seen["owners"])
    sockets = parse_sockets(seen["sockets"])
    return sockets, (seen.say("owners_hidden", reason=reason),) if reason and sockets else ()


def listening_ports(seen: Seen) -> Answer:
    """From `ss`: how many ports, which of them other machines reach, then the list."""
    say = seen.say
    sockets, notes = _see(seen)
    if sockets is None:
        return no_answer(seen, seen["sockets"])
    if not sockets:
        return Answer(sentences=(say("ports_none"),))
    sockets.sort(key=lambda one: (one.local, int(one.port) if one.port.isdigit() else 0, one.protocol))
    outside = list(dict.fromkeys(f"{one.port}/{one.protocol}" for one in sockets if not one.local))
    count = len({(one.port, one.protocol) for one in sockets})
    if outside:
        shown = say.list(tuple(outside[:12])) + (" …" if len(outside) > 12 else "")
        sentence = say.count("ports_some", count, open=str(len(outside)), ports=shown)
    else:
        sentence = say.count("ports_local", count)
    headings = [say("col_port"), say("col_address"), say("col_open")]
    owners = any(one.owner for one in sockets)
    rows = tuple(
        (f"{one.port}/{one.protocol}", one.address, reach(seen, one), *((clip(one.owner, 60),) if owners else ()))
        for one in sockets[:_MOST_ROWS]
    )
    if len(sockets) > _MOST_ROWS:
        notes = (say.count("more_rows", len(sockets) - _MOST_ROWS), *notes)
    table = Table(headings=(*headings, say("col_process")) if owners else tuple(headings), rows=rows)
    return Answer(sentences=(sentence,), table=table, notes=(*notes, *caveats(seen, seen["sockets"])))


def reach(seen: Seen, socket: Socket) -> str:
    """Who reaches a socket."""
    if socket.local:
        return seen.say("this_machine")
    if socket.address in _EVERYWHERE:
        return seen.say("all_machines")
    return seen.say("network_of", address=socket.address)


def port_user(seen: Seen) -> Answer:
    """Whether somebody listens on one port, who, and who reaches it."""
    say, port = seen.say, seen.slot("port")
    sockets, notes = _see(seen)
    if sockets is None:
        return no_answer(seen, seen["sockets"])
    found = [one for one in sockets if one.port == port]
    if not found:
        return Answer(sentences=(say("port_free", port=port),))
    owners = tuple(dict.fromkeys(one.owner for one in found if one.owner))
    addresses = say.list(tuple(dict.fromkeys(f"{one.address}/{one.protocol}" for one in found)))
    first = (
        say("port_taken", port=port, who=clip(say.list(owners), 100))
        if owners
        else say("port_open", port=port, addresses=addresses)
    )
    second = say("port_own") if all(one.local for one in found) else say("port_reach")
    return Answer(sentences=(first, second), notes=notes)


def connections(seen: Seen) -> Answer:
    """From `ss`: how many established connections, and with whom."""
    reading, say = seen["sockets"], seen.say
    peers: Counter[tuple[str, str]] = Counter()
    for line in reading.lines:
        fields = [field for field in line.split() if ":" in field]
        if len(fields) >= 2:
            peers[fields[1].rpartition(":")[0], fields[0].rpartition(":")[2]] += 1
    if not peers and (reading.lines or reading.complaints or reading.result.outcome != "done"):
        return no_answer(seen, reading)
    if not peers:
        return Answer(sentences=(say("connections_none"),))
    by_peer = Counter[str]()
    for (peer, _), count in peers.items():
        by_peer[peer] += count
    peer, most = by_peer.most_common(1)[0]
    rows = tuple((clip(one, 50), clip(port, 10), str(count)) for (one, port), count in peers.most_common(_MOST_ROWS))
    table = Table(headings=(say("col_peer"), say("col_port"), say("col_count")), rows=rows, right=frozenset((2,)))
    sentence = say.count("connections_some", peers.total(), peer=clip(peer, 50), most=str(most))
    return Answer(sentences=(sentence,), table=table, notes=caveats(seen, reading))


def firewall(seen: Seen) -> Answer:
    """From the guard's observation of nftables or iptables: rules, and what happens to the rest."""
    reading, say = seen["rules"], seen.say
    if reason := withheld(seen, reading):
        return Answer(sentences=(say("root_only", reason=reason),), failed=True)
    count = count_rules(reading)
    if not count:
        return Answer(sentences=(say("firewall_off"),))
    drops = drops_input(reading)
    return Answer(
        sentences=(say.count("firewall_on", count), say("firewall_drops" if drops else "firewall_accepts")),
        verbatim="\n".join(clip(line.replace("\t", "    "), 120) for line in reading.lines[:60]),
    )


def count_rules(reading: Reading) -> int:
    """The rules in `nft list ruleset` or `iptables-save`."""
    return sum(line.startswith("-A ") or _NFT_RULE.fullmatch(line) is not None for line in reading.lines)


def drops_input(reading: Reading) -> bool:
    """Whether what no rule allows is kept out."""
    return _DROPS.search(reading.out) is not None
