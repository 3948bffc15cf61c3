"""One cgroup for each command, below its sandbox's: what a command starts is in it from before its first instruction.

The handshake: the guard makes the group and a socket; the forked child sends one byte on it and waits; the kernel tells
the child's pid in the guard's own terms (SCM_CREDENTIALS); the guard places that process, checks that it is one of this
sandbox, and lets it go on to exec. A worker that does not take part gains nothing: its children stay in its own group.

Source: cgroups(7), unix(7).
"""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from aiosd.sandbox.limits import CONTROLLERS
from aiosd.sandbox.start import kill_group

COMMAND_MEMORY, SESSION_MEMORY = "guard.command_memory_mib", "guard.session_memory_mib"
_UCRED_BYTES = 12
_TRIES, _PAUSE_S = 200, 0.005


def enable_controllers(path: str) -> None:
    """Let what lies below a cgroup be counted and limited, as far as the controllers go that it was given."""
    try:
        given = Path(path, "cgroup.controllers").read_text(encoding="ascii").split()
        active = Path(path, "cgroup.subtree_control").read_text(encoding="ascii").split()
    except OSError:
        return
    for name in CONTROLLERS:
        if name in given and name not in active:
            _write(f"{path}/cgroup.subtree_control", f"+{name}")


def counts_memory(group: str) -> bool:
    """Whether the memory of a whole command is counted and bounded by a cgroup below `group`, "" being none."""
    try:
        given = Path(group).parent.joinpath("cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return False
    return bool(group) and "memory" in given


def find_controllers(path: str) -> str:
    """What a cgroup can count and bound of a command, in words."""
    try:
        given = Path(path, "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        given = []
    held = [name for name in CONTROLLERS if name in given]
    return f"cgroup ({', '.join(held)})" if held else "of each process by itself, as its cgroup has no controllers"


def _write(path: str, text: str) -> bool:
    try:
        Path(path).write_text(text, encoding="ascii")
    except OSError:
        return False
    return True


def find_limit(path: str) -> str:
    """By which setting processes of a cgroup were ended for memory, its own or its session's; "" where none was."""
    try:
        lines = Path(path, "memory.events").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    counts = dict(line.split() for line in lines)
    if counts.get("oom_kill", "0") == "0":
        return ""
    return COMMAND_MEMORY if counts.get("oom", "0") != "0" else SESSION_MEMORY


class CommandGroup:
    """A command's group below the cgroup `parent`. A context: on leaving, everything in it is killed and it is gone."""

    def __init__(self, parent: str, name: str, limits: tuple[tuple[str, str], ...] = ()) -> None:
        self._parent = parent
        self._path = f"{parent}/{name}"
        self._limits = limits
        self._ours, self.gate = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.placed = 0

    async def __aenter__(self) -> "CommandGroup":
        enable_controllers(self._parent)
        os.mkdir(self._path, 0o755)
        for file, text in self._limits:  # what has no controller here has no file, and resource limits behind it
            _write(f"{self._path}/{file}", text)
        self._ours.setblocking(False)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # before the other end is handed on
        asyncio.get_running_loop().add_reader(self._ours.fileno(), self._on_child)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ours.fileno())
        self._ours.close()
        self.gate.close()
        kill_group(self._path)
        for _ in range(_TRIES):  # the kernel says EBUSY until the last of them is reaped
            try:
                os.rmdir(self._path)
            except FileNotFoundError:
                return
            except OSError:
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    def over_memory(self) -> str:
        """The setting over which the kernel has ended processes in it for their memory; "" where it has not."""
        return find_limit(self._path)

    def _on_child(self) -> None:
        try:
            data, ancillary, _flags, _address = self._ours.recvmsg(1, socket.CMSG_SPACE(_UCRED_BYTES))
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        if not data:
            asyncio.get_running_loop().remove_reader(self._ours.fileno())
            return
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                placed = self._place(int.from_bytes(payload[:4], "little"))
                with contextlib.suppress(OSError):
                    self._ours.send(b"y" if placed else b"n")

    def _place(self, pid: int) -> bool:
        """Move one process here, which waits for our answer; held by a descriptor so that its number stays its own."""
        try:
            held = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            within = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").rpartition("0::")[2].strip()
            if not f"/sys/fs/cgroup{within}/".startswith(f"{self._parent}/"):
                return False
            Path(self._path, "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError:
            return False
        finally:
            os.close(held)
        self.placed += 1
        return True
