"""Answers about units, from what systemd 257 printed in a booted machine, and where there is none."""

import pytest

from tests.unit.builtin import samples
from tests.unit.builtin.conversation import Printed, ask, everything, printing

SHOW = (
    "systemctl show {} --no-pager -p Id,LoadState,ActiveState,SubState,Result,UnitFileState,Description,MainPID,"
    "ExecMainStatus,ExecMainCode,StateChangeTimestamp,NRestarts,MemoryCurrent"
)
JOURNAL = "journalctl -u {} -n 5 --no-pager -o short-iso"
LOG = (
    "2026-11-21 09:15:36  systemd[1]: shop-sync.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED\n"
    "2026-11-21 09:15:36  systemd[1]: shop-sync.service: Failed with result 'exit-code'.\n"
    "2026-11-21 09:15:36  systemd[1]: shop-sync.service: Start request repeated too quickly.\n"
    "2026-11-21 09:15:36  systemd[1]: shop-sync.service: Failed with result 'exit-code'.\n"
    "2026-11-21 09:15:36  systemd[1]: Failed to start shop-sync.service - Sync the shop's stock.\n"
)

NOT_SHOWN = Printed(text=samples.NOT_SHOWN, outcome="failed")


async def test_failed_units_are_counted_and_listed() -> None:
    command = "systemctl list-units --failed --all --plain --no-legend --no-pager"
    exchange = await ask("which services failed?", printing({command: samples.FAILED_UNITS}))
    assert exchange.answer == (
        "4 units have failed.\n"
        "\n"
        "Unit                Description\n"
        "data.mount          /data\n"
        "killed.service      Killed by a signal\n"
        "old-export.service  夜間エクスポート\n"
        "shop-sync.service   Sync the shop's stock\n"
    )
    one = samples.FAILED_UNITS.split("\n")[0]
    exchange = await ask("失敗したサービスは？", printing({command: one}))
    assert exchange.answer == "1個のユニットが失敗しています。\n\nユニット    説明\ndata.mount  /data\n"
    assert (await ask("failed units", printing({command: ""}))).answer == "No unit has failed.\n"
    assert (await ask("失敗したユニット", printing({command: ""}))).answer == "失敗したユニットはありません。\n"


@pytest.mark.parametrize(
    ("printed", "english", "japanese"),
    [
        (
            Printed(text=samples.NO_SYSTEMD, outcome="failed"),
            "This machine does not run systemd, so it cannot tell me this.\n",
            "このマシンでは systemd が動いていないため、この点はお答えできません。\n",
        ),
        (
            Printed(text="this machine does not run systemd", outcome="refused"),
            "This machine does not run systemd, so it cannot tell me this.\n",
            "このマシンでは systemd が動いていないため、この点はお答えできません。\n",
        ),
        (
            Printed(text=samples.NO_BUS, outcome="failed"),
            "systemd cannot be reached over the system bus, so I cannot tell.\n",
            "システムバスを通じて systemd に接続できないため、お答えできません。\n",
        ),
        (
            Printed(text="[stderr]\nbash: line 1: systemctl: command not found\n", outcome="failed", status=127),
            "This needs the command `systemctl`, which is not on this machine.\n",
            "これには `systemctl` コマンドが必要ですが、このマシンにはありません。\n",
        ),
    ],
)
async def test_without_systemd_it_says_so(printed: Printed, english: str, japanese: str) -> None:
    for question in ("which services failed?", "is nginx running?"):
        assert (await ask(question, everything(printed))).answer == english
    for question in ("失敗したサービスは？", "nginxは動いてる？"):
        assert (await ask(question, everything(printed))).answer == japanese


async def test_garbage_for_failed_units_is_not_taken_for_none() -> None:
    exchange = await ask("failed units", everything(Printed(text="???\n")))
    assert exchange.answer == (
        "I cannot read what `systemctl list-units --failed --all --plain --no-legend --no-pager` printed, "
        "and will not guess. It begins: ???\n"
    )


