"""Whole answers, from what real tools printed: `answers.txt` holds each, below its question.

To look at them again after a change: `python -m tests.unit.builtin.test_answers > tests/unit/builtin/answers.txt`, and
read the difference.
"""

# ruff: noqa: E501 - what was printed stands on one line

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.builtin import samples, tools
from tests.unit.builtin.conversation import Printed, ask, printing
from tests.unit.builtin.tools import NO_COMMAND, NOT_ALLOWED, SILENT

_ANSWERS = Path(__file__).with_name("answers.txt")
_LINK_UP: dict[str, Printed | str] = {"ip -json link": tools.LINK_UP, "ip -json addr": tools.ADDRESS_ONE}
_PACKAGE_LOGS: dict[str, Printed | str] = {
    "date": "2026-11-21T12:00:00+00:00",
    "grep -hE '] ": tools.PACMAN_LOG,
    "zcat": tools.DPKG_LOG,
}
_UPDATES: dict[str, Printed | str] = {
    "date": "1795086400",
    "pacman": tools.PACMAN_QU,
    "apt": NO_COMMAND,
    "find": tools.AGES,
}
_CHECKED: dict[str, Printed | str] = {
    "ss": tools.SS,
    "cat": "ID=arch\n",
    "find": tools.AGES,
    "date": "1797000000",
    "pacman": tools.PACMAN_QU,
    "apt": NO_COMMAND,
    "observe listeners": tools.SS_OWNERS,
    "observe firewall": "",
    "observe nopasswd": tools.SUDO_RULES,
    "observe sshd": tools.SSHD,
}

