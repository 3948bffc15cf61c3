"""Folder policies: `[[folder]]` tables and `[folders]` lists of a policy file, and the JSON of other programs.

It promises that a folder rule that exists is valid, and that what is wrong is a PolicyError with its line. What a rule
means for a path is `sandbox.folders`'s to say; the kernel holds commands and file tools to it alike.
"""

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from aiosd.policy.errors import PolicyError
from aiosd.policy.toml_lines import Path
from aiosd.sandbox.folders import Fence, Fenced, Hold, expand_home, find_hold, is_within, make_fence

_Lines = Mapping[Path, int]
_T = TypeVar("_T")

# What each access says of reading and writing. Full control is read-write: who owns what, the kernel decides.
_ACCESS: Final[Mapping[str, tuple[bool, bool]]] = {
    "deny": (False, False),
    "read-only": (True, False),
    "read-write": (True, True),
    "full-control": (True, True),
}
_SWITCH: Final[Mapping[str, bool | None]] = {"inherit": None, "allow": True, "deny": False}
# Reading, writing, and whether nothing further down writes again. A folder that may be read is not thereby written.
_LISTS: Final[Mapping[str, tuple[bool | None, bool | None, bool]]] = {
    "deny_read": (False, False, False),
    "allow_read": (True, None, False),
    "allow_write": (True, True, False),
    "deny_write": (None, False, True),
}
_SPELLED: Final[Mapping[str, str]] = {
    "denyRead": "deny_read",
    "allowRead": "allow_read",
    "allowWrite": "allow_write",
    "denyWrite": "deny_write",
}
_KEYS: Final = (
    "path", "access", "network", "execute", "allowed_extensions", "denied_extensions", "max_file_size_mb", "audit",
    "name", "description",
)  # fmt: skip
_JSON_KEYS: Final[Mapping[str, str]] = {
    "Path": "path", "Access": "access", "Network": "network", "Execute": "execute",
    "AllowedExtensions": "allowed_extensions", "DeniedExtensions": "denied_extensions",
    "MaxFileSizeMB": "max_file_size_mb", "EnableAudit": "audit", "Name": "name", "Description": "description",
}  # fmt: skip
_JSON_WORDS: Final[Mapping[str, str]] = {
    "Deny": "deny", "ReadOnly": "read-only", "ReadWrite": "read-write", "FullControl": "full-control",
    "Inherit": "inherit", "Allow": "allow",
}  # fmt: skip
_MAX_MB: Final = 1 << 20


class FolderImportError(Exception):
    """The JSON is not folder policies; the second argument says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRule:
    """One folder of a policy. `path` is absolute or begins with `~/`; None stands for what the folder above has."""

    path: str
    read: bool | None = None
    write: bool | None = None
    firm: bool = False
    network: bool | None = None
    execute: bool | None = None
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    max_bytes: int = 0
    audit: bool = False
    name: str = ""
    file: str = ""
    line: int = 0

    def describe(self) -> str:
        """Where it is written, for reasons and the record."""
        called = f" ({self.name})" if self.name else ""
        return f"{self.file}:{self.line} folder {self.path}{called}"


@dataclass(frozen=True, slots=True)
class Folders:
    """All folder rules of all layers."""

    rules: tuple[FolderRule, ...] = ()

    def fence(self, home: str) -> Fence:
        """The rules as they hold for somebody with that home folder."""
        return make_fence(_fenced(rule, home) for rule in self.rules)

    def find(self, path: str, home: str) -> Hold:
        """What holds for `path`, as it is spelled: where links lead, only the kernel's answer counts."""
        return find_hold(self.fence(home), path)

    def audited(self, path: str, home: str) -> tuple[FolderRule, ...]:
        """The rules that want what is done at `path` on the record."""
        return tuple(rule for rule in self.rules if rule.audit and is_within(path, expand_home(rule.path, home)))

    def speaking(self, hold: Hold, home: str) -> tuple[FolderRule, ...]:
        """The rules that `hold` got its path from."""
        return tuple(rule for rule in self.rules if expand_home(rule.path, home) == hold.path)


NO_FOLDERS: Final = Folders()


