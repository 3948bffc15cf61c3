"""Distribution and kernel."""

import shlex

from aiosd.model.builtin.render.outcome import Reading, Seen, caveats, trouble
from aiosd.model.builtin.text import Answer, clip

_COLUMNS = 100


def system(seen: Seen) -> Answer:
    """From os-release and `uname -srm`; either alone is still an answer."""
    release = _parse_release(seen["release"])
    kernel = _parse_uname(seen["uname"])
    say = seen.say
    if release and kernel:
        name, version, machine = kernel
        sentence = say("system_both", release=release, kernel=f"{name} {version}", machine=machine)
        return Answer(sentences=(sentence,), notes=caveats(seen, seen["release"]) + caveats(seen, seen["uname"]))
    sentences = []
    if release:
        sentences.append(say("system_release", release=release))
    if kernel:
        name, version, machine = kernel
        sentences.append(say("system_kernel", kernel=f"{name} {version}", machine=machine))
    missing = tuple(trouble(seen, seen[part]) for part, found in (("release", release), ("uname", kernel)) if not found)
    return Answer(sentences=(*sentences, *missing), failed=not sentences)


def _parse_release(reading: Reading) -> str:
    """The name for people in os-release(5), whose values are quoted as a shell has it; nothing when there is none."""
    values: dict[str, str] = {}
    for line in reading.lines:
        key, equals, value = line.partition("=")
        if equals and key.isidentifier():
            try:
                values[key] = " ".join(shlex.split(value))
            except ValueError:
                continue
    named = " ".join(value for value in (values.get("NAME"), values.get("VERSION")) if value)
    return clip(values.get("PRETTY_NAME") or named, _COLUMNS)


def _parse_uname(reading: Reading) -> tuple[str, str, str] | None:
    fields = reading.out.split()
    if len(reading.lines) != 1 or len(fields) != 3:
        return None
    name, version, machine = (clip(field, _COLUMNS) for field in fields)
    return name, version, machine
