"""Configuration files in layers, with where each value came from. Standard library: both daemons read them so.

A folder holds `config.toml` and `config.d/*.toml` (in order of name); later files win key by key, and the environment
(`AIOS_SECTION__KEY`) wins over all. What a value means is for whoever asks for it.
"""

import contextlib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from aiosd.errors import ConfigError
from aiosd.types import JsonValue

_PREFIX = "AIOS_"
_SEPARATOR = "__"
# Variables of ours that are no configuration keys: where clients look, and what tests and terminals set.
_NOT_KEYS = frozenset({"AIOS_SOCKET", "AIOS_GUARD_SOCKET", "AIOS_CONFIG_DIR"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value as somebody wrote it: a TOML value, or text from the environment. `origin` is a file or a variable."""

    value: JsonValue
    origin: str


def read_layers(folders: Iterable[Path], environment: Mapping[str, str]) -> dict[str, Setting]:
    """Every value written anywhere, by its dotted name (`limits.body_bytes`); the last word wins.

    Raises ConfigError for a file that cannot be read or is not TOML. A folder or file that is absent says nothing.
    """
    found: dict[str, Setting] = {}
    for folder in folders:
        for path in (folder / "config.toml", *_list_parts(folder / "config.d")):
            try:
                with open(path, "rb") as file:
                    document = tomllib.load(file)
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise ConfigError(f"{path}: {exc.strerror}", hint="make it readable for this daemon") from exc
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
                raise ConfigError(f"{path}: not valid TOML: {exc}", hint="correct that line") from exc
            _flatten(document, "", str(path), found)
    for name, text in sorted(environment.items()):
        if name.startswith(_PREFIX) and name not in _NOT_KEYS:
            key = name.removeprefix(_PREFIX).lower().replace(_SEPARATOR, ".")
            found[key] = Setting(value=_parse_text(text), origin=f"environment variable {name}")
    return found


def check_keys(found: Mapping[str, Setting], known: Iterable[str]) -> None:
    """ConfigError for the first key that is not in `known`, with its file and the nearest right one."""
    names = sorted(known)
    for key, setting in found.items():
        if key not in names:
            near = get_close_matches(key, names, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are: {', '.join(names)}"
            raise ConfigError(f"{setting.origin}: unknown key {key!r}", hint=hint)


def config_folders(environment: Mapping[str, str], *, standalone: bool) -> list[Path]:
    """Where configuration is read from: /etc/aios, for a standalone daemon of a user theirs too.

    `AIOS_CONFIG_DIR` replaces them all.
    """
    if environment.get("AIOS_CONFIG_DIR"):
        return [Path(environment["AIOS_CONFIG_DIR"])]
    folders = [Path("/etc/aios")]
    if standalone and os.geteuid() != 0:
        home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/nonexistent"), ".config")
        folders.append(Path(home) / "aios")
    return folders


def _list_parts(folder: Path) -> list[Path]:
    """Its TOML files in order of name. A folder that may not be looked into says nothing silently: ConfigError."""
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(".toml")]
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise ConfigError(f"{folder}: {exc.strerror}", hint="make it readable for this daemon") from exc


def _flatten(table: Mapping[str, JsonValue], prefix: str, origin: str, found: dict[str, Setting]) -> None:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            _flatten(value, f"{key}.", origin, found)
        else:
            found[key] = Setting(value=value, origin=origin)


def _parse_text(text: str) -> JsonValue:
    """A variable's text as a value: JSON where it is JSON (numbers, true, lists), else the text itself."""
    with contextlib.suppress(ValueError):
        value: JsonValue = json.loads(text)
        if not isinstance(value, dict):
            return value
    return text
