"""The filters against another's: libseccomp builds the same lists, and both say the same of every call.

Its numbers, its compiler and its reading of architectures are its own. What is said by our programs and by its, which
it exports as BPF, is interpreted by one machine. Names that the installed version does not know are left out.

Source: seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3).
"""

import ctypes
import errno
import functools
import itertools
import os
from collections.abc import Iterator, Sequence

import pytest

from aiosd.sandbox import calls
from aiosd.sandbox.seccomp import SocketPolicy, render_filters
from tests.unit.sandbox.bpf import SystemCall, decide_all
from tests.unit.sandbox.test_filter_program import (
    ALLOWED_FAMILIES,
    ARGUMENTS,
    AUDIT_ARCH,
    BOTH,
    FAMILIES,
    FOREIGN_ARCH,
    HIGH,
    NETLINK_PROTOCOLS,
    NUMBERS,
)

try:
    _LIBRARY: ctypes.CDLL | None = ctypes.CDLL("libseccomp.so.2")
except OSError:
    _LIBRARY = None
pytestmark = pytest.mark.skipif(_LIBRARY is None, reason="libseccomp.so.2 is not installed")

_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_BAD_ARCHITECTURE = 2  # the attribute: what becomes of calls by another one
_MASKED_EQ = 7
_WORD = 32
_NAMESPACES = (17, 25, 26, 27, 28, 29, 30)  # bits of clone(2)
_LAST_OF_2_5 = 450  # what libseccomp 2.5, the oldest, knows up to


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp: whether an argument, masked by `a`, is `b`."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


Term = tuple[int, int, int]  # an argument, a mask, and what it is under that


@functools.cache
def library() -> ctypes.CDLL:
    """Its functions, with their types."""
    assert _LIBRARY is not None
    _LIBRARY.seccomp_init.restype = ctypes.c_void_p
    _LIBRARY.seccomp_init.argtypes = (ctypes.c_uint32,)
    _LIBRARY.seccomp_release.argtypes = (ctypes.c_void_p,)
    _LIBRARY.seccomp_arch_native.restype = ctypes.c_uint32
    for name in ("seccomp_arch_add", "seccomp_arch_remove"):
        getattr(_LIBRARY, name).argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    _LIBRARY.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    _LIBRARY.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    _LIBRARY.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    )
    _LIBRARY.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return _LIBRARY


def known(name: str) -> int | None:
    """Its number of a call, which stands for the call of that name everywhere; None for one it does not know."""
    number: int = library().seccomp_syscall_resolve_name(name.encode())
    return None if number == -1 else number


def build(machine: str, otherwise: int, rules: Sequence[tuple[int, str, tuple[Term, ...]]]) -> bytes:
    """The program for `machine` that does `otherwise`, but for these: what, which call, where all terms hold."""
    lib = library()
    context = lib.seccomp_init(otherwise)
    assert context
    try:
        if lib.seccomp_arch_native() != AUDIT_ARCH[machine]:
            assert lib.seccomp_arch_add(context, AUDIT_ARCH[machine]) == 0
            assert lib.seccomp_arch_remove(context, lib.seccomp_arch_native()) == 0
        assert lib.seccomp_attr_set(context, _BAD_ARCHITECTURE, _KILL) == 0
        for action, name, terms in rules:
            number = known(name)
            if number is not None:
                array = (_Comparison * len(terms))(
                    *(_Comparison(arg, _MASKED_EQ, mask, value) for arg, mask, value in terms)
                )
                assert lib.seccomp_rule_add_array(context, action, number, len(terms), array) == 0, name
        file = os.memfd_create("program")
        try:
            assert lib.seccomp_export_bpf(context, file) == 0
            return os.pread(file, 1 << 20, 0)
        finally:
            os.close(file)
    finally:
        lib.seccomp_release(context)


def all_but(argument: int, values: tuple[int, ...]) -> Iterator[Term]:
    """Terms of which one holds where the low word of an argument is none of `values`."""
    for bit in range(_WORD):
        above = (1 << _WORD) - (1 << bit)  # this bit and those above it
        for prefix in {(value ^ (1 << bit)) & above for value in values}:
            if all(value & above != prefix for value in values):
                yield argument, above, prefix


