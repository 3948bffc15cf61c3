"""The package file: the rules of docs/packaging.md for how it is built and what is in it."""

import ast
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.system.command import PATIENCE_S
from tests.system.guest import REPOSITORY, Guest
from tests.system.packages import build, fetch, make_source, source_of

_PAGE = REPOSITORY / "docs/packaging.md"
# What a package's name in Arch is called in Python, where the two differ.
_IMPORTED = {"python-systemd": "systemd"}
_SYSTEMD_DOES = (
    "systemd-sysusers systemd-tmpfiles daemon-reload daemon-reexec update-catalog try-restart udevadm".split()
)


@pytest.fixture(scope="module")
def archive(package: Path) -> Iterator[tarfile.TarFile]:
    """The package, opened."""
    with tarfile.open(package.with_name("opened.tar")) as opened:
        yield opened


@pytest.fixture(scope="module")
def members(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """What it installs, by path."""
    return {f"/{member.name}": member for member in archive if not member.name.startswith(".")}


@pytest.fixture(scope="module")
def info(archive: tarfile.TarFile) -> dict[str, list[str]]:
    """.PKGINFO: each key with its values."""
    out: dict[str, list[str]] = {}
    for line in _text(archive, ".PKGINFO").splitlines():
        key, _, value = line.partition(" = ")
        if not line.startswith("#"):
            out.setdefault(key, []).append(value)
    return out


def _text(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name.removeprefix("/"))
    assert file is not None
    return file.read().decode(errors="replace")  # what is learned is no text, and may name no place either


def test_every_rule_has_its_test_and_every_test_its_rule() -> None:
    named = re.findall(r"`(test_package\w*)::(test_\w+)`", _PAGE.read_text(encoding="utf-8"))
    here = [
        (path.stem, node.name)
        for path in sorted(Path(__file__).parent.glob("test_package*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and "every_rule" not in node.name
    ]
    assert sorted(named) == sorted(here)


# How it is built


def test_two_builds_are_the_same_bytes(guest: Guest, package: Path) -> None:
    environment = {"LANG": "ja_JP.UTF-8", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}
    again = fetch(guest, build(guest, source_of(package), "--nocheck", environment=environment, umask="077"))
    assert (again == package.read_bytes()) is True  # without pytest's comparison, which takes hours


@pytest.mark.soak
def test_a_build_with_its_unit_tests_is_the_same_bytes_too(guest: Guest, package: Path) -> None:
    again = fetch(guest, build(guest, source_of(package), timeout_s=20 * PATIENCE_S))
    assert again == package.read_bytes()


def test_its_own_unit_tests_run_while_it_is_built_and_can_stop_it(guest: Guest, tmp_path: Path) -> None:
    source = make_source(tmp_path)
    recipe = (source.folder / "PKGBUILD").read_text(encoding="utf-8")
    assert "pytest" in recipe[recipe.index("check() {") : recipe.index("package() {")]
    spoiled = recipe.replace(
        "check() {", "check() {\n  echo 'def test_no(): assert 0' > aios-$pkgver/tests/unit/test_no.py"
    )
    spoiled = spoiled.replace("tests/unit \\", "tests/unit/test_no.py \\")
    assert spoiled.count("test_no.py") == 2
    (source.folder / "PKGBUILD").write_text(spoiled, encoding="utf-8")
    with pytest.raises(Exception, match=r"A failure occurred in check\(\)"):
        build(guest, source)


def test_nothing_is_fetched_and_every_source_is_pinned_by_its_hash(tmp_path: Path) -> None:
    source = make_source(tmp_path)
    recipe = (source.folder / "PKGBUILD").read_text(encoding="utf-8")
    assert "://" not in recipe
    sums = re.search(r"^sha256sums=\(([^)]*)\)", recipe, re.MULTILINE)
    assert sums is not None
    files = {path.name for path in source.folder.iterdir()}
    assert re.fullmatch(r"(\s*[0-9a-f]{64})+", sums[1])
    assert len(sums[1].split()) == len(files - {"PKGBUILD", "aios.install"}) == 2


def test_it_says_what_it_is(info: dict[str, list[str]]) -> None:
    assert (info["pkgname"], info["arch"], info["license"]) == (["aios"], ["any"], ["MIT"])
    assert 10 < len(info["pkgdesc"][0]) < 100
    assert not info["pkgdesc"][0].lower().startswith(("a ", "aios"))
    assert re.fullmatch(
        r"\d+(\.\d+)*(dev\d+\.g[0-9a-f]{9}|\.r\d+\.g[0-9a-f]{9})?(\.t[0-9a-f]{9})?-1", info["pkgver"][0]
    )


def test_what_it_imports_it_depends_on_by_the_names_of_arch(
    info: dict[str, list[str]], archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]
) -> None:
    depends = {re.split("[<>=]", value)[0] for value in info["depend"]}
    wanted: set[str] = set()
    for path in members:
        if path.endswith(".py"):
            for node in ast.walk(ast.parse(_text(archive, path))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
                wanted |= {name.partition(".")[0] for name in names}
    vendored = {
        PurePosixPath(path).name for path in members if PurePosixPath(path).parent == PurePosixPath("/usr/lib/aios")
    }
    named = depends | {value.partition(":")[0] for value in info["optdepend"]}
    given = {name.removeprefix("python-").replace("-", "_") for name in named if name.startswith("python-")}
    given |= {_IMPORTED[name] for name in depends & set(_IMPORTED)}
    assert wanted - set(sys.stdlib_module_names) - vendored <= given
    assert {"python", "systemd", "bubblewrap", "xdg-dbus-proxy", "polkit"} <= depends
    assert all(": " in value for value in info["optdepend"])


# What is in it


def test_files_are_roots_and_nobody_else_may_write_them(members: dict[str, tarfile.TarInfo]) -> None:
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members.values()} == {
        (0, 0, "root", "root")
    }
    runs = {
        "/usr/bin/aios",
        "/usr/bin/aiosd",
        "/usr/lib/aios/aios-guard",
        "/usr/lib/aios/refresh",
        "/usr/lib/aios/transaction",
    }
    modes = {path: member.mode for path, member in members.items() if not member.issym()}
    programs = {path for path, mode in modes.items() if members[path].isfile() and mode & 0o111}
    assert runs <= programs
    assert {path for path in programs if not path.startswith(("/usr/bin/", "/usr/lib/aios/"))} == set()
    assert {
        path: oct(mode)
        for path, mode in modes.items()
        if mode != (0o755 if path in programs or members[path].isdir() else 0o644)
    } == {}


def test_it_lies_in_usr_and_only_folders_in_etc(members: dict[str, tarfile.TarInfo]) -> None:
    outside = {path: member.isdir() for path, member in members.items() if not path.startswith("/usr")}
    assert outside == dict.fromkeys(["/etc", "/etc/aios", "/etc/aios/config.d", "/etc/aios/policy.d"], True)
    assert [path for path in members if path.startswith("/usr/local")] == []
    assert {path.split("/")[2] for path in members if path.startswith("/usr/")} == {"bin", "lib", "share"}


def test_no_file_of_the_administrator_is_tracked(info: dict[str, list[str]]) -> None:
    assert "backup" not in info


def test_nothing_lies_in_the_folder_of_one_version_of_python(members: dict[str, tarfile.TarInfo]) -> None:
    assert [path for path in members if "site-packages" in path or "dist-packages" in path or "/python3" in path] == []
    assert "/usr/lib/aios/aiosd/__init__.py" in members


def test_no_byte_code_is_shipped(members: dict[str, tarfile.TarInfo]) -> None:
    assert [path for path in members if "__pycache__" in path or path.endswith((".pyc", ".pyo"))] == []


def test_programs_start_python_isolated(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> None:
    first = {
        path: _text(archive, path).partition("\n")[0]
        for path, member in members.items()
        if member.isfile() and member.mode & 0o111
    }
    assert set(first.values()) <= {"#!/usr/bin/python3 -I", "#!/usr/bin/python3 -IS", "#!/bin/sh"}
    assert first["/usr/bin/aios"] == first["/usr/lib/aios/aios-guard"] == "#!/usr/bin/python3 -IS"
    assert first["/usr/bin/aiosd"] == "#!/usr/bin/python3 -I"


def test_each_work_in_it_has_its_licence(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> None:
    works = {
        PurePosixPath(path).name
        for path, member in members.items()
        if member.isdir() and PurePosixPath(path).parent.as_posix() == "/usr/lib/aios"
    }
    assert works == {"aiosd", "sdnotify"}
    for name in ("LICENSE", "sdnotify.txt"):
        assert "Permission is hereby granted" in _text(archive, f"usr/share/licenses/aios/{name}")


def test_links_stay_inside(members: dict[str, tarfile.TarInfo]) -> None:
    links = {path: member.linkname for path, member in members.items() if member.issym()}
    assert {path for path, target in links.items() if target.startswith(("/", ".."))} == set()
    assert {f"{PurePosixPath(path).parent}/{target}" for path, target in links.items()} <= set(members)


def test_no_trace_of_the_building_machine(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> None:
    said = {
        path: _text(archive, path) for path, member in members.items() if member.isfile() and not path.endswith(".gz")
    }
    assert [
        path for path, text in said.items() if re.search(r"/home/builder|/build/src|/tmp/tmp|pkgdir|\$srcdir", text)
    ] == []


def test_manual_pages_and_documentation_are_where_people_look(members: dict[str, tarfile.TarInfo]) -> None:
    pages = {f"/usr/share/man/man{path.stem[-1]}/{path.stem}.gz" for path in (REPOSITORY / "docs/man").glob("*.in")}
    assert pages == {path for path in members if path.startswith("/usr/share/man/") and path.endswith(".gz")}
    assert "/usr/share/doc/aios/packaging.md" in members
    for path in ("bash-completion/completions/aios", "zsh/site-functions/_aios", "fish/vendor_completions.d/aios.fish"):
        assert f"/usr/share/{path}" in members


def test_tests_are_not_shipped(members: dict[str, tarfile.TarInfo]) -> None:
    assert [path for path in members if re.search(r"/(tests?|bench|docs)(/|$)", path)] == []


def test_what_systemds_hooks_do_is_not_done_again(
    archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]
) -> None:
    ours = [path for path in members if path.startswith("/usr/share/libalpm/hooks/") and not members[path].isdir()]
    assert len(ours) == 2
    texts = [_text(archive, path) for path in (".INSTALL", *ours, "usr/lib/aios/refresh", "usr/lib/aios/transaction")]
    commands = "\n".join(line for text in texts for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert [word for word in _SYSTEMD_DOES if word in commands] == []


def test_the_scriptlet_enables_and_starts_nothing(archive: tarfile.TarFile) -> None:
    scriptlet = _text(archive, ".INSTALL")
    printed = re.sub(r"<<'TEXT'\n.*?\nTEXT\n", "", scriptlet, flags=re.DOTALL)
    assert re.findall(r"systemctl\b.*?\b(enable|start|restart|preset|reload)\b", printed) == []
    assert "systemctl enable --now aiosd.socket" in scriptlet
    assert ".preset" not in scriptlet
