"""What a find(1) does to everything below where it starts, as the one recursive command that would do the same.

`find / -delete` is `rm -r /`, so the rules about that are the rules about this. A test that picks (a name, an age, a
kind) before the action makes it another thing, which is not looked at here. It over-approximates: what is not known to
pick does not.

Source: find(1), EXPRESSION and OPERATORS.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from aiosd.policy.knowledge import Arity, Spec

_RECURSIVE: Final = {"rm": "-r", "chmod": "-R", "chown": "-R", "chgrp": "-R", "setfacl": "-R"}
_ANY_NAME: Final = re.compile(r"[^A-Za-z0-9_~#]*")
_ANY_KIND: Final = re.compile(r"[fd,]*")
_ANY_NUMBER: Final = re.compile(r"[+-]?0[a-zA-Z]?")
_ANY_OWNER: Final = re.compile(r"root|0")
_NEVER: Final = re.compile(r"(?!)")
# Tests that pick, and the values with which they do not.
_PICKS: Final = {
    **dict.fromkeys(
        "-name -iname -path -ipath -wholename -iwholename -regex -iregex -lname -ilname".split(), _ANY_NAME
    ),
    **dict.fromkeys("-type -xtype".split(), _ANY_KIND),
    **dict.fromkeys("-user -uid -group -gid".split(), _ANY_OWNER),
    **dict.fromkeys("-amin -atime -cmin -ctime -mmin -mtime -size -links -used -perm".split(), _ANY_NUMBER),
    **dict.fromkeys("-anewer -cnewer -newer -inum -samefile -empty -nouser -nogroup -fstype".split(), _NEVER),
}
_ACTIONS: Final = ("-delete", "-exec", "-ok", "-print")
_OR: Final = ("-o", "-or", ",")
_NOT: Final = ("!", "-not")


class _Group:
    """What stands in one pair of brackets: whether the words since the last `-o` pick, and all before each `-o`."""

    __slots__ = ("negated", "picked", "picks")

    def __init__(self, *, negated: bool) -> None:
        self.picks = False
        self.picked = True
        self.negated = negated

    def alternative(self) -> None:
        self.picked = self.picked and self.picks
        self.picks = False


def commands_over_all(spec: Spec, words: Sequence[str]) -> Iterator[Sequence[str]]:
    """What `words`, a find, runs over all that it finds: `rm -r` of its starting points for `-delete`, and so on."""
    starts, at = _starting_points(words)
    for action in _unpicked(spec, words, at):
        if action[0] == "-delete":
            yield ["rm", "-r", *starts]
        elif action[0].startswith(("-exec", "-ok")):
            yield _recursive(action[1:], starts)


def words_listed(spec: Spec, words: Sequence[str]) -> list[str]:
    """What it may hand to a later `xargs`: where it lists all, its starting points and what means recursion."""
    starts, at = _starting_points(words)
    everything = any(action[0].startswith("-print") for action in _unpicked(spec, words, at))
    said = [word for place, word in enumerate(words[at:], at) if word[:1] != "-" or words[place - 1] == "-printf"]
    return [*starts, "-r", "-R", *said] if everything else said


def _starting_points(words: Sequence[str]) -> tuple[Sequence[str], int]:
    at = 1
    while at < len(words) and words[at][:2] in ("-H", "-L", "-P", "-O", "-D"):
        at += 2 if words[at] == "-D" else 1
    first = at
    while at < len(words) and words[at][:1] != "-" and words[at] not in ("(", "!", ")", ","):
        at += 1
    return words[first:at] or ["."], at


def _unpicked(spec: Spec, words: Sequence[str], at: int) -> Iterator[Sequence[str]]:
    """The actions that are reached without a test that picks, each with its own words."""
    groups = [_Group(negated=False)]
    negated = acted = False
    while at < len(words):
        word = words[at]
        option = spec.options.get(word)
        last = at + 1
        if option is not None and option.arity is Arity.REQUIRED:
            last = at + 2
        elif option is not None and option.arity is Arity.COMMAND:
            while last < len(words) and words[last - 1] not in (";", "+"):
                last += 1
        if word == "(":
            groups.append(_Group(negated=negated))
        elif word == ")" and len(groups) > 1:
            group = groups.pop()
            group.alternative()
            groups[-1].picks |= group.picked and not group.negated
        elif word in _OR:
            groups[-1].alternative()
        elif word in _PICKS or word.startswith("-newer"):
            value = words[at + 1] if last == at + 2 and at + 1 < len(words) else ""
            groups[-1].picks |= not negated and not _PICKS.get(word, _NEVER).fullmatch(value)
        elif word.startswith(_ACTIONS):
            acted = True
            if not any(group.picks for group in groups):
                yield words[at:last]
        negated = word in _NOT
        at = last
    if not acted and not any(group.picks for group in groups):
        yield ["-print"]


def _recursive(action: Sequence[str], starts: Sequence[str]) -> list[str]:
    """The command of an `-exec`, with the starting points for `{}` and as a recursive one."""
    out: list[str] = []
    for word in action:
        if word in (";", "+"):
            break
        out += starts if word == "{}" else [word]
        if flag := _RECURSIVE.get(word.rpartition("/")[2]):
            out.append(flag)
    return out
