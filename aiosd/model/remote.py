"""A model behind a wire: what it is asked is cleaned, written down and sent; asked again where that may help.

Promises: nothing leaves that was not prepared and written down first; each wait has an end; whatever comes back, the
stream ends with whole deltas or with one named error; closing it closes the connection.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from urllib.parse import urlsplit

from aiosd.config import ModelTable
from aiosd.errors import ModelRejectedError, ModelUnavailableError
from aiosd.model.base import (
    AgainDelta,
    CallDelta,
    Delta,
    ModelInfo,
    ModelRequest,
    Sent,
    StopDelta,
    TextDelta,
    UsageDelta,
    Used,
)
from aiosd.model.failures import AttemptError, failure_of_status, garbled
from aiosd.model.fields import parse_object
from aiosd.model.keys import Keys
from aiosd.model.outgoing import Secrets, list_sources, prepare
from aiosd.model.sse import Parser
from aiosd.model.transport import Endpoint, Reply, Transport
from aiosd.model.wires import Reader, Wire
from aiosd.types import JsonObject

_LOG = logging.getLogger(__name__)
_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 8.0
_MAX_WAIT_S = 60.0  # what a server may ask us to wait
_MAX_ADAPTED = 3


class RemoteModel:
    """The model of the table `models.NAME`. Safe to share between sessions."""

    def __init__(
        self,
        name: str,
        table: ModelTable,
        *,
        wire: Wire,
        transport: Transport,
        keys: Keys,
        secrets: Callable[[], Secrets],
        local_only: Callable[[], bool],
        backoff_s: float = _BACKOFF_S,
    ) -> None:
        self._name = name
        self._table = table
        self._wire = wire
        self._transport = transport
        self._keys = keys
        self._secrets = secrets
        self._local_only = local_only
        self._backoff_s = backoff_s
        self._url = wire.url(table.base_url)
        self._left_out: list[str] = []  # complaints of the server, each of which changed what is sent

    @property
    def info(self) -> ModelInfo:
        """What `aios models` shows."""
        url = urlsplit(self._url)
        host = url.hostname or ""
        table = self._table
        return ModelInfo(
            name=self._name,
            provider=table.provider,
            description=f"{table.model} at {url.netloc}",
            local=host in ("localhost", "127.0.0.1", "::1"),
            priced=bool(table.input_price or table.output_price),
            context_tokens=max(table.context_tokens - table.max_output_tokens, 1024),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """The answer. Raises ModelUnavailableError or a kind of it; StorageError where it cannot be written down."""
        table = self._table
        key = self._keys.read(table.key) if table.key else ""
        prepared = prepare(request, self._secrets() | {key} if key else self._secrets())
        endpoint = Endpoint(
            url=self._url,
            headers=self._wire.headers(key),
            connect_s=table.connect_s,
            first_byte_s=table.first_byte_s,
            idle_s=table.idle_s,
            local_only=self._local_only(),
        )
        tries = adapted = 0
        while True:
            body = self._render(prepared)
            try:
                async with aclosing(self._attempt(endpoint, body, prepared)) as deltas:
                    async for delta in deltas:
                        yield delta
            except AttemptError as failure:
                error = failure.error
                if (
                    isinstance(error, ModelRejectedError)
                    and adapted < _MAX_ADAPTED
                    and self._wire.adapt(body, error.message) is not None
                ):
                    adapted += 1
                    self._left_out.append(error.message)
                    continue
                wait_s = _find_wait(failure, tries, self._backoff_s)
                if not failure.retry or tries >= table.retries or wait_s > _MAX_WAIT_S:
                    raise type(error)(f"{self._name}: {error.message}", hint=error.hint) from failure
                tries += 1
                _LOG.info("model %s: %s; asking again in %.1f s", self._name, error.message, wait_s)
                yield AgainDelta(reason=f"{self._name}: {error.message}; asking again")
                await asyncio.sleep(wait_s)
            else:
                return

    def _render(self, request: ModelRequest) -> JsonObject:
        body = self._wire.render(request, self._table)
        for complaint in self._left_out:
            body = self._wire.adapt(body, complaint) or body
        return body

    async def _attempt(
        self, endpoint: Endpoint, body: JsonObject, request: ModelRequest
    ) -> AsyncGenerator[Delta, None]:
        """One request and its answer."""
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        number = -1
        if request.log:
            sent = Sent(model=self._name, address=self._url, body=data, sources=list_sources(request))
            number = await request.log.sending(sent)
        used = Used(error="interrupted")
        try:
            async with self._transport.post(endpoint, data) as reply, aclosing(self._read(reply)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, UsageDelta):
                        used = self._price(delta)
                        yield UsageDelta(
                            input_tokens=used.input_tokens,
                            output_tokens=used.output_tokens,
                            cached_tokens=used.cached_tokens,
                            cost=used.cost,
                        )
                    else:
                        yield delta
            used = used if used.error == "" else Used()
        except AttemptError as failure:
            used = Used(error=failure.error.code)
            raise
        finally:
            if request.log:
                await request.log.sent(number, used)

    async def _read(self, reply: Reply) -> AsyncGenerator[Delta, None]:
        """The deltas of an answer, texts that came together in one piece."""
        if reply.status != 200:
            headers = {name.lower(): value for name, value in reply.headers.items()}
            raise failure_of_status(reply.status, headers, await reply.text())
        reader = self._wire.reader()
        said = False
        async for batch in _batches(reply, reader, self._wire):
            for delta in _join_texts(batch):
                said = said or isinstance(delta, CallDelta | StopDelta) or bool(_words(delta))
                yield delta
        if not said:
            raise garbled("the model's answer is empty")

    def _price(self, usage: UsageDelta) -> Used:
        table = self._table
        fresh = max(usage.input_tokens - usage.cached_tokens, 0)
        cached_price = table.cached_price or table.input_price
        cost = fresh * table.input_price + usage.cached_tokens * cached_price + usage.output_tokens * table.output_price
        return Used(
            input_tokens=usage.input_tokens,
            cached_tokens=usage.cached_tokens,
            output_tokens=usage.output_tokens,
            cost=cost / 1_000_000,
        )


async def _batches(reply: Reply, reader: Reader, wire: Wire) -> AsyncIterator[list[Delta]]:
    """What each piece of the answer completes, and its end."""
    if not reply.is_stream:
        whole = parse_object(await reply.text(limit=16 * 1024 * 1024))
        if whole is None:
            raise garbled("what answers there does not speak the model's protocol")
        yield list(reader.read(json.dumps(wire.unfold(whole))))
    else:
        parser = Parser()
        async for piece in reply.pieces():
            try:
                events = parser.feed(piece)
            except ModelUnavailableError as exc:
                raise AttemptError(exc, retry=True) from exc
            batch: list[Delta] = []
            for event in events:
                batch += reader.read(event.data)
            if batch:
                yield batch
    yield list(reader.end())


def _join_texts(deltas: list[Delta]) -> Iterator[Delta]:
    text = ""
    for delta in deltas:
        if isinstance(delta, TextDelta):
            text += delta.text
            continue
        if text:
            yield TextDelta(text=text)
            text = ""
        yield delta
    if text:
        yield TextDelta(text=text)


def _words(delta: Delta) -> str:
    return delta.text.strip() if isinstance(delta, TextDelta) else ""


def _find_wait(failure: AttemptError, tries: int, backoff_s: float) -> float:
    """What the server asks for, else longer each time, with some chance in it so that many do not come back at once."""
    if failure.after_s is not None:
        return failure.after_s
    longest = min(backoff_s * float(2**tries), _MAX_BACKOFF_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
