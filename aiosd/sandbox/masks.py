"""Hiding paths from a sandbox: bubblewrap arguments that cover each with nothing.

From bubblewrap 0.12 on a mask is one mount on the path itself. Before, a mount below a folder that the user can write
could be led astray by a symbolic link put there meanwhile, so the folder is rebuilt instead: an empty one in its place,
and everything but the masked back into it. Such a view is a snapshot of the folder's names.

Runs in the launcher, as the user whose paths they are; so it imports little.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def plan_masks(paths: Iterable[str], *, direct: bool, rebuild: bool) -> tuple[list[str], list[str]]:
    """Cover what each of `paths` leads to: the arguments, and the folders to watch, as a change in one may make a view
    with these arguments show too much: those that were rebuilt, and those in which a path is absent or linked away.

    Where not `direct`, a path below a folder this user can write is covered by rebuilding that folder, read-only; with
    `rebuild` false (a view that must stay writable) it is left uncovered, and the caller says so.
    """
    existing: dict[str, None] = {}
    watched: dict[str, None] = {}
    for path in map(os.path.normpath, paths):
        real = os.path.realpath(path)  # what must not be read; a mount on a link would follow it anyway
        if os.path.lexists(real):
            existing[real] = None
        if real != path or real not in existing:
            watched |= dict.fromkeys((_last_folder(path), _last_folder(real)))
    masked = [path for path in existing if not any(path.startswith(f"{other}/") for other in existing)]
    arguments: list[str] = []
    below: dict[str, set[str]] = {}
    for path in masked:
        base = "" if direct else _first_writable(path)
        if base == "":
            arguments += _cover(path)
        elif rebuild:
            below.setdefault(base, set()).add(path)
    carved: list[str] = []
    for base, inside in sorted(below.items()):
        _carve(base, inside, arguments, carved)
    return arguments, list(dict.fromkeys((*carved, *watched)))


def _cover(path: str) -> list[str]:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        return ["--size", "4096", "--tmpfs", path, "--remount-ro", path]
    return ["--ro-bind", "/dev/null", path]


def _last_folder(path: str) -> str:
    """The last folder on the way to `path` that exists."""
    folder = os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _first_writable(path: str) -> str:
    """The topmost folder above `path` in which this user could change names, if need be by allowing it; "" if none."""
    folder = ""
    for name in os.path.dirname(path).strip("/").split("/"):
        folder = f"{folder}/{name}" if name else folder
        if folder and (os.access(folder, os.W_OK) or os.stat(folder).st_uid == os.getuid()):
            return folder
    return ""


def _carve(folder: str, masked: set[str], arguments: list[str], carved: list[str]) -> None:
    mode = stat.S_IMODE(os.stat(folder).st_mode)
    arguments += ["--perms", f"{mode:o}", "--size", "1048576", "--tmpfs", folder]
    carved.append(folder)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{folder}/{entry.name}"
            if path in masked:
                continue
            if entry.is_symlink():
                arguments += ["--symlink", os.readlink(path), path]
            elif any(mask.startswith(f"{path}/") for mask in masked):
                _carve(path, {mask for mask in masked if mask.startswith(f"{path}/")}, arguments, carved)
            else:
                arguments += ["--ro-bind-try", path, path]
    arguments += ["--remount-ro", folder]
