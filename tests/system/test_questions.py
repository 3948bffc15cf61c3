"""The built-in model on a machine whose facts are known: what it says is held against another reading of that machine.

One machine for all: a failed unit, a service that listens, a full disk, a package of today, sudo rules without a
password, a weak sshd, a login that failed. Asked as an administrator, as an ordinary user and as root.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.guest import Guest, Testbed
from tests.system.packages import bare_package, install

_SYNC = "[Unit]\nDescription=Fetches the orders of the shop\n[Service]\nExecStart=/bin/sh -c 'exit 3'\n"
_WEB = """\
[Unit]
Description=Serves the shop
[Service]
ExecStart=/usr/bin/python3 -m http.server --directory /srv 8099
[Install]
WantedBy=multi-user.target
"""
_RULES = "carol ALL=(ALL) NOPASSWD: ALL\nbob ALL=(root) NOPASSWD: /usr/bin/systemctl restart shop-web\n# NOPASSWD: no\n"
_WEAK = "PermitRootLogin yes\nPasswordAuthentication yes\nPermitEmptyPasswords no\n"
_FACTS = """\
mkdir -p /srv/full && mount -t tmpfs -o size=8m full /srv/full && head -c 20m /dev/zero > /srv/full/orders.db
systemctl daemon-reload && systemctl start shop-web ssh; systemctl start shop-sync
systemctl enable --now --quiet aiosd.socket
echo wrong | setpriv --reuid=bob --regid=bob --init-groups su carol -c true
true
"""
_EVERYBODY = ("alice", "bob", "root")
_HIDDEN = "It is for root and administrators."


@pytest.fixture(scope="module")
def shop(testbed: Testbed, package: Path) -> Iterator[Guest]:
    """The machine with its facts."""
    with testbed.boot() as guest:
        guest.put("/etc/systemd/system/shop-sync.service", _SYNC)
        guest.put("/etc/systemd/system/shop-web.service", _WEB)
        guest.put("/etc/sudoers.d/90-shop", _RULES, mode=0o440)
        guest.put("/etc/ssh/sshd_config.d/10-weak.conf", _WEAK)
        install(guest, package)
        guest.enter(["sh", "-c", _FACTS], check=False)
        guest.wait_for(lambda: "8099" in guest.enter(["ss", "-tlnH"]).stdout)
        yield guest


def ask(guest: Guest, question: str, user: str) -> str:
    """The answer that `user` gets."""
    become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return guest.enter([*become, "aios", "ask", question], check=False).stdout


def ask_all(guest: Guest, question: str) -> dict[str, str]:
    """Everybody's answer, asked side by side."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(_EVERYBODY, pool.map(lambda user: ask(guest, question, user), _EVERYBODY), strict=True))


def _said(guest: Guest, *argv: str) -> str:
    return guest.enter(list(argv), check=False).stdout.strip()


def _pid(guest: Guest, unit: str) -> str:
    return _said(guest, "systemctl", "show", unit, "-P", "MainPID")


def _since(guest: Guest, unit: str) -> str:
    return _said(guest, "systemctl", "show", unit, "-P", "StateChangeTimestamp").partition(" ")[2]


def _installed_today(guest: Guest) -> list[str]:
    day = _said(guest, "date", "+%Y-%m-%d")
    lines = guest.read("/var/log/pacman.log").splitlines()
    (ours,) = [line for line in lines if "[ALPM] installed aios (" in line and line.startswith(f"[{day}")]
    found = re.fullmatch(r"\[(.{10})T(.{5}).*\((.*)\)", ours)
    assert found is not None
    count = sum("[ALPM] installed" in line for line in lines if line.startswith(f"[{day}"))
    return [f"{count} installed, ", f"{found[1]} {found[2]}  installed  aios  ", found[3]]


Reading = Callable[[Guest], list[str]]

