"""Services and jobs: what runs, what starts at boot, what is scheduled."""

import re
from collections.abc import Sequence

from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.text import Answer, Table, clip

_MOST_ROWS = 60
_OURS = ("aios-sandbox-", "aios-root-")  # what looks is not what the person asks about
_NAME_COLUMNS = 60
_TEXT_COLUMNS = 90
# `systemctl list-timers`: next, how long, last, how long, timer, what it starts; n/a or - where there is none.
_MOMENT = r"(?:\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+|n/a|-)"
_TIMER = re.compile(rf"({_MOMENT})\s+.*?({_MOMENT})\s+.*?(\S+\.timer)\s*(\S*)\s*")
_CRON_LINE = re.compile(r"(@\w+|\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s+(.+)")


def running_services(seen: Seen) -> Answer:
    """From `systemctl list-units`: how many, then which."""
    reading, say = seen["units"], seen.say
    rows = []
    for line in reading.lines:
        fields = line.split(maxsplit=4)
        if len(fields) >= 4 and fields[0].endswith(".service") and not fields[0].startswith(_OURS):
            rows.append((clip(fields[0], _NAME_COLUMNS), clip(fields[4] if len(fields) > 4 else "", _TEXT_COLUMNS)))
    if not rows and (reading.lines or reading.result.outcome != "done" or reading.complaints):
        return no_answer(seen, reading)
    if not rows:
        return Answer(sentences=(say("services_none"),))
    return _listed(
        seen, reading, say.count("services_running", len(rows)), (say("col_unit"), say("col_description")), rows
    )


def enabled_services(seen: Seen) -> Answer:
    """From `systemctl list-unit-files --state=enabled`."""
    reading, say = seen["files"], seen.say
    rows = [(clip(line.split()[0], _NAME_COLUMNS),) for line in reading.lines if "." in line.split()[0]]
    if not rows and (reading.lines or reading.result.outcome != "done" or reading.complaints):
        return no_answer(seen, reading)
    if not rows:
        return Answer(sentences=(say("enabled_none"),))
    return _listed(seen, reading, say.count("enabled_some", len(rows)), (say("col_unit"),), rows)


def timers(seen: Seen) -> Answer:
    """From `systemctl list-timers`: which comes next, then all."""
    reading, say = seen["timers"], seen.say
    found = _parse_timers(reading)
    if not found and (reading.lines or reading.result.outcome != "done" or reading.complaints):
        return no_answer(seen, reading)
    if not found:
        return Answer(sentences=(say("timers_none"),))
    sentences = [say.count("timers_some", len(found))]
    coming = [timer for timer in found if timer[1]]
    if coming:
        sentences.append(say("timer_next", timer=coming[0][0], moment=coming[0][1]))
    table = Table(
        headings=(say("col_timer"), say("col_next"), say("col_last")),
        rows=tuple((name, coming_at or "-", before or "-") for name, coming_at, before in found[:_MOST_ROWS]),
    )
    return Answer(sentences=tuple(sentences), table=table, notes=caveats(seen, reading))


def scheduled_jobs(seen: Seen) -> Answer:
    """From cron's tables and folders and systemd's timers."""
    say = seen.say
    rows: list[tuple[str, ...]] = [
        (clip(" ".join(match[1].split()), 30), clip(" ".join(match[2].split()), _TEXT_COLUMNS))
        for line in seen["cron"].lines
        if (match := _CRON_LINE.fullmatch(line.strip()))
    ]
    for path in seen["folders"].lines:
        folder, _, name = path.rpartition("/")
        rows.append((clip(folder.rpartition("cron.")[2], 30), clip(name, _TEXT_COLUMNS)))
    found = _parse_timers(seen["timers"])
    readable = seen["timers"].result.outcome == "done" and not seen["timers"].complaints
    if not rows and not found and not readable:
        return no_answer(seen, seen["timers"])
    notes = () if readable else (trouble(seen, seen["timers"]),)
    jobs = tuple(rows) + tuple((moment or "-", name) for name, moment, _ in found)
    return Answer(
        sentences=(say.count("jobs_some" if readable else "jobs_cron", len(rows), timers=str(len(found))),),
        table=Table(headings=(say("col_when"), say("col_job")), rows=jobs[:_MOST_ROWS]) if jobs else None,
        notes=notes,
    )


def _parse_timers(reading: Reading) -> list[tuple[str, str, str]]:
    """Each timer with its next and its last run, "" where there is none."""
    found = []
    for line in reading.lines:
        if match := _TIMER.fullmatch(line):
            coming, before = (_moment(match[1]), _moment(match[2]))
            found.append((clip(match[3], _NAME_COLUMNS), coming, before))
    return found


def _moment(text: str) -> str:
    return "" if text in {"n/a", "-"} else text.partition(" ")[2]


def _listed(
    seen: Seen, reading: Reading, sentence: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> Answer:
    notes = caveats(seen, reading)
    if len(rows) > _MOST_ROWS:
        notes = (seen.say.count("more_rows", len(rows) - _MOST_ROWS), *notes)
    return Answer(sentences=(sentence,), table=Table(headings=headings, rows=tuple(rows[:_MOST_ROWS])), notes=notes)
