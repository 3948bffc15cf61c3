"""Users, groups and logins."""

import re
from collections import Counter

from aiosd.model.builtin.render.journal import parse_journal
from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, no_answer
from aiosd.model.builtin.render.ports import withheld
from aiosd.model.builtin.text import Answer, Table, clip

_NAME_COLUMNS = 40
_MOST_ROWS = 20
_ADMIN_GROUPS = ("wheel", "sudo", "root")
_PEOPLE = (1000, 60_000)  # login.defs(5), where it does not say otherwise
_LAST = re.compile(r"(\S+)\s+(\S+)\s+(?:(\S.*?)\s+)?\w{3} (\w{3} +\d+ \d\d:\d\d:\d\d \d{4})\b.*")
_NEW_SESSION = re.compile(r"New session '?[^' ]+'? of user '?([^' .]+)'?")
_FAILED_FOR = re.compile(
    r"(?:[Ff]ailed (?:password|publickey|none) for (?:invalid user )?|FAILED LOGIN .*? FOR '?|\buser=|[Ii]nvalid user )"
    r"([^\s',;]+)"
)
_FROM = re.compile(r"(?:from |rhost=)(\S+)")
_ID_GROUP = re.compile(r"\d+\(([^)]+)\)")


def logged_in(seen: Seen) -> Answer:
    """From logind's sessions; where there is no logind, from `who`."""
    say = seen.say
    rows: list[tuple[str, str, str]] = []
    for line in seen["sessions"].lines:
        fields = line.split()
        if len(fields) >= 3 and fields[1].isdigit() and "manager" not in fields and "background" not in fields:
            place = next((field for field in fields[3:] if field.startswith(("tty", "pts/", "seat"))), "-")
            rows.append((fields[2], place, ""))
    answered = seen["sessions"].result.outcome == "done" and not seen["sessions"].complaints
    if not rows:
        for line in seen["who"].lines:
            fields = line.split(maxsplit=4)
            if len(fields) >= 4:
                rows.append((fields[0], fields[1], fields[4].strip("()") if len(fields) > 4 else ""))
        answered = answered or seen["who"].result.outcome == "done"
    if not rows and not answered:
        return no_answer(seen, seen["sessions"])
    if not rows:
        return Answer(sentences=(say("logged_none"),))
    users = say.list(tuple(clip(user, _NAME_COLUMNS) for user in dict.fromkeys(row[0] for row in rows)))
    table = tuple((clip(user, _NAME_COLUMNS), clip(place, 20), clip(origin, 60)) for user, place, origin in rows)
    return Answer(
        sentences=(say.count("logged_some", len(rows), users=users),),
        table=Table(headings=(say("col_user"), "TTY", say("col_from")), rows=table[:_MOST_ROWS]),
    )


def last_logins(seen: Seen) -> Answer:
    """From `last`; where that is missing, from what logind wrote to the journal, which the guard may show."""
    say, wanted = seen.say, seen.slot("user")
    rows = []
    for line in seen["last"].lines if seen["last"].result.outcome == "done" else ():
        match = _LAST.fullmatch(line.rstrip())
        if match and match[1] not in {"reboot", "shutdown", "wtmp", "runlevel"}:
            rows.append((match[4], match[1], match[3] or match[2]))
    if not rows:
        journal = parse_journal(seen["root"]) if seen["root"].result.outcome == "done" else None
        for moment, text in reversed(journal or parse_journal(seen["journal"]) or []):
            if found := _NEW_SESSION.search(text):
                rows.append((moment, found[1], "-"))
    if wanted:
        rows = [row for row in rows if row[1] == wanted]
    readable = any(seen[name].result.outcome == "done" and not seen[name].complaints for name in ("last", "root"))
    if not rows and not readable:
        reason = withheld(seen, seen["root"])
        return Answer(sentences=(say("root_only", reason=reason),), failed=True)
    if not rows:
        shown = clip(wanted, _NAME_COLUMNS)
        return Answer(sentences=(say("last_none_of", user=shown) if wanted else say("last_none"),))
    table = tuple((moment, clip(user, _NAME_COLUMNS), clip(origin, 60)) for moment, user, origin in rows[:_MOST_ROWS])
    return Answer(
        sentences=(say("last_login", user=table[0][1], moment=table[0][0]),),
        table=Table(headings=(say("col_when"), say("col_user"), say("col_from")), rows=table),
    )


