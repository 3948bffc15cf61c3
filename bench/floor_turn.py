"""The floor of a turn: the least that could be called a warm agent daemon with a model behind HTTP.

A line with a question in; the model asked, its command run in hardened bubblewrap, the result given back, until there
is a text, which goes out. No policy, no record, no store, no identity.
"""

import asyncio
import json
import sys
from typing import Any

from bench.floor_daemon import HARDENED

_TOOL = {
    "type": "function",
    "function": {"name": "bash", "parameters": {"properties": {"command": {"type": "string"}}}},
}


class _Floor:
    def __init__(self, port: int) -> None:
        self._port = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages: list[dict[str, Any]] = [{"role": "user", "content": (await reader.readline()).decode()}]
        model_reader, model_writer = await asyncio.open_connection("127.0.0.1", self._port)
        while True:
            body = json.dumps({"model": "m", "messages": messages, "tools": [_TOOL]}).encode()
            model_writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            head = (await model_reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r")[0])
            message = json.loads(await model_reader.readexactly(length))["choices"][0]["message"]
            messages.append(message)
            if not message.get("tool_calls"):
                break
            for call in message["tool_calls"]:
                command = json.loads(call["function"]["arguments"])["command"]
                process = await asyncio.create_subprocess_exec(
                    *HARDENED, "sh", "-c", command, stdout=asyncio.subprocess.PIPE
                )
                out, _ = await process.communicate()
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": out.decode()})
        model_writer.close()
        writer.write(message["content"].encode() + b"\n")
        writer.close()


async def _main(path: str, port: int) -> None:
    server = await asyncio.start_unix_server(_Floor(port).serve, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
