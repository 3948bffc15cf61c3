"""A founding `config.toml` as rules of ours: each entry of its four lists, what became of it, and why.

It promises that no entry allows more than it says, that none vanishes silently, and that the result is a policy file
that loads. Where our tiers cannot give what an entry needs, it is asked about instead. The rules are for one user: the
file was that user's.
"""

import json
import tomllib
from dataclasses import dataclass

from aiosd.policy.errors import PolicyError
from aiosd.policy.folders import FolderImportError, translate_json
from aiosd.policy.judge import Judgement, judge
from aiosd.policy.knowledge import Effect, Knowledge, load_knowledge
from aiosd.policy.program import Word
from aiosd.policy.rule_tables import read_rules
from aiosd.policy.rules import PatternError, parse_pattern
from aiosd.policy.toml_lines import locate
from aiosd.types import RunAs, Tier

_MAX_BYTES = 64 * 1024
_BEYOND_A_NOTICE = {
    Effect.WRITES: "write files",
    Effect.NETWORK: "use the network",
    Effect.CHANGES: "change the system",
}


class ImportRefusedError(Exception):
    """The file cannot be taken over: where, why, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """One entry: its list, text and line there; what it became (`tier` None: nothing), and why."""

    source: Tier
    pattern: str
    line: int
    tier: Tier | None
    run_as: RunAs = RunAs.USER
    why: str = ""

    def describe(self) -> str:
        """One sentence, for who reads the plan."""
        became = "left out" if self.tier is None else self.tier.value
        if self.run_as is RunAs.ROOT:
            became = f"{became} as root"
        return f'line {self.line}: {self.source} "{self.pattern}" becomes {became}{f": {self.why}" if self.why else ""}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A whole file, translated: every entry in its order, and the tables and keys of it that mean nothing here."""

    entries: tuple[Translation, ...]
    ignored: tuple[str, ...]


def translate_folders(text: str, source: str) -> str:
    """The folder policies of a JSON document as the tables of a policy file. ImportRefusedError says what is wrong."""
    try:
        return f"# The folder policies of {source}.\n{translate_json(text, source)}"
    except FolderImportError as exc:
        raise ImportRefusedError(str(exc.args[0]), str(exc.args[1])) from exc


def translate(content: bytes, name: str) -> Imported:
    """The entries of a founding file. Raises ImportRefusedError for one that cannot be read as such."""
    if len(content) > _MAX_BYTES:
        raise ImportRefusedError(f"{name} is over {_MAX_BYTES // 1024} KiB", "it should hold a few lists of commands")
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        document = tomllib.loads(text)
    except ValueError as exc:
        raise ImportRefusedError(f"{name} is not TOML: {exc}", "correct that line") from exc
    permissions = document.get("permissions")
    if not isinstance(permissions, dict):
        raise ImportRefusedError(f"{name} has no [permissions]", "nothing else of it is taken over")
    lines = locate(text)
    knowledge = load_knowledge()
    entries: list[Translation] = []
    ignored = [key for key in document if key != "permissions"]
    for key, patterns in permissions.items():
        if key not in tuple(Tier):
            ignored.append(f"permissions.{key}")
            continue
        if not isinstance(patterns, list) or not all(isinstance(each, str) and each.strip() for each in patterns):
            raise ImportRefusedError(f"{name}: {key} is not a list of texts", 'write it as ["pacman -Q*", "ls"]')
        for index, pattern in enumerate(patterns):
            line = lines.get(("permissions", key, index), lines[("permissions", key)])
            entries.append(_translate(Tier(key), " ".join(pattern.split()), line, name, knowledge))
    return Imported(entries=tuple(entries), ignored=tuple(ignored))