CASES: tuple[tuple[str, Mapping[str, Printed | str]], ...] = (
    ("which ports are open?", {"ss": tools.SS, "observe listeners": tools.SS_OWNERS}),
    ("開いているポートは？", {"ss": tools.SS, "observe listeners": NOT_ALLOWED}),
    ("who uses port 5432?", {"ss": tools.SS, "observe": tools.SS_OWNERS}),
    ("who uses port 9?", {"ss": tools.SS, "observe": NOT_ALLOWED}),
    ("show the active connections", {"ss": tools.SS_ESTABLISHED}),
    ("show the active connections", {"ss": ""}),
    ("is the firewall on?", {"observe": tools.NFT}),
    ("ファイアウォールは有効？", {"observe": ""}),
    ("any failed logins?", {"observe": tools.FAILED_LOGINS}),
    ("ログインの失敗はある？", {"observe": "-- No entries --\n"}),
    (
        "why is the network down?",
        {"ip -json link": tools.LINK_DOWN, "ip -json addr": tools.ADDRESS_NONE, "ip": "[]", "cat": ""},
    ),
    (
        "why is the network down?",
        {"ip -json link": tools.LINK_UP, "ip -json addr": tools.ADDRESS_NONE, "ip": "[]", "cat": ""},
    ),
    ("why is the network down?", {**_LINK_UP, "ip": "[]", "cat": ""}),
    ("why is the network down?", {**_LINK_UP, "ip -json route": tools.ROUTE_ONE, "ip": "[]", "cat": "# none\n"}),
    (
        "is the internet working",
        {**_LINK_UP, "ip -json route": tools.ROUTE_ONE, "ip": "[]", "cat": "nameserver 9.9.9.9\n"},
    ),
    ("which DNS servers are used?", {"cat": "nameserver 127.0.0.53\nsearch shop.example\n"}),
    ("what is the hostname?", {"cat /proc": "shop1\n", "cat /etc": "shop2\n"}),
    ("is htop installed?", {"pacman": tools.PACMAN_QI, "dpkg": NO_COMMAND}),
    ("is htop installed?", {"pacman": NO_COMMAND, "dpkg": tools.DPKG_W}),
    ("is htop installed?", {"pacman": tools.NO_PACKAGE, "dpkg": NO_COMMAND}),
    ("htop はインストールされている？", {"pacman": NO_COMMAND, "dpkg": NO_COMMAND}),
    ("what was installed yesterday?", _PACKAGE_LOGS),
    ("what was installed since yesterday?", _PACKAGE_LOGS),
    ("今日更新されたパッケージは？", _PACKAGE_LOGS),
    ("are there updates?", _UPDATES),
    ("アップデートはある？", {"date": "1795086400", "pacman": NO_COMMAND, "apt": tools.APT_UPGRADABLE, "find": ""}),
    ("which packages are no longer needed?", {"pacman": "libfoo 1-1\nlibbar 2-1\n", "apt": NO_COMMAND}),
    (
        "which packages are no longer needed?",
        {
            "pacman": NO_COMMAND,
            "apt": "Listing...\nlibfoo1/now 1.0-1 amd64 [installed,auto-removable]\nlibbar2/stable 2.0-1 amd64 [installed,auto-removable]\n",
        },
    ),
    ("不要なパッケージはある？", {"pacman": NO_COMMAND, "apt": "Listing...\n"}),
    ("which package owns /usr/bin/ls?", {"pacman": "/usr/bin/ls is owned by coreutils 9.7-1\n", "dpkg": NO_COMMAND}),
    (
        "which package owns /usr/bin/ls?",
        {"pacman": NO_COMMAND, "dpkg -S -- /usr": SILENT, "dpkg -S": "coreutils: /bin/ls\n"},
    ),
    ("which users are there?", {"getent": tools.GETENT_PASSWD, "grep": "UID_MIN 1000\nUID_MAX 60000\n"}),
    ("who is in the wheel group?", {"getent group": tools.GETENT_GROUP, "getent": tools.GETENT_PASSWD}),
    (
        "which groups is alice in?",
        {
            "id": "uid=1000(alice) gid=1000(alice) groups=1000(alice),998(wheel)\n",
            "getent": "alice:x:1000:1000:Alice:/home/alice:/bin/bash\n",
        },
    ),
    (
        "which groups is zed in?",
        {"id": Printed(text="[stderr]\nid: 'zed': no such user\n", outcome="failed", status=1), "getent": SILENT},
    ),
    ("who is logged in?", {"loginctl": tools.SESSIONS, "who": ""}),
    ("who logged in last?", {"last": tools.LAST, "journalctl": "", "observe": NOT_ALLOWED}),
    ("which timers are there?", {"systemctl": tools.LIST_TIMERS}),
    (
        "which jobs are scheduled?",
        {"grep": tools.CRONTAB, "find": "/etc/cron.daily/man-db\n", "systemctl": tools.LIST_TIMERS},
    ),
    (
        "which jobs are scheduled?",
        {"grep": tools.CRONTAB, "find": "", "systemctl": Printed(text=samples.NO_SYSTEMD, outcome="failed")},
    ),
    ("find files named passwd", {"find": tools.FOUND}),
    ("is there an update for openssl?", _UPDATES),
    ("nginx の更新はある？", _UPDATES),
    ("what is PID 900?", {"ps": "  900 alice 1.0 2.0 300000 firefox\n"}),
    ("show me the last 2 lines of the nginx log", {"journalctl": tools.JOURNAL_ERRORS, "systemctl": ""}),
    ("what slowed down the boot?", {"systemd-analyze time": tools.ANALYZE, "systemd-analyze blame": tools.BLAME}),
    ("any errors in the journal?", {"journalctl": tools.JOURNAL_ERRORS}),
    (
        "logs of nginx since yesterday",
        {
            "journalctl": "-- No entries --\n",
            "systemctl show nginx.service": samples.SHOW_ABSENT,
            "systemctl": samples.SHOW_ABSENT,
        },
    ),
    (
        "what hardware is this?",
        {
            "lscpu": tools.LSCPU,
            "cat": "MemTotal:       16384000 kB\n",
            "grep": "/sys/class/dmi/id/sys_vendor:LENOVO\n",
            "lsblk": tools.LSBLK,
        },
    ),
    ("which disks are installed?", {"lsblk": tools.LSBLK}),
    ("what is mounted?", {"findmnt": tools.FINDMNT}),
    (
        "how much battery is left?",
        {
            "find": "/sys/class/power_supply/BAT0\n/sys/class/power_supply/AC\n",
            "grep": "/sys/class/power_supply/BAT0/type:Battery\n/sys/class/power_supply/BAT0/capacity:12\n/sys/class/power_supply/BAT0/status:Discharging\n/sys/class/power_supply/AC/type:Mains\n/sys/class/power_supply/AC/online:0\n",
        },
    ),
    (
        "how hot is the CPU?",
        {
            "find": "/sys/class/hwmon/hwmon0\n",
            "grep": "/sys/class/hwmon/hwmon0/name:k10temp\n/sys/class/hwmon/hwmon0/temp1_input:91250\n/sys/class/hwmon/hwmon0/temp1_label:Tctl\n",
        },
    ),
    (
        "which USB devices are connected?",
        {
            "find": "usb1\n1-1\n1-1:1.0\n",
            "grep": "/sys/bus/usb/devices/1-1/product:Keyboard\n/sys/bus/usb/devices/1-1/manufacturer:ACME\n/sys/bus/usb/devices/1-1/idVendor:04b3\n/sys/bus/usb/devices/1-1/idProduct:3025\n",
        },
    ),
    (
        "which graphics card is this?",
        {"lspci": "00:02.0 VGA compatible controller: Intel UHD 620\n00:1f.2 SATA controller: Intel AHCI\n"},
    ),
    (
        "what time is it?",
        {
            "date": "2026-11-21 17:20:01 JST +0900\n",
            "readlink": "/usr/share/zoneinfo/Asia/Tokyo\n",
            "timedatectl": "NTPSynchronized=yes\n",
        },
    ),
    ("find files named orders", {"find": "1048576\t2026-11-20 10:00\t/srv/orders.db\n"}),
    ('search for "Permit" in /etc/ssh', {"grep": "/etc/ssh/sshd_config:33:PermitRootLogin no\n"}),
    ("is there a process called firefox?", {"ps": "  900 alice 1.0 2.0 300000 firefox\n"}),
    ("show the environment variables", {"env": "LANG=C.UTF-8\nAPI_TOKEN=abc\n"}),
    ("what did you do?", {"date": "2026-11-21T17:00:00+00:00", "observe": tools.RECORDS}),
    ("今日何をした？", {"date": "2026-11-21T17:00:00+00:00", "observe": tools.RECORDS}),
    ("is anything waiting for my approval?", {"observe": '{"id":"ab12","user":"alice","action":"rm -r build"}\n'}),
    ("is this machine secure?", _CHECKED),
    (
        "このマシンは安全？",
        {
            "ss": tools.SS,
            "cat": "ID=arch\n",
            "find": tools.AGES,
            "date": "1795000001",
            "pacman": SILENT,
            "apt": NO_COMMAND,
            "observe": NOT_ALLOWED,
        },
    ),
    (
        "is this machine secure?",
        {
            **_CHECKED,
            "observe firewall": tools.NFT,
            "observe nopasswd": "",
            "observe sshd": "port 22\n",
            "observe listeners": "",
            "pacman": SILENT,
            "date": "1795000001",
        },
    ),
    ("fix finding 2", {**_CHECKED, "sudo sed": Printed(text="[denied: a person said no]", outcome="denied")}),
    ("1番の指摘を直して", {**_CHECKED, "sudo sh": "", "observe": tools.SSHD}),
    ("fix finding 40", _CHECKED),
    ("any errors in the journal?", {"journalctl": samples.JOURNAL_HIDDEN, "observe": tools.JOURNAL_ERRORS}),
    ("ジャーナルにエラーはある？", {"journalctl": samples.JOURNAL_HIDDEN, "observe": NOT_ALLOWED}),
    (
        "logs of nginx",
        {
            "journalctl": samples.JOURNAL_HIDDEN,
            "systemctl": samples.SHOW_WITH_MEMORY,
            "observe": tools.JOURNAL_ERRORS,
            "date": "2026-11-21T12:00:00+00:00",
        },
    ),
    (
        "restart nginx",
        {
            "systemctl show nginx.service --no-pager -p Id,LoadState,ActiveState,SubState,UnitFileState,MainPID": samples.SHOW_WITH_MEMORY,
            "sudo systemctl restart nginx.service": "",
            "systemctl show nginx.service": samples.SHOW_WITH_MEMORY.replace("MainPID=812", "MainPID=990"),
        },
    ),
    (
        "nginxを再起動して",
        {"systemctl": samples.SHOW_WITH_MEMORY, "sudo": Printed(text="[denied: a person said no]", outcome="denied")},
    ),
    ("start the service nginx", {"systemctl": samples.SHOW_WITH_MEMORY}),
    ("stop the service nginx", {"systemctl": samples.SHOW_WITH_MEMORY, "sudo": "", "journalctl": "-- No entries --\n"}),
    (
        "start the service shop-sync",
        {
            "systemctl": samples.SHOW_FAILED,
            "sudo": Printed(text="[stderr]\nJob for shop-sync.service failed.\n", outcome="failed", status=1),
            "journalctl": samples.JOURNAL_FAILED,
        },
    ),
    (
        "install htop",
        {
            "which": "/usr/bin/pacman\n",
            "cat": "ID=arch\n",
            "pacman -Si": tools.PACMAN_QI,
            "pacman -Q -- htop": tools.NO_PACKAGE,
            "sudo pacman -S --noconfirm htop": "",
        },
    ),
    (
        "htop をインストールして",
        {
            "which": "/usr/bin/apt-get\n",
            "cat": "ID=debian\n",
            "apt-cache": "htop:\n  Installed: (none)\n  Candidate: 3.4.1-5\n",
            "sudo apt-get install -y htop": "",
            "dpkg-query": "htop 3.4.1-5 installed\n",
        },
    ),
    ("install zzz", {"which": "/usr/bin/pacman\n", "cat": "ID=arch\n", "pacman -Si": tools.NO_PACKAGE}),
    (
        "uninstall htop",
        {
            "pacman -Q": "htop 3.4.1-1\n",
            "dpkg-query": NO_COMMAND,
            "sudo pacman -R --noconfirm htop": "",
        },
    ),
    (
        "update the system",
        {"which": "/usr/bin/pacman\n", "cat": "ID=arch\n", "sudo pacman -Syu --noconfirm": "", "pacman -Qu": SILENT},
    ),
    (
        "set the time zone to Asia/Tokyo",
        {
            "find": "/usr/share/zoneinfo/Asia/Tokyo\n",
            "readlink /etc": "/usr/share/zoneinfo/Etc/UTC\n",
            "sudo": "",
            "readlink -n": "/usr/share/zoneinfo/Asia/Tokyo",
        },
    ),
    ("set the time zone to Asia/Nowhere", {"find": SILENT, "readlink": "/usr/share/zoneinfo/Etc/UTC\n"}),
    (
        "kill the process firefox",
        {"ps -eo": "  900 alice 1.0 2.0 300000 firefox\n", "sudo kill 900": "", "ps -o": SILENT},
    ),
    ("firefox を終了して", {"ps": "  900 alice 1.0 2.0 300000 firefox\n  901 alice 1.0 2.0 300000 firefox\n"}),
    (
        "which process uses /srv/data?",
        {"sudo fuser": " 900\n", "ps -eo": "  900 alice firefox\n", "ps -o": "  900 alice firefox\n"},
    ),
    (
        "which process uses /srv/data?",
        {
            "sudo fuser": Printed(text="[denied: a person said no]", outcome="denied"),
            "ps": "  900 alice vim /srv/data/notes\n  901 bob cat /srv/database\n",
        },
    ),
    (
        "/srv/data を使っているプロセスは？",
        {
            "sudo fuser": Printed(text="[denied: a person said no]", outcome="denied"),
            "ps": "  902 bob /usr/bin/python3 -IS /usr/bin/aios ask /srv/data を使っているプロセスは？\n  903 bob vim /srv/data/x\n",
        },
    ),
    (
        "/srv/data を使っているプロセスは？",
        {
            "sudo fuser": Printed(text="[denied: a person said no]", outcome="denied"),
            "ps": "  901 bob cat /srv/database\n",
        },
    ),
)


def _key(number: int, question: str) -> str:
    return f"=== {number}. {question}"


def _load() -> dict[str, str]:
    parts = re.split(r"^(=== .*)\n", _ANSWERS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("number", range(len(CASES)))
async def test_an_answer_is_what_was_read_and_approved(number: int) -> None:
    question, outputs = CASES[number]
    exchange = await ask(question, printing(outputs))
    assert f"{exchange.answer}[{exchange.verdict or 'answered'}]\n" == _load()[_key(number, question)]


def test_there_is_no_answer_without_its_question() -> None:
    assert list(_load()) == [_key(number, question) for number, (question, _) in enumerate(CASES)]


async def _print_all() -> None:
    for number, (question, outputs) in enumerate(CASES):
        exchange = await ask(question, printing(outputs))
        print(f"{_key(number, question)}\n{exchange.answer}[{exchange.verdict or 'answered'}]")


if __name__ == "__main__":
    asyncio.run(_print_all())
