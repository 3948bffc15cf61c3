"""The launcher takes one exact record and nothing else; what it refuses starts nothing and is said in one line."""

import marshal
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.launch import RECORD_VERSION
from aiosd.sandbox.parts import default_interpreter
from tests.daemon.harness import ROOT
from tests.daemon.people import IS_ROOT, PERSON, needs_root

_LAUNCHER = f"import sys;sys.path.insert(0,{str(ROOT)!r});from aiosd.sandbox.launch import main;main()"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What the stand-in for bubblewrap writes when it is started; its folder is everybody's."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o777)
    program = tmp_path / "bwrap"
    program.write_text('#!/bin/sh\necho "$(id -u):$(id -g):$(id -G) $@" >"${0%/*}/started"\n')
    program.chmod(0o755)
    return tmp_path / "started"


def make_record(marker: Path) -> dict[str, Any]:
    return {
        "version": RECORD_VERSION,
        "parent": os.getpid(),
        "drop": IS_ROOT,
        "uid": PERSON if IS_ROOT else os.getuid(),
        "gid": PERSON if IS_ROOT else os.getgid(),
        "groups": (PERSON, PERSON + 7) if IS_ROOT else (),
        "bwrap": str(marker.with_name("bwrap")),
        "interpreter": default_interpreter(),
        "arguments": ("--ro-bind", "/", "/"),
        "masks": (),
        "direct_masks": False,
        "fence": (),
        "writes": (),
        "sockets": (),
        "shown": (),
        "open_base": False,
        "scoped": False,
        "tool": False,
        "cwd": "/",
        "protect": "",
        "texts": (),
        "rebuild": True,
    }


