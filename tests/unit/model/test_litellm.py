"""The same suite with a real server between, that nobody here wrote: LiteLLM's proxy, which speaks both wires.

Behind it is the scripted provider, so that its answers are known; what goes to us is LiteLLM's own. Its installation
(740 MB, minutes) is kept beside pytest's cache; `AIOS_LITELLM` names one that is there already.
"""

import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aiosd.errors import ContextOverflowError, ModelBusyError
from aiosd.model.base import AgainDelta, AssistantMessage, TextDelta, ToolCall, ToolResult, UsageDelta, closing
from aiosd.model.transport import Transport
from aiosd.types import CallId
from tests.doubles.provider import Call, Say, ScriptedProvider, complaint
from tests.unit.model.conftest import QUESTION, Stage, calls, said
from tests.unit.model.test_remote import (
    DF,
    FREE,
    test_a_call_without_arguments_has_none,
    test_how_much_a_model_reads_and_writes_is_as_configured,
    test_parallel_calls_arrive_whole_and_their_arguments_in_parts,
    test_without_its_key_nothing_is_sent,
)

__all__ = [
    "test_a_call_without_arguments_has_none",
    "test_how_much_a_model_reads_and_writes_is_as_configured",
    "test_parallel_calls_arrive_whole_and_their_arguments_in_parts",
    "test_without_its_key_nothing_is_sent",
]

pytestmark = pytest.mark.soak

_VERSION = "1.106.2"
_KEY = f"sk-{secrets.token_hex(16)}"
_CONFIG = """
model_list:
  - model_name: m-1
    litellm_params: {{model: hosted_vllm/m-1, api_base: "{url}", api_key: sk-behind}}
litellm_settings: {{telemetry: false, num_retries: 0}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
general_settings: {{master_key: "{key}"}}
"""


@pytest.fixture(scope="module")
def litellm(pytestconfig: pytest.Config) -> str:
    """Its program, installed if need be."""
    if named := os.environ.get("AIOS_LITELLM"):
        return named
    place = Path(str(pytestconfig.rootpath)) / ".pytest_cache" / f"litellm-{_VERSION}"
    if not (place / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        subprocess.run([place / "bin" / "pip", "install", "-q", f"litellm[proxy]=={_VERSION}"], check=True)
    return str(place / "bin" / "litellm")


@pytest.fixture(scope="module")
def behind() -> Iterator[ScriptedProvider]:
    """What LiteLLM asks."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


@pytest.fixture(scope="module")
def proxy(litellm: str, behind: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base_url of LiteLLM's proxy."""
    folder = tmp_path_factory.mktemp("litellm")
    (folder / "config.yaml").write_text(_CONFIG.format(url=behind.url, key=_KEY), encoding="utf-8")
    with ScriptedProvider() as placeholder:
        port = placeholder.port  # free a moment later
    words = [litellm, "--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with open(folder / "log", "wb") as log, subprocess.Popen(words, stdout=log, stderr=log, env=variables) as process:
        try:
            _await_life(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _await_life(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace")[-4000:])


@pytest.fixture
async def stage(kind: str, behind: ScriptedProvider, proxy: str) -> AsyncIterator[Stage]:
    """A model of each wire, whose server is LiteLLM."""
    behind.asked.clear()
    transport = Transport()
    yield Stage(kind=kind, provider=behind, transport=transport, environment={"key": _KEY}, base_url=proxy, key="key")
    await transport.close()


async def test_an_answer_comes_with_its_usage(stage: Stage) -> None:
    stage.provider.says(Say(text="It is half full. 半分です", usage=(1000, 400, 20)))
    deltas = await stage.ask(input_price=3.0, cached_price=0.3, output_price=15.0)
    assert said(deltas) == "It is half full. 半分です"
    (usage,) = [each for each in deltas if isinstance(each, UsageDelta)]
    assert (usage.output_tokens, usage.cost > 0) == (20, True)


async def test_a_conversation_of_calls_is_understood_by_the_server_and_by_who_is_behind_it(stage: Stage) -> None:
    df = ToolCall(id=CallId("call_a"), tool="bash", arguments={"command": "df -h"})
    free = ToolCall(id=CallId("call_b"), tool="bash", arguments={"command": "free", "reason": "見る"})
    stage.provider.says(Say(text="I look.", calls=(DF, FREE)))
    assert calls(await stage.ask()) == [df, free]
    stage.provider.says(Say(text="Half full."))
    told = (
        QUESTION,
        AssistantMessage(text="I look.", calls=(df, free)),
        ToolResult(call=df.id, text="50%", status=0),
        ToolResult(call=free.id, text="", outcome="denied"),
    )
    assert said(await stage.ask(*told)) == "Half full."
    assert {name: "50%" in text for name, text in stage.provider.asked[-1].results.items()} == {
        "call_a": True,
        "call_b": False,
    }


async def test_a_single_call_has_its_arguments(stage: Stage) -> None:
    stage.provider.says(Say(calls=(Call(tool="grep", arguments={"pattern": 'a"b\\', "path": "/x"}, id="call_c"),)))
    (call,) = calls(await stage.ask())
    assert (call.tool, call.arguments) == ("grep", {"pattern": 'a"b\\', "path": "/x"})


async def test_what_the_server_says_is_busy_or_too_long_has_its_name(stage: Stage) -> None:
    stage.provider.says(*(complaint(429, "slow down") for _ in range(9)))
    with pytest.raises(ModelBusyError):
        await stage.ask(retries=0)
    stage.provider.clear()
    stage.provider.says(complaint(400, "maximum context length is 10 tokens", code="context_length_exceeded"))
    with pytest.raises(ContextOverflowError):
        await stage.ask(retries=0)
    stage.provider.clear()


async def test_what_passes_is_asked_again(stage: Stage) -> None:
    stage.provider.says(complaint(503, "busy"), Say(text="Now."))
    deltas = await stage.ask(retries=1)
    assert said(deltas[[isinstance(each, AgainDelta) for each in deltas].index(True) :]) == "Now."


async def test_leaving_in_the_middle_ends_the_request(stage: Stage) -> None:
    stage.provider.says(Say(text="word " * 200))
    async with closing(stage.stream()) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                break
    assert stage.log.used[0].error == "interrupted"
    stage.provider.says(Say(text="Again."))
    assert said(await stage.ask()) == "Again."
