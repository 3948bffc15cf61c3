"""Judged lines: harmless ones, harmful ones, and spellings of what is denied; each with the reason why it is one."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiosd.policy.knowledge import load_knowledge

_HERE = Path(__file__).parent
_LETTERS = re.compile(r"[A-Za-z0-9]+")
_JOINERS = frozenset(("|", "||", "&&", ";", "|&", "&"))


@dataclass(frozen=True, slots=True)
class Judged:
    """One line, and why it is what its file says."""

    line: str
    reason: str


@cache
def read_corpus(name: str) -> tuple[Judged, ...]:
    """The lines of `NAME.txt`, in order."""
    found: list[Judged] = []
    reason = ""
    for text in (_HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if text.startswith("[") and text.endswith("]") and not text.startswith("[ "):
            reason = text[1:-1]
        elif text.strip() and not text.startswith("#"):
            escaped = text.startswith("!") and not text.startswith("! ")
            line = text[1:].encode("ascii", "backslashreplace").decode("unicode_escape") if escaped else text
            found.append(Judged(line, reason))
    return tuple(found)


def template(line: str) -> str:
    """The shape of a line: commands, subcommands and options as written, of every other word only how it is spelled."""
    shape: list[str] = []
    command = ""
    for word in line.split(" "):
        begins = not command or shape[-1] in _JOINERS
        if begins:
            command = word
        spec = load_knowledge().spec(command)
        follows = bool(spec and shape and shape[-1] == command and (word in spec.verbs or word in spec.subs))
        kept = begins or follows or word[:1] == "-"
        shape.append(word.partition("=")[0] if kept else _LETTERS.sub("a", word))
    return " ".join(shape)
