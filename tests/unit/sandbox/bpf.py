"""A tiny machine for classic BPF as seccomp(2) uses it: what filter programs decide about one system call."""

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCall:
    """A call as the filter sees it (struct seccomp_data)."""

    number: int
    arch: int
    arguments: tuple[int, ...] = ()

    def render(self) -> bytes:
        """The bytes the program loads from."""
        words = [argument & (2**64 - 1) for argument in (*self.arguments, *(0,) * (6 - len(self.arguments)))]
        return struct.pack("=IIQ6Q", self.number & 0xFFFFFFFF, self.arch, 0, *words)


class BadProgramError(Exception):
    """The kernel would refuse to load it."""


def check_program(program: bytes) -> int:
    """Hold a program to what the kernel asks of one (seccomp_check_filter); its length in instructions."""
    if not program or len(program) % 8 or len(program) // 8 > 4096:
        raise BadProgramError("length")
    length = len(program) // 8
    for at in range(length):
        code, when_true, when_false, value = struct.unpack_from("=HBBI", program, 8 * at)
        if code == 0x20 and (value % 4 or value > 60):
            raise BadProgramError(f"instruction {at} loads from {value}")
        if code in (0x15, 0x25, 0x35, 0x45) and at + 1 + max(when_true, when_false) >= length:
            raise BadProgramError(f"instruction {at} jumps out")
        if code == 0x05 and at + 1 + value >= length:
            raise BadProgramError(f"instruction {at} jumps out")
        if code not in (0x20, 0x05, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06):
            raise BadProgramError(f"instruction {at} is {code:#x}")
    if program[-8] != 0x06:
        raise BadProgramError("it does not end in a return")
    return length


def decide(program: bytes, call: SystemCall) -> str:
    """What the program says of a call: `allow`, `kill`, or the name of the error."""
    data = call.render()
    at = accumulator = 0
    while True:
        code, when_true, when_false, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x05:
                at += value
            case 0x15:
                at += when_true if accumulator == value else when_false
            case 0x25:
                at += when_true if accumulator > value else when_false
            case 0x35:
                at += when_true if accumulator >= value else when_false
            case 0x45:
                at += when_true if accumulator & value else when_false
            case 0x54:
                accumulator &= value
            case 0x06:
                return _name(value)


def decide_all(programs: Sequence[bytes], call: SystemCall) -> str:
    """What becomes of a call under several programs: what the strictest says, the one loaded last of those."""
    said = [decide(program, call) for program in reversed(programs)]
    return min(said, key=lambda each: {"kill": 0, "allow": 2}.get(each, 1))


def _name(action: int) -> str:
    if action in (_ALLOW, _KILL):
        return "allow" if action == _ALLOW else "kill"
    assert action & 0xFFFF0000 == _ERRNO, hex(action)
    return errno.errorcode[action & 0xFFFF]
