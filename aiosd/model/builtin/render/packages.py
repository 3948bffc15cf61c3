"""Packages: what is installed, whose a file is, what was changed when, what could be updated. By pacman and by dpkg.

Both are asked, as either may be missing; a machine can have both.
"""

import re
import shlex

from aiosd.model.builtin.render.outcome import More, Reading, Seen, no_answer
from aiosd.model.builtin.render.when import read_span, render_when
from aiosd.model.builtin.text import Answer, Table, clip, clip_path, render_size

_MOST_ROWS = 40
_NAME_COLUMNS = 60
_TEXT_COLUMNS = 100
_PACMAN_LOG = re.compile(r"\[(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)[^\]]*\] \[ALPM\] (\w+) (\S+) \((.*)\)")
_DPKG_LOG = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d):\d\d (install|upgrade|remove) (\S+) (\S+) (\S+)")
_ACTS = {"install": "installed", "upgrade": "upgraded", "remove": "removed", "downgraded": "upgraded"}
_INSTALLED_SIZE = re.compile(r"([\d.]+) (B|KiB|MiB|GiB)")


def is_missing(reading: Reading) -> bool:
    """Whether the tool of `reading` is not on this machine."""
    return reading.result.status == 127 or any(line.endswith("command not found") for line in reading.complaints)


def parse_fields(reading: Reading) -> dict[str, str]:
    """`Name : value` lines, as pacman and apt-cache print them; the first of each name."""
    fields: dict[str, str] = {}
    for line in reading.lines:
        name, colon, value = line.partition(":")
        if colon and name.strip() not in fields:
            fields[name.strip()] = value.strip()
    return fields


def parse_status(reading: Reading) -> str:
    """The version that `dpkg-query` says is installed, or nothing."""
    for line in reading.lines:
        fields = line.split()
        if len(fields) >= 3 and fields[2] == "installed":
            return fields[1]
    return ""


def package_info(seen: Seen) -> Answer:
    """From `pacman -Qi` or `dpkg-query -W`: the version, what it is, how big."""
    say, name = seen.say, clip(seen.slot("package"), _NAME_COLUMNS)
    pacman, apt = seen["pacman"], seen["apt"]
    fields = parse_fields(pacman) if pacman.result.outcome == "done" else {}
    if "Version" in fields:
        sentences = [say("package_installed", package=name, version=clip(fields["Version"], 40))]
        sentences += [_end(fields["Description"])] if fields.get("Description") else []
        if size := _INSTALLED_SIZE.fullmatch(fields.get("Installed Size", "")):
            sentences.append(say("package_takes", size=f"{size[1]} {size[2]}"))
        if fields.get("Install Date"):
            sentences.append(say("package_dated", moment=clip(fields["Install Date"], 40)))
        return Answer(sentences=tuple(sentences))
    for line in apt.lines:
        parts = line.split("\t")
        if len(parts) == 5 and parts[2] == "installed":
            sentences = [say("package_installed", package=name, version=clip(parts[1], 40))]
            sentences += [_end(parts[4])] if parts[4] else []
            if parts[3].isdigit():
                sentences.append(say("package_takes", size=render_size(int(parts[3]) * 1024)))
            return Answer(sentences=tuple(sentences))
    if answer := _neither(seen, pacman, apt):
        return answer
    return Answer(sentences=(say("package_absent", package=name),))


def _end(text: str) -> str:
    """What a package says of itself, as a sentence."""
    text = clip(text, _TEXT_COLUMNS)
    return text if text.endswith((".", "…")) else f"{text}."


def search_package(seen: Seen) -> Answer:
    """From `pacman -Ss` and `apt-cache search`, those of that very name first."""
    say, wanted = seen.say, seen.slot("package")
    pacman, apt = seen["pacman"], seen["apt"]
    rows: list[tuple[str, str]] = []
    lines = pacman.lines if not is_missing(pacman) else ()
    for index, line in enumerate(lines):
        if not line.startswith(" ") and "/" in line:
            about = lines[index + 1].strip() if index + 1 < len(lines) else ""
            rows.append((line.split()[0].partition("/")[2], about))
    for line in apt.lines if not is_missing(apt) else ():
        name, dash, about = line.partition(" - ")
        if dash:
            rows.append((name, about))
    if not rows and (answer := _neither(seen, pacman, apt)):
        return answer
    shown = clip(wanted, _NAME_COLUMNS)
    if not rows:
        return Answer(sentences=(say("found_none", package=shown),))
    rows.sort(key=lambda row: (row[0] != wanted, not row[0].startswith(wanted), row[0]))
    table = tuple((clip(name, _NAME_COLUMNS), clip(about, 80)) for name, about in rows[:20])
    notes = (say.count("more_rows", len(rows) - 20),) if len(rows) > 20 else ()
    return Answer(
        sentences=(say.count("found_packages", len(rows), package=shown),),
        table=Table(headings=(say("col_package"), say("col_description")), rows=table),
        notes=notes,
    )


