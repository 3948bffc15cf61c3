"""A leading `cd` of a command line: the working directory it names, and the rest, which is what is decided and run.

`cd build && make` is `make` in `build`: so it is judged, shown, recorded and confined as that, and the session stays
there. Only a plain path counts, as written; whatever else a `cd` may be is for the shell, if somebody approves it.
Whether the folder can be entered shows in the sandbox. Pure.

Source: the `cd` of POSIX shells, in its logical manner.
"""

import posixpath
import re
from dataclasses import replace
from typing import Final

from aiosd.policy import CommandAction
from aiosd.types import RunAs

_QUOTED: Final = r"'(?P<single>[^'\0\n]+)'|\"(?P<double>[^\"$`\\\n\0]+)\""
_PLAIN: Final = r"(?P<plain>[A-Za-z0-9_./~@%+,:=][^\s;&|<>()$`\\\"'*?\[\]{}!#~]*)"
_CD: Final = re.compile(rf"\s*cd(?:[ \t]+(?:{_QUOTED}|{_PLAIN}))?[ \t]*(?:&&(?P<rest>.+))?", re.DOTALL)
NOTHING: Final = "true"  # what runs where a line only goes somewhere


def follow_cd(action: CommandAction, home: str) -> CommandAction:
    """`action` in the folder that its line goes to first; itself where the line goes nowhere."""
    found = _CD.fullmatch(action.line.rstrip())
    if found is None or action.run_as is not RunAs.USER:
        return action
    rest = found["rest"]
    if rest is not None and not rest.strip():
        return action
    to = found["single"] or found["double"] or _expand(found["plain"] or "~", home)
    if to.startswith("~"):
        return action
    where = posixpath.normpath(posixpath.join(action.cwd, to))
    return replace(action, line=rest.strip() if rest else NOTHING, cwd="/" + where.lstrip("/"))


def _expand(word: str, home: str) -> str:
    return home.rstrip("/") + word[1:] or "/" if word == "~" or word.startswith("~/") else word
