r"""Whether a sed script is one of the simple ones that can only print: `1,20p`, `$d`, `/error/p`, `s/a/b/g`.

It promises that an accepted script has no way to name a file or run a program (`r`, `w`, `e`, and the flags `w` and `e`
of `s`), under every reading of where its pieces end. All else is refused, harmless or not.

Source: sed(1), GNU sed's match_slash (brackets do not hide a delimiter) and POSIX (they do): a field in which the two
could differ is refused.
"""

import re
from typing import Final

_LINE_ADDRESS: Final = re.compile(r"\$|[0-9]+(?:~[0-9]+)?")
_SECOND_ADDRESS: Final = re.compile(r"\$|[+~]?[0-9]+")
_ACTION: Final = re.compile(r"[pPdD=nNgGhHx]|[qQ][0-9]*")
_S_FLAGS: Final = re.compile(r"[gpiI0-9]*")
_BETWEEN: Final = re.compile(r"[ \t\n;]*")
_BLANKS: Final = re.compile(r"[ \t]*")
_BRACKET: Final = re.compile(r"\[\^?(?:\[:[a-z]+:\]|[^\]\[\\\n])+\]")
_MAX_SCRIPT: Final = 4096
_DELIMITERS: Final = frozenset("/|#,:@")


def only_prints(script: str) -> bool:
    """Whether every command of `script` is known only to print, skip or substitute in its output."""
    at: int | None = 0 if len(script) <= _MAX_SCRIPT else None
    while at is not None:
        at = _skip(_BETWEEN, script, at)
        if at == len(script):
            return True
        end = _command(script, at)
        at = None if end is None else _skip(_BLANKS, script, end)
        if at is not None and script[at : at + 1] not in ("", ";", "\n"):
            return False
    return False


def _command(script: str, at: int) -> int | None:
    """The end of the command that starts at `at`; None when it is not a simple one."""
    end = _address(script, at, _LINE_ADDRESS)
    if end is not None:
        at = _skip(_BLANKS, script, end)
        if script[at : at + 1] == ",":
            second = _address(script, _skip(_BLANKS, script, at + 1), _SECOND_ADDRESS)
            if second is None:
                return None
            at = _skip(_BLANKS, script, second)
        if script[at : at + 1] == "!":
            at = _skip(_BLANKS, script, at + 1)
    if action := _ACTION.match(script, at):
        return action.end()
    delimiter = script[at + 1 : at + 2]
    if script[at : at + 1] != "s" or delimiter not in _DELIMITERS:
        return None
    regex_end = _field(script, at + 2, delimiter)
    end = None if regex_end is None else _field(script, regex_end, delimiter)
    return None if end is None else _skip(_S_FLAGS, script, end)


def _address(script: str, at: int, plain: re.Pattern[str]) -> int | None:
    if script[at : at + 1] == "/":
        end = _field(script, at + 1, "/")
        return end + 1 if end is not None and script[end : end + 1] == "I" else end
    match = plain.match(script, at)
    return match.end() if match else None


def _field(script: str, at: int, delimiter: str) -> int | None:
    """The place after the delimiter that ends the field, where all readings agree on it; else None."""
    while at < len(script):
        char = script[at]
        if char == delimiter:
            return at + 1
        if char == "\n":
            return None
        if char == "\\":
            if script[at + 1 : at + 2] in ("", "\n"):
                return None
            at += 2
        elif char == "[":
            bracket = _BRACKET.match(script, at)
            if not bracket or delimiter in bracket.group():
                return None
            at = bracket.end()
        else:
            at += 1
    return None


def _skip(pattern: re.Pattern[str], script: str, at: int) -> int:
    match = pattern.match(script, at)
    return match.end() if match else at