async def test_a_running_service_takes_one_command() -> None:
    exchange = await ask("is nginx running?", printing({"systemctl show nginx.service": samples.SHOW_WITH_MEMORY}))
    assert exchange.steps == ((SHOW.format("nginx.service"),),)
    assert exchange.answer == (
        "nginx.service (A high performance web server and a reverse proxy server) is running "
        "(since 2026-11-21 09:13:26 UTC, PID 812, 12.3 MiB of memory). It starts at boot.\n"
    )
    exchange = await ask("dbusの状態は", printing({"systemctl show dbus.service": samples.SHOW_RUNNING}))
    assert exchange.answer == (
        "dbus.service（D-Bus System Message Bus）は動作しています（2026-11-21 09:13:26 UTC から、PID 51）。\n"
    )


async def test_a_failed_service_is_told_with_its_reason_and_its_log() -> None:
    machine = printing({"systemctl show": samples.SHOW_FAILED, "journalctl": samples.JOURNAL_FAILED})
    exchange = await ask("what's wrong with shop-sync", machine)
    assert exchange.steps == ((SHOW.format("shop-sync.service"),), (JOURNAL.format("shop-sync.service"),))
    assert exchange.answer == (
        "shop-sync.service (Sync the shop's stock) has failed (since 2026-11-21 09:15:36 UTC). "
        "Its program ended with exit status 3. It was restarted 3 times. It starts at boot. "
        f"The last lines of its log:\n\n{LOG}"
    )
    assert (await ask("shop-syncの状態", machine)).answer == (
        "shop-sync.service（Sync the shop's stock）は失敗しています（2026-11-21 09:15:36 UTC から）。"
        "プログラムが終了ステータス 3 で終わりました。3回再起動されました。起動時に自動で始まります。"
        f"ログの最後の行:\n\n{LOG}"
    )


@pytest.mark.parametrize(
    ("question", "show", "answer"),
    [
        (
            "is old-export running",
            samples.SHOW_NOT_EXECUTED,
            (
                "old-export.service (夜間エクスポート) has failed (since 2026-11-21 09:15:35 UTC). "
                "Its program could not be executed (status 203). Its log has no entries.\n"
            ),
        ),
        (
            "status of killed.service",
            samples.SHOW_SIGNAL,
            (
                "killed.service (Killed by a signal) has failed (since 2026-11-21 09:15:36 UTC). "
                "Its program was ended by signal 11. Its log has no entries.\n"
            ),
        ),
        (
            "status of slow.service",
            samples.SHOW_RETRYING,
            (
                "slow.service (Restarts again and again) keeps ending and is waiting for its next start "
                "(since 2026-11-21 09:16:12 UTC). Its program ended with exit status 1. Its log has no entries.\n"
            ),
        ),
        (
            "status of data.mount",
            samples.SHOW_MOUNT,
            (
                "data.mount (/data) has failed (since 2026-11-21 09:15:36 UTC). The reason is given as exit-code. "
                "Its log has no entries.\n"
            ),
        ),
        (
            "is ssh running",
            samples.SHOW_INACTIVE,
            (
                "ssh.service (OpenBSD Secure Shell server) is not running. It does not start at boot. "
                "Its log has no entries.\n"
            ),
        ),
        (
            "is sshd running",
            samples.SHOW_INACTIVE,
            (
                "sshd.service is another name of ssh.service. ssh.service (OpenBSD Secure Shell server) is "
                "not running. It does not start at boot. Its log has no entries.\n"
            ),
        ),
        (
            "sshの状態",
            samples.SHOW_INACTIVE,
            (
                "ssh.service（OpenBSD Secure Shell server）は動作していません。起動時に自動では始まりません。"
                "ログには記録がありません。\n"
            ),
        ),
        ("is ssh running", samples.SHOW_MASKED, "ssh.service is masked: it cannot be started.\n"),
        (
            "status of fstrim.timer",
            "Id=fstrim.timer\nLoadState=loaded\nActiveState=active\nSubState=waiting\nResult=success\n",
            "fstrim.timer is waiting.\n",
        ),
        (
            "is nginx running",
            "Id=nginx.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nResult=oom-kill\n",
            "nginx.service has failed. It was ended because memory ran out. Its log has no entries.\n",
        ),
    ],
)
async def test_every_state_has_its_sentence(question: str, show: str, answer: str) -> None:
    machine = printing({"systemctl show": show, "journalctl": samples.JOURNAL_EMPTY})
    assert (await ask(question, machine)).answer == answer


