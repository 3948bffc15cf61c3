"""Whole turns through `stream()`: what is proposed, with which ids, and what is said however a command ends."""

import itertools

import pytest

from aiosd.model.base import (
    AssistantMessage,
    CallDelta,
    Delta,
    Message,
    ModelInfo,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
    VerdictDelta,
)
from aiosd.model.builtin import BuiltinModel
from aiosd.model.builtin.intents import LANGUAGES, load_knowledge
from aiosd.model.builtin.text import cell_width
from aiosd.types import CallId
from tests.unit.builtin import samples
from tests.unit.builtin.conversation import MODEL, Outcome, Printed, ask, everything, printing, real, step

GREETING = """\
Hello. I am the built-in model: without a network and without a key, I answer everyday questions about this machine.

About                          For example
disk space                     how much disk space is left?
the biggest files              what are the biggest files in /var?
the biggest folders            what eats /var?
memory                         how much memory is free?
CPU and the busiest processes  what is using the CPU?
processes by memory            what is using all my memory?
uptime and load                how long has this machine been up?
distribution and kernel        which distribution and kernel is this?

All that can be asked: what can you do?
"""


def test_it_is_listed_as_local_and_bilingual() -> None:
    assert BuiltinModel().info == ModelInfo(
        name="builtin",
        provider="builtin",
        description="Rules for everyday questions about this machine; no key, no network",
        local=True,
        languages=("en", "ja"),
    )


async def test_call_ids_are_new_in_the_conversation() -> None:
    earlier: tuple[Message, ...] = (
        UserMessage(text="hello"),
        AssistantMessage(
            calls=(
                ToolCall(id=CallId("call-1"), tool="bash", arguments={"command": "free -b"}),
                ToolCall(id=CallId("call-3"), tool="read_file", arguments={"path": "/x"}),
            )
        ),
        ToolResult(call=CallId("call-1"), text="", status=0),
        ToolResult(call=CallId("call-3"), text="", status=0),
    )
    calls, text, verdict = await step((*earlier, UserMessage(text="which os")))
    assert [(call.id, call.arguments) for call in calls] == [
        ("call-4", {"command": "cat /etc/os-release", "cwd": "/"}),
        ("call-5", {"command": "uname -srm", "cwd": "/"}),
    ]
    assert text == verdict == ""


async def test_only_a_persons_own_command_runs_in_their_working_directory() -> None:
    calls, _text, _verdict = await step((UserMessage(text="run: ls -l"),))
    assert [call.arguments for call in calls] == [{"command": "ls -l"}]


async def test_what_an_earlier_turn_read_is_read_again() -> None:
    first = await ask("memory", printing({"free -b": samples.FREE_NO_SWAP}))
    before = (*first.messages, AssistantMessage(text=first.answer))
    second = await ask("memory", printing({"free -b": samples.FREE_SWAPPING}), before=before)
    assert second.steps == (("free -b",),)
    assert second.answer.startswith("Memory is short: ")


async def test_a_call_without_a_result_counts_as_cancelled() -> None:
    call = ToolCall(id=CallId("call-1"), tool="bash", arguments={"command": "free -b"})
    calls, text, _ = await step((UserMessage(text="memory"), AssistantMessage(calls=(call,))))
    assert (calls, text) == ((), "`free -b` was cancelled.\n")


async def test_without_the_tool_it_says_that_it_cannot_look() -> None:
    exchange = await ask("memory", everything(Printed()), tools=False)
    assert exchange.answer == "I cannot run commands in this session, so I cannot look at the machine.\n"
    exchange = await ask("メモリ", everything(Printed()), tools=False)
    assert exchange.answer == "このセッションではコマンドを実行できないため、マシンの状態を調べられません。\n"


async def test_an_answer_carries_no_verdict_and_a_question_not_understood_does() -> None:
    exchange = await ask("restart the memory", everything(Printed()))
    assert (exchange.steps, exchange.verdict) == ((), "not_understood")
    assert exchange.answer == (
        "I did not understand that. The nearest things I can do:\n"
        "\n"
        "About                For example\n"
        "memory               how much memory is free?\n"
        "processes by memory  what is using all my memory?\n"
        "uptime and load      how long has this machine been up?\n"
        "\n"
        "For anything else, configure a model: set `model` under [agent] in /etc/aios/config.toml.\n"
    )
    exchange = await ask("詩を書いて", everything(Printed()))
    assert (exchange.steps, exchange.verdict) == ((), "not_understood")
    assert exchange.answer == (
        "質問を理解できませんでした。近いものは次のとおりです。\n"
        "\n"
        "内容                質問の例\n"
        "ディスクの空き容量  ディスクの空き容量は？\n"
        "大きいファイル      /var で大きいファイルは？\n"
        "大きいフォルダ      /var を圧迫しているのは？\n"
        "\n"
        "ほかの質問に答えるにはモデルの設定が必要です。"
        "/etc/aios/config.toml の [agent] で `model` を指定してください。\n"
    )
    assert (await ask("memory", printing({"free -b": samples.FREE_NO_SWAP}))).verdict == ""


