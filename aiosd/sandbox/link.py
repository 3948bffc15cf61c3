"""The guard's end of one sandbox: starts the launcher, waits for the worker, passes actions, ends it.

It promises that a link that was started is ended by `end`, and that then no process of the sandbox is left: the
sandbox is a pid namespace, its first process dies with the guard (`start` says how), and all others with it. What it
reads from the worker is a few numbers; a worker that says anything else is ended.
"""

import asyncio
import contextlib
import marshal
import os
import select
import signal
import socket
import sys
from typing import Any

from aiosd.sandbox.cgroup import CommandGroup, counts_memory
from aiosd.sandbox.folders import Fence
from aiosd.sandbox.limits import Limits, render_group, render_resources
from aiosd.sandbox.parts import await_eof, changed_at, give_away, put_in_memory, read_pid, take_descriptors, worker_code
from aiosd.sandbox.profile import PROXY_PORT, HostFacts, Profile, ProfileName, sees_white_list, shares_pids
from aiosd.sandbox.record import Identity, Order, render_record
from aiosd.sandbox.seccomp import UnsupportedArchitectureError, render_filters
from aiosd.sandbox.start import DirectStarter, Launched, Starter

__all__ = ["Identity", "Link", "SandboxError", "WorkingDirectoryError"]

_START_DEADLINE_S = 20.0
_END_DEADLINE_S = 5.0
_ANCILLARY = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4)  # who sends it, and a descriptor
_MAX_PACKET_BYTES = 128 * 1024  # of one on the socket, whose buffer takes 208 KiB; a larger one goes in a memory file


class SandboxError(Exception):
    """The sandbox could not be made, or was lost; the message names what failed. Nothing ran, or it has been ended."""


class WorkingDirectoryError(SandboxError):
    """The action's working directory cannot be entered inside the sandbox."""


