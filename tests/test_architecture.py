"""The layout: imports go down only, the root guard and the thin client can be read alone, modules stay small."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "aiosd"

# Top to bottom, as in DESIGN.md and finer: the words that rooms share (`wire`, `frames`) stand below them.
ORDER = (
    "__main__",
    "daemon",
    "login",
    "setup",
    "judging",
    "api",
    "session",
    "agent",
    "tools",
    "mcp",
    "model",
    "memory",
    "config",
    "config_check",
    "egress",
    "places",
    "systemd",
    "guard",
    "machines",
    "policy",
    "sandbox",
    "audit",
    "begin",
    "accepting",
    "log",
    "wire_export",
    "wire",
    "wire_ask",
    "wire_sent",
    "wire_talk",
    "frames",
    "layers",
    "errors",
    "exits",
    "types",
    "words",
    "aiosd",  # the package itself: the version
)
CLIENT = "cli"  # beside them all
# The last three for verbs that need no daemon: of root alone, and about policies.
CLIENT_MAY = {"wire", "frames", "exits", "words", "login", "setup", "judging"}
GUARDS = {"accepting", "begin", "guard", "machines", "policy", "sandbox", "audit", "types", "errors", "exits", "layers"}
MOST_LINES, WANTED_LINES = 400, 350


@dataclass(frozen=True, slots=True)
class Import:
    """`module` imports `name` of `target` (or `target` itself, with name "")."""

    module: str
    target: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}{f'.{self.name}' if self.name else ''}"


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its name, without the package's."""
    return {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts).removesuffix("__init__").removesuffix(".") or "aiosd"


@cache
def imports() -> tuple[Import, ...]:
    """Every import, wherever it stands: in a function, under TYPE_CHECKING, in a try."""
    return tuple(each for name, path in modules().items() for each in _read_imports(name, path))


def _read_imports(name: str, path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(name, alias.name, "", node.lineno)
            case ast.ImportFrom(module=str(target), level=0):
                for alias in node.names:
                    whole = f"{target}.{alias.name}"
                    if _is_ours(whole) and _own(whole) in modules():
                        yield Import(name, whole, "", node.lineno)
                    else:
                        yield Import(name, target, alias.name, node.lineno)
            case ast.ImportFrom():
                raise AssertionError(f"{name}:{node.lineno} imports relatively")


def _is_ours(target: str) -> bool:
    return target == "aiosd" or target.startswith("aiosd.")


def _own(target: str) -> str:
    return target.removeprefix("aiosd.")


def _room(module: str) -> str:
    return module.partition(".")[0]


def _is_of_guard(module: str) -> bool:
    return _room(module) in GUARDS


def test_every_room_has_its_place() -> None:
    assert {_room(name) for name in modules()} <= {*ORDER, CLIENT}


def test_imports_go_down_only() -> None:
    place = {room: index for index, room in enumerate(ORDER)}
    wrong = [
        str(each)
        for each in imports()
        if _is_ours(each.target)
        and _room(each.module) != CLIENT
        and (_room(_own(each.target)) == CLIENT or place[_room(_own(each.target))] < place[_room(each.module)])
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    edges: dict[str, set[str]] = {name: set() for name in modules()}
    for each in imports():
        if _is_ours(each.target):
            assert _own(each.target) in modules(), each
            edges[each.module].add(_own(each.target))
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join((*way[way.index(name) :], name))
        if name not in done:
            for target in sorted(edges[name]):
                visit(target, (*way, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_the_client_imports_the_standard_library_and_the_words_of_the_wire() -> None:
    wrong = [
        str(each)
        for each in imports()
        if _room(each.module) == CLIENT
        and not _is_standard(each.target)
        and not (each.target == "aiosd" and each.name == "__version__")
        and not (_is_ours(each.target) and _room(_own(each.target)) in {CLIENT, *CLIENT_MAY})
        and not (each.module == "cli.editor" and each.target.partition(".")[0] == "prompt_toolkit")
    ]
    assert wrong == []


def test_what_runs_as_root_imports_the_standard_library_and_itself() -> None:
    wrong = [
        str(each)
        for each in imports()
        if _is_of_guard(each.module)
        and not _is_standard(each.target)
        and not (each.target == "aiosd" and each.name in {"", "__version__"})
        and not (_is_ours(each.target) and _is_of_guard(_own(each.target)))
    ]
    assert wrong == []


def test_the_wire_and_the_launcher_of_each_verb_import_next_to_nothing() -> None:
    for module in ("wire", "wire_ask", "wire_sent", "wire_talk", "frames", "exits", "types"):
        targets = {each.target for each in imports() if each.module == module}
        assert all(_is_standard(target) for target in targets - {"aiosd.wire_talk"}), (module, targets)


def test_the_daemon_starts_without_the_room_of_rules() -> None:
    """It takes a tenth of a start to read, and the guard alone judges."""
    code = "import sys, aiosd.daemon; print(sorted(each for each in sys.modules if each.startswith('aiosd.policy')))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "[]\n"


def test_other_peoples_code_is_what_the_package_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    }
    names = {each.split(">")[0].split("=")[0].strip().replace("-", "_") for each in declared}
    modules_of = {"systemd_python": "systemd"}
    allowed = {modules_of.get(name, name) for name in names}
    used = {each.target.partition(".")[0] for each in imports() if not _is_ours(each.target)}
    assert {name for name in used if not _is_standard(name)} <= allowed


def test_what_begins_with_an_underscore_stays_at_home() -> None:
    wrong = [
        str(each)
        for each in imports()
        if _is_ours(each.target) and each.name.startswith("_") and not each.name.startswith("__")
    ]
    assert wrong == []


@pytest.mark.parametrize("name", [name for name, path in modules().items() if path.stat().st_size])
def test_a_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(ast.parse(modules()[name].read_text(encoding="utf-8")))


def test_modules_stay_small(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    large = {name: lines for name, lines in sizes.items() if lines > WANTED_LINES}
    with capsys.disabled():
        if large:
            print(f"\nmodules over {WANTED_LINES} lines: {large}")
    assert {name: lines for name, lines in large.items() if lines > MOST_LINES} == {}


def _is_standard(target: str) -> bool:
    return target.partition(".")[0] in sys.stdlib_module_names
