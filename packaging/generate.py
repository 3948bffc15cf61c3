"""Make what the package ships from the code: the manual pages (from docs/man/*.in) and the shells' completions.

    generate.py FOLDER

A line `.\\" @NAME` of a page is replaced by what the code says: the verbs, the keys, the exit statuses. A sentence for
each key is in docs/man/*.toml; one too many or too few is an error. SOURCE_DATE_EPOCH dates the pages.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from aiosd import __version__  # noqa: E402 - from this checkout
from aiosd.audit.records import Connected, Decided, Done, Lapsed, Ordered, Packages, Started, Stopped  # noqa: E402
from aiosd.cli.completion import render_completion  # noqa: E402
from aiosd.cli.table import EXIT_STATUSES, VERBS  # noqa: E402
from aiosd.config import Config, ModelTable  # noqa: E402
from aiosd.guard.settings import GuardSettings, parse_guard_value  # noqa: E402
from aiosd.guard.standins import Secret  # noqa: E402

_SHELLS = ("bash", "zsh", "fish")
_PLACE = re.compile(r'^\.\\" @(\w+)(.*)$', re.MULTILINE)
_OPTION = re.compile(r"^  (--\S+) +(\S.*)$", re.MULTILINE)


class StaleError(Exception):
    """What docs/man says and what the code has differ; the message says where."""


def render_pages() -> dict[str, str]:
    """Every page by its file name, ready for man(1)."""
    makers: dict[str, Callable[[], str]] = {
        "VERBS": _render_verbs,
        "EXIT_STATUSES": lambda: _render_terms((str(status), about) for status, about in EXIT_STATUSES),
        "CONFIG_KEYS": _render_config_keys,
        "TIERS": lambda: _render_terms(_sentences("policy.toml", "tier").items()),
        "RULE_KEYS": lambda: _render_terms(_sentences("policy.toml", "rule").items()),
        "AIOSD_OPTIONS": _render_daemon_options,
        "RECORDS": _render_records,
    }

    def fill(match: re.Match[str]) -> str:
        return _render_head(match[2]) if match[1] == "TH" else makers[match[1]]().rstrip("\n")

    pages = sorted((ROOT / "docs/man").glob("*.in"))
    return {page.stem: _PLACE.sub(fill, page.read_text(encoding="utf-8")) for page in pages}


def escape(text: str) -> str:
    r"""Text for roff: nothing in it is a request, and - is the character that one types."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _render_head(rest: str) -> str:
    """`.TH` with the date of the source and its version."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    date = datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d") if seconds else ""
    name, section, title = rest.strip().split(" ", 2)
    return f'.TH {name.upper()} {section} "{date}" "aiosd {__version__}" {title}'


def _render_verbs() -> str:
    out = ""
    for name, operands, about, options in VERBS:
        words = [_bold(f"aios {name}"), *(["[" + _italic("OPTION") + " ...]"] if options else [])]
        out += f".TP\n{' '.join([*words, *([_italic(operands)] if operands else [])])}\n{escape(about)}\n"
        out += ".RS\n" if options else ""
        for short, long, value, text in options:
            spelled = ", ".join(_bold(each) for each in (short, long) if each)
            out += f".TP\n{' '.join([spelled, *([_italic(value)] if value else [])])}\n{escape(text)}\n"
        out += ".RE\n" if options else ""
    return out


def _bold(text: str) -> str:
    return f"\\fB{escape(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{escape(text)}\\fR"


def _render_terms(terms: Iterable[tuple[str, str]]) -> str:
    return "".join(f".TP\n.B {escape(term)}\n{escape(about)}\n" for term, about in terms)


def _render_config_keys() -> str:
    out = ""
    tables: dict[str, Any] = {table.name: getattr(Config(), table.name) for table in fields(Config)}
    tables |= {"models": ModelTable(), "secrets": Secret(name="NAME"), "guard": GuardSettings()}
    for name, table in tables.items():
        sentences = _sentences("keys.toml", name)
        keys = [field for field in fields(table) if field.name != "name"]
        _compare(f"docs/man/keys.toml [{name}]", sentences, (field.name for field in keys))
        out += f'.SS "[{f"{name}.NAME" if name in {"models", "secrets"} else name}]"\n'
        for field in keys:
            default = getattr(table, field.name)
            kind = _describe_kind(default, _find_least(table, field.name, default))
            out += f".TP\n.B {escape(field.name)}\n{escape(sentences[field.name])}\n{escape(kind)}\n"
    return out


def _find_least(table: object, name: str, default: object) -> int:
    """The least a number may be: as its type says, or as the guard's own check does."""
    if isinstance(default, bool) or not isinstance(default, int | float):
        return 0
    if isinstance(table, GuardSettings):
        return next(value for value in (0, 1) if _is_taken(name, value))
    hint = get_type_hints(type(table), include_extras=True)[name]
    return int(next(bound.ge for bound in get_args(hint)[1:]))


def _is_taken(name: str, value: int) -> bool:
    try:
        parse_guard_value(name, value)
    except ValueError:
        return False
    return True


def _describe_kind(default: object, least: int) -> str:
    match default:
        case bool():
            return f"true or false; {'true' if default else 'false'} by default."
        case float():
            return f"A number, at least {least}; {default:g} by default."
        case "":
            return "Text; empty by default."
        case int():
            return f"A number, at least {least}; {default} by default."
        case str():
            return f'Text; "{default}" by default.'
        case ():
            return "A list; empty by default."
        case tuple():
            shown = ", ".join(f'"{item}"' for item in default)
            return f"A list; {shown} by default."
        case _:
            raise StaleError(f"no words for a value like {default!r}")


def _render_daemon_options() -> str:
    command = [sys.executable, "-m", "aiosd", "--help"]
    english = {**os.environ, "LC_ALL": "C.UTF-8"}
    said = subprocess.run(command, cwd=ROOT, env=english, check=True, capture_output=True, text=True).stdout
    return _render_terms((option, f"{about[0].upper()}{about[1:]}.") for option, about in _OPTION.findall(said))


def _render_records() -> str:
    out = ""
    for record in (Started, Stopped, Decided, Done, Connected, Packages, Ordered, Lapsed):
        names = ", ".join(f"AIOS_{field.name.upper()}" for field in fields(record))
        out += f".TP\n{_bold(record.kind.value)}, {record.kind.message_id}\n{escape(names)}\n"
    return out


def _sentences(file: str, table: str) -> Mapping[str, str]:
    return dict(tomllib.loads((ROOT / "docs/man" / file).read_text(encoding="utf-8"))[table])


def _compare(where: str, has: Iterable[str], needs: Iterable[str]) -> None:
    known, needed = set(has), set(needs)
    missing, over = needed - known, known - needed
    if missing or over:
        raise StaleError(f"{where}: missing {sorted(missing)}, unknown {sorted(over)}")


def main() -> None:
    """Write everything into the folder named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: generate.py FOLDER")
    folder = Path(sys.argv[1])
    (folder / "man").mkdir(parents=True, exist_ok=True)
    for name, page in render_pages().items():
        (folder / "man" / name).write_text(page, encoding="utf-8")
    for shell in _SHELLS:
        (folder / f"aios.{shell}").write_text(render_completion(shell), encoding="utf-8")


if __name__ == "__main__":
    main()
