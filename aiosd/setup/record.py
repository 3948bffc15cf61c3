"""What a setup did, in order, in a file of root's: enough to undo it, and to know our own files again.

It is written after each step, so what was begun can be undone.
"""

import json
import os
import stat
from pathlib import Path

from aiosd.setup.steps import SetupError, Step, WriteFile, parse_step, render_step, write_file

_VERSION = 1
_MAX_BYTES = 1024 * 1024


class Record:
    """The steps that were done and not undone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.steps: list[Step] = self._load()

    def add(self, step: Step) -> None:
        """Note that `step` was done; of a file only its newest version."""
        if isinstance(step, WriteFile):
            self.steps = [each for each in self.steps if not (isinstance(each, WriteFile) and each.path == step.path)]
        self.steps.append(step)
        self._store()

    def take(self, step: Step) -> None:
        """Note that `step` was undone."""
        self.steps.remove(step)
        if self.steps:
            self._store()
        else:
            self._path.unlink(missing_ok=True)

    def digest_of(self, path: str) -> str:
        """The digest of a file as a setup left it; "" where none wrote it."""
        return next((each.digest for each in self.steps if isinstance(each, WriteFile) and each.path == path), "")

    def _store(self) -> None:
        document = {"v": _VERSION, "steps": [render_step(step) for step in self.steps]}
        write_file(self._path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def _load(self) -> list[Step]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise self._broken(exc.strerror or "cannot be read") from exc
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            theirs = status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if theirs or not stat.S_ISREG(status.st_mode):
                raise self._broken("others than root could have changed it")
            content = file.read(_MAX_BYTES)
        try:
            document = json.loads(content)
            if document["v"] != _VERSION:
                raise ValueError(f"version {document['v']}")
            return [parse_step(facts) for facts in document["steps"]]
        except (ValueError, KeyError, TypeError) as exc:
            raise self._broken(f"is not what a setup wrote ({exc})") from exc

    def _broken(self, why: str) -> SetupError:
        return SetupError(
            f"{self._path}: {why}", "look at it; without it nothing can be undone, so move it away only then"
        )
