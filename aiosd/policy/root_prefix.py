"""A leading `sudo`: stripped, because what runs as root never runs through it; it only says whose rights are meant.

Only `sudo COMMAND`, with no option or with `-n` and `-u root`, is understood; any other use stays in the line as the
command it is. The line without it is recognised anew, so what is judged and run is again exactly what was read.
"""

import re
from typing import Final

from aiosd.policy.program import Opaque, Program
from aiosd.policy.recogniser import recognise

_MAX_ROUNDS: Final = 32
_SUDO: Final = re.compile(
    r"sudo(?:[ \t]+(?:-n|--non-interactive|-u[ \t]*root|--user=root))*(?:[ \t]+--)?[ \t]+(?=[^\s-])"
)


def strip_sudo(line: str, program: Program | Opaque) -> tuple[str, Program | Opaque, bool]:
    """`line` and its reading without a leading `sudo` of any command, and whether there was one."""
    stripped = False
    for _ in range(_MAX_ROUNDS):
        shorter = _strip_once(line, program)
        if shorter == line:
            break
        reading = recognise(shorter)
        if not _same_commands(program, reading):
            break
        line, program, stripped = shorter, reading, True
    return line, program, stripped


def _strip_once(line: str, program: Program | Opaque) -> str:
    if isinstance(program, Opaque):
        start = len(line) - len(line.lstrip(" \t\n"))
        starts = [start]
    else:
        starts = [command.start for command in program.commands() if command.argv[0].text == "sudo"]
    for start in reversed(starts):
        if found := _SUDO.match(line, start):
            line = line[:start] + line[found.end() :]
    return line


def _same_commands(before: Program | Opaque, after: Program | Opaque) -> bool:
    """Whether stripping changed nothing else: each command of `after` is the end of its like in `before`."""
    if isinstance(before, Opaque) or isinstance(after, Opaque):
        return isinstance(before, Opaque) and isinstance(after, Opaque)
    return len(before.commands()) == len(after.commands()) and all(
        old.argv[len(old.argv) - len(new.argv) :] == new.argv
        for old, new in zip(before.commands(), after.commands(), strict=True)
    )
