"""The words every room shares: ids, tiers, facets, the principal.

Standard library only, no I/O; imported by the root guard.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

SessionId = NewType("SessionId", str)
CallId = NewType("CallId", str)
ApprovalId = NewType("ApprovalId", str)

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]


class Tier(StrEnum):
    """What happens to a proposed action, in rising strictness."""

    AUTO_ALLOW = "auto_allow"
    NOTIFY = "notify"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """0 for `auto_allow` to 3 for `deny`."""
        return _STRICTNESS[self]


_STRICTNESS = {tier: rank for rank, tier in enumerate(Tier)}


def strictest(*tiers: Tier) -> Tier:
    """The strictest of `tiers`; with none, `deny`: nothing said is nothing allowed."""
    return max(tiers, key=_STRICTNESS.__getitem__, default=Tier.DENY)


class Facet(StrEnum):
    """A part of the host that a read-only command may observe. Given by option data, never by a request."""

    PROCESSES = "processes"
    SOCKETS = "sockets"
    BUS = "bus"
    JOURNAL = "journal"
    LOGINS = "logins"


class RunAs(StrEnum):
    """Whose rights an action uses: the session owner's, or root's."""

    USER = "user"
    ROOT = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person as the kernel named them: uid and gid from SO_PEERCRED, the rest from the user database.

    `user` is the login name, or the uid as digits where the database has none; `groups` are group names.
    """

    uid: int
    gid: int
    user: str
    home: str
    groups: tuple[str, ...] = ()
