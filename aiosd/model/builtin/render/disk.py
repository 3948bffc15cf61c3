"""Disk space, the biggest files and the biggest folders."""

import re
from dataclasses import dataclass

from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer, unread_places
from aiosd.model.builtin.text import Answer, Table, clip_path, render_percent, render_size

_FULL = 90  # percent from which a file system is said to be nearly full
_MOST_ROWS = 15
_MOST_ALARMS = 3
# df(1) with -P -T -B1; both the device (`//nas/my share`) and the mount point may hold spaces.
_DF_LINE = re.compile(
    r"(?P<device>\S.*?) +(?P<type>\S+) +(?P<size>\d+) +(?P<used>\d+) +(?P<free>-?\d+)"
    r" +(?P<percent>\d+%|-) (?P<mount>/.*)"
)
_READ_ONLY = frozenset(("iso9660", "udf", "squashfs", "erofs", "cramfs", "romfs"))  # always full, by nature


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileSystem:
    mount: str
    size: int
    used: int
    free: int
    percent: int
    read_only: bool


def disk_space(seen: Seen) -> Answer:
    """From `df -P -T -B1`: what is nearly full first, else the fullest, then all of them."""
    reading, say = seen["df"], seen.say
    systems, odd = _parse_df(reading)
    if systems is None:
        return no_answer(seen, reading)
    if not systems:
        return Answer(sentences=(say("disk_none"),), notes=caveats(seen, reading, odd_lines=odd))
    systems.sort(key=lambda system: (system.read_only, -system.percent, system.mount))
    full = [system for system in systems if system.percent >= _FULL and not system.read_only]
    if full:
        sentences = tuple(say("disk_full", **_fields(system)) for system in full[:_MOST_ALARMS])
    elif len(systems) == 1:
        sentences = (say("disk_one", **_fields(systems[0])),)
    else:
        sentences = (say("disk_fine"), say("disk_fullest", **_fields(systems[0])))
    rows = tuple(
        (
            clip_path(system.mount),
            render_size(system.size),
            render_size(system.used),
            render_size(system.free),
            f"{system.percent}%",
        )
        for system in systems
    )
    headings = (say("col_mount"), say("col_size"), say("col_used"), say("col_free"), say("col_percent"))
    table = Table(headings=headings, rows=rows[:_MOST_ROWS], right=frozenset((1, 2, 3, 4))) if len(rows) > 1 else None
    notes = caveats(seen, reading, odd_lines=odd)
    if len(rows) > _MOST_ROWS:
        notes = (say.count("more_rows", len(rows) - _MOST_ROWS), *notes)
    return Answer(sentences=sentences, table=table, notes=notes)


def _fields(system: _FileSystem) -> dict[str, str]:
    return {
        "mount": clip_path(system.mount),
        "percent": f"{system.percent}%",
        "free": render_size(system.free),
        "size": render_size(system.size),
    }


def _parse_df(reading: Reading) -> tuple[list[_FileSystem] | None, int]:
    """Each file system with a size, once, by its shortest path (None: no line is one), and how many lines are none."""
    found: dict[tuple[str, str, str], _FileSystem] = {}
    odd = known = 0
    for line in reading.lines:
        match = _DF_LINE.fullmatch(line)
        if match is None:
            odd += not line.startswith("Filesystem ")
            continue
        known += 1
        if match["size"] != "0" and match["percent"] != "-":
            system = _FileSystem(
                mount=match["mount"],
                size=int(match["size"]),
                used=int(match["used"]),
                free=int(match["free"]),
                percent=int(match["percent"][:-1]),
                read_only=match["type"] in _READ_ONLY,
            )
            key = match["device"], match["size"], match["used"]
            if key not in found or len(system.mount) < len(found[key].mount):
                found[key] = system
    return list(found.values()) if known else None, odd


def big_files(seen: Seen) -> Answer:
    """From `find -printf '%s\\t%p\\n' | sort -rn | head`: the largest in a sentence, then all of them."""
    reading, say, folder = seen["find"], seen.say, seen.slot("folder")
    files, odd = _parse_sizes(reading, folder)
    if not files:
        unread = unread_places(reading)
        inside = all(_holds(folder, place) and place != folder for place in unread) or folder.startswith("~")
        # Places that could not be read make find fail, and with it the pipeline where the shell passes that on.
        ended = reading.result.outcome == "done" or (reading.result.outcome == "failed" and unread)
        if not ended or reading.lines or len(unread) < len(reading.complaints) or not inside:
            return no_answer(seen, reading)
        return Answer(sentences=(say("no_big_files", folder=clip_path(folder)),), notes=caveats(seen, reading))
    size, path = files[0]
    sentence = say("biggest_file", folder=clip_path(folder), path=clip_path(path), size=render_size(size))
    rows = tuple((render_size(size), clip_path(path)) for size, path in files[:_MOST_ROWS])
    table = Table(headings=(say("col_size"), say("col_file")), rows=rows, right=frozenset((0,)))
    return Answer(
        sentences=(sentence,), table=table if len(rows) > 1 else None, notes=caveats(seen, reading, odd_lines=odd)
    )


def big_folders(seen: Seen) -> Answer:
    """From `du -x -B1 -d 1`: the whole and its largest part, then the parts."""
    reading, say, folder = seen["du"], seen.say, seen.slot("folder")
    sizes, odd = _parse_sizes(reading, folder)
    if not sizes:
        return no_answer(seen, reading)
    # du names the folder itself last, when it comes to its end; as `~` is expanded, not always as the person did.
    ended = reading.result.outcome in {"done", "failed"} and not reading.result.truncated
    whole = sizes[-1] if ended and all(_holds(sizes[-1][1], path) for _, path in sizes) else None
    parts = sorted((size for size in sizes if size is not whole), key=lambda part: (-part[0], part[1]))
    total = whole[0] if whole else sum(size for size, _ in parts)
    sentences = []
    if whole:
        sentences.append(say("folder_total", folder=clip_path(whole[1]), size=render_size(total)))
    if parts:
        size, path = parts[0]
        fields = {"path": clip_path(path), "size": render_size(size), "share": render_percent(size, total)}
        sentences.append(say("folder_most", **fields) if whole else say("folder_most_so_far", **fields))
    rows = tuple(
        (render_size(size), render_percent(size, total) if whole else "", clip_path(path)) for size, path in parts[:10]
    )
    headings = (say("col_size"), say("col_share") if whole else "", say("col_folder"))
    table = Table(headings=headings, rows=rows, right=frozenset((0, 1)))
    return Answer(
        sentences=tuple(sentences),
        table=table if len(rows) > 1 else None,
        notes=caveats(seen, reading, odd_lines=odd),
    )


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def _parse_sizes(reading: Reading, folder: str) -> tuple[list[tuple[int, str]], int]:
    """The lines of a size, a tab and a path below `folder`, and how many are not (a file's name may hold newlines)."""
    sizes, odd = [], 0
    for line in reading.lines:
        size, tab, path = line.partition("\t")
        if tab and size.isdigit() and (not folder.startswith("/") or path.startswith(folder.rstrip("/"))):
            sizes.append((int(size), path))
        else:
            odd += 1
    return sizes, odd
