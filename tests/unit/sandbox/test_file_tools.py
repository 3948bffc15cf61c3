"""The file tools, each in a process of an ordinary person: what they do, what they refuse, and never half of it."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.parts import default_interpreter
from tests.daemon.harness import ROOT, wait_until
from tests.daemon.people import IS_ROOT, default_person

_RUN = f"""
import marshal, posix, sys
sys.path.insert(0, {str(ROOT)!r})
from aiosd.sandbox.file_tools import run
name, arguments = marshal.loads(bytes.fromhex(sys.argv[1]))
posix._exit(run(name, arguments, {{}}))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="aios-", dir="/tmp"))
    made.chmod(0o755)
    if IS_ROOT:
        os.chown(made, default_person(), default_person())
    yield made
    shutil.rmtree(made)


def start(name: str, **arguments: Any) -> subprocess.Popen[bytes]:
    """A tool's process; what it writes comes by standard input."""
    import marshal  # noqa: PLC0415

    words = [default_interpreter(), "-I", "-S", "-B", "-X", "utf8", "-c", _RUN, marshal.dumps((name, arguments)).hex()]
    pipe = subprocess.PIPE
    if not IS_ROOT:
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, umask=0o022)
    who = default_person()
    return subprocess.Popen(
        words, stdin=pipe, stdout=pipe, stderr=pipe, umask=0o022, user=who, group=who, extra_groups=[]
    )


def tool(name: str, content: bytes = b"", **arguments: Any) -> tuple[int, str, str]:
    """Exit status, answer, complaint."""
    process = start(name, **arguments)
    out, err = process.communicate(content, timeout=20)
    return process.returncode, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape")


def put(path: Path, content: bytes | str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    if IS_ROOT:
        os.chown(path, default_person(), default_person())
    return path


def state(path: Path) -> tuple[int, ...]:
    """What of a file changes when somebody changes it."""
    status = path.stat()
    return status.st_ino, status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns, status.st_ctime_ns


# --- read_file


def test_a_file_is_read_whole_and_in_pieces(folder: Path) -> None:
    file = put(folder / "f", "".join(f"line {number}\n" for number in range(1, 11)))
    assert tool("read_file", path=str(file)) == (0, file.read_text(), "")
    assert tool("read_file", path=str(file), offset=9) == (0, "line 9\nline 10\n", "")
    assert tool("read_file", path=str(file), offset=3, limit=2) == (
        0,
        "line 3\nline 4\n",
        "[lines 3 to 4; go on with offset=5]\n",
    )
    assert tool("read_file", path=str(file), offset=11) == (0, "", "")
    assert tool("read_file", path=str(file), offset=-5, limit=0) == (
        0,
        "line 1\n",
        "[lines 1 to 1; go on with offset=2]\n",
    )


@pytest.mark.parametrize(
    "content", ["", "no end of line", "\n", "\n\n", "日本語\r\n", "a\x0cb\x1cc\u2028d\x85e\rf\ng\n"], ids=repr
)
def test_a_file_reads_as_it_is(folder: Path, content: str) -> None:
    assert tool("read_file", path=str(put(folder / "f", content))) == (0, content, "")


def test_a_line_ends_where_every_other_tool_ends_it(folder: Path) -> None:
    file = put(folder / "f", "one\x0c\x1c\u2028\x85\rstill one\ntwo\n")
    assert tool("read_file", path=str(file), offset=2) == (0, "two\n", "")
    assert tool("grep", pattern="two", path=str(file)) == (0, f"{file}:2:two\n", "")


def test_bytes_that_are_not_utf_8_are_shown_as_such(folder: Path) -> None:
    assert tool("read_file", path=str(put(folder / "f", b"caf\xe9\n"))) == (0, "caf\ufffd\n", "")


def test_a_link_is_read_through(folder: Path) -> None:
    put(folder / "f", "there\n")
    (folder / "link").symlink_to("f")
    assert tool("read_file", path=str(folder / "link")) == (0, "there\n", "")


def test_what_lies_beyond_the_limit_is_said_and_not_asked_for_again(folder: Path) -> None:
    file = put(folder / "f", b"x" * 999 + b"\n" + b"0123456789\n" * 500_000)
    status, out, err = tool("read_file", path=str(file), offset=381_000, limit=2000)
    assert (status, out.count("\n")) == (0, 211)
    assert err == "[lines 381000 to 381211; what follows is over 4 MiB into the file: use tail, or sed -n]\n"
    assert tool("read_file", path=str(file), offset=500_000) == (
        0,
        "",
        "[the first 4 MiB of the file have 381211 lines]\n",
    )


# --- write_file


def test_a_file_is_made_and_replaced(folder: Path) -> None:
    file = folder / "new"
    assert tool("write_file", b"one", path=str(file)) == (0, f"created {file} (3 bytes)\n", "")
    assert (file.read_bytes(), file.stat().st_mode & 0o7777) == (b"one", 0o644)
    assert tool("write_file", b"", path=str(file)) == (0, f"replaced {file} (0 bytes)\n", "")
    assert file.read_bytes() == b""
    assert os.listdir(folder) == ["new"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444, 0o000])
