"""Where nothing can be confined nothing runs: it is refused with what to do, and never tried without a sandbox."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.cards import answered, own_folder, proposed, said, stored_state
from tests.daemon.conftest import running
from tests.daemon.harness import Daemon
from tests.daemon.people import PERSON, needs_root

pytestmark = needs_root

QUESTION = "how much memory is free?"
BWRAP = "/usr/bin/bwrap"
OWN_MOUNTS = ("/usr/bin/unshare", "--mount")
# A user namespace of its own that takes no further ones, in which it is the ordinary user that it was.
NO_NAMESPACES = (
    *("/usr/bin/unshare", "--user", "--map-current-user", "--keep-caps"),
    *("/bin/sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all "$@"', "sh"),
)
# Allows them again inside that one; without an execve(2) after setns(2), which would lose the rights to.
ALLOW_NAMESPACES = """
import ctypes, os, sys
assert ctypes.CDLL(None).setns(os.open(sys.argv[1], os.O_RDONLY), 0) == 0
open("/proc/sys/user/max_user_namespaces", "w").write("1000")
"""
INSTALL = "install bubblewrap 0.8 or later (Debian: apt install bubblewrap, Arch: pacman -S bubblewrap)"


@contextmanager
def _hidden_by(daemon: Daemon, stand_in: str) -> Iterator[None]:
    """Bubblewrap is another file, for this daemon alone."""
    assert daemon.process is not None
    inside = ["/usr/bin/nsenter", f"--target={daemon.process.pid}", "--mount"]
    subprocess.run([*inside, "/bin/mount", "--bind", stand_in, BWRAP], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "/bin/umount", BWRAP], check=True)


def _script(daemon: Daemon, name: str, text: str, mode: int = 0o755) -> str:
    path = daemon.folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return str(path)


def _refused(daemon: Daemon, question: str, uid: int | None = None) -> dict[str, Any]:
    """What a turn says that was refused, of whose command nothing was seen; the end of its call."""
    events = daemon.ask(question, uid=uid)
    kinds = [event["type"] for event in events]
    assert "output" not in kinds
    assert "approval_needed" not in kinds
    (done,) = (event for event in events if event["type"] == "call_done")
    assert (done["outcome"], done["status"]) == ("refused", -1)
    assert events[-1]["exit_status"] == 78
    assert done["reason"][:40] in said(events)
    records = daemon.records(0 if uid is None else uid, session=done["session"])
    assert (records[-1].get("decision") or records[-1].get("outcome")) == "refused"
    assert records[-1]["reason"] == done["reason"]
    return done


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with mounts of its own."""
    with running(within=OWN_MOUNTS) as made:
        yield made


@pytest.fixture
def place(daemon: Daemon, request: pytest.FixtureRequest) -> Path:
    """A folder of the person's."""
    return own_folder(daemon, f"f{abs(hash(request.node.name)) % 10**8}")


def _works(daemon: Daemon, place: Path) -> None:
    assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
    with proposed(daemon, f"touch {place}/made") as (stream, card):
        assert answered(daemon, card) == {}
        assert stream.until("turn_done")["exit_status"] == 0
    assert (place / "made").exists()


STAND_INS = {
    "missing": ("exit 0", 0o644, f"bubblewrap is missing, and nothing runs unconfined; {INSTALL}"),
    "too old": ("echo bubblewrap 0.7.0", 0o755, f"{BWRAP} is version 0.7.0; {INSTALL}"),
    "setuid": ("echo bubblewrap 0.11.0", 0o4755, f"{BWRAP} is setuid, which is not safe to use; {INSTALL}"),
    "odd": ("echo hello", 0o755, f"{BWRAP} --version says nothing understandable; {INSTALL}"),
}


