"""Where in a TOML text each key and each array element stands: `tomllib` gives values without lines.

It promises lines for text that `tomllib` has already accepted, and only such text; it follows the same grammar
(comments, four kinds of strings, dotted keys, tables, arrays of tables), so a `#` or `[` in a string misleads nobody.

Source: TOML 1.0.0.
"""

import re
from collections.abc import Callable
from typing import Final

Path = tuple[str | int, ...]

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE: Final = re.compile(r"[^\s,\]}#]+(?: [0-9:.+-]+)?")  # numbers, booleans, dates; a date may hold one space
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS: Final = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"'[^']*'"),
)


def locate(text: str) -> dict[Path, int]:
    """The line (from 1) of every table, key and array element, by its path as in the parsed value."""
    reader = _Reader(text)
    reader.document()
    line = at = 0
    lines: dict[Path, int] = {}
    for path, start in sorted(reader.found.items(), key=lambda item: item[1]):
        line += text.count("\n", at, start)
        at = start
        lines[path] = line + 1
    return lines


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._tables: dict[Path, int] = {}
        self.found: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            start = self._at
            if self._text.startswith("[[", start):
                self._at += 2
                name = self._resolve(self._key())
                index = self._tables.get(name, -1) + 1
                self._tables[name] = index
                table = (*name, index)
                self._at += 2
            elif self._text.startswith("[", start):
                self._at += 1
                table = self._resolve(self._key())
                self._at += 1
            else:
                self._pair(table)
                self._skip()
                continue
            self.found.setdefault(table, start)
            self._skip()

    def _resolve(self, name: Path) -> Path:
        """The path of a table as tomllib gives it: below an array of tables, in its last element."""
        path: Path = ()
        for part in name[:-1]:
            path = (*path, part)
            if path in self._tables:
                path = (*path, self._tables[path])
        return (*path, name[-1])

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match
        self._at = match.end()

    def _key(self) -> Path:
        parts: list[str] = []
        while True:
            self._skip()
            if self._text[self._at] in "\"'":
                parts.append(self._string()[1:-1])
            else:
                match = _BARE_KEY.match(self._text, self._at)
                assert match
                parts.append(match.group())
                self._at = match.end()
            self._skip()
            if self._text[self._at] != ".":
                return tuple(parts)
            self._at += 1

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._key())
        self.found.setdefault(path, start)
        self._at += 1  # `=`
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip()
        self.found.setdefault(path, self._at)
        char = self._text[self._at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._list("]", lambda index: self._value((*path, index)))
        elif char == "{":
            self._list("}", lambda _: self._pair(path))
        else:
            match = _BARE.match(self._text, self._at)
            assert match
            self._at = match.end()

    def _list(self, end: str, item: Callable[[int], None]) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip()
            if self._text[self._at] == end:
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            item(index)
            index += 1

    def _string(self) -> str:
        for kind in _STRINGS:
            if match := kind.match(self._text, self._at):
                self._at = match.end()
                return match.group()
        raise AssertionError("tomllib accepted a string that is none")
