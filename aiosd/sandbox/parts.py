"""What is handed over by descriptor to a sandbox and from it: the worker's byte-code, files in memory, a listener."""

import asyncio
import contextlib
import functools
import importlib.util
import marshal
import os
import socket
import sys
from types import CodeType
from typing import Any

from aiosd.sandbox.launch import BOOT

_MODULES = (
    "libc",
    "expand",
    "foreign",
    "command",
    "domain",
    "folders",
    "bundle",
    "worker",
)  # in this order; the file tools are made where they are used


@functools.cache
def worker_code(
    writable: tuple[str, ...],
    sockets: tuple[str, ...],
    resources: tuple[tuple[int, int], ...],
    port: int,
    programs: tuple[str, ...] | None,
) -> bytes:
    """The byte-code of the worker's modules, as `launch` hands it over; what it lets write, reach and start; limits."""
    codes: dict[str, CodeType | tuple[Any, ...] | int | None] = {"": compile(BOOT, "<boot>", "exec")}
    codes |= {"modules": _MODULES, "programs": programs}
    codes |= {"writable": writable, "sockets": sockets, "resources": resources, "port": port}
    for name in (f"aiosd.sandbox.{each}" for each in (*_MODULES, "file_tools")):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        codes[name] = spec.loader.get_code(name)  # type: ignore[union-attr] # every loader of source files has it
    return marshal.dumps(codes)


def take_descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with a packet; they are the caller's."""
    rights = [data for level, kind, data in ancillary if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)]
    return [int.from_bytes(data[at : at + 4], sys.byteorder) for data in rights for at in range(0, len(data) - 3, 4)]


def give_away(fd: int, channel: int, packet: bytes) -> None:
    """Send a descriptor by `channel`, with `packet`, and let go of it; of -1 there is nothing to give. OSError."""
    if fd < 0:
        return
    try:
        if channel >= 0:
            with socket.socket(fileno=os.dup(channel)) as way:
                socket.send_fds(way, [packet], [fd])
    finally:
        os.close(fd)


def put_in_memory(data: bytes) -> int:
    """A file in memory that holds `data`, at its beginning; the caller's to close."""
    fd = os.memfd_create("aios", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


async def await_eof(fd: int, deadline_s: float) -> None:
    """Return when nobody holds the other end of a pipe any more, or at the deadline; what comes by it is let go."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        with contextlib.suppress(BlockingIOError):
            if not os.read(fd, 4096):
                ended.set()

    loop.add_reader(fd, look)
    try:
        async with asyncio.timeout(deadline_s):
            await ended.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(fd)


def read_pid(pidfd: int) -> int:
    """The pid that a pidfd stands for (proc(5), fdinfo); 0 where it has ended."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        return max(next((int(line.split()[1]) for line in file if line.startswith("Pid:")), 0), 0)


def changed_at(path: str) -> int:
    """When names in a folder last changed; -1 where it is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1


def default_interpreter() -> str:
    """The interpreter to run launcher and worker: this one, without a virtual environment around it."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))
