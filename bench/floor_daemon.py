"""The floor: the least that could be called a warm agent daemon. No policy, no record, no store, no identity.

asyncio on a Unix socket: a line with a question in, one hardened bubblewrap command, a line with the answer out.
"""

import asyncio
import sys

HARDENED = (
    "bwrap --ro-bind / / --unshare-all --die-with-parent --proc /proc --dev /dev --tmpfs /tmp --new-session "
    "--cap-drop ALL --"
).split()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    process = await asyncio.create_subprocess_exec(*HARDENED, "df", "-P", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    writer.write(out.splitlines()[-1] + b"\n")
    await writer.drain()
    writer.close()


async def _main(path: str) -> None:
    server = await asyncio.start_unix_server(_serve, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
