"""Policy files: from directories of TOML to one `Policy`, or a `PolicyError` that names file, line and fix.

It promises that nobody but the owners named can have written what it loads, that a file is taken as a whole or refused,
and that each rule knows the line it stands on. Layers: the directories in the order given, the vendor's first. Rules of
all layers count alike (the strictest wins, so order says nothing); `unmatched` is a choice, and there the later layer,
the administrator's, overrides the earlier one. Within one layer the strictest of several files counts.
"""

import grp
import hashlib
import os
import pwd
import re
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiosd.policy.engine import Policy
from aiosd.policy.errors import PolicyError
from aiosd.policy.explain import Unmatched
from aiosd.policy.knowledge import Knowledge, load_knowledge
from aiosd.policy.rule_tables import read_permissions, read_rules
from aiosd.policy.rules import Rule
from aiosd.policy.toml_lines import locate
from aiosd.policy.verdict import RuleRef

_MAX_FILE_BYTES: Final = 1024 * 1024
_KEYS: Final = ("unmatched", "permissions", "rule")
_AT_LINE: Final = re.compile(r"\(at line (\d+)")


def load_policy(dirs: Sequence[Path], *, owner_uids: frozenset[int]) -> Policy:
    """Read `*.toml` of each directory, in order and by name; a directory that does not exist adds nothing.

    Every directory and file must belong to one of `owner_uids` and be writable by nobody else. Raises PolicyError.
    """
    knowledge = load_knowledge()
    digest = hashlib.sha256()
    rules: list[Rule] = []
    unmatched = (Unmatched.REQUIRE_APPROVAL, RuleRef(name="unmatched", tier=Unmatched.REQUIRE_APPROVAL.tier))
    for directory in dirs:
        layer: list[tuple[Unmatched, RuleRef]] = []
        for name, content in _read_dir(directory, owner_uids):
            digest.update(f"{len(name.encode())}:{name}{len(content)}:".encode() + content)
            file_rules, file_unmatched = _parse_file(name, content, knowledge)
            rules += file_rules
            layer += file_unmatched
        if layer:
            unmatched = max(layer, key=lambda choice: choice[0].tier.strictness)
    return Policy(rules=rules, unmatched=unmatched, knowledge=knowledge, digest=digest.hexdigest())


def _read_dir(directory: Path, owner_uids: frozenset[int]) -> list[tuple[str, bytes]]:
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise PolicyError(str(directory), 0, f"cannot be read: {exc.strerror}", "make it a readable folder") from exc
    try:
        _check_owner(str(directory), os.fstat(folder), owner_uids)
        names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))
        return [(f"{directory}/{name}", _read_file(folder, f"{directory}/{name}", name, owner_uids)) for name in names]
    finally:
        os.close(folder)


def _read_file(folder: int, path: str, name: str, owner_uids: frozenset[int]) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PolicyError(
                    path, 0, "is not a regular file", "remove it, or rename it so that it does not end in .toml"
                )
            _check_owner(path, status, owner_uids)
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise PolicyError(path, 0, f"cannot be read: {exc.strerror}", "make it a plain file, not a link") from exc
    if len(content) > _MAX_FILE_BYTES:
        raise PolicyError(path, 0, "is larger than 1 MiB", "split it")
    return content


def _check_owner(path: str, status: os.stat_result, owner_uids: frozenset[int]) -> None:
    if status.st_uid not in owner_uids:
        owners = " or ".join(str(uid) for uid in sorted(owner_uids))
        raise PolicyError(
            path, 0, f"belongs to uid {status.st_uid}, not to {owners}", f"chown {min(owner_uids)} {path}"
        )
    by_group = status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid)
    if by_group or status.st_mode & stat.S_IWOTH:
        raise PolicyError(path, 0, "can be written by others than its owner", f"chmod go-w {path}")


def _is_private(gid: int, uid: int) -> bool:
    """Whether a group is a user's own: their name, nobody else in it (umask 002 counts on that). Never root's."""
    try:
        owner, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return uid != 0 and owner.pw_gid == gid and group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}


def _parse_file(path: str, content: bytes, knowledge: Knowledge) -> tuple[list[Rule], list[tuple[Unmatched, RuleRef]]]:
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        table = tomllib.loads(text)
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise PolicyError(path, line, "is not UTF-8 text", "save the file as UTF-8") from exc
    except tomllib.TOMLDecodeError as exc:
        found = _AT_LINE.search(str(exc))
        line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
        message = str(exc).partition(" (at ")[0]
        raise PolicyError(path, line, f"is not TOML: {message}", "correct the line") from exc
    lines = locate(text)
    for key in table:
        if key not in _KEYS:
            known = ", ".join(_KEYS)
            raise PolicyError(path, lines[(key,)], f"unknown key `{key}`", f"the keys here are {known}")
    rules = read_permissions(path, table.get("permissions", {}), lines, knowledge)
    rules += read_rules(path, table.get("rule", []), lines, knowledge)
    return rules, _unmatched(path, table, lines[("unmatched",)]) if "unmatched" in table else []


def _unmatched(path: str, table: dict[str, object], line: int) -> list[tuple[Unmatched, RuleRef]]:
    value = table["unmatched"]
    choices = [choice.value for choice in Unmatched]
    if not isinstance(value, str) or value not in choices:
        raise PolicyError(path, line, f"unmatched is {value!r}", f"write one of {', '.join(choices)}")
    unmatched = Unmatched(value)
    return [(unmatched, RuleRef(name="unmatched", tier=unmatched.tier, file=path, line=line))]
