"""aiosd's configuration: every key, its default and its bounds; where each value came from.

Layers (`aiosd.layers`): /etc/aios/config.toml, config.d/*.toml, the environment. Unknown keys are errors. The `[guard]`
table is the guard's: it is shown here and read there. The tables are plain data; pydantic-settings checks what somebody
wrote, and is imported only when somebody has written something, as it takes longer than all the rest of a start.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge

from aiosd.errors import ConfigError
from aiosd.guard.settings import GuardSettings, load_guard_settings
from aiosd.guard.standins import KEYS, Secret, list_keys, read_secrets
from aiosd.layers import Setting, check_keys, read_layers
from aiosd.wire import ConfigEntry

Positive = Annotated[int, Ge(1)]
Price = Annotated[float, Ge(0)]
BUILTIN = "builtin"
_BY_NAME = ("models", "secrets")  # tables of tables
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_CREDENTIAL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


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
    """The loop: the model asked, and a turn's budget in steps, tokens, seconds and money (0 is no limit).

    `fallback` names the models asked when it does not answer, before the built-in one; `local_only` refuses every
    address that is not this machine's. `result_bytes` is how much of a tool's result goes back to the model.
    `max_cost` is a turn's, `max_session_cost` a session's, `max_day_cost` a user's in a day (UTC); so with tokens, of
    which 0 in a session or day is no limit. `question_wait_s`: how long a question of the model's waits. `careful`:
    once text of others entered a turn (the journal, a page, standard input, files of others and what lies below
    `downloads`), what would only be announced is asked about. `notes` is what every model is
    told of this host. `summarise`: when a conversation nearly fills the model's window, the model tells its older part
    in short, in one request.
    """

    model: str = BUILTIN
    fallback: tuple[str, ...] = ()
    local_only: bool = False
    max_steps: Positive = 25
    max_tokens: Positive = 200_000
    max_session_tokens: Annotated[int, Ge(0)] = 0
    max_day_tokens: Annotated[int, Ge(0)] = 0
    max_seconds: Positive = 900
    question_wait_s: Positive = 300
    careful: bool = True
    downloads: tuple[str, ...] = ("~/Downloads", "~/ダウンロード")
    notes: str = ""
    summarise: bool = True
    max_cost: Price = 0.0
    max_session_cost: Price = 0.0
    max_day_cost: Price = 0.0
    result_bytes: Annotated[int, Ge(1024)] = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """A model by the name of its table, `models.NAME`.

    `provider` is the protocol its server speaks, `model` the server's name for it, `base_url` where (the provider's own
    by default), `key` the name of the credential that holds the key. `context_tokens` is how much it reads at once,
    `max_output_tokens` how much it writes, `effort` how long it thinks. Prices are of a million tokens. `connect_s`,
    `first_byte_s` and `idle_s` bound the waits, `retries` how often it is asked again.
    """

    provider: Literal["anthropic", "openai"] = "openai"
    model: str = ""
    base_url: str = ""
    key: str = ""
    context_tokens: Annotated[int, Ge(4096)] = 128_000
    max_output_tokens: Annotated[int, Ge(16)] = 4096
    effort: Literal["", "low", "medium", "high"] = ""
    input_price: Price = 0.0
    cached_price: Price = 0.0
    output_price: Price = 0.0
    connect_s: Positive = 10
    first_byte_s: Positive = 120
    idle_s: Positive = 60
    retries: Annotated[int, Ge(0)] = 3


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
class EgressTable:
    """Whom commands reach that a rule gives a network, by the proxy.

    `allow` are the hosts where a rule's `network` says `*`: `HOST`, `HOST:PORT`, `*.DOMAIN`, an address, or `any`; a
    reason may follow after a blank. Nobody where it is empty. What is in `deny` is refused, whatever else allows it;
    names in `internal` may lead to private addresses. `unknown`: a host that neither list names is refused (`deny`), or
    put to the person (`ask`). `parent` is a proxy to go by (`http://HOST:PORT`), `idle_s`,
    `max_mib` and `max_s` end a connection.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    unknown: Literal["deny", "ask"] = "deny"
    parent: str = ""
    idle_s: Positive = 120
    max_mib: Positive = 1024
    max_s: Positive = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every table but the guard's. `models` are the tables `models.NAME` by name, `secrets` those of `secrets.NAME`."""

    daemon: DaemonTable = field(default_factory=DaemonTable)
    limits: LimitsTable = field(default_factory=LimitsTable)
    agent: AgentTable = field(default_factory=AgentTable)
    sessions: SessionsTable = field(default_factory=SessionsTable)
    access: AccessTable = field(default_factory=AccessTable)
    egress: EgressTable = field(default_factory=EgressTable)
    models: Mapping[str, ModelTable] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()


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


