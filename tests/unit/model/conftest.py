"""A provider on loopback, and models that ask it; nothing is left behind."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from aiosd.config import ModelTable
from aiosd.model.anthropic import Anthropic
from aiosd.model.base import (
    CallDelta,
    Delta,
    Message,
    ModelRequest,
    Sent,
    TextDelta,
    ToolCall,
    Used,
    UserMessage,
    closing,
)
from aiosd.model.keys import Keys
from aiosd.model.openai import OpenAI
from aiosd.model.remote import RemoteModel
from aiosd.model.transport import Transport
from aiosd.model.wires import Wire
from aiosd.tools import all_tools
from tests.doubles.provider import ScriptedProvider
from tests.leaks import no_task_left, nothing_left

__all__ = ["Stage", "kind", "no_task_left", "nothing_left", "provider", "stage"]

WIRES: dict[str, Wire] = {"anthropic": Anthropic(), "openai": OpenAI()}
QUESTION = UserMessage(text="how full is the disk?")


class Log:
    """A SentLog in memory."""

    def __init__(self) -> None:
        self.sent_: list[Sent] = []
        self.used: list[Used] = []

    async def sending(self, sent: Sent) -> int:
        """Keep it."""
        self.sent_.append(sent)
        return len(self.sent_)

    async def sent(self, number: int, used: Used) -> None:
        """Keep it; requests end in the order they were sent."""
        assert number == len(self.used) + 1
        self.used.append(used)


@dataclass(slots=True)
class Stage:
    """A model of one wire, and what it was asked."""

    kind: str
    provider: ScriptedProvider
    transport: Transport
    environment: dict[str, str] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    local_only: bool = False
    base_url: str = ""  # of a server between, "" where the provider is asked itself
    key: str = ""

    def model(self, **fields: Any) -> RemoteModel:
        """A model; `fields` are its table's."""
        table = ModelTable(provider=self.kind, model="m-1", base_url=self.base_url or self.provider.url, key=self.key)  # type: ignore[arg-type]
        return RemoteModel(
            "mine",
            replace(table, **fields),
            wire=WIRES[self.kind],
            transport=self.transport,
            keys=Keys(environment=self.environment, standalone=True),
            secrets=frozenset,
            local_only=lambda: self.local_only,
            backoff_s=0.0,
        )

    async def ask(self, *messages: Message, **fields: Any) -> list[Delta]:
        """One request to the end of its answer."""
        return [delta async for delta in self.stream(*messages, **fields)]

    async def stream(self, *messages: Message, **fields: Any) -> AsyncIterator[Delta]:
        """One request."""
        request = ModelRequest(
            system="be brief",
            messages=messages or (QUESTION,),
            tools=tuple(tool.spec for tool in all_tools()),
            log=self.log,
        )
        async with closing(self.model(**fields).stream(request)) as deltas:
            async for delta in deltas:
                yield delta


async def came(event: threading.Event) -> None:
    """Return when the provider's thread has set `event`; fail after a deadline."""
    async with asyncio.timeout(10):
        while not event.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(0.001)


def said(deltas: list[Delta]) -> str:
    """The text of an answer."""
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def calls(deltas: list[Delta]) -> list[ToolCall]:
    """The calls of an answer."""
    return [delta.call for delta in deltas if isinstance(delta, CallDelta)]


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider."""
    with ScriptedProvider() as made:
        yield made


@pytest.fixture(params=list(WIRES))
def kind(request: pytest.FixtureRequest) -> str:
    """Each wire in turn."""
    return str(request.param)


@pytest.fixture
async def stage(kind: str, provider: ScriptedProvider) -> AsyncIterator[Stage]:
    """A model of each wire."""
    transport = Transport()
    yield Stage(kind=kind, provider=provider, transport=transport)
    await transport.close()
