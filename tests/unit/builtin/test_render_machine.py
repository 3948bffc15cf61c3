"""Answers about memory, processes, load, uptime, system and addresses."""

import os
from pathlib import Path

import pytest

from tests.unit.builtin import samples
from tests.unit.builtin.conversation import Printed, ask, printing, real

NPROC_MISSING = Printed(text="[stderr]\nbash: line 1: nproc: command not found\n", outcome="failed", status=127)


@pytest.mark.parametrize(
    ("free", "english", "japanese"),
    [
        (
            samples.FREE_NO_SWAP,
            (
                "23.2 GiB of 23.5 GiB memory (99%) is available. Programs use 318 MiB, cache and buffers 175 MiB. "
                "There is no swap.\n"
            ),
            (
                "メモリは 23.5 GiB のうち 23.2 GiB（99%）が利用可能です。プログラムが 318 MiB、"
                "キャッシュとバッファが 175 MiB を使っています。スワップはありません。\n"
            ),
        ),
        (
            samples.FREE_SWAPPING,
            (
                "Memory is short: 541 MiB of 7.6 GiB (7%) is available. Swap is in use: 1.2 GiB of 2.0 GiB (60%). "
                "Programs use 7.1 GiB, cache and buffers 500 MiB.\n"
            ),
            (
                "メモリが不足しています。7.6 GiB のうち利用可能なのは 541 MiB（7%）です。"
                "スワップが使われています: 2.0 GiB のうち 1.2 GiB（60%）。"
                "プログラムが 7.1 GiB、キャッシュとバッファが 500 MiB を使っています。\n"
            ),
        ),
        (
            samples.FREE_IDLE_SWAP,
            (
                "11.7 GiB of 15.5 GiB memory (75%) is available. Programs use 3.8 GiB, cache and buffers 3.2 GiB. "
                "Swap (8.0 GiB) is not in use.\n"
            ),
            (
                "メモリは 15.5 GiB のうち 11.7 GiB（75%）が利用可能です。プログラムが 3.8 GiB、"
                "キャッシュとバッファが 3.2 GiB を使っています。スワップ（8.0 GiB）は使われていません。\n"
            ),
        ),
    ],
)
async def test_memory_with_what_stands_out_first(free: str, english: str, japanese: str) -> None:
    assert (await ask("how much memory is free?", printing({"free -b": free}))).answer == english
    assert (await ask("メモリの空きは？", printing({"free -b": free}))).answer == japanese


async def test_the_busiest_processes_and_the_load() -> None:
    machine = printing({"ps -eo ": samples.PS_CPU, "cat /proc/loadavg": samples.LOADAVG_HIGH, "nproc": "2\n"})
    exchange = await ask("what is using my cpu?", machine)
    assert exchange.steps == (
        ("ps -eo pid,user:32,pcpu,pmem,rss,etimes,comm --sort=-pcpu | head -n 41", "cat /proc/loadavg", "nproc"),
    )
    assert exchange.answer == (
        "There is more work than CPU: the load is 5.53 on 2 CPUs. "
        "frontend (PID 20618, root) uses the most: 17.6%.\n"
        "\n"
        "  CPU    Memory    PID  User              Command\n"
        "17.6%  13.7 MiB  20618  root              frontend\n"
        " 9.5%  11.9 MiB    815  1001              systemd\n"
        " 0.3%   289 MiB   1204  systemd-timesync  Web Content\n"
        " 0.0%   5.0 MiB    460  messagebus        dbus-daemon\n"
        "\n"
        "CPU: the average since each process started.\n"
    )


async def test_an_idle_machine_whose_cpus_cannot_be_counted() -> None:
    machine = printing({"ps -eo ": samples.PS_IDLE, "cat /proc/loadavg": samples.LOADAVG_LOW, "nproc": NPROC_MISSING})
    assert (await ask("CPU使用率は？", machine)).answer == (
        "負荷は1分平均 0.01、5分平均 0.04、15分平均 0.08 です。目立って CPU を使っているプロセスはありません。\n"
        "\n"
        " CPU    メモリ  PID  ユーザー  コマンド\n"
        "0.0%  13.7 MiB    1  root      systemd\n"
        "0.0%   8.3 MiB   52  root      systemd-logind\n"
        "\n"
        "CPU は各プロセスの開始からの平均です。\n"
        "これには `nproc` コマンドが必要ですが、このマシンにはありません。\n"
    )


