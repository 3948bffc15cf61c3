"""What a start costs and what the process does with its command line: modules, streams, exit statuses."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiosd import __version__
from aiosd.cli.parse import render_help
from aiosd.cli.table import TIERS
from tests.daemon.harness import ROOT, client_command
from tests.unit.cli.scripted import listening, run_client

# What Python itself has loaded with -I -S, and what the hot verbs may add to it.
_ADDED = frozenset({"aiosd", "aiosd.cli", "aiosd.cli.main", "aiosd.cli.reach", "_socket"})
# And to ask a question, with nothing to approve.
_ASK = ("verbs", "parse", "table", "ask", "transport")
_ADDED_BY_ASK = _ADDED | {f"aiosd.cli.{name}" for name in _ASK} | {"aiosd.exits", "aiosd.frames", "aiosd.words"}
_PROGRAM = """\
import json, os, posix, sys
before = set(sys.modules)
sys.path[:0] = [{root!r}]
def leave(status):
    os.write({report}, json.dumps(sorted(set(sys.modules) - before)).encode())
    os._exit(status)
posix._exit = leave
from aiosd.cli.main import main
main()
"""
_TEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
_FRAMES = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nt3\nok\nx1\n0"

_TIMES = "write 2026-01-31, '2026-01-31 14:00', today or 2h"
_NO_TCSH = "there is no completion for tcsh; there is bash, zsh and fish"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="aios-", dir="/tmp") as name:
        yield Path(name)


def _modules(place: Path, answer: bytes, *words: str, language: str = "C.UTF-8") -> set[str]:
    """The modules that a command line loads beyond those of the interpreter and of json, which tells them."""
    interpreter = client_command()[0]
    reading, writing = os.pipe()
    program = _PROGRAM.format(root=str(ROOT), report=writing)
    with open(reading, "rb") as report, listening(place / "a.sock", answer):
        with open(writing, "wb"):
            ran = subprocess.run(
                [interpreter, "-I", "-S", "-c", program, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
                pass_fds=(writing,),
                env={"AIOS_SOCKET": f"{place}/a.sock", "LC_MESSAGES": language},
            )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"ok\n", b"")
        return set(json.loads(report.read()))


@pytest.mark.parametrize("verb", ["status", "models", "doctor"])
def test_a_hot_verb_imports_next_to_nothing(place: Path, verb: str) -> None:
    assert _modules(place, _TEXT, verb) == _ADDED


@pytest.mark.parametrize(
    ("language", "words", "answer", "reads"),
    [
        ("ja_JP.UTF-8", ("status",), _TEXT, True),
        ("jam_JM.UTF-8", ("status",), _TEXT, False),
        ("C.UTF-8", ("ask", "why?"), _FRAMES, False),
    ],
)
def test_the_catalogue_is_read_by_those_alone_who_want_japanese(
    place: Path, language: str, words: tuple[str, ...], answer: bytes, reads: bool
) -> None:
    assert ("aiosd.words.retelling" in _modules(place, answer, *words, language=language)) is reads


def test_a_question_imports_its_own_modules_alone(place: Path) -> None:
    added = _modules(place, _FRAMES, "ask", "why?")
    assert added == _ADDED_BY_ASK | {"__future__", "_signal"} & added


def test_the_launcher_starts_without_the_site_module_and_without_what_is_around() -> None:
    launcher = ROOT / ".venv" / "bin" / "aios"
    if not launcher.exists():
        pytest.skip("there is no .venv here; make venv makes one")
    first, *lines = launcher.read_text(encoding="utf-8").splitlines()
    program, options = first.removeprefix("#!").split()
    assert os.path.basename(program).startswith("python3")
    assert sorted(options) == ["-", "I", "S"]
    assert lines[-3:] == ["from aiosd.cli.main import main", "", "main()"]
    ran = subprocess.run(
        [launcher, "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd="/",
        env={"PYTHONPATH": "/nonexistent", "PYTHONSTARTUP": "/nonexistent", "PYTHONVERBOSE": "1"},
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"aios {__version__}\n", "")


def test_help_goes_to_standard_output_and_is_a_success() -> None:
    for words in (["help"], ["--help"], ["-h"]):
        ran = run_client(*words)
        assert (ran.status, ran.out, ran.err) == (0, render_help(), "")
    for words in (["help", "log"], ["log", "--help"]):
        ran = run_client(*words)
        assert (ran.status, ran.out, ran.err) == (0, render_help("log"), "")


def test_nothing_at_all_is_a_wrong_command_line() -> None:
    ran = run_client()
    assert (ran.status, ran.out, ran.err) == (64, "", render_help())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["statsu"], "there is no verb statsu; did you mean status?\n  aios help\n"),
        (["log", "--tier"], "--tier needs TIER\n  aios help log\n"),
        (["log", "--tier", "x"], f"there is no tier x; there are {', '.join(TIERS)}\n  aios help log\n"),
        (["log", "--lines", "0"], "--lines takes a number from 1 to 1000\n  aios help log\n"),
        (["log", "--lines", "1001"], "--lines takes a number from 1 to 1000\n  aios help log\n"),
        (["log", "--since", "soon"], f"'soon' is no time; {_TIMES}\n  aios help log\n"),
        (["ask"], "ask what? Put the question behind it, or on standard input\n  aios help ask\n"),
        (["ask", "  "], "ask what? Put the question behind it, or on standard input\n  aios help ask\n"),
        (["ask", "--wait", "long", "why"], "--wait takes a whole number of seconds\n  aios help ask\n"),
        (["ask", "--wait", "٣", "why"], "--wait takes a whole number of seconds\n  aios help ask\n"),
        (["sessions", "../etc"], "'../etc' is no name of a session; aios sessions lists them\n  aios help\n"),
        (["cancel", "a b"], "'a b' is no name of a session; aios sessions lists them\n  aios help\n"),
        (["completion", "tcsh"], f"{_NO_TCSH}\n  aios help completion\n"),
        (["\x1b[2J"], "there is no verb \\u{1b}[2J; a question goes after: aios ask\n  aios help\n"),
        ([b"\xff\xfe"], "there is no verb \\u{dcff}\\u{dcfe}; a question goes after: aios ask\n  aios help\n"),
        (["log", b"--\xff"], "log has no option --\\u{dcff}\n  aios help log\n"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_ends_with_64_and_asks_nobody(place: Path, words: list[str | bytes], told: str) -> None:
    with listening(place / "a.sock", _TEXT) as daemon:
        ran = run_client(*words, AIOS_SOCKET=f"{place}/a.sock", AIOS_GUARD_SOCKET=f"{place}/a.sock")
    assert (ran.status, ran.out, ran.err) == (64, "", f"aios: {told}")
    assert daemon.got == b""


def test_too_much_on_standard_input_is_not_cut_but_refused(place: Path) -> None:
    with listening(place / "a.sock", _TEXT) as daemon:
        ran = run_client("ask", "why?", stdin=b"x" * (1024 * 1024 + 1), AIOS_SOCKET=f"{place}/a.sock")
    assert (ran.status, ran.out) == (64, "")
    assert ran.err == "aios: standard input is over 1048576 bytes; send less of it\n  aios help ask\n"
    assert daemon.got == b""


def test_output_that_cannot_be_written_is_not_a_success(place: Path) -> None:
    command = [*client_command(), "status"]
    with listening(place / "a.sock", _TEXT), open("/dev/full", "wb") as full:
        ran = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            env={"AIOS_SOCKET": f"{place}/a.sock"},
            timeout=30,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (1, b"aios: No space left on device\n")


def test_a_reader_that_has_gone_ends_it_quietly(place: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with listening(place / "a.sock", _TEXT), open(writing, "wb") as nobody:
        ran = subprocess.run(
            [*client_command(), "status"],
            stdout=nobody,
            stderr=subprocess.PIPE,
            env={"AIOS_SOCKET": f"{place}/a.sock"},
            timeout=30,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (1, b"")
