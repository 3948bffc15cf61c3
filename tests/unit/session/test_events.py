"""The event log: numbered, stored before it is shown, read by anyone at their own pace."""

import asyncio
import json
import tracemalloc

import pytest

from aiosd.errors import StorageError
from aiosd.memory.transcripts import Transcripts
from aiosd.session.events import EventLog, Numbered
from aiosd.types import SessionId
from aiosd.wire import TextDelta
from tests.unit.session.conftest import ANN, GatedTranscripts

SESSION = SessionId("session1")


async def _make(transcripts: Transcripts, *, keep: int = 100_000, last_seq: int = 0) -> EventLog:
    if last_seq == 0:
        await transcripts.create(ANN, SESSION, ["calm-keen-hopper"], "")
    return EventLog(transcripts, ANN, SESSION, last_seq=last_seq, keep=lambda: keep)


async def _append(log: EventLog, *texts: str) -> None:
    for each in texts:
        log.append(TextDelta(text=each))
    await log.drain()


async def _read(log: EventLog, after: int = 0) -> list[Numbered]:
    return [event async for event in log.read(after, running=lambda: False)]


def _texts(events: list[Numbered]) -> list[str]:
    return [json.loads(body)["text"] for _seq, _kind, body in events]


async def test_an_event_has_number_session_and_time_and_any_text_comes_back(transcripts: Transcripts) -> None:
    log = await _make(transcripts)
    await _append(log, "日本語 \n\0 👩‍💻")
    ((seq, kind, body),) = await _read(log)
    event = json.loads(body)
    assert event.pop("at").endswith("Z")
    assert event == {"v": 1, "seq": 1, "session": SESSION, "type": "text_delta", "text": "日本語 \n\0 👩‍💻"}
    assert (seq, kind) == (1, "text_delta")
    assert "\n" not in body


async def test_nobody_sees_an_event_before_it_is_stored(stage_transcripts: GatedTranscripts) -> None:
    transcripts = stage_transcripts
    log = await _make(transcripts)
    transcripts.open.clear()
    log.append(TextDelta(text="a"))
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(log.drain())
        await transcripts.waiting.wait()
        assert log.last_seq == 0
        assert await _read(log) == []
        transcripts.open.set()
        await draining
    assert log.last_seq == 1
    assert await transcripts.events(ANN, SESSION, after=0, limit=10) == [(1, (await _read(log))[0][2])]


_DAMAGE = "CREATE TRIGGER damage BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'on purpose'); END"


async def test_what_cannot_be_stored_stays_until_it_can_or_is_shown_as_a_last_resort(transcripts: Transcripts) -> None:
    log = await _make(transcripts)
    await transcripts._store.run(ANN, lambda database: database.execute(_DAMAGE))
    log.append(TextDelta(text="x" * 200_000))
    for _ in range(2):
        with pytest.raises(StorageError):
            await log.drain()
        assert (log.last_seq, await _read(log)) == (0, [])
    log.show_unstored()
    assert [len(each) for each in _texts(await _read(log))] == [200_000]
    await transcripts._store.run(ANN, lambda database: database.execute("DROP TRIGGER damage"))
    await _append(log, "later")
    assert [seq for seq, _, _ in await _read(log)] == [1, 2]


async def test_cancelling_the_storing_keeps_the_numbers(transcripts: Transcripts) -> None:
    log = await _make(transcripts)
    for count in range(5):
        async with asyncio.TaskGroup() as group:
            storing = group.create_task(log.drain_forever())
            log.append(TextDelta(text=str(count)))
            for _ in range(count):
                await asyncio.sleep(0)
            storing.cancel()
    await log.drain()
    events = await _read(log)
    assert [seq for seq, _, _ in events] == [1, 2, 3, 4, 5]
    assert _texts(events) == ["0", "1", "2", "3", "4"]
    stored = await transcripts.events(ANN, SESSION, after=0, limit=10)
    assert stored == [(seq, body) for seq, _, body in events]


@pytest.mark.parametrize("after", [0, 1, 5, 500, 743, 744, 745, 998, 999, 1000, 1001, 10**15])
async def test_a_reader_gets_what_comes_after_its_cursor_from_memory_or_from_the_store(
    transcripts: Transcripts, after: int
) -> None:
    log = await _make(transcripts)
    for start in range(1, 1001, 100):
        await _append(log, *(str(number) for number in range(start, start + 100)))
    assert _texts(await _read(log, after)) == [str(number) for number in range(after + 1, 1001)]


async def test_a_log_that_goes_on_after_a_restart_reads_what_was_stored_before(transcripts: Transcripts) -> None:
    await _append(await _make(transcripts), *"abc")
    log = await _make(transcripts, last_seq=3)
    await _append(log, "d")
    assert _texts(await _read(log)) == ["a", "b", "c", "d"]
    assert _texts(await _read(log, 2)) == ["c", "d"]


async def test_a_cursor_before_the_oldest_kept_event_is_served_from_there(transcripts: Transcripts) -> None:
    log = await _make(transcripts, keep=300)
    for start in range(0, 1000, 50):
        await _append(log, *(str(number) for number in range(start + 1, start + 51)))
    fresh = await _make(transcripts, keep=300, last_seq=1000)
    assert [seq for seq, _, _ in await _read(fresh, 5)] == list(range(701, 1001))
    assert [seq for seq, _, _ in await _read(log, 5)] == list(range(701, 1001))


async def test_many_readers_each_get_everything_at_their_own_pace(transcripts: Transcripts) -> None:
    log = await _make(transcripts)
    going = True

    async def follow(pace: int) -> list[str]:
        seen = []
        async for _seq, _kind, body in log.read(0, running=lambda: going):
            seen.append(json.loads(body)["text"])
            for _ in range(pace):
                await asyncio.sleep(0)
        return seen

    wanted = [str(number) for number in range(2000)]
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        readers = [group.create_task(follow(pace)) for pace in (0, 1, 5, 20)]
        for start in range(0, 2000, 40):
            await _append(log, *wanted[start : start + 40])
        going = False
        log.show_unstored()  # wakes whoever waits
        results = [await reader for reader in readers]
    assert results == [wanted] * 4


async def test_a_reader_that_reads_nothing_holds_nobody_up_and_grows_nothing(transcripts: Transcripts) -> None:
    log = await _make(transcripts)
    stuck = log.read(0, running=lambda: True)
    await _append(log, "first")
    assert (await anext(stuck))[0] == 1
    line = "x" * 10_000
    for _ in range(30):  # what memory keeps of the newest events is full after this
        await _append(log, *([line] * 10))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            await _append(log, *([line] * 10))  # 10 MB
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4_000_000
    rest = [(await anext(stuck))[0] for _ in range(1300)]
    assert rest == list(range(2, 1302))
    await stuck.aclose()  # type: ignore[attr-defined] # it is a generator
