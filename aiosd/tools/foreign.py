"""Which calls read what comes from elsewhere by where it lies: below the folders where downloads are kept. Pure.

Who owns a file the sandbox sees and tells; this is about names, as they are written in a call.
"""

import posixpath
from collections.abc import Iterable, Iterator

from aiosd.types import JsonObject

_QUOTES = str.maketrans("\"'=;|&<>()", " " * 10)


def reads_below(parameters: JsonObject, folders: Iterable[str], home: str) -> bool:
    """Whether a call (a `command` in its `cwd`, or a `path`) names something in one of `folders`, or is run there."""
    wanted = [f"{posixpath.normpath(_expand(folder, home))}/" for folder in folders]
    return any(f"{place}/".startswith(tuple(wanted)) for place in _list_places(parameters, home))


def _list_places(parameters: JsonObject, home: str) -> Iterator[str]:
    cwd = str(parameters.get("cwd") or "/")
    yield posixpath.normpath(cwd)
    for word in (str(parameters.get("path", "")), *str(parameters.get("command", "")).translate(_QUOTES).split()):
        if word:
            yield posixpath.normpath(posixpath.join(cwd, _expand(word, home)))


def _expand(word: str, home: str) -> str:
    return f"{home}{word[1:]}" if home and (word == "~" or word.startswith("~/")) else word
