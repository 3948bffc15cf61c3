"""Which sessions the guard knows, and what a guard that was killed leaves to the next one."""

from pathlib import Path

import pytest

from aiosd.guard.sessions import SessionError, Sessions
from aiosd.sandbox.link import Identity
from aiosd.types import Principal

ANN = Principal(uid=1000, gid=1000, user="ann", home="/home/ann", groups=("ann",))
BOB = Principal(uid=1001, gid=1001, user="bob", home="/home/bob", groups=("bob",))
ONE, TWO = "a" * 26, "b" * 26


def _identity(person: Principal) -> Identity:
    return Identity(
        uid=person.uid, gid=person.gid, groups=(person.gid,), user=person.user, home=person.home, drop=True
    )  # fmt: skip


async def _load(uid: int, gid: int) -> tuple[Principal, Identity] | None:
    person = next((each for each in (ANN, BOB) if (each.uid, each.gid) == (uid, gid)), None)
    return (person, _identity(person)) if person else None


async def _next(notes: Path) -> Sessions:
    """What the guard that comes next knows."""
    sessions = Sessions(notes)
    await sessions.take_up(_load)
    return sessions


async def test_the_next_guard_knows_what_is_open_and_whose_it_is(tmp_path: Path) -> None:
    notes = tmp_path / "sessions"
    first = await _next(notes)
    opened = [
        first.open(ONE, ANN, _identity(ANN)),
        first.open(TWO, BOB, _identity(BOB)),
        first.open("", ANN, _identity(ANN)),
    ]
    first.close(TWO)
    assert notes.stat().st_mode & 0o777 == 0o600
    second = await _next(await _torn(notes))
    assert [second.get(each.id) for each in opened if each.id != TWO] == [opened[0], opened[2]]
    assert not second.is_open(opened[1].id)
    with pytest.raises(SessionError, match="of yours"):
        second.open(ONE, BOB, _identity(BOB))
    assert second.open(TWO, BOB, _identity(BOB)) == opened[1]
    assert len(await _next(notes)) == 3


async def _torn(notes: Path) -> Path:
    """The notes of a guard that died while it wrote a line, with a session of somebody unknown."""
    with notes.open("a", encoding="ascii") as file:
        file.write(f"{'d' * 26} 99 99\ncccccccccccccc 10")
    return notes


async def test_what_nobody_needs_any_more_is_not_known_again(tmp_path: Path) -> None:
    first = await _next(tmp_path / "sessions")
    first.open(ONE, ANN, _identity(ANN))
    first.forget()
    assert len(await _next(tmp_path / "sessions")) == 0


async def test_where_nothing_can_be_noted_sessions_are_open_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = await _next(tmp_path / "missing" / "sessions")
    assert sessions.open(ONE, ANN, _identity(ANN)).principal == ANN
    assert "the next one would not know its sessions" in caplog.text
