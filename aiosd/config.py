"""aiosd's configuration: every key, its default and its bounds; where each value came from.

Layers (`aiosd.layers`): /etc/aios/config.toml, config.d/*.toml, the environment. Unknown keys are errors. The `[guard]`
table is the guard's: it is shown here and read there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from aiosd.errors import ConfigError
from aiosd.guard.settings import GuardSettings, load_guard_settings
from aiosd.layers import Setting, check_keys, read_layers
from aiosd.wire import ConfigEntry

Positive = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DaemonTable(_Table):
    """`idle_exit_s`: end after so long without a connection or turn; `drain_s`: how long turns may end at a stop."""

    idle_exit_s: Positive = 600
    drain_s: Positive = 60


class LimitsTable(_Table):
    """What one client can use up.

    `body_bytes` of a request, `request_s` until it has arrived whole, `connections_per_user`, `turns_per_user` at once,
    `events_per_session` kept for reading back.
    """

    body_bytes: Positive = 1024 * 1024
    request_s: Positive = 10
    connections_per_user: Positive = 64
    turns_per_user: Positive = 8
    events_per_session: Annotated[int, Field(ge=100)] = 10_000


class AgentTable(_Table):
    """The loop: the model asked, and a turn's budget in steps, tokens and seconds.

    `result_bytes` is how much of a tool's result goes back to the model.
    """

    model: str = "builtin"
    max_steps: Positive = 25
    max_tokens: Positive = 200_000
    max_seconds: Positive = 900
    result_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024


class SessionsTable(_Table):
    """How long transcripts are kept, and how many MiB of them per user; the oldest go first."""

    keep_days: Positive = 90
    keep_mib: Positive = 256


class AccessTable(_Table):
    """`groups`: when not empty, only root and members of these groups may connect."""

    groups: tuple[str, ...] = ()


class Config(BaseSettings):
    """Every table but the guard's."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    daemon: DaemonTable = DaemonTable()
    limits: LimitsTable = LimitsTable()
    agent: AgentTable = AgentTable()
    sessions: SessionsTable = SessionsTable()
    access: AccessTable = AccessTable()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Our layers alone: they know their origins, and that no .env file of a working directory counts."""
        del env_settings, dotenv_settings, file_secret_settings
        return (_LayersSource(settings_cls, init_settings),)


class _LayersSource(PydanticBaseSettingsSource):
    """Hands over what `load_config` read, as the `layers` argument of the model."""

    def __init__(self, settings_cls: type[BaseSettings], given: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._given = given

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One table."""
        del field
        return self._given().get(field_name), field_name, True

    def __call__(self) -> dict[str, Any]:
        """All tables."""
        return self._given()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The configuration with the origin of each value."""

    config: Config
    guard: GuardSettings
    entries: tuple[ConfigEntry, ...]


@dataclass(slots=True)
class Live:
    """The configuration in force: a reload replaces it, so whoever uses a value asks here each time."""

    loaded: Loaded

    @property
    def config(self) -> Config:
        """Its values."""
        return self.loaded.config


def load_config(folders: list[Path], environment: Mapping[str, str]) -> Loaded:
    """Read and check everything. ConfigError names file (or variable), key and what to do."""
    found = read_layers(folders, environment)
    guard_keys = [f"guard.{field.name}" for field in fields(GuardSettings)]
    check_keys(found, [*_leaves(), *guard_keys])
    tables: dict[str, dict[str, Any]] = {}
    for key, setting in found.items():
        table, _, name = key.partition(".")
        if table != "guard":
            tables.setdefault(table, {})[name] = setting.value
    try:
        config = Config(**tables)  # type: ignore[arg-type] # checked by the model itself
    except ValidationError as exc:
        raise _explain(exc, found) from exc
    guard = load_guard_settings(folders, environment)
    entries = [
        _entry(key, getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]), found) for key in _leaves()
    ]
    entries += [_entry(key, getattr(guard, key.removeprefix("guard.")), found) for key in guard_keys]
    return Loaded(config=config, guard=guard, entries=tuple(sorted(entries, key=lambda entry: entry.key)))


def _leaves() -> list[str]:
    out = []
    for table, field in Config.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, _Table)
        out += [f"{table}.{name}" for name in model.model_fields]
    return out


def _entry(key: str, value: Any, found: Mapping[str, Setting]) -> ConfigEntry:
    origin = found[key].origin if key in found else "default"
    return ConfigEntry(key=key, value=json.dumps(value), origin=origin)


def _explain(error: ValidationError, found: Mapping[str, Setting]) -> ConfigError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:2])
    setting = found.get(key)
    where = setting.origin if setting else "configuration"
    return ConfigError(f"{where}: {key}: {first['msg']} (it is {first['input']!r})", hint=f"correct {key}")