def launch(packet: bytes, *, descriptors: int = 3, user: int = os.geteuid()) -> tuple[int, list[str]]:
    """Hand `packet` to a launcher: its exit status and what it said."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds = [os.memfd_create("part") for _ in range(descriptors)]
    try:
        child = subprocess.Popen(
            [default_interpreter(), "-I", "-S", "-X", "utf8", "-c", _LAUNCHER],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            user=user,
        )
        theirs.close()
        if packet:
            socket.send_fds(ours, [packet], fds)
        else:
            ours.shutdown(socket.SHUT_RDWR)
        _out, err = child.communicate(timeout=20)
        return child.returncode, err.splitlines()
    finally:
        ours.close()
        for fd in fds:
            os.close(fd)


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda record: {key: value for key, value in record.items() if key != name}


def with_value(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda record: {**record, **fields}


_NAMES = tuple(make_record(Path("/x")))
_WRONG_TYPES: dict[str, list[Any]] = {
    "version": ["1", 1, True, None],
    "parent": ["1", None, 1.0],
    "drop": [1, "yes", None],
    "uid": ["64001", None, True, 64001.0],
    "gid": ["64001", None, True],
    "groups": [[64001], "64001", None],
    "bwrap": [b"/usr/bin/bwrap", None, ("/usr/bin/bwrap",)],
    "interpreter": [b"/usr/bin/python3", None],
    "arguments": [["--ro-bind"], "--ro-bind", None, (b"--ro-bind",), (1,), (None,)],
    "masks": [["/x"], "/x", (b"/x",), (1,)],
    "direct_masks": [0, None, "no"],
    "rebuild": [1, None],
    "fence": [[("/x",)], "/x", (("/x",),), ("/x",), (("/x", 1, None, False, None, None, (), (), 0),)],
    "writes": [["/x"], "/x", (b"/x",), (1,)],
    "sockets": [["/x"], "/x", (b"/x",), (1,)],
    "shown": [["/x"], "/x", (b"/x",), (1,)],
    "open_base": [0, None],
    "scoped": [0, None],
    "tool": [0, None],
    "cwd": [b"/", None],
    "protect": [b"/", None],
    "texts": [[("/x", "y")], (["/x", "y"],), (("/x",),), (("/x", b"y"),)],
}
_MALFORMED = "launch: a field is missing, unknown or of the wrong type"
_TABLE: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    *((f"no {name}", without(name), _MALFORMED) for name in _NAMES if name != "version"),
    *(
        (f"{name} is {value!r}", with_value(**{name: value}), "")
        for name, values in _WRONG_TYPES.items()
        for value in values
    ),
    ("an unknown field", with_value(extra=1), _MALFORMED),
    ("no version", without("version"), "launch: not a record of this version"),
    ("a later version", with_value(version=RECORD_VERSION + 1), "launch: not a record of this version"),
    ("a list", list, "launch: not a record of this version"),
    ("nothing", lambda _record: None, "launch: not a record of this version"),
    ("another parent", with_value(parent=1), "launch: the guard has gone"),
]
_AS_ROOT: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("root's own sandbox", with_value(drop=False), "launch: only root can, and root must, become another user"),
    ("uid 0", with_value(uid=0), "launch: no sandbox is root's"),
    ("gid 0", with_value(gid=0), "launch: no sandbox is root's"),
    ("group 0", with_value(groups=(PERSON, 0)), "launch: no sandbox is root's"),
    *((f"uid {uid}", with_value(uid=uid), "launch: no sandbox is root's") for uid in (-1, 2**32 - 1, 2**32, 2**64)),
    *((f"gid {gid}", with_value(gid=gid), "launch: no sandbox is root's") for gid in (-1, 2**32 - 1, 2**32, 2**64)),
    *(
        (f"group {group!r}", with_value(groups=(group,)), "launch: no sandbox is root's")
        for group in (-1, 2**32 - 1, 2**32, False, "64001", None)
    ),
]


def test_the_exact_record_starts_bubblewrap_as_the_person(marker: Path) -> None:
    record = make_record(marker)
    assert launch(marshal.dumps(record)) == (0, [])
    who, _, words = marker.read_text().partition(" --")
    assert "--" + words == (
        f"--args 6 -- {default_interpreter()} -I -S -X utf8 -c "
        "import marshal,posix,sys;codes=marshal.loads(posix.pread(3,1<<22,0));exec(codes['']) open --\n"
    )
    if IS_ROOT:
        assert who == f"{PERSON}:{PERSON}:{PERSON} {PERSON + 7}"


@pytest.mark.parametrize(("make", "says"), [row[1:] for row in _TABLE], ids=[row[0] for row in _TABLE])
def test_a_record_that_differs_starts_nothing(marker: Path, make: Callable[[dict[str, Any]], Any], says: str) -> None:
    status, said = launch(marshal.dumps(make(make_record(marker))))
    assert (status, len(said)) == (78, 1)
    assert says in said[0]
    assert not marker.exists()


@needs_root
@pytest.mark.parametrize(("make", "says"), [row[1:] for row in _AS_ROOT], ids=[row[0] for row in _AS_ROOT])
def test_no_record_makes_a_sandbox_of_root(marker: Path, make: Callable[[dict[str, Any]], Any], says: str) -> None:
    assert launch(marshal.dumps(make(make_record(marker)))) == (78, [says])
    assert not marker.exists()


@needs_root
def test_a_launcher_without_root_does_not_try_to_become_another(marker: Path) -> None:
    said = launch(marshal.dumps(make_record(marker)), user=PERSON)
    assert said == (78, ["launch: only root can, and root must, become another user"])
    assert not marker.exists()


@pytest.mark.parametrize("packet", [b"", b"\0", b"{", b"\xfbgarbage", b"x" * 4096])
def test_bytes_that_are_no_record_start_nothing(marker: Path, packet: bytes) -> None:
    status, said = launch(packet)
    assert (status, len(said)) == (78, 1)
    assert not marker.exists()


@pytest.mark.parametrize("descriptors", [0, 2, 4])
def test_anything_but_three_descriptors_starts_nothing(marker: Path, descriptors: int) -> None:
    said = launch(marshal.dumps(make_record(marker)), descriptors=descriptors)
    assert said == (78, ["launch: three descriptors are needed"])
    assert not marker.exists()


def test_standard_input_that_is_no_socket_starts_nothing() -> None:
    words = [sys.executable, "-I", "-S", "-c", _LAUNCHER]
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (78, 1)
