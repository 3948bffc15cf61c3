"""Both wires against a server that nobody here wrote: fakellm, whose answers are canned.

It counts no tokens and streams no errors: those are in `test_remote`, and with LiteLLM's proxy between in `make soak`.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiosd.model.base import AssistantMessage, PartDelta, TextDelta, ToolCall, ToolResult, UserMessage
from aiosd.model.transport import Transport
from aiosd.types import CallId
from tests.daemon.harness import wait_until
from tests.doubles.provider import ScriptedProvider
from tests.unit.model.conftest import Stage, calls, said

pytest.importorskip("fakellm")

_DF: dict[str, Any] = {"name": "bash", "arguments": {"command": "df -h /", "reason": '見る "所"'}}
_FREE: dict[str, Any] = {"name": "bash", "arguments": {"command": "free -b"}}


def _rule(respond: dict[str, Any], **when: str) -> dict[str, Any]:
    return {"name": json.dumps(when), "when": when, "respond": respond}


_RULES = [
    _rule({"content": "Half full. 半分です。"}, tool_result_contains="50%"),
    _rule({"tool_calls": [_DF, _FREE]}, messages_contain="how full", tools_include="bash"),
    _rule({"tool_calls": [{"name": "services", "arguments": {}}]}, messages_contain="which failed"),
    _rule({"content": "It is\nfine: {}"}, messages_contain="say something"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its base_url."""
    folder = tmp_path_factory.mktemp("fakellm")
    (folder / "rules.yaml").write_text(json.dumps({"version": 1, "rules": _RULES}), encoding="utf-8")
    with ScriptedProvider() as other:
        port = other.port  # free a moment later
    words = [sys.executable, "-m", "uvicorn", "fakellm.server:app", "--port", str(port), "--log-level", "warning"]
    variables = {"PATH": os.environ["PATH"], "FAKELLM_CONFIG": str(folder / "rules.yaml")}
    log = folder / "log"
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out, env=variables, cwd=folder) as process:
        try:
            wait_until(lambda: _listens(port) or process.poll() is not None, "fakellm to listen")
            assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    wanted = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1].endswith(wanted) and line.split()[3] == "0A" for line in lines)


@pytest.fixture
async def stage(kind: str, server: str, provider: ScriptedProvider) -> AsyncIterator[Stage]:
    """A model of each wire, whose server it is."""
    transport = Transport()
    yield Stage(kind=kind, provider=provider, transport=transport, base_url=server)
    await transport.close()


async def test_an_answer_comes_word_by_word(stage: Stage) -> None:
    deltas = await stage.ask(UserMessage(text="say something"))
    assert said(deltas) == "It is\nfine: {}"
    assert len([each for each in deltas if isinstance(each, TextDelta)]) > 1
    assert [each.error for each in stage.log.used] == [""]


async def test_a_conversation_of_parallel_calls_is_understood(stage: Stage) -> None:
    question = UserMessage(text=f"how full is it, over {stage.kind}?")  # it remembers conversations by their beginning
    deltas = await stage.ask(question)
    df, free = calls(deltas)
    assert [(each.tool, each.arguments, each.fault) for each in (df, free)] == [
        (each["name"], each["arguments"], "") for each in (_DF, _FREE)
    ]
    assert df.id != free.id
    written = "".join(each.text for each in deltas if isinstance(each, PartDelta))
    assert json.loads(written[: written.index("}") + 1]) == _DF["arguments"]
    told = ToolResult(call=df.id, text="50%", status=0), ToolResult(call=free.id, text="no", outcome="denied")
    assert said(await stage.ask(question, AssistantMessage(calls=(df, free)), *told)) == "Half full. 半分です。"


async def test_a_call_without_arguments_has_none(stage: Stage) -> None:
    (call,) = calls(await stage.ask(UserMessage(text="which failed?")))
    assert call == ToolCall(id=CallId(call.id), tool="services", arguments={})
