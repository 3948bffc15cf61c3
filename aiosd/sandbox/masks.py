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
    """Cover each of `paths` that exists: the arguments, and the folders that were rebuilt.

    Where not `direct`, a path below a folder this user can write is covered by rebuilding that folder, read-only; with
    `rebuild` false (a view that must stay writable) it is left uncovered, and the caller says so.
    """
    existing = [path for path in dict.fromkeys(map(os.path.normpath, paths)) if os.path.lexists(path)]
    arguments: list[str] = []
    if direct:
        for path in existing:
            arguments += _cover(path)
        return arguments, []
    below: dict[str, set[str]] = {}
    for path in existing:
        base = _first_writable(path)
        if base == "":
            arguments += _cover(path)
        elif rebuild:
            below.setdefault(base, set()).add(path)
    carved: list[str] = []
    for base, masked in sorted(below.items()):
        _carve(base, masked, arguments, carved)
    return arguments, carved


def _cover(path: str) -> list[str]:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):  # its target is what must not be read; a mount on the link would follow it anyway
        return _cover(os.path.realpath(path)) if os.path.exists(path) else []
    if stat.S_ISDIR(mode):
        return ["--size", "4096", "--tmpfs", path, "--remount-ro", path]
    return ["--ro-bind", "/dev/null", path]


def _first_writable(path: str) -> str:
    """The topmost folder above `path` that this user could change names in; "" if there is none."""
    folder = ""
    for name in os.path.dirname(path).strip("/").split("/"):
        folder = f"{folder}/{name}" if name else folder
        if folder and os.access(folder, os.W_OK):
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
