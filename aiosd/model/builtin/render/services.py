"""What failed, and the state of one unit."""

import re
import shlex
from collections.abc import Mapping

from aiosd.model.builtin.render.outcome import More, Reading, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.text import Answer, Table, clip, render_size, reword

_MOST_ROWS = 20
_NAME_COLUMNS = 60
_TEXT_COLUMNS = 110
_SIGNALS = {"2", "3"}  # ExecMainCode: CLD_KILLED and CLD_DUMPED of waitid(2); the status is then a signal
_EXITED = "1"
_NOT_STARTED = {"203": "exec_203", "217": "exec_217", "200": "exec_200", "226": "exec_226"}  # systemd.exec(5)
_UP = {"active", "reloading", "refreshing"}
# `journalctl -o short-iso`: time with zone, host, who, what.
_JOURNAL_LINE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)[+-]\d\d:?\d\d \S+ (.*)")
_LOG_ROWS = 5
_HIDDEN = ("insufficient permissions", "not seeing messages from other users")
_NO_ENTRIES = "-- No entries --"


def failed_services(seen: Seen) -> Answer:
    """From `systemctl list-units --failed`: how many, then which."""
    reading, say = seen["failed"], seen.say
    units, odd = [], 0
    for line in reading.lines:
        fields = line.split(maxsplit=4)
        if len(fields) >= 4 and "." in fields[0] and "failed" in fields[2:4]:
            units.append((clip(fields[0], _NAME_COLUMNS), clip(fields[4] if len(fields) > 4 else "", _TEXT_COLUMNS)))
        else:
            odd += 1
    if not units and (reading.lines or reading.result.outcome != "done" or reading.complaints):
        return no_answer(seen, reading)
    if not units:
        return Answer(sentences=(say("none_failed"),), notes=caveats(seen, reading))
    notes = caveats(seen, reading, odd_lines=odd)
    if len(units) > _MOST_ROWS:
        notes = (say.count("more_rows", len(units) - _MOST_ROWS), *notes)
    return Answer(
        sentences=(say.count("some_failed", len(units)),),
        table=Table(headings=(say("col_unit"), say("col_description")), rows=tuple(units[:_MOST_ROWS])),
        notes=notes,
    )


def service_state(seen: Seen) -> Answer | More:
    """From `systemctl show`: is it up, since when, and if not, why and what its log says last.

    A unit that does not exist may be known by another name (ssh, sshd): those are looked at before it is said so.
    """
    say = seen.say
    slot = seen.slots["service"]
    found = parse_units(seen["show"])
    if not found:
        return no_answer(seen, seen["show"])
    unit, known_as = found[0], "other_name"
    if unit["LoadState"] == "not-found":
        if slot.others and "others" not in seen.readings:
            return More(command="others", fill={"others": shlex.join(slot.others)})
        others = parse_units(seen["others"]) if "others" in seen.readings else []
        unit = next((other for other in others if other["LoadState"] != "not-found"), unit)
        known_as = "other_unit"
    name = clip(unit["Id"], _NAME_COLUMNS)
    if unit["LoadState"] == "not-found":
        return Answer(sentences=(say("no_unit", unit=clip(slot.value, _NAME_COLUMNS)),), notes=_notes(seen))
    up = unit["ActiveState"] in _UP
    if not up and unit["LoadState"] == "loaded" and "journal" not in seen.readings:
        return More(command="journal", fill={"service": shlex.quote(unit["Id"])})
    if wants_root_journal(seen):
        return More(command="root_journal", fill={"service": shlex.quote(unit["Id"])})
    sentences = []
    if unit["Id"] != slot.value:
        sentences.append(say(known_as, unit=clip(slot.value, _NAME_COLUMNS), name=name))
    sentences.append(_state(seen, unit, name))
    sentences.extend(_reason(seen, unit))
    sentences.extend(_boot(seen, unit))
    return with_log(seen, tuple(sentences), _notes(seen))


def _state(seen: Seen, unit: Mapping[str, str], name: str) -> str:
    """Whether it is up, since when, with which process and how much memory."""
    say = seen.say
    if unit["LoadState"] != "loaded":
        known = {"masked": "unit_masked", "bad-setting": "unit_bad", "error": "unit_bad"}
        return say(known.get(unit["LoadState"], "unit_other"), unit=name, state=clip(unit["LoadState"], 30))
    since = _moment(unit.get("StateChangeTimestamp", ""))
    state, sub = unit["ActiveState"], clip(unit.get("SubState", ""), 30)
    key = {
        "active": "unit_active" if sub == "running" else "unit_finished" if sub == "exited" else "unit_on",
        "reloading": "unit_active",
        "inactive": "unit_inactive",
        "failed": "unit_failed",
        "activating": "unit_retrying" if sub == "auto-restart" else "unit_starting",
        "deactivating": "unit_stopping",
    }.get(state, "unit_other")
    description = unit.get("Description", "")
    named = (
        name
        if description in {"", unit["Id"]}
        else say("named", unit=name, description=clip(description, _NAME_COLUMNS))
    )
    details = []
    if since:
        details.append(say("since", moment=since))
    if unit.get("MainPID", "0").isdigit() and unit.get("MainPID", "0") != "0" and state in _UP:
        details.append(say("pid", pid=unit["MainPID"]))
    # Without a memory controller systemd says [not set], and 2^64-1 in older versions.
    memory = unit.get("MemoryCurrent", "")
    if memory.isdigit() and int(memory) < 1 << 60 and state in _UP:
        details.append(say("memory_of_unit", size=render_size(int(memory))))
    extra = say("details", details=say.list(tuple(details))) if details else ""
    sentence = say(key, unit=named, details=extra, state=sub if key == "unit_on" else clip(f"{state} ({sub})", 40))
    return reword(sentence, "） は", "）は")


