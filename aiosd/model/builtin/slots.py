"""The parts of a question that people name: found among its segments, checked, and quoted for a command line.

What a person typed is untrusted: whatever leaves here in `Slot.quoted` is exactly one shell word, and not an option.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from aiosd.model.builtin.intents import Knowledge, SlotSpec
from aiosd.model.builtin.lexicon import KNOWN_NAME, Segment

# systemd.unit(5): letters, digits and : - _ . \ @, at most 255. One that starts with - would be an option.
_UNIT_NAME = re.compile(r"[A-Za-z0-9_:.@\\][A-Za-z0-9_:.@\\-]*")
_UNIT_TYPES = (
    ".service", ".socket", ".timer", ".mount", ".automount", ".target", ".path", ".slice", ".scope", ".swap", ".device",
)  # fmt: skip
_INTERFACE = re.compile(
    r"lo|(?:br|docker|virbr)[-0-9a-z]*|(?:eth|en|wl|ww|wg|veth|tun|tap|bond|usb)[a-z0-9]*[0-9][a-z0-9]*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A filled slot: what it says, how it stands on a command line, and what else may have been meant."""

    value: str
    quoted: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A segment, by its index, that may fill a slot, and how surely."""

    index: int
    value: str
    quality: float


def find_candidates(kind: str, segments: tuple[Segment, ...]) -> list[Candidate]:
    """The segments that may fill a slot of `kind`, the surest first."""
    found = []
    for index, segment in enumerate(segments):
        quality = _quality(kind, segment)
        if quality:
            found.append(Candidate(index=index, value=segment.value, quality=quality))
    return sorted(found, key=lambda candidate: -candidate.quality)


def _quality(kind: str, segment: Segment) -> float:
    name = segment.value.rstrip(".,;:!?")
    match kind:
        case "folder":
            return float(segment.kind in {"path", "place"} and segment.value.isprintable())
        case "interface":
            return float(segment.kind == "name" and _INTERFACE.fullmatch(segment.value) is not None)
        case "service":
            if segment.kind != "name" or len(name) > 200 or not _UNIT_NAME.fullmatch(name):
                return 0.0
            if KNOWN_NAME in segment.concepts or name.endswith(_UNIT_TYPES):
                return 1.0
            return 0.7 if segment.concepts else 0.85
    return 0.0


def fill_slot(spec: SlotSpec, value: str, knowledge: Knowledge) -> Slot:
    """`value`, as `spec` has it on a command line."""
    match spec.kind:
        case "folder":
            return Slot(value=value, quoted=_quote_folder(value))
        case "service":
            unit = value if value.endswith(_UNIT_TYPES) else f"{value}.service"
            return Slot(value=unit, quoted=shlex.quote(unit), others=_others(value, knowledge))
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