# What is asked, and what of the machine must be in the answer, read another way.
EVERYBODY: dict[str, Reading] = {
    "which services failed?": lambda guest: [
        f"{len(guest.units(state='failed'))} unit has failed.\n",
        "shop-sync.service  Fetches the orders of the shop\n",
    ],
    "what is the state of shop-sync?": lambda guest: [
        f"shop-sync.service (Fetches the orders of the shop) has failed (since {_since(guest, 'shop-sync')}). ",
        "Its program ended with exit status 3.",
    ],
    "is shop-web running": lambda guest: [
        f"is running (since {_since(guest, 'shop-web')}, PID {_pid(guest, 'shop-web')}",
        "It does not start at boot.",
    ],
    "how much space is left on /srv/full?": lambda guest: [
        "/srv/full is 100% full: 0 B free of 8.0 MiB.",
        *(["8388608"] if _said(guest, "df", "-B1", "--output=size", "/srv/full").split()[-1] != "8388608" else []),
    ],
    "biggest files in /srv/full": lambda guest: [
        f"/srv/full/orders.db with {int(_said(guest, 'stat', '-c', '%s', '/srv/full/orders.db')) / 2**20:.1f} MiB."
    ],
    "what was installed today?": _installed_today,
    "is aios installed?": lambda guest: [f"aios {_said(guest, 'pacman', '-Q', 'aios').split()[1]} is installed."],
    "which package owns /usr/bin/aios?": lambda guest: [f"belongs to {_said(guest, 'pacman', '-Q', 'aios')}."],
    "how many packages are installed?": lambda guest: [
        f"{len(_said(guest, 'pacman', '-Q').splitlines())} packages are installed (pacman)."
    ],
    "who is in the wheel group?": lambda guest: [
        f"In wheel: {_said(guest, 'getent', 'group', 'wheel').split(':')[3]}."
    ],
    "which groups is alice in?": lambda guest: [
        f"alice (uid {_said(guest, 'id', '-u', 'alice')}) is in ",
        "alice is an administrator",
    ],
    "what is the hostname?": lambda guest: [f"This machine is called {_said(guest, 'hostname')}.\n"],
    "which kernel is this?": lambda guest: [_said(guest, "uname", "-r"), "Debian GNU/Linux"],
    "how much memory is there?": lambda guest: [
        f"of {int(_said(guest, 'free', '-b').split()[7]) / 2**30:.1f} GiB memory"
    ],
    "what time is it?": lambda guest: [_said(guest, "date", "+%Y-%m-%d"), "The time zone is Etc/UTC."],
    "which services start at boot?": lambda _guest: ["aiosd.socket\n"],
    "why is the network down?": lambda _guest: ["There is no network device but the loopback.\n"],
    "find files named orders.db in /srv": lambda _guest: ["1 file in /srv.", "/srv/full/orders.db\n"],
    "失敗したサービスは？": lambda _guest: ["1個のユニットが失敗しています。\n", "shop-sync.service"],
    "/srv/full の空き容量は？": lambda _guest: ["/srv/full は100%使用中で、残りわずかです（8.0 MiB のうち空き 0 B）。"],
    "このホスト名は？": lambda guest: [f"このマシンのホスト名は {_said(guest, 'hostname')} です。\n"],
}

# What only root sees: for administrators, what must be there; for others, what they are told instead.
ADMINISTRATORS: dict[str, tuple[Reading, list[str]]] = {
    "which ports are open?": (
        lambda guest: [f"8099/tcp  0.0.0.0  every machine  python3 (PID {_pid(guest, 'shop-web')})\n"],
        ["8099/tcp  0.0.0.0  every machine\n", f"Which process listens is not shown. {_HIDDEN}\n"],
    ),
    "who uses port 8099?": (
        lambda guest: [f"Port 8099 is used by python3 (PID {_pid(guest, 'shop-web')}). It is open to other machines."],
        ["Something listens on port 8099 (0.0.0.0/tcp).", _HIDDEN],
    ),
    "any failed logins?": (
        lambda _guest: ["1 failed login in the last 7 days, for carol.\n"],
        [f"I cannot see this. {_HIDDEN}\n"],
    ),
    "is this machine secure?": (
        lambda _guest: [
            "sshd lets root log in with a password",
            "carol may become root without a password",
            "bob may run /usr/bin/systemctl restart shop-web as root without a password",
            "sshd accepts passwords",
            "port 8099/tcp (shop-web.service) is open to every machine",
            "sudo systemctl disable --now shop-web.service",
            "Not seen: the firewall. This needs the command `nft or iptables-save`, which is not on this machine.",
        ],
        [
            "port 8099/tcp is open to every machine",
            f"Not seen: sshd's settings, sudo rules, the firewall, which process listens. {_HIDDEN}",
        ],
    ),
    "logs of shop-sync": (
        lambda _guest: ["shop-sync.service: Failed with result 'exit-code'.\n"],
        [_HIDDEN],
    ),
    "ポート 8099 を使っているのは？": (
        lambda guest: [f"ポート 8099 を使っているのは python3 (PID {_pid(guest, 'shop-web')}) です。"],
        ["root と管理者だけが確認できます。"],
    ),
}


