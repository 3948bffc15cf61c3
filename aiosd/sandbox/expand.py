"""Words to argv: `~` and file-name patterns, expanded where the command will run.

Runs in the worker, so it sees the files that the command will see. Pure but for listing folders; built-in modules only.
A quoted character never is special: the recogniser marks it in the pattern.

Source: bash(1) "Pathname Expansion", glob(7).
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_WORDS = 20_000  # of one command after expansion
_NOT_RUNNABLE = 126


class CannotStartError(Exception):
    """Why a command cannot start (first argument), and the status a shell would give (second)."""


def expand_words(words: Any, environment: dict[str, str]) -> list[str]:
    """The argv that `words` stand for: home directories and file names put in, in bash's order (C locale).

    A word is (text, pattern or None, home); see `policy.program.Word`. A pattern that matches nothing is its text.
    """
    out: list[str] = []
    for text, pattern, home in words:
        prefix = ""
        if home:
            prefix = environment.get("HOME", "/")
            text = text[1:]  # noqa: PLW2901
            pattern = pattern and pattern[1:]  # noqa: PLW2901
        if pattern is None:
            out.append(prefix + text)
        else:
            out += _glob(prefix, pattern) or [prefix + text]
        if len(out) > _MAX_WORDS:
            raise CannotStartError(f"{text}: over {_MAX_WORDS} matches", _NOT_RUNNABLE)
    return out


def _glob(prefix: str, pattern: str) -> list[str]:
    """The paths that match, sorted by their bytes; a leading dash gets `./`, so that no file name is an option."""
    found = [prefix]
    parts = pattern.split("/")
    while parts[-2:] == ["", ""]:  # bash writes one slash at the end, however many were asked for
        parts.pop()
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        grown: list[str] = []
        for base in found:
            if not part:  # a leading, doubled or trailing slash
                grown.append(base + ("" if last else "/"))
                continue
            for name in _names(base, part):
                path = base + name
                if last or _is_folder(path):
                    grown.append(path if last else path + "/")
            if len(grown) > _MAX_WORDS:
                raise CannotStartError(f"{pattern}: over {_MAX_WORDS} matches", _NOT_RUNNABLE)
        found = grown
    if not parts[-1]:
        found = [path for path in found if _is_folder(path)]
    guarded = ("./" + path if path[:1] == "-" else path for path in found)
    return sorted(guarded, key=lambda path: path.encode("utf-8", "surrogateescape"))


def _names(base: str, part: str) -> list[str]:
    tokens = _tokens(part)
    if all(kind == "c" for kind, _ in tokens):
        name = "".join(value for _, value in tokens)
        try:
            posix.lstat(base + name)
        except OSError:
            return []
        return [name]
    hidden = tokens[0] == ("c", ".")
    try:
        listed = posix.listdir(base or ".")  # without . and .., which no pattern matches (bash 5.2, globskipdots)
    except OSError:
        return []
    return [name for name in listed if (hidden or name[0] != ".") and _matches(tokens, name)]


def _is_folder(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False


def _tokens(part: str) -> list[tuple[str, Any]]:
    r"""`c` one character, `?` any, `*` any run, `[` (negated, ranges); `\c` is c. A bracket never closed is itself."""
    tokens: list[tuple[str, Any]] = []
    i = 0
    while i < len(part):
        char = part[i]
        if char == "\\" and i + 1 < len(part):
            tokens.append(("c", part[i + 1]))
            i += 2
            continue
        bracket = _bracket(part, i) if char == "[" else None
        if bracket is not None:
            token, i = bracket
            tokens.append(token)
            continue
        tokens.append((char, None) if char in "*?" else ("c", char))
        i += 1
    return tokens


def _bracket(part: str, start: int) -> tuple[tuple[str, Any], int] | None:
    i = start + 1
    negated = part[i : i + 1] in ("!", "^")
    i += negated
    members: list[str] = []
    dashes: set[int] = set()
    first = True
    while i < len(part):
        char = part[i]
        if char == "]" and not first:
            return ("[", (negated, _ranges(members, dashes))), i + 1
        first = False
        if char == "\\" and i + 1 < len(part):
            i += 1
            char = part[i]
        elif char == "-":
            dashes.add(len(members))
        members.append(char)
        i += 1
    return None


def _ranges(members: list[str], dashes: set[int]) -> list[tuple[str, str]]:
    ranges: list[tuple[str, str]] = []
    i = 0
    while i < len(members):
        if i + 2 < len(members) and i + 1 in dashes:
            ranges.append((members[i], members[i + 2]))
            i += 3
        else:
            ranges.append((members[i], members[i]))
            i += 1
    return ranges


def _matches(tokens: list[tuple[str, Any]], name: str) -> bool:
    """Whether `name` matches, in time proportional to len(tokens) × len(name)."""
    t = n = 0
    star = mark = -1
    while n < len(name):
        if t < len(tokens) and tokens[t][0] == "*":
            star, mark = t, n
            t += 1
        elif t < len(tokens) and _one(tokens[t], name[n]):
            t += 1
            n += 1
        elif star >= 0:
            mark += 1
            t, n = star + 1, mark
        else:
            return False
    return all(kind == "*" for kind, _ in tokens[t:])


def _one(token: tuple[str, Any], char: str) -> bool:
    kind, value = token
    if kind == "c":
        return bool(char == value)
    if kind == "[":
        negated, ranges = value
        return bool(any(low <= char <= high for low, high in ranges) != negated)
    return True