def failed_logins(seen: Seen) -> Answer:
    """From the guard's observation of the journal: how many, of whom, from where."""
    say, reading = seen.say, seen["failed"]
    if reason := withheld(seen, reading):
        return Answer(sentences=(say("root_only", reason=reason),), failed=True)
    entries = [
        (moment, text, found[1]) for moment, text in parse_journal(reading) or [] if (found := _FAILED_FOR.search(text))
    ]
    if not entries:
        return Answer(sentences=(say("failed_none"),))
    # PAM and sshd each write a line about one attempt: what happens in the same second to the same user is one.
    attempts = dict.fromkeys((moment, user) for moment, _, user in entries)
    origins = {
        (moment, user): origin[1] for moment, text, user in entries if (origin := _FROM.search(text)) is not None
    }
    user, most = Counter(user for _, user in attempts).most_common(1)[0]
    rows = tuple(
        (moment, clip(name, _NAME_COLUMNS), clip(origins.get((moment, name), "-"), 60))
        for moment, name in reversed(list(attempts)[-_MOST_ROWS:])
    )
    return Answer(
        sentences=(say.count("failed_some", len(attempts), user=clip(user, _NAME_COLUMNS), most=str(most)),),
        table=Table(headings=(say("col_when"), say("col_user"), say("col_from")), rows=rows),
    )


def users(seen: Seen) -> Answer:
    """From the user database: people first, the system's accounts only counted."""
    say, entries = seen.say, _entries(seen["users"], 7)
    if not entries:
        return no_answer(seen, seen["users"])
    least, most = _PEOPLE
    for line in seen["limits"].lines:
        fields = line.split()
        if len(fields) >= 2 and fields[1].isdigit():
            least, most = (int(fields[1]), most) if fields[0] == "UID_MIN" else (least, int(fields[1]))
    people = [entry for entry in entries if entry[2].isdigit() and least <= int(entry[2]) <= most]
    system = say.count("users_system", len(entries) - len(people))
    if not people:
        return Answer(sentences=(say("users_none"),))
    names = say.list(tuple(clip(entry[0], _NAME_COLUMNS) for entry in people[:10])) + (" …" if len(people) > 10 else "")
    rows = tuple(
        (clip(entry[0], _NAME_COLUMNS), entry[2], clip(entry[5], 60), clip(entry[6], 40)) for entry in people[:40]
    )
    return Answer(
        sentences=(say.count("users_some", len(people), users=names),),
        table=Table(headings=(say("col_user"), "UID", "HOME", "SHELL"), rows=rows),
        notes=(system, *caveats(seen, seen["users"])),
    )


def groups(seen: Seen) -> Answer:
    """From the group database: the members of one, or the groups that have any."""
    say, entries = seen.say, _entries(seen["groups"], 4)
    if not entries:
        return no_answer(seen, seen["groups"])
    wanted = seen.slot("group").rstrip(".,;:!?")
    if wanted:
        shown = clip(wanted, _NAME_COLUMNS)
        entry = next((entry for entry in entries if entry[0] == wanted), None)
        if entry is None:
            return Answer(sentences=(say("no_group", group=shown),))
        own = [user[0] for user in _entries(seen["users"], 7) if user[3] == entry[2]]  # those whose first group it is
        members = tuple(dict.fromkeys((*filter(None, entry[3].split(",")), *own)))
        if not members:
            return Answer(sentences=(say("group_empty", group=shown),))
        return Answer(sentences=(say("group_members", group=shown, members=clip(say.list(members), 400)),))
    rows = tuple(
        (clip(entry[0], _NAME_COLUMNS), clip(entry[3].replace(",", ", "), 80)) for entry in entries if entry[3]
    )
    if not rows:
        return Answer(sentences=(say("groups_none"),))
    table = Table(headings=(say("col_group"), say("col_members")), rows=rows[:40])
    return Answer(sentences=(say.count("groups_some", len(rows)),), table=table)


def user_info(seen: Seen) -> Answer:
    """From `id` and the user database: groups, home and shell; an administrator first."""
    say, reading, name = seen.say, seen["id"], clip(seen.slot("user"), _NAME_COLUMNS)
    known = _ID_GROUP.findall(reading.out.partition("groups=")[2])
    if not known:
        absent = any("no such user" in line for line in reading.complaints)
        return Answer(sentences=(say("no_user", user=name),)) if absent else no_answer(seen, reading)
    uid = reading.out.partition("uid=")[2].partition("(")[0]
    sentences = []
    if admin := next((group for group in _ADMIN_GROUPS if group in known), ""):
        sentences.append(say("user_admin", user=name, group=admin))
    sentences.append(say("user_is", user=name, uid=clip(uid, 12), groups=clip(say.list(tuple(known)), 300)))
    if entry := next(iter(_entries(seen["entry"], 7)), None):
        sentences.append(say("user_home", home=clip(entry[5], 60), shell=clip(entry[6], 40)))
    return Answer(sentences=tuple(sentences))


def _entries(reading: Reading, fields: int) -> list[list[str]]:
    return [entry for line in reading.lines if len(entry := line.split(":")) == fields]