@pytest.mark.parametrize("question", EVERYBODY)
def test_what_everybody_may_see_is_what_there_is(shop: Guest, question: str) -> None:
    answers = ask_all(shop, question)
    expected = EVERYBODY[question](shop)
    missing = [(user, each, answers[user]) for user in _EVERYBODY for each in expected if each not in answers[user]]
    assert missing == []


@pytest.mark.parametrize("question", ADMINISTRATORS)
def test_what_root_sees_administrators_see_and_others_are_told_so(shop: Guest, question: str) -> None:
    reading, others = ADMINISTRATORS[question]
    answers = ask_all(shop, question)
    expected = reading(shop)
    for user in ("alice", "root"):
        assert [each for each in expected if each not in answers[user]] == [], answers[user]
        assert _HIDDEN not in answers[user]
    assert [each for each in others if each not in answers["bob"]] == [], answers["bob"]
    assert [each for each in expected if each in answers["bob"]] == [], answers["bob"]


def test_an_observation_is_on_the_record_with_its_tier(shop: Guest) -> None:
    ask(shop, "is sshd safe? any failed logins?", "alice")
    ask(shop, "any failed logins?", "alice")
    entries = shop.journal("SYSLOG_IDENTIFIER=aios", "AIOS_USER=alice", "AIOS_TOOL=observe", "AIOS_KIND=decided")
    assert {entry["AIOS_TIER"] for entry in entries} == {"notify"}
    assert entries[-1]["AIOS_ACTION"] == "observe failed_logins"
    assert entries[-1]["_SYSTEMD_UNIT"] == "aios-guard.service"
    denied = shop.journal("SYSLOG_IDENTIFIER=aios", "AIOS_USER=bob", "AIOS_TOOL=observe", "AIOS_KIND=decided")
    assert {entry["AIOS_TIER"] for entry in denied} <= {"deny"}


def ask_for_a_change(guest: Guest, question: str, *options: str, user: str, approve: bool) -> str:
    """The answer to a question that proposes something, which root approves or denies."""
    with guest.start(["aios", "ask", *options, question], user=user) as asking:
        asking.end_of_input()
        shown = guest.wait_for(
            lambda: (pending := guest.enter(["aios", "pending"]).stdout) and "approval" in pending and pending,
            deadline_s=30,
        )
        (number,) = re.findall(r"approval (\w+)", str(shown))
        guest.enter(["aios", *(["approve", "--yes"] if approve else ["deny"]), number])
        return asking.wait(deadline_s=30).stdout


def test_a_change_is_proposed_and_its_outcome_looked_at_and_a_follow_up_keeps_the_subject(shop: Guest) -> None:
    before = _pid(shop, "shop-web")
    said = ask_for_a_change(shop, "restart shop-web", "--name", "shop", user="bob", approve=True)
    after = _pid(shop, "shop-web")
    assert before != after
    assert said == f"shop-web.service was restarted and is running (PID {after}, before {before}).\n"
    said = ask_for_a_change(shop, "stop it", "--session", "shop", user="bob", approve=False)
    refused = "`sudo systemctl stop shop-web.service` was not allowed: a person said no"
    assert said == f"{refused}\n\nNothing was changed.\n"
    assert _pid(shop, "shop-web") == after


def test_a_finding_is_fixed_by_its_number_and_gone_then(shop: Guest) -> None:
    assert "\npermitrootlogin yes\n" in _said(shop, "sshd", "-T")
    said = ask_for_a_change(shop, "fix finding 1", user="alice", approve=True)
    assert said == "Done; it is no longer so: sshd lets root log in with a password.\n"
    assert "\npermitrootlogin without-password\n" in _said(shop, "sshd", "-T")
    assert "sshd lets root log in" not in ask(shop, "is this machine secure?", "alice")


def test_a_package_is_installed_and_removed_after_a_yes_and_that_is_looked_at(shop: Guest) -> None:
    bare_package(shop, "orders-tool", "1.0-1", "/srv/orders-tool-1.0-1-any.pkg.tar.zst")
    script = (
        "repo-add --quiet /srv/shop.db.tar.gz /srv/orders-tool-*.zst;"
        "printf '[shop]\\nServer = file:///srv\\n' >>/etc/pacman.conf; pacman -Sy --noprogressbar"
    )
    shop.enter(["sh", "-ec", script])
    said = ask_for_a_change(shop, "install orders-tool", user="alice", approve=False)
    assert said.endswith("\n\nNothing was changed.\n")
    assert shop.enter(["pacman", "-Q", "orders-tool"], check=False).status == 1
    said = ask_for_a_change(shop, "install orders-tool", user="alice", approve=True)
    assert said == "orders-tool 1.0-1 is installed now.\n"
    assert _said(shop, "pacman", "-Q", "orders-tool") == "orders-tool 1.0-1"
    said = ask_for_a_change(shop, "orders-tool をアンインストールして", user="alice", approve=True)
    assert said == "orders-tool を削除しました。\n"
    assert shop.enter(["pacman", "-Q", "orders-tool"], check=False).status == 1


