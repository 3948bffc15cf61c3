"""Secrets put in by the proxy: where a request to a named host has a placeholder in a named header, the value goes out.

Inside, such a host is asked by plain http; outside the connection is TLS, with the host's certificate checked. So no
TLS of a command's is opened, and nothing has to be trusted inside. What the host says back has the value blotted out.

Source: RFC 9110 sections 11.4 and 11.6.2 (credentials), RFC 7617 (Basic).
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from aiosd.egress.given import Held
from aiosd.egress.hosts import Host, parse_host_port
from aiosd.egress.http import Request

Reveal = Callable[[str], str]
_HTTP, _HTTPS = "http://", "https://"
_HTTP_PORT, _HTTPS_PORT = 80, 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where values are put in: the host as a command asks for it, at one of `ports`, and how it is connected to."""

    host: Host
    ports: tuple[int, ...]
    port: int
    tls: bool
    held: tuple[Held, ...]


def parse_target(text: str, held: tuple[Held, ...] = ()) -> Target:
    """`HOST` or `HOST:PORT`, by TLS; `http://HOST:PORT`, as somebody said, without. Raises HostError."""
    if text.startswith(_HTTP):
        host, port = parse_host_port(text.removeprefix(_HTTP).rstrip("/"), _HTTP_PORT)
        return Target(host=host, ports=(port,), port=port, tls=False, held=held)
    host, port = parse_host_port(text.removeprefix(_HTTPS).rstrip("/"), _HTTPS_PORT)
    ports = (_HTTP_PORT, _HTTPS_PORT) if port == _HTTPS_PORT else (port,)
    return Target(host=host, ports=ports, port=port, tls=True, held=held)


def find_target(secrets: Iterable[Held], host: Host, port: int) -> Target | None:
    """How a plain request to a host goes on, and with which secrets; None where none is for it."""
    found = [
        target
        for each in secrets
        for target in (parse_target(text, (each,)) for text in each.hosts)
        if target.host == host and port in target.ports
    ]
    if not found:
        return None
    return replace(found[0], held=tuple(each for target in found for each in target.held))


def put_in(request: Request, target: Target, reveal: Reveal) -> tuple[Request, tuple[bytes, ...]]:
    """The request with the values in it, and what must not come back. What `reveal` raises is the caller's."""
    blots: dict[bytes, None] = {}
    out: list[tuple[str, str]] = []
    for name, value in request.fields:
        for held in target.held:
            if name.lower() in held.headers:
                value = _replace(value, held, reveal, blots)  # noqa: PLW2901 - each secret in turn
        out.append((name, value))
    if blots:  # what comes back compressed could not be read through
        out = [field for field in out if field[0].lower() != "accept-encoding"]
    return replace(request, fields=tuple(out)), tuple(blots)


def _replace(value: str, held: Held, reveal: Reveal, blots: dict[bytes, None]) -> str:
    if held.placeholder in value:
        secret = reveal(held.credential)
        blots[secret.encode("latin-1", "replace")] = None
        return value.replace(held.placeholder, secret)
    scheme, _, code = value.partition(" ")
    if scheme.lower() != "basic":
        return value
    try:
        plain = base64.b64decode(code.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return value
    if held.placeholder not in plain:
        return value
    secret = reveal(held.credential)
    coded = base64.b64encode(plain.replace(held.placeholder, secret).encode()).decode("ascii")
    blots |= dict.fromkeys((secret.encode("latin-1", "replace"), coded.encode("ascii")))
    return f"{scheme} {coded}"


class Blotter:
    """Bytes as they come, with some texts blotted out, to their length. What may be the beginning of one waits."""

    def __init__(self, texts: tuple[bytes, ...]) -> None:
        self._texts = texts
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """What can go on."""
        if not self._texts:
            return data
        data = self._kept + data
        for text in self._texts:
            data = data.replace(text, b"*" * len(text))
        longest = max(len(text) for text in self._texts) - 1
        keep = next(
            (
                size
                for size in range(min(longest, len(data)), 0, -1)
                if any(text.startswith(data[-size:]) for text in self._texts)
            ),
            0,
        )
        self._kept = data[len(data) - keep :]
        return data[: len(data) - keep]

    def end(self) -> bytes:
        """What was kept, which is the beginning of nothing."""
        kept, self._kept = self._kept, b""
        return kept