def render(imported: Imported, user: str, name: str) -> str:
    """The policy file, each rule below where it came from."""
    out = f"# Made by `aios setup --import` from {_comment(name)}.\n"
    out += (
        "# The strictest rule over a command decides, whatever the order, and /usr/lib/aios/policy.d counts as well.\n"
    )
    for entry in imported.entries:
        out += f"\n# {_comment(entry.describe())}\n"
        if entry.tier is None:
            continue
        rows = [("pattern", entry.pattern), ("tier", entry.tier.value), ("user", user)]
        if entry.run_as is RunAs.ROOT:
            rows.append(("run_as", "root"))
        out += "[[rule]]\n" + "".join(f"{key} = {_quote(value)}\n" for key, value in rows)
    return out


def _translate(source: Tier, pattern: str, line: int, name: str, knowledge: Knowledge) -> Translation:
    bare = pattern.removeprefix("sudo ")  # a leading sudo is stripped from every line before a rule sees it
    entry = Translation(source=source, pattern=bare, line=line, tier=source)
    if source in (Tier.REQUIRE_APPROVAL, Tier.DENY):
        if problem := _problem(entry, knowledge):
            raise ImportRefusedError(
                f"{name}:{line}: {source} {pattern!r}: {problem}", "a rule that forbids is not left out"
            )
        return entry
    try:
        parsed = parse_pattern(bare)
    except PatternError as exc:
        return _replaced(entry, None, f"{exc.args[0]}; {exc.args[1]}")
    judgement = judge(knowledge, tuple(Word(text=word) for word in parsed.words))
    effects = {concern.effect for concern in judgement.concerns if not concern.incomplete}
    if judgement.known and Effect.ROOT in effects:
        why = "it needs root; announced, and only as one plain command"
        return _checked(_replaced(entry, Tier.NOTIFY, why, RunAs.ROOT), knowledge)
    if bare != pattern:
        why = "as root only what is known to need root runs unasked"
        return _checked(_replaced(entry, Tier.REQUIRE_APPROVAL, why), knowledge)
    beyond = [phrase for effect, phrase in _BEYOND_A_NOTICE.items() if judgement.known and effect in effects]
    if beyond:
        why = _say_beyond(beyond)
        return _checked(_replaced(entry, Tier.REQUIRE_APPROVAL, why), knowledge)
    return _checked(_replaced(entry, source, _why_kept(source, judgement)), knowledge)


def _say_beyond(phrases: list[str]) -> str:
    match phrases:
        case [only]:
            return f"it may {only}"
        case [first, last]:
            return f"it may {first} and {last}"
        case _:
            first, second, last = phrases
            return f"it may {first} and {second} and {last}"


def _why_kept(source: Tier, judgement: Judgement) -> str:
    if source is Tier.AUTO_ALLOW:
        return "with the options that only read" if judgement.known else "where it can only read"
    return "announced, and runs where it can only read"


def _checked(entry: Translation, knowledge: Knowledge) -> Translation:
    """`entry`, or what it must become where a rule like it could not be."""
    problem = _problem(entry, knowledge)
    if not problem or entry.tier is None:
        return entry
    return _checked(
        _replaced(entry, Tier.REQUIRE_APPROVAL if entry.tier is not Tier.REQUIRE_APPROVAL else None, problem), knowledge
    )


def _problem(entry: Translation, knowledge: Knowledge) -> str:
    """Why the policy would not take the rule; "" where it does."""
    table = {"pattern": entry.pattern, "tier": str(entry.tier)}
    if entry.run_as is RunAs.ROOT:
        table["run_as"] = "root"
    lines = {("rule",): 1, ("rule", 0): 1}
    try:
        read_rules("", [table], lines, knowledge)
    except PolicyError as exc:
        return str(exc.message)
    return ""


def _replaced(entry: Translation, tier: Tier | None, why: str, run_as: RunAs = RunAs.USER) -> Translation:
    return Translation(source=entry.source, pattern=entry.pattern, line=entry.line, tier=tier, run_as=run_as, why=why)


def _quote(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's, but for DEL."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """Text for a comment: one line, nothing that TOML forbids there."""
    return "".join(char if char.isprintable() else "?" for char in text)
