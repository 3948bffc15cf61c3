"""From the tables of one policy file to rules: `[permissions]` lists and `[[rule]]` tables, checked as they are read.

It promises that a rule that exists is valid: known keys, right types, a pattern that can do what its list says, and
examples that hold. What is wrong is a PolicyError with the line it stands on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from aiosd.policy.deny_scan import LimitError, Scan
from aiosd.policy.errors import PolicyError, nearest
from aiosd.policy.judge import judge, may_become_harmless
from aiosd.policy.knowledge import Knowledge
from aiosd.policy.program import Program, Word
from aiosd.policy.recogniser import recognise
from aiosd.policy.rules import Pattern, PatternError, Rule, parse_pattern, uncovered
from aiosd.policy.searched import Searched
from aiosd.policy.toml_lines import Path
from aiosd.policy.tools import ALL_TOOLS, MCP, WEB, WRITING_TOOLS, ToolPatternError, parse_tool_pattern
from aiosd.policy.verdict import RuleRef
from aiosd.policy.wide import canonical_path
from aiosd.types import RunAs, Tier

RULE_KEYS: Final = (
    "pattern", "command", "tool", "tier", "default", "reason", "suggest", "user", "group", "run_as", "cwd", "machine",
    "writes", "network", "sockets", "match", "no_match",
)  # fmt: skip
_HOST_NAME: Final = re.compile(r"\*|(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,5})?")
_MACHINE_NAME: Final = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9.-]{0,63}")
_WRITES: Final = re.compile(r"\.|~(?:/.*)?|/.*", re.DOTALL)
_SOCKET: Final = re.compile(r"(?:[A-Z][A-Z0-9_]{0,63}=)?~?/[^\0]+", re.DOTALL)
_SOCKET_HINT: Final = "write its path from / or ~/, or NAME=PATH where programs find it by a variable"
_Lines = Mapping[Path, int]


def read_permissions(file: str, table: object, lines: _Lines, knowledge: Knowledge) -> list[Rule]:
    """The rules of the four lists. Raises PolicyError."""
    if not isinstance(table, dict):
        raise PolicyError(file, lines[("permissions",)], "permissions is not a table", "write [permissions]")
    rules: list[Rule] = []
    for key, patterns in table.items():
        place = ("permissions", key)
        if key not in tuple(Tier):
            known = ", ".join(Tier)
            raise PolicyError(file, lines[place], f"unknown list `{key}`", f"{nearest(key, Tier)}the lists are {known}")
        for index, text in enumerate(_strings(file, lines, place, patterns)):
            line = lines.get((*place, index), lines[place])
            rule = Rule(ref=RuleRef(name=text, tier=Tier(key), file=file, line=line))
            rules.append(_with_pattern(rule, text, knowledge))
    return rules


def read_rules(file: str, tables: object, lines: _Lines, knowledge: Knowledge) -> list[Rule]:
    """The rules of the `[[rule]]` tables; a table with several patterns or tools gives several. Raises PolicyError."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PolicyError(file, lines[("rule",)], "rule is not an array of tables", "write [[rule]]")
    rules: list[Rule] = []
    for index, table in enumerate(tables):
        rules += _RuleTable(file, index, table, lines, knowledge).rules()
    return rules