def refusals(policy: SocketPolicy) -> Iterator[tuple[int, str, tuple[Term, ...]]]:
    """What is refused for its arguments, written down anew."""
    eperm, no_family = _ERRNO | errno.EPERM, _ERRNO | errno.EAFNOSUPPORT
    for bit in _NAMESPACES:
        yield eperm, "clone", ((0, 1 << bit, 1 << bit),)
    for request in (0x5412, 0x541C):
        yield eperm, "ioctl", ((1, 0xFFFFFFFF, request),)
    for name in ("prlimit64", "sched_setaffinity"):
        yield from ((eperm, name, (term,)) for term in all_but(0, (0,)))
    yield from ((eperm, "personality", (term,)) for term in all_but(0, (0, 0xFFFFFFFF)))
    yield from ((no_family, "socketpair", (term,)) for term in all_but(0, (1,)))
    allowed = tuple(FAMILIES[name] for name in ALLOWED_FAMILIES[policy])
    protocols = tuple(NETLINK_PROTOCOLS[policy])
    yield from ((no_family, "socket", (term,)) for term in all_but(0, (*allowed, *((16,) if protocols else ()))))
    if not allowed and not protocols:
        yield no_family, "socket", ()
    if protocols:
        yield from ((no_family, "socket", ((0, 0xFFFFFFFF, 16), term)) for term in all_but(2, protocols))
    if policy is SocketPolicy.NETLINK:
        yield from ((eperm, name, ()) for name in ("connect", "listen", "accept", "accept4"))


@functools.cache
def theirs(machine: str, policy: SocketPolicy) -> tuple[bytes, bytes]:
    """What libseccomp makes of our lists, and of what is refused for its arguments."""
    ruled = calls.RULED - {"clone3"}
    listed = [(_ALLOW, name, ()) for name in (*calls.ALLOWED, *ruled)]
    listed += [(_ERRNO | errno.EPERM, name, ()) for name in calls.REFUSED]
    return build(machine, _ERRNO | errno.ENOSYS, listed), build(machine, _ALLOW, tuple(refusals(policy)))


def compare(machine: str, policy: SocketPolicy, call: SystemCall) -> None:
    """Ours and theirs say the same."""
    ours = decide_all(render_filters(policy, machine=machine), call)
    assert (call, ours) == (call, decide_all(theirs(machine, policy), call))


@pytest.mark.parametrize(("machine", "policy"), BOTH)
def test_the_same_is_said_of_every_number_from_0_to_1023(machine: str, policy: SocketPolicy) -> None:
    numbers = {"x86_64": calls.X86_64, "aarch64": calls.AARCH64}[machine]
    names = calls.ALLOWED | calls.REFUSED | calls.RULED
    strange = {number for name, number in numbers.items() if name in names and known(name) is None}
    assert all(number > _LAST_OF_2_5 for number in strange)
    for number in set(range(1024)) - strange:
        compare(machine, policy, SystemCall(number=number, arch=AUDIT_ARCH[machine]))


@pytest.mark.parametrize(("machine", "policy"), BOTH)
def test_the_same_is_said_of_calls_by_another_numbering(machine: str, policy: SocketPolicy) -> None:
    for arch, number in itertools.product((*FOREIGN_ARCH.values(), *AUDIT_ARCH.values()), (0, 39, 101, 547, 1023)):
        compare(machine, policy, SystemCall(number=number, arch=arch))
    for number in (0, 39, 101, 547):
        compare(machine, policy, SystemCall(number=0x40000000 | number, arch=AUDIT_ARCH[machine]))


@pytest.mark.parametrize(("machine", "policy"), BOTH)
def test_the_same_is_said_of_arguments(machine: str, policy: SocketPolicy) -> None:
    for name, arguments, _expected in ARGUMENTS:
        compare(
            machine, policy, SystemCall(number=NUMBERS[name][machine], arch=AUDIT_ARCH[machine], arguments=arguments)
        )
    number = NUMBERS["socket"][machine]
    for family, protocol, high in itertools.product(range(48), (0, 1, 4, 6, 9, 12, 15, 16, 17, 255), (0, HIGH)):
        arguments = (family | high, 2, protocol | high)
        compare(machine, policy, SystemCall(number=number, arch=AUDIT_ARCH[machine], arguments=arguments))
