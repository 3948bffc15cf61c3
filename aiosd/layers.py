"""Configuration files in layers, with where each value came from. Standard library: both daemons read them so.

A folder holds `config.toml` and `config.d/*.toml` (in order of name); later files win key by key, and the environment
(`AIOS_SECTION__KEY`) wins over all. What a value means is for whoever asks for it. Nothing is read that somebody else
than root and the reader could have written.
"""

import contextlib
import grp
import json
import os
import pwd
import stat
import tomllib
from collections.abc import Iterable, Mapping, Set
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

    Raises ConfigError for a file that cannot be read, is not TOML, or is not safe from others. A folder or file that is
    absent says nothing.
    """
    found: dict[str, Setting] = {}
    for folder in folders:
        _check_folder(folder)
        for path in (folder / "config.toml", *_list_parts(folder / "config.d")):
            try:
                with open(path, "rb") as file:
                    _check_status(path, os.fstat(file.fileno()))
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


def find_fault(path: str, status: os.stat_result, owner_uids: Set[int]) -> tuple[str, str] | None:
    """Why others than the owners could have written a file or folder, and what mends it; None where nobody could."""
    if status.st_uid not in owner_uids:
        owners = " or ".join(str(uid) for uid in sorted(owner_uids))
        return f"belongs to uid {status.st_uid}, not to {owners}", f"chown {min(owner_uids)} {path}"
    by_group = status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid)
    if by_group or status.st_mode & stat.S_IWOTH:
        return "can be written by others than its owner", f"chmod go-w {path}"
    return None


def _is_private(gid: int, uid: int) -> bool:
    """Whether a group is a user's own, with their name and nobody else in it (umask 002 means it). Never root's."""
    try:
        owner, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return uid != 0 and owner.pw_gid == gid and group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}


def _check_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # that it is absent or closed is for who reads it
        _check_status(folder, os.stat(folder))


def _check_status(path: Path, status: os.stat_result) -> None:
    if fault := find_fault(str(path), status, frozenset((0, os.geteuid()))):
        raise ConfigError(f"{path} {fault[0]}", hint=fault[1])


def _list_parts(folder: Path) -> list[Path]:
    """Its TOML files in order of name. A folder that may not be looked into says nothing silently: ConfigError."""
    _check_folder(folder)
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