@pytest.mark.parametrize("name", STAND_INS)
def test_without_a_bubblewrap_to_use_a_guard_begins_refuses_all_and_says_what_to_do(name: str) -> None:
    text, mode, reason = STAND_INS[name]
    with running(start=False) as daemon:
        stand_in = _script(daemon, "bwrap", text, mode)
        daemon.within = (*OWN_MOUNTS, "/bin/sh", "-c", f'mount --bind {stand_in} {BWRAP} && exec "$@"', "sh")
        daemon.start()
        place = own_folder(daemon, "place")
        assert _refused(daemon, QUESTION)["reason"] == f"no sandbox: {reason}"
        assert _refused(daemon, f"run `touch {place}/made`")["reason"] == f"no sandbox: {reason}"
        assert list(place.iterdir()) == []
        checks = {check["name"]: check for check in daemon.api("GET", "/v1/doctor").json["checks"]}
        assert (checks["sandbox"]["state"], checks["sandbox"]["detail"]) == ("missing", reason)
        assert checks["bubblewrap"] == {
            "name": "bubblewrap",
            "state": "missing",
            "detail": reason,
            "remedy": INSTALL,
        }
        assert daemon.aios("doctor").status == 78
        denied = daemon.api("POST", "/v1/policy/check", {"command": "rm -rf /"}).json
        assert denied["tier"] == "deny"  # what takes no sandbox still works
        assert daemon.process is not None
        subprocess.run(
            ["/usr/bin/nsenter", f"--target={daemon.process.pid}", "--mount", "/bin/umount", BWRAP], check=True
        )
        _works(daemon, place)  # without being started anew
        assert "Traceback" not in daemon.log


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("exit 0", 0o644, "Permission denied"),
        ("echo bwrap: it does not work here >&2; exit 1", 0o755, "bwrap: it does not work here"),
        ("exit 1", 0o755, "the launcher ended without a word"),
    ],
    ids=["gone", "fails", "fails silently"],
)
def test_a_bubblewrap_that_fails_later_is_a_refusal_and_not_a_lesser_sandbox(
    daemon: Daemon, place: Path, text: str, mode: int, reason: str
) -> None:
    stand_in = _script(daemon, f"bwrap-{mode}-{len(text)}", text, mode)
    with _hidden_by(daemon, stand_in):
        for _ in range(6):  # as long as there are sandboxes made ahead
            events = daemon.ask(QUESTION)
            if events[-1]["exit_status"] != 0:
                break
        assert reason in _refused(daemon, QUESTION)["reason"]
        assert reason in _refused(daemon, f"run `touch {place}/made`")["reason"]
        assert list(place.iterdir()) == []
    _works(daemon, place)


def test_what_was_approved_and_cannot_be_confined_any_more_is_refused(daemon: Daemon, place: Path) -> None:
    stand_in = _script(daemon, "bwrap-late", "echo bwrap: it does not work here >&2; exit 1")
    with proposed(daemon, f"touch {place}/made") as (stream, card), _hidden_by(daemon, stand_in):
        assert answered(daemon, card) == {}
        done = stream.until("call_done")
        assert (done["outcome"], done["reason"]) == ("refused", "no sandbox: bwrap: it does not work here")
        assert stream.until("turn_done")["exit_status"] == 78
    assert list(place.iterdir()) == []
    assert stored_state(daemon, card["id"])[0] == "consumed"
    outcomes = [each.get("decision") or each["outcome"] for each in daemon.records(session=card["session"])]
    assert outcomes == ["refused"]
    _works(daemon, place)


@pytest.mark.skipif(
    bool(os.statvfs("/proc/sys/user").f_flag & os.ST_RDONLY), reason="this container keeps its limits to itself"
)
def test_without_user_namespaces_all_is_refused_with_what_to_do() -> None:
    with running(uid=PERSON, within=NO_NAMESPACES) as daemon:
        place = daemon.folder / "state"
        before = sorted(place.iterdir())
        for question in (QUESTION, f"run `touch {place}/made`"):
            reason = _refused(daemon, question, PERSON)["reason"]
            assert reason.startswith("no sandbox: launch: namespaces are not available to uid 64001: ")
            assert "; allow user namespaces (sysctl " in reason
        assert sorted(place.iterdir()) == before
        checks = {check["name"]: check for check in daemon.api("GET", "/v1/doctor").json["checks"]}
        assert checks["sandbox"]["state"] == "missing"
        assert checks["sandbox"]["remedy"].startswith("allow user namespaces")
        assert daemon.process is not None
        subprocess.run([sys.executable, "-c", ALLOW_NAMESPACES, f"/proc/{daemon.process.pid}/ns/user"], check=True)
        assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
        with proposed(daemon, f"touch {place}/made") as (stream, card):
            assert answered(daemon, card) == {}
            assert stream.until("turn_done")["exit_status"] == 0
        assert (place / "made").exists()
