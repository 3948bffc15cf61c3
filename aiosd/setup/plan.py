"""Which steps a setup has, from what was asked for; and what is said besides, of things it does not touch."""

import grp
import re
from dataclasses import dataclass
from pathlib import Path

from aiosd.setup.importing import Imported, render
from aiosd.setup.record import Record
from aiosd.setup.steps import CreateUser, JoinGroup, SetupError, Step, make_file

_ETC = "/etc/aios"
_UNITS = "/etc/systemd/system"
RECORD = Path(_ETC, "setup.json")
_RELOAD_GUARD = "systemctl try-reload-or-restart aios-guard.service"
_RELOAD_UNITS = "systemctl daemon-reload"
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_TERMINALS = (
    (re.compile(r"tty[1-9][0-9]?"), "getty@{}.service"),
    (re.compile(r"(?:ttyS|ttyAMA|ttyUSB|hvc)[0-9]{1,3}"), "serial-getty@{}.service"),
    (re.compile(r"console"), "console-getty.service"),
    (re.compile(r"pts/[0-9]{1,4}"), "container-getty@{}.service"),
)
_SUDOERS = ("/etc/sudoers", "/etc/sudoers.d", "/usr/lib/sudoers.d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a setup is asked for. `autologin` is a terminal, "" for none; `source` the imported file's path."""

    user: str = "ai"
    autologin: str = ""
    imported: Imported | None = None
    source: str = ""


def make_plan(wanted: Wanted, record: Record) -> list[Step]:
    """Every step, done or not, in order. SetupError for what cannot be wanted."""
    if not _NAME.fullmatch(wanted.user) or wanted.user == "root":
        raise SetupError(f"{wanted.user!r} is no name for the AI's user", "small letters, digits, - and _: --user NAME")

    def file(path: str, purpose: str, content: str, then: str) -> Step:
        return make_file(path, purpose, content, then=then, was=record.digest_of(path))

    steps: list[Step] = [
        CreateUser(name=wanted.user),
        JoinGroup(name=wanted.user, group="systemd-journal", purpose="to read the journal of the system"),
        file(
            f"{_ETC}/policy.d/50-setup.toml",
            "what no rule speaks of runs where it can only read; without this it is asked about",
            '# Made by `aios setup`.\nunmatched = "confine"\n',
            _RELOAD_GUARD,
        ),
    ]
    if wanted.imported is not None:
        content = render(wanted.imported, wanted.user, wanted.source)
        steps.append(file(f"{_ETC}/policy.d/60-imported.toml", f"the rules of {wanted.source}", content, _RELOAD_GUARD))
    if wanted.autologin:
        unit = getty_of(wanted.autologin)
        content = (
            "# Made by `aios setup --autologin`.\n[Service]\nExecStart=\n"
            f"ExecStart=-/sbin/agetty --autologin {wanted.user} --noreset --noclear - ${{TERM}}\n"
        )
        purpose = f"{wanted.user} is logged in on {wanted.autologin} without a password, by whoever sits there"
        steps.append(file(f"{_UNITS}/{unit}.d/50-aios-autologin.conf", purpose, content, _RELOAD_UNITS))
    return steps


def getty_of(terminal: str) -> str:
    """The unit that asks for a login on a terminal. SetupError where there is none."""
    for pattern, unit in _TERMINALS:
        if pattern.fullmatch(terminal):
            return unit.format(terminal.removeprefix("pts/"))
    raise SetupError(f"{terminal!r} is no terminal for a login", "name one: tty1, ttyS0, hvc0, console or pts/0")


def find_unasked_root(user: str, places: tuple[str, ...] = _SUDOERS) -> list[str]:
    """Lines of sudoers that may give `user` root without a question, past everything here: `file:line text`."""
    groups = _groups_of(user)
    found = []
    for place in map(Path, places):
        files = sorted(place.iterdir()) if place.is_dir() else [place] if place.is_file() else []
        for path in files:
            text = path.read_text(encoding="utf-8", errors="replace")
            for number, line in enumerate(text.splitlines(), 1):
                words = line.partition("#")[0].split()
                if any("NOPASSWD" in word or "!authenticate" in word for word in words) and _may_mean(
                    words[0], user, groups
                ):
                    found.append(f"{path}:{number} {' '.join(words)}")
    return found


def _may_mean(who: str, user: str, groups: frozenset[str]) -> bool:
    """Whether a line is about the user, a group of theirs, everybody, or an alias, which is not looked into."""
    if who.startswith("%"):
        return who[1:] in groups
    return who in (user, "ALL") or who.startswith("Defaults") or (who.isupper() and len(who) > 1)


def _groups_of(user: str) -> frozenset[str]:
    return frozenset({user, *(group.gr_name for group in grp.getgrall() if user in group.gr_mem)})
