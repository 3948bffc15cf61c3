"""The worker: first process of a sandbox, which starts what the guard has decided, one action at a time.

Runs under `python -I -S` with a handful of built-in modules, because every session waits for its start. The guard hands
over this module's byte-code by descriptor, so nothing is read from a path that a user could change.

It promises: what runs is exactly the argv lists of the packet, with the environment of the packet and the three
descriptors that came with it; when an action is over, by whatever way, no process of it is left. As pid 1 of a
namespace it ends them by `kill(-1)`; where it shares the host's pids, as the reaper of all its descendants, which a
Landlock domain of their own keeps from signalling it. It decides nothing, and the guard believes nothing it says but an
exit status.

Packets from the guard (SOCK_SEQPACKET on descriptor 0, marshalled tuples; stdin, stdout, stderr by SCM_RIGHTS):
`("run", id, stages, cwd, environment)`, `("tool", id, name, arguments, cwd, environment)`, `("kill", id)`,
`("ping", id)`, and `("end", id)`, which is the last. A fourth descriptor is the gate: what is started says a byte
there, and goes on when the guard has placed it in its cgroup. `("large", id)` says that the packet itself is in the
first descriptor, a file in memory. What begins it is the launcher's record, of one version, with this code beside it.
Packets to the guard (ASCII): `listener` (and its descriptor), `ready`, `exit ID STATUS` (with `foreign` behind it where
the command was given files of others, `files` where what the session keeps has changed), `cwd ID ERRNO`, `lost ID` (the
packet could not be served), `pong ID`.

Source: kill(2), landlock(7), pid_namespaces(7), posix_spawn(3), unix(7).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal itself, without the enums that cost 2 ms
import _socket
import marshal
import posix
import select

from aiosd.sandbox.bundle import look, make_place
from aiosd.sandbox.command import pass_gate, shut_in, spawn
from aiosd.sandbox.domain import restrict
from aiosd.sandbox.foreign import take_seen
from aiosd.sandbox.libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

_CONTROL = 0
_MSG_CMSG_CLOEXEC = 0x40000000
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36
_MAX_PACKET = 256 * 1024


def main(
    tools: CodeType,
    writable: tuple[str, ...],
    sockets: tuple[str, ...],
    resources: tuple[tuple[int, int], ...],
    port: int,
    *,
    programs: tuple[str, ...] | None,
) -> None:
    """Serve packets until the guard closes the socket; the kernel then ends the whole namespace.

    Nothing is written but below `writable`, where there is such a place, and no Unix socket of the host is reached but
    `sockets`, as far as the kernel tells them apart; no file is started but `programs`, where that is not None.
    `resources` are limits by number (getrlimit(2)), for this process
    and so for each that it starts. Where there is a `port`, the sandbox's network is its own: a listener there is
    handed to the guard, who gives it to the proxy.
    """
    own_pids = posix.getpid() == 1
    if not own_pids and call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        posix._exit(70)
    call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)  # no process of this user may trace this one or look into it
    for number, most in resources:  # where one cannot be set, there is a lower one already
        call("prlimit", 0, number, most.to_bytes(8, "little") * 2, None)
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, _CONTROL)
    woken, wake = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    _signal.signal(_signal.SIGCHLD, lambda *_: None)
    _signal.set_wakeup_fd(wake)
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, _signal.SIG_IGN)
    worker = _Worker(control, woken, tools, own_pids)
    if port:
        _hand_over_listener(control, port)
    if writable or programs is not None:
        restrict(writable, sockets, (port,) if port else (), programs)
    control.send(b"ready")
    while worker.serve_one():
        pass
    worker.end_everything()


def _hand_over_listener(control: _socket.socket, port: int) -> None:
    """Listen on this sandbox's own loopback, where nobody else can come, and keep nothing of it."""
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    rights = listener.fileno().to_bytes(4, "little")
    control.sendmsg([b"listener"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    listener.close()


class _Worker:
    def __init__(self, control: _socket.socket, woken: int, tools: CodeType, own_pids: bool) -> None:
        self._control = control
        self._own_pids = own_pids
        self._woken = woken
        self._tools = tools
        make_place()
        self._kept = look()
        self._poll = select.poll()
        self._poll.register(_CONTROL, select.POLLIN)
        self._poll.register(woken, select.POLLIN)

    def serve_one(self) -> bool:
        packet, fds = self._receive()
        if packet is None or packet[0] == "end":
            return False
        kind, identity = packet[0], packet[1]
        if kind == "kill":
            return True  # its action is over already
        if kind == "ping":
            self._control.send(f"pong {identity}".encode())
            return True
        if kind == "large":
            packet = marshal.loads(_take(fds.pop(0)))
        try:
            if len(fds) not in (3, 4):
                self._control.send(f"lost {identity}".encode())
                return True
            cwd = packet[-2]
            try:
                posix.chdir(cwd)
            except OSError as exc:
                self._control.send(f"cwd {identity} {exc.errno}".encode())
                return True
            try:
                waiting, statuses = self._start(packet, fds)
            finally:
                while fds:
                    posix.close(fds.pop())
            if not self._wait(identity, waiting, statuses):
                return False
            self.end_everything()
            foreign = " foreign" if take_seen() else ""
            kept, self._kept = self._kept, look()
            files = " files" if kept != self._kept and packet[2] != "unpack" else ""
            self._control.send(f"exit {identity} {_pipefail(statuses)}{foreign}{files}".encode())
            return True
        finally:
            for fd in fds:
                posix.close(fd)

    def _receive(self) -> tuple[Any, list[int]]:
        data, ancillary, _flags, _address = self._control.recvmsg(_MAX_PACKET, 256, _MSG_CMSG_CLOEXEC)
        fds: list[int] = []
        for _level, _type, payload in ancillary:
            fds += [int.from_bytes(payload[i : i + 4], "little") for i in range(0, len(payload), 4)]
        return (marshal.loads(data) if data else None), fds

    def _start(self, packet: Any, fds: list[int]) -> tuple[dict[int, int], list[int]]:
        """Start what the packet says: pid → index of the stage, and the statuses known by now (-1: runs)."""
        if packet[0] == "tool":
            _, _, name, arguments, _, environment = packet
            pid = self._fork_tool(name, arguments, dict(environment), fds)
            return {pid: 0}, [-1]
        _, _, stages, _, environment = packet
        waiting: dict[int, int] = {}
        statuses = [-1] * len(stages)
        upstream = fds[0]
        for index, (words, redirects) in enumerate(stages):
            last = index == len(stages) - 1
            below, down = (-1, fds[1]) if last else posix.pipe2(posix.O_CLOEXEC)
            started = spawn(
                words,
                redirects,
                dict(environment),
                (upstream, down, fds[2]),
                gate=fds[3] if fds[3:] else -1,
                shut=not self._own_pids,
            )
            if started < 0:
                statuses[index] = -started
            else:
                waiting[started] = index
            if not last:
                posix.close(down)
            if upstream != fds[0]:
                posix.close(upstream)
            upstream = below
        return waiting, statuses

    def _fork_tool(self, name: str, arguments: Any, environment: dict[str, str], fds: list[int]) -> int:
        pid = posix.fork()
        if pid:
            return pid
        status = 70
        try:
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            if fds[3:]:
                pass_gate(fds[3])
            if not self._own_pids:
                shut_in()
            for target, fd in enumerate(fds[:3]):
                posix.dup2(fd, target)
            namespace: dict[str, Any] = {"__name__": "file_tools"}
            exec(self._tools, namespace)  # noqa: S102 - our own byte-code, from the guard
            status = namespace["run"](name, arguments, environment)
        finally:
            posix._exit(status)

    def _wait(self, identity: int, waiting: dict[int, int], statuses: list[int]) -> bool:
        """Wait for the stages; False when the guard has gone meanwhile."""
        while waiting:
            alive = True
            for fd, _event in self._poll.poll():
                if fd == self._woken:
                    posix.read(self._woken, 512)
                    continue
                packet, fds = self._receive()
                for stray in fds:
                    posix.close(stray)
                alive = packet is not None and packet[0] != "end"
                if not alive or packet[:2] == ("kill", identity):
                    self._kill_all()
            _reap(waiting, statuses)
            if not alive:
                return False
        return True

    def end_everything(self) -> None:
        """End what the action left behind: background children, daemons of any session."""
        while True:
            self._kill_all()
            try:
                posix.waitpid(-1, 0)  # what was forked meanwhile is found the next time round
            except ChildProcessError:
                return

    def _kill_all(self) -> None:
        for pid in (-1,) if self._own_pids else _descendants(posix.getpid()):
            try:
                posix.kill(pid, _signal.SIGKILL)
            except ProcessLookupError:
                pass


def _descendants(pid: int) -> list[int]:
    """Every process below one, nearest first."""
    found = [pid]
    for parent in found:  # which grows
        try:
            for task in posix.listdir(f"/proc/{parent}/task"):
                fd = posix.open(f"/proc/{parent}/task/{task}/children", posix.O_RDONLY | posix.O_CLOEXEC)
                found += map(int, posix.read(fd, 1 << 20).split())
                posix.close(fd)
        except OSError:
            continue
    return found[1:]


def _take(fd: int) -> bytes:
    """All of a file in memory, which is closed."""
    size = posix.fstat(fd).st_size
    data = b""
    while len(data) < size:
        data += posix.pread(fd, size - len(data), len(data))
    posix.close(fd)
    return data


def _reap(waiting: dict[int, int], statuses: list[int]) -> None:
    while True:
        try:
            pid, raw = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            pid = 0
            if waiting:  # cannot be: a stage is ours until it was waited for
                waiting.clear()
        if pid == 0:
            return
        index = waiting.pop(pid, None)
        if index is not None:
            code = posix.waitstatus_to_exitcode(raw)
            statuses[index] = code if code >= 0 else 128 - code


def _pipefail(statuses: list[int]) -> int:
    for status in reversed(statuses):
        if status != 0:
            return status & 0xFF
    return 0
