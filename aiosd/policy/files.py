"""Policy files: from directories of TOML to one `Policy`, or a `PolicyError` that names file, line and fix.

It promises that nobody but the owners named can have written what it loads, that a file is taken as a whole or refused,
and that each rule knows the line it stands on. Layers: the directories in the order given, the vendor's first. Rules of
all layers count alike (the strictest wins, so order says nothing); `unmatched` is a choice, and there the later layer,
the administrator's, overrides the earlier one. Within one layer the strictest of several files counts.
"""

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosd.layers import find_fault
from aiosd.policy.engine import Manner, Policy
from aiosd.policy.errors import PolicyError, nearest
from aiosd.policy.explain import Unmatched
from aiosd.policy.folders import FolderRule, Folders, read_folders
from aiosd.policy.knowledge import Knowledge, load_knowledge
from aiosd.policy.rule_tables import read_permissions, read_rules
from aiosd.policy.rules import Rule
from aiosd.policy.toml_lines import Path as Place
from aiosd.policy.toml_lines import locate
from aiosd.policy.verdict import RuleRef
from aiosd.types import Tier, strictest

_MAX_FILE_BYTES: Final = 1024 * 1024
_KEYS: Final = (
    "preset", "unmatched", "least", "only_simple", "only_programs", "questions", "permissions", "rule", "folder",
    "folders",
)  # fmt: skip
_AT_LINE: Final = re.compile(r"\(at line (\d+)")
_HERE: Final = Path(__file__).parent
DEFAULTS: Final = _HERE / "defaults"
PRESETS: Final = ("safe", "normal", "paranoid", "trusted")
_ASK: Final = Unmatched.REQUIRE_APPROVAL
# What else stands in the config.toml that [permissions] come from; passed over where one file is tried out.
_OTHERS: Final = frozenset(("general", "paths", "aigpt", "container"))


def load_policy(dirs: Sequence[Path], *, owner_uids: frozenset[int], proposed: Path | None = None) -> Policy:
    """Read `*.toml` of each directory, in order and by name; a directory that does not exist adds nothing.

    Every directory, the one above it and every file must belong to one of `owner_uids` and be writable by nobody else.
    Raises PolicyError.
    `proposed` is taken, whoever owns it, as if it stood in the last directory, for trying it out.
    """
    layers = [_read_dir(directory, owner_uids) for directory in dirs]
    if proposed is not None:
        others = layers.pop() if len(layers) > 1 else []
        layers.append([each for each in others if Path(each[0]).name != proposed.name] + [_read_any(proposed)])
    return _assemble(layers, others=_OTHERS if proposed else frozenset())


def load_policy_file(path: Path) -> Policy:
    """The policy that one file is, whoever owns it, for trying it out; a preset that it names stands on the defaults.

    Raises PolicyError.
    """
    name, content = _read_any(path)
    layers = [[(name, content)]]
    if _parse_file(str(path), content, load_knowledge(), others=_OTHERS).preset:
        others = [each for each in sorted(DEFAULTS.glob("*.toml")) if not each.samefile(path)]
        layers.insert(0, [(str(each), each.read_bytes()) for each in others])
    return _assemble(layers, others=_OTHERS)


def tighten_policy(policy: Policy, file: str, content: bytes) -> Policy:
    """`policy` with what a person's own file adds for that person: it may ask and deny more, and allow nothing.

    Raises PolicyError, also where a line of it would allow.
    """
    own = _parse_file(file, content, policy.knowledge)
    extra = [own]
    if own.preset:
        name, line = own.preset
        if name not in ("safe", "paranoid"):
            raise PolicyError(file, line, f"preset {name} in a person's own file", "it may be safe or paranoid")
        extra.append(_parse_preset(name, policy.knowledge))
    for folder in own.folders:
        raise PolicyError(file, folder.line, "a folder policy in a person's own file", "that is an administrator's")
    for rule in own.rules:
        if rule.allows:
            hint = "a person's own file can only ask and deny; ask an administrator for the rest"
            raise PolicyError(file, rule.ref.line, f"`{rule.ref.name}` would be allowed", hint)
    return Policy(
        rules=(*policy.rules, *(rule for each in extra for rule in each.rules)),
        unmatched=max((policy.unmatched_choice, *(u for each in extra for u in each.unmatched)), key=_by_strictness),
        knowledge=policy.knowledge,
        folders=policy.folders,
        manner=_join([policy.manner, *(each.manner for each in extra)]),
        digest=hashlib.sha256(policy.digest.encode() + content).hexdigest(),
    )


