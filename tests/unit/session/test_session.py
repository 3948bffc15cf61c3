"""A session's turns: how they begin, end, are interrupted, and that a session can always be gone on with."""

import asyncio
import json
from typing import Any

import pytest

from aiosd.config import AgentTable, LimitsTable
from aiosd.errors import (
    GuardUnavailableError,
    ModelUnavailableError,
    NotFoundError,
    SessionBusyError,
    StoppingError,
    StorageError,
    TooManyRequestsError,
)
from aiosd.session.session import Session
from aiosd.session.turn import Ask
from aiosd.types import SessionId
from tests.doubles.guard import decision, done, output
from tests.doubles.model import call, text
from tests.unit.session.conftest import ANN, BOB, Stage, read, until

HELD = asyncio.Event  # an event that nobody sets: the model, or the command, goes on for ever


def _types(events: list[tuple[int, str, str]]) -> list[str]:
    return [kind for _seq, kind, _body in events]


def _last(events: list[tuple[int, str, str]]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(events[-1][2])
    return {name: body[name] for name in body if name not in {"v", "seq", "session", "at"}}


INTERRUPTED = {
    "type": "turn_failed",
    "code": "interrupted",
    "message": "interrupted",
    "hint": "continue the session when you like",
    "exit_status": 130,
}


async def test_a_turn_is_told_and_stored_from_its_start_to_its_end(stage: Stage) -> None:
    stage.guard.answers("Execute", decision(), output(b"50%\n"), done())
    stage.model.says([call("bash", command="df")], [text("Half "), text("full.")])
    session = await stage.begin("how full?")
    events = await read(session)
    assert _types(events) == [
        "session_started",
        "call_proposed",
        "decision",
        "output",
        "call_done",
        "text_delta",
        "text_delta",
        "turn_done",
    ]
    assert [seq for seq, _, _ in events] == list(range(1, 9))
    bodies = [json.loads(body) for _, _, body in events]
    assert {(body["v"], body["session"]) for body in bodies} == {(1, session.id)}
    assert [body["seq"] for body in bodies] == list(range(1, 9))
    assert {name: bodies[0][name] for name in ("name", "turn", "model")} == {
        "name": session.name,
        "turn": 1,
        "model": "scripted",
    }
    assert _last(events) == {"type": "turn_done", "exit_status": 0, "steps": 2}
    detail = await stage.sessions.detail(ANN, session.name)
    assert (detail.session.title, detail.session.state, detail.last_seq) == ("how full?", "done", 8)
    assert [(turn.prompt, turn.answer, turn.state, turn.exit_status) for turn in detail.turns] == [
        ("how full?", "Half full.", "done", 0)
    ]
    assert stage.guard.calls[0] == {"method": "OpenSession", "session": session.id}


async def test_a_session_goes_on_with_its_history(stage: Stage) -> None:
    stage.model.says([text("One.")], [text("Two.")])
    session = await stage.begin("first")
    await read(session)
    events = await stage.ask("second", session=session.name)
    assert [seq for seq, _, _ in events] == [4, 5, 6]
    assert _types(events) == ["session_started", "text_delta", "turn_done"]
    assert len(stage.model.requests[1].messages) == 3  # and the model checks that they are as they were


async def test_what_came_on_standard_input_stands_below_the_words(stage: Stage) -> None:
    stage.model.says([text("ok")], [text("ok")])
    await read(await stage.begin("what is wrong?", given="error 5\n"))
    assert stage.model.requests[0].messages[0].text == "what is wrong?\n\nerror 5"
    stage.model.requests.clear()
    alone = await stage.begin("", given="how full is the disk?\n")
    await read(alone)
    assert stage.model.requests[0].messages[0].text == "how full is the disk?"
    detail = await stage.sessions.detail(ANN, alone.id)
    assert (detail.session.title, detail.turns[0].prompt) == ("how full is the disk?", "how full is the disk?")


async def test_a_busy_session_says_so_and_another_one_does_not_mind(stage: Stage) -> None:
    stage.model.says([HELD()])
    session = await stage.begin()
    with pytest.raises(SessionBusyError) as caught:
        await stage.begin(session=session.id)
    assert caught.value.message == f"a turn runs in {session.name}"
    await stage.model.waiting.wait()
    assert session.cancel()
    await read(session)
    stage.model.requests.clear()
    stage.model.says([text("ok")])
    assert _types(await stage.ask())[-1] == "turn_done"


async def test_another_users_session_does_not_exist(stage: Stage) -> None:
    stage.model.says([text("ok")])
    session = await stage.begin()
    await read(session)
    for wanted in (session.id, session.name, ""):
        with pytest.raises(NotFoundError):
            await stage.sessions.find(BOB, wanted)
        with pytest.raises(NotFoundError):
            await stage.begin(uid=BOB, session=wanted or session.id)
    assert [each["method"] for each in stage.guard.calls] == ["OpenSession"]
    assert (await stage.sessions.list(BOB)).sessions == ()
    assert len((await stage.sessions.list(ANN)).sessions) == 1


async def test_without_a_guard_nothing_begins_and_no_session_is_left(stage: Stage) -> None:
    stage.guard.answers("OpenSession")
    with pytest.raises(GuardUnavailableError):
        await stage.begin()
    assert (await stage.sessions.list(ANN)).sessions == ()
    assert stage.sessions.running_count == 0


# Interrupting ---------------------------------------------------------------------------------------------------------


async def test_cancelling_in_the_middle_of_the_model_keeps_numbering_and_the_session(stage: Stage) -> None:
    stage.model.says([text("I thi"), HELD()])
    session = await stage.begin()
    await stage.model.waiting.wait()
    assert session.cancel()
    events = await read(session)
    assert _types(events) == ["session_started", "text_delta", "turn_failed"]
    assert _last(events) == INTERRUPTED
    assert not session.cancel()
    stage.model.says([text("ok")])
    again = await stage.ask(session=session.name)
    assert [(seq, kind) for seq, kind, _ in again] == [(4, "session_started"), (5, "text_delta"), (6, "turn_done")]
    assert [turn.state for turn in (await stage.sessions.detail(ANN, session.id)).turns] == ["interrupted", "done"]


async def test_cancelling_in_the_middle_of_a_command_leaves_a_whole_conversation(stage: Stage) -> None:
    stage.guard.answers("Execute", decision(), output(b"x"), HELD())
    stage.model.says([call("bash", "a", command="sleep 9"), call("bash", "b", command="df")])
    session = await stage.begin()
    await stage.guard.waiting.wait()
    assert session.cancel()
    assert _last(await read(session)) == INTERRUPTED
    await stage.guard.interrupted.wait()
    messages = await stage.transcripts.messages(ANN, session.id)
    assert [(each["call"], each["outcome"]) for each in messages[2:]] == [("a", "cancelled"), ("b", "cancelled")]
    stage.model.says([text("ok")])
    assert _last(await stage.ask(session=session.id))["type"] == "turn_done"


async def test_cancelling_before_the_turn_has_drawn_breath_ends_it_like_any_other(stage: Stage) -> None:
    session = await stage.begin()
    assert session.cancel()  # its task has not run yet
    assert _last(await read(session)) == INTERRUPTED
    assert stage.model.requests == []
    stage.model.says([text("ok")])
    assert _last(await stage.ask(session=session.id))["type"] == "turn_done"


async def test_cancelling_twice_is_cancelling_once(stage: Stage) -> None:
    stage.model.says([HELD()])
    session = await stage.begin()
    await stage.model.waiting.wait()
    stage.transcripts.open.clear()
    assert session.cancel()
    await stage.transcripts.waiting.wait()  # its end is being stored
    assert not session.cancel()
    stage.transcripts.open.set()
    assert _last(await read(session)) == INTERRUPTED
    stage.model.says([text("ok")])
    assert _last(await stage.ask(session=session.id))["type"] == "turn_done"


async def test_cancelling_what_is_over_but_for_its_storing_changes_nothing(stage: Stage) -> None:
    session = await stage.begin_and_hold_the_end()
    assert not session.cancel()
    stage.transcripts.open.set()
    assert _types(await read(session)) == ["session_started", "text_delta", "turn_done"]
    stage.model.says([text("ok")])
    assert _last(await stage.ask(session=session.id))["type"] == "turn_done"


async def test_a_reader_that_comes_while_the_end_is_being_stored_gets_the_end(stage: Stage) -> None:
    session = await stage.begin_and_hold_the_end()
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read(session))
        for _ in range(10):
            await asyncio.sleep(0)
        stage.transcripts.open.set()
    assert _types(reading.result()) == ["session_started", "text_delta", "turn_done"]