def test_a_missing_tool_is_named(shop: Guest) -> None:
    shop.enter(["mv", "/usr/bin/findmnt", "/usr/bin/findmnt.away"])
    try:
        said = ask(shop, "what is mounted?", "bob")
    finally:
        shop.enter(["mv", "/usr/bin/findmnt.away", "/usr/bin/findmnt"])
    assert said == "This needs the command `findmnt`, which is not on this machine.\n"
    assert "/srv/full" not in said
    outside = _said(shop, "findmnt", "--real", "-rno", "TARGET,FS-OPTIONS").splitlines()
    mounted = {line.split()[0]: line.split()[1].split(",") for line in outside}
    said = ask(shop, "what is mounted?", "bob")
    first, *rows = said.splitlines()
    assert first.startswith(f"{len(mounted)} file system")
    assert [path for path, options in mounted.items() if ("ro" in options) is not (path in first)] == [], said
    assert [path for path in mounted if not any(row.startswith(f"{path} ") for row in rows)] == []


def test_when_the_configured_model_does_not_answer_the_built_in_one_does(shop: Guest) -> None:
    shop.put(
        "/etc/aios/config.d/away.toml",
        '[agent]\nmodel = "away"\n[models.away]\nprovider = "openai"\nmodel = "m"\n'
        'base_url = "http://127.0.0.1:9/v1"\n',
    )
    shop.enter(["systemctl", "restart", "aiosd"])
    try:
        turn = shop.enter(["aios", "ask", "which services failed?"], check=False)
        other = shop.enter(["aios", "ask", "write a poem about the sea"], check=False)
    finally:
        shop.enter(["rm", "/etc/aios/config.d/away.toml"])
        shop.enter(["systemctl", "restart", "aiosd"])
    assert turn.stdout.startswith("1 unit has failed.\n")
    assert len([line for line in turn.stderr.splitlines() if "the built-in model answers instead" in line]) == 1
    assert (other.stdout, other.status != 0) == ("", True)


def test_on_a_broken_machine_it_still_answers(shop: Guest) -> None:
    """No network, a name server that is dead, a root that takes no writing, and a tool that is gone: all at once."""
    assert ask(shop, "which services failed?", "root").startswith("1 unit has failed.\n")
    shop.put(
        "/etc/aios/config.d/away.toml",
        '[agent]\nmodel = "away"\n[models.away]\nprovider = "openai"\nmodel = "m"\n'
        'base_url = "https://models.example/v1"\n',
    )
    names = shop.enter(["cat", "/etc/resolv.conf"], check=False).stdout
    shop.put("/etc/resolv.conf", "nameserver 127.0.0.9\n")
    shop.enter(["mv", "/usr/bin/findmnt", "/usr/bin/findmnt.away"])
    shop.enter(["systemctl", "stop", "aiosd", "aios-guard"])
    folders = "/usr /etc /home /var/lib"  # the root itself is busy, with the journal in it
    shop.enter(["sh", "-ec", f"for at in {folders}; do mount --bind $at $at; mount -o remount,bind,ro $at; done"])
    try:
        assert shop.enter(["touch", "/var/lib/x"], check=False).status == 1
        failed = shop.enter(["aios", "ask", "which services failed?"], check=False)
        mounted = ask(shop, "what is mounted?", "bob")
        status = shop.enter(["aios", "status"]).stdout
    finally:
        shop.enter(["systemctl", "stop", "aiosd", "aios-guard"])
        shop.enter(["umount", "--lazy", *folders.split()])
        shop.enter(["mv", "/usr/bin/findmnt.away", "/usr/bin/findmnt"])
        shop.enter(["rm", "/etc/aios/config.d/away.toml"])
        shop.put("/etc/resolv.conf", names)
    assert failed.stdout.startswith("1 unit has failed.\n")
    assert "the built-in model answers instead" in failed.stderr
    assert "in memory" in failed.stderr
    assert mounted == "This needs the command `findmnt`, which is not on this machine.\n"
    assert "record    in memory alone: Read-only file system" in status
    assert ask(shop, "which services failed?", "bob").startswith("1 unit has failed.\n")
    assert shop.enter(["aios", "log", "--verify"]).stdout == "the record is whole\n"