def read_folders(file: str, tables: object, lists: object, lines: _Lines) -> list[FolderRule]:
    """The rules of `[[folder]]` and of the lists in `[folders]`. Raises PolicyError."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PolicyError(file, lines[("folder",)], "folder is not an array of tables", "write [[folder]]")
    rules = [_FolderTable(file, ("folder", at), table, lines).rule() for at, table in enumerate(tables)]
    if not isinstance(lists, dict):
        raise PolicyError(file, lines[("folders",)], "folders is not a table", "write [folders]")
    for key in lists:
        place: Path = ("folders", key)
        name = _SPELLED.get(str(key), str(key))
        if name not in _LISTS:
            raise PolicyError(file, lines[place], f"unknown list `{key}`", f"the lists are {', '.join(_LISTS)}")
        read, write, firm = _LISTS[name]
        table = _FolderTable(file, ("folders",), lists, lines)
        for at, path in enumerate(table.texts(key)):
            line = lines.get((*place, at), lines[place])
            rules.append(
                FolderRule(path=table.path(path, key), read=read, write=write, firm=firm, file=file, line=line)
            )
    return rules


class _FolderTable:
    """One `[[folder]]`."""

    def __init__(self, file: str, place: Path, table: Mapping[str, object], lines: _Lines) -> None:
        self._file = file
        self._place = place
        self._table = table
        self._lines = lines

    def rule(self) -> FolderRule:
        for key in self._table:
            if key not in _KEYS:
                raise self._error(key, f"unknown key `{key}`", f"the keys of a folder are {', '.join(_KEYS)}")
        if "path" not in self._table:
            raise self._error("", "a folder without path", 'add path = "/srv/..."')
        self._text("description")
        read, write = self._one_of("access", _ACCESS, (None, None))
        return FolderRule(
            path=self.path(self._text("path"), "path"),
            read=read,
            write=write,
            network=self._one_of("network", _SWITCH, None),
            execute=self._one_of("execute", _SWITCH, None),
            allowed=self._endings("allowed_extensions"),
            denied=self._endings("denied_extensions"),
            max_bytes=self._megabytes() * 1024 * 1024,
            audit=self._flag("audit"),
            name=self._text("name"),
            file=self._file,
            line=self._lines[self._place],
        )

    def path(self, text: str, key: str) -> str:
        """A path as it is compared: absolute, or below the home folder, without `.`, `..` and doubled slashes."""
        if not text.startswith(("/", "~/")) and text != "~":
            raise self._error(key, f"`{text}` is not an absolute path", "write it from / or from ~/")
        if any(char in text for char in "*?[\0"):
            raise self._error(key, f"`{text}` holds a pattern", "name the folder; what lies in it is meant too")
        if text[0] == "~":
            below = posixpath.normpath("/" + text[1:])
            return "~" + (below if below != "/" else "")
        return "/" + posixpath.normpath(text).lstrip("/")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise self._error(key, f"{key} is {value!r}", "write a list of texts in quotes")
        return tuple(value)

    def _endings(self, key: str) -> tuple[str, ...]:
        endings = tuple(text.strip().lower().lstrip("*") for text in self.texts(key))
        for ending in endings:
            if not ending.strip(".") or any(char in ending for char in "/*?["):
                raise self._error(key, f"`{ending}` is not the end of a name", 'write it as ".txt"')
        return tuple(ending if ending.startswith(".") else f".{ending}" for ending in endings)

    def _megabytes(self) -> int:
        value = self._table.get("max_file_size_mb", 0)
        if type(value) is not int or not 0 <= value <= _MAX_MB:
            raise self._error(
                "max_file_size_mb", f"max_file_size_mb is {value!r}", "write a whole number; 0 is no limit"
            )
        return value

    def _flag(self, key: str) -> bool:
        value = self._table.get(key, False)
        if not isinstance(value, bool):
            raise self._error(key, f"{key} is {value!r}", "write true or false")
        return value

    def _text(self, key: str) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str):
            raise self._error(key, f"{key} is {value!r}", f"{key} is a text in quotes")
        return value

    def _one_of(self, key: str, values: Mapping[str, _T], default: _T) -> _T:
        if key not in self._table:
            return default
        value = self._text(key)
        if value not in values:
            raise self._error(key, f"{key} is `{value}`", f"write one of {', '.join(values)}")
        return values[value]

    def _error(self, key: str, message: str, hint: str) -> PolicyError:
        line = self._lines.get((*self._place, key), self._lines[self._place])
        return PolicyError(self._file, line, message, hint)


def _fenced(rule: FolderRule, home: str) -> Fenced:
    return (
        expand_home(rule.path, home),
        rule.read,
        rule.write,
        rule.firm,
        rule.execute,
        rule.network,
        rule.allowed,
        rule.denied,
        rule.max_bytes,
    )


def translate_json(text: str, source: str) -> str:
    """The `FolderPolicies` of a JSON document as `[[folder]]` tables. Raises FolderImportError."""
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise FolderImportError(f"{source} is not JSON: {exc}", "correct that place") from exc
    policies = document.get("FolderPolicies") if isinstance(document, dict) else None
    if not isinstance(policies, list) or not all(isinstance(policy, dict) for policy in policies):
        raise FolderImportError(f"{source} has no list FolderPolicies", 'it begins {"FolderPolicies": [{"Path": ...')
    tables = [_translate_table(policy, f"{source}: folder {at}") for at, policy in enumerate(policies, 1)]
    seen: dict[object, int] = {}
    for at, (table, _text) in enumerate(tables, 1):
        if table["path"] in seen:
            first = seen[table["path"]]
            raise FolderImportError(f"{source}: folders {first} and {at} have one path", "keep one of them")
        seen[table["path"]] = at
    return "".join(text for _table, text in tables)


def _translate_table(policy: Mapping[str, object], where: str) -> tuple[dict[str, object], str]:
    table: dict[str, object] = {}
    for key, value in policy.items():
        if key not in _JSON_KEYS:
            raise FolderImportError(f"{where}: unknown key {key}", f"the keys are {', '.join(_JSON_KEYS)}")
        name = _JSON_KEYS[key]
        if name in ("access", "network", "execute"):
            if not isinstance(value, str) or value not in _JSON_WORDS:
                raise FolderImportError(
                    f"{where}: {key} has the value {value!r}", f"the values are {', '.join(_JSON_WORDS)}"
                )
            value = _JSON_WORDS[value]  # noqa: PLW2901
        if name in ("allowed_extensions", "denied_extensions") and value is None:
            value = []  # noqa: PLW2901
        if value is not None:
            table[name] = value
    # What is not said is what the other program takes: a folder named without an access may be written.
    table.setdefault("access", "read-write")
    try:
        rule = _FolderTable(where, (), table, {(): 0}).rule()
    except PolicyError as exc:
        raise FolderImportError(f"{where}: {exc.message}", exc.hint) from exc
    table["path"] = rule.path
    return table, "\n[[folder]]\n" + "".join(f"{key} = {_toml(table[key])}\n" for key in _KEYS if key in table)


def _toml(value: object) -> str:
    """A TOML value: JSON's texts, numbers, flags and lists are TOML's too, but for DEL."""
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