def test_replacing_keeps_the_mode(folder: Path, mode: int) -> None:
    file = put(folder / "f", "old", mode)
    assert tool("write_file", b"new\xff\0", path=str(file))[0] == 0
    assert file.stat().st_mode & 0o7777 == mode
    file.chmod(0o600)  # who runs this may be no root
    assert file.read_bytes() == b"new\xff\0"


def test_a_name_as_long_as_names_can_be_is_written(folder: Path) -> None:
    file = folder / ("あ" * 85)
    assert tool("write_file", b"x", path=str(file))[0] == 0
    assert tool("write_file", b"y", path=str(file))[0] == 0
    assert [file.read_bytes(), os.listdir(folder)] == [b"y", [file.name]]


# --- edit_file


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a b c\n", "b", "x", b"a x c\n"),
        (b"a b c\n", "a b c\n", "", b""),
        (b"one\r\ntwo\r\n", "one\r\n", "1\r\n", b"1\r\ntwo\r\n"),
        ("日本語 b".encode(), "日本", "中国", "中国語 b".encode()),
        (b"\xff\xfe b \x80", "b", "c", b"\xff\xfe c \x80"),
        (b"tab\tend", "\t", "  ", b"tab  end"),
        (b"no newline", "newline", "newline\n", b"no newline\n"),
        (b"a.c abc", "a.c", "x", b"x abc"),
        (b"\\1 $&", "\\1", "\\g<0>", b"\\g<0> $&"),
    ],
)
def test_an_exact_text_is_replaced_and_nothing_else(
    folder: Path, before: bytes, old: str, new: str, after: bytes
) -> None:
    file = put(folder / "f", before, 0o640)
    assert tool("edit_file", path=str(file), old=old, new=new) == (0, f"edited {file} (1 replacement)\n", "")
    assert (file.read_bytes(), file.stat().st_mode & 0o7777) == (after, 0o640)


def test_every_place_is_replaced_where_that_is_asked_for(folder: Path) -> None:
    file = put(folder / "f", "a a a")
    said = tool("edit_file", path=str(file), old="a", new="aa", replace_all=True)
    assert said == (0, f"edited {file} (3 replacements)\n", "")
    assert file.read_text() == "aa aa aa"


@pytest.mark.parametrize(
    ("old", "why"),
    [
        ("", "old is empty; to make a file use write_file"),
        ("absent", "{file} does not contain that text; read it again, white space counts"),
        ("a  b", "{file} does not contain that text; read it again, white space counts"),
        ("a", "{file} contains that text 2 times; give more of what stands around it"),
    ],
)
def test_an_edit_that_is_not_exact_changes_nothing(folder: Path, old: str, why: str) -> None:
    file = put(folder / "f", "a b a")
    before = state(file)
    assert tool("edit_file", path=str(file), old=old, new="x") == (1, "", why.format(file=file) + "\n")
    assert (file.read_text(), state(file)) == ("a b a", before)