def _read_any(path: Path) -> tuple[str, bytes]:
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise PolicyError(str(path), 0, f"cannot be read: {exc.strerror}", "name a policy file") from exc
    if len(content) > _MAX_FILE_BYTES:
        raise PolicyError(str(path), 0, "is larger than 1 MiB", "split it")
    return str(path), content


def _assemble(layers: Sequence[Sequence[tuple[str, bytes]]], *, others: Set[str] = frozenset()) -> Policy:
    """The policy that these files are, by layers of name and content; tables named in `others` say nothing."""
    knowledge = load_knowledge()
    digest = hashlib.sha256()
    files: list[_Parsed] = []
    preset: tuple[str, int] | None = None
    unmatched = (_ASK, RuleRef(name="unmatched", tier=_ASK.tier))
    for contents in layers:
        for name, content in contents:
            digest.update(f"{len(name.encode())}:{name}{len(content)}:".encode() + content)
        layer = [_parse_file(name, content, knowledge, others=others) for name, content in contents]
        chosen = _preset_of(layer)
        choices = [choice for file in layer for choice in file.unmatched]
        if chosen:
            preset = chosen
            choices = choices or _parse_preset(chosen[0], knowledge).unmatched
        unmatched = max(choices, key=_by_strictness, default=unmatched)
        files += layer
    if preset:
        digest.update(preset[0].encode())
        files.append(_parse_preset(preset[0], knowledge))
    return Policy(
        rules=[rule for file in files for rule in file.rules],
        unmatched=unmatched,
        knowledge=knowledge,
        folders=Folders(tuple(folder for file in files for folder in file.folders)),
        manner=_join([file.manner for file in files]),
        digest=digest.hexdigest(),
    )


def _preset_of(layer: Sequence["_Parsed"]) -> tuple[str, int] | None:
    chosen: tuple[str, int] | None = None
    for file in layer:
        if file.preset and chosen and file.preset[0] != chosen[0]:
            message = f"preset {file.preset[0]}, where another file of this folder says {chosen[0]}"
            raise PolicyError(file.path, file.preset[1], message, "keep one of them")
        chosen = file.preset or chosen
    return chosen


def _parse_preset(name: str, knowledge: Knowledge) -> "_Parsed":
    path = _HERE / "presets" / f"{name}.toml"
    return _parse_file(str(path), path.read_bytes(), knowledge)


def _by_strictness(choice: tuple[Unmatched, RuleRef]) -> int:
    return choice[0].tier.strictness


def _join(manners: Sequence[Manner]) -> Manner:
    return Manner(
        least=strictest(*(each.least for each in manners), Tier.AUTO_ALLOW),
        only_simple=any(each.only_simple for each in manners),
        questions=all(each.questions for each in manners),
        programs=_common([each.programs for each in manners if each.programs is not None]),
    )


def _common(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...] | None:
    """What stands in every list that there is."""
    return tuple(path for path in lists[0] if all(path in each for each in lists)) if lists else None


def _read_dir(directory: Path, owner_uids: frozenset[int]) -> list[tuple[str, bytes]]:
    _check_parent(str(directory.parent), owner_uids)
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise PolicyError(str(directory), 0, f"cannot be read: {exc.strerror}", "make it a readable folder") from exc
    try:
        _check_owner(str(directory), os.fstat(folder), owner_uids)
        names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))
        return [(f"{directory}/{name}", _read_file(folder, f"{directory}/{name}", name, owner_uids)) for name in names]
    finally:
        os.close(folder)


