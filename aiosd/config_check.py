"""Checking what people wrote into the configuration, by pydantic-settings, against the tables of `aiosd.config`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from aiosd.errors import ConfigError
from aiosd.layers import Setting

_T = TypeVar("_T")
# A number is not written as true, 2.0 or "2".
_TABLE = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(extra="forbid", frozen=True)

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


def check_config(found: Mapping[str, Setting], into: type[_T], *, besides: tuple[str, ...] = ()) -> _T:
    """These layers, whose keys are known to exist, as `into`, a dataclass of tables that are dataclasses of values.

    ConfigError for a value that cannot be. What is named in `besides` is no such table, and is left out.
    """
    types = {name: kind for name, kind in get_type_hints(into).items() if name not in besides}
    models = {name: _model(table) for name, table in types.items()}
    tables: dict[str, dict[str, Any]] = {}
    for key, setting in found.items():
        table, _, name = key.partition(".")
        if table in types:
            value = tuple(setting.value) if isinstance(setting.value, list) else setting.value
            tables.setdefault(table, {})[name] = value
    try:
        checked = _join(models)(**tables)
    except ValidationError as exc:
        raise _explain(exc, found) from exc
    return into(**{name: table(**dict(getattr(checked, name))) for name, table in types.items()})


def check_table(found: Mapping[str, Setting], prefix: str, into: type[_T]) -> _T:
    """The values below `prefix` as `into`, a dataclass of values. ConfigError for one that cannot be."""
    values = {
        key.removeprefix(f"{prefix}."): tuple(each.value) if isinstance(each.value, list) else each.value
        for key, each in found.items()
        if key.startswith(f"{prefix}.")
    }
    try:
        checked = _model(into)(**values)
    except ValidationError as exc:
        raise _explain(exc, found, prefix=f"{prefix}.") from exc
    return into(**dict(checked))


def _join(models: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {name: (model, model()) for name, model in models.items()}
    return create_model("Settings", __base__=_Settings, **values)


def _model(table: Any) -> Any:
    types = get_type_hints(table, include_extras=True)
    values: dict[str, Any] = {each.name: (types[each.name], each.default) for each in fields(table)}
    return create_model(table.__name__, __config__=_TABLE, **values)


def _explain(error: ValidationError, found: Mapping[str, Setting], *, prefix: str = "") -> ConfigError:
    first = error.errors()[0]
    key = prefix + ".".join(str(part) for part in first["loc"][: 1 if prefix else 2])
    setting = found.get(key)
    where = setting.origin if setting else "configuration"
    return ConfigError(f"{where}: {key}: {first['msg']} (it is {first['input']!r})", hint=f"correct {key}")