# --- refusals of all three


def make_special(folder: Path, kind: str) -> Path:
    path = folder / kind
    match kind:
        case "folder":
            put(path / "inside", "x")
        case "pipe":
            os.mkfifo(path, 0o666)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
        case "device":
            return Path("/dev/null")
        case "link":
            put(folder / "target", "kept")
            path.symlink_to("target")
        case "broken link":
            path.symlink_to("nowhere")
        case "absent":
            return path
        case "absent folder":
            return path / "f"
        case "below a file":
            put(path, "x")
            return path / "f"
        case "another's":
            return Path("/etc/shadow")
    return path


_REFUSALS = [
    ("read_file", "folder", "{path} is a folder; use glob to list it"),
    ("read_file", "pipe", "{path} is not a regular file"),
    ("read_file", "socket", "{path}: No such device or address"),
    ("read_file", "device", "{path} is not a regular file"),
    ("read_file", "broken link", "{path}: No such file or directory"),
    ("read_file", "absent", "{path}: No such file or directory"),
    ("read_file", "below a file", "{path}: Not a directory"),
    ("read_file", "another's", "{path}: Permission denied"),
    ("write_file", "folder", "{path} is not a regular file"),
    ("write_file", "pipe", "{path} is not a regular file"),
    ("write_file", "socket", "{path} is not a regular file"),
    ("write_file", "device", "{path} is not a regular file"),
    ("write_file", "link", "{path} is a symbolic link to target; name that file"),
    ("write_file", "broken link", "{path} is a symbolic link to nowhere; name that file"),
    ("write_file", "absent folder", "{path}: No such file or directory"),
    ("write_file", "below a file", "{path}: Not a directory"),
    ("write_file", "another's", "{path}: Permission denied"),
    ("edit_file", "folder", "{path} is a folder; use glob to list it"),
    ("edit_file", "pipe", "{path} is not a regular file"),
    ("edit_file", "socket", "{path}: No such device or address"),
    ("edit_file", "device", "{path} is not a regular file"),
    ("edit_file", "link", "{path} is a symbolic link to target; name that file"),
    ("edit_file", "broken link", "{path} is a symbolic link to nowhere; name that file"),
    ("edit_file", "absent", "{path}: No such file or directory"),
    ("edit_file", "another's", "{path}: Permission denied"),
]


@pytest.mark.parametrize(("name", "kind", "why"), _REFUSALS)
def test_what_is_no_plain_file_of_ones_own_is_refused(folder: Path, name: str, kind: str, why: str) -> None:
    path = make_special(folder, kind)
    before = sorted(str(each) for each in folder.rglob("*"))
    arguments = {"edit_file": {"old": "kept", "new": "lost"}}.get(name, {})
    assert tool(name, b"lost", path=str(path), **arguments) == (1, "", why.format(path=path) + "\n")
    assert sorted(str(each) for each in folder.rglob("*")) == before
    if kind == "link":
        assert (folder / "target").read_text() == "kept"


def test_a_binary_file_is_not_shown(folder: Path) -> None:
    file = put(folder / "f", b"\x7fELF\0\1")
    why = f"{file} is binary (6 bytes); use a command such as file or od\n"
    assert tool("read_file", path=str(file)) == (1, "", why)


def test_a_folder_that_cannot_be_written_keeps_its_files(folder: Path) -> None:
    file = put(folder / "shut" / "f", "kept")
    file.parent.chmod(0o555)
    if IS_ROOT:
        os.chown(file.parent, 0, 0)
    assert tool("write_file", b"lost", path=str(file)) == (1, "", f"{file}: Permission denied\n")
    assert tool("edit_file", path=str(file), old="kept", new="lost") == (1, "", f"{file}: Permission denied\n")
    assert (file.read_text(), os.listdir(file.parent)) == ("kept", ["f"])
    file.parent.chmod(0o755)


