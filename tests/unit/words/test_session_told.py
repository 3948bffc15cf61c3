"""A session read out in both languages: the client lays it out as the daemon does, and tells our words alone again."""

import json
import posix
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from aiosd.api import export, text
from aiosd.cli import retold
from aiosd.wire import Argument, SessionDetail, SessionInfo, SessionList, TurnInfo, TurnState
from aiosd.wire_export import ExportStep, ExportTurn, SessionExport

AT = "2026-05-01T10:20:30Z"
PROMPT = "what failed? [interrupted]\n> *failed*\n(notify, done)"
ANSWER = "• one, it seems:\n\n```console\n$ true\n```\n(notify, failed, status 1)\n\n*interrupted*\x1b[1m"
PRINTED = "```\nfailed\x07\n```\n"


def _step(tool: str, name: str, value: str, *, tier: str, outcome: str, status: int) -> ExportStep:
    given = (Argument(name=name, value=value), Argument(name="reason", value="a person said no"))
    return ExportStep(
        call="1", tool=tool, arguments=given, tier=tier, outcome=outcome, status=status, result=f"{PRINTED}{'x' * 2000}"
    )


STEPS = (
    _step("bash", "command", "echo ```\necho failed", tier="notify", outcome="done", status=0),
    _step("bash", "command", "false\t\u2028", tier="notify", outcome="failed", status=3),
    _step("read_file", "path", "/a person said no", tier="", outcome="timed_out", status=-1),
)
INFO = SessionInfo(id="0" * 32, name="one", title="a person\u202e", created_at=AT, used_at=AT, turns=3, state="done")
ENDED: tuple[tuple[int, str, TurnState], ...] = (
    (1, ANSWER, "done"),
    (2, "", "interrupted"),
    (3, ANSWER, "failed"),
    (4, "", "running"),
)
TURNS = tuple(
    TurnInfo(number=at, prompt=PROMPT, answer=answer, state=state, started_at=AT, exit_status=0)
    for at, answer, state in ENDED
)
DETAIL = SessionDetail(session=INFO, turns=TURNS, last_seq=1, turn_seq=1)
_NO_SESSIONS = {"no sessions yet": "まだセッションはありません"}
EXPORT = SessionExport(session=INFO, turns=tuple(ExportTurn(**asdict(turn), steps=STEPS) for turn in TURNS))


@pytest.fixture(params=["C.UTF-8", "ja_JP.UTF-8"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of whoever reads."""
    kept = posix.environ.get(b"LC_ALL")
    posix.environ[b"LC_ALL"] = request.param.encode()
    yield request.param
    posix.environ.pop(b"LC_ALL")
    if kept is not None:
        posix.environ[b"LC_ALL"] = kept


def _retell(english: str, told: dict[str, str], language: str) -> str:
    """`english` with our words told, each of which stands in it."""
    for words, japanese in told.items():
        assert words in english
        english = english.replace(words, japanese) if language != "C.UTF-8" else english
    return english


def test_a_list_of_sessions_is_laid_out_as_the_daemon_does_it(language: str) -> None:
    states: tuple[TurnState, ...] = ("done", "failed", "interrupted", "running")
    listed = SessionList(sessions=tuple(replace(INFO, state=state, title=f"{state} {INFO.title}") for state in states))
    shown = retold.render_sessions(json.loads(json.dumps(asdict(listed))))
    assert retold.render_sessions({"sessions": []}) == _retell("no sessions yet", _NO_SESSIONS, language) + "\n"
    if language == "C.UTF-8":
        assert shown == text.render_sessions(listed)
        return
    assert shown.splitlines() == [
        "名前  最終利用 (UTC)    状態    説明",
        "one   2026-05-01 10:20  完了    done a person\\u{202e}",
        "one   2026-05-01 10:20  失敗    failed a person\\u{202e}",
        "one   2026-05-01 10:20  中断    interrupted a person\\u{202e}",
        "one   2026-05-01 10:20  動作中  running a person\\u{202e}",
    ]


def test_a_session_is_laid_out_as_the_daemon_does_it(language: str) -> None:
    end = f"{PROMPT.splitlines()[-1]} "
    told = {f"{end}[interrupted]\n": f"{end}[中断]\n", f"{end}[failed]\n": f"{end}[失敗]\n"}
    told[f"{end}[running]\n"] = f"{end}[動作中]\n"
    shown = retold.render_session(json.loads(json.dumps(asdict(DETAIL))))
    assert shown == _retell(text.render_session(DETAIL), told, language)


def test_an_export_is_laid_out_as_the_daemon_does_it(language: str) -> None:
    told = {
        "`\n(notify, done)\n": "`\n(notify, 完了)\n",
        "`\n(notify, failed, status 3)\n": "`\n(notify, 失敗、終了ステータス 3)\n",
        "`\n(timed out)\n": "`\n(時間切れ)\n",
        ")\n\n*interrupted*\n": ")\n\n*中断*\n",
        "[1m\n\n*failed*\n": "[1m\n\n*失敗*\n",
        ")\n\n*running*\n": ")\n\n*動作中*\n",
    }
    shown = retold.render_markdown(json.loads(json.dumps(asdict(EXPORT))))
    assert shown == _retell(export.render_markdown(EXPORT), told, language)
