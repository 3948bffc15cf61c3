"""The floor for a cold start: a bare aiohttp server that takes an activated socket and answers one line."""

import socket

from aiohttp import web


async def _answer(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


app = web.Application()
app.router.add_get("/v1/status", _answer)
web.run_app(app, sock=socket.socket(fileno=3), print=None)