# --- never half


def test_a_reader_sees_the_old_file_or_the_new_one(folder: Path) -> None:
    file = put(folder / "f", b"a" * 300_000)
    seen: set[bytes] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            content = file.read_bytes()
            seen.add(content[:1] + content[-1:] + str(len(content)).encode())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for letter in b"bababa":
            assert tool("write_file", bytes([letter]) * 300_000, path=str(file))[0] == 0
            old, new = ("a" * 10, "b" * 10) if letter == 97 else ("b" * 10, "a" * 10)
            assert tool("edit_file", path=str(file), old=old, new=new, replace_all=True)[0] == 0
    finally:
        over.set()
        reader.join()
    assert seen <= {b"aa300000", b"bb300000"}
    assert seen


def test_a_write_that_is_killed_midway_leaves_the_old_file(folder: Path) -> None:
    file = put(folder / "f", "old", 0o640)
    before = state(file)
    process = start("write_file", path=str(file))
    assert process.stdin
    process.stdin.write(b"n" * 100_000_000)
    process.stdin.close()
    wait_until(lambda: len(os.listdir(folder)) == 2, "the new file to be begun")
    process.send_signal(signal.SIGKILL)
    process.stdin = None
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert (file.read_text(), state(file)) == ("old", before)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(folder: Path) -> None:
    file = put(folder / "f", "old")
    limited = subprocess.run(
        ["prlimit", "--fsize=1000:1000", "--", *start_words("write_file", path=str(file))],
        input=b"n" * 5000,
        capture_output=True,
        check=False,
    )
    assert (limited.returncode, limited.stderr.decode()) == (1, f"{file}: File too large\n")
    assert (file.read_text(), os.listdir(folder)) == ("old", ["f"])


def start_words(name: str, **arguments: Any) -> list[str]:
    import marshal  # noqa: PLC0415

    ignoring = "import _signal;_signal.signal(_signal.SIGXFSZ,_signal.SIG_IGN);"
    code = ignoring + _RUN.strip().replace("\n", ";")
    return [default_interpreter(), "-I", "-S", "-B", "-c", code, marshal.dumps((name, arguments)).hex()]


# --- glob and grep


@pytest.fixture
def tree(folder: Path) -> Path:
    names = ["a.py", "b.py", "c.txt", ".hidden.py", "sub/d.py", "sub/deep/e.py", "sub/日本.py", "x[1].py", "s p/f.py"]
    for name in names:
        put(folder / name, f"content of {name}\nwith Needle {len(name)}\n")
    put(folder / "binary", b"Needle\0")
    put(folder / "bad", b"Needle \xff\n")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(".")
    put(folder / "shut" / "secret.py", "Needle", 0o000)
    return folder


