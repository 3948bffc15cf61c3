"""The main way: a question through daemon, guard, sandbox and back, and what stays on the record."""

import math
import os
import re
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon
from tests.daemon.people import default_person


def test_a_question_is_answered_from_the_host_and_recorded(daemon: Daemon) -> None:
    events = daemon.ask("how much disk space is left?")
    assert [event["type"] for event in events] == [
        "session_started",
        "call_proposed",
        "decision",
        "output",
        "call_done",
        "facts",
        "text_delta",
        "turn_done",
    ]
    assert [event["seq"] for event in events] == list(range(1, 9))
    disk = os.statvfs("/")
    used = disk.f_blocks - disk.f_bfree
    share = f"{math.ceil(100 * used / (used + disk.f_bavail))}%"
    assert re.search(rf"^/ is {share} full|^/ .* {share}$", events[6]["text"], re.MULTILINE)  # one disk, or several
    assert events[-1]["exit_status"] == 0
    decided, done = daemon.records(session=events[0]["session"])
    assert (decided["kind"], decided["tier"], decided["decision"]) == ("decided", "auto_allow", "allowed")
    assert decided["action"].startswith("df ")
    assert decided["uid"] == default_person()
    assert (done["kind"], done["outcome"], done["status"]) == ("done", "done", 0)
    assert done["seq"] == decided["seq"] + 1


def test_a_folder_that_an_observer_cannot_enter_keeps_nobody_from_asking(daemon: Daemon, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a session of root observes as somebody else; this user does not")
    tmp_path.chmod(0o700)
    answered = daemon.ask("how much memory is free?", uid=0, cwd=str(tmp_path))
    assert answered[-1]["exit_status"] == 0
    refused = daemon.ask("run: ls", uid=0, cwd=str(tmp_path))
    (done,) = [event for event in refused if event["type"] == "call_done"]
    assert done["outcome"] == "refused"
    assert "name another cwd" in done["reason"]
    assert daemon.ask("run: ls /", uid=0, cwd="/")[-1]["exit_status"] == 0


def test_the_answer_is_in_the_language_of_the_question(daemon: Daemon) -> None:
    text = "".join(event.get("text", "") for event in daemon.ask("メモリの空きは？") if event["type"] == "text_delta")
    assert "メモリ" in text


def test_the_client_prints_the_answer_to_stdout_and_progress_to_stderr(daemon: Daemon) -> None:
    ran = daemon.aios("ask", "how", "much", "memory", "is", "free?")
    assert ran.status == 0
    assert ran.out.count("\n") == 1
    assert "GiB" in ran.out
    assert ran.err == "› free -b\n"
