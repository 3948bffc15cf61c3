"""The record of one sandbox, as its launcher takes it: everything that is decided before it begins. Pure."""

from dataclasses import dataclass
from typing import Any

from aiosd.sandbox.folders import Fence, expand_home, make_fence
from aiosd.sandbox.launch import RECORD_VERSION
from aiosd.sandbox.profile import (
    HOME_SECRETS,
    SHOWN_FOLDERS,
    HostFacts,
    Profile,
    ProfileName,
    render_bwrap,
    sees_white_list,
    shows,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose rights a sandbox has. `drop` is true where the guard is root and has to become them."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    home: str
    drop: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What sandbox is wanted: whose, how closed, and what is known of the one action that it is made for."""

    profile: Profile
    identity: Identity
    masks: tuple[str, ...]
    fence: Fence
    texts: tuple[tuple[str, str], ...]
    cwd: str
    tool: bool


def render_record(order: Order, host: HostFacts, *, parent: int) -> dict[str, Any]:
    """The record; ProfileError where there is no such sandbox. `parent` is who must have started the launcher."""
    profile, identity = order.profile, order.identity
    name, home = profile.name, identity.home
    hides = name is not ProfileName.USER and home not in ("", "/")
    masks = tuple(
        mask
        for mask in (*order.masks, *(f"{home}/{each}" for each in HOME_SECRETS if hides))
        if shows(profile, host, mask)
    )
    fence = order.fence
    if name is ProfileName.WORKSPACE:  # it stays writable, so what is hidden in it is mounted upon
        hidden = ((mask, False, False, False, None, None, (), (), 0) for mask in masks)
        fence, masks = make_fence((*fence, *hidden)), ()
    return {
        "version": RECORD_VERSION,
        "parent": parent,
        "drop": identity.drop,
        "uid": identity.uid,
        "gid": identity.gid,
        "groups": identity.groups,
        "bwrap": host.bwrap,
        "interpreter": host.interpreter,
        "arguments": render_bwrap(profile, host),
        "masks": masks,
        "direct_masks": host.direct_masks,
        "rebuild": name is ProfileName.READ_ONLY,
        "fence": fence,
        "writes": tuple(expand_home(path, home) for path in profile.writes),
        "sockets": tuple(expand_home(path, home) for _, path in profile.named),
        "shown": SHOWN_FOLDERS if sees_white_list(profile, host) else (),
        "open_base": name is ProfileName.USER,
        "scoped": name is ProfileName.USER and profile.programs is None,
        "tool": order.tool,
        "cwd": order.cwd,
        "texts": tuple((expand_home(path, home), text) for path, text in order.texts),
        "protect": home if name is ProfileName.WORKSPACE else "",
    }