def load_config(folders: list[Path], environment: Mapping[str, str], *, standalone: bool = False) -> Loaded:
    """Read and check everything. ConfigError names file (or variable), key and what to do.

    A standalone daemon knows the variables by which other programs are told of models, too.
    """
    found = read_layers(folders, environment)
    if standalone:
        found = {**_read_common_variables(environment, chosen="agent.model" in found), **found}
    names = sorted({key.split(".")[1] for key in found if key.startswith("models.") and key.count(".") > 1})
    own_keys = [
        f"{table.name}.{each.name}"
        for table in fields(Config)
        if table.name not in _BY_NAME
        for each in fields(_table_type(table.name))
    ]
    model_keys = [f"models.{name}.{each.name}" for name in names for each in fields(ModelTable)]
    guard_keys = [f"guard.{each.name}" for each in fields(GuardSettings)]
    check_keys(found, [*own_keys, *model_keys, *guard_keys, *list_keys(found)])
    config = Config()
    if any(not key.startswith("guard.") for key in found):
        from aiosd.config_check import check_config, check_table  # noqa: PLC0415 - pydantic-settings: 150 ms

        models = {name: check_table(found, f"models.{name}", ModelTable) for name in names}
        config = replace(check_config(found, Config, besides=_BY_NAME), models=models, secrets=read_secrets(found))
        for name, table in models.items():
            _check_model(name, table, found)
        _check_choice(config, found)
        _check_egress(config, found)
    guard = load_guard_settings(folders, environment)
    values = {key: getattr(getattr(config, key.partition(".")[0]), key.partition(".")[2]) for key in own_keys}
    values |= {key: getattr(config.models[key.split(".")[1]], key.split(".")[2]) for key in model_keys}
    values |= {f"secrets.{each.name}.{key}": getattr(each, key) for each in config.secrets for key in KEYS}
    values |= {key: getattr(guard, key.partition(".")[2]) for key in guard_keys}
    entries = tuple(_entry(key, value, found) for key, value in sorted(values.items()))
    return Loaded(config=config, guard=guard, entries=entries)


def _read_common_variables(environment: Mapping[str, str], *, chosen: bool) -> dict[str, Setting]:
    """Models that OPENAI_* and ANTHROPIC_* speak of, and the one to ask where nobody has `chosen`. Keys stay there."""
    found: dict[str, Setting] = {}
    for name, fallback in _COMMON_MODELS.items():
        prefix = name.upper()
        given = {
            part: f"environment variable {prefix}_{part}"
            for part in ("API_KEY", "BASE_URL", "MODEL")
            if environment.get(f"{prefix}_{part}")
        }
        if not given.keys() & {"API_KEY", "BASE_URL"}:
            continue
        first = next(iter(given.values()))
        found[f"models.{name}.provider"] = Setting(value=name, origin=first)
        found[f"models.{name}.model"] = Setting(
            value=environment.get(f"{prefix}_MODEL") or fallback, origin=given.get("MODEL", first)
        )
        if "API_KEY" in given:
            found[f"models.{name}.key"] = Setting(value=f"{prefix}_API_KEY", origin=given["API_KEY"])
        if "BASE_URL" in given:
            found[f"models.{name}.base_url"] = Setting(
                value=environment[f"{prefix}_BASE_URL"], origin=given["BASE_URL"]
            )
        if not chosen:
            found.setdefault("agent.model", Setting(value=name, origin=first))
    return found


_COMMON_MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-sonnet-4-5"}


def _check_model(name: str, table: ModelTable, found: Mapping[str, Setting]) -> None:
    """ConfigError for what the types do not say. No value is shown where it may be a secret."""

    def wrong(key: str, what: str, hint: str) -> ConfigError:
        setting = found.get(f"models.{name}.{key}") or next(
            each for path, each in found.items() if path.startswith(f"models.{name}.")
        )
        return ConfigError(f"{setting.origin}: models.{name}.{key} {what}", hint=hint)

    if not _MODEL_NAME.fullmatch(name) or name == BUILTIN:
        raise wrong("model", "belongs to a table whose name cannot be", "use small letters, digits and -, not builtin")
    if not table.model:
        raise wrong("model", "is missing", "write the name that the server has for it")
    if table.key and (not _CREDENTIAL.fullmatch(table.key) or table.key.startswith(("sk-", "sk_"))):
        raise wrong("key", "is no name of a credential", "the key itself is never written here; see docs/models.md")
    if table.base_url:
        try:
            url = urlsplit(table.base_url)
            sound = url.scheme in ("http", "https") and url.hostname and not url.username and not url.query
            _port = url.port
        except ValueError:
            sound = False
        if not sound:
            raise wrong("base_url", "is no http or https address", "write https://HOST/PATH and nothing else")
        if url.scheme == "http" and table.key and url.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise wrong("base_url", "would send the key unencrypted", "use https, or a model that needs no key")


def _check_choice(config: Config, found: Mapping[str, Setting]) -> None:
    known = (BUILTIN, *config.models)
    for key, names in (("agent.model", (config.agent.model,)), ("agent.fallback", config.agent.fallback)):
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
                raise ConfigError(f"{found[key].origin}: {key}: there is no model {name!r}", hint=hint)


def _check_egress(config: Config, found: Mapping[str, Setting]) -> None:
    for key in ("allow", "deny", "internal", "parent"):
        if f"egress.{key}" in found:
            from aiosd.egress.bounds import find_fault  # noqa: PLC0415 - where nobody wrote any, nobody waits for it

            if fault := find_fault(key, getattr(config.egress, key)):
                raise ConfigError(f"{found[f'egress.{key}'].origin}: egress.{key}: {fault}", hint="see aios-config(5)")
    for secret in config.secrets:
        from aiosd.egress.bounds import find_target_fault  # noqa: PLC0415

        if fault := find_target_fault(secret.hosts):
            key = f"secrets.{secret.name}.hosts"
            raise ConfigError(f"{found[key].origin}: {key}: {fault}", hint="see aios-config(5), SECRETS")


def _table_type(name: str) -> Any:
    return type(getattr(Config(), name))


def _entry(key: str, value: Any, found: Mapping[str, Setting]) -> ConfigEntry:
    origin = found[key].origin if key in found else "default"
    return ConfigEntry(key=key, value=json.dumps(value, ensure_ascii=False), origin=origin)