async def test_of_two_it_asks_which() -> None:
    exchange = await ask("process memory cpu", everything(Printed()))
    assert (exchange.steps, exchange.verdict) == ((), "not_understood")
    assert exchange.answer == (
        "I am not sure which you mean: CPU and the busiest processes, or processes by memory. Ask for one of them:\n"
        "\n"
        "About                          For example\n"
        "CPU and the busiest processes  what is using the CPU?\n"
        "processes by memory            what is using all my memory?\n"
    )
    exchange = await ask("プロセス メモリ CPU", everything(Printed()))
    assert exchange.answer == (
        "「CPU と負荷の高いプロセス」と「メモリを多く使うプロセス」のどちらのことか判断できませんでした。"
        "どちらかを尋ねてください。\n"
        "\n"
        "内容                      質問の例\n"
        "CPU と負荷の高いプロセス  CPU を使っているのは？\n"
        "メモリを多く使うプロセス  メモリを食っているプロセスは？\n"
    )


@pytest.mark.parametrize(
    ("said", "outcome", "proposed"),
    [
        ("processes by memory", "done", "ps -eo pid,user:32,pcpu,pmem,rss,comm --sort=-rss | head -n 11"),
        ("CPU and the busiest processes\n", "done", "nproc"),
        ("neither", "done", ""),
        ("", "done", ""),
        ("nobody answered: go on without it, or say what you would need to know", "failed", ""),
    ],
)
async def test_of_two_it_asks_the_person_and_goes_on_with_what_they_say(
    said: str, outcome: Outcome, proposed: str
) -> None:
    messages: tuple[Message, ...] = (UserMessage(text="process memory cpu"),)
    tools = tuple(ToolSpec(name=name, description="", parameters={}) for name in ("bash", "ask_user"))

    async def step_on() -> list[Delta]:
        return [delta async for delta in MODEL.stream(ModelRequest(system="", messages=messages, tools=tools))]

    (asked,) = await step_on()
    assert isinstance(asked, CallDelta)
    assert asked.call.tool == "ask_user"
    assert asked.call.arguments == {
        "question": "Which do you mean?",
        "choices": ["CPU and the busiest processes", "processes by memory"],
    }
    messages += (AssistantMessage(calls=(asked.call,)), ToolResult(call=asked.call.id, text=said, outcome=outcome))
    after = await step_on()
    lines = [delta.call.arguments["command"] for delta in after if isinstance(delta, CallDelta)]
    assert (proposed in lines) if proposed else lines == []
    assert any(delta == VerdictDelta(verdict="not_understood") for delta in after) is (not proposed)


async def test_help_and_greetings_tell_what_can_be_asked() -> None:
    exchange = await ask("hello", everything(Printed()))
    assert (exchange.steps, exchange.answer, exchange.verdict) == ((), GREETING, "")
    knowledge = load_knowledge()
    for question, language in zip(("what can you do?", "何ができる？"), LANGUAGES, strict=True):
        answer = (await ask(question, everything(Printed()))).answer
        offered = [intent for intent in knowledge.intents.values() if intent.rank]
        assert [intent.name for intent in offered if intent.example[language] not in answer] == []
        assert [intent.name for intent in offered if f"\n{intent.topic[language]}\n" not in answer] == []
        about, _, overview = answer.partition("\n\n")
        assert about == knowledge.sentences["abilities"].text[language]
        assert max(map(cell_width, overview.splitlines()[:-1])) <= 96
        assert answer.endswith(f"\n\n{knowledge.sentences['configure'].text[language]}\n")