def file_owner(seen: Seen) -> Answer | More:
    """From `pacman -Qo` and `dpkg -S`; the latter also by the file's name before /usr was merged, or after."""
    say, path = seen.say, seen.slot("path")
    shown = clip_path(path)
    for line in seen["pacman"].lines:
        words = line.split()
        if " is owned by " in line and len(words) >= 5:
            return Answer(sentences=(say("owned_by", path=shown, package=clip(" ".join(words[-2:]), _NAME_COLUMNS)),))
    dpkg = seen["dpkg"]
    other = path.removeprefix("/usr") if path.startswith("/usr/") else f"/usr{path}"
    for reading in (dpkg, *([seen["other"]] if "other" in seen.readings else [])):
        for line in reading.lines:
            package, colon, owned = line.rpartition(": ")
            if colon and owned in {path, other} and not line.startswith("diversion"):
                return Answer(sentences=(say("owned_by", path=shown, package=clip(package, _NAME_COLUMNS)),))
    if not is_missing(dpkg) and "other" not in seen.readings and path.startswith("/"):
        return More(command="other", fill={"other": shlex.quote(other)})
    if answer := _neither(seen, seen["pacman"], dpkg):
        return answer
    if any("No such file" in line or "failed to find" in line for line in seen["pacman"].complaints):
        return Answer(sentences=(say("no_folder", folder=shown),), failed=True)
    return Answer(sentences=(say("owned_by_none", path=shown),))


def package_files(seen: Seen) -> Answer:
    """From `pacman -Ql` or `dpkg -L`, folders left out where they can be told apart."""
    say, name = seen.say, clip(seen.slot("package"), _NAME_COLUMNS)
    pacman, dpkg = seen["pacman"], seen["dpkg"]
    paths = [line.partition(" ")[2] for line in pacman.lines if not line.endswith("/") and " /" in line]
    if not paths:
        listed = [line for line in dpkg.lines if line.startswith("/") and line != "/."]
        folders = {path.rpartition("/")[0] for path in listed}
        paths = [path for path in listed if path not in folders]
    if not paths:
        if answer := _neither(seen, pacman, dpkg):
            return answer
        return Answer(sentences=(say("package_absent", package=name),))
    # Programs and settings are what people look for.
    paths.sort(key=lambda path: (not path.startswith(("/usr/bin", "/bin", "/usr/sbin", "/etc")), path))
    notes = (say.count("more_rows", len(paths) - _MOST_ROWS),) if len(paths) > _MOST_ROWS else ()
    if pacman.result.truncated or dpkg.result.truncated:
        notes = (*notes, say("cut"))
    return Answer(
        sentences=(say.count("files_of", len(paths), package=name),),
        table=Table(headings=("",), rows=tuple((clip_path(path),) for path in paths[:_MOST_ROWS])),
        notes=notes,
    )


def package_history(seen: Seen) -> Answer:
    """From the logs of pacman and dpkg, in the time that was asked for; of no time in particular, the last."""
    say = seen.say
    found: list[tuple[str, str, str, str]] = []
    for line in seen["pacman"].lines:
        if match := _PACMAN_LOG.fullmatch(line):
            act = _ACTS.get(match[3], match[3])
            found.append((f"{match[1]} {match[2]}", act, match[4], match[5].rpartition("-> ")[2]))
    for line in seen["dpkg"].lines:
        if match := _DPKG_LOG.fullmatch(line):
            act = "upgraded" if match[3] == "install" and match[5] != "<none>" else _ACTS[match[3]]
            name, version = match[4].partition(":")[0], match[5] if act == "removed" else match[6]
            found.append((f"{match[1]} {match[2]}", act, name, version))
    readable = any(seen[log].result.status in {0, 1} and not seen[log].complaints for log in ("pacman", "dpkg"))
    if not found and not readable:
        return Answer(sentences=(say("history_unread"),), failed=True)
    since, until = read_span(seen)
    kept = sorted(entry for entry in found if since <= entry[0] < until)
    when = render_when(seen)
    if not kept:
        return Answer(sentences=(say("history_none", when=when),))
    counts = {act: str(sum(entry[1] == act for entry in kept)) for act in ("installed", "upgraded", "removed")}
    rows = tuple(
        (moment, say(f"act_{act}"), clip(name, _NAME_COLUMNS), clip(version, 40))
        for moment, act, name, version in reversed(kept[-_MOST_ROWS:])
        if f"act_{act}" in say.sentences
    )
    notes = (say.count("more_rows", len(kept) - len(rows)),) if len(kept) > len(rows) else ()
    return Answer(
        sentences=(say("history_some", when=when, **counts),),
        table=Table(headings=(say("col_when"), say("col_action"), say("col_package"), say("col_version")), rows=rows),
        notes=notes,
    )


