"""Keys of providers: read when they are needed, from where the service manager put them, never from configuration text.

A service finds them in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), CREDENTIALS) as `aios.NAME`. A standalone daemon also
takes the variable NAME, or the file `credentials/NAME` beside its configuration, if nobody else may read that.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiosd.errors import ModelKeyError

_MAX_KEY = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Where this daemon's keys are. `folders` are its configuration's, when it is standalone."""

    environment: Mapping[str, str]
    folders: tuple[Path, ...] = ()
    standalone: bool = False

    def read(self, name: str) -> str:
        """The key that credential `name` holds. ModelKeyError where it is not there or cannot be used."""
        for path in self._paths(name):
            try:
                text = _read_private(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as exc:
                raise ModelKeyError(f"the key {name} cannot be read from {path}: {exc}", hint=_HINT) from exc
            return _check(name, text)
        if self.standalone and self.environment.get(name):
            return _check(name, self.environment[name])
        raise ModelKeyError(f"there is no key {name}", hint=_HINT)

    def read_all(self, names: Iterable[str]) -> frozenset[str]:
        """What these credentials hold, as far as they are there."""
        found = set[str]()
        for name in names:
            with contextlib.suppress(ModelKeyError):
                found.add(self.read(name))
        return frozenset(found)

    def _paths(self, name: str) -> Iterable[Path]:
        if folder := self.environment.get("CREDENTIALS_DIRECTORY"):
            yield Path(folder) / f"aios.{name}"
        if self.standalone:
            yield from (folder / "credentials" / name for folder in reversed(self.folders))


_HINT = "systemd-creds encrypt --name=aios.NAME - /etc/credstore.encrypted/aios.NAME, and start aiosd anew"


def _read_private(path: Path) -> str:
    """A small file that others may not read. The service manager's own are its to protect."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no file")
        if found.st_mode & 0o077 and path.parent.name == "credentials":
            raise ValueError("others may read it; chmod 600 it")
        return os.read(fd, _MAX_KEY).decode("utf-8")
    finally:
        os.close(fd)


def _check(name: str, text: str) -> str:
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ModelKeyError(f"what is stored as {name} is no key", hint=_HINT)
    return key
