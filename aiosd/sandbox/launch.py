"""The launcher: the one piece that may run with full rights, and only until it has become bubblewrap.

It reads one record from the socket on descriptor 0, checks it, and then: leaves the host's mounts (so that later ones
stay out), makes the identity user namespace (so that owners read true), takes the user's groups and uid, sets the
Landlock scope, plans the masks as that user, and executes bubblewrap with the worker in it, which goes on with the same
socket. Without root (`drop` false) it cannot map other owners: bubblewrap makes a plain user namespace, and everybody
else's files show as nobody's.

The record is a marshalled dict from the guard, which is trusted; it is checked all the same, as what is wrong here
would be wrong as root. Descriptors by SCM_RIGHTS: the two system-call filters, the worker's byte-code.

Source: user_namespaces(7), bwrap(1), prctl(2), capabilities(7).
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys

from aiosd.sandbox.landlock import restrict_scope
from aiosd.sandbox.libc import call, explain
from aiosd.sandbox.masks import plan_masks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from aiosd.sandbox.fence import Plan

RECORD_VERSION = 6
_MSG_CMSG_CLOEXEC = 0x40000000
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_RLIMIT_FSIZE, _RLIMIT_CORE = 1, 4
_CODE_FD, _FILTER_FD, _SOCKETS_FILTER_FD, _ARGUMENTS_FD, _NAMESPACE_FD, _SOCKET_FD = 3, 4, 5, 6, 7, 8
SOCKETS_HERE = "--named-sockets"  # stands among the arguments where these are bound, which the launcher alone can find
_NONE = type(None)
_FIELDS = {
    "version": int,
    "parent": int,
    "drop": bool,
    "uid": int,
    "gid": int,
    "groups": tuple,
    "bwrap": str,
    "interpreter": str,
    "arguments": tuple,
    "masks": tuple,
    "direct_masks": bool,
    "rebuild": bool,
    "fence": tuple,
    "writes": tuple,
    "sockets": tuple,
    "shown": tuple,
    "open_base": bool,
    "scoped": bool,
    "tool": bool,
    "cwd": str,
    "protect": str,
    "texts": tuple,
}

# The worker's modules are made from the byte-code on descriptor 3, under their own names, and the last one is run.
BOOT = """
posix.closerange(3, 64)
null = posix.open("/dev/null", posix.O_RDWR)
posix.dup2(null, 2)
posix.close(null)
for name in ("aiosd", "aiosd.sandbox", *(f"aiosd.sandbox.{each}" for each in codes["modules"])):
    made = sys.modules[name] = type(sys)(name)
    if name in codes:
        exec(codes[name], made.__dict__)
