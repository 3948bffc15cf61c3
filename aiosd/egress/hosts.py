"""Hosts as people and programs spell them, brought to one form: a name of plain labels, or an address. Pure.

What is compared is what is connected to: a spelling that resolvers and comparers could read differently (control
characters, labels of other letters, numbers that are addresses in disguise) is brought to its one meaning or refused.

Source: RFC 952, 1123 and 5890 (names), inet_aton(3) (numbers), RFC 4291, 6052, 3056 and 4380 (addresses in addresses).
"""

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Host = str | Address

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_MAX_NAME: Final = 253
_OWN = (ipaddress.IPv6Address("::"), ipaddress.IPv6Address("::1"))  # no IPv4 address is within these
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_ELSEWHERE: Final = "which is not of the public network"
_LOW_32: Final = 0xFFFFFFFF


class HostError(ValueError):
    """It is no host that can be connected to; the message says why."""


def parse_host(text: str) -> Host:
    """The one form of a host: a name in small letters without a last dot, or an address. Raises HostError."""
    if text.startswith("[") and text.endswith("]"):
        return _parse_v6(text[1:-1])
    if ":" in text:
        return _parse_v6(text)
    name = text.removesuffix(".")
    if not name:
        raise HostError("no host is named")
    name = _to_ascii(name)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _parse_v4(labels)
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise HostError(f"{text!r} is no name of a host")
    return name


def parse_host_port(text: str, default: int = 0) -> tuple[Host, int]:
    """`host:port` or `[address]:port`; `default` where no port is named (0: one must be). Raises HostError."""
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port or (":" in host and not host.endswith("]")):
        host, port = text, ""
    if not port and default and not text.endswith(":"):
        return parse_host(host), default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536 and len(port) < 6):
        raise HostError(f"{text!r} names no port")
    return parse_host(host), int(port)


def why_not_public(address: Address) -> str:
    """Why nobody outside is at `address`; "" where somebody may be. Addresses within addresses count."""
    inner = None if address in _OWN else _embedded(address)
    if inner is not None and (why := why_not_public(inner)):
        return f"{address} stands for {why}"
    if inner is not None and address in _NAT64:
        return ""  # how the public network's IPv4 is reached from a network without
    kinds = (
        ("is_loopback", "this machine itself"),
        ("is_link_local", "on the link, where cloud metadata lies"),
        ("is_multicast", "a multicast address"),
        ("is_unspecified", "no address"),
        ("is_private", "a private address"),
        ("is_reserved", "a reserved address"),
    )
    for kind, words in kinds:
        if getattr(address, kind):
            return f"{address}, {words}"
    return "" if address.is_global else f"{address}, {_ELSEWHERE}"


def render_host(host: Host) -> str:
    """As it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if isinstance(host, ipaddress.IPv6Address) else str(host)


def _to_ascii(name: str) -> str:
    if any(char <= " " or char == "\x7f" for char in name):
        raise HostError(f"{name!r} holds a blank or a control character")
    if name.isascii():
        return name.lower()
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError as exc:
        raise HostError(f"{name!r} is no name of a host") from exc


def _parse_v4(labels: list[str]) -> Address:
    """As inet_aton(3) reads it: one to four numbers, decimal, octal or hexadecimal, the last one fills the rest."""
    try:
        numbers = [_parse_number(label) for label in labels]
    except ValueError as exc:
        raise HostError(f"{'.'.join(labels)!r} is no address") from exc
    *first, last = numbers
    if len(numbers) > 4 or any(number > 255 for number in first) or last >= 256 ** (5 - len(numbers)):
        raise HostError(f"{'.'.join(labels)!r} is no address")
    value = last
    for at, number in enumerate(first):
        value |= number << (24 - 8 * at)
    return ipaddress.IPv4Address(value)


def _parse_number(label: str) -> int:
    if not _NUMBER.fullmatch(label):
        raise ValueError(label)
    if label[:2] in ("0x", "0X"):
        return int(label[2:] or "0", 16)
    return int(label, 8) if label.startswith("0") and label != "0" else int(label)


def _parse_v6(text: str) -> Address:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as exc:
        raise HostError(f"{text!r} is no address") from exc
    if address.scope_id is not None:
        raise HostError(f"{text!r} names an interface of this machine")
    return address.ipv4_mapped or address


def _embedded(address: Address) -> Address | None:
    """The IPv4 address that packets to `address` end at, where it is one that only wraps another."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    number = int(address)
    if address in _NAT64 or address in _NAT64_LOCAL or number >> 32 == 0:
        return ipaddress.IPv4Address(number & _LOW_32)
    return None
