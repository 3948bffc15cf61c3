"""A model's server that answers at once: as many commands as the question says, one a step, then a text.

It speaks chat completions, streamed or not, messages and responses, each streamed, and counts what it is sent; `GET /`
tells. A process of its own. The tool that it calls is whichever of those it knows that it was told of.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

_COMMAND = "df -P /"
_TOOLS = {"bash": "command", "Bash": "command", "run": "command", "exec_command": "cmd", "shell_command": "command"}
_sent = {"requests": 0, "bytes": 0}


def _list_texts(value: Any) -> Iterator[str]:
    """Every text in the messages of a person."""
    for message in value:
        if message.get("role") == "user":
            content = message["content"]
            yield from [content] if isinstance(content, str) else (str(each.get("text", "")) for each in content)


def _find_call(body: dict[str, Any], done: int) -> tuple[str, str] | None:
    """The tool to call next and its arguments; None at the end."""
    said = re.findall(r"(\d+) commands?", "\n".join(_list_texts(body.get("messages") or body.get("input"))))
    wanted = int(said[-1]) if said else 0
    named = [each.get("function", each).get("name") for each in body.get("tools", ())]
    tool = next((name for name in named if name in _TOOLS), "")
    if done >= wanted or not tool:
        return None
    command = _COMMAND if wanted == 1 else f"{_COMMAND}{'' if done % 2 else ' '}{'/' * done}"
    return tool, json.dumps({_TOOLS[tool]: command})


def _complete(body: dict[str, Any]) -> tuple[str, bytes]:
    """Chat completions."""
    done = sum(message["role"] == "tool" for message in body["messages"])
    found = _find_call(body, done)
    message: dict[str, Any] = {"role": "assistant", "content": None if found else "done"}
    if found:
        function = {"name": found[0], "arguments": found[1]}
        message["tool_calls"] = [{"index": 0, "id": f"call_{done}", "type": "function", "function": function}]
    reason = "tool_calls" if found else "stop"
    if not body.get("stream"):
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return "application/json", json.dumps({"id": "c", "choices": [choice], "usage": usage}).encode()
    chunks: list[dict[str, Any]] = [{"delta": message, "finish_reason": None}, {"delta": {}, "finish_reason": reason}]
    head: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk"}
    events = [{**head, "choices": [{"index": 0, **each}]} for each in chunks]
    return "text/event-stream", b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in events) + _END


def _message(body: dict[str, Any]) -> tuple[str, bytes]:
    """Messages."""
    blocks = [each for message in body["messages"] for each in message["content"] if isinstance(each, dict)]
    done = sum(each.get("type") == "tool_result" for each in blocks)
    found = _find_call(body, done)
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    if found:
        block: dict[str, Any] = {"type": "tool_use", "id": f"toolu_{done}", "name": found[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": found[1]}
    else:
        block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": "done"}
    stop = {"stop_reason": "tool_use" if found else "end_turn", "stop_sequence": None}
    return _render_events(
        {"type": "message_start", "message": {**head, "stop_reason": None, "stop_sequence": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": usage},
        {"type": "message_stop"},
    )


def _respond(body: dict[str, Any]) -> tuple[str, bytes]:
    """Responses."""
    done = sum(str(each.get("type")).endswith("_call_output") for each in body["input"])
    scripts = any(each.get("type") == "additional_tools" for each in body["input"])  # it writes JavaScript that calls
    found = _find_call({**body, "tools": [{"name": "exec_command"}]} if scripts else body, done)
    item: dict[str, Any] = {"type": "message", "role": "assistant", "id": "i"}
    item["content"] = [{"type": "output_text", "text": "done", "annotations": []}]
    if found:
        item = {"type": "function_call", "id": "i", "call_id": f"call_{done}", "name": found[0], "arguments": found[1]}
    if found and scripts:
        line = f"text((await tools.exec_command({found[1]})).output)"
        item = {"type": "custom_tool_call", "id": "i", "call_id": f"call_{done}", "name": "exec", "input": line}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return _render_events(
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "output": [item], "usage": usage}},
    )


def _render_events(*events: dict[str, Any]) -> tuple[str, bytes]:
    lines = (f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)
    return "text/event-stream", "".join(lines).encode()


_WIRES = {"/messages": _message, "/responses": _respond, "/completions": _complete}
_END = b"data: [DONE]\n\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"(?i)content-length: (\d+)", head)
            path = head.split(" ")[1].partition("?")[0]
            wire = next((_WIRES[end] for end in _WIRES if path.endswith(end)), _complete)
            data = await reader.readexactly(int(length[1])) if length else b""
            kind, out = "application/json", json.dumps(_sent).encode()
            if data:
                _sent["requests"] += 1
                _sent["bytes"] += len(data)
                kind, out = wire(json.loads(data))
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