def parse_updates(pacman: Reading, apt: Reading) -> list[tuple[str, str, str]]:
    """Package, version, new version, from `pacman -Qu` and `apt list --upgradable`."""
    found = []
    for line in pacman.lines if not is_missing(pacman) else ():
        fields = line.split()
        if len(fields) >= 4 and fields[2] == "->" and not line.endswith("[ignored]"):
            found.append((fields[0], fields[1], fields[3]))
    for line in apt.lines if not is_missing(apt) else ():
        name, slash, rest = line.partition("/")
        fields = rest.split()
        if slash and "upgradable from:" in rest and len(fields) >= 2:
            found.append((name, rest.rpartition(": ")[2].rstrip("]"), fields[1]))
    return found


def render_age(seen: Seen) -> tuple[float | None, str]:
    """The age of the newest package database in seconds, None without one, and the command that refreshes it."""
    now, newest, refresh = seen["now"].out.strip(), 0.0, "apt-get update"
    for line in seen["age"].lines:
        stamp, _, path = line.partition(" ")
        known = path.endswith(".db") or "Packages" in path or "Release" in path
        if known and stamp.replace(".", "", 1).isdigit() and float(stamp) > newest:
            newest = float(stamp)
            refresh = "pacman -Syu" if path.endswith(".db") else "apt-get update"
    if is_missing(seen["apt"]):
        refresh = "pacman -Syu"
    return (float(now) - newest if now.isdigit() and newest else None), refresh


def pending_updates(seen: Seen) -> Answer:
    """From the local databases, with their age: nothing is fetched for an answer."""
    say, pacman, apt = seen.say, seen["pacman"], seen["apt"]
    if answer := _neither(seen, pacman, apt):
        return answer
    found = parse_updates(pacman, apt)
    age, refresh = render_age(seen)
    if age is None:
        notes: tuple[str, ...] = (say("updates_never", refresh=refresh),)
    else:
        notes = (say("updates_age", span=say.duration(age), refresh=refresh),)
    if wanted := seen.slot("package"):
        package = clip(wanted, 50)
        told = [
            say("update_of", package=package, old=clip(old, 40), new=clip(new, 40))
            for name, old, new in found
            if name == wanted
        ]
        return Answer(sentences=(*(told or [say("update_of_none", package=package)]), *notes))
    if not found:
        return Answer(sentences=(say("updates_none"), *notes))
    rows = tuple((clip(name, 50), clip(old, 40), clip(new, 40)) for name, old, new in found[:_MOST_ROWS])
    if len(found) > _MOST_ROWS:
        notes = (say.count("more_rows", len(found) - _MOST_ROWS), *notes)
    headings = (say("col_package"), say("col_version"), say("col_new"))
    return Answer(
        sentences=(say.count("updates_some", len(found)),), table=Table(headings=headings, rows=rows), notes=notes
    )


def orphans(seen: Seen) -> Answer:
    """From `pacman -Qtd`, and from what apt counts as no longer needed."""
    say, pacman, apt = seen.say, seen["pacman"], seen["apt"]
    by_pacman = [line.split()[0] for line in pacman.lines] if pacman.result.outcome == "done" else []
    by_apt = [line.partition("/")[0] for line in apt.lines if "auto-removable" in line]
    names = [*by_pacman, *by_apt]
    if not names:
        return _neither(seen, pacman, apt) or Answer(sentences=(say("orphans_none"),))
    removed = f"sudo pacman -Rns {' '.join(by_pacman[:10])}{' …' if len(by_pacman) > 10 else ''}"
    lines = [*([removed] if by_pacman else []), *(["sudo apt-get autoremove"] if by_apt else [])]
    more = (say.count("more_rows", len(names) - _MOST_ROWS),) if len(names) > _MOST_ROWS else ()
    return Answer(
        sentences=(say.count("orphans_some", len(names)),),
        table=Table(
            headings=(say("col_package"),), rows=tuple((clip(name, _NAME_COLUMNS),) for name in names[:_MOST_ROWS])
        ),
        notes=(*more, *(say("orphans_remove", line=clip(line, 200)) for line in lines)),
    )


def package_count(seen: Seen) -> Answer:
    """How many, by each package manager that has any."""
    say, sentences = seen.say, []
    for name, manager in (("pacman", "pacman"), ("dpkg", "dpkg")):
        count = seen[name].out.strip()
        if count.isdigit() and int(count):
            sentences.append(say.count("packages_installed", int(count), manager=manager))
    if not sentences:
        return no_answer(seen, seen["dpkg"] if is_missing(seen["pacman"]) else seen["pacman"])
    return Answer(sentences=tuple(sentences))


def _neither(seen: Seen, pacman: Reading, apt: Reading) -> Answer | None:
    """The answer where neither tool could tell; None where one of them was there and ran."""
    if is_missing(pacman) and is_missing(apt):
        return Answer(sentences=(seen.say("no_manager"),), failed=True)
    for reading in (pacman, apt):
        if not is_missing(reading) and reading.result.outcome in {"done", "failed"}:
            return None
    return no_answer(seen, apt if is_missing(pacman) else pacman)