SOURCES_BELOW = ["s p/f.py", "shut/secret.py", "sub/d.py", "sub/deep/e.py", "sub/日本.py"]
_BAD_RANGE = "[z-a] is not a file name pattern: bad character range z-a at position 1"
_BAD_EXPRESSION = "the pattern is not a regular expression: missing ), unterminated subpattern at position 0"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", [".hidden.py", "a.py", "b.py", "x[1].py"]),
        ("?.py", ["a.py", "b.py"]),
        ("[ab].py", ["a.py", "b.py"]),
        ("[!a].py", ["b.py"]),
        ("[a-b].*", ["a.py", "b.py"]),
        ("s*/**/*.py", SOURCES_BELOW),
        ("**/*.py", [".hidden.py", "a.py", "b.py", *SOURCES_BELOW, "x[1].py"]),
        ("sub/**", ["sub/d.py", "sub/deep/", "sub/deep/e.py", "sub/日本.py"]),
        ("sub/*", ["sub/d.py", "sub/deep/", "sub/日本.py"]),
        ("*/e.py", []),
        ("s*", ["s p/", "shut/", "sub/"]),
        ("x[[]1].py", ["x[1].py"]),
        ("[&&a~~||].py", ["a.py"]),
        ("../*", []),
        ("loop/*", []),
        ("a.p", []),
        ("a\\.py", []),
        (".*", [".hidden.py"]),
        ("*.(py|txt)", []),
        ("日本.py", []),
        ("sub/日*", ["sub/日本.py"]),
    ],
)  # fmt: skip
def test_paths_are_found_by_pattern(tree: Path, pattern: str, found: list[str]) -> None:
    lines = "".join(f"{tree}/{name}\n" for name in found)
    assert tool("glob", pattern=pattern, path=str(tree)) == (0, lines, "" if found else "no path matches\n")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"pattern": "Needle 4"}, ["a.py:2:with Needle 4", "b.py:2:with Needle 4"]),
        ({"pattern": "needle 4"}, []),
        ({"pattern": "needle 4", "ignore_case": True}, ["a.py:2:with Needle 4", "b.py:2:with Needle 4"]),
        ({"pattern": "^content of .*日本"}, ["sub/日本.py:1:content of sub/日本.py"]),
        ({"pattern": "Needle", "glob": "sub/*.py"}, ["sub/d.py:2:with Needle 8", "sub/日本.py:2:with Needle 9"]),
        ({"pattern": "Needle", "glob": "e.py"}, ["sub/deep/e.py:2:with Needle 13"]),
        ({"pattern": "Needle$"}, []),
        ({"pattern": "Needle \ufffd"}, ["bad:1:Needle \ufffd"]),
    ],
)
def test_lines_are_found_by_expression(tree: Path, arguments: dict[str, Any], found: list[str]) -> None:
    lines = "".join(f"{tree}/{name}\n" for name in found)
    said = tool("grep", path=str(tree), **arguments)
    assert said == (0, lines, "" if found else "no line matches\n")


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("glob", {"pattern": "[z-a]"}, _BAD_RANGE),
        ("glob", {"pattern": "*", "path": "a.py"}, "{tree}/a.py is not a folder"),
        ("glob", {"pattern": "*", "path": "absent"}, "{tree}/absent: No such file or directory"),
        ("grep", {"pattern": "("}, _BAD_EXPRESSION),
        ("grep", {"pattern": "x", "path": "absent"}, "{tree}/absent: No such file or directory"),
        ("grep", {"pattern": "x", "path": "pipe"}, "{tree}/pipe is not a regular file"),
        ("grep", {"pattern": "x", "path": "shut/secret.py"}, "{tree}/shut/secret.py: Permission denied"),
        ("grep", {"pattern": "x", "glob": "[z-a]"}, _BAD_RANGE),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(tree: Path, name: str, arguments: dict[str, Any], why: str) -> None:
    path = f"{tree}/{arguments['path']}" if "path" in arguments else str(tree)
    assert tool(name, **{**arguments, "path": path}) == (1, "", why.format(tree=tree) + "\n")


def test_a_flood_of_matches_stops_and_says_so(folder: Path) -> None:
    put(folder / "f", "x\n" * 1500)
    for number in range(1001):
        (folder / f"n{number}").touch()
    _status, out, err = tool("grep", pattern="x", path=str(folder))
    assert (out.count("\n"), err) == (1000, "[stopped after 1000 lines; narrow the search]\n")
    _status, out, err = tool("glob", pattern="n*", path=str(folder))
    assert (out.count("\n"), err) == (1000, "[stopped after 1000 paths; narrow the pattern]\n")


def test_a_long_line_is_cut(folder: Path) -> None:
    file = put(folder / "f", "x" * 10_000)
    assert tool("grep", pattern="x", path=str(file)) == (0, f"{file}:1:{'x' * 500}\n", "")
