"""Transcripts: names, turns, recovery, bounds, and a disk that is full."""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiosd.errors import StorageError
from aiosd.memory.transcripts import Transcripts, complete_calls, parse_messages, render_time
from aiosd.types import JsonObject, SessionId
from aiosd.wire import SessionInfo, TurnInfo
from tests.daemon.people import needs_root
from tests.unit.memory.places import OLD, make_released

ANN, BOB = 7, 8
NOW = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def _create(transcripts: Transcripts, number: int, *, uid: int = ANN) -> SessionId:
    session = SessionId(f"session{number}")
    await transcripts.create(uid, session, [f"name-{number}"], f"title {number}")
    return session


async def _change(transcripts: Transcripts, statement: str, *values: object) -> None:
    """Change the database under the transcripts, in their own thread."""
    await transcripts._store.run(ANN, lambda database: database.execute(statement, values))


def _message(text: str) -> JsonObject:
    return {"role": "user", "text": text}


async def test_a_session_takes_the_first_name_that_is_free(transcripts: Transcripts) -> None:
    names = ["calm-keen-hopper", "calm-keen-turing"]
    taken = [await transcripts.create(ANN, SessionId(f"s{number}"), names, "") for number in range(3)]
    assert taken == ["calm-keen-hopper", "calm-keen-turing", "s2"]
    assert await transcripts.create(BOB, SessionId("s9"), names, "") == "calm-keen-hopper"


async def test_a_session_is_found_by_id_by_name_and_as_the_newest(transcripts: Transcripts) -> None:
    first, second = await _create(transcripts, 1), await _create(transcripts, 2)
    await _change(transcripts, "UPDATE sessions SET used_at = '2026-01-01T00:00:00.000Z'")
    await transcripts.begin_turn(ANN, first, "again", _message("again"))
    by_id, by_name, newest = [await transcripts.find(ANN, wanted) for wanted in (first, "name-1", "")]
    assert by_id is not None
    assert by_id == by_name == newest
    assert NOW.fullmatch(by_id.created_at)
    assert by_id == SessionInfo(
        id="session1",
        name="name-1",
        title="title 1",
        created_at=by_id.created_at,
        used_at=by_id.used_at,
        turns=1,
        state="running",
    )
    assert [each.id for each in await transcripts.sessions(ANN, limit=10)] == [first, second]
    assert [each.id for each in await transcripts.sessions(ANN, limit=1)] == [first]


async def test_what_is_anothers_is_not_found(transcripts: Transcripts) -> None:
    await _create(transcripts, 1)
    assert [await transcripts.find(BOB, wanted) for wanted in ("session1", "name-1", "")] == [None, None, None]
    assert await transcripts.sessions(BOB, limit=10) == ()
    assert await transcripts.find(ANN, "name-1") is not None


async def test_turns_and_messages_are_read_back_in_order(transcripts: Transcripts) -> None:
    session = await _create(transcripts, 1)
    assert (await transcripts.begin_turn(ANN, session, "one?", _message("one?"))).number == 1
    await transcripts.append_messages(ANN, session, 1, [_message("a"), _message("b")])
    await transcripts.end_turn(ANN, session, 1, answer="1.", state="done", exit_status=0)
    begun = await transcripts.begin_turn(ANN, session, "two?", _message("two?"))
    assert begun.number == 2
    assert parse_messages(begun.messages) == await transcripts.messages(ANN, session)
    first, second = await transcripts.turns(ANN, session)
    assert first == TurnInfo(
        number=1, prompt="one?", answer="1.", state="done", started_at=first.started_at, exit_status=0
    )
    assert (second.number, second.prompt, second.answer, second.state) == (2, "two?", "", "running")
    assert [each["text"] for each in await transcripts.messages(ANN, session)] == ["one?", "a", "b", "two?"]


async def test_any_text_comes_back_as_it_was(transcripts: Transcripts) -> None:
    session = await _create(transcripts, 1)
    text = "nul \0, emoji 👩‍💻, lone \udcff, 日本語, quote ' \" ; --"
    await transcripts.begin_turn(ANN, session, text.replace("\udcff", ""), _message(text))
    assert await transcripts.messages(ANN, session) == [_message(text)]
    assert (await transcripts.turns(ANN, session))[0].prompt == text.replace("\udcff", "")