def _reason(seen: Seen, unit: Mapping[str, str]) -> tuple[str, ...]:
    """Why it ended, when that was no success, and how often it was restarted."""
    say, sentences = seen.say, []
    result, status = unit.get("Result", "success"), unit.get("ExecMainStatus", "")
    if unit["LoadState"] != "loaded" or result == "success":
        return ()
    code = unit.get("ExecMainCode", "")
    if result in {"signal", "core-dump"} or (result == "exit-code" and code in _SIGNALS):
        sentences.append(say("why_signal", signal=status) if status.isdigit() else say("why_other", result="signal"))
    elif result == "exit-code" and code == _EXITED and status in _NOT_STARTED:
        sentences.append(say(_NOT_STARTED[status], status=status))
    elif result == "exit-code" and code == _EXITED:
        sentences.append(say("why_exit", status=clip(status, 10)))
    elif f"why_{result}" in say.sentences:
        sentences.append(say(f"why_{result}"))
    else:
        sentences.append(say("why_other", result=clip(result, 30)))
    restarts = unit.get("NRestarts", "0")
    if restarts.isdigit() and int(restarts) > 0:
        sentences.append(say.count("restarts", int(restarts)))
    return tuple(sentences)


def _boot(seen: Seen, unit: Mapping[str, str]) -> tuple[str, ...]:
    """Whether it starts at boot, where the unit says so itself."""
    key = {"enabled": "boot_yes", "disabled": "boot_no"}.get(unit.get("UnitFileState", ""))
    return (seen.say(key),) if key and unit["LoadState"] == "loaded" else ()


def hides_entries(reading: Reading) -> bool:
    """Whether journalctl says that there is more than this person may read."""
    return any(sign in line for line in reading.complaints for sign in _HIDDEN)


def wants_root_journal(seen: Seen) -> bool:
    """Whether the log, or a part of it, is hidden from this person, and the guard was not asked for it yet."""
    if "journal" not in seen.readings or "root_journal" in seen.readings:
        return False
    return hides_entries(seen["journal"])


def with_log(seen: Seen, sentences: tuple[str, ...], notes: tuple[str, ...]) -> Answer:
    """The answer, with the last lines of the log where they were read."""
    say = seen.say
    if "journal" not in seen.readings:
        return Answer(sentences=sentences, notes=notes)
    reading = seen["journal"]
    if "root_journal" in seen.readings and seen["root_journal"].result.outcome == "done":
        reading = seen["root_journal"]
    entries = [_JOURNAL_LINE.fullmatch(line) for line in reading.lines]
    rows = tuple((f"{entry[1]} {entry[2]}", clip(entry[3], _TEXT_COLUMNS)) for entry in entries if entry)[-_LOG_ROWS:]
    if rows:
        table = Table(headings=("", ""), rows=rows)
        if reading.complaints:
            notes = (*notes, say("log_partial"))
        return Answer(sentences=(*sentences, say("log_says")), table=table, notes=notes)
    if reading.result.outcome == "done" and _NO_ENTRIES in reading.lines:
        # Who may not read the system's journal is told so on stderr only.
        return Answer(sentences=(*sentences, say("log_hidden" if reading.complaints else "log_empty")), notes=notes)
    return Answer(sentences=sentences, notes=(*notes, say("log_unread", why=trouble(seen, reading))))


def _notes(seen: Seen) -> tuple[str, ...]:
    return caveats(seen, seen["show"])


def parse_units(reading: Reading) -> list[dict[str, str]]:
    """The units of `systemctl show`, one block of NAME=value lines each; a block without what is needed is left out."""
    units: list[dict[str, str]] = [{}]
    for line in reading.out.split("\n"):
        name, equals, value = line.partition("=")
        if equals and name.isalnum():
            units[-1][name] = value
        elif not line.strip():
            units.append({})
    return [unit for unit in units if {"Id", "LoadState", "ActiveState"} <= set(unit)]


def _moment(stamp: str) -> str:
    """`Sat 2026-11-21 09:15:36 UTC` without the day of the week."""
    day, _, rest = stamp.partition(" ")
    return clip(rest if day.isalpha() else stamp, 40)
