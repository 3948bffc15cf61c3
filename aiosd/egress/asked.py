"""Hosts that no list names, put to a person: each host and port once for a command, one question at a time.

The answer holds as long as the command: a clone or an installation connects to the same host many times. A name is not
resolved before somebody has said yes, so no question carries anything out.
"""

import asyncio

from aiosd.egress.given import AskPerson
from aiosd.egress.hosts import Host, render_host, why_not_public

_MOST = 16  # questions of one command


class Questions:
    """What one command's connections ask, and the answers."""

    def __init__(self, ask: AskPerson) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._answers: dict[tuple[Host, int], str] = {}

    async def ask(self, host: Host, port: int) -> str:
        """Why it may not be reached, "" where a person says it may."""
        where = f"{render_host(host)}:{port}"
        if not isinstance(host, str) and (why := why_not_public(host)):
            there, _, kind = why.partition(", ")
            return f"{where} is {there}, {kind}, and in no list; an administrator can name it in egress.allow"
        async with self._turn:
            if (host, port) not in self._answers:
                if len(self._answers) >= _MOST:
                    asked = f"a person was asked about {_MOST} other hosts already"
                    return f"{where} is not in egress.allow, and {asked}; an administrator can add it"
                self._answers[host, port] = await self._ask(render_host(host), port)
            return self._answers[host, port]