ENDINGS: tuple[tuple[Outcome, str, str, str], ...] = (
    ("failed", "", "`free -b` failed with exit status 1 and did not say why.",
     "`free -b` は終了ステータス 1 で失敗しました。理由は出力されていません。"),
    ("failed", "[stderr]\nfree: \x1b[31mno\n", "`free -b` failed with exit status 1: free: \\x1b[31mno",
     "`free -b` は終了ステータス 1 で失敗しました: free: \\x1b[31mno"),
    ("denied", "rule x\nmore", "`free -b` was not allowed: rule x", "`free -b` は許可されませんでした: rule x"),
    ("denied", "", "`free -b` was not allowed, so I cannot tell.",
     "`free -b` は許可されなかったため、お答えできません。"),
    ("denied", "[denied: rule x]", "`free -b` was not allowed: rule x", "`free -b` は許可されませんでした: rule x"),
    ("cancelled", "[cancelled: interrupted]", "`free -b` was cancelled: interrupted",
     "`free -b` は取り消されました: interrupted"),
    ("timed_out", "half\n[timed_out: ended after 60 s]", "`free -b` did not finish in time.",
     "`free -b` は時間内に終わりませんでした。"),
    ("refused", "no bubblewrap", "`free -b` could not be started: no bubblewrap",
     "`free -b` を開始できませんでした: no bubblewrap"),
    ("refused", "", "`free -b` could not be started, so I cannot tell.",
     "`free -b` を開始できなかったため、お答えできません。"),
    ("unanswered", "", "`free -b` needed an approval that nobody gave in time, so it did not run.",
     "`free -b` には承認が必要でしたが、時間内に回答がなかったため実行されませんでした。"),
    ("skipped", "[skipped: go on]", "`free -b` was skipped.", "`free -b` は見送られました。"),
    ("timed_out", "half", "`free -b` did not finish in time.", "`free -b` は時間内に終わりませんでした。"),
    ("cancelled", "", "`free -b` was cancelled.", "`free -b` は取り消されました。"),
    ("done", "", "`free -b` printed nothing, so I cannot tell.",
     "`free -b` は何も出力しなかったため、お答えできません。"),
    ("done", "a b c\nd", "I cannot read what `free -b` printed, and will not guess. It begins: a b c",
     "`free -b` の出力を読み取れませんでした。推測はしません。出力の先頭: a b c"),
    ("done", "[stderr]\nodd\n", "`free -b` gave no result: odd", "`free -b` から結果が得られませんでした: odd"),
)  # fmt: skip


@pytest.mark.parametrize(("outcome", "text", "english", "japanese"), ENDINGS)
async def test_every_way_to_end_has_its_sentence(outcome: Outcome, text: str, english: str, japanese: str) -> None:
    machine = everything(Printed(text=text, outcome=outcome))
    exchange = await ask("memory", machine)
    assert (exchange.answer, exchange.verdict) == (f"{english}\n", "failed")
    exchange = await ask("メモリ", machine)
    assert (exchange.answer, exchange.verdict) == (f"{japanese}\n", "failed")


QUESTIONS = tuple(intent.example["en"] for intent in load_knowledge().intents.values())


OUTCOMES: tuple[Outcome, ...] = (
    "done", "failed", "denied", "skipped", "unanswered", "timed_out", "cancelled", "refused"
)  # fmt: skip
TEXTS = (
    "", "\x00\x1b[2J garbage {x} %s\n", "[stderr]\n", "0 0 0 0 0 0 0\n" * 50, "[denied: ]",
)  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_output_ends_in_a_traceback_or_in_silence(question: str) -> None:
    for outcome, text in itertools.product(OUTCOMES, TEXTS):
        exchange = await ask(question, everything(Printed(text=text, outcome=outcome)))
        assert exchange.answer.strip()
        assert exchange.answer.replace("\n", "").isprintable()
        if exchange.steps and outcome in {"denied", "skipped", "unanswered", "refused"}:
            assert exchange.verdict == "failed"


async def test_an_exact_command_shows_its_output() -> None:
    exchange = await ask("run: printf 'a\\tb\\n\\033[31mred\\n'", real)
    assert exchange.steps == (("printf 'a\\tb\\n\\033[31mred\\n'",),)
    assert (exchange.answer, exchange.verdict) == ("a\tb\n\\x1b[31mred\n", "")
    exchange = await ask("$ ls /nope", real)
    assert exchange.answer == ("[stderr]\nls: cannot access '/nope': No such file or directory\n\nExit status 2.\n")
    assert (await ask("true を実行して", real)).answer == "`true` は何も出力しませんでした。\n"
    exchange = await ask("run: exit 3", real)
    assert (exchange.answer, exchange.verdict) == ("`exit 3` printed nothing.\n\nExit status 3.\n", "failed")
    stopped = Printed(text="tick\n[timed_out: ended after 60 s]", outcome="timed_out")
    exchange = await ask("run: sleep 99", everything(stopped))
    assert exchange.answer == "tick\n\n`sleep 99` did not finish in time.\n"
    exchange = await ask("run: rm -rf /", everything(Printed(text="rule never-root\n", outcome="denied")))
    assert exchange.answer == "`rm -rf /` was not allowed: rule never-root\n"


async def test_long_output_is_cut_in_the_middle_and_says_so() -> None:
    exchange = await ask("run: seq 1000", real)
    lines = exchange.answer.split("\n")
    assert lines[:80] == [str(number) for number in range(1, 81)]
    assert lines[80:] == ["…", *map(str, range(981, 1001)), "", "900 lines in the middle were left out.", ""]
    exchange = await ask("run: cat big", everything(Printed(text="x\n[cut]\n", outcome="timed_out", truncated=True)))
    assert exchange.answer == (
        "x\n[cut]\n\nThe output was cut, so something may be missing here.\n`cat big` did not finish in time.\n"
    )
    exchange = await ask("run: yes", everything(Printed(text="y" * 900)))
    assert exchange.answer == "y" * 499 + "…\n"
