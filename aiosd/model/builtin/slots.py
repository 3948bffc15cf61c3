"""The parts of a question that people name: found among its segments, checked, and quoted for a command line.

What a person typed is untrusted: whatever leaves here in `Slot.quoted` is exactly one shell word, and not an option.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from aiosd.model.builtin.fold import has_japanese
from aiosd.model.builtin.intents import Knowledge, SlotSpec
from aiosd.model.builtin.lexicon import FILE_NAME, KNOWN_NAME, UNIT_NAME, Segment

# systemd.unit(5): letters, digits and : - _ . \ @, at most 255. One that starts with - would be an option.
_UNIT_NAME = re.compile(r"[A-Za-z0-9_:.@\\][A-Za-z0-9_:.@\\-]*")
_UNIT_TYPES = (
    ".service", ".socket", ".timer", ".mount", ".automount", ".target", ".path", ".slice", ".scope", ".swap", ".device",
)  # fmt: skip
_INTERFACE = re.compile(
    r"lo|(?:br|docker|virbr)[-0-9a-z]*|(?:eth|en|wl|ww|wg|veth|tun|tap|bond|usb)[a-z0-9]*[0-9][a-z0-9]*"
)
# What each kind of name may look like; none begins with a dash.
_SHAPES = {
    "service": _UNIT_NAME,
    "package": re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+-]*"),  # PKGBUILD(5), deb-control(5)
    "process": re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+:-]*"),
    "group": re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*"),
    "user": re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*"),
    "file_name": re.compile(r"[\w.*?+][\w.*?+@-]*"),
    "zone": re.compile(r"[A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}"),  # tzfile names below /usr/share/zoneinfo
}
_DOTS_OF_IPV4 = 3
_MOST_NAME = 200
_LONGEST_COMM = 15  # what the kernel keeps of a process's name: proc(5)
_CALLED = "called"  # the concept of words between a thing and its name
_OWN_NAME = "own_name"  # the concept of our own name, which is mostly said to nobody
_MARKED_NAMES = {KNOWN_NAME, UNIT_NAME, FILE_NAME, _OWN_NAME}
_GROUP_NAME = "group_name"  # the concept of groups that are known by their names
# A time as journalctl has it, systemd.time(7), and as find's -newermt has it.
_EVER, _BOOT = "ever", "boot"
_AGO = re.compile(r"-([0-9]+)(min|h|d|w|month)")
_AGO_WORDS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks", "month": "months"}
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {"unit_minute": "min", "unit_hour": "h", "unit_day": "d", "unit_week": "w", "unit_month": "month"}
_SIZE = re.compile(r"([0-9]+)(?:([kmgt])i?b?)?", re.IGNORECASE)
_QUOTED = re.compile("\"([^\"]+)\"|'([^']+)'|`([^`]+)`|「([^」]+)」|『([^』]+)』|“([^”]+)”")
_NOT_NAMES = frozenset({"option", "number", "odd"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A filled slot: what it says, how it stands on a command line, and what else may have been meant."""

    value: str
    quoted: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Segments, by their indices, that may fill a slot, and how surely."""

    covers: tuple[int, ...]
    value: str
    quality: float


def find_candidates(kind: str, segments: tuple[Segment, ...], raw: str) -> list[Candidate]:
    """The segments of `raw` that may fill a slot of `kind`, the surest first."""
    found = []
    for index, segment in enumerate(segments):
        quality = _quality(kind, segment) or _quality_beside_called(kind, segments, index)
        if quality:
            found.append(Candidate(covers=(index,), value=segment.value, quality=quality))
    if kind in {"time", "age"}:
        found.extend(_times(segments))
    if kind == "size":
        found.extend(_sizes(segments))
    if kind in {"text", "file_name"}:
        found.extend(_quoted_text(kind, segments, raw))
    return sorted(found, key=lambda candidate: -candidate.quality)


def _quality(kind: str, segment: Segment) -> float:
    name = segment.value.rstrip(".,;:!?")
    match kind:
        case "folder":
            return float(segment.kind in {"path", "place"} and segment.value.isprintable())
        case "path":
            return float(segment.kind == "path" and segment.value.isprintable())
        case "interface":
            return float(segment.kind == "name" and _INTERFACE.fullmatch(segment.value) is not None)
        case "time" | "age":
            return float(segment.kind == "time" or (segment.kind == "name" and bool(_ISO_DATE.fullmatch(name))))
        case "zone":
            return float(segment.kind == "zone" or bool(_SHAPES["zone"].fullmatch(segment.value)))
        case "port":
            return float(segment.kind == "number" and segment.value.isdigit() and 0 < int(segment.value[:6]) < 65_536)
        case "number":
            return float(segment.kind == "number" and segment.value.isdigit() and len(segment.value) <= 4)
        case "size":
            size = _SIZE.fullmatch(segment.value)
            return float(segment.kind == "number" and size is not None and size[2] is not None)
        case "group" if _GROUP_NAME in segment.concepts:
            return 1.0
        case "text" if segment.kind == "number":
            return 0.7 * float(segment.value.count(".") == _DOTS_OF_IPV4)
        case "text":
            return 0.7 * float(segment.kind == "name" and segment.concepts <= {UNIT_NAME, FILE_NAME})
        case "process" if segment.kind == "number" and segment.value.isdigit():
            return 0.9
        case "file_name" if segment.kind == "odd":
            return float(bool(_SHAPES["file_name"].fullmatch(segment.value)))
    named = segment.kind == "name" or _OWN_NAME in segment.concepts
    if kind not in _SHAPES or not named or len(name) > _MOST_NAME or not _SHAPES[kind].fullmatch(name):
        return 0.0
    if kind == "service" and (KNOWN_NAME in segment.concepts or name.endswith(_UNIT_TYPES)):
        return 1.0
    return 0.85 if not segment.concepts or segment.concepts & _MARKED_NAMES else 0.5


def _quality_beside_called(kind: str, segments: tuple[Segment, ...], index: int) -> float:
    """A word that means something is a name all the same where it is said to be one: `files named orders`."""
    segment = segments[index]
    before = index > 0 and _CALLED in segments[index - 1].concepts
    following = segments[index + 1] if index + 1 < len(segments) else segment
    after = _CALLED in following.concepts and has_japanese(following.value)
    if not (before or after) or segment.kind != "word" or kind not in _SHAPES:
        return 0.0
    return 0.8 * float(bool(_SHAPES[kind].fullmatch(segment.value)))


def _sizes(segments: tuple[Segment, ...]) -> list[Candidate]:
    """A number and the unit after it: more than `500 MB`."""
    found = []
    for index in range(len(segments) - 1):
        number, unit = segments[index], segments[index + 1]
        value = number.value + unit.value
        if number.kind == "number" and number.value.isdigit() and _SIZE.fullmatch(value) and not unit.value.isdigit():
            found.append(Candidate(covers=(index, index + 1), value=value, quality=1.0))
    return found


def _times(segments: tuple[Segment, ...]) -> list[Candidate]:
    """A number and the unit after it: the last `3 days`, 過去`3時間`."""
    found = []
    for index in range(len(segments) - 1):
        number, unit = segments[index], segments[index + 1]
        name = next((_UNITS[concept] for concept in unit.concepts if concept in _UNITS), "")
        if number.kind == "number" and number.value.isdigit() and name:
            value = f"-{int(number.value[:4])}{name}"
            found.append(Candidate(covers=(index, index + 1), value=value, quality=1.0))
    return found


def _quoted_text(kind: str, segments: tuple[Segment, ...], raw: str) -> list[Candidate]:
    """What stands between quotes, taken as it is."""
    found = []
    for quoted in _QUOTED.finditer(raw):
        value = next(group for group in quoted.groups() if group is not None)
        covers = tuple(
            index
            for index, segment in enumerate(segments)
            if quoted.start() <= segment.start and segment.end <= quoted.end()
        )
        shaped = kind != "file_name" or (not value.startswith("-") and "/" not in value)
        if covers and value.isprintable() and shaped:
            found.append(Candidate(covers=covers, value=value, quality=1.0))
    return found


def fill_slot(spec: SlotSpec, value: str, knowledge: Knowledge) -> Slot:
    """`value`, as `spec` has it on a command line."""
    match spec.kind:
        case "folder":
            return Slot(value=value, quoted=_quote_folder(value))
        case "path":
            return Slot(value=value, quoted=_quote_folder(value))
        case "service":
            unit = value if value.endswith(_UNIT_TYPES) else f"{value}.service"
            return Slot(value=unit, quoted=shlex.quote(unit), others=_others(value, knowledge))
        case "package" | "process" | "user":
            value = value.rstrip(".,;:!?").removesuffix(".service")
            if spec.kind == "process":
                return Slot(value=value, quoted=shlex.quote(value[:_LONGEST_COMM]))
        case "file_name":
            pattern = value if "*" in value or "?" in value or "." in value else f"*{value}*"
            if re.fullmatch(r"\.\w+", value):
                pattern = f"*{value}"  # an ending, or a name that is all ending
            return Slot(value=value, quoted=shlex.quote(pattern))
        case "size" if found := _SIZE.fullmatch(value):
            unit = {"k": "k", "m": "M", "g": "G", "t": "G"}[(found[2] or "k").lower()]
            amount = int(found[1]) * (1024 if (found[2] or "").lower() == "t" else 1)
            return Slot(value=value, quoted=f"{amount}{unit}")
        case "time":
            options = {
                _BOOT: "-b",
                _EVER: "--since=1970-01-01",
                "yesterday": "--since=yesterday --until=today",
                "since_yesterday": "--since=yesterday",
            }
            return Slot(value=value, quoted=options.get(value) or f"--since={shlex.quote(value)}")
        case "age":
            ago = _AGO.fullmatch(value)
            day = "1970-01-01" if value == _EVER else value.removeprefix("since_")
            return Slot(value=value, quoted=shlex.quote(f"{ago[1]} {_AGO_WORDS[ago[2]]} ago" if ago else day))
        case "command":
            return Slot(value=value, quoted=value)  # the one slot that is the command line itself
    return Slot(value=value, quoted=shlex.quote(value))


def _quote_folder(path: str) -> str:
    """One shell word; a leading `~` alone or before `/` stays bare, as only then the shell makes it the home."""
    home, slash, rest = path.partition("/")
    if home != "~":
        return shlex.quote(path)
    return f"~/{shlex.quote(rest)}" if rest else f"~{slash}"


def _others(value: str, knowledge: Knowledge) -> tuple[str, ...]:
    """Units that may have been meant by `value` when there is none of that name: lower case, its kin, a typo."""
    if value.endswith(_UNIT_TYPES[1:]):
        return ()
    name = value.removesuffix(".service")
    near = knowledge.lexicon.nearest_name(name)
    names: Mapping[str, None] = dict.fromkeys(
        (name.lower(), *sorted(knowledge.kin.get(name.casefold(), ())), near, *sorted(knowledge.kin.get(near, ())))
    )
    return tuple(f"{other}.service" for other in names if other and other != name)
