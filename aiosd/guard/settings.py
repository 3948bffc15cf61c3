"""The guard's own settings: the `[guard]` table of the configuration, checked with the standard library.

The one definition of these keys: aiosd shows them too, and cannot change them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from aiosd.errors import ConfigError
from aiosd.guard.standins import Secret
from aiosd.layers import check_keys, read_layers
from aiosd.sandbox.limits import Limits, SessionLimits
from aiosd.types import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings(Limits, SessionLimits):
    """Limits that no request can widen.

    `timeout_s` is a command's time when the proposal names none, `max_timeout_s` the most it can name;
    `output_bytes` is how much of a command's output is passed on; `approval_wait_s` how long a person has to answer;
    after `denials_in_a_row` a session asks nobody for as long;
    `policy_dirs` the administrator's policy folders, after the vendor's; `observe_user` whose rights a session of root
    observes with (nobody's, where there is no such user); `worker_idle_s` how long an unused sandbox stays warm and
    `spare_workers` how many are kept ready; `connections_per_user` bounds the guard's socket (aiosd may
    have 16 times as many); `idle_exit_s`: a guard of the system ends after so long without a connection, action or
    question (its socket starts it again); members of
    `admin_groups` approve what runs as root, by authenticating each time, and see the observations.
    What `Limits` names bounds one command, what `SessionLimits` names all of a session. Below `least_landlock` of the
    kernel nothing is confined, and so nothing runs. `job_s` is how long a command in the background may take;
    `session_files_mib` how much a session keeps in `uploads`, and how much in `outputs`.
    """

    timeout_s: int = 60
    max_timeout_s: int = 600
    output_bytes: int = 1024 * 1024
    approval_wait_s: int = 300
    denials_in_a_row: int = 5
    policy_dirs: tuple[str, ...] = ("/etc/aios/policy.d",)
    observe_user: str = "aios-observe"
    worker_idle_s: int = 20
    spare_workers: int = 3
    connections_per_user: int = 64
    idle_exit_s: int = 600
    admin_groups: tuple[str, ...] = ("wheel", "sudo")
    least_landlock: int = 0
    job_s: int = 28_800
    session_files_mib: int = 16

    @property
    def limits(self) -> Limits:
        """What one command may use up."""
        return Limits(**{each.name: getattr(self, each.name) for each in fields(Limits)})

    @property
    def session_limits(self) -> SessionLimits:
        """What all commands of a session may use up together."""
        return SessionLimits(**{each.name: getattr(self, each.name) for each in fields(SessionLimits)})


@dataclass(slots=True)
class LiveSettings:
    """The settings in force, and the secrets that stay outside: a reload replaces them; whoever uses one asks here."""

    now: GuardSettings
    secrets: tuple[Secret, ...] = ()


_MINIMUM = {"worker_idle_s": 0, "spare_workers": 0, "least_landlock": 0}
_MOST = {"session_files_mib": 24}  # both have to fit into the place of a session
_MOST_WEIGHT = 10_000
_PATHS = frozenset({"policy_dirs"})


def load_guard_settings(folders: Iterable[Path], environment: Mapping[str, str]) -> GuardSettings:
    """The `[guard]` table of all layers. Raises ConfigError naming file and key; other tables are aiosd's."""
    prefix = "guard."
    found = {key: setting for key, setting in read_layers(folders, environment).items() if key.startswith(prefix)}
    check_keys(found, (prefix + field.name for field in fields(GuardSettings)))
    values: dict[str, JsonValue | tuple[str, ...]] = {}
    for key, setting in found.items():
        try:
            values[key.removeprefix(prefix)] = parse_guard_value(key.removeprefix(prefix), setting.value)
        except ValueError as exc:
            raise ConfigError(f"{setting.origin}: {key} {exc}", hint=f"correct {key}") from exc
    settings = GuardSettings(**values)  # type: ignore[arg-type] # each was checked above against its default's type
    if settings.timeout_s > settings.max_timeout_s:
        raise ConfigError("guard.timeout_s is over guard.max_timeout_s", hint="lower the one or raise the other")
    return settings


def parse_guard_value(name: str, value: JsonValue) -> JsonValue | tuple[str, ...]:
    """A value of the type that `name` has by default; ValueError says what it must be."""
    default = getattr(GuardSettings(), name)
    if isinstance(default, tuple):
        of_paths = name in _PATHS
        if not isinstance(value, list) or not all(
            isinstance(item, str) and item and (item.startswith("/") or not of_paths) for item in value
        ):
            raise ValueError("must be a list of absolute paths" if of_paths else "must be a list of names")
        return tuple(str(item) for item in value)
    if isinstance(default, int):
        least = _MINIMUM.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"must be a whole number of at least {least}")
        most = _MOST_WEIGHT if name.endswith("_weight") else _MOST.get(name, value)
        if value > most:
            raise ValueError(f"must be at most {most}")
        return value
    if not isinstance(value, str) or not value:
        raise ValueError("must be text")
    return value
