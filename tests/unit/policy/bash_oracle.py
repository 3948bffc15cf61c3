"""The real bash as an oracle: what it runs, prints and returns for a line, and what our reading of the line predicts.

Every line runs in bubblewrap (no network, nothing writable but a private /tmp), with a PATH of logging commands only;
the builtins that have programs of the same name are disabled, so that those run.
`run_in_bash` and `predict` give the same shape, `Seen`, so that a test only has to compare.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiosd.policy.program import DiscardTo, DuplicateTo, Joiner, Program, ReadFrom, Simple, Word

BASH = "/bin/bash"
HOME = "/tmp/home"
FILES = ("a", "ab", "b.txt", "c d", "z1")
COMMANDS = ("show", "fail", "pwn", "[", "echo", "test", "true", "false")  # all log their argv
FAILING = ("fail", "false")
_OUTER = "/tmp/oracle"

_LOGGER = """#!/bin/sh
trap '' PIPE
name=${0##*/}
printf '%s\\0' "$name" "$#" "$@" >>"$LOG"
printf 'O:%s\\n' "$name" 2>/dev/null
printf 'E:%s\\n' "$name" >&2 2>/dev/null
[ "$name" != fail ] && [ "$name" != false ]
"""

_DRIVER = """
import json, os, subprocess, sys
env = {"PATH": "/tmp/oracle/bin", "HOME": "/tmp/home", "LC_ALL": "C.UTF-8", "LOG": "/tmp/log"}
env["BASH_ENV"] = "/tmp/oracle/no_builtins"
os.mkdir("/tmp/home"); os.chdir("/tmp/oracle/cwd")
for line in json.load(open("/tmp/oracle/lines.json")):
    open("/tmp/log", "w").close()
    done = subprocess.run(["/bin/bash", "--norc", "--noprofile", "-o", "pipefail", "-c", "--", line], env=env,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    log = open("/tmp/log", encoding="utf-8", errors="surrogateescape").read().split("\\0")[:-1]
    print(json.dumps([log, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"),
        done.returncode]), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a line did: the argv of every logged command, the streams its output reached, and the exit status.

    Sorted, because the stages of a pipeline run at the same time. One status, 127, says that a command could not run:
    not found, not executable, or killed while telling so to a closed pipe.
    """

    ran: tuple[tuple[str, ...], ...]
    printed: tuple[str, ...]
    status: int


def unavailable() -> str:
    """Why the oracle cannot run here; empty when it can."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    if not os.access(BASH, os.X_OK):
        return "bash is not installed"
    probe = subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], check=False, capture_output=True)
    return "" if probe.returncode == 0 else "bubblewrap cannot make namespaces here"


def run_in_bash(lines: Sequence[str], scratch: Path) -> list[Seen]:
    """Run each line under the real bash; `scratch` is an empty folder for the lines and the commands."""
    (scratch / "bin").mkdir(parents=True)
    (scratch / "cwd").mkdir()
    for name in COMMANDS:
        (scratch / "bin" / name).write_text(_LOGGER)
        (scratch / "bin" / name).chmod(0o755)
    for name in FILES:
        (scratch / "cwd" / name).touch()
    (scratch / "no_builtins").write_text("enable -n [ echo test true false printf pwd kill")
    (scratch / "lines.json").write_text(json.dumps(list(lines)))
    (scratch / "driver.py").write_text(_DRIVER)
    done = subprocess.run(
        [
            "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
            "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",
            "--ro-bind", str(scratch), _OUTER,
            "/usr/bin/python3", "-I", "-S", f"{_OUTER}/driver.py",
        ],
        check=True, capture_output=True, text=True, errors="surrogateescape",
    )  # fmt: skip
    return [_seen(*json.loads(line)) for line in done.stdout.splitlines()]


def _seen(log: list[str], out: str, err: str, status: int) -> Seen:
    ran = []
    at = 0
    while at < len(log):
        count = int(log[at + 1])
        ran.append((log[at], *log[at + 2 : at + 2 + count]))
        at += 2 + count
    printed = [f"out {line}" for line in out.splitlines() if line[:2] in ("O:", "E:")]
    printed += [f"err {line}" for line in err.splitlines() if line[:2] in ("O:", "E:")]
    return Seen(ran=tuple(sorted(ran)), printed=tuple(sorted(printed)), status=127 if status in (126, 141) else status)


def predictable(program: Program) -> bool:
    """Whether `predict` can say what it does: no pattern that reaches beyond the oracle's own folder."""
    return not any(word.pattern and "/" in word.pattern for command in program.commands() for word in command.argv)


def predict(program: Program) -> Seen:
    """What `program` says that bash does, with the oracle's commands and files."""
    ran: list[tuple[str, ...]] = []
    printed: list[str] = []
    status = 0
    for pipeline in program.pipelines:
        if (pipeline.joiner is Joiner.AND and status) or (pipeline.joiner is Joiner.OR and not status):
            continue
        statuses = [
            _predict_stage(stage, ran, printed, piped=stage is not pipeline.stages[-1]) for stage in pipeline.stages
        ]
        status = next((code for code in reversed(statuses) if code), 0)
    return Seen(ran=tuple(sorted(ran)), printed=tuple(sorted(printed)), status=status)


def _predict_stage(stage: Simple, ran: list[tuple[str, ...]], printed: list[str], *, piped: bool) -> int:
    streams = {1: "pipe" if piped else "out", 2: "err"}
    for redirect in stage.redirects:
        match redirect:
            case DiscardTo(fd=fd):
                streams[fd] = "null"
            case DuplicateTo(fd=fd, source=source):
                streams[fd] = streams[source]
            case ReadFrom(path=path) if not _exists(expand(path)[0]):
                return 1
    argv = [text for word in stage.argv for text in expand(word)]
    if argv[0] not in COMMANDS:
        return 127
    ran.append(tuple(argv))
    printed += [f"{streams[fd]} {mark}:{argv[0]}" for fd, mark in ((1, "O"), (2, "E")) if streams[fd] in ("out", "err")]
    return int(argv[0] in FAILING)


def _exists(path: str) -> bool:
    relative = path if path.endswith("/") and os.path.normpath(path) in FILES else os.path.normpath(path)
    return relative in (*FILES, ".", "..", HOME) or (relative.startswith("/") and os.path.exists(relative))


def expand(word: Word) -> list[str]:
    """A word's arguments in the oracle's directory: one level of files, which is all that a test line names."""
    if word.pattern is not None and not word.home:
        # fnmatch has no escapes: a bracket of one means the same.
        translated = re.sub(r"\\(.)", lambda found: f"[{found[1]}]", word.pattern, flags=re.DOTALL)
        matches = sorted(name for name in FILES if fnmatch.fnmatchcase(name, translated.replace("[^", "[!")))
        if matches:
            return matches
    return [HOME + word.text[1:] if word.home else word.text]
