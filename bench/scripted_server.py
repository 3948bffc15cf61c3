"""A model's server that answers at once: as many commands as the question says, one a step, then a text.

It speaks chat completions, streamed or not, and counts what it is sent; `GET /` tells. A process of its own.
"""

import asyncio
import json
import re
import sys
from typing import Any

_COMMAND = "df -P /"
_sent = {"requests": 0, "bytes": 0}


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    """The message: another command, or the end."""
    said = [str(message.get("content")) for message in body["messages"] if message["role"] == "user"]
    wanted = int(re.findall(r"(\d+) commands?", said[-1])[0])
    done = sum(message["role"] == "tool" for message in body["messages"])
    if done >= wanted:
        return {"role": "assistant", "content": "done"}
    arguments = json.dumps({"command": _COMMAND if wanted == 1 else f"{_COMMAND}{'' if done % 2 else ' '}{'/' * done}"})
    call = {"id": f"call_{done}", "type": "function", "function": {"name": "bash", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **call}]}


def _render(body: dict[str, Any]) -> tuple[str, bytes]:
    message = _answer(body)
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return "application/json", json.dumps({"id": "c", "choices": [choice]}).encode()
    chunks: list[dict[str, Any]] = [{"delta": message, "finish_reason": None}, {"delta": {}, "finish_reason": reason}]
    head: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk"}
    events = [{**head, "choices": [{"index": 0, **each}]} for each in chunks]
    return "text/event-stream", b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in events) + _END


_END = b"data: [DONE]\n\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            if length is None:
                kind, out = "application/json", json.dumps(_sent).encode()
            else:
                data = await reader.readexactly(int(length[1]))
                _sent["requests"] += 1
                _sent["bytes"] += len(data)
                kind, out = _render(json.loads(data))
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(out)}\r\n\r\n".encode() + out
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main(path: str) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=256)
    port = server.sockets[0].getsockname()[1]
    beside = await asyncio.start_unix_server(_tell(port), path)
    async with server, beside:
        await server.serve_forever()


def _tell(port: int) -> Any:
    """Who connects beside is told the port."""

    async def tell(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(port).encode())
        writer.close()

    return tell


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