class _RuleTable:
    """One `[[rule]]`."""

    def __init__(self, file: str, index: int, table: Mapping[str, object], lines: _Lines, knowledge: Knowledge) -> None:
        self._file = file
        self._path: Path = ("rule", index)
        self._table = table
        self._lines = lines
        self._knowledge = knowledge

    def rules(self) -> list[Rule]:
        for key in self._table:
            if key not in RULE_KEYS:
                known = f"{nearest(key, RULE_KEYS)}the keys of a rule are {', '.join(RULE_KEYS)}"
                raise self._error(key, f"unknown key `{key}`", known)
        tier = self._one_of("tier", tuple(Tier))
        if tier is None:
            raise self._error("", "a rule without tier", f"add tier = one of {', '.join(Tier)}")
        common = Rule(
            ref=RuleRef(name="", tier=Tier(tier), file=self._file, line=self._line("")),
            reason=self._text("reason"),
            suggest=self._text("suggest"),
            users=frozenset(self._texts("user")),
            groups=frozenset(self._texts("group")),
            run_as=RunAs(run_as) if (run_as := self._one_of("run_as", tuple(RunAs))) else None,
            cwd=self._cwd(),
            machines=frozenset(self._each("machine", _MACHINE_NAME, "write the name of a machine, host, or *")),
            writes=self._granted("writes", tier, _WRITES, "write a path from /, ~/…, or . for the working directory"),
            network=self._granted("network", tier, _HOST_NAME, "write a host in lower case, *.domain, host:port, or *"),
            sockets=self._granted("sockets", tier, _SOCKET, _SOCKET_HINT),
            default=self._default(tier),
        )
        rules = self._subjects(common)
        if tier == Tier.AUTO_ALLOW and common.run_as is RunAs.ROOT:
            raise self._error("run_as", "nothing runs as root unannounced", 'use tier = "notify" or stricter')
        self._check_examples(rules)
        return rules

    def _subjects(self, common: Rule) -> list[Rule]:
        patterns, tools = self._texts("pattern"), self._texts("tool")
        if "command" in self._table:
            command = self._text("command")
            if "pattern" in self._table or len(command.split()) != 1:
                raise self._error("command", "command is one bare name, instead of a pattern", "use pattern")
            patterns = [command]
        if patterns and tools:
            raise self._error("tool", "a rule is about commands or about tools", "write two rules")
        rules = [
            _with_pattern(self._named(common, text, "pattern", at), text, self._knowledge)
            for at, text in enumerate(patterns)
        ]
        rules += [self._tool_rule(self._named(common, text, "tool", at), text) for at, text in enumerate(tools)]
        if not rules and common.allows:
            raise self._error("", "a rule that allows must say what", "add pattern, command or tool")
        return rules or [replace(common, ref=replace(common.ref, name="everything"))]

    def _named(self, common: Rule, text: str, key: str, index: int) -> Rule:
        line = self._lines.get((*self._path, key, index), self._line(key if key in self._table else "command"))
        return replace(common, ref=replace(common.ref, name=text, line=line))

    def _tool_rule(self, rule: Rule, text: str) -> Rule:
        try:
            pattern = parse_tool_pattern(text)
        except ToolPatternError as exc:
            tool = text.partition(":")[0]
            hint = nearest(tool, ALL_TOOLS) if tool not in ALL_TOOLS else ""
            raise self._error("tool", str(exc.args[0]), hint + str(exc.args[1])) from exc
        if rule.ref.tier is Tier.AUTO_ALLOW and pattern.tool in (*WRITING_TOOLS, WEB, MCP):
            message = f"{pattern.tool} cannot be auto_allow, where nothing is written and nothing reached"
            raise self._error("tier", message, "use notify or stricter")
        if rule.sockets:
            raise self._error("sockets", f"{pattern.tool} connects to no socket", "sockets are for commands")
        return replace(rule, tool=pattern)

    def _check_examples(self, rules: Sequence[Rule]) -> None:
        if "match" not in self._table and "no_match" not in self._table:
            return
        examples = _Examples(rules, self._knowledge)
        for key, wanted in (("match", True), ("no_match", False)):
            for index, example in enumerate(self._texts(key)):
                if examples.match(example) is not wanted:
                    line = self._lines.get((*self._path, key, index), self._line(key))
                    message = f"the rule matches its example `{example}`"
                    if wanted:
                        message = f"the rule does not match its example `{example}`"
                    raise PolicyError(self._file, line, message, f"correct the pattern or {key}")

    def _each(self, key: str, form: re.Pattern[str], hint: str) -> list[str]:
        texts = self._texts(key)
        for index, text in enumerate(texts):
            if not form.fullmatch(text):
                line = self._lines.get((*self._path, key, index), self._line(key))
                raise PolicyError(self._file, line, f"{key} `{text}`", hint)
        return texts

    def _granted(self, key: str, tier: str, form: re.Pattern[str], hint: str) -> tuple[str, ...] | None:
        if key not in self._table:
            return None
        if tier != Tier.NOTIFY:
            raise self._error(key, f"{key} in a rule that is {tier}", "only a notify grants; an approval shows its own")
        return tuple(self._each(key, form, hint))

    def _default(self, tier: str) -> bool:
        value = self._table.get("default", False)
        if not isinstance(value, bool):
            raise self._error("default", f"default is {value!r}", "write true or false")
        if value and tier != Tier.REQUIRE_APPROVAL:
            raise self._error("default", f"a default that is {tier}", "only require_approval can be a default")
        return value

    def _cwd(self) -> str:
        cwd = self._text("cwd")
        if cwd and not cwd.startswith("/"):
            raise self._error("cwd", f"cwd `{cwd}` is not absolute", "write it from /")
        return canonical_path(cwd, "/", "/") if cwd else ""

    def _text(self, key: str) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str) or (key in self._table and not value):
            raise self._error(key, f"{key} is {value!r}", f"{key} is a text in quotes")
        return value

    def _texts(self, key: str) -> list[str]:
        """A text, or a list of texts."""
        value = self._table.get(key, [])
        if isinstance(value, str):
            return [self._text(key)]
        return _strings(self._file, self._lines, (*self._path, key), value)

    def _one_of(self, key: str, values: Sequence[str]) -> str | None:
        value = self._text(key)
        if value and value not in values:
            raise self._error(key, f"{key} is `{value}`", f"{nearest(value, values)}write one of {', '.join(values)}")
        return value or None

    def _line(self, key: str) -> int:
        return self._lines.get((*self._path, key), self._lines[self._path])

    def _error(self, key: str, message: str, hint: str) -> PolicyError:
        return PolicyError(self._file, self._line(key), message, hint)


