"""A person's own rules over the policy in force: they ask and deny more, from the next session on."""

import os
from pathlib import Path

import pytest

from aiosd.guard.own import OwnPolicies
from aiosd.guard.run import CannotLookError
from aiosd.guard.sessions import GuardSession
from aiosd.policy import CommandAction, PolicyError
from aiosd.sandbox.link import Identity
from aiosd.types import Principal, SessionId
from tests.unit.policy.samples import shipped_policy


def _session(home: Path, name: str = "s1", uid: int | None = None) -> GuardSession:
    uid = os.geteuid() if uid is None else uid
    who = Principal(uid=uid, gid=uid, user="ann", home=str(home))
    identity = Identity(uid=uid, gid=uid, groups=(), user="ann", home=str(home), drop=False)
    return GuardSession(id=SessionId(name), principal=who, identity=identity)


def _write(home: Path, text: str) -> Path:
    file = home / ".config" / "aios" / "policy.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


async def _worker(session: GuardSession, path: str) -> bytes | None:
    """What a worker of the session's user would read."""
    file = Path(path)
    return file.read_bytes() if file.is_file() else None


async def _tiers(own: OwnPolicies, session: GuardSession, *lines: str, anew: bool = False) -> list[str]:
    policy = await own.of(session, shipped_policy(), anew=anew)
    return [str(policy.evaluate(CommandAction(line=line, cwd="/"), session.principal).tier) for line in lines]


@pytest.mark.parametrize("uid", [None, 4_000_000], ids=["the guard's own user", "another"])
async def test_a_persons_rules_ask_and_deny_more_from_the_next_session_on(tmp_path: Path, uid: int | None) -> None:
    own = OwnPolicies(_worker)
    first = _session(tmp_path, uid=uid)
    assert await _tiers(own, first, "ls", "df") == ["auto_allow", "auto_allow"]
    _write(tmp_path, '[permissions]\nrequire_approval = ["ls"]\ndeny = ["df"]\n')
    assert await _tiers(own, first, "ls", "df") == ["auto_allow", "auto_allow"]
    assert await _tiers(own, _session(tmp_path, "s2", uid), "ls", "df", "id") == [
        "require_approval",
        "deny",
        "auto_allow",
    ]
    assert await _tiers(own, first, "df", anew=True) == ["deny"]


async def test_a_file_that_could_not_be_looked_for_is_looked_for_again(tmp_path: Path) -> None:
    """While its user can have no sandbox, nothing of theirs runs; once they can, their rules hold."""
    _write(tmp_path, '[permissions]\ndeny = ["df"]\n')
    can_look = False

    async def worker(session: GuardSession, path: str) -> bytes | None:
        if not can_look:
            raise CannotLookError("no sandbox")
        return await _worker(session, path)

    own, session = OwnPolicies(worker), _session(tmp_path, uid=4_000_000)
    assert await _tiers(own, session, "df") == ["auto_allow"]
    can_look = True
    assert await _tiers(own, session, "df") == ["deny"]


async def test_without_a_file_the_policy_in_force_is_the_policy(tmp_path: Path) -> None:
    assert await OwnPolicies(_worker).of(_session(tmp_path), shipped_policy()) is shipped_policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[permissions]\nnotify = ["rm"]\n', "policy.toml:2: `rm` would be allowed"),
        ("[permissions]\ndeny = [\n", "policy.toml:2: is not TOML"),
        ("preset = 'trusted'\n", "preset trusted in a person's own file"),
        ("#" * 70_000, "policy.toml:2: is not TOML"),
    ],
)
async def test_a_file_that_is_wrong_is_named_and_nothing_is_decided_by_it(tmp_path: Path, text: str, said: str) -> None:
    _write(tmp_path, text)
    with pytest.raises(PolicyError) as caught:
        await OwnPolicies(_worker).of(_session(tmp_path), shipped_policy())
    assert said in str(caught.value)


async def test_a_link_or_somebody_elses_file_is_not_read_by_the_guard(tmp_path: Path) -> None:
    file = _write(tmp_path, '[permissions]\ndeny = ["ls"]\n')
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert await _tiers(OwnPolicies(_worker), _session(tmp_path), "ls") == ["auto_allow"]
    file.unlink()
    os.mkfifo(file)
    assert await _tiers(OwnPolicies(_worker), _session(tmp_path), "ls") == ["auto_allow"]