network, *places = sys.argv[1:]
end = places.index("--")
writable = codes["writable"] + tuple(places[:end]) * bool(codes["writable"])
sockets = codes["sockets"] + tuple(places[end + 1:])
port = codes["port"] * (network == "open")
made.main(codes["aiosd.sandbox.file_tools"], writable, sockets, codes["resources"], port, programs=codes["programs"])
"""
_START = "import marshal,posix,sys;codes=marshal.loads(posix.pread(3,1<<22,0));exec(codes[''])"


class _RefusedError(Exception):
    """The record or the kernel says no; the message goes to the guard by standard error."""


def main() -> None:
    """Become the sandbox of one record. Returns never; a failure is one line on standard error and status 78."""
    try:
        _launch()
    except Exception as exc:  # noqa: BLE001 - whatever it is, nothing runs, and the guard is told
        sys.stderr.write(f"launch: {exc}\n")
        sys.stderr.flush()
    os._exit(78)


def main_ahead() -> None:
    """Wait on descriptor 0 for what a launcher is started with, its socket and where it says errors, and be one."""
    waiting = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 0)
    _data, ancillary, _flags, _address = waiting.recvmsg(1, 64, _MSG_CMSG_CLOEXEC)
    waiting.detach()
    fds = [int.from_bytes(part[i : i + 4], "little") for _, _, part in ancillary for i in range(0, len(part), 4)]
    if len(fds) != 2:  # the guard has gone, or needs none
        os._exit(0)
    for fd, target in zip(fds, (0, 2), strict=True):
        os.dup2(fd, target)
        os.close(fd)
    main()


def _launch() -> None:
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 0)
    data, ancillary, _flags, _address = control.recvmsg(1 << 20, 64, _MSG_CMSG_CLOEXEC)
    fds = [int.from_bytes(part[i : i + 4], "little") for _, _, part in ancillary for i in range(0, len(part), 4)]
    record = _check(marshal.loads(data), fds)  # noqa: S302 - from the guard
    _tie_to_parent(record["parent"])
    filter_fd, sockets_filter_fd, code_fd = (os.dup(fd) for fd in fds)
    namespace_fd = -1
    _leave_mounts(record)
    if record["drop"]:
        namespace_fd = _make_identity_namespace(record["uid"], record["gid"])
        os.setgroups(record["groups"])
    fenced = _put_up_fence(record) if record["fence"] or record["writes"] else None
    if record["drop"]:
        os.setresgid(record["gid"], record["gid"], record["gid"])
        os.setresuid(record["uid"], record["uid"], record["uid"])
    _tie_to_parent(record["parent"])  # a change of uid unties
    _limit(_RLIMIT_CORE, 0)
    os.umask(0o022)
    os.chdir("/")
    if record["scoped"]:  # elsewhere the worker's own domain does; two would keep every file in its folder
        restrict_scope()
    masks, rebuilt = plan_masks(record["masks"], direct=record["direct_masks"], rebuild=record["rebuild"])
    if fenced is not None:
        rebuilt += [folder for folder in fenced.watched if folder not in rebuilt]
    named = _find_sockets(record)
    control.send(b"\0".join((b"rebuilt", *map(os.fsencode, rebuilt))))
    control.detach()
    closed = fenced is not None and fenced.network is False
    arguments = [
        *(("--userns", str(_NAMESPACE_FD)) if record["drop"] else ("--unshare-user",)),
        *_with_sockets(record, named),
        *masks,
        *(("--unshare-net",) if closed else ()),
        # Both before the first instruction; the first lets bubblewrap install the second.
        *("--add-seccomp-fd", str(_FILTER_FD), "--add-seccomp-fd", str(_SOCKETS_FILTER_FD)),
    ]
    filters = {filter_fd: _FILTER_FD, sockets_filter_fd: _SOCKETS_FILTER_FD}
    placed = {code_fd: _CODE_FD, _memory(arguments): _ARGUMENTS_FD, namespace_fd: _NAMESPACE_FD}
    _place(filters | placed | {fd: _SOCKET_FD + at for at, fd in enumerate(named.values())})
    told = ("closed" if closed else "open", *(fenced.writable if fenced else ()), "--", *named)
    command = (record["interpreter"], "-I", "-S", "-X", "utf8", "-c", _START, *told)
    if fenced is not None and fenced.max_bytes:
        _limit(_RLIMIT_FSIZE, fenced.max_bytes)
    os.execve(record["bwrap"], ("bwrap", "--args", str(_ARGUMENTS_FD), "--", *command), {"PATH": "/usr/bin:/bin"})


def _limit(number: int, most: int) -> None:
    call("prlimit", 0, number, most.to_bytes(8, "little") * 2, None)


def _put_up_fence(record: dict[str, Any]) -> Plan:
    """Mount what the folder policies say; and what they say of the working directory."""
    import ctypes  # noqa: PLC0415 - most sandboxes have none, and wait for it
    from resource import RLIMIT_NOFILE, getrlimit, setrlimit  # noqa: PLC0415

    from aiosd.sandbox.fence import User, make_plan, put_up  # noqa: PLC0415
    from aiosd.sandbox.protect import keep  # noqa: PLC0415

    soft, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (hard, hard))  # each of a thousand files is covered by its descriptor
    libc = ctypes.CDLL(None, use_errno=True)
    user = User(libc, record["uid"], record["gid"])
    with user:
        plan = make_plan(
            record["fence"],
            open_base=record["open_base"],
            writes=record["writes"],
            tool=record["tool"],
            cwd=record["cwd"],
            protect=record["protect"],
            texts=record["texts"],
        )
    if plan.places:
        keep(libc, plan.places, record["uid"], record["gid"])
    put_up(libc, plan, user)
    setrlimit(RLIMIT_NOFILE, (soft, hard))
    return plan


def _find_sockets(record: dict[str, Any]) -> dict[str, int]:
    """Each named socket, held by a descriptor: what is bound is what it is now, whatever is put in its place."""
    if not record["sockets"]:
        return {}
    from aiosd.sandbox.sockets import find_sockets  # noqa: PLC0415 - hardly any sandbox has some

    return find_sockets(record["sockets"], record["shown"])


def _with_sockets(record: dict[str, Any], named: dict[str, int]) -> list[str]:
    arguments = list(record["arguments"])
    if record["sockets"]:
        from aiosd.sandbox.sockets import render_sockets  # noqa: PLC0415

        at = arguments.index(SOCKETS_HERE)
        arguments[at : at + 1] = render_sockets(named, _SOCKET_FD, record["shown"])
    return arguments


def _tie_to_parent(parent: int) -> None:
    """Die with the guard, where it is the parent. PID 1 (0) is none of that: the worker ends with its socket."""
    if parent:
        call("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            raise _RefusedError("the guard has gone")


def _check(record: object, fds: list[int]) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("version") != RECORD_VERSION:
        raise _RefusedError("not a record of this version")
    if set(record) != set(_FIELDS) or any(type(record[name]) is not kind for name, kind in _FIELDS.items()):
        raise _RefusedError("a field is missing, unknown or of the wrong type")
    if len(fds) != 3:
        raise _RefusedError("three descriptors are needed")
    if record["drop"] == (os.getuid() != 0):
        raise _RefusedError("only root can, and root must, become another user")
    if record["drop"] and not all(map(_is_ordinary, (record["uid"], record["gid"], *record["groups"]))):
        raise _RefusedError("no sandbox is root's")
    texts = (*record["arguments"], *record["masks"], *record["writes"], *record["sockets"], *record["shown"])
    if not all(isinstance(text, str) for text in texts):
        raise _RefusedError("arguments and paths are text")
    if not all(map(_is_fenced, record["fence"])):
        raise _RefusedError("an entry of the fence is malformed")
    if not all(type(each) is tuple and [type(part) for part in each] == [str, str] for each in record["texts"]):
        raise _RefusedError("a file and what it reads as are text")
    return record


def _is_fenced(entry: object) -> bool:
    kinds = ((str,), (bool, _NONE), (bool, _NONE), (bool,), (bool, _NONE), (bool, _NONE), (tuple,), (tuple,), (int,))
    return (
        type(entry) is tuple
        and len(entry) == len(kinds)
        and all(type(value) in allowed for value, allowed in zip(entry, kinds, strict=True))
        and all(type(ending) is str for ending in (*entry[6], *entry[7]))
    )


def _is_ordinary(number: object) -> bool:
    """Whether it is an id that somebody but root can have; 2³² - 1 is what setresuid(2) takes for "as it is"."""
    return type(number) is int and 0 < number < 2**32 - 1


def _leave_mounts(record: dict[str, Any]) -> None:
    """Leave the host's mounts: bubblewrap goes on hearing of them, and what is mounted later would come in writable."""
    flags = _CLONE_NEWNS if record["drop"] else _CLONE_NEWNS | _CLONE_NEWUSER
    if call("unshare", flags):
        raise _RefusedError(f"namespaces are not available to uid {record['uid']}: {explain('unshare', flags)}")
    if not record["drop"]:  # the rights to it come from a user namespace around bubblewrap's own
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{record['uid']} {record['uid']} 1"),
            ("gid_map", f"{record['gid']} {record['gid']} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    private = (b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    if call("mount", *private):
        raise _RefusedError(f"the host's mounts cannot be left: {explain('mount', *private)}")


def _make_identity_namespace(uid: int, gid: int) -> int:
    """A user namespace owned by `uid` in which every id of ours is itself; its descriptor."""
    ready, tell_ready = os.pipe()
    mapped, tell_mapped = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(tell_mapped)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            if call("unshare", _CLONE_NEWUSER) == 0:
                os.write(tell_ready, b"1")
                os.read(mapped, 1)
                status = 0
            else:
                os.write(tell_ready, explain("unshare", _CLONE_NEWUSER).encode())
        finally:
            os._exit(status)
    try:
        os.close(tell_ready)
        answer = os.read(ready, 200)
        if answer != b"1":
            reason = answer.decode("utf-8", "replace") or "the child ended"
            raise _RefusedError(f"user namespaces are not available to uid {uid}: {reason}")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/self/{name}", encoding="ascii") as own:
                ranges = [line.split() for line in own]
            with open(f"/proc/{child}/{name}", "w", encoding="ascii") as theirs:
                theirs.write("".join(f"{first} {first} {count}\n" for first, _outside, count in ranges))
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    finally:
        os.close(tell_mapped)
        os.close(ready)
        os.close(mapped)
        os.waitpid(child, 0)


def _memory(arguments: list[str]) -> int:
    fd = os.memfd_create("arguments")
    os.write(fd, b"".join(os.fsencode(argument) + b"\0" for argument in arguments))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _place(wanted: dict[int, int]) -> None:
    """Put each descriptor at its number, whatever numbers they have now."""
    high = {os.dup2(fd, 100 + target): target for fd, target in wanted.items() if fd >= 0}
    for fd, target in high.items():
        os.dup2(fd, target, inheritable=True)
    os.closerange(max(wanted.values()) + 1, 1 << 20)  # whatever was inherited, too
