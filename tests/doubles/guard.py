"""A guard that answers what its script says: for what a real one does only by chance, such as ending in mid-sentence.

It speaks Varlink over a Unix socket, and decides, runs and records nothing.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

# What a call is answered with: replies in order, bytes as they are, an event to wait for. Then the connection ends.
Reply = dict[str, Any] | bytes | asyncio.Event

VERDICT: dict[str, Any] = {
    "tier": "auto_allow",
    "reason": "it only reads",
    "confinement": "a read-only sandbox",
    "run_as": "user",
    "opaque": None,
    "parts": [
        {
            "text": "df",
            "tier": "auto_allow",
            "reason": "it only reads",
            "suggest": "",
            "remedy": "",
            "facets": ["processes"],
            "rules": [{"name": "df", "tier": "auto_allow", "file": "/etc/p.toml", "line": 3}],
        }
    ],
}


def decision(**verdict: Any) -> dict[str, Any]:
    """The event with the verdict."""
    return {"event": "decision", "verdict": {**VERDICT, **verdict}}


def output(data: bytes, stream: str = "stdout") -> dict[str, Any]:
    """The event with a piece of output."""
    return {"event": "output", "stream": stream, "data": base64.b64encode(data).decode()}


def done(outcome: str = "done", status: int = 0, **more: Any) -> dict[str, Any]:
    """The last event."""
    return {
        "event": "done",
        "outcome": outcome,
        "status": status,
        "reason": "",
        "duration_ms": 5,
        "output_bytes": 0,
        "truncated": False,
        **more,
    }


def refusal(name: str, **parameters: Any) -> dict[str, Any]:
    """An error instead of an answer."""
    return {"error": name, "parameters": parameters}


@dataclass(slots=True)
class ScriptedGuard:
    """Answers the calls of each method with `script[method]`, one entry a call; OpenSession always."""

    path: str
    script: dict[str, list[Sequence[Reply]]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)  # a script has come to an event
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)  # a client went away before the last reply

    def answers(self, method: str, *replies: Reply) -> None:
        """Script one more call of `method`."""
        self.script.setdefault(method, []).append(replies)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedGuard"]:
        """Serve at `path`."""
        async with asyncio.TaskGroup() as group:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                group.create_task(self._serve(reader, writer))

            server = await asyncio.start_unix_server(serve, self.path, limit=16 * 1024 * 1024)
            try:
                yield self
            finally:
                server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            message = json.loads((await reader.readuntil(b"\0"))[:-1])
            method = message["method"].rpartition(".")[2]
            script = self.script.get(method)
            if method == "Review" and not script:  # nobody is asked
                await self._tell(writer, ({"event": "done"},))
                return
            self.calls.append({**message["parameters"], "method": method})
            replies = script.pop(0) if script else ({},)
            try:
                async with asyncio.TaskGroup() as group:
                    gone = group.create_task(reader.read())
                    telling = group.create_task(self._tell(writer, replies))
                    finished, _ = await asyncio.wait({gone, telling}, return_when=asyncio.FIRST_COMPLETED)
                    if telling not in finished:
                        self.interrupted.set()
                    gone.cancel()
                    telling.cancel()
            except* OSError:  # whoever asked has had enough
                self.interrupted.set()

    async def _tell(self, writer: asyncio.StreamWriter, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if isinstance(reply, asyncio.Event):
                self.waiting.set()
                await reply.wait()
                continue
            if isinstance(reply, dict):
                body = reply if "error" in reply else {"parameters": reply, "continues": reply.get("event") != "done"}
                reply = json.dumps(body).encode() + b"\0"  # noqa: PLW2901 - its bytes
            writer.write(reply)
            await writer.drain()
