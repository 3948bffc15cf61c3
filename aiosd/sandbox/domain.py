"""The Landlock domain of a sandbox: the second wall, which its worker puts up around itself and all that it starts.

What may be written, which Unix sockets be reached and, where there is a list, what be started, by inode; which TCP
ports, by number; no signal and no abstract socket out of it. It stands behind mounts, network namespace and
system-call filter, and alone before named pipes, which read-only mounts let through, and before programs off the list.
As far as the kernel has it: nothing below Linux 5.13, TCP from 6.7 on, scopes from 6.12 on, Unix sockets by path from
7.1 on.

Runs in the worker, under its rules: built-in modules only.

Source: landlock(7), linux/landlock.h.
"""

from __future__ import annotations

import _socket
import posix

from aiosd.sandbox.libc import call

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_BENEATH, _PORT = 1, 2  # kinds of rules
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_WRITING = 0x1FF2  # write a file; remove and make files, folders, links, pipes, sockets, devices
_REFER, _TRUNCATE, _RESOLVE = 1 << 13, 1 << 14, 1 << 16
_BIND_TCP, _CONNECT_TCP = 1, 2
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2  # scopes: out of the domain
_BROKEN = 71
_EACCES = 13
# What the kernel starts to load any program; it maps libraries itself, which is no starting.
_LOADERS = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
)


def render_domain(abi: int, *, writes: bool = True, starts: bool = False) -> bytes:
    """The attributes of the rule set: every right of ours that version `abi` of the kernel's Landlock can take away.

    Those of writing, reaching sockets and ports where `writes`, that of starting programs where `starts`.
    """
    files = (_EXECUTE if starts else 0) | (_REFER if abi >= 2 else 0)
    if writes:
        files |= _WRITING | (_TRUNCATE if abi >= 3 else 0) | (_RESOLVE if abi >= 9 else 0)
    tcp = _word(_BIND_TCP | _CONNECT_TCP if writes else 0) if abi >= 4 else b""
    return _word(files) + tcp + (_word(_ABSTRACT_SOCKETS | _SIGNALS) if abi >= 6 else b"")


def render_place(abi: int, *, folder: bool, socket: bool) -> bytes:
    """The rights given back on a place: all writing in a folder, to a file its own, on a socket reaching it."""
    if socket:
        return _word(_RESOLVE if abi >= 9 else 0)
    deep = _WRITING | (_REFER if abi >= 2 else 0)
    return _word((deep if folder else _WRITE_FILE) | (_TRUNCATE if abi >= 3 else 0))


def restrict(
    writable: tuple[str, ...],
    sockets: tuple[str, ...],
    ports: tuple[int, ...],
    programs: tuple[str, ...] | None = None,
) -> None:
    """Shut this process in: writing below `writable`, of the host's Unix sockets these, TCP to these `ports` alone.

    Where nothing is `writable` the mounts alone decide about that, and about sockets and ports their own walls. Where
    there are `programs`, files and folders of them, nothing else is started.

    Where the kernel has no Landlock the first walls stand alone; where it has, and the domain cannot be made or does
    not hold, the process ends.
    """
    abi = call("syscall", _CREATE, None, 0, 1)
    if abi < 1:
        return
    attributes = render_domain(abi, writes=bool(writable), starts=programs is not None)
    ruleset = call("syscall", _CREATE, attributes, len(attributes), 0)
    for place in (*writable, *sockets):
        fd = posix.open(place, posix.O_PATH | posix.O_CLOEXEC)
        kind = posix.fstat(fd).st_mode & 0o170000
        granted = render_place(abi, folder=kind == 0o040000, socket=kind == 0o140000)
        if granted != _word(0) and call("syscall", _ADD_RULE, ruleset, _BENEATH, granted + fd.to_bytes(4, "little"), 0):
            posix._exit(_BROKEN)
        posix.close(fd)
    if programs is not None:
        _let_start(ruleset, programs)
        if not writable and abi >= 2:
            _grant(ruleset, "/", _REFER)  # a file moves from folder to folder as it would without a domain
    for port in ports if writable and abi >= 4 else ():
        if call("syscall", _ADD_RULE, ruleset, _PORT, _word(_CONNECT_TCP) + _word(port), 0):
            posix._exit(_BROKEN)
    strange = _listen() if sockets and abi >= 9 else None
    if ruleset < 0 or call("syscall", _RESTRICT, ruleset, 0) != 0:
        posix._exit(_BROKEN)
    posix.close(ruleset)
    if strange is not None:
        _try(strange)


def _let_start(ruleset: int, programs: tuple[str, ...]) -> None:
    for path in (*programs, *_LOADERS):
        try:
            _grant(ruleset, path, _EXECUTE)
        except OSError:  # it is not here, so nobody starts it
            continue


def _grant(ruleset: int, path: str, rights: int) -> None:
    fd = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    if call("syscall", _ADD_RULE, ruleset, _BENEATH, _word(rights) + fd.to_bytes(4, "little"), 0):
        posix._exit(_BROKEN)
    posix.close(fd)


def _listen() -> _socket.socket:
    """A socket that is not among the named, made outside of the domain."""
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    listener.bind(f"/run/tmp/.aios-{posix.getpid()}")
    listener.listen(1)
    return listener


def _try(strange: _socket.socket) -> None:
    """End where it can be reached all the same: the view shows what only this wall keeps apart."""
    with_it = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    name = strange.getsockname()
    try:
        with_it.connect(name)
    except OSError as exc:
        if exc.errno == _EACCES:
            return
    finally:
        with_it.close()
        strange.close()
        posix.unlink(name)
    posix._exit(_BROKEN)


def _word(value: int) -> bytes:
    return value.to_bytes(8, "little")
