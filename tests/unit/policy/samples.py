"""What the policy tests share: a person, the shipped policy, policies written for one test, and a line's verdict."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import aiosd.policy
from aiosd.policy import CommandAction, Policy, Verdict, load_policy, tighten_policy
from aiosd.types import Principal, RunAs

ALICE = Principal(uid=1000, gid=1000, user="alice", home="/home/alice", groups=("alice", "wheel"))
BOB = Principal(uid=1001, gid=1001, user="bob", home="/home/bob", groups=("bob",))
DEFAULTS = Path(aiosd.policy.__file__).parent / "defaults"
OWNERS = frozenset((os.getuid(), DEFAULTS.stat().st_uid))


@cache
def shipped_policy() -> Policy:
    return load_policy([DEFAULTS], owner_uids=OWNERS)


@cache
def asking_policy() -> Policy:
    """The shipped rules, where what they do not know is asked about."""
    return tighten_policy(shipped_policy(), "own.toml", b'unmatched = "require_approval"')


def write_policy(directory: Path, text: str, name: str = "test.toml") -> Path:
    """A policy directory with one file, as its owner would leave it."""
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    file = directory / name
    file.write_text(text)
    file.chmod(0o644)
    return file


def policy_of(directory: Path, text: str) -> Policy:
    write_policy(directory, text)
    return load_policy([directory], owner_uids=OWNERS)


def verdict(
    policy: Policy, line: str, *, cwd: str = "/home/alice/src", who: Principal = ALICE, run_as: RunAs = RunAs.USER
) -> Verdict:
    return policy.evaluate(CommandAction(line=line, cwd=cwd, run_as=run_as), who)


def tiers(policy: Policy, lines: Sequence[str]) -> dict[str, str]:
    return {line: str(verdict(policy, line).tier) for line in lines}