async def test_the_next_turn_begins_when_the_last_one_is_told_and_not_before(stage: Stage) -> None:
    session = await stage.begin_and_hold_the_end()
    with pytest.raises(SessionBusyError):
        await session.start_turn(Ask(prompt="?", input="", cwd="/", wait_s=0), stage.group)
    stage.transcripts.open.set()
    await read(session)
    stage.model.says([text("ok")])
    assert _types(await stage.ask(session=session.id)) == ["session_started", "text_delta", "turn_done"]


# Ends without an answer -----------------------------------------------------------------------------------------------


async def test_a_model_that_fails_ends_its_turn_with_its_reason(stage: Stage) -> None:
    stage.model.says([ModelUnavailableError("the provider answered 529", hint="try again later")])
    assert _last(await stage.ask()) == {
        "type": "turn_failed",
        "code": "model_unavailable",
        "message": "the provider answered 529",
        "hint": "try again later",
        "exit_status": 69,
    }


async def test_a_bug_ends_its_turn_and_is_logged_under_the_number_that_the_client_gets(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.model.says([RuntimeError("on purpose")])
    last = _last(await stage.ask())
    fault = last.pop("message").partition("(")[2].strip(")")
    assert last == {"type": "turn_failed", "code": "internal", "hint": "the daemon's log has it", "exit_status": 70}
    assert f"failed ({fault})" in caplog.text
    assert "RuntimeError: on purpose" in caplog.text
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


async def test_seconds_are_bounded(stage: Stage) -> None:
    stage.limit(agent=AgentTable(max_seconds=0.05))  # type: ignore[arg-type] # shorter than one may configure
    stage.guard.answers("Execute", decision(), HELD())
    stage.model.says([call("bash", command="sleep 9")])
    assert _last(await stage.ask()) == {
        "type": "turn_failed",
        "code": "budget_exceeded",
        "message": "the turn took its 0.05 s",
        "hint": "continue the session, or raise agent.max_seconds in the configuration",
        "exit_status": 80,
    }
    await stage.guard.interrupted.wait()


async def test_steps_and_tokens_are_the_configurations(stage: Stage) -> None:
    stage.limit(agent=AgentTable(max_steps=1))
    stage.guard.answers("Execute", decision(), done())
    stage.model.says([call("bash", command="x")])
    assert _last(await stage.ask())["message"] == "the turn took its 1 steps"


_DAMAGE = "CREATE TRIGGER damage BEFORE INSERT ON {} BEGIN SELECT RAISE(FAIL, 'on purpose'); END"


async def test_a_damaged_store_ends_the_turn_and_is_told_though_it_cannot_be_stored(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    full = asyncio.Event()
    stage.model.says([text("so far"), full, text("x" * 2_000_000)])
    session = await stage.begin()
    await stage.model.waiting.wait()
    await until(lambda: session.log.last_seq == 2)
    await stage.transcripts._store.run(ANN, lambda database: database.execute(_DAMAGE.format("events")))
    full.set()
    events = await read(session)
    assert _types(events)[-1] == "turn_failed"
    assert _last(events)["code"] == "storage"
    assert [seq for seq, _, _ in events] == list(range(1, len(events) + 1))
    await stage.transcripts._store.run(ANN, lambda database: database.execute("DROP TRIGGER damage"))
    stage.model.says([text("ok")])
    stage.model.requests.clear()
    again = await stage.ask(session=session.id)
    assert _types(again) == ["session_started", "text_delta", "turn_done"]
    assert again[0][0] == len(events) + 1


async def test_a_turn_that_cannot_be_stored_does_not_begin(stage: Stage) -> None:
    stage.model.says([text("ok")])
    session = await stage.begin()
    await read(session)
    await stage.transcripts._store.run(ANN, lambda database: database.execute(_DAMAGE.format("turns")))
    with pytest.raises(StorageError):
        await stage.begin("x" * 100_000, session=session.id)
    assert not session.running
    assert stage.sessions.running_count == 0


# All sessions ---------------------------------------------------------------------------------------------------------


async def test_the_turns_of_one_user_are_bounded_also_when_all_come_at_once(stage: Stage) -> None:
    stage.limit(limits=LimitsTable(turns_per_user=2))
    stage.model.says(*([HELD()] for _ in range(5)))
    stage.model.one_conversation = False
    results: list[Session | TooManyRequestsError] = []

    async def try_it(uid: int) -> None:
        try:
            results.append(await stage.begin(uid=uid))
        except TooManyRequestsError as exc:
            results.append(exc)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(try_it(ANN))
        group.create_task(try_it(BOB))
    assert len([each for each in results if isinstance(each, Session)]) == 3
    refused = [each for each in results if isinstance(each, TooManyRequestsError)]
    assert {(each.message, each.hint) for each in refused} == {
        ("2 turns of yours run already", "wait for one, or raise limits.turns_per_user")
    }
    assert stage.sessions.running_count == 3


async def test_a_refused_start_does_not_use_up_the_limit(stage: Stage) -> None:
    stage.limit(limits=LimitsTable(turns_per_user=1))
    stage.guard.answers("OpenSession")
    with pytest.raises(GuardUnavailableError):
        await stage.begin()
    stage.model.says([text("ok")])
    assert _last(await stage.ask())["type"] == "turn_done"


async def test_stopping_takes_no_more_turns_and_lets_those_that_run_end(stage: Stage) -> None:
    go = asyncio.Event()
    stage.model.says([go, text("ok")])
    session = await stage.begin()
    await stage.model.waiting.wait()
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(stage.sessions.stop(60))
        await asyncio.sleep(0)
        with pytest.raises(StoppingError):
            await stage.begin()
        go.set()
        await stopping
    assert _last(await read(session))["type"] == "turn_done"


async def test_a_turn_that_is_about_to_begin_when_the_daemon_stops_does_not(stage: Stage) -> None:
    go = asyncio.Event()
    stage.guard.answers("OpenSession", go, {})
    async with asyncio.TaskGroup() as group:
        beginning = group.create_task(_refused(stage))
        await stage.guard.waiting.wait()
        await stage.sessions.stop(60)
        go.set()
    assert isinstance(beginning.result(), StoppingError)
    assert stage.sessions.running_count == 0


async def _refused(stage: Stage) -> Exception | None:
    try:
        await stage.begin()
    except StoppingError as exc:
        return exc
    return None


async def test_stopping_interrupts_what_does_not_end_in_time(stage: Stage) -> None:
    stage.model.says([HELD()])
    session = await stage.begin()
    await stage.model.waiting.wait()
    await stage.sessions.stop(0.01)
    assert _last(await read(session)) == INTERRUPTED
    assert (await stage.sessions.detail(ANN, session.id)).session.state == "interrupted"


async def test_idle_sessions_are_forgotten_and_found_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosd.session.manager._SWEEP_S", 0.01)
    monkeypatch.setattr("aiosd.session.manager._FORGET_S", 0.0)
    stage.model.says([text("ok")])
    session = await stage.begin()
    await read(session)
    assert stage.sessions.open_count == 1
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        sweeping = group.create_task(stage.sessions.maintain())
        await until(lambda: stage.sessions.open_count == 0)
        sweeping.cancel()
    found = await stage.sessions.find(ANN, session.name)
    assert found is not session
    assert await read(found) == await read(session)
    stage.model.says([text("ok")])
    assert [seq for seq, _, _ in await stage.ask(session=session.id)] == [4, 5, 6]


async def test_one_users_broken_database_does_not_end_the_upkeep_of_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aiosd.session.manager._SWEEP_S", 0.01)
    folder = stage.transcripts._store._folder
    folder.mkdir()
    (folder / "3.db").write_bytes(b"this is no database" * 100)
    session = SessionId("session1")
    await stage.transcripts.create(ANN, session, ["a"], "")
    old = "2020-01-01T00:00:00.000Z"
    await stage.transcripts._store.run(
        ANN, lambda database: database.execute("UPDATE sessions SET used_at = ?", (old,))
    )
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        sweeping = group.create_task(stage.sessions.maintain())
        while await stage.transcripts.find(ANN, session):
            pass
        sweeping.cancel()
    assert "uid 3" in caplog.text


async def test_a_question_is_the_newest_sessions_when_that_is_wanted(stage: Stage) -> None:
    ask = Ask(prompt="?", input="", cwd="/", wait_s=0)
    with pytest.raises(NotFoundError) as caught:
        await stage.sessions.ask(ANN, ask, session="", newest=True, client_fd=-1)
    assert caught.value.message == "there is no session yet"
    stage.model.says([text("ok")], [text("ok")])
    first = await stage.begin()
    await read(first)
    second, after = await stage.sessions.ask(ANN, ask, session="", newest=True, client_fd=-1)
    assert (second, after) == (first, 3)
    await read(second)


async def test_half_a_character_from_a_model_does_no_harm(stage: Stage) -> None:
    """JSON can spell half of a surrogate pair, and providers cut text there."""
    stage.guard.answers("Execute", decision(), done("failed", 1, reason="cannot read \udcff"))
    stage.model.says([text("a\ud83d"), call("bash", command="cat \udcff")], [text("\ude00b")])
    session = await stage.begin()
    events = await read(session)
    assert _types(events)[-1] == "turn_done"
    assert [json.loads(body)["text"] for _, kind, body in events if kind == "text_delta"] == ["a?", "?b"]
    assert stage.guard.calls[1]["command"] == "cat \udcff"
    assert (await stage.sessions.detail(ANN, session.id)).turns[0].answer == "a??b"
    found = [(seq, body) for seq, _, body in events]
    assert await stage.transcripts.events(ANN, session.id, after=0, limit=100) == found


async def test_a_damaged_conversation_fails_its_turn_and_not_the_daemon(stage: Stage) -> None:
    stage.model.says([text("ok")])
    session = await stage.begin()
    await read(session)
    await stage.transcripts._store.run(ANN, lambda database: database.execute("UPDATE messages SET body = '{'"))
    last = _last(await stage.ask(session=session.id))
    assert (last["type"], last["code"]) == ("turn_failed", "storage")
    assert not session.running
    stage.model.says([text("ok")])
    stage.model.requests.clear()
    assert _last(await stage.ask())["type"] == "turn_done"