async def test_a_service_of_another_name_is_found() -> None:
    absent = samples.SHOW_ABSENT.replace("nosuch", "sshd")
    outputs = {"systemctl show sshd.service": absent, "systemctl show ssh.service": samples.SHOW_INACTIVE}
    exchange = await ask("is sshd running", printing({**outputs, "journalctl": samples.JOURNAL_EMPTY}))
    assert exchange.steps == (
        (SHOW.format("sshd.service"),),
        (SHOW.format("ssh.service"),),
        (JOURNAL.format("ssh.service"),),
    )
    assert exchange.answer == (
        "There is no sshd.service here, but ssh.service. ssh.service (OpenBSD Secure Shell server) is not running. "
        "It does not start at boot. Its log has no entries.\n"
    )


@pytest.mark.parametrize(
    ("question", "tried"),
    [
        ("is ngnix running", "nginx.service"),
        ("is Nginx running", "nginx.service"),
        ("is postgres running", "postgresql.service"),
        ("is networkmanager running", "NetworkManager.service"),
        ("is apache2 running", "apache.service httpd.service"),
    ],
)
async def test_near_names_are_tried_before_it_is_said_that_there_is_none(question: str, tried: str) -> None:
    exchange = await ask(question, everything(Printed(text=samples.SHOW_ABSENT)))
    assert exchange.steps[1:] == ((SHOW.format(tried),),)
    name = question.split()[1]
    assert exchange.answer == f"There is no unit {name}.service on this machine.\n"


async def test_a_service_that_does_not_exist_is_said_not_to() -> None:
    exchange = await ask("is nosuch-thing running", everything(Printed(text=samples.SHOW_ABSENT)))
    assert exchange.steps == ((SHOW.format("nosuch-thing.service"),),)
    assert exchange.answer == "There is no unit nosuch-thing.service on this machine.\n"


@pytest.mark.parametrize(
    ("journal", "end"),
    [
        (Printed(text=samples.JOURNAL_HIDDEN), " Its log shows no entries that you may read.\n"),
        (
            Printed(text=samples.JOURNAL_NOT_ALLOWED, outcome="failed"),
            "\n\nIts log could not be read. You do not have the right to read it.\n",
        ),
        (
            Printed(text="not on the list", outcome="denied"),
            (
                "\n\nIts log could not be read. `journalctl -u ssh.service -n 5 --no-pager -o short-iso` was "
                "not allowed: not on the list\n"
            ),
        ),
        (
            Printed(outcome="unanswered"),
            (
                "\n\nIts log could not be read. `journalctl -u ssh.service -n 5 --no-pager -o short-iso` needed an "
                "approval that nobody gave in time, so it did not run.\n"
            ),
        ),
        (
            Printed(text="2026-11-21T09:15:36+00:00 host sshd[9]: bye\x1b]0;x\x07\n[stderr]\nHint: more\n"),
            (
                " The last lines of its log:\n\n2026-11-21 09:15:36  sshd[9]: bye\\x1b]0;x\\x07\n\n"
                "Lines of the log that you may not read are missing.\n"
            ),
        ),
    ],
)
async def test_a_log_that_cannot_be_read_leaves_the_state(journal: Printed, end: str) -> None:
    exchange = await ask(
        "is ssh up",
        printing({"systemctl show": samples.SHOW_INACTIVE, "journalctl": journal, "observe": NOT_SHOWN}),
    )
    assert exchange.answer == (
        f"ssh.service (OpenBSD Secure Shell server) is not running. It does not start at boot.{end}"
    )
