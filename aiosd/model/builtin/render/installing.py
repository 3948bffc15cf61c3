"""Installing, removing and updating packages: proposed as the machine's own package manager does it, then checked."""

import shlex

from aiosd.model.builtin.render.changes import not_done
from aiosd.model.builtin.render.outcome import More, Seen, no_answer
from aiosd.model.builtin.render.packages import is_missing, parse_fields, parse_status, parse_updates
from aiosd.model.builtin.text import Answer, Table, clip

_NAME_COLUMNS = 60
_NO_VERSION = {"", "(none)", "none", "(なし)"}


def _managers(seen: Seen) -> list[str]:
    """The package managers here, the machine's own first."""
    found = [name for name in ("pacman", "apt-get") if any(line.endswith(f"/{name}") for line in seen["which"].lines)]
    release = [line.partition("=")[2].strip('"') for line in seen["os"].lines if line.startswith(("ID=", "ID_LIKE="))]
    of_debian = any(name in {"debian", "ubuntu"} for value in release for name in value.split())
    return sorted(found, key=lambda name: name != ("apt-get" if of_debian else "pacman"))


def install_package(seen: Seen) -> Answer | More:
    """By the manager that knows the package; from its database before, and what is installed after."""
    say, name = seen.say, clip(seen.slot("package"), _NAME_COLUMNS)
    managers = _managers(seen)
    if not managers:
        return Answer(sentences=(say("no_manager"),), failed=True)
    for manager in managers:
        asked = "pacman" if manager == "pacman" else "apt"
        if asked not in seen.readings:
            return More(command=asked)
        outcome = _by_pacman(seen, name) if asked == "pacman" else _by_apt(seen, name)
        if outcome is not None:
            return outcome
    return Answer(sentences=(say("package_unknown", package=name),), failed=True)


def _by_pacman(seen: Seen, name: str) -> Answer | More | None:
    if "Version" not in parse_fields(seen["pacman"]) or seen["pacman"].result.outcome != "done":
        return None
    if "have" not in seen.readings:
        return More(command="have")
    known = seen["have"].out.split()
    if "change" not in seen.readings:
        if len(known) == 2 and known[1] == parse_fields(seen["pacman"])["Version"]:
            return Answer(sentences=(seen.say("package_already", package=name, version=clip(known[1], 40)),))
        return More(command="change", fill={"line": f"pacman -S --noconfirm {shlex.quote(seen.slot('package'))}"})
    if (failure := not_done(seen)) is not None:
        return failure
    if "after_pacman" not in seen.readings:
        return More(command="after_pacman")
    words = seen["after_pacman"].out.split()
    return _installed(seen, name, words[1] if len(words) == 2 else "")


def _by_apt(seen: Seen, name: str) -> Answer | More | None:
    fields = parse_fields(seen["apt"])
    candidate, have = fields.get("Candidate", ""), fields.get("Installed", "")
    if candidate in _NO_VERSION:
        return None
    if "change" not in seen.readings:
        if have == candidate:
            return Answer(sentences=(seen.say("package_already", package=name, version=clip(have, 40)),))
        return More(command="change", fill={"line": f"apt-get install -y {shlex.quote(seen.slot('package'))}"})
    if (failure := not_done(seen)) is not None:
        return failure
    if "after_apt" not in seen.readings:
        return More(command="after_apt")
    return _installed(seen, name, parse_status(seen["after_apt"]))


def _installed(seen: Seen, name: str, version: str) -> Answer:
    if version:
        return Answer(sentences=(seen.say("package_now", package=name, version=clip(version, 40)),))
    return Answer(sentences=(seen.say("package_not_now", package=name),), failed=True)


def remove_package(seen: Seen) -> Answer | More:
    """By the manager that has it installed."""
    say, name, word = seen.say, clip(seen.slot("package"), _NAME_COLUMNS), shlex.quote(seen.slot("package"))
    pacman, apt = seen["pacman"], seen["apt"]
    if is_missing(pacman) and is_missing(apt):
        return Answer(sentences=(say("no_manager"),), failed=True)
    by_pacman = pacman.result.outcome == "done" and len(pacman.out.split()) == 2
    if not by_pacman and not parse_status(apt):
        ran = [each for each in (pacman, apt) if not is_missing(each) and each.result.outcome in {"done", "failed"}]
        if not ran:
            return no_answer(seen, apt if is_missing(pacman) else pacman)
        return Answer(sentences=(say("package_absent", package=name),), failed=True)
    line = f"pacman -R --noconfirm {word}" if by_pacman else f"apt-get remove -y {word}"
    if "change" not in seen.readings:
        return More(command="change", fill={"line": line})
    if (failure := not_done(seen)) is not None:
        return failure
    after = "after_pacman" if by_pacman else "after_apt"
    if after not in seen.readings:
        return More(command=after)
    words = seen[after].out.split()
    left = words[1] if by_pacman and len(words) == 2 else parse_status(seen[after])
    if left:
        return Answer(sentences=(say("package_still", package=name, version=clip(left, 40)),), failed=True)
    return Answer(sentences=(say("package_gone", package=name),))


def update_packages(seen: Seen) -> Answer | More:
    """Everything, by the machine's own manager; then what is still to be updated."""
    say, managers = seen.say, _managers(seen)
    if not managers:
        return Answer(sentences=(say("no_manager"),), failed=True)
    by_pacman = managers[0] == "pacman"
    if "change" not in seen.readings:
        return More(command="change", fill={"line": "pacman -Syu --noconfirm" if by_pacman else "apt-get update"})
    if (failure := not_done(seen)) is not None:
        return failure
    if not by_pacman and "upgrade" not in seen.readings:
        return More(command="upgrade")
    if not by_pacman and seen["upgrade"].result.outcome != "done":
        return no_answer(seen, seen["upgrade"])
    check = "pacman" if by_pacman else "apt"
    if check not in seen.readings:
        return More(command=check)
    left = parse_updates(seen[check], seen[check])
    if not left:
        return Answer(sentences=(say("updated_all"),))
    rows = tuple((clip(name, 50), clip(old, 40), clip(new, 40)) for name, old, new in left[:20])
    table = Table(headings=(say("col_package"), say("col_version"), say("col_new")), rows=rows)
    return Answer(sentences=(say.count("updated_some", len(left)),), table=table)
