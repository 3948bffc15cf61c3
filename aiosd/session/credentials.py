"""Whether the secrets that are kept outside can be put in: for the doctor, who never sees one."""

from collections.abc import Callable, Iterable

from aiosd.agent.prompt import find_facts
from aiosd.errors import AiosError
from aiosd.guard.standins import Secret
from aiosd.wire import CheckInfo


def check_secrets(secrets: Iterable[Secret], reveal: Callable[[str], str], uid: int) -> list[CheckInfo]:
    """A finding about each that the commands of `uid` have the use of. `reveal` reads a credential."""
    user = find_facts(uid, mode="standalone").user
    return [_check(each, reveal) for each in secrets if each.is_of(user)]


def _check(secret: Secret, reveal: Callable[[str], str]) -> CheckInfo:
    name = f"secret {secret.name}"
    try:
        reveal(secret.credential)
    except AiosError as exc:
        return CheckInfo(name=name, state="missing", detail=exc.message, remedy=exc.hint)
    return CheckInfo(name=name, state="ok", detail=f"is put in for {', '.join(secret.hosts)}", remedy="")
