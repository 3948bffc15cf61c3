"""The security check: what an administrator would look at first, ranked, each finding with what would fix it."""

import re
import shlex
from dataclasses import dataclass

from aiosd.model.builtin.render.outcome import Reading, Seen, no_answer
from aiosd.model.builtin.render.packages import is_missing, parse_updates, render_age
from aiosd.model.builtin.render.ports import Socket, count_rules, drops_input, parse_sockets, withheld
from aiosd.model.builtin.text import Answer, Table, clip

_OBSERVED = ("sshd", "sudo", "firewall", "owners")
_STALE_S = 14 * 86_400
_SSHD_DROP_IN = "/etc/ssh/sshd_config.d/00-hardening.conf"
# sudoers(5), as `grep -rn` prints it: file, line, who, hosts, what may be run.
_NOPASSWD = re.compile(r"[^:]+:\d+:\s*(\S+)\s+\S+\s*=\s*(?:\([^)]*\)\s*)?(?:\w+:\s*)*?NOPASSWD:\s*(.+)")
_EXPECTED_OPEN = {("22", "tcp"), ("68", "udp"), ("546", "udp"), ("5353", "udp"), ("5355", "udp")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    weight: int
    text: str
    fix: str


def security_check(seen: Seen) -> Answer:
    """What could be seen is judged, what could not is named."""
    say, hidden = seen.say, []
    findings: list[_Finding] = []
    for name, part, judge in (
        ("sshd", "part_sshd", _judge_sshd),
        ("sudo", "part_sudo", _judge_sudo),
        ("firewall", "part_firewall", _judge_firewall),
        ("owners", "part_owners", _judge_nothing),
    ):
        reason = withheld(seen, seen[name])
        if not reason:
            findings += judge(seen, seen[name])
        elif not is_missing(seen[name]):
            hidden.append(say(part))
    sockets = _sockets(seen)
    if sockets is None and len(hidden) == 4:
        return no_answer(seen, seen["sockets"])
    findings += _judge_ports(seen, sockets or [])
    findings += _judge_updates(seen)
    reason = next((withheld(seen, seen[name]) for name in _OBSERVED if withheld(seen, seen[name])), "")
    notes = (say("security_hidden", what=say.list(tuple(hidden)), reason=reason),) if hidden else ()
    if not findings:
        return Answer(sentences=(say("security_clean"),), notes=notes)
    findings.sort(key=lambda finding: -finding.weight)
    rows = tuple((str(number), one.text, one.fix) for number, one in enumerate(findings[:15], 1))
    return Answer(
        sentences=(say.count("security_findings", len(findings)),),
        table=Table(headings=("", say("col_finding"), say("col_fix")), rows=rows),
        notes=notes,
    )


def _sockets(seen: Seen) -> list[Socket] | None:
    owned = parse_sockets(seen["owners"]) if seen["owners"].result.outcome == "done" else None
    return owned or parse_sockets(seen["sockets"])


def _judge_nothing(_seen: Seen, _reading: Reading) -> list[_Finding]:
    return []


def _judge_sshd(seen: Seen, reading: Reading) -> list[_Finding]:
    """From `sshd -T`: sshd_config(5)."""
    settings = {key: value for key, _, value in (line.partition(" ") for line in reading.lines)}
    say, found = seen.say, []
    if settings.get("permitemptypasswords") == "yes":
        found.append(_Finding(weight=100, text=say("find_empty_password"), fix=_set_sshd("PermitEmptyPasswords no")))
    password = settings.get("passwordauthentication") == "yes"
    if settings.get("permitrootlogin") == "yes" and password:
        fix = _set_sshd("PermitRootLogin prohibit-password")
        found.append(_Finding(weight=90, text=say("find_root_password"), fix=fix))
    if password:
        found.append(_Finding(weight=40, text=say("find_password"), fix=_set_sshd("PasswordAuthentication no")))
    return found


def _set_sshd(setting: str) -> str:
    return f"echo {setting} | sudo tee -a {_SSHD_DROP_IN}; sudo systemctl reload sshd"


def _judge_sudo(seen: Seen, reading: Reading) -> list[_Finding]:
    found = []
    for line in reading.lines:
        if (match := _NOPASSWD.fullmatch(line.strip())) is None:
            continue
        who, what, file = clip(match[1], 40), match[2].strip(), line.partition(":")[0]
        fix = f"sudo visudo -f {clip(file, 80)}"
        if re.match(r"ALL\b", what):
            found.append(_Finding(weight=80, text=seen.say("find_nopasswd_all", who=who), fix=fix))
        else:
            text = seen.say("find_nopasswd", who=who, what=clip(what, 60))
            found.append(_Finding(weight=50, text=text, fix=fix))
    return found


def _judge_firewall(seen: Seen, reading: Reading) -> list[_Finding]:
    outside = {(one.port, one.protocol) for one in _sockets(seen) or [] if not one.local}
    if (count_rules(reading) and drops_input(reading)) or not outside:
        return []
    text = seen.say("find_no_firewall", count=str(len(outside)))
    return [] if count_rules(reading) else [_Finding(weight=70, text=text, fix="sudo systemctl enable --now nftables")]


def _judge_ports(seen: Seen, sockets: list[Socket]) -> list[_Finding]:
    found = {}
    for one in sockets:
        key = (one.port, one.protocol)
        if not one.local and key not in _EXPECTED_OPEN:
            fix = f"sudo systemctl disable --now {shlex.quote(one.unit)}" if one.unit else "sudo ss -tulnp"
            text = seen.say("find_port", port="/".join(key), who=clip(one.unit or one.owner or "?", 60))
            found[key] = _Finding(weight=30, text=text, fix=clip(fix, 80))
    return list(found.values())


def _judge_updates(seen: Seen) -> list[_Finding]:
    say, updates = seen.say, parse_updates(seen["pacman"], seen["apt"])
    by_apt = any(line in {"ID=debian", "ID=ubuntu"} or line.startswith("ID_LIKE=") for line in seen["release"].lines)
    update = "sudo apt-get upgrade" if by_apt else "sudo pacman -Syu"
    age, refresh = render_age(seen)
    found = []
    if updates:
        text = say.count("find_updates", len(updates))
        found.append(_Finding(weight=60, text=text, fix=update))
    if age is not None and age > _STALE_S:
        text = say("find_stale", span=say.duration(age))
        found.append(_Finding(weight=35, text=text, fix=f"sudo {refresh}"))
    return found
