"""Files by name, size, age and content; who uses one; the clock; the environment."""

import re

from aiosd.model.builtin.render.changes import not_done, read_zone
from aiosd.model.builtin.render.outcome import More, Seen, caveats, no_answer, trouble
from aiosd.model.builtin.text import Answer, Table, clip, clip_path, render_size

_ASKED_FOR = 200  # `head -n` of the commands
_MOST_ROWS = 30
_FOUND = re.compile(r"(\d+)\t(\d{4}-\d\d-\d\d \d\d:\d\d)\t(.+)")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d):\d\d (\S+) ([+-]\d{4})")
_PID_LINE = re.compile(r"\s*(\d+)\s+(\S+)\s+(\S.*)")
_ASKING = re.compile(r"/aios (?:ask|chat) |^aios (?:ask|chat) ")  # whoever asks about a path has it among its words
_SECRET = re.compile(r"key|token|secret|passw|auth|credential", re.IGNORECASE)


def find_file(seen: Seen) -> Answer:
    """From `find`: how many, then which, with size and date; those that are called just so come first."""
    reading, say, folder = seen["find"], seen.say, clip_path(seen.slot("folder"))
    found = [match for line in reading.lines if (match := _FOUND.fullmatch(line))]
    name = seen.slot("name").strip("*").lower()
    found.sort(key=lambda match: match[3].lower().rpartition("/")[2] != name)
    unread = [line for line in reading.complaints if not line.endswith("Permission denied")]
    if not found and (reading.lines or unread or reading.result.outcome not in {"done", "failed"}):
        return no_answer(seen, reading)
    notes = caveats(seen, reading)
    if not found:
        return Answer(sentences=(say("files_found_none", folder=folder),), notes=notes)
    rows = tuple((render_size(int(match[1])), match[2], clip_path(match[3])) for match in found[:_MOST_ROWS])
    if len(found) > _MOST_ROWS and len(found) < _ASKED_FOR:
        notes = (say.count("more_rows", len(found) - _MOST_ROWS), *notes)
    name = "files_found_many" if len(found) >= _ASKED_FOR else "files_found"
    headings = (say("col_size"), say("col_changed"), say("col_file"))
    return Answer(
        sentences=(say.count(name, len(found), folder=folder),),
        table=Table(headings=headings, rows=rows, right=frozenset((0,))),
        notes=notes,
    )


def text_in_files(seen: Seen) -> Answer:
    """From `grep`: how many lines in how many files, then which."""
    reading, say, folder = seen["grep"], seen.say, clip_path(seen.slot("folder"))
    rows = []
    for line in reading.lines:
        path, colon, rest = line.partition(":")
        number, second, text = rest.partition(":")
        if not number.isdigit():  # grep names no file where it was given just one
            path, number, second, text = seen.slot("folder"), path, colon, rest
        if second and number.isdigit():
            rows.append((clip_path(path, 70), number, clip(text.strip(), 90)))
    notes = caveats(seen, reading)
    if not rows:
        other = [line for line in reading.complaints if not line.endswith("Permission denied")]
        if reading.lines or other or reading.result.outcome not in {"done", "failed"}:
            return no_answer(seen, reading)
        shown = clip(seen.slot("text"), 60)
        return Answer(sentences=(say("text_found_none", folder=folder, text=shown),), notes=notes)
    files = len({row[0] for row in rows})
    if len(rows) > _MOST_ROWS:
        notes = (say.count("more_rows", len(rows) - _MOST_ROWS), *notes)
    headings = (say("col_file"), say("col_line"), "")
    return Answer(
        sentences=(say.count("text_found", len(rows), files=str(files), folder=folder),),
        table=Table(headings=headings, rows=tuple(rows[:_MOST_ROWS]), right=frozenset((1,))),
        notes=notes,
    )


def file_user(seen: Seen) -> Answer | More:
    """From `fuser`, which only root sees whole: the processes that have a file open; else what `ps` shows anybody."""
    say, path = seen.say, clip_path(seen.slot("path"))
    if "change" not in seen.readings:
        return More(command="change")
    reading = seen["change"]
    pids = [word for word in reading.out.split() if word.isdigit()]
    if not pids:
        silent = reading.result.outcome == "failed" and reading.result.status == 1 and not reading.complaints
        if silent:
            return Answer(sentences=(say("file_unused", path=path),))
        return _named(seen, not_done(seen) or no_answer(seen, reading))
    if "names" not in seen.readings:
        return More(command="names", fill={"pids": ",".join(dict.fromkeys(pids))})
    found = [match for line in seen["names"].lines if (match := _PID_LINE.fullmatch(line))]
    rows = tuple((match[1], clip(match[2], 32), clip(match[3], 40)) for match in found[:_MOST_ROWS])
    headings = (say("col_pid"), say("col_user"), say("col_command"))
    return Answer(
        sentences=(say.count("file_used", len(set(pids)), path=path),),
        table=Table(headings=headings, rows=rows, right=frozenset((0,))) if rows else None,
        notes=() if rows else (trouble(seen, seen["names"]),),
    )


def _named(seen: Seen, failure: Answer) -> Answer:
    """With `failure`, the processes that have the path among their words."""
    say, wanted = seen.say, seen.slot("path")
    found = [match for line in seen["ps"].lines if (match := _PID_LINE.fullmatch(line)) and _is_named(wanted, match[3])]
    path = clip_path(wanted)
    told = say.count("file_named", len(found), path=path) if found else say("file_named_none", path=path)
    rows = tuple((match[1], clip(match[2], 32), clip(match[3], 60)) for match in found[:_MOST_ROWS])
    headings = (say("col_pid"), say("col_user"), say("col_command"))
    return Answer(
        sentences=(told, *failure.sentences),
        table=Table(headings=headings, rows=rows, right=frozenset((0,))) if rows else None,
        notes=failure.notes,
        failed=True,
    )


def _is_named(path: str, line: str) -> bool:
    below = f"{path.rstrip('/')}/"
    if _ASKING.search(line):
        return False
    return any(word == path or word.startswith(below) or word.endswith(f"={path}") for word in line.split())


def time(seen: Seen) -> Answer:
    """From `date`, the link /etc/localtime and timedated: date, zone, whether the clock is kept right."""
    say, match = seen.say, _DATE.fullmatch(seen["date"].out.strip())
    if match is None:
        return no_answer(seen, seen["date"])
    zone = read_zone(seen["zone"])
    sentences = [say("time_is", date=match[1], time=match[2], zone=f"{clip(match[3], 12)} {match[4]}")]
    if zone:
        sentences.append(say("time_zone_is", zone=clip(zone, 40)))
    synced = re.search(r"^NTPSynchronized=(yes|no)$", seen["sync"].out, re.MULTILINE)
    if synced:
        sentences.append(say("time_synced" if synced[1] == "yes" else "time_unsynced"))
    return Answer(sentences=tuple(sentences))


def environment(seen: Seen) -> Answer:
    """From `env`; the values of what looks like a secret stay out."""
    say, reading = seen.say, seen["env"]
    pairs = sorted(line.split("=", 1) for line in reading.lines if "=" in line)
    if not pairs or reading.result.outcome != "done":
        return no_answer(seen, reading)
    rows = tuple((clip(name, 40), "…" if _SECRET.search(name) else clip(value, 90)) for name, value in pairs[:60])
    return Answer(
        sentences=(say.count("environment_some", len(pairs)),),
        table=Table(headings=(say("col_name"), say("col_value")), rows=rows),
    )
