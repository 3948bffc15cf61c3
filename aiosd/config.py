"""aiosd's configuration: every key, its default and its bounds; where each value came from.

Layers (`aiosd.layers`): /etc/aios/config.toml, config.d/*.toml, the environment. Unknown keys are errors. The `[guard]`
table is the guard's: it is shown here and read there. The tables are plain data; pydantic-settings checks what somebody
wrote, and is imported only when somebody has written something, as it takes longer than all the rest of a start.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from aiosd.guard.settings import GuardSettings, load_guard_settings
from aiosd.layers import Setting, check_keys, read_layers
from aiosd.wire import ConfigEntry

Positive = Annotated[int, Ge(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonTable:
    """`idle_exit_s`: end after so long without a connection or turn; `drain_s`: how long turns may end at a stop."""

    idle_exit_s: Positive = 600
    drain_s: Positive = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsTable:
    """What one client can use up.

    `body_bytes` of a request, `request_s` until it has arrived whole, `connections_per_user`, `turns_per_user` at once,
    `events_per_session` kept for reading back.
    """

    body_bytes: Positive = 1024 * 1024
    request_s: Positive = 10
    connections_per_user: Positive = 64
    turns_per_user: Positive = 8
    events_per_session: Annotated[int, Ge(100)] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTable:
    """The loop: the model asked, and a turn's budget in steps, tokens and seconds.

    `result_bytes` is how much of a tool's result goes back to the model.
    """

    model: str = "builtin"
    max_steps: Positive = 25
    max_tokens: Positive = 200_000
    max_seconds: Positive = 900
    result_bytes: Annotated[int, Ge(1024)] = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsTable:
    """How long transcripts are kept, and how many MiB of them per user; the oldest go first."""

    keep_days: Positive = 90
    keep_mib: Positive = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTable:
    """`groups`: when not empty, only root and members of these groups may connect."""

    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every table but the guard's."""

    daemon: DaemonTable = field(default_factory=DaemonTable)
    limits: LimitsTable = field(default_factory=LimitsTable)
    agent: AgentTable = field(default_factory=AgentTable)
    sessions: SessionsTable = field(default_factory=SessionsTable)
    access: AccessTable = field(default_factory=AccessTable)


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
    own_keys = [f"{table.name}.{each.name}" for table in fields(Config) for each in fields(_table_type(table.name))]
    guard_keys = [f"guard.{each.name}" for each in fields(GuardSettings)]
    check_keys(found, [*own_keys, *guard_keys])
    config = Config()
    if any(not key.startswith("guard.") for key in found):
        from aiosd.config_check import check_config  # noqa: PLC0415 - pydantic-settings: 150 ms

        config = check_config(found, Config)
    guard = load_guard_settings(folders, environment)
    values = {key: getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]) for key in own_keys}
    values |= {key: getattr(guard, key.partition(".")[2]) for key in guard_keys}
    entries = tuple(_entry(key, value, found) for key, value in sorted(values.items()))
    return Loaded(config=config, guard=guard, entries=entries)


def _table_type(name: str) -> Any:
    return type(getattr(Config(), name))


def _entry(key: str, value: Any, found: Mapping[str, Setting]) -> ConfigEntry:
    origin = found[key].origin if key in found else "default"
    return ConfigEntry(key=key, value=json.dumps(value), origin=origin)
