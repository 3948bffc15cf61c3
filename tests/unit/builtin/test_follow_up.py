"""What is said in a session after something else: the subject is kept, and several questions are answered in turn."""

import pytest

from aiosd.model.base import AssistantMessage, Message
from aiosd.model.builtin.intents import load_knowledge
from aiosd.model.builtin.understand import Understood, understand_all
from tests.unit.builtin import samples
from tests.unit.builtin.conversation import Exchange, Printed, ask, everything, printing

SERVICES = {"systemctl show": samples.SHOW_WITH_MEMORY, "journalctl": "-- No entries --\n", "sudo": ""}


async def asked_after(first: str, second: str) -> Exchange:
    """The turn for `second` in a session that began with `first`."""
    before = await ask(first, everything(Printed(outcome="refused")))
    history: tuple[Message, ...] = (*before.messages, AssistantMessage(text=before.answer))
    return await ask(second, everything(Printed(outcome="refused")), before=history)


@pytest.mark.parametrize(
    ("first", "second", "proposed"),
    [
        ("is nginx running?", "and its logs?", "journalctl -u nginx.service "),
        ("is nginx running?", "show its log since yesterday", "journalctl -u nginx.service "),
        ("is nginx running?", "restart it", "systemctl show nginx.service "),
        ("is nginx running?", "stop it", "systemctl show nginx.service "),
        ("is nginx running?", "start it", "systemctl show nginx.service "),
        ("nginxは動いている？", "それを停止して", "systemctl show nginx.service "),
        ("logs of nginx", "restart", "systemctl show nginx.service "),
        ("what is the state of nginx?", "enable it at boot", "systemctl show nginx.service "),
        ("is htop installed?", "uninstall it", "pacman -Q -- htop"),
        ("install htop", "which files are in it?", "pacman -Ql -- htop"),
        ("what eats /srv?", "how much space is left there?", "df "),
        ("nginxは動いている？", "そのログは？", "journalctl -u nginx.service "),
        ("nginxは動いている？", "再起動して", "systemctl show nginx.service "),
        ("nginxのログ", "それを再起動して", "systemctl show nginx.service "),
    ],
)
async def test_what_is_left_out_is_what_was_spoken_of(first: str, second: str, proposed: str) -> None:
    exchange = await asked_after(first, second)
    assert exchange.steps[0][0].startswith(proposed)


async def test_a_name_that_is_said_is_the_subject_from_then_on() -> None:
    exchange = await asked_after("is nginx running?", "is sshd running?")
    assert exchange.steps[0][0].startswith("systemctl show sshd.service ")
    third = await ask("and its logs?", everything(Printed(outcome="refused")), before=exchange.messages)
    assert third.steps[0][0].startswith("journalctl -u sshd.service ")


@pytest.mark.parametrize("question", ["restart it", "and its logs?", "再起動して", "そのログは？"])
async def test_without_a_subject_nothing_is_guessed(question: str) -> None:
    exchange = await ask(question, everything(Printed()))
    assert (exchange.steps, exchange.verdict) == ((), "not_understood")


async def test_several_questions_are_answered_one_by_one() -> None:
    outputs = {"free": samples.FREE_NO_SWAP, "cat /proc": samples.UPTIME, "df": samples.DF_ONE}
    exchange = await ask("how much memory is free? uptime. disk space?", printing(outputs))
    answers = exchange.answer.split("\n\n")
    assert [line.split()[0] for line in exchange.answer.splitlines() if line] == ["23.2", "This", "/"]
    assert answers
    japanese = await ask("メモリの空きは？ディスクの空きは？", printing(outputs))
    assert japanese.answer.startswith("メモリは 23.5 GiB のうち")
    assert "/ の使用率は" in japanese.answer


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("which ports are open, and is the network up?", ["listening_ports", "network_check"]),
        ("how much memory is free and what uses the cpu", ["memory", "top_cpu"]),
        ("is nginx running and which ports are open?", ["service_state", "listening_ports"]),
        ("who is logged in, who logged in last, any failed logins?", ["logged_in", "last_logins", "failed_logins"]),
        ("disk and memory usage", ["disk_space", "memory"]),
        ("temperature of the cpu and the disk", ["temperature"]),
        ("list users and groups", ["users", "groups"]),
        ("ディスクの空きと稼働時間", ["disk_space", "uptime"]),
        ("ログイン失敗した人いる? あと今ログインしてるのは誰?", ["failed_logins", "logged_in"]),
        ("ホスト名は？IPアドレスは？", ["hostname", "addresses"]),
    ],
)
def test_a_line_is_taken_apart_where_a_question_begins(line: str, names: list[str]) -> None:
    found = understand_all(line, load_knowledge())
    assert [each.intent.name for each in found if isinstance(each, Understood)] == names


async def test_a_later_question_of_a_line_may_leave_out_what_an_earlier_one_names() -> None:
    exchange = await ask("is nginx running, and restart it", printing(SERVICES))
    assert "sudo systemctl restart nginx.service" in [line for step in exchange.steps for line in step]


async def test_one_that_is_not_understood_among_several_is_said() -> None:
    exchange = await ask("how much memory is free? write a poem.", printing({"free": samples.FREE_NO_SWAP}))
    assert exchange.verdict == "not_understood"
