"""Hosts in every spelling, what lies behind an address, and the lists: tables."""

import ipaddress

import pytest

from aiosd.egress.hosts import HostError, parse_host, parse_host_port, why_not_public
from aiosd.egress.rules import decide, parse_entry, read_rules
from aiosd.egress.tls import read_server_name

# Each spelling, and the one host it means; "" where it is none and never connected to.
SPELLINGS = {
    "example.org": "example.org",
    "EXAMPLE.org": "example.org",
    "example.org.": "example.org",
    "a.b-c.example.org": "a.b-c.example.org",
    "xn--bcher-kva.example": "xn--bcher-kva.example",
    "bücher.example": "xn--bcher-kva.example",
    "ＥＸＡＭＰＬＥ。org": "example.org",
    "example。org": "example.org",
    "localhost": "localhost",
    "example.org..": "",
    ".example.org": "",
    "example..org": "",
    "": "",
    ".": "",
    "evil.org\0.example.org": "",
    "example.org\0": "",
    "example.org\n": "",
    "example.org\r\nHost: x": "",
    " example.org": "",
    "exa mple.org": "",
    "example.org\t": "",
    "user@example.org": "",
    "example.org/x": "",
    "example.org#": "",
    "example.org?": "",
    "example.org\\x": "",
    "example.org%00": "",
    "exam_ple.org": "",
    "-example.org": "",
    "example-.org": "",
    "*.example.org": "",
    "*": "",
    "a" * 64 + ".org": "",
    ".".join(["a" * 60] * 5): "",
    "exаmple.org": "xn--exmple-4nf.org",
    "exa\u200bmple.org": "example.org",
    "exa\u202emple.org": "",
    "127.0.0.1": "127.0.0.1",
    "127.0.0.1.": "127.0.0.1",
    "127.1": "127.0.0.1",
    "127.0.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "017700000001": "127.0.0.1",
    "0177.0.0.01": "127.0.0.1",
    "0": "0.0.0.0",
    "0x": "0.0.0.0",
    "169.254.169.254": "169.254.169.254",
    "0xA9FEA9FE": "169.254.169.254",
    "169.16689662": "169.254.169.254",
    "１２７.０.０.１": "127.0.0.1",
    "256.0.0.1": "",
    "1.2.3.4.5": "",
    "127.0.0.0x1g": "127.0.0.0x1g",
    "09.0.0.1": "",
    "4294967296": "",
    "127.0.0.1e": "127.0.0.1e",
    "example.1": "",
    "::1": "::1",
    "[::1]": "::1",
    "0:0:0:0:0:0:0:1": "::1",
    "::ffff:127.0.0.1": "127.0.0.1",
    "[::ffff:7f00:1]": "127.0.0.1",
    "::127.0.0.1": "::7f00:1",
    "64:ff9b::7f00:1": "64:ff9b::7f00:1",
    "fe80::1%eth0": "",
    "[::1": "",
    "::1]": "",
    ":::1": "",
    "[example.org]": "",
}
NOT_PUBLIC = (
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.5", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2002:101:101::",
    "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_host_has_one_form_however_it_is_spelled(spelling: str) -> None:
    meant = SPELLINGS[spelling]
    if meant:
        assert str(parse_host(spelling)) == meant
        return
    with pytest.raises(HostError):
        parse_host(spelling)


def test_there_are_sixty_spellings() -> None:
    assert len(SPELLINGS) >= 60


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_nobody_outside_is_at_these(address: str) -> None:
    assert why_not_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_somebody_may_be_at_these(address: str) -> None:
    assert why_not_public(ipaddress.ip_address(address)) == ""


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a.org:443", "a.org", 443),
        ("[::1]:80", "::1", 80),
        ("A.org.:1", "a.org", 1),
        ("0x7f.1:65535", "127.0.0.1", 65535),
    ],
)
def test_a_port_belongs_to_a_host(text: str, host: str, port: int) -> None:
    found, number = parse_host_port(text)
    assert (str(found), number) == (host, port)


@pytest.mark.parametrize("text", ["a.org", "a.org:", "a.org:0", "a.org:65536", "a.org:+1", "a.org:１", ":80", "::1:80"])
def test_a_missing_or_strange_port_is_refused(text: str) -> None:
    with pytest.raises(HostError):
        parse_host_port(text)


