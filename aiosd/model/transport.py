"""HTTP to providers: one POST, its answer piece by piece, each wait with a deadline. aiohttp's client does the work.

No redirects, no cookies, no .netrc, no proxy: a request goes where the configuration says and nowhere else. Where only
this machine may be asked, every address is held against that before a connection is made, by the kernel's own routes.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from aiosd import __version__
from aiosd.errors import ModelUnavailableError, NotLocalError
from aiosd.model.failures import AttemptError, garbled

_MAX_ANSWER = 32 * 1024 * 1024
_MAX_COMPLAINT = 64 * 1024
_PIECE = 64 * 1024
_HINT = "is it running, and the network up? builtin needs neither: aios ask --model builtin"
_LOCAL_HINT = "use a model on this machine, or change agent.local_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to, with what headers, and how long each wait may be, in seconds."""

    url: str
    headers: Mapping[str, str]
    connect_s: float
    first_byte_s: float
    idle_s: float
    local_only: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose head is there."""

    response: aiohttp.ClientResponse
    idle_s: float

    @property
    def status(self) -> int:
        """Its status."""
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers; names in any case."""
        return self.response.headers

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return self.response.content_type == "text/event-stream"

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. AttemptError for a pause that is too long, an end too early, a body too large."""
        size = 0
        while True:
            async with _translated(f"the model said nothing for {self.idle_s:g} s", self.idle_s):
                piece = await self.response.content.read(_PIECE)
            if not piece:
                return
            size += len(piece)
            if size > _MAX_ANSWER:
                raise garbled(f"the model's answer is over {_MAX_ANSWER} bytes")
            yield piece

    async def text(self, *, limit: int = _MAX_COMPLAINT) -> str:
        """The body as text, what is over `limit` bytes left out."""
        body = b""
        async for piece in self.pieces():
            body += piece
            if len(body) >= limit:
                break
        return body[:limit].decode("utf-8", "replace")


class Transport:
    """The daemon's one HTTP client; connections are kept for a while and used again."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Close every connection."""
        while self._sessions:
            await self._sessions.popitem()[1].close()

    @asynccontextmanager
    async def post(self, endpoint: Endpoint, body: bytes) -> AsyncIterator[Reply]:
        """Send `body`; its answer. AttemptError where there is none."""
        url = endpoint.url
        if endpoint.local_only:
            refuse_elsewhere(url)
        session = self._session(local_only=endpoint.local_only)
        headers = {**endpoint.headers, "content-type": "application/json", "accept": "text/event-stream"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=endpoint.connect_s, ceil_threshold=1e9)
        request = session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False)
        async with _translated(f"no answer came within {endpoint.first_byte_s:g} s", endpoint.first_byte_s):
            response = await request
        try:
            yield Reply(response, endpoint.idle_s)
        finally:
            response.close() if not response.content.at_eof() else response.release()

    def _session(self, *, local_only: bool) -> aiohttp.ClientSession:
        if local_only not in self._sessions:
            resolver = LocalResolver() if local_only else None
            self._sessions[local_only] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
                trust_env=False,
                headers={"user-agent": f"aiosd/{__version__}"},
            )
        return self._sessions[local_only]


class _ElsewhereError(OSError):
    """An address that is not this machine's."""


class LocalResolver(AbstractResolver):
    """Names to addresses of this machine, and to no others: what is connected to is what the name was found to be."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`; OSError where one of them is elsewhere."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results: list[ResolveResult] = []
        for kind, _type, protocol, _name, address in found:
            if not is_own_address(str(address[0])):
                raise _ElsewhereError(f"{host} is {address[0]}, which is not this machine")
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is held."""


def refuse_elsewhere(url: str) -> None:
    """AttemptError for a URL whose host is an address that is not this machine's; names are for LocalResolver."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    if not is_own_address(host):
        raise AttemptError(NotLocalError(f"{host} is not this machine", hint=_LOCAL_HINT), retry=False)


def is_own_address(address: str) -> bool:
    """Whether an address is one of this machine's: what is sent to it would come from it. No packet is sent.

    Source: ip(7); a connected datagram socket has the source address that the kernel's routes choose.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed.is_loopback:
        return True
    if parsed.is_unspecified or parsed.is_multicast:
        return False
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as probe:
            probe.connect((address, 9))
            return ipaddress.ip_address(str(probe.getsockname()[0]).partition("%")[0]) == parsed
    except OSError:
        return False


@asynccontextmanager
async def _translated(late: str, deadline_s: float) -> AsyncIterator[None]:
    """aiohttp's errors, and ours for the deadline, as failures; after `late` words."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except aiohttp.ConnectionTimeoutError as exc:
        raise _unreachable("no connection came about in time", retry=True) from exc
    except TimeoutError as exc:
        raise _unreachable(late, retry=True) from exc
    except aiohttp.ClientConnectorCertificateError as exc:
        raise _unreachable(f"its certificate is not trusted: {exc.certificate_error}", retry=False) from exc
    except aiohttp.ClientConnectorError as exc:
        if isinstance(exc.os_error, _ElsewhereError):
            raise AttemptError(NotLocalError(str(exc.os_error), hint=_LOCAL_HINT), retry=False) from exc
        raise _unreachable(exc.os_error.strerror or str(exc.os_error), retry=False) from exc
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError) as exc:
        raise _unreachable("the connection broke off", retry=True) from exc
    except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as exc:
        raise garbled("what answers there is no HTTP server") from exc
    except aiohttp.ClientError as exc:
        raise _unreachable(type(exc).__name__, retry=True) from exc


def _unreachable(why: str, *, retry: bool) -> AttemptError:
    return AttemptError(ModelUnavailableError(f"the model cannot be reached: {why}", hint=_HINT), retry=retry)
