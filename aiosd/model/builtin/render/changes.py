"""What changes something: proposed once the state before is known, and told by the state after."""

import shlex
from collections.abc import Mapping

from aiosd.model.builtin.render.outcome import More, Reading, Seen, no_answer, trouble
from aiosd.model.builtin.render.processes import Process, parse_ps
from aiosd.model.builtin.render.services import parse_units, wants_root_journal, with_log
from aiosd.model.builtin.text import Answer, Table, clip

_NAME_COLUMNS = 60
_COMMAND_COLUMNS = 200
_ACTIVE = {"active", "reloading", "refreshing"}
_ZONES = "/usr/share/zoneinfo/"


def not_done(seen: Seen) -> Answer | None:
    """The answer where the change did not come about: refused, denied, or failed; None where it was carried out."""
    reading = seen["change"]
    if reading.result.outcome == "done":
        return None
    why = trouble(seen, reading)
    return Answer(sentences=(why,), notes=_untouched(seen, reading, named=reading.command in why), failed=True)


def _untouched(seen: Seen, reading: Reading, *, named: bool) -> tuple[str, ...]:
    """That nothing was changed, where that is so; with the command, where nothing has `named` it yet."""
    if reading.result.outcome not in {"denied", "skipped", "refused", "unanswered"}:
        return ()
    command = clip(reading.command, _COMMAND_COLUMNS)
    return (seen.say("not_changed") if named else seen.say("not_changed_by", command=command),)


def change_service(seen: Seen) -> Answer | More:
    """Start, stop, restart, enable or disable: from `systemctl show` before and after."""
    say, slot = seen.say, seen.slots["service"]
    units = parse_units(seen["show"])
    if not units:
        return no_answer(seen, seen["show"])
    unit = units[0]
    if unit["LoadState"] == "not-found" and slot.others:
        if "others" not in seen.readings:
            return More(command="others", fill={"others": shlex.join(slot.others)})
        unit = next((other for other in parse_units(seen["others"]) if other["LoadState"] != "not-found"), unit)
    name = clip(unit["Id"], _NAME_COLUMNS)
    if unit["LoadState"] == "not-found":
        return Answer(sentences=(say("no_unit", unit=clip(slot.value, _NAME_COLUMNS)),), failed=True)
    verb = seen.intent.partition("_")[0]
    if reason := _needless(seen, verb, unit, name):
        return Answer(sentences=(reason,))
    quoted = {"service": shlex.quote(unit["Id"])}
    if "change" not in seen.readings:
        return More(command="change", fill=quoted)
    failure = not_done(seen)
    if failure is not None and failure.notes:
        return failure
    if "after" not in seen.readings:
        return More(command="after", fill=quoted)
    after = next(iter(parse_units(seen["after"])), None)
    if after is None:
        return no_answer(seen, seen["after"])
    if failure is None and (told := _became(seen, verb, unit, after, name)):
        return Answer(sentences=(told,))
    if "journal" not in seen.readings:
        return More(command="journal", fill=quoted)
    if wants_root_journal(seen):
        return More(command="root_journal", fill=quoted)
    active, detail = after["ActiveState"], after.get("SubState", "")
    state = say("still_state", unit=name, state=clip(active if detail in {active, ""} else f"{active} ({detail})", 40))
    sentences = (*(failure.sentences if failure else ()), state)
    told_log = with_log(seen, sentences, notes=())
    return Answer(sentences=told_log.sentences, table=told_log.table, notes=told_log.notes, failed=True)


def _needless(seen: Seen, verb: str, unit: Mapping[str, str], name: str) -> str:
    """Why there is nothing to do, or nothing."""
    active, file = unit["ActiveState"], unit.get("UnitFileState", "")
    if "change" in seen.readings:
        return ""
    if verb == "start" and active in _ACTIVE:
        return seen.say("already_active", unit=name)
    if verb == "stop" and active in {"inactive", "failed"}:
        return seen.say("already_inactive", unit=name)
    if verb == "enable" and file == "enabled":
        return seen.say("already_enabled", unit=name)
    if verb == "disable" and file == "disabled":
        return seen.say("already_disabled", unit=name)
    if verb in {"enable", "disable"} and file in {"static", "masked", "indirect", "generated", "transient"}:
        return seen.say("cannot_enable", unit=name, state=file)
    return ""


