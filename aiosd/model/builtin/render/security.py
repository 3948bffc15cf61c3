"""The security check: what an administrator would look at first, ranked, each finding with the command that fixes it.

A fix is one command, proposed when a person names the finding by its number; then the machine is looked at again.
"""

import re
import shlex
from dataclasses import dataclass, replace

from aiosd.model.builtin.render.changes import not_done
from aiosd.model.builtin.render.outcome import More, Reading, Seen, no_answer
from aiosd.model.builtin.render.packages import is_missing, parse_updates, render_age
from aiosd.model.builtin.render.ports import Socket, count_rules, drops_input, parse_sockets, withheld
from aiosd.model.builtin.text import Answer, Table, clip

_OBSERVED = ("sshd", "sudo", "firewall", "owners")
_MOST = 15
_STALE_S = 14 * 86_400
_SSHD_DROP_IN = "/etc/ssh/sshd_config.d/00-aios.conf"  # sshd keeps the first value that it reads: sshd_config(5)
# sudoers(5), as `grep -rn` prints it: file, line, who, hosts, what may be run.
_NOPASSWD = re.compile(r"[^:]+:\d+:\s*(\S+)\s+\S+\s*=\s*(?:\([^)]*\)\s*)?(?:\w+:\s*)*?NOPASSWD:\s*(.+)")
_UNASKED = re.compile(r"[^:]+:\d+:\s*Defaults(?::(\S+))?\s.*!authenticate\b.*")
_PLACE = re.compile(r"([^:]+):(\d+):")
_EXPECTED_OPEN = {("22", "tcp"), ("68", "udp"), ("546", "udp"), ("5353", "udp"), ("5355", "udp")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """`of` names the reading that it comes from: the one to look at again once `fix` has run."""

    weight: int
    of: str
    text: str
    fix: str


def security_check(seen: Seen) -> Answer:
    """What could be seen is judged, what could not is named."""
    say = seen.say
    hidden = [part for name, part in _parts(seen) if withheld(seen, seen[name]) and not is_missing(seen[name])]
    if _sockets(seen) is None and len(hidden) == len(_OBSERVED):
        return no_answer(seen, seen["sockets"])
    reason = next((withheld(seen, seen[name]) for name in _OBSERVED if withheld(seen, seen[name])), "")
    notes = (say("security_hidden", what=say.list(tuple(hidden)), reason=reason),) if hidden else ()
    findings = _find(seen)
    if not findings:
        return Answer(sentences=(say("security_clean"),), notes=notes)
    rows = tuple((str(number), one.text, one.fix) for number, one in enumerate(findings, 1))
    return Answer(
        sentences=(say.count("security_findings", len(findings)),),
        table=Table(headings=("", say("col_finding"), say("col_fix")), rows=rows),
        notes=(*notes, say("security_fix")),
    )


def fix_finding(seen: Seen) -> Answer | More:
    """The fix of one finding of the check, by its number there; and whether the finding is gone then."""
    say, findings = seen.say, _find(seen)
    number = int(seen.slot("number"))
    if not number:  # none was named: they are listed with their numbers
        return security_check(seen)
    if not 0 < number <= len(findings):
        sentence = say.count("no_finding", len(findings), number=str(number)) if findings else say("security_clean")
        return Answer(sentences=(sentence,), failed=True)
    finding = findings[number - 1]
    if "change" not in seen.readings:
        return More(command="change", fill={"line": finding.fix})
    if (failure := not_done(seen)) is not None:
        return failure
    after = f"after_{finding.of}"
    if after not in seen.readings:
        return More(command=after)
    again = _find(replace(seen, readings={**seen.readings, finding.of: seen[after]}))
    if seen[after].result.outcome == "done" and finding.text not in {one.text for one in again}:
        return Answer(sentences=(say("finding_gone", finding=finding.text),))
    return Answer(sentences=(say("finding_stays", finding=finding.text),), failed=True)


def _parts(seen: Seen) -> tuple[tuple[str, str], ...]:
    say = seen.say
    names = (say("part_sshd"), say("part_sudo"), say("part_firewall"), say("part_owners"))
    return tuple(zip(_OBSERVED, names, strict=True))


def _find(seen: Seen) -> list[_Finding]:
    """The findings, the gravest first; the same readings give the same order."""
    findings: list[_Finding] = []
    for name, judge in (("sshd", _judge_sshd), ("sudo", _judge_sudo), ("firewall", _judge_firewall)):
        if seen[name].result.outcome == "done":
            findings += judge(seen, seen[name])
    findings += _judge_ports(seen)
    findings += _judge_updates(seen)
    return sorted(findings, key=lambda finding: -finding.weight)[:_MOST]


def _sockets(seen: Seen) -> list[Socket] | None:
    owned = parse_sockets(seen["owners"]) if seen["owners"].result.outcome == "done" else None
    return parse_sockets(seen["sockets"]) if owned is None else owned


def _judge_sshd(seen: Seen, reading: Reading) -> list[_Finding]:
    """From `sshd -T`: sshd_config(5)."""
    settings = {key: value for key, _, value in (line.partition(" ") for line in reading.lines)}
    password = settings.get("passwordauthentication") == "yes"
    found = []
    for weight, name, setting, is_weak in (
        (100, "find_empty_password", "PermitEmptyPasswords no", settings.get("permitemptypasswords") == "yes"),
        (
            90,
            "find_root_password",
            "PermitRootLogin prohibit-password",
            settings.get("permitrootlogin") == "yes" and password,
        ),
        (40, "find_password", "PasswordAuthentication no", password),
    ):
        if is_weak:
            script = f"echo {setting} >> {_SSHD_DROP_IN} && {{ systemctl reload ssh || systemctl reload sshd; }}"
            fix = f"sudo sh -c {shlex.quote(script)}"
            found.append(_Finding(weight=weight, of="sshd", text=seen.say(name), fix=fix))
    return found


def _judge_sudo(seen: Seen, reading: Reading) -> list[_Finding]:
    """From the lines of sudoers(5) that ask for no password; a file with a dot or a tilde in its name is not read."""
    say, found = seen.say, []
    for line in reading.lines:
        place = _PLACE.match(line)
        if place is None or "." in place[1].rpartition("/")[2] or place[1].endswith("~"):
            continue
        weight, edit = 80, r"s/NOPASSWD: *//"
        if match := _NOPASSWD.fullmatch(line.strip()):
            who, what = clip(match[1], 40), match[2].strip()
            text = say("find_nopasswd_all", who=who)
            if not re.match(r"ALL\b", what):
                weight, text = 50, say("find_nopasswd", who=who, what=clip(what, 60))
        elif match := _UNASKED.fullmatch(line.strip()):
            edit = "s/!authenticate/authenticate/"
            text = say("find_nopasswd_all", who=clip(match[1] or "ALL", 40))
        else:
            continue
        fix = f"sudo sed -i {shlex.quote(f'{place[2]}{edit}')} {shlex.quote(place[1])}"
        found.append(_Finding(weight=weight, of="sudo", text=text, fix=fix))
    return found


def _judge_firewall(seen: Seen, reading: Reading) -> list[_Finding]:
    outside = {(one.port, one.protocol) for one in _sockets(seen) or [] if not one.local}
    if not outside or count_rules(reading) or drops_input(reading):
        return []
    text = seen.say("find_no_firewall", count=str(len(outside)))
    return [_Finding(weight=70, of="firewall", text=text, fix="sudo systemctl enable --now nftables")]


def _judge_ports(seen: Seen) -> list[_Finding]:
    found = {}
    for one in _sockets(seen) or []:
        key = (one.port, one.protocol)
        if not one.local and key not in _EXPECTED_OPEN:
            fix = f"sudo systemctl disable --now {shlex.quote(one.unit)}" if one.unit else "sudo ss -tulnp"
            who, port = clip(one.unit or one.owner, 60), "/".join(key)
            text = seen.say("find_port", port=port, who=who) if who else seen.say("find_open_port", port=port)
            found[key] = _Finding(weight=30, of="owners", text=text, fix=fix)
    return list(found.values())


def _judge_updates(seen: Seen) -> list[_Finding]:
    say, updates = seen.say, parse_updates(seen["pacman"], seen["apt"])
    by_apt = any(line in {"ID=debian", "ID=ubuntu"} or line.startswith("ID_LIKE=") for line in seen["release"].lines)
    update = "sudo apt-get upgrade -y" if by_apt else "sudo pacman -Syu --noconfirm"
    age, _refresh = render_age(seen)
    found = []
    if updates:
        text = say.count("find_updates", len(updates))
        found.append(_Finding(weight=60, of="apt" if by_apt else "pacman", text=text, fix=update))
    if age is not None and age > _STALE_S:
        text = say("find_stale", span=say.duration(age))
        refresh = "sudo apt-get update" if by_apt else update
        found.append(_Finding(weight=35, of="age", text=text, fix=refresh))
    return found
