"""The system-call filters of a sandbox, assembled by hand: classic BPF that bubblewrap installs.

Pure: a `SocketPolicy` and an architecture in, bytes out. There are two programs, and a call is made where both let it
pass. The first is the same for every sandbox: what may be called is listed by name (`calls`), some calls by their
arguments, here; whatever is not listed does not exist. The second says which sockets this sandbox makes and uses. In
either a foreign architecture and the x32 numbers kill the process, so that no second numbering is left unchecked.
Namespaces, mounts and capabilities are other walls.

Source: seccomp(2), linux/filter.h, linux/seccomp.h.
"""

import errno
import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from aiosd.sandbox.calls import AARCH64, ALLOWED, REFUSED, X86_64

_Body = tuple[bytes, ...]

_KILL = 0x80000000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

_LD_ABS, _JA, _JEQ, _JGE, _JSET, _RET = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_NR_OFFSET, _ARCH_OFFSET = 0, 4

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE, _NETLINK_SOCK_DIAG = 0, 4
_CLONE_NEW = 0x7E020000  # every namespace flag of clone(2)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


class SocketPolicy(StrEnum):
    """Which sockets a sandbox may make. A refused family is EAFNOSUPPORT: nss, ss and ip then go on quietly."""

    NONE = "none"
    NETLINK = "netlink"  # route and sock_diag only, and no connect, listen or accept
    UNIX = "unix"
    LOOPBACK = "loopback"  # inet and inet6, in a network of its own without any way out
    LOOPBACK_UNIX = "loopback and unix"
    INTERNET = "internet"  # unix, inet, inet6, netlink route


