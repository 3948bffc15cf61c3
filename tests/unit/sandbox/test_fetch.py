"""A page as text: what of it a model is given, and what a reader would not have seen."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from aiosd.sandbox import fetch

_ADDRESS = "https://docs.example.org/guide/"


def _read(html: str) -> str:
    page = fetch.Page(_ADDRESS)
    page.feed(html)
    page.close()
    return fetch.clean(page.text())


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One\n  line</p><p>Two</p>", "One line\n\nTwo"),
        ("<h2>Install</h2>Run <code>make</code>.", "## Install\nRun make."),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<table><tr><th>x<th>y<tr><td>1<td>2</table>", "| x | y\n | 1 | 2"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ('<a href="../x?y=1">there</a>', "there (https://docs.example.org/x?y=1)"),
        ('<a href="#top">up</a> <a href="javascript:go()">go</a>', "up go"),
        ('<img alt="a map">', "[a map]"),
        ("&lt;b&gt; &amp; &#x65e5;本", "<b> & 日本"),
        ("a<br>b", "a\nb"),
        # What a reader would not see.
        ("a<script>if (1 < 2) evil()</script>b", "ab"),
        ("a<style>p{}</style><!-- evil --><noscript>evil</noscript>b", "ab"),
        ('a<div style="display: none">evil<div>evil</div></div>b', "ab"),
        ("a<span hidden>evil</span><input hidden>b", "a\nb"),
        ("vis\u200bible\u202e\U000e0041\x1b[31m", "visible[31m"),
        ("<p>never closed <b>at all", "never closed at all"),
        ("</p></a></pre>stray", "stray"),
    ],
)
def test_a_page_is_read_as_a_person_sees_it(html: str, text: str) -> None:
    assert _read(html) == text


class _Pages(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}

    def do_GET(self) -> None:
        """Answer from the table."""
        status, headers, body = self.pages[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@contextmanager
def _serving(pages: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    handler = type("Pages", (_Pages,), {"pages": pages})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _fetch(url: str, offset: int = 0) -> subprocess.CompletedProcess[str]:
    program = Path(fetch.__file__).read_text(encoding="utf-8")
    words = [sys.executable, "-I", "-S", "-", url, str(offset)]
    return subprocess.run(words, input=program, capture_output=True, text=True, check=False, timeout=30, env={})


_HTML = {"Content-Type": "text/html; charset=utf-8"}


def test_pages_of_every_kind_are_text_or_are_told_to_be_none() -> None:
    long = "".join(f"line {number}\n" for number in range(4000)).encode()
    pages: dict[str, tuple[int, dict[str, str], bytes]] = {
        "/": (200, _HTML, "<title>A  page</title><p>本".encode()),
        "/euc": (200, {"Content-Type": "text/html"}, '<meta charset="euc-jp">日本'.encode("euc-jp")),
        "/json": (200, {"Content-Type": "application/json"}, b'{"a": 1}'),
        "/long": (200, {"Content-Type": "text/plain"}, long),
        "/old": (302, {"Location": "/"}, b""),
        "/ftp": (302, {"Location": "ftp://127.0.0.1/x"}, b""),
        "/png": (200, {"Content-Type": "image/png"}, b"\x89PNG"),
        "/gone": (404, _HTML, b"evil"),
    }
    with _serving(pages) as url:
        assert _fetch(f"{url}/").stdout == f"{url}/\nA page\n\n本\n"
        assert _fetch(f"{url}/old").stdout == f"{url}/\nA page\n\n本\n"
        assert "日本" in _fetch(f"{url}/euc").stdout
        assert '{"a": 1}' in _fetch(f"{url}/json").stdout
        first = _fetch(f"{url}/long").stdout
        assert first.endswith("characters more; offset=20480 gives them …]\n")
        rest = _fetch(f"{url}/long", 20480).stdout
        shown = [each.split("\n\n", 1)[1].rpartition("[…")[0] or each.split("\n\n", 1)[1] for each in (first, rest)]
        assert shown[0][:-1] + shown[1][:1000] == long.decode()[: 20480 + 1000]
        for path, said in (("/png", "it is image/png"), ("/gone", "the server answers 404"), ("/ftp", "302")):
            ran = _fetch(f"{url}{path}")
            assert (ran.returncode, ran.stdout) == (1, ""), path
            assert said in ran.stderr
            assert "evil" not in ran.stderr
    assert _fetch(f"{url}/").returncode == 1
