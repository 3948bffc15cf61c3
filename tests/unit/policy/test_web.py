"""Pages: one form of each address, and the rules that speak of their hosts."""

from pathlib import Path

import pytest

from aiosd.policy import UrlError, parse_url
from aiosd.policy.tools import WEB
from aiosd.types import Tier
from tests.unit.policy.samples import ALICE, policy_of


@pytest.mark.parametrize(
    ("text", "url", "where"),
    [
        ("https://Docs.Example.ORG", "https://docs.example.org/", "docs.example.org:443"),
        ("http://example.org:80/a?b=c#d", "http://example.org/a?b=c", "example.org:80"),
        ("http://example.org:8080/a%20b", "http://example.org:8080/a%20b", "example.org:8080"),
        ("https://日本.example/道?q=本", "https://xn--wgv71a.example/%E9%81%93?q=%E6%9C%AC", "xn--wgv71a.example:443"),
        ("http://[::1]:81/x", "http://[::1]:81/x", "[::1]:81"),
        ("http://127.0.0.1/x", "http://127.0.0.1/x", "127.0.0.1:80"),
    ],
)
def test_an_address_has_one_form(text: str, url: str, where: str) -> None:
    action = parse_url(text)
    assert (action.url, action.where) == (url, where)
    assert parse_url(url) == action


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file:///etc/shadow", "begins with https"),
        ("ftp://example.org/", "begins with https"),
        ("example.org", "begins with https"),
        ("http:///x", "begins with https"),
        ("http://user:word@example.org/", "no user"),
        ("http://good.example\\@evil.example/", "no blanks, quotes"),
        ("http://example.org/a b", "no blanks"),
        ("http://exam\tple.org/", "no blanks"),
        ("http://exa_mple.org/", "no name of a host"),
        ("http://-x/", "no name of a host"),
        ("http://[::1%25eth0]/", "no address of a host"),
        ("http://example.org:99999/", "Port"),
        (f"http://example.org/{'a' * 2000}", "at most 2000"),
        (f"http://example.org/{'本' * 700}", "at most 2000"),
    ],
)
def test_what_is_no_address_or_could_be_two_is_refused(text: str, why: str) -> None:
    with pytest.raises(UrlError, match=why):
        parse_url(text)


@pytest.mark.parametrize(
    ("tool", "host", "tier"),
    [
        (WEB, "a.example", Tier.NOTIFY),
        (f"{WEB}:docs.example", "docs.example", Tier.NOTIFY),
        (f"{WEB}:docs.example", "a.docs.example", Tier.REQUIRE_APPROVAL),
        (f"{WEB}:*.example", "a.docs.example", Tier.NOTIFY),
        (f"{WEB}:*.example", "example", Tier.REQUIRE_APPROVAL),
        (f"{WEB}:*.example", "badexample", Tier.REQUIRE_APPROVAL),
        ("mcp:web_fetch/*", "a.example", Tier.REQUIRE_APPROVAL),
    ],
)
def test_a_rule_speaks_of_hosts_and_grants_whom_the_configuration_allows(
    tmp_path: Path, tool: str, host: str, tier: Tier
) -> None:
    rules = policy_of(tmp_path, f'unmatched = "confine"\n[[rule]]\ntool = "{tool}"\ntier = "notify"\n')
    verdict = rules.evaluate(parse_url(f"https://{host}/"), ALICE)
    assert (verdict.tier, verdict.network) == (tier, ("*",) if tier is Tier.NOTIFY else ())


def test_a_rule_may_name_whom_its_pages_are_of(tmp_path: Path) -> None:
    rules = policy_of(tmp_path, f'[[rule]]\ntool = "{WEB}"\ntier = "notify"\nnetwork = ["a.example"]\n')
    assert rules.evaluate(parse_url("https://b.example/"), ALICE).network == ("a.example",)