def _strings(file: str, lines: _Lines, place: Path, value: object) -> list[str]:
    if not isinstance(value, list):
        raise PolicyError(file, lines[place], f"{place[-1]} is {value!r}", "write a list of texts in quotes")
    for index, item in enumerate(value):
        if not isinstance(item, str) or not item.strip():
            line = lines.get((*place, index), lines[place])
            raise PolicyError(file, line, f"{item!r} is not a text", "write a list of texts in quotes")
    return list(value)


def _with_pattern(rule: Rule, text: str, knowledge: Knowledge) -> Rule:
    """`rule` with its pattern read, and refused where it could never do what its tier says."""
    file, line = rule.ref.file, rule.ref.line
    shell_text = text.startswith(">") or any(char in text for char in ";|&(){}<>$`")
    if rule.ref.tier is Tier.DENY and shell_text:
        return replace(rule, text=text)
    if rule.ref.tier is Tier.REQUIRE_APPROVAL and text.startswith("> /"):
        return replace(rule, text=text)
    try:
        pattern = parse_pattern(text)
    except PatternError as exc:
        raise PolicyError(file, line, str(exc.args[0]), str(exc.args[1])) from exc
    if rule.allows and "/" in pattern.words[0]:
        raise PolicyError(file, line, f"`{pattern.words[0]}` is a path", "name the command without its directory")
    if rule.ref.tier is Tier.AUTO_ALLOW:
        _refuse_harmful(rule, pattern, knowledge)
    return replace(rule, pattern=pattern)


def _refuse_harmful(rule: Rule, pattern: Pattern, knowledge: Knowledge) -> None:
    """An `auto_allow` pattern that spells out what is not known to be harmless would never come true: say so."""
    words = pattern.words
    argv = tuple(Word(text=word) for word in words)
    judgement = judge(knowledge, argv)
    if judgement.known:
        unfinished = (pattern.open or len(words) == 1) and may_become_harmless(knowledge, argv)
        concerns = [] if unfinished else list(uncovered(replace(rule, pattern=pattern), argv, judgement))
    else:
        concerns = [f"`{word}` is not known to be harmless" for word in words if word.startswith("-")]
    if concerns:
        message = f"auto_allow cannot cover `{rule.ref.name}`: {concerns[0]}"
        raise PolicyError(rule.ref.file, rule.ref.line, message, "use notify or require_approval")


class _Examples:
    """Whether any of the rules of a table speaks of an example: a line, or `tool:/path`. Persons do not count."""

    def __init__(self, rules: Sequence[Rule], knowledge: Knowledge) -> None:
        self._rules = rules
        self._knowledge = knowledge
        self._searched = Searched(rules, knowledge)

    def match(self, example: str) -> bool:
        tool, colon, about = example.partition(":")
        if colon and tool in ALL_TOOLS:
            return any(rule.tool is not None and rule.tool.covers(tool, about) for rule in self._rules)
        program = recognise(example)
        if isinstance(program, Program) and any(self._allowed(command.argv) for command in program.commands()):
            return True
        scan = Scan(self._searched, self._knowledge, cwd="/nowhere", home="/nowhere")
        try:
            scan.text(example)
        except LimitError:
            return True
        return bool(scan.found)

    def _allowed(self, argv: Sequence[Word]) -> bool:
        judgement = judge(self._knowledge, argv)
        return any(rule.allows and rule.covers(argv) and not uncovered(rule, argv, judgement) for rule in self._rules)
