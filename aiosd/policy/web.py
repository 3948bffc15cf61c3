"""Addresses of pages: one form of each, so that what is decided, shown and fetched is the same. Pure.

Source: RFC 3986.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import quote, urlsplit

from aiosd.policy.verdict import FetchAction

MAX_URL: Final = 2000

_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SAFE: Final = "/%:@!$&'()*+,;=~-._?"


class UrlError(ValueError):
    """It is no address of a page; the message says why."""


def parse_url(text: str) -> FetchAction:
    """The fetch of a page by its address. UrlError where that is none, or could be read in two ways."""
    if len(text) > MAX_URL or any(char <= " " or char in '\\"<>^`{|}\x7f' for char in text):
        raise UrlError(f"an address has at most {MAX_URL} characters, and no blanks, quotes or brackets")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise UrlError(str(exc)) from exc
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname:
        raise UrlError("an address begins with https://HOST or http://HOST")
    if "@" in parts.netloc:
        raise UrlError("an address holds no user and no password")
    host = _parse_host(parts.hostname)
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS[scheme]:
        shown = f"{shown}:{port}"
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    url = f"{scheme}://{shown}{quote(parts.path or '/', safe=_SAFE)}{query}"
    if len(url) > MAX_URL:
        raise UrlError(f"an address has at most {MAX_URL} characters")
    return FetchAction(url=url, host=host, port=_PORTS[scheme] if port is None else port)


def _parse_host(name: str) -> str:
    if ":" in name:
        try:
            return str(ipaddress.IPv6Address(name.replace("%", " ")))  # of no interface
        except ValueError as exc:
            raise UrlError(f"{name!r} is no address of a host") from exc
    try:
        host = name.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError as exc:
        raise UrlError(f"{name!r} is no name of a host") from exc
    if not _NAME.fullmatch(host):
        raise UrlError(f"{name!r} is no name of a host")
    return host
