"""`aios login`: the login hook, put into the services of the administrator's choice, and out again."""

from __future__ import annotations

import os

from aiosd import exits
from aiosd.cli.reach import write_all
from aiosd.cli.transport import tell
from aiosd.login.pam import LINE, OFFERED, USUAL, Pam, PamError, check_hook
from aiosd.words import say


def run(verb: str, services: list[str]) -> int:
    """`aios login enable`, `disable` or `status`; the exit status."""
    pam = Pam()
    if verb == "status":
        return _show(pam, services)
    if os.geteuid() != 0:
        tell(2, f"aios: this changes /etc/pam.d, which is root's\n  sudo aios login {verb}\n")
        return exits.DENIED
    try:
        return _enable(pam, services) if verb == "enable" else _disable(pam, services)
    except PamError as exc:
        tell(2, f"aios: {exc}\n  {exc.hint}\n")
        return exits.BAD_INPUT


def _enable(pam: Pam, services: list[str]) -> int:
    check_hook()
    wanted = services or [service for service in USUAL if pam.has(service)]
    if not wanted:
        raise PamError("none of the usual services is here", f"name one of {', '.join(os.listdir('/etc/pam.d'))}")
    for service in pam.ordered(wanted):
        through = pam.through(service)
        if through:
            _say(f"{service}: has it already, through {through}")
        elif pam.enable(service):
            _say(f"{service}: put in: {LINE}")
        else:
            _say(f"{service}: has it already")
    return exits.OK


def _disable(pam: Pam, services: list[str]) -> int:
    wanted = services or pam.hooked()
    if not wanted:
        _say("no service has it")
    for service in wanted:
        _say(f"{service}: taken out" if pam.disable(service) else f"{service}: did not have it")
    return exits.OK


def _show(pam: Pam, services: list[str]) -> int:
    """A line for each service; 1 where none of them has the hook."""
    hooked = pam.hooked()
    some = False
    for service in services or dict.fromkeys([*hooked, *(name for name in OFFERED if pam.has(name))]):
        through = pam.through(service)
        if service in hooked:
            state = say("enabled")
        elif through:
            state = say("enabled, through {name}", name=through)
        else:
            state = say("disabled") if pam.has(service) else say("not here")
        some = some or service in hooked or bool(through)
        write_all(1, f"{service:14} {state}\n".encode())
    return exits.OK if some else exits.FAILED


def _say(text: str) -> None:
    tell(1, f"{text}\n")
