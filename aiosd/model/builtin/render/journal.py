"""What the journal says: of a service, of errors, of the kernel; and how long the boot took."""

import re
import shlex
from collections import Counter

from aiosd.model.builtin.render.outcome import More, Reading, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.render.ports import withheld
from aiosd.model.builtin.render.services import hides_entries
from aiosd.model.builtin.render.when import read_span, render_when
from aiosd.model.builtin.text import Answer, Table, clip

_SHOWN = 20
_MOST_ASKED = 200  # lines of a log, where their number is named
_ASKED_FOR = 200  # entries that `recent_errors` reads; as many and more there may be
_TEXT_COLUMNS = 110
_NAME_COLUMNS = 60
_NO_JOURNAL = "No journal files were "  # found, or opened due to insufficient permissions
_NO_ENTRIES = "-- No entries --"
# `journalctl -o short-iso`: time with zone, host, who, what.
_LINE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)[+-]\d\d:?\d\d \S+ (.*)")
_SOURCE = re.compile(r"([^\s:\[]+)(?:\[\d+\])?: ")
_BLAME = re.compile(r"\s*((?:\d+(?:min|ms|s|h|\.\d+s) ?|\d+\.\d+s ?)+)\s+(\S+)")
_FINISHED = re.compile(r"Startup finished in (.*?)(?: = (\S.*?))?\s*$")


def parse_journal(reading: Reading) -> list[tuple[str, str]] | None:
    """The entries as (moment, text), the newest last; None where the journal was not read."""
    if _NO_JOURNAL in reading.err:
        return None
    entries = [(f"{match[1]} {match[2]}", match[3]) for line in reading.lines if (match := _LINE.fullmatch(line))]
    if entries or (reading.result.outcome == "done" and _NO_ENTRIES in reading.lines):
        return entries
    done = reading.result.outcome in {"done", "failed"} and not reading.lines and not reading.complaints
    return [] if done and reading.result.status in {0, 1} else None


def service_logs(seen: Seen) -> Answer | More:
    """From `journalctl -u`: the last entries; from `systemctl show` whether there is such a unit.

    Who may not read them all is shown what the guard shows them.
    """
    say, slot = seen.say, seen.slots["service"]
    unit, journal = slot.value, "journal"
    if "LoadState=not-found" in seen["show"].lines and parse_journal(seen["journal"]) == [] and slot.others:
        if "others" not in seen.readings:
            return More(command="others", fill={"others": shlex.join(slot.others)})
        if known := _known_units(seen["others"]):
            unit, journal = known[0], "other_journal"
    if journal not in seen.readings:
        return More(command=journal, fill={"service": shlex.quote(unit)})
    reading = seen[journal]
    entries, partial = parse_journal(reading), bool(reading.complaints)
    if "LoadState=not-found" in seen["show"].lines and unit == slot.value and not entries:
        return Answer(sentences=(say("no_unit", unit=clip(unit, _NAME_COLUMNS)),))
    if hides_entries(reading) and "root" not in seen.readings:
        return More(command="root", fill={"service": shlex.quote(unit)})
    if "root" in seen.readings and (of_all := parse_journal(seen["root"])) is not None:
        if "now" not in seen.readings:
            return More(command="now")
        since, until = read_span(seen)
        entries, partial = [entry for entry in of_all if since <= entry[0] < until], False
    if entries is None:
        return no_answer(seen, reading)
    unit = clip(unit, _NAME_COLUMNS)
    notes = (say("log_partial"),) if partial else ()
    if partial and "root" in seen.readings:
        notes = (f"{say('log_partial')} {withheld(seen, seen['root'])}",)
    if not entries:
        return Answer(sentences=(say("log_none", unit=unit),), notes=notes)
    shown = entries[-min(max(int(seen.slot("lines")), 1), _MOST_ASKED) :]
    return Answer(
        sentences=(say.count("log_of", len(shown), unit=unit),), table=_table(shown, _MOST_ASKED), notes=notes
    )