async def test_of_a_sessions_events_the_newest_stay(transcripts: Transcripts) -> None:
    first, second = await _create(transcripts, 1), await _create(transcripts, 2)
    await transcripts.append_events(ANN, second, [(1, "other")], keep=100)
    for start in range(1, 300, 50):
        batch = [(seq, f"event {seq}") for seq in range(start, start + 50)]
        await transcripts.append_events(ANN, first, batch, keep=100)
    kept = await transcripts.events(ANN, first, after=0, limit=1000)
    assert kept == [(seq, f"event {seq}") for seq in range(201, 301)]
    assert await transcripts.events(ANN, first, after=250, limit=2) == [(251, "event 251"), (252, "event 252")]
    assert await transcripts.last_seq(ANN, first) == 300
    assert await transcripts.events(ANN, second, after=0, limit=10) == [(1, "other")]


async def test_a_session_without_events_has_number_zero(transcripts: Transcripts) -> None:
    session = await _create(transcripts, 1)
    assert await transcripts.last_seq(ANN, session) == 0


# Pruning -------------------------------------------------------------------------------------------------------------


async def test_sessions_that_are_too_old_go_and_those_in_use_stay(transcripts: Transcripts) -> None:
    for number in range(4):
        await _create(transcripts, number)
    await transcripts.append_events(ANN, SessionId("session0"), [(1, "{}")], keep=100)
    await transcripts.begin_turn(ANN, SessionId("session0"), "?", _message("?"))
    for number, days in enumerate((40, 40, 29, 0)):
        at = render_time(datetime.now(UTC) - timedelta(days=days))
        await _change(transcripts, "UPDATE sessions SET used_at = ? WHERE id = ?", at, f"session{number}")
    in_use = frozenset({SessionId("session1")})
    assert await transcripts.prune(ANN, in_use=in_use, keep_days=30, keep_bytes=1 << 30) == 1
    assert [each.id for each in await transcripts.sessions(ANN, limit=10)] == ["session3", "session2", "session1"]
    for table in ("turns", "messages", "events"):
        rows = await transcripts._store.run(ANN, lambda database, table=table: _count(database, table))  # type: ignore[misc] # a loop variable
        assert rows == 0
    assert await transcripts.prune(ANN, in_use=frozenset(), keep_days=30, keep_bytes=1 << 30) == 1


def _count(database: sqlite3.Connection, table: str) -> int:
    (rows,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)


async def test_the_oldest_go_while_the_file_is_too_large(transcripts: Transcripts) -> None:
    for number in range(6):
        session = await _create(transcripts, number)
        await transcripts.append_events(ANN, session, [(1, "x" * 100_000)], keep=100)
    assert await transcripts.prune(ANN, in_use=frozenset(), keep_days=30, keep_bytes=1 << 20) == 0
    in_use = frozenset({SessionId("session0")})
    assert await transcripts.prune(ANN, in_use=in_use, keep_days=30, keep_bytes=370_000) == 3
    left = [each.id for each in await transcripts.sessions(ANN, limit=10)]
    assert left == ["session5", "session4", "session0"]


# Recovery ------------------------------------------------------------------------------------------------------------


def _pairs(messages: list[JsonObject]) -> tuple[list[str], list[str]]:
    """The calls proposed, the calls answered."""
    calls: list[Any] = [call for message in messages for call in message.get("calls", [])]  # type: ignore[union-attr] # JSON
    return [str(call["id"]) for call in calls], [str(each["call"]) for each in messages if each["role"] == "tool"]


async def test_a_turn_that_the_daemon_was_killed_in_is_interrupted_and_its_conversation_whole(tmp_path: Path) -> None:
    make_released(tmp_path / f"{ANN}.db", 2)
    session = SessionId(OLD)
    transcripts = Transcripts(tmp_path)
    try:
        turns = await transcripts.turns(ANN, session)
        assert [(turn.number, turn.state, turn.exit_status) for turn in turns] == [
            (1, "done", 0),
            (2, "interrupted", 75),
        ]
        messages = await transcripts.messages(ANN, session)
        assert messages[-1] == {
            "role": "tool",
            "call": "call-3",
            "text": "interrupted: the turn ended before this call did",
            "outcome": "cancelled",
            "status": None,
            "truncated": False,
        }
        assert _pairs(messages) == (["call-1", "call-2", "call-3"], ["call-1", "call-2", "call-3"])
        events = await transcripts.events(ANN, session, after=2, limit=10)
        assert [seq for seq, _body in events] == [3]
        event = json.loads(events[0][1])
        assert NOW.fullmatch(event.pop("at"))
        assert event == {
            "v": 1,
            "seq": 3,
            "session": OLD,
            "type": "turn_failed",
            "code": "interrupted",
            "message": "the daemon ended before this turn did",
            "hint": f"continue it: aios ask --session {OLD} …",
            "exit_status": 75,
        }
        assert (await transcripts.begin_turn(ANN, session, "go on", _message("go on"))).number == 3
    finally:
        transcripts.close()


