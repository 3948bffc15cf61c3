"""Checking what people wrote into the configuration, by pydantic-settings, against the tables of `aiosd.config`."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from aiosd.config import AccessTable, AgentTable, Config, DaemonTable, LimitsTable, SessionsTable
from aiosd.errors import ConfigError
from aiosd.layers import Setting


class _Settings(BaseSettings):
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
        """Our layers alone: they know their origins, and no .env file of a working directory counts."""
        del env_settings, dotenv_settings, file_secret_settings
        return (_LayersSource(settings_cls, init_settings),)


class _LayersSource(PydanticBaseSettingsSource):
    """Hands over the layers as `check_config` sorted them into tables."""

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


def check_config(found: Mapping[str, Setting]) -> Config:
    """The configuration of these layers, whose keys are known to exist. ConfigError for a value that cannot be."""
    tables: dict[str, dict[str, Any]] = {}
    for key, setting in found.items():
        table, _, name = key.partition(".")
        if table != "guard":
            value = tuple(setting.value) if isinstance(setting.value, list) else setting.value
            tables.setdefault(table, {})[name] = value
    try:
        checked = _Settings(**tables)  # type: ignore[arg-type] # checked by the model itself
    except ValidationError as exc:
        raise _explain(exc, found) from exc
    return Config(
        daemon=checked.daemon,
        limits=checked.limits,
        agent=checked.agent,
        sessions=checked.sessions,
        access=checked.access,
    )


def _explain(error: ValidationError, found: Mapping[str, Setting]) -> ConfigError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][:2])
    setting = found.get(key)
    where = setting.origin if setting else "configuration"
    return ConfigError(f"{where}: {key}: {first['msg']} (it is {first['input']!r})", hint=f"correct {key}")
