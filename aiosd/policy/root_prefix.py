"""A leading `sudo`: stripped, because what runs as root never runs through it; it only says whose rights are meant.

Only `sudo COMMAND`, with no option or with `-n` and `-u root`, is understood; any other use stays in the line as the
command it is. The line without it is recognised anew, so what is judged and run is again exactly what was read.
"""

import re
from typing import Final

from aiosd.policy.program import Opaque, Program
from aiosd.policy.recogniser import recognise

_NEXT_WORD: Final = re.compile(r"[ \t]+([^ \t\n;&|<>()]+)")
_MEANS_ROOT: Final = ("-n", "--non-interactive", "-uroot", "--user=root")


def strip_sudo(line: str, program: Program | Opaque) -> tuple[str, Program | Opaque, bool]:
    """`line` and its reading without a leading `sudo` of any command, and whether there was one."""
    if "sudo" not in line:
        return line, program, False
    shorter = _strip(line, program)
    if shorter == line:
        return line, program, False
    reading = recognise(shorter)
    return (shorter, reading, True) if _same_commands(program, reading) else (line, program, False)


def _strip(line: str, program: Program | Opaque) -> str:
    if isinstance(program, Opaque):
        start = len(line) - len(line.lstrip(" \t\n"))
        starts = [start]
    else:
        starts = [command.start for command in program.commands() if command.argv[0].text == "sudo"]
    for start in reversed(starts):
        if line.startswith("sudo", start):
            line = line[:start] + line[_command_after(line, start) :]
    return line


def _command_after(line: str, start: int) -> int:
    """Where the command begins that the `sudo` at `start` runs; `start` itself if this `sudo` is not understood."""
    at = start + len("sudo")
    while word := _NEXT_WORD.match(line, at):
        at = word.end()
        if word[1] == "-u":
            word = _NEXT_WORD.match(line, at)
            if not word or word[1] != "root":
                return start
            at = word.end()
        elif word[1] == "--":
            word = _NEXT_WORD.match(line, at)
            return word.start(1) if word else start
        elif word[1] != "sudo" and word[1] not in _MEANS_ROOT:
            return start if word[1].startswith("-") else word.start(1)
    return start


def _same_commands(before: Program | Opaque, after: Program | Opaque) -> bool:
    """Whether stripping changed nothing else: each command of `after` is the end of its like in `before`."""
    if isinstance(before, Opaque) or isinstance(after, Opaque):
        return isinstance(before, Opaque) and isinstance(after, Opaque)
    return len(before.commands()) == len(after.commands()) and all(
        old.argv[len(old.argv) - len(new.argv) :] == new.argv
        for old, new in zip(before.commands(), after.commands(), strict=True)
    )