@pytest.mark.parametrize(
    ("load", "cpus", "sentence"),
    [
        ("0.01 0.04 0.08 2/95 225", "1", "The CPU has little to do: the load is 0.01 on 1 CPU."),
        ("0.95 0.04 0.08 2/95 225", "1", "The CPU is busy: the load is 0.95 on 1 CPU."),
        ("6.01 0.04 0.08 2/95 225", "8", "The CPUs are busy: the load is 6.01 on 8 CPUs."),
        ("8.01 0.04 0.08 2/95 225", "8", "There is more work than CPU: the load is 8.01 on 8 CPUs."),
    ],
)
async def test_the_load_is_measured_by_the_cpus(load: str, cpus: str, sentence: str) -> None:
    machine = printing({"ps -eo ": samples.PS_IDLE, "cat /proc/loadavg": load, "nproc": cpus})
    assert (await ask("cpu", machine)).answer.startswith(f"{sentence} No process stands out.\n")


async def test_processes_denied_still_leave_the_load() -> None:
    denied = Printed(text="rule paranoid-ps: only listed commands run\n", outcome="denied")
    machine = printing({"ps -eo ": denied, "cat /proc/loadavg": samples.LOADAVG_LOW, "nproc": "2"})
    assert (await ask("cpu", machine)).answer == (
        "The CPU has little to do: the load is 0.01 on 2 CPUs. "
        "`ps -eo pid,user:32,pcpu,pmem,rss,etimes,comm --sort=-pcpu | head -n 41` was not allowed: "
        "rule paranoid-ps: only listed commands run\n"
    )


async def test_processes_by_memory() -> None:
    machine = printing({"ps -eo pid,user:32,pcpu,pmem,rss,comm --sort=-rss | head -n 11": samples.PS_IDLE})
    assert (await ask("メモリを食っているプロセスは？", machine)).answer == (
        "最もメモリを使っているのは systemd（PID 1、root）の 13.7 MiB（0.0%）です。\n"
        "\n"
        " CPU    メモリ  PID  ユーザー  コマンド\n"
        "0.0%  13.7 MiB    1  root      systemd\n"
        "0.0%   8.3 MiB   52  root      systemd-logind\n"
    )


async def test_uptime_and_load() -> None:
    machine = printing({"cat /proc/uptime /proc/loadavg": samples.UPTIME})
    assert (await ask("how long has this machine been up?", machine)).answer == (
        "This machine has been up for 32 minutes 56 seconds. "
        "The load is 0.01 over 1 minute, 0.04 over 5 and 0.08 over 15.\n"
    )
    assert (await ask("稼働時間は？", machine)).answer == (
        "このマシンは起動してから32分56秒です。負荷は1分平均 0.01、5分平均 0.04、15分平均 0.08 です。\n"
    )
    text = "1976.21 3719.77\n[stderr]\ncat: /proc/loadavg: Permission denied\n"
    machine = printing({"cat /proc/uptime": Printed(text=text, outcome="failed")})
    assert (await ask("uptime", machine)).answer == (
        "This machine has been up for 32 minutes 56 seconds.\n"
        "\n"
        "1 place could not be read (permission denied): cat: /proc/loadavg: Permission denied.\n"
    )


async def test_distribution_and_kernel_together_or_alone() -> None:
    machine = printing({"cat /etc/os-release": samples.OS_DEBIAN, "uname -srm": samples.UNAME})
    assert (await ask("which linux is this", machine)).answer == (
        "This machine runs Debian GNU/Linux 13 (trixie) with the kernel Linux 6.12.57-1-lts (x86_64).\n"
    )
    machine = printing({"cat /etc/os-release": samples.OS_ARCH, "uname -srm": samples.UNAME})
    assert (await ask("OSは？", machine)).answer == (
        "このマシンの OS は Arch Linux、カーネルは Linux 6.12.57-1-lts（x86_64）です。\n"
    )
    absent = Printed(text="[stderr]\ncat: /etc/os-release: No such file or directory\n", outcome="failed")
    machine = printing({"cat /etc/os-release": absent, "uname -srm": samples.UNAME})
    assert (await ask("kernel version", machine)).answer == (
        "The kernel is Linux 6.12.57-1-lts (x86_64). `cat /etc/os-release` failed with exit status 1: "
        "cat: /etc/os-release: No such file or directory\n"
    )
    machine = printing({"cat /etc/os-release": "ID=minimal\nPRETTY_NAME='unclosed\n", "uname -srm": ""})
    assert (await ask("kernel version", machine)).answer == (
        "I cannot read what `cat /etc/os-release` printed, and will not guess. It begins: ID=minimal "
        "`uname -srm` printed nothing, so I cannot tell.\n"
    )


