"""Every model that can be asked, by name, as the configuration has them; and who is asked when one does not answer.

What speaks to a network is imported when such a model is first asked: most daemons never do.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from aiosd.config import BUILTIN, Config, ModelTable
from aiosd.errors import NotFoundError
from aiosd.model.base import Model, ModelInfo
from aiosd.model.fallback import FallbackModel
from aiosd.model.keys import Keys

if TYPE_CHECKING:
    from aiosd.model.transport import Transport


class Models(Protocol):
    """What sessions need of the models."""

    def find(self, name: str) -> Model:
        """The model of this name, the configured one for ""; NotFoundError if there is none."""
        ...

    def list(self) -> tuple[ModelInfo, ...]:
        """All, the configured one first."""
        ...


class Catalog:
    """The models of the configuration in force, which `config` gives; `builtin` is always among them."""

    def __init__(self, config: Callable[[], Config], keys: Keys, builtin: Model) -> None:
        self._config = config
        self._keys = keys
        self._builtin = builtin
        self._transport: Transport | None = None
        self._made: dict[str, tuple[ModelTable, Model]] = {}

    def find(self, name: str) -> Model:
        """The model of this name with its fallbacks, the configured one for ""."""
        agent = self._config().agent
        wanted = name or agent.model
        first = self._make(wanted)
        if first is self._builtin:
            return first
        others = dict.fromkeys(each for each in (*agent.fallback, BUILTIN) if each != wanted)
        return FallbackModel([first, *map(self._make, others)])

    def only(self, name: str) -> Model:
        """The model of this name, and nobody else where it does not answer."""
        return self._make(name)

    def list(self) -> tuple[ModelInfo, ...]:
        """All, the configured one first."""
        config = self._config()
        names = dict.fromkeys((config.agent.model, *config.models, BUILTIN))
        return tuple(self._make(name).info for name in names)

    async def close(self) -> None:
        """Close what is open."""
        if self._transport:
            await self._transport.close()

    def _make(self, name: str) -> Model:
        if name == BUILTIN:
            return self._builtin
        tables: Mapping[str, ModelTable] = self._config().models
        table = tables.get(name)
        if table is None:
            raise NotFoundError(f"there is no model {name}", hint="aios models lists them")
        made = self._made.get(name)
        if made is None or made[0] != table:
            made = self._made[name] = (table, self._open(name, table))
        return made[1]

    def _open(self, name: str, table: ModelTable) -> Model:
        from aiosd.model.outgoing import find_secrets  # noqa: PLC0415 - these are for models with a network
        from aiosd.model.remote import RemoteModel  # noqa: PLC0415
        from aiosd.model.transport import Transport  # noqa: PLC0415

        if table.provider == "anthropic":
            from aiosd.model.anthropic import Anthropic as Wire  # noqa: PLC0415
        else:
            from aiosd.model.openai import OpenAI as Wire  # type: ignore[assignment] # noqa: PLC0415
        self._transport = self._transport or Transport()
        return RemoteModel(
            name,
            table,
            wire=Wire(),
            transport=self._transport,
            keys=self._keys,
            secrets=lambda: (
                find_secrets(self._keys.environment)
                | self._keys.read_all(each.credential for each in self._config().secrets)
            ),
            local_only=lambda: self._config().agent.local_only,
        )


class OneModel:
    """Models that are one, whatever it is called."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def find(self, name: str) -> Model:
        """That one."""
        if name and name != self._model.info.name:
            raise NotFoundError(f"there is no model {name}", hint="aios models lists them")
        return self._model

    def list(self) -> tuple[ModelInfo, ...]:
        """That one."""
        return (self._model.info,)
