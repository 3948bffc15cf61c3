"""The Landlock scope of a sandbox: no signal and no abstract socket reaches out of it, where the kernel can say so.

For the sandbox in which an approved action runs, whose first wall is its pid namespace. In the others the scope is part
of the worker's domain: below a domain that handles no file right no file could move from one folder to another. Here it
is scope only, as a domain that handles one would forbid the mounts that bubblewrap still has to make.

Source: landlock(7), linux/landlock.h.
"""

from __future__ import annotations

from aiosd.sandbox.libc import call

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_CREATE_RULESET_VERSION = 1
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1, 2
TCP_ABI = 4
SCOPE_ABI = 6
RESOLVE_ABI = 9  # sockets by path: LANDLOCK_ACCESS_FS_RESOLVE_UNIX
_PR_SET_NO_NEW_PRIVS = 38


def read_abi() -> int:
    """The kernel's Landlock version; 0 where there is none or it is switched off."""
    return max(call("syscall", _CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION), 0)


def restrict_scope() -> bool:
    """Shut this process and its children in; False where the kernel cannot (before 6.12).

    Raises OSError where it could and did not.
    """
    if read_abi() < SCOPE_ABI:
        return False
    attributes = bytes(16) + (_SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL).to_bytes(8, "little")
    ruleset = call("syscall", _CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0 or call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or call("syscall", _RESTRICT_SELF, ruleset, 0):
        raise OSError("the Landlock scope cannot be set")
    return True