RULES = read_rules(
    allow=("shop.example", "*.packages.example:443", "192.0.2.7:8080"),
    deny=("bad.packages.example it was taken over", "*.evil", "shop.example:22"),
    internal=("git.corp.example",),
)
DECISIONS = [
    # granted by the rule, host, port, whether it may
    ((), "shop.example", 443, False),
    (("*",), "shop.example", 443, True),
    (("*",), "shop.example", 22, False),
    (("*",), "notshop.example", 443, False),
    (("*",), "shop.example.evil", 443, False),
    (("*",), "files.packages.example", 443, True),
    (("*",), "files.packages.example", 80, False),
    (("*",), "packages.example", 443, False),
    (("*",), "evilpackages.example", 443, False),
    (("*",), "bad.packages.example", 443, False),
    (("*",), "192.0.2.7", 8080, True),
    (("*",), "192.0.2.7", 80, False),
    (("*",), "192.0.2.8", 8080, False),
    (("github.com",), "github.com", 22, True),
    (("github.com:443",), "github.com", 22, False),
    (("github.com",), "shop.example", 443, False),
    (("any",), "whoever.example", 443, True),
    (("any",), "x.evil", 443, False),
    (("any",), "192.0.2.8", 443, False),
    (("any",), "127.0.0.1", 443, False),
]


@pytest.mark.parametrize(("granted", "host", "port", "may"), DECISIONS)
def test_who_is_reached_is_what_the_lists_say(granted: tuple[str, ...], host: str, port: int, may: bool) -> None:
    ruling = decide(RULES, granted, parse_host(host), port)
    assert (ruling.refused == "") is may


def test_an_empty_list_is_nobody_and_any_must_be_said() -> None:
    empty, every = read_rules((), ()), read_rules(("any",), ())
    assert (
        decide(empty, ("*",), "a.org", 443).refused
        == "a.org:443 is not in egress.allow, where an administrator can add it"
    )
    assert decide(every, ("*",), "a.org", 443).refused == ""
    assert decide(every, (), "a.org", 443).refused


def test_a_refusal_tells_its_reason() -> None:
    refused = decide(RULES, ("any",), "bad.packages.example", 443).refused
    assert (
        refused
        == "bad.packages.example:443 is denied by egress.deny (it was taken over), which an administrator can change"
    )


@pytest.mark.parametrize("text", ["*", "*.com", "*.1.2.3.4", "a.org:", "a.*.org", "https://a.org", "", "a.org/x"])
def test_an_entry_that_could_not_be_meant_is_refused(text: str) -> None:
    with pytest.raises(HostError):
        parse_entry(text)
    assert parse_entry("*.com", wide=True).below  # what denies may be wide


def make_hello(name: str) -> bytes:
    host = name.encode()
    names = b"\0" + len(host).to_bytes(2, "big") + host
    extension = len(names).to_bytes(2, "big") + names
    extensions = b"\0\x2b\0\x03\x02\x03\x04" + (
        b"\0\0" + len(extension).to_bytes(2, "big") + extension if name else b""
    )
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\0"
        + b"\0\x02\x13\x01"
        + b"\x01\0"
        + len(extensions).to_bytes(2, "big")
        + extensions
    )
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello


@pytest.mark.parametrize("name", ["example.org", "a.b", ""])
def test_the_name_in_a_client_hello_is_read(name: str) -> None:
    assert read_server_name(make_hello(name)) == name
    assert read_server_name(make_hello(name.upper())) == name


def test_no_part_of_a_client_hello_breaks_the_reader() -> None:
    whole = make_hello("example.org")
    for length in range(len(whole)):
        try:
            assert read_server_name(whole[:length]) in ("", "example.org")
        except ValueError:
            continue


@pytest.mark.parametrize(("address", "why"), [
    ("::1", "::1, this machine itself"),
    ("::", "::, no address"),
    ("::7f00:1", "::7f00:1 stands for 127.0.0.1, this machine itself"),
])  # fmt: skip
def test_why_is_said_of_the_address_that_counts(address: str, why: str) -> None:
    assert why_not_public(ipaddress.ip_address(address)) == why
