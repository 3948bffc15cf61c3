"""The policy that a guard started here would use, or one file alone; and who asks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiosd
from aiosd.errors import ConfigError
from aiosd.guard.people import find_principal
from aiosd.guard.settings import load_guard_settings
from aiosd.layers import config_folders
from aiosd.policy import Policy, PolicyError, load_policy, load_policy_file
from aiosd.types import Principal

_CODE: Final = Path(aiosd.__file__).parent
_SYSTEM_SOCKET: Final = "/run/aios/guard.sock"


class JudgingError(Exception):
    """A policy or an input that cannot be used; the message says what to do."""


def load_chosen(file: str) -> Policy:
    """The policy of `file` alone, or with "" the one in force. Raises JudgingError."""
    try:
        return load_policy_file(Path(file)) if file else load_policy(policy_folders(), owner_uids=trusted_owners())
    except PolicyError as exc:
        raise JudgingError(str(exc)) from exc


def load_proposed(file: str) -> Policy:
    """The policy in force if `file` were in the administrator's folder, instead of the one of its name there."""
    try:
        return load_policy(policy_folders(), owner_uids=trusted_owners(), proposed=Path(file))
    except PolicyError as exc:
        raise JudgingError(str(exc)) from exc


def list_files() -> list[str]:
    """The files of the policy in force. Raises JudgingError."""
    return [str(file) for folder in policy_folders() for file in sorted(folder.glob("*.toml"))]


def policy_folders() -> Sequence[Path]:
    """The vendor's folder, then the administrator's, as the guard's settings name them. Raises JudgingError."""
    standalone = not os.path.exists(_SYSTEM_SOCKET)
    try:
        settings = load_guard_settings(config_folders(os.environ, standalone=standalone), os.environ)
    except ConfigError as exc:
        raise JudgingError(f"{exc.message}; {exc.hint}") from exc
    folders = [_CODE / "policy" / "defaults", *map(Path, settings.policy_dirs)]
    return [folder for folder in folders if folder.exists()]


def trusted_owners() -> frozenset[int]:
    """Whose files are believed: root's, the caller's, and who owns this code."""
    return frozenset({0, os.geteuid(), _CODE.stat().st_uid})


def find_caller() -> Principal:
    """Whoever runs this."""
    return find_principal(os.getuid(), os.getgid())