async def test_recovery_happens_once_for_a_daemon_even_when_a_file_is_closed_and_opened_again(
    transcripts: Transcripts,
) -> None:
    session = await _create(transcripts, 1)
    await transcripts.begin_turn(ANN, session, "?", _message("?"))
    for uid in range(1000, 1040):  # more than are kept open
        await transcripts.sessions(uid, limit=1)
    assert [turn.state for turn in await transcripts.turns(ANN, session)] == ["running"]


@pytest.mark.parametrize(
    ("messages", "missing"),
    [
        ([], []),
        ([_message("?")], []),
        ([{"role": "assistant", "text": "", "calls": [{"id": "a"}, {"id": "b"}]}], ["a", "b"]),
        (
            [
                {"role": "assistant", "text": "", "calls": [{"id": "a"}, {"id": "b"}]},
                {"role": "tool", "call": "b", "text": ""},
            ],
            ["a"],
        ),
        (
            [
                {"role": "assistant", "text": "", "calls": [{"id": "a"}]},
                {"role": "tool", "call": "a", "text": ""},
                {"role": "assistant", "text": "", "calls": [{"id": "a"}]},
            ],
            ["a"],
        ),
    ],
)
def test_calls_without_a_result_are_found(messages: list[JsonObject], missing: list[str]) -> None:
    assert [each["call"] for each in complete_calls(messages)] == missing


# What goes wrong -----------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["/bin/umount", str(place)], check=True)


def _remount(disk: Path, how: str) -> None:
    subprocess.run(["/bin/mount", "-o", f"remount,{how}", str(disk)], check=True)


async def _until_on_disk(transcripts: Transcripts) -> None:
    async with asyncio.timeout(30):
        while transcripts.trouble(ANN):
            await transcripts.sessions(ANN, limit=1)
            await asyncio.sleep(0.05)


def _stored(disk: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(disk / "users" / f"{ANN}.db")) as database:
        return list(database.execute("SELECT seq, body FROM events ORDER BY seq"))


@needs_root
async def test_on_a_full_disk_it_goes_on_in_memory_and_is_put_back_whole(disk: Path) -> None:
    transcripts = Transcripts(disk / "users")
    session = await _create(transcripts, 1)
    await transcripts.append_events(ANN, session, [(1, "kept")], keep=100)
    (disk / "ballast").write_bytes(b"x" * 500_000)
    large = [(2, "x" * 700_000)]
    await transcripts.append_events(ANN, session, large, keep=100)
    assert transcripts.trouble(ANN) in ("database or disk is full", "disk I/O error")
    assert transcripts.trouble(BOB) == ""
    assert await transcripts.events(ANN, session, after=0, limit=10) == [(1, "kept"), *large]
    other = await _create(transcripts, 2)
    assert _stored(disk) == [(1, "kept")]
    (disk / "ballast").unlink()
    _remount(disk, "size=8m")
    await _until_on_disk(transcripts)
    await transcripts.append_events(ANN, session, [(3, "last")], keep=100)
    transcripts.close()
    assert _stored(disk) == [(1, "kept"), *large, (3, "last")]
    again = Transcripts(disk / "users")
    assert {each.id for each in await again.sessions(ANN, limit=10)} == {session, other}
    again.close()


@needs_root
async def test_on_a_disk_of_which_it_can_only_read_it_begins_in_memory(disk: Path) -> None:
    transcripts = Transcripts(disk / "users")
    session = await _create(transcripts, 1)
    await transcripts.append_events(ANN, session, [(1, "kept")], keep=100)
    transcripts.close()
    _remount(disk, "ro")
    transcripts = Transcripts(disk / "users")
    await transcripts.append_events(ANN, session, [(2, "more")], keep=100)
    assert transcripts.trouble(ANN)
    assert await transcripts.events(ANN, session, after=0, limit=10) == [(1, "kept"), (2, "more")]
    await _create(transcripts, 3, uid=BOB)  # who has no file yet
    assert transcripts.trouble(BOB)
    _remount(disk, "rw")
    await _until_on_disk(transcripts)
    transcripts.close()
    assert _stored(disk) == [(1, "kept"), (2, "more")]