def _known_units(reading: Reading) -> list[str]:
    """The units of `systemctl show` that there are."""
    known = [block for block in reading.out.split("\n\n") if "LoadState=not-found" not in block]
    return [line[3:] for block in known for line in block.split("\n") if line.startswith("Id=")]


def recent_errors(seen: Seen) -> Answer | More:
    """From `journalctl -p err`, and for who may not read it all, what the guard may show them."""
    reading, say = seen["journal"], seen.say
    hidden = bool(reading.complaints)
    entries = parse_journal(reading)
    if (hidden or entries is None) and seen.slot("when") == "boot" and "root" not in seen.readings:
        return More(command="root")
    if "root" in seen.readings and (of_all := parse_journal(seen["root"])) is not None:
        entries, hidden = of_all, False
    if entries is None:
        return no_answer(seen, reading)
    notes = (say("errors_hidden"),) if hidden else ()
    if not entries:
        return Answer(sentences=(say("errors_none", when=render_when(seen)),), notes=notes)
    name = "errors_many" if len(entries) >= _ASKED_FOR else "errors_some"
    sentences = [say.count(name, len(entries), when=render_when(seen))]
    sources = Counter(match[1] for _, text in entries if (match := _SOURCE.match(text)))
    if len(entries) > 2 and sources and (first := sources.most_common(1)[0])[1] > 1:
        sentences.append(say("errors_loudest", source=clip(first[0], _NAME_COLUMNS), count=str(first[1])))
    return Answer(sentences=tuple(sentences), table=_table(entries), notes=notes)


def kernel_messages(seen: Seen) -> Answer | More:
    """From `journalctl -k`, and for who may not read it, what the guard may show them."""
    reading, say = seen["journal"], seen.say
    entries = parse_journal(reading)
    if not entries and "root" not in seen.readings:
        return More(command="root")
    if not entries and "root" in seen.readings:
        entries = parse_journal(seen["root"]) or entries
    if entries is None or (not entries and reading.complaints):
        return no_answer(seen, reading)
    if not entries:
        return Answer(sentences=(say("kernel_none", when=render_when(seen)),))
    return Answer(sentences=(say.count("kernel_some", min(len(entries), _SHOWN)),), table=_table(entries))


def boot_time(seen: Seen) -> Answer:
    """From `systemd-analyze time` and `blame`: how long, of what, and who took longest."""
    say, reading = seen.say, seen["time"]
    finished = next((match for line in reading.lines if (match := _FINISHED.match(line.strip()))), None)
    slow = [match for line in seen["blame"].lines if (match := _BLAME.fullmatch(line))]
    if finished is None and not slow:
        waiting = "not yet finished" in reading.text
        return Answer(sentences=(say("boot_unfinished") if waiting else trouble(seen, reading),), failed=True)
    sentences: tuple[str, ...] = ()
    if finished and finished[2]:
        parts = clip(finished[1].replace(" + ", ", "), _TEXT_COLUMNS)
        sentences = (say("boot_took", total=clip(finished[2], 30)), say("boot_parts", parts=parts))
    elif finished:
        sentences = (say("boot_took", total=clip(finished[1], 60)),)
    else:
        sentences = (say("boot_unfinished"),)
    rows = tuple((match[1].strip(), clip(match[2], _NAME_COLUMNS)) for match in slow[:10])
    if rows:
        sentences = (*sentences, say("boot_slowest", unit=rows[0][1], span=rows[0][0]))
    return Answer(
        sentences=sentences,
        table=Table(headings=(say("col_time"), say("col_unit")), rows=rows, right=frozenset((0,))) if rows else None,
        notes=(say("boot_side_by_side"),) if rows else caveats(seen, seen["blame"]),
    )


def _table(entries: list[tuple[str, str]], most: int = _SHOWN) -> Table:
    rows = tuple((moment, clip(text, _TEXT_COLUMNS)) for moment, text in entries[-most:])
    return Table(headings=("", ""), rows=rows)