class Link:
    """One sandbox, started directly unless a `starter` says otherwise. `start` it, then one action at a time.

    `fence` are the folder policies for its user; `cwd` and `tool` matter to one that is made for one action: where it
    will be done, and whether it is one of the file tools, which hold to the fence's names and sizes by themselves.
    `texts` are files of the fence that read as something else.
    """

    def __init__(
        self,
        profile: Profile,
        identity: Identity,
        host: HostFacts,
        *,
        starter: Starter | None = None,
        masks: tuple[str, ...] = (),
        fence: Fence = (),
        texts: tuple[tuple[str, str], ...] = (),
        cwd: str = "/",
        tool: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.profile = profile
        self.foreign = False  # whether the last action was given files of others
        self.over_memory = ""  # the setting over which the last action was ended for its memory
        self.changed = False  # whether what the session keeps was changed here since it was last fetched
        self.holds = ""  # the digest of what was put there of the session's files
        self.limits = limits or Limits()
        self.fence = fence
        self._texts = texts
        self._cwd = cwd
        self._tool = tool
        self.identity = identity
        self._host = host
        self._starter = starter or DirectStarter()
        self._masks = masks
        self._packets: asyncio.Queue[bytes | None] = asyncio.Queue()  # None, which stays, is the end
        self._launched: Launched | None = None
        self._emptied = asyncio.Event()
        self._ending = asyncio.Lock()
        self._actions = 0
        self._watched: dict[str, int] = {}
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts_changed = False
        self._worker = self._errors = self.listener = -1
        self._control, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)

    async def start(self) -> None:
        """Make the sandbox and wait until its worker is ready; SandboxError (or ProfileError) if it cannot be."""
        parts: list[int] = []
        try:
            record = self._render_record()
            parts += map(put_in_memory, render_filters(self.profile.sockets, machine=self._host.machine))
            await self._start_launcher()
            resources = render_resources(self.limits, counted=counts_memory(self.group))
            port = PROXY_PORT if self.profile.network else 0
            writable, bus, programs = self.profile.writable, self.profile.bus, self.profile.programs
            parts.append(put_in_memory(worker_code(writable, bus, resources, port, programs)))
            socket.send_fds(self._control, [marshal.dumps(record)], parts)
            # Not before: who sends with this set gets a name for all to see.
            self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            async with asyncio.timeout(_START_DEADLINE_S):
                await self._await_ready()
        except BaseException as exc:
            await self.end()
            match exc:
                case TimeoutError():
                    raise SandboxError(f"not ready after {_START_DEADLINE_S:.0f} s") from exc
                case OSError():
                    raise SandboxError(f"the launcher cannot be started: {exc.strerror}") from exc
                case UnsupportedArchitectureError():
                    raise SandboxError(str(exc)) from exc
            raise
        finally:
            for fd in parts:
                os.close(fd)

    def _render_record(self) -> dict[str, Any]:
        order = Order(
            profile=self.profile,
            identity=self.identity,
            masks=self._masks,
            fence=self.fence,
            texts=self._texts,
            cwd=self._cwd,
            tool=self._tool,
        )
        return render_record(order, self._host, parent=self._starter.parent)

    async def _start_launcher(self) -> None:
        self._errors, tell_errors = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._launched = await self._starter.start(self._host.interpreter, self._theirs.fileno(), tell_errors)
        finally:
            self._theirs.close()
            os.close(tell_errors)
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._on_packet)

    @property
    def sees_white_list(self) -> bool:
        """Whether its view holds listed folders only, and no working directory."""
        return sees_white_list(self.profile, self._host)

    @property
    def worker_pid(self) -> int:
        """The worker's pid as seen from here; 0 where there is none."""
        return read_pid(self._worker) if self._worker >= 0 else 0

    @property
    def group(self) -> str:
        """Its cgroup; "" where it has none."""
        return self._launched.group if self._launched else ""

    @property
    def left(self) -> tuple[int, str, int] | None:
        """What another guard goes on with the next action by: its socket, cgroup and number; None without those."""
        return (self._control.fileno(), self.group, self._actions + 1) if self.group else None

    @property
    def alive(self) -> bool:
        """Whether its worker still runs."""
        return self._control.fileno() >= 0 and self._worker >= 0 and not self._emptied.is_set()

    @property
    def stale(self) -> bool:
        """Whether what its view was made from has changed since: the host's mounts, or folders copied by name."""
        if not self._mounts_changed:
            watch = select.poll()
            watch.register(self._mounts, select.POLLPRI)  # proc(5): set when the mounts differ from the last look
            self._mounts_changed = bool(watch.poll(0))
        return self._mounts_changed or any(changed_at(path) != changed for path, changed in self._watched.items())

    async def run(self, packet: tuple[Any, ...], fds: tuple[int, int, int]) -> int:
        """Do one action, `packet` being what follows its id; its exit status (128 + n for a signal).

        Raises WorkingDirectoryError, or SandboxError when the worker was lost, in which case the sandbox is ended.
        Cancelling kills the action and waits for its end.
        """
        self._actions += 1
        self.over_memory = ""
        if not self.group:
            return await self._run(self._actions, packet, fds)
        group = CommandGroup(self.group, f"command-{self._actions}", render_group(self.limits))
        async with group:
            status = await self._run(self._actions, packet, (*fds, group.gate.fileno()))
            self.over_memory = group.over_memory()
            return status

    async def _run(self, identity: int, packet: tuple[Any, ...], fds: tuple[int, ...]) -> int:
        kind, *rest = packet
        if kind == "tool" and self.fence:
            name, arguments, *rest = rest
            rest = [name, {**arguments, "fence": self.fence}, *rest]
        data, sent = marshal.dumps((kind, identity, *rest)), list(fds)
        if len(data) > _MAX_PACKET_BYTES:
            sent.insert(0, put_in_memory(data))
            data = marshal.dumps(("large", identity))
        try:
            socket.send_fds(self._control, [data], sent)
        except OSError as exc:
            await self.end()
            raise SandboxError(f"the worker is lost: {exc.strerror}") from exc
        finally:
            for fd in sent[: -len(fds)]:
                os.close(fd)
        try:
            return await self._await_exit(identity)
        except asyncio.CancelledError:
            if self._launched is not None:
                self._launched.kill_stopped(self.worker_pid)
            try:
                async with asyncio.timeout(_END_DEADLINE_S):
                    self._control.send(marshal.dumps(("kill", identity)))
                    await self._await_exit(identity)
            except (TimeoutError, OSError, SandboxError):
                await self.end()
            raise

    async def ping(self) -> bool:
        """Whether its worker answers, while it does nothing else. One that does not is ended."""
        self._actions += 1
        try:
            async with asyncio.timeout(_END_DEADLINE_S):
                self._control.send(marshal.dumps(("ping", self._actions)))
                if await self._receive() == f"pong {self._actions}".encode():
                    return True
        except (TimeoutError, OSError):
            pass
        await self.end()
        return False

    def hand_over(self, channel: int, packet: bytes) -> None:
        """Give the sandbox's listener away by `channel`, with `packet`; where there is no channel it is closed."""
        listener, self.listener = self.listener, -1
        try:
            give_away(listener, channel, packet)
        except OSError as exc:
            raise SandboxError(f"its way to the network cannot be opened: {exc.strerror}") from exc

    def freeze(self, on: bool) -> None:
        """Stop everything in the sandbox in its tracks, or let it go on."""
        if self._launched is not None:
            self._launched.freeze(on=on)

    async def end(self) -> None:
        """End the sandbox and everything in it, and wait until it is gone. Several may call it at once."""
        async with self._ending:
            if self._control.fileno() < 0:
                return
            self._theirs.close()
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_END_DEADLINE_S):
                        await self._kill()
            finally:
                self._close()

    async def _kill(self) -> None:
        if self._launched is None:
            return
        self._launched.kill_stopped(self.worker_pid)
        workspace = self.profile.name is ProfileName.WORKSPACE
        knows = not self._launched.group and shares_pids(self.profile, self._host)
        if self._worker >= 0 and (knows or workspace):
            with contextlib.suppress(OSError):  # it alone knows its descendants; it ends them, and itself
                self._control.send(marshal.dumps(("end", 0)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_DEADLINE_S / 2):
                    await self._emptied.wait()
        if workspace and self._errors >= 0:
            await await_eof(self._errors, _END_DEADLINE_S / 2)  # the keeper of its places holds it
        self._launched.kill()
        if self._worker >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # another's, to a guard without capability
                signal.pidfd_send_signal(self._worker, signal.SIGKILL)
        await self._launched.wait()
        while await self._receive() is not None:
            pass
        if self._worker >= 0:  # a first process is dead when its whole namespace is; its socket closes before that
            await self._emptied.wait()

    def _close(self) -> None:
        loop = asyncio.get_running_loop()
        if self._launched is not None:
            self._launched.close()
        if self._worker >= 0:
            loop.remove_reader(self._worker)
            os.close(self._worker)
        loop.remove_reader(self._control.fileno())
        self._control.close()
        for fd in (self._errors, self.listener):
            if fd >= 0:
                os.close(fd)

    async def _await_ready(self) -> None:
        rebuilt = await self._receive()
        ready = await self._receive() if rebuilt is not None else None
        if rebuilt is None or ready != b"ready":
            if self._launched is not None:
                await self._launched.wait()
            with contextlib.suppress(BlockingIOError):
                text = os.read(self._errors, 4096).decode("utf-8", "replace").strip()
                raise SandboxError(text.splitlines()[-1] if text else "the launcher ended without a word")
            raise SandboxError("the launcher ended without a word")
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        if self._worker < 0:
            raise SandboxError("the worker ended as soon as it was ready")
        for path in rebuilt.split(b"\0")[1:]:
            name = os.fsdecode(path)
            self._watched[name] = changed_at(name)

    async def _await_exit(self, identity: int) -> int:
        packet = await self._receive()
        match packet.split() if packet is not None else []:
            case [b"exit", said, status, *more] if said == str(identity).encode() and status.isdigit():
                self.foreign = b"foreign" in more
                self.changed = self.changed or b"files" in more
                return int(status)
            case [b"cwd", said, number] if said == str(identity).encode() and number.isdigit():
                raise WorkingDirectoryError(os.strerror(int(number)))
            case _:
                await self.end()
                raise SandboxError("the worker was lost" if packet is None else "the worker spoke out of turn")

    async def _receive(self) -> bytes | None:
        """The next packet; None when no process of the sandbox holds the other end any more."""
        packet = await self._packets.get()
        if packet is None:
            self._packets.put_nowait(None)
        return packet

    def _on_packet(self) -> None:
        try:
            packet, ancillary, _flags, _address = self._control.recvmsg(1 << 16, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            packet, ancillary = b"", []
        if packet == b"ready" and self._worker < 0:
            self._watch_worker(ancillary)
        for fd in take_descriptors(ancillary):
            if packet == b"listener" and self.listener < 0 and self._worker < 0:
                self.listener = fd
            else:
                os.close(fd)
        if packet == b"listener":
            return
        self._packets.put_nowait(packet or None)
        if not packet:
            asyncio.get_running_loop().remove_reader(self._control.fileno())

    def _watch_worker(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        """Hold on to the worker's process, whose pid the kernel told with its packet (SCM_CREDENTIALS, unix(7))."""
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                with contextlib.suppress(OSError):  # it has ended already
                    self._worker = os.pidfd_open(int.from_bytes(payload[:4], sys.byteorder))
                    asyncio.get_running_loop().add_reader(self._worker, self._on_emptied)

    def _on_emptied(self) -> None:
        asyncio.get_running_loop().remove_reader(self._worker)
        self._emptied.set()
