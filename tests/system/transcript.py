"""Pages with real output: the `console` blocks of a page, run again in a guest and compared.

A line that begins with `# ` is run by root, one with `$ ` by bob; what follows, up to the next one, is what it printed.
What differs from run to run (times, ids, versions, durations) is compared by its form alone; an id that a later command
uses is replaced by this run's. With AIOS_WRITE_DOCS=1 the page gets what this run printed.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.system.guest import Guest

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"\b[0-9a-f]{26}\b")
_FORMS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "TIME"),
    (re.compile(r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?\b"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (_ID, "SESSION"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "SHORT"),
    (re.compile(r'("__SEQNUM" :|"_?AIOS_DURATION_MS" :|"_PID" :) "\d+"'), r'\1 "N"'),
    (re.compile(r"\baios\[\d+\]"), "aios[PID]"),
    (re.compile(r" +\d+ ms\b"), " N ms"),
    (re.compile(r'_MS" : "\d+"'), '_MS" : "N"'),
    (re.compile(r"\bs=\S+;i=\S+"), "CURSOR"),
    (re.compile(r"\b\d{9,}\b"), "MICROSECONDS"),
    (re.compile(r"\b(aios[- ])\d[\w.]*-\d+\b"), r"\1VERSION"),
    (re.compile(r"(defaults/\S+\.toml):\d+"), r"\1:LINE"),
    (re.compile(r"\b\d+\.\d\d MiB"), "SIZE"),
    (re.compile(r"\b(U|G)ID \d+"), r"\1ID N"),
    (re.compile(r"Landlock: version \d+"), "Landlock: version N"),
    (re.compile(r"bubblewrap: \S+ or later"), "bubblewrap: N or later"),
    (re.compile(r" {2,}"), "  "),
    (re.compile(r"none of \d+ others"), "none of N others"),
    (re.compile(r"\d+ of sessions answer"), "N of sessions answer"),
    (re.compile(r"limits: .*"), "limits: LIMITS"),  # by what controllers the machine around it has left
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command and what it printed."""

    user: str | None
    command: str
    output: str


def read_steps(page: Path) -> list[Step]:
    """All commands of a page, in order."""
    return [step for block in _BLOCK.findall(page.read_text(encoding="utf-8")) for step in _parse(block)]


def normalised(text: str) -> str:
    """The text with what differs from run to run replaced by its form."""
    if text.startswith("{\n"):  # fields of a journal entry come in any order
        text = "".join(
            sorted(line.removesuffix(",\n").removesuffix("\n") + "\n" for line in text.splitlines(keepends=True))
        )
    for pattern, form in _FORMS:
        text = pattern.sub(form, text)
    return text


def replay(page: Path, guest: Guest) -> list[tuple[Step, str]]:
    """Run a page's commands in the guest; each with what it printed now. Writes the page when told to."""
    ids: dict[str, str] = {}
    steps = read_steps(page)
    printed: list[Step] = []
    for step in steps:
        command = _ID.sub(lambda match: ids.get(match[0], match[0]), step.command)
        output = _run(guest, step.user, command)
        ids.update(zip(_ID.findall(step.output), _ID.findall(output), strict=False))
        printed.append(Step(user=step.user, command=command, output=output))
    if os.environ.get("AIOS_WRITE_DOCS") == "1":
        _write(page, printed)
        steps = printed
    return [(step, now.output) for step, now in zip(steps, printed, strict=True)]


def _run(guest: Guest, user: str | None, command: str) -> str:
    answer = "y\n" if command.startswith("pacman") else None
    script = ["sh", "-c", f"cd; {{ {command}; }} 2>&1"]
    environment: Mapping[str, str] = {"LANG": "C.UTF-8", "COLUMNS": "100"}
    done = guest.run(script, user=user, stdin=answer, env=environment, check=False)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def _parse(block: str) -> Iterator[Step]:
    for part in re.split(r"^(?=[#$] )", block, flags=re.MULTILINE):
        if part:
            line, _, output = part.partition("\n")
            output = f"{output.rstrip()}\n" if output.strip() else ""
            yield Step(user=None if line[0] == "#" else "bob", command=line[2:], output=output)


def _write(page: Path, steps: list[Step]) -> None:
    remaining = iter(steps)

    def again(match: re.Match[str]) -> str:
        here = [next(remaining) for _ in _parse(match[1])]
        blocks = "\n".join(f"{'$' if step.user else '#'} {step.command}\n{step.output}" for step in here)
        return f"```console\n{blocks}```"

    page.write_text(_BLOCK.sub(again, page.read_text(encoding="utf-8")), encoding="utf-8")
