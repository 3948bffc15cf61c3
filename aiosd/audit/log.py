"""The guard's own log: JSON lines, each with an HMAC over itself and the one before, stored before the act.

It promises: `append` returns when the record is in the file, `sync` when it is on the disk; either raises AuditError
otherwise, and then nothing may run. `verify` finds a line that was changed, taken out, put in or cut off the end, and
says where: without the key nobody can make a line that fits, and the newest head is kept apart (`chain`).
What a crash left of a line that it tore stays as evidence, and the record after it carries its digest (`torn`); where
a power cut took what was not on the disk for sure, how many records that were (`lost`).
What is `volatile` is recorded in memory while the disk takes nothing (`reserve`), as the same chain goes on, and moved
to the disk before anything else is written there; `trouble` says why, as long as that is so.
Segments of 16 MiB, `audit-00000001.jsonl` and up; nothing is deleted here.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiosd.audit.chain import Chain, ChainError
from aiosd.audit.records import Kind, Record, render_record
from aiosd.audit.reserve import Reserve
from aiosd.types import JsonObject

_SEGMENT_BYTES = 16 * 1024 * 1024
_NAME = re.compile(r"audit-(\d{8})\.jsonl")
_NO_HASH = "0" * 64
_NO_RECORD = "{}: not a record (torn by a crash, or altered)"


class AuditError(Exception):
    """The record cannot be written or read; without it nothing runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records: empty fields do not narrow. `since` and `until` are UTC in RFC 3339, as records carry them."""

    session: str = ""
    tier: str = ""
    kind: str = ""
    uid: int | None = None
    since: str = ""
    until: str = ""
    limit: int = 100


class AuditLog:
    """The log in one folder (0700, the guard's). One process appends, which a lock on the folder makes sure of."""

    def __init__(self, folder: Path, reserve: Path) -> None:
        self._folder = folder
        self._reserve = Reserve(reserve)
        self._writing = threading.Lock()
        self.trouble = ""  # why the newest records are in memory alone; "" where they are not
        self.boot = _read_boot_id()
        self._sequence = 0
        self._hash = _NO_HASH
        self._lost = 0  # how many records a power cut took after the newest
        self._torn = ""  # the digest of what a crash left after the newest record
        with contextlib.ExitStack() as opened:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._lock = _lock(folder)
                opened.callback(os.close, self._lock)
                self._chain = Chain(folder, self.boot)
                opened.callback(self._chain.close)
                segments = self._segments()
                self._index = segments[-1][0] if segments else 1
                try:
                    self._fd = self._open_segment(self._index)
                except OSError as exc:
                    self._fd = self._open_unwritable(self._index, exc)
                opened.callback(os.close, self._fd)
                self._resume([path for _, path in segments])
                self._take_reserve()
            except OSError as exc:
                raise AuditError(f"{exc.filename or folder}: {exc.strerror}") from exc
            except ChainError as exc:
                raise AuditError(str(exc)) from exc
            opened.pop_all()

    def close(self) -> None:
        """Close the current segment and let go of the folder."""
        os.close(self._fd)
        self._chain.close()
        os.close(self._lock)

    def append(self, record: Record, *, volatile: bool = False) -> JsonObject:
        """Write one record; as it stands in the log. AuditError if it is not written.

        What is `volatile` is kept in memory where the disk does not take it.
        """
        with self._writing:
            return self._append(record, volatile=volatile)

    def _append(self, record: Record, *, volatile: bool) -> JsonObject:
        entry: JsonObject = {
            "seq": self._sequence + 1,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "boot": self.boot,
            **render_record(record),
            **({"torn": self._torn} if self._torn else {}),
            **({"lost": self._lost} if self._lost else {}),
            "prev": self._hash,
        }
        digest = self._chain.sign(_dump(entry))
        line = _dump({**entry, "hash": digest}).encode() + b"\n"
        try:
            self._carry_over()
            self._store(line, self._sequence + 1, digest)
            self.trouble = ""
        except OSError as exc:
            if not volatile:
                raise AuditError(f"the record cannot be written: {exc.strerror}") from exc
            self._keep(line, exc)
        self._sequence += 1
        self._hash = digest
        self._torn, self._lost = "", 0
        return {**entry, "hash": digest}

    def sync(self) -> None:
        """Return when every record written is on the disk; AuditError if it cannot be."""
        try:
            with self._writing:
                self._carry_over()
                self.trouble = ""
                written = self._sequence
            os.fdatasync(self._fd)
            with self._writing:
                self._chain.note_synced(written)
            self._chain.sync()
        except OSError as exc:
            raise AuditError(f"the record cannot be stored: {exc.strerror}") from exc

    def read(self, query: Query) -> list[JsonObject]:
        """The newest records that match, oldest first."""
        with self._writing if self.trouble else contextlib.nullcontext():
            return self._read(query)

    def _read(self, query: Query) -> list[JsonObject]:
        found: list[JsonObject] = []
        for _name, lines in self._newest():
            for line in reversed(lines):
                entry = _parse(line)
                if entry is None:
                    continue
                if query.since and str(entry["at"]) < query.since:
                    return found[::-1]
                if _wanted(entry, query):
                    found.append(entry)
                    if len(found) >= query.limit:
                        return found[::-1]
        return found[::-1]

    def unfinished(self) -> list[JsonObject]:
        """The actions that were allowed and of whose end nothing is recorded."""
        ended: set[str] = set()
        found: list[JsonObject] = []
        kept: set[str] | None = None  # behind the newest start: what went on over it, and nothing else
        for _name, lines in self._newest():
            for line in reversed(lines):
                entry = _parse(line)
                match entry:
                    case {"kind": Kind.STARTED, **more} if kept is None:
                        went_on = more.get("kept")
                        kept = {str(each) for each in went_on} - ended if isinstance(went_on, list) else set()
                    case {"kind": Kind.DONE, "session": session, "call": call}:
                        ended.add(f"{session}/{call}")
                    case {"kind": Kind.DECIDED, "tool": "connect"}:
                        pass  # of a command that has a record of its own
                    case {"kind": Kind.DECIDED, "decision": "allowed" | "approved", "session": session, "call": call}:
                        name = f"{session}/{call}"
                        if entry is not None and name not in ended and (kept is None or name in kept):
                            found.append(entry)
                            ended.add(name)
                if kept is not None and kept <= ended:
                    return found[::-1]
        return found[::-1]

    def verify(self) -> list[str]:
        """What is wrong with the chain, in words, with file and line; empty when it is whole."""
        with self._writing if self.trouble else contextlib.nullcontext():
            return self._verify()

    def _verify(self) -> list[str]:
        problems: list[str] = []
        previous, sequence = _NO_HASH, 0
        strange: dict[str, bytes] = {}
        for name, lines in reversed(list(self._newest())):
            for number, line in enumerate(lines, 1):
                where = f"{name}:{number}"
                entry = _parse(line)
                if entry is None:
                    strange[where] = line
                    continue
                problems += _judge_strange(strange, str(entry.get("torn", "")), where)
                strange = {}
                stated = entry.pop("hash", "")
                if not self._chain.fits(_dump(entry), str(stated)):
                    problems.append(f"{where}: record {entry.get('seq')} was altered")
                lost = int(str(entry.get("lost", 0)))
                if (entry.get("prev") != previous and not lost) or entry.get("seq") != sequence + lost + 1:
                    problems.append(f"{where}: record {entry.get('seq')} does not follow record {sequence}")
                previous, sequence = str(stated), int(str(entry.get("seq", 0)))
        problems += _judge_strange(strange, self._torn, self._folder.name)
        if sequence < self._sequence - self._lost:
            problems.append(f"the end is missing: the newest record is {sequence}, {self._sequence} were written")
        return problems

    def _newest(self) -> Iterator[tuple[str, list[bytes]]]:
        """The lines with the name of their file, the newest file first."""
        yield self._reserve.path.name, self._reserve.lines
        for _index, path in reversed(self._segments()):
            yield path.name, _read_lines(path)

    def _store(self, line: bytes, sequence: int, digest: str) -> None:
        """Put one line on the disk. OSError."""
        if os.fstat(self._fd).st_size >= _SEGMENT_BYTES:
            self._roll()
        self._write_line(line)
        self._chain.write_head(sequence, digest)

    def _keep(self, line: bytes, why: OSError) -> None:
        try:
            self._reserve.append(line)
        except OSError as exc:
            raise AuditError(
                f"the record cannot be written: {why.strerror}; nor kept in memory: {exc.strerror}"
            ) from exc
        self.trouble = str(why.strerror)

    def _carry_over(self) -> None:
        """Put what was kept in memory on the disk, oldest first. OSError where that still takes nothing."""
        if not self.trouble:
            return
        self._open_anew()
        while self._reserve.lines:
            entry = json.loads(self._reserve.lines[0])
            self._store(self._reserve.lines[0], entry["seq"], entry["hash"])
            del self._reserve.lines[0]
        self._reserve.clear()

    def _take_reserve(self) -> None:
        """Go on after what an earlier guard had to keep in memory."""
        found, self._reserve.lines = self._reserve.lines, []
        for line in found:
            entry = _parse(line)
            if entry is None or entry.get("prev") != self._hash:
                continue  # on the disk already, or of another log
            self._reserve.lines.append(line)
            self._sequence, self._hash = int(str(entry["seq"])), str(entry["hash"])
        if self._reserve.lines:
            self.trouble = self.trouble or "it was kept in memory"
        try:
            self._carry_over()
            self.trouble = ""
        except OSError as exc:
            self.trouble = str(exc.strerror)

    def _open_unwritable(self, index: int, why: OSError) -> int:
        """The segment, to be read alone, where the disk takes no writing; OSError where there is none."""
        if why.errno not in (errno.EROFS, errno.ENOSPC):
            raise why
        self.trouble = str(why.strerror)
        path = self._folder / f"audit-{index:08d}.jsonl"
        return os.open(path if path.exists() else os.devnull, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def _open_anew(self) -> None:
        """Where it was opened to be read alone, open it for writing. OSError."""
        if fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            fresh = self._open_segment(self._index)
            os.close(self._fd)
            self._fd = fresh
        self._chain.open_anew()

    def _resume(self, paths: list[Path]) -> None:
        for path in reversed(paths):
            lines = _read_lines(path)
            if lines and not path.read_bytes().endswith(b"\n"):
                os.write(self._fd, b"\n")  # torn by a crash: it stays as evidence, on a line of its own
                self._torn = "" if _parse(lines[-1]) else _digest(lines[-1])
            for line in reversed(lines):
                entry = _parse(line)
                if entry is not None:
                    self._sequence, self._hash = int(str(entry["seq"])), str(entry["hash"])
                    self._go_on_from_head()
                    return
        self._go_on_from_head()

    def _go_on_from_head(self) -> None:
        """Where more was written than is there, go on after that: the gap stays for `verify` to find.

        What was written in another boot, and not on the disk for sure, went with the power: the next record says so.
        """
        head = self._chain.head
        if head.sequence > self._sequence:
            if head.boot not in ("-", self.boot) and self._sequence >= head.synced:
                self._lost = head.sequence - self._sequence
            self._sequence, self._hash = head.sequence, head.digest

    def _segments(self) -> list[tuple[int, Path]]:
        found = []
        for path in self._folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append((int(match[1]), path))
        return sorted(found)

    def _open_segment(self, index: int) -> int:
        path = self._folder / f"audit-{index:08d}.jsonl"
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _roll(self) -> None:
        fresh = self._open_segment(self._index + 1)
        os.close(self._fd)
        self._fd = fresh
        self._index += 1

    def _write_line(self, line: bytes) -> None:
        size = os.fstat(self._fd).st_size
        written = -1
        try:
            written = os.write(self._fd, line)
        finally:
            if written != len(line):
                os.ftruncate(self._fd, size)
        if written != len(line):
            raise OSError(28, os.strerror(28))  # a short write: the disk is full


def _lock(folder: Path) -> int:
    """A descriptor that holds the folder until it is closed, whatever ends its process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise AuditError(f"{folder}: another guard writes this record") from exc
    return descriptor


def _wanted(entry: JsonObject, query: Query) -> bool:
    if query.uid is not None and entry.get("uid") != query.uid:
        return False
    if query.session and entry.get("session") != query.session:
        return False
    if query.until and str(entry["at"]) > query.until:
        return False
    return query.tier in ("", entry.get("tier")) and query.kind in ("", entry.get("kind"))


def _judge_strange(strange: dict[str, bytes], torn: str, where: str) -> list[str]:
    """What is wrong with lines that are no records, each with its place, before a record that vouches for `torn`."""
    *others, last = strange or [""]
    if torn and (not strange or _digest(strange[last]) != torn):
        return [*map(_NO_RECORD.format, strange), f"{where}: what a crash tore is gone"]
    return [_NO_RECORD.format(place) for place in (others if torn else strange)]


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _read_lines(path: Path) -> list[bytes]:
    return path.read_bytes().removesuffix(b"\n").split(b"\n") if path.stat().st_size else []


def _parse(line: bytes) -> JsonObject | None:
    """The record of a line; None where it is none, whoever wrote it."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or type(entry.get("seq")) is not int:
        return None
    return entry if isinstance(entry.get("hash"), str) and isinstance(entry.get("at"), str) else None


def _dump(entry: JsonObject) -> str:
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":"))


def _read_boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    except OSError:
        return ""