@needs_root
async def test_what_is_too_much_for_memory_is_an_error_with_a_name(disk: Path) -> None:
    _remount(disk, "size=200m")
    transcripts = Transcripts(disk / "users")
    session = await _create(transcripts, 1)
    await transcripts.append_events(ANN, session, [(1, "x" * (65 << 20))], keep=100)
    transcripts.close()
    _remount(disk, "ro")
    transcripts = Transcripts(disk / "users")
    with pytest.raises(StorageError) as caught:
        await transcripts.append_events(ANN, session, [(2, "more")], keep=100)
    assert caught.value.message.startswith("the transcripts cannot be stored: ")
    assert caught.value.hint == "is the disk full, or the file damaged?"
    assert transcripts.trouble(ANN) == ""
    transcripts.close()


async def test_a_file_that_is_no_database_is_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / f"{ANN}.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    transcripts = Transcripts(tmp_path)
    try:
        with pytest.raises(StorageError) as caught:
            await transcripts.sessions(ANN, limit=1)
        assert caught.value.message == "the transcripts cannot be stored: file is not a database"
        assert await transcripts.sessions(BOB, limit=1) == ()
    finally:
        transcripts.close()


async def test_a_folder_that_cannot_be_made_is_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("in the way")
    transcripts = Transcripts(tmp_path / "users")
    try:
        with pytest.raises(StorageError) as caught:
            await transcripts.sessions(ANN, limit=1)
        assert caught.value.message.startswith("the transcripts cannot be stored: [Errno 17] File exists")
    finally:
        transcripts.close()


async def test_work_that_fails_leaves_nothing_of_itself(transcripts: Transcripts) -> None:
    await _create(transcripts, 1)

    def work(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM sessions")
        raise sqlite3.OperationalError("on purpose")

    with pytest.raises(StorageError):
        await transcripts._store.run(ANN, work)
    assert len(await transcripts.sessions(ANN, limit=10)) == 1


async def test_what_is_wanted_together_fails_alone(transcripts: Transcripts) -> None:
    session, other = SessionId("session1"), SessionId("session2")
    await transcripts.create(ANN, session, ["calm-keen-hopper"], "")
    await transcripts.begin_turn(ANN, session, "?", _message("?"))
    said = [_message("a"), _message("b"), _message("c")]
    async with asyncio.TaskGroup() as group:
        work = [group.create_task(transcripts.append_messages(ANN, session, 1, [each])) for each in said]
        lost = group.create_task(_failing(transcripts.append_events(ANN, other, [(1, "{}")], keep=9)))
        theirs = group.create_task(transcripts.create(BOB, other, ["calm-keen-hopper"], ""))
    assert await transcripts.messages(ANN, session) == [_message("?"), *said]
    assert [each.result() for each in (*work, theirs)] == [None, None, None, "calm-keen-hopper"]
    assert "FOREIGN KEY" in lost.result()


async def _failing(work: Coroutine[None, None, None]) -> str:
    with pytest.raises(StorageError) as caught:
        await work
    return caught.value.message


async def test_cancelling_does_not_tear_what_is_being_stored(transcripts: Transcripts) -> None:
    session = await _create(transcripts, 1)
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def work(database: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        database.execute("INSERT INTO events VALUES (?, 1, 'stored')", (session,))

    async with asyncio.TaskGroup() as group:
        storing = group.create_task(transcripts._store.run(ANN, work))
        await begun.wait()
        storing.cancel()
    assert storing.cancelled()
    assert await transcripts.events(ANN, session, after=0, limit=10) == [(1, "stored")]


async def test_the_users_with_transcripts_are_known_by_their_files(transcripts: Transcripts, tmp_path: Path) -> None:
    assert transcripts.users() == []
    await _create(transcripts, 1, uid=1000)
    await _create(transcripts, 1, uid=7)
    for name in ("notes.db", "7.db.bak", "8.txt"):
        (tmp_path / "users" / name).touch()
    assert transcripts.users() == [7, 1000]


async def test_nobody_else_can_look_into_the_folder(tmp_path: Path, transcripts: Transcripts) -> None:
    before = os.umask(0o077)  # as the daemon sets it
    try:
        await _create(transcripts, 1)
    finally:
        os.umask(before)
    modes: Callable[[Path], int] = lambda path: path.stat().st_mode & 0o777  # noqa: E731 - once
    assert modes(tmp_path / "users") == 0o700
    assert {modes(path) for path in (tmp_path / "users").iterdir()} == {0o600}


async def test_text_that_cannot_be_encoded_is_an_error_with_a_name(transcripts: Transcripts) -> None:
    session = await _create(transcripts, 1)
    with pytest.raises(StorageError):
        await transcripts.end_turn(ANN, session, 1, answer="\udcff", state="done", exit_status=0)
