"""In what an action runs: the verdict picks it, and nothing in a request can."""

import os
from dataclasses import replace

from aiosd.guard.request import Proposed, find_folder
from aiosd.policy import Verdict
from aiosd.policy.verdict import FetchAction
from aiosd.sandbox.folders import expand_home
from aiosd.sandbox.profile import Profile, ProfileError, ProfileName, name_sockets
from aiosd.types import Facet, Principal, RunAs, Tier

ROOT_IN_STANDALONE = (
    "commands as root need the installed service: a standalone guard does not run any. "
    "Install the package and enable aiosd.socket, or run it yourself"
)


ROOT_AND_PROGRAMS = (
    "the policy's only_programs holds in a sandbox, and what runs as root has none: nothing runs as root under it"
)


def confine(
    principal: Principal, action: Proposed, verdict: Verdict, *, root: bool
) -> tuple[RunAs, tuple[Profile, ...]]:
    """As whom it would run, and the profile of each pipeline. ProfileError where there can be none."""
    run_as, profiles = _confine(principal, action, verdict, root=root)
    if verdict.programs is None:
        return run_as, profiles
    if profiles[0].name is ProfileName.ROOT:
        raise ProfileError(ROOT_AND_PROGRAMS)
    return run_as, tuple(replace(profile, programs=verdict.programs) for profile in profiles)


def _confine(
    principal: Principal, action: Proposed, verdict: Verdict, *, root: bool
) -> tuple[RunAs, tuple[Profile, ...]]:
    """The same, whatever programs may be started.

    A session of root observes without rights, so whatever it changes it changes as root. `root`: whether anything can
    run as root here.
    """
    if isinstance(action, FetchAction):
        # A yes is to this host; where else its redirects lead is for the lists.
        network = verdict.network or ("*", action.where)
        return RunAs.USER, (Profile(name=ProfileName.WORKSPACE, network=network),)
    changes = verdict.tier is Tier.REQUIRE_APPROVAL
    if verdict.tier is not Tier.DENY and (verdict.run_as is RunAs.ROOT or (changes and principal.uid == 0)):
        if not root:
            raise ProfileError(ROOT_IN_STANDALONE)
        named = verdict.writes if verdict.tier is Tier.NOTIFY and "/" not in verdict.writes else ()
        writes = tuple(
            os.path.normpath(os.path.join(find_folder(action), expand_home(path, "/root"))) for path in named
        )
        return RunAs.ROOT, (Profile(name=ProfileName.ROOT, writes=writes),)
    if changes:
        return RunAs.USER, (Profile(name=ProfileName.USER),)
    views = verdict.facets or (frozenset[Facet](),)
    if verdict.tier is Tier.NOTIFY and (verdict.writes or verdict.network or verdict.sockets):
        cwd = find_folder(action)
        writes = tuple(
            os.path.normpath(os.path.join(cwd, path)) if path[:1] != "~" else path for path in verdict.writes
        )
        return verdict.run_as, tuple(
            Profile(
                name=ProfileName.WORKSPACE,
                writes=writes,
                network=verdict.network,
                named=name_sockets(verdict.sockets, principal.uid),
            )
            for _view in views
        )
    return verdict.run_as, tuple(Profile(name=ProfileName.READ_ONLY, facets=facets) for facets in views)