async def test_addresses_and_the_way_out() -> None:
    machine = printing({"ip -json addr show": samples.IP_ADDR, "ip -json route show": samples.IP_ROUTE})
    exchange = await ask("what is my ip address?", machine)
    assert exchange.steps == (("ip -json addr show", "ip -json route show"),)
    assert exchange.answer == (
        "eth0 has 192.0.2.2, fd00::2. The default gateway is 192.0.2.1.\n"
        "\n"
        "Interface  State  Addresses\n"
        "eth0       up     192.0.2.2/24, fd00::2/64, fe80::fc:ff:fe00:1/64\n"
        "\n"
        "Without an address: ifb0.\n"
    )
    assert (await ask("IPアドレスは？", machine)).answer == (
        "eth0 のアドレスは 192.0.2.2、fd00::2 です。デフォルトゲートウェイは 192.0.2.1 です。\n"
        "\n"
        "インターフェース  状態  アドレス\n"
        "eth0              up    192.0.2.2/24、fd00::2/64、fe80::fc:ff:fe00:1/64\n"
        "\n"
        "アドレスのないインターフェース: ifb0\n"
    )


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what address does eth0 have", "eth0 has 192.0.2.2, fd00::2. The default gateway is 192.0.2.1.\n"),
        ("ip of eth7", "There is no interface eth7; there are lo, ifb0, eth0.\n"),
        ("ip of lo", "lo has 127.0.0.1, ::1.\n"),
    ],
)
async def test_one_interface(question: str, answer: str) -> None:
    machine = printing({"ip -json addr show": samples.IP_ADDR, "ip -json route show": samples.IP_ROUTE})
    assert (await ask(question, machine)).answer == answer


@pytest.mark.parametrize(
    ("addresses", "routes", "answer"),
    [
        (
            samples.IP_LOOPBACK_ONLY,
            "[]\n",
            "This machine has no network address but its own loopback (127.0.0.1, ::1).\n",
        ),
        (
            samples.IP_ADDR,
            "",
            (
                "There is no default route for IPv4: other networks cannot be reached by it.\n\n"
                "Interface  State  Addresses\n"
                "eth0       up     192.0.2.2/24, fd00::2/64, fe80::fc:ff:fe00:1/64\n\n"
                "Without an address: ifb0.\n"
            ),
        ),
        (
            samples.IP_ADDR,
            Printed(text="not on the list", outcome="denied"),
            (
                "Interface  State  Addresses\n"
                "eth0       up     192.0.2.2/24, fd00::2/64, fe80::fc:ff:fe00:1/64\n\n"
                "Without an address: ifb0.\n"
                "`ip -json route show` was not allowed: not on the list\n"
            ),
        ),
        (
            Printed(text=samples.IP_ADDR[:700] + "\n[cut]", truncated=True),
            samples.IP_ROUTE,
            "The output of `ip -json addr show` was cut, and what is left of it cannot be read.\n",
        ),
        (
            Printed(text="[stderr]\nbash: line 1: ip: command not found\n", outcome="failed", status=127),
            samples.IP_ROUTE,
            "This needs the command `ip`, which is not on this machine.\n",
        ),
        (
            '[{"ifname":"\\u001b[2Jx","addr_info":[{"local":"1.2.3.4"}],"flags":7}, 8, {"addr_info":[{"local":9}]}]',
            "[]",
            (
                "There is no default route for IPv4: other networks cannot be reached by it.\n\n"
                "Interface  State  Addresses\n"
                "\\x1b[2Jx   ?      1.2.3.4/None\n\n"
                "Without an address: ?.\n"
            ),
        ),
    ],
)
async def test_addresses_are_told_as_far_as_they_could_be_read(
    addresses: Printed | str, routes: Printed | str, answer: str
) -> None:
    machine = printing({"ip -json addr show": addresses, "ip -json route show": routes})
    assert (await ask("ip", machine)).answer == answer


async def test_the_answers_are_about_this_machine() -> None:
    kernel = os.uname()
    exchange = await ask("kernel version", real)
    assert f"Linux {kernel.release} ({kernel.machine})" in exchange.answer
    total = int(Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    assert f"of {total:.1f} GiB memory" in (await ask("memory", real)).answer
    assert f"on {len(os.sched_getaffinity(0))} CPU" in (await ask("cpu", real)).answer
    assert "This machine has been up for " in (await ask("uptime", real)).answer