def _read_file(folder: int, path: str, name: str, owner_uids: frozenset[int]) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PolicyError(
                    path, 0, "is not a regular file", "remove it, or rename it so that it does not end in .toml"
                )
            _check_owner(path, status, owner_uids)
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise PolicyError(path, 0, f"cannot be read: {exc.strerror}", "make it a plain file, not a link") from exc
    if len(content) > _MAX_FILE_BYTES:
        raise PolicyError(path, 0, "is larger than 1 MiB", "split it")
    return content


def _check_owner(path: str, status: os.stat_result, owner_uids: frozenset[int]) -> None:
    if fault := find_fault(path, status, owner_uids):
        raise PolicyError(path, 0, *fault)


def _check_parent(folder: str, owner_uids: frozenset[int]) -> None:
    """Whoever may write the folder above can put another policy into this one's place, or take it away."""
    try:
        status = os.stat(folder)
    except OSError:
        return  # then there is nothing in it, and nobody can put anything there unseen
    if not status.st_mode & stat.S_ISVTX:  # of a sticky folder others can take nothing away
        _check_owner(folder, status, owner_uids | {0})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """What one file says; `preset` comes with its line."""

    path: str
    rules: list[Rule]
    folders: list[FolderRule]
    unmatched: list[tuple[Unmatched, RuleRef]]
    preset: tuple[str, int] | None
    manner: Manner


def _parse_file(path: str, content: bytes, knowledge: Knowledge, *, others: Set[str] = frozenset()) -> _Parsed:
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        table = tomllib.loads(text)
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise PolicyError(path, line, "is not UTF-8 text", "save the file as UTF-8") from exc
    except tomllib.TOMLDecodeError as exc:
        found = _AT_LINE.search(str(exc))
        line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
        message = str(exc).partition(" (at ")[0]
        raise PolicyError(path, line, f"is not TOML: {message}", "correct the line") from exc
    lines = locate(text)
    for key in table:
        if key not in _KEYS and key not in others:
            known = f"{nearest(key, _KEYS)}the keys here are {', '.join(_KEYS)}"
            raise PolicyError(path, lines[(key,)], f"unknown key `{key}`", known)
    rules = read_permissions(path, table.get("permissions", {}), lines, knowledge)
    rules += read_rules(path, table.get("rule", []), lines, knowledge)
    preset = _choice(path, table, "preset", PRESETS, lines)
    return _Parsed(
        path=path,
        rules=rules,
        folders=read_folders(path, table.get("folder", []), table.get("folders", {}), lines),
        unmatched=_unmatched(path, table, lines) if "unmatched" in table else [],
        preset=(preset, lines[("preset",)]) if preset else None,
        manner=Manner(
            least=Tier(_choice(path, table, "least", tuple(Tier), lines) or Tier.AUTO_ALLOW),
            only_simple=_flag(path, table, "only_simple", lines, default=False),
            questions=_flag(path, table, "questions", lines, default=True),
            programs=_programs(path, table, lines),
        ),
    )


def _unmatched(path: str, table: Mapping[str, object], lines: Mapping[Place, int]) -> list[tuple[Unmatched, RuleRef]]:
    unmatched = Unmatched(_choice(path, table, "unmatched", tuple(Unmatched), lines))
    return [(unmatched, RuleRef(name="unmatched", tier=unmatched.tier, file=path, line=lines[("unmatched",)]))]


def _choice(
    path: str, table: Mapping[str, object], key: str, choices: Sequence[str], lines: Mapping[Place, int]
) -> str:
    value = table.get(key, "")
    if key in table and (not isinstance(value, str) or value not in choices):
        raise PolicyError(
            path, lines[(key,)], f"{key} is {value!r}", f"{nearest(value, choices)}write one of {', '.join(choices)}"
        )
    return str(value)


def _programs(path: str, table: Mapping[str, object], lines: Mapping[Place, int]) -> tuple[str, ...] | None:
    value = table.get("only_programs")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) and each[:1] == "/" for each in value):
        hint = "write a list of absolute paths: programs, or folders of them"
        raise PolicyError(path, lines[("only_programs",)], f"only_programs is {value!r}", hint)
    return tuple(value)


def _flag(path: str, table: Mapping[str, object], key: str, lines: Mapping[Place, int], *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise PolicyError(path, lines[(key,)], f"{key} is {value!r}", "write true or false")
    return value
