"""Secrets that stay outside: the tables `secrets.NAME`, and what stands for each inside a sandbox. Standard library.

Here is only which variable and which file a command sees a placeholder in, whose commands those are, and for which
hosts aiosd's proxy puts the value in its place. The value is a credential that aiosd alone reads: the guard has none.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from aiosd.errors import ConfigError
from aiosd.layers import Setting, check_keys, read_layers

ANYBODY = "any"
_MARK = "{}"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_CREDENTIAL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
# What decides how a program runs; and the proxy's own.
_TAKEN = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|IFS|ENV|LANG|TERM|LD_.*|LC_.*|BASH_.*|PYTHON.*|GIT_CONFIG_.*|GIT_SSH.*|.*_PROXY"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One secret, `secrets.NAME`.

    `credential` holds it; `hosts` are where the proxy puts it in, in one of `headers`; `users` whose commands see the
    placeholder, in the environment `variable`, or in `file` (absolute, or below `~/`), which then reads as `text` with
    the placeholder at its `{}`.
    """

    name: str
    credential: str = ""
    hosts: tuple[str, ...] = ()
    headers: tuple[str, ...] = ("authorization",)
    users: tuple[str, ...] = ()
    variable: str = ""
    file: str = ""
    text: str = _MARK

    @property
    def placeholder(self) -> str:
        """What stands for it inside."""
        return f"aios-secret-{self.name}"

    def is_of(self, user: str) -> bool:
        """Whether the commands of `user` see its placeholder."""
        return user in self.users or ANYBODY in self.users


KEYS = tuple(each.name for each in fields(Secret) if each.name != "name")


def load_secrets(folders: Iterable[Path], environment: Mapping[str, str]) -> tuple[Secret, ...]:
    """Every table `secrets.NAME` of all layers. ConfigError."""
    return read_secrets(read_layers(folders, environment))


def list_keys(found: Mapping[str, Setting]) -> list[str]:
    """The keys that there can be, of the tables that there are."""
    return [f"secrets.{name}.{key}" for name in _names(found) for key in KEYS]


def read_secrets(found: Mapping[str, Setting]) -> tuple[Secret, ...]:
    """The tables `secrets.NAME` in what was found. ConfigError names the file and the key."""
    own = {key: setting for key, setting in found.items() if key.startswith("secrets.")}
    check_keys(own, list_keys(own))
    return tuple(_read(name, own) for name in _names(own))


def _names(found: Mapping[str, Setting]) -> list[str]:
    return sorted({key.split(".")[1] for key in found if key.startswith("secrets.") and key.count(".") == 2})


def _read(name: str, found: Mapping[str, Setting]) -> Secret:
    prefix = f"secrets.{name}."
    own = {key.removeprefix(prefix): setting for key, setting in found.items() if key.startswith(prefix)}
    first = next(iter(own.values()))

    def wrong(key: str, what: str) -> ConfigError:
        origin = own.get(key, first).origin
        return ConfigError(f"{origin}: {prefix}{key} {what}", hint="see aios-config(5), SECRETS")

    if not _NAME.fullmatch(name):
        raise wrong("credential", "belongs to a table whose name cannot be; use small letters, digits, - and _")
    values: dict[str, str | tuple[str, ...]] = {}
    for key, setting in own.items():
        value = setting.value
        if isinstance(getattr(Secret(name=name), key), tuple):
            if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
                raise wrong(key, "must be a list of texts")
            values[key] = tuple(map(str, value))
        elif isinstance(value, str):
            values[key] = value
        else:
            raise wrong(key, "must be text")
    secret = Secret(name=name, **values)  # type: ignore[arg-type] # each was checked above against its default's type
    for key in ("credential", "hosts", "users"):
        if not getattr(secret, key):
            raise wrong(key, "is missing")
    if not _CREDENTIAL.fullmatch(secret.credential):
        raise wrong("credential", "is no name of a credential; the secret itself is never written here")
    if not secret.variable and not secret.file:
        raise wrong("variable", "is missing, and so is file: nothing would hold the placeholder")
    if secret.variable and (not _VARIABLE.fullmatch(secret.variable) or _TAKEN.fullmatch(secret.variable)):
        raise wrong("variable", "is no variable that may hold one")
    if secret.file and not secret.file.startswith(("/", "~/")):
        raise wrong("file", "must be an absolute path, or begin with ~/")
    if secret.text.count(_MARK) != 1:
        raise wrong("text", "must have one {}, where the placeholder stands")
    return secret


def find_files(secrets: Iterable[Secret], user: str) -> tuple[tuple[str, str], ...]:
    """The files of `user` that are secret, and what each reads as where somebody can be reached."""
    found = {
        each.file: each.text.replace(_MARK, each.placeholder) for each in secrets if each.file and each.is_of(user)
    }
    return tuple(found.items())


def find_environment(secrets: Iterable[Secret], user: str) -> dict[str, str]:
    """What the environment of a command of `user` that reaches somebody has of them.

    The variables that hold placeholders, and those by which git goes to the hosts by http, where the proxy can put the
    value in (git-config(1), url.BASE.insteadOf).
    """
    own = [each for each in secrets if each.is_of(user)]
    values = {each.variable: each.placeholder for each in own if each.variable}
    hosts = dict.fromkeys(
        host.removeprefix("https://").rstrip("/") for each in own for host in each.hosts if host[:7] != "http://"
    )
    if hosts:
        values["GIT_CONFIG_COUNT"] = str(len(hosts))
    for number, host in enumerate(hosts):
        values[f"GIT_CONFIG_KEY_{number}"] = f"url.http://{host}/.insteadOf"
        values[f"GIT_CONFIG_VALUE_{number}"] = f"https://{host}/"
    return values