# What some sandbox may make, and so the first program lets pass.
_EVER, _EVER_NETLINK = (_AF_UNIX, _AF_INET, _AF_INET6), (_NETLINK_ROUTE, _NETLINK_SOCK_DIAG)
_FAMILIES: dict[SocketPolicy, tuple[int, ...]] = {
    SocketPolicy.NONE: (),
    SocketPolicy.NETLINK: (),
    SocketPolicy.UNIX: (_AF_UNIX,),
    SocketPolicy.LOOPBACK: (_AF_INET, _AF_INET6),
    SocketPolicy.LOOPBACK_UNIX: (_AF_UNIX, _AF_INET, _AF_INET6),
    SocketPolicy.INTERNET: (_AF_UNIX, _AF_INET, _AF_INET6),
}
_NETLINK = {
    SocketPolicy.NETLINK: (_NETLINK_ROUTE, _NETLINK_SOCK_DIAG),
    SocketPolicy.INTERNET: (_NETLINK_ROUTE,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Architecture:
    audit: int
    x32: bool
    numbers: dict[str, int]


_ARCHITECTURES = {
    "x86_64": _Architecture(audit=0xC000003E, x32=True, numbers=X86_64),
    "aarch64": _Architecture(audit=0xC00000B7, x32=False, numbers=AARCH64),
}


class UnsupportedArchitectureError(Exception):
    """There is no table of numbers for this machine; nothing is confined here, so nothing runs."""


@functools.cache
def render_filters(sockets: SocketPolicy, *, machine: str) -> tuple[bytes, bytes]:
    """The two programs for `machine` (as uname(2) names it), 8 bytes an instruction: of all calls, and of sockets."""
    return _render_general(machine), _render(machine, dict(_socket_rules(sockets)), otherwise=_ret(_ALLOW))


@functools.cache
def _render_general(machine: str) -> bytes:
    answers = dict.fromkeys(ALLOWED, (_ret(_ALLOW),)) | dict.fromkeys(REFUSED, (_refuse(errno.EPERM),))
    return _render(machine, answers | dict(_argument_rules()), otherwise=_refuse(errno.ENOSYS))


def _render(machine: str, answers: dict[str, _Body], *, otherwise: bytes) -> bytes:
    """The program that gives these answers to calls by name, and `otherwise` to all others."""
    arch = _ARCHITECTURES.get(machine)
    if arch is None:
        raise UnsupportedArchitectureError(f"no system-call table for {machine}")
    program = [_load(_ARCH_OFFSET), _jump(_JEQ, arch.audit, 1, 0), _ret(_KILL), _load(_NR_OFFSET)]
    if arch.x32:
        program += [_jump(_JGE, 0x40000000, 0, 1), _ret(_KILL)]
    numbered = {arch.numbers[name]: body for name, body in answers.items() if name in arch.numbers}
    return b"".join((*program, *_search(_make_ranges(numbered, (otherwise,)))))


def _make_ranges(answers: dict[int, _Body], otherwise: _Body) -> list[tuple[int, _Body]]:
    """From which number on which answer holds."""
    ranges: list[tuple[int, _Body]] = []
    for number in range(max(answers) + 2):
        answer = answers.get(number, otherwise)
        if not ranges or ranges[-1][1] != answer:
            ranges.append((number, answer))
    return ranges


def _search(ranges: list[tuple[int, _Body]]) -> _Body:
    """Instructions that find a number's answer by halves: eight comparisons for some hundred ranges."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    lower, upper = _search(ranges[:middle]), _search(ranges[middle:])
    return (_jump(_JGE, ranges[middle][0], 0, 1), struct.pack("HBBI", _JA, 0, 0, len(lower)), *lower, *upper)


def _argument_rules() -> Iterator[tuple[str, _Body]]:
    """What is allowed by its arguments; each comparison is of 32 bits, as the kernel looks at no more of these."""
    eperm, allow = _refuse(errno.EPERM), _ret(_ALLOW)
    yield "clone", (_argument(0), _jump(_JSET, _CLONE_NEW, 0, 1), eperm, allow)
    yield "ioctl", (_argument(1), _jump(_JEQ, _TIOCSTI, 1, 0), _jump(_JEQ, _TIOCLINUX, 0, 1), eperm, allow)
    for name in ("prlimit64", "sched_setaffinity"):  # of the caller itself, not of the user's processes outside
        yield name, (_argument(0), _jump(_JEQ, 0, 1, 0), eperm, allow)
    yield "personality", (_argument(0), _jump(_JEQ, 0, 2, 0), _jump(_JEQ, 0xFFFFFFFF, 1, 0), eperm, allow)
    # Two ends of one process's own, whatever the policy; other families would be made, and their modules loaded, first.
    yield "socketpair", (_argument(0), _jump(_JEQ, _AF_UNIX, 1, 0), _refuse(errno.EAFNOSUPPORT), allow)
    yield "socket", _which_sockets(_EVER, _EVER_NETLINK)
    for name in ("connect", "listen", "accept", "accept4"):
        yield name, (allow,)


def _socket_rules(sockets: SocketPolicy) -> Iterator[tuple[str, _Body]]:
    yield "socket", _which_sockets(_FAMILIES[sockets], _NETLINK.get(sockets, ()))
    if sockets is SocketPolicy.NETLINK:
        # The host's network namespace: nothing may be reached or served, whatever descriptor turns up.
        for name in ("connect", "listen", "accept", "accept4"):
            yield name, (_refuse(errno.EPERM),)


def _which_sockets(families: tuple[int, ...], protocols: tuple[int, ...]) -> _Body:
    """Those of these families, and of netlink these protocols; the others are EAFNOSUPPORT."""
    refused, allow = _refuse(errno.EAFNOSUPPORT), _ret(_ALLOW)
    compared = [_jump(_JEQ, family, len(families) - at, 0) for at, family in enumerate(families)]
    body: _Body = (*compared, refused, allow)
    if protocols:
        checked = [_jump(_JEQ, protocol, len(protocols) - at, 0) for at, protocol in enumerate(protocols)]
        netlink = (_argument(2), *checked, refused, allow)
        body = (_jump(_JEQ, _AF_NETLINK, 0, len(netlink)), *netlink, *body)
    return (_argument(0), *body)


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", _LD_ABS, 0, 0, offset)


def _argument(index: int) -> bytes:
    return _load(16 + 8 * index)  # the low word; both architectures are little-endian


def _jump(code: int, value: int, when_true: int, when_false: int) -> bytes:
    return struct.pack("HBBI", code, when_true, when_false, value)


def _ret(action: int) -> bytes:
    return struct.pack("HBBI", _RET, 0, 0, action)


def _refuse(number: int) -> bytes:
    return _ret(_ERRNO | number)