def _became(seen: Seen, verb: str, before: Mapping[str, str], after: Mapping[str, str], name: str) -> str:
    """The sentence for the state that was wanted; nothing where it is another."""
    say, state, file = seen.say, after["ActiveState"], after.get("UnitFileState", "")
    ended_well = state == "inactive" and after.get("Result") == "success"  # a unit that does its work and ends
    match verb:
        case "start" if state in _ACTIVE or ended_well:
            return say("now_active" if state in _ACTIVE else "unit_finished", unit=name, details="")
        case "restart" if state in _ACTIVE:
            old, new = before.get("MainPID", "0"), after.get("MainPID", "0")
            if "0" in {old, new}:
                return say("now_active", unit=name)
            return say("now_restarted", unit=name, pid=new, before=old)
        case "stop" if state in {"inactive", "failed"}:
            return say("now_inactive", unit=name)
        case "enable" if file.startswith("enabled"):
            return say("now_enabled", unit=name)
        case "disable" if file == "disabled":
            return say("now_disabled", unit=name)
    return ""


def set_timezone(seen: Seen) -> Answer | More:
    """The zone, when there is one of that name: from the link /etc/localtime before and after."""
    say, zone = seen.say, clip(seen.slot("zone"), _NAME_COLUMNS)
    before = read_zone(seen["before"])
    if not seen["known"].lines:
        absent = seen["known"].result.outcome in {"done", "failed"}
        return Answer(sentences=(say("no_zone", zone=zone) if absent else trouble(seen, seen["known"]),), failed=True)
    if before == seen.slot("zone"):
        return Answer(sentences=(say("zone_already", zone=zone),))
    if "change" not in seen.readings:
        return More(command="change")
    if (failure := not_done(seen)) is not None:
        return failure
    if "after" not in seen.readings:
        return More(command="after")
    after = read_zone(seen["after"])
    if after == seen.slot("zone"):
        return Answer(sentences=(say("zone_now", zone=zone, before=clip(before or "UTC", _NAME_COLUMNS)),))
    return Answer(sentences=(say("zone_still", zone=clip(after or "?", _NAME_COLUMNS)),), failed=True)


def read_zone(reading: Reading) -> str:
    """The zone that `readlink /etc/localtime` names, or nothing."""
    return reading.out.strip().rpartition("zoneinfo/")[2] if reading.result.outcome == "done" else ""


def find_process(seen: Seen) -> Answer:
    """From `ps`: the processes of a name, or of a number."""
    say = seen.say
    matching = _matching(seen)
    if matching is None:
        return no_answer(seen, seen["ps"])
    if not matching:
        return Answer(sentences=(_none(seen),))
    name = clip(seen.slot("process"), _NAME_COLUMNS)
    told = say.count("process_some", len(matching), name=name)
    if name.isdigit():
        told = say("process_of_pid", pid=name, name=clip(matching[0].name, _NAME_COLUMNS))
    return Answer(sentences=(told,), table=_table(seen, matching))


def kill_process(seen: Seen) -> Answer | More:
    """One process, told to end; of several none, as nobody said which."""
    say = seen.say
    matching = _matching(seen)
    if matching is None:
        return no_answer(seen, seen["ps"])
    if not matching:
        return Answer(sentences=(_none(seen),), failed=True)
    if len(matching) > 1:
        name = clip(seen.slot("process"), _NAME_COLUMNS)
        return Answer(
            sentences=(say.count("kill_many", len(matching), name=name),), table=_table(seen, matching), failed=True
        )
    one = matching[0]
    if "change" not in seen.readings:
        return More(command="change", fill={"pids": one.pid})
    if (failure := not_done(seen)) is not None:
        return failure
    if "after" not in seen.readings:
        return More(command="after", fill={"pids": one.pid})
    fields = {"name": clip(one.name, _NAME_COLUMNS), "pid": one.pid}
    if seen["after"].lines:
        return Answer(sentences=(say("kill_alive", **fields),), failed=True)
    return Answer(sentences=(say("killed", **fields),))


def _matching(seen: Seen) -> list[Process] | None:
    """The processes of that name or number; None where `ps` did not tell."""
    reading, wanted = seen["ps"], seen.slot("process")
    if reading.complaints or reading.result.outcome not in {"done", "failed"} or reading.result.status not in {0, 1}:
        return None
    processes, _ = parse_ps(reading)
    if wanted.isdigit():
        return [process for process in processes if process.pid == wanted]
    # The kernel keeps 15 bytes of a name: proc(5).
    return [process for process in processes if process.name in {wanted, wanted[:15]}]


def _none(seen: Seen) -> str:
    wanted = clip(seen.slot("process"), _NAME_COLUMNS)
    return seen.say("process_none_pid", pid=wanted) if wanted.isdigit() else seen.say("process_none", name=wanted)


def _table(seen: Seen, processes: list[Process]) -> Table:
    say = seen.say
    return Table(
        headings=(say("col_pid"), say("col_user"), say("col_command")),
        rows=tuple((one.pid, clip(one.user, 32), clip(one.name, _NAME_COLUMNS)) for one in processes[:20]),
        right=frozenset((0,)),
    )
