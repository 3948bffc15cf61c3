"""`python3 -I -S - URL OFFSET`: a page as text, by the sandbox's proxy. The guard hands this over on standard input.

It runs inside, as the person, with no way out but the proxy, which decides about every host, those of redirects too.
What a reader of the page would not see (scripts, hidden parts, comments, invisible characters) is left out. Standard
library only. Source: RFC 9110, the HTML standard (13.2).
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
import urllib.error
import urllib.request
from html.parser import HTMLParser
from urllib.parse import urljoin

_MAX_PAGE = 2 * 1024 * 1024
_MAX_TEXT = 20 * 1024
_MAX_LINK = 200
_SOCKET_S = 20
_TEXTS = ("text/", "application/json", "application/xml", "application/javascript", "application/yaml")
_UNSEEN = ("script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "select", "dialog")
_VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
_INLINE = (
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "label", "mark", "q",
    "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
)  # fmt: skip
_JOINERS = "\u200c\u200d"  # written text needs them


class Page(HTMLParser):
    """The readable text of a page: a line for each block, links with where they lead."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.title = ""
        self._address = address
        self._out: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._unseen = ("", 0)  # the element that is left out, and how many of its name are open
        self._in_title = False
        self._in_pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        name, depth = self._unseen
        if depth:
            self._unseen = (name, depth + (tag == name))
            return
        given = dict(attrs)
        style = (given.get("style") or "").replace(" ", "").lower()
        hidden = "hidden" in given or "display:none" in style or "visibility:hidden" in style
        if (tag in _UNSEEN or hidden) and tag not in _VOID:
            self._unseen = (tag, 1)
        elif tag == "title":
            self._in_title = True
        elif tag == "pre":
            self._in_pre += 1
            self._out.append("\n")
        elif tag == "a":
            self._links.append((self._find_link(given.get("href") or ""), len(self._out)))
        elif tag == "li":
            self._out.append("\n- ")
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self._out.append(f"\n\n{'#' * int(tag[1])} ")
        elif tag in ("td", "th"):
            self._out.append(" | ")
        elif tag == "img":
            self._out.append(f"[{given['alt']}]" if given.get("alt") else "")
        elif tag not in _INLINE:
            self._out.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        name, depth = self._unseen
        if depth:
            self._unseen = (name, depth - (tag == name))
        elif tag == "title":
            self._in_title = False
        elif tag == "pre":
            self._in_pre = max(self._in_pre - 1, 0)
            self._out.append("\n")
        elif tag == "a" and self._links:
            link, begin = self._links.pop()
            if link and "".join(self._out[begin:]).strip():
                self._out.append(f" ({link})")
        elif tag not in _INLINE and tag not in ("td", "th", "li"):
            self._out.append("\n")

    def handle_data(self, data: str) -> None:
        """Text."""
        if self._unseen[1]:
            return
        if self._in_title:
            self.title += data
        elif self._in_pre:
            self._out.append(data)
        else:
            self._out.append(re.sub(r"\s+", " ", data))

    def _find_link(self, href: str) -> str:
        """Where it leads, "" where that is nowhere else."""
        try:
            link = urljoin(self._address, href.strip())
        except ValueError:
            return ""
        leads = link.startswith(("http://", "https://")) and len(link) <= _MAX_LINK and not href.startswith("#")
        return link if leads and link.partition("#")[0] != self._address else ""

    def text(self) -> str:
        """All of it."""
        lines = [re.sub(r"[ \t]+$", "", line) for line in "".join(self._out).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def clean(text: str) -> str:
    """`text` without what nobody sees: control and format characters, and those of private use."""
    return "".join(char for char in text if char in "\n\t" or char in _JOINERS or unicodedata.category(char)[0] != "C")


def main(url: str, offset: int) -> int:
    """Fetch, and print what is read from character `offset` on; the exit status."""
    handlers = (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler)
    opener = urllib.request.OpenerDirector()
    for handler in (*handlers, urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    headers = {"User-Agent": "aios", "Accept": "text/html, text/*, application/json;q=0.9, */*;q=0.1"}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the opener knows no other schemes
        with opener.open(request, timeout=_SOCKET_S) as answer:
            kind = answer.headers.get_content_type()
            address = answer.geturl()
            if not kind.startswith(_TEXTS) and not kind.endswith(("+xml", "+json")):
                return _fail(f"it is {kind}, which is no text")
            data = answer.read(_MAX_PAGE + 1)
            charset = answer.headers.get_content_charset() or _find_charset(data)
    except urllib.error.HTTPError as exc:
        exc.close()
        return _fail(f"the server answers {exc.code} {clean(str(exc.reason))[:100]}")
    except (OSError, ValueError) as exc:
        return _fail(str(getattr(exc, "reason", exc)))
    try:
        text = data[:_MAX_PAGE].decode(charset, "replace")
    except LookupError:
        text = data[:_MAX_PAGE].decode("utf-8", "replace")
    title = ""
    if "html" in kind:
        page = Page(address)
        page.feed(text)
        page.close()
        text, title = page.text(), " ".join(page.title.split())
    _show(address, title, clean(text), offset, cut=len(data) > _MAX_PAGE)
    return 0


def _find_charset(data: bytes) -> str:
    found = re.search(rb"""<meta[^>]+charset=["']?([A-Za-z0-9_-]{2,40})""", data[:2048])
    return found[1].decode() if found else "utf-8"


def _show(address: str, title: str, text: str, offset: int, *, cut: bool) -> None:
    shown = text[offset:].encode("utf-8", "replace")[:_MAX_TEXT].decode("utf-8", "ignore")
    end = offset + len(shown)
    lines = [address, *([clean(title)] if title else []), "", shown]
    if end < len(text):
        lines.append(f"[… {len(text) - end} characters more; offset={end} gives them …]")
    elif cut:
        lines.append(f"[the page is over {_MAX_PAGE} bytes: its end is left out]")
    sys.stdout.buffer.write("\n".join([*lines, ""]).encode("utf-8", "replace"))


def _fail(why: str) -> int:
    os.write(2, f"{why}\n".encode("utf-8", "replace"))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
