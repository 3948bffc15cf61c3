"""Every text that people may be shown, read out of the source as templates: `{}` stands where a value is filled in."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import aiosd
from aiosd.audit.records import Decision, Outcome
from aiosd.cli.table import VERBS
from aiosd.model.builtin import BuiltinModel
from aiosd.policy.knowledge import PHRASES

ROOT = Path(aiosd.__file__).parent

# Modules whose every sentence is shown, and those that say what is shown in an error, a reason or a remedy.
_WHOLE = (
    "api/text.py",
    "cli/*.py",
    "config.py",
    "config_check.py",
    "egress/[a-dopr-s]*.py",
    "egress/exchange.py",
    "egress/hosts.py",
    "guard/asking.py",
    "guard/bus.py",
    "guard/confining.py",
    "guard/diagnose.py",
    "guard/door.py",
    "guard/exported.py",
    "guard/host.py",
    "guard/observations.py",
    "guard/observe.py",
    "guard/polkit.py",
    "guard/reach.py",
    "guard/request.py",
    "guard/session_files.py",
    "guard/violations.py",
    "judging/*.py",
    "layers.py",
    "login/pam.py",
    "model/fallback.py",
    "policy/confine.py",
    "policy/deny_scan.py",
    "policy/engine.py",
    "policy/errors.py",
    "policy/explain.py",
    "policy/files.py",
    "policy/folders.py",
    "policy/judge.py",
    "policy/recogniser.py",
    "policy/remedy.py",
    "policy/rule_tables.py",
    "policy/rules.py",
    "policy/tools.py",
    "policy/web.py",
    "policy/words.py",
    "sandbox/bundle.py",
    "sandbox/profile.py",
    "setup/*.py",
)
_ERRORS = (
    "__main__.py",
    "agent/*.py",
    "api/*.py",
    "audit/*.py",
    "daemon.py",
    "guard/[cdjloprsw]*.py",
    "guard/approvals.py",
    "memory/*.py",
    "model/*.py",
    "places.py",
    "sandbox/l[ai]*.py",
    "sandbox/manager.py",
    "session/*.py",
    "systemd/activation.py",
    "tools/base.py",
)
_PROBES = ("CheckInfo", "_check", "_try")  # what `aios doctor` has tried, by name
_PROGRAMS = ("Landlock", "bubblewrap")
_RULES = ("policy/defaults/*.toml", "policy/presets/*.toml")
_NAMES = frozenset({"detail", "hint", "reason", "reasons", "remedy", "shows", "text", "title", "trouble", "why"})
_CALLS = frozenset({"_refuse", "_tell_once", "refuse", "say"})


def _word(code: str) -> str:
    return code.replace("_", " ")


# The words for what became of a call, which the client makes of its code.
_ENDS = {text for value in (*Outcome, *Decision) for text in (_word(value), f"{_word(value)}: {{}}")}
# What a command does, by itself and with its name.
_EFFECTS = {text for phrase in PHRASES.values() for text in (phrase, f"`{{}}` {phrase}")}


def _list(texts: str) -> list[str]:
    return texts.split("|")


# What reads like a sentence and is none: names of rules and of keys, command lines, keys of the keyboard. The login
# hook speaks plain ASCII to whatever terminal it has.
_QUIET = {
    *(verb[0] for verb in VERBS),
    *_list("Enter, \\ Enter|Ctrl-C, Esc|aios help|aios help {}|sudo aios setup|sudo aios login {}|aios {}"),
    *_list("unmatched    {}|least        {}|questions    {}|digest       {}|folder {}|audit {}|uid {}"),
    *_list("observe {} {}|connect to|chown root {}; chmod go-w {}|chown {} {}|chmod go-w {}"),
    *_list("{}:{} folder {}|environment variable {}_{}"),
    *_list("systemctl daemon-reload|systemctl try-reload-or-restart aios-guard.service"),
    *_list("approval waits|approvals wait|{} {} for your answer: aios pending"),
    "{} {} cut short since {} UTC: aios sessions ({})",
    "The system bus, to be read only, for aios-guard",
}
# And patterns, tables, programs, the words of a language.
_NO_TEXT = re.compile(
    r"[A-Z]{4,} [(A-Z]|^USED|\\[dWSb(]|^#|complete -c|PRAGMA|HTTP/1|^Host: |^Connection: |aios waits for you"
    r"|^List[US]|compadd|^uid map$|^_Why|^Landlock scope$|^case \"|^\[\[ |compgen|_aios|^local |describe verb|COMP"
    r"|^prompt is too|^insufficient_|^overloaded"
    r"|^(if|\. :|eval|readonly) |\{\(|Authentication|authentication failure|--grep=|import marshal|\(\?:"
    r"|^session optional |^ssh -o |^ExecStart=|^unmatched = |this line's file"
)
_HEAD = re.compile(r"[A-Z]{2,}( [A-Z(]+\)?)*")  # of a column
_FIELDS = re.compile(r"(?:\{\})+")  # with nothing between them, they are one
_VALUE = re.compile(r"\{\} is `?\{\}`?")
_PHRASE = re.compile(r"[A-Za-z]{2,}['`,;:.)]* [('`]*[A-Za-z]{2,}|[A-Za-z]{2}.* .*[A-Za-z]{2}")
_LABEL = re.compile(r"^[a-z]{3,}:? +'?\{\}|\{\} [a-z]{4,}")  # one word and a value


def read_shown() -> dict[str, str]:
    """Template by template, where it stands."""
    found = dict.fromkeys(_ENDS, "audit/records.py") | dict.fromkeys(_EFFECTS, "policy/knowledge.py")
    found |= {BuiltinModel().info.description: "model/builtin", "default": "config.py"}
    for _name, _operands, about, options in VERBS:
        found |= dict.fromkeys((about, *(option[3] for option in options)), "cli/table.py")
    for patterns, pick in ((_WHOLE, _all_texts), (_ERRORS, _error_texts)):
        for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
            tree, name = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(ROOT))
            if name == "cli/table.py":
                continue
            found |= {text.strip(): name for text in _said(tree)} | dict.fromkeys(_joined(tree), name)
            if name == "api/text.py":
                heads = (text for text in _all_texts(tree) if _HEAD.fullmatch(text))
                found |= {text: name for text in heads if text not in ("MISSING", "WF")}
            for text in pick(tree):
                for line in text.split("\n"):
                    bare = _FIELDS.sub("{}", line.strip().removeprefix("aios: ").lstrip(",;: "))
                    reads = _PHRASE.search(bare) or (pick is _all_texts and _LABEL.search(bare))
                    if reads and not _NO_TEXT.search(bare) and bare not in _QUIET:
                        found.setdefault(bare, name)
    for pattern in _RULES:
        for path in ROOT.glob(pattern):
            for rule in tomllib.loads(path.read_text(encoding="utf-8")).get("rule", ()):
                for said in rule.keys() & {"reason", "suggest"}:
                    found.setdefault(rule[said], str(path.relative_to(ROOT)))
    return found


def _said(tree: ast.Module) -> Iterator[str]:
    """What is said as it stands, were it a single word."""
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "say":
            yield from (text for each in ast.walk(node.args[0]) if (text := _template(named.get(_name(each), each))))
        elif isinstance(node, ast.keyword) and node.arg == "detail" and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
        elif isinstance(node, ast.Call) and _name(node.func) in _PROBES:
            given = (*node.args, *(word.value for word in node.keywords if word.arg == "name"))
            yield from (name for each in given if (name := _template(each)).isalpha() and name not in _PROGRAMS)


def _all_texts(tree: ast.Module) -> Iterator[str]:
    skipped = _quiet(tree)
    for node in ast.walk(tree):
        if node not in skipped and (text := _template(node)):
            yield text


def _error_texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        given: list[ast.AST] = []
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            given = [*node.exc.args, *(word.value for word in node.exc.keywords)]
        elif isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg in _NAMES]
            if _name(node.func) in _CALLS or _name(node.func).endswith(("Error", "_unreachable", "garbled")):
                given += node.args
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            given = [node.value] if node.targets[0].id.strip("_").lower() in _NAMES | {"told"} else []
            if isinstance(node.value, ast.Dict) and node.targets[0].id == "_STOPS":
                given = list(node.value.values)
        for each in given:
            yield from _choices(each)


def _joined(tree: ast.Module) -> Iterator[str]:
    """What is wrong with a value, where that says little without the remedy behind it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) > 1:
            message, remedy = (_FIELDS.sub("{}", _template(each)) for each in node.args[-2:])
            if _VALUE.fullmatch(message) and remedy:
                yield f"{message}; {remedy}"


def _choices(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _choices(node.body)
        yield from _choices(node.orelse)
    elif text := _template(node):
        yield text


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
        return node.value.decode(errors="replace")
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


def _quiet(tree: ast.Module) -> set[ast.AST]:
    """Docstrings, what is logged for us, and the pieces of what is read whole."""
    quiet: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if node.body and isinstance(node.body[0], ast.Expr):
                    quiet.add(node.body[0].value)
            case ast.JoinedStr():
                quiet |= {part for part in node.values if isinstance(part, ast.Constant)}
            case ast.Call() if _name(node.func) in ("debug", "info", "warning", "error", "exception", "execute"):
                quiet |= set(node.args)
            case _:
                pass
    return quiet


def _name(function: ast.AST) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
