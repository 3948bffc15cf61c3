"""Records that the disk does not take: kept in memory in the log's own chain, moved to the disk when it takes them."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiosd.audit.log import AuditError, AuditLog, Query
from aiosd.audit.records import Stopped
from tests.daemon.people import needs_root

pytestmark = needs_root  # who mounts a small disk

SEGMENT = "audit-00000001.jsonl"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the log."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["/bin/umount", str(place)], check=True)


@pytest.fixture
def reserve(tmp_path: Path) -> Path:
    """Where the records are kept meanwhile."""
    return tmp_path / "record.jsonl"


@contextmanager
def _opened(disk: Path, reserve: Path) -> Iterator[AuditLog]:
    log = AuditLog(disk / "audit", reserve)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    """No file may be open for writing when it begins."""
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["/bin/mount", "-o", "remount,rw", str(disk)], check=True)


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    with open(disk / "ballast", "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    try:
        yield
    finally:
        (disk / "ballast").unlink()


def _fill_the_last_page(log: AuditLog) -> None:
    while not log.trouble:
        log.append(Stopped(reason="x" * 200), volatile=True)


def _numbers(log: AuditLog) -> list[int]:
    return [int(str(entry["seq"])) for entry in log.read(Query(limit=1000))]


def _on_disk(disk: Path) -> list[bytes]:
    return (disk / "audit" / SEGMENT).read_bytes().splitlines(keepends=True)


def test_what_a_full_disk_does_not_take_is_kept_and_moved_in_one_chain(disk: Path, reserve: Path) -> None:
    with _opened(disk, reserve) as log:
        log.append(Stopped(reason="first"))
        with _full(disk):
            _fill_the_last_page(log)
            before = _on_disk(disk)
            entry = log.append(Stopped(reason="kept"), volatile=True)
            assert log.trouble == "No space left on device"
            with pytest.raises(AuditError, match="the record cannot be written: No space left on device"):
                log.append(Stopped(reason="refused"))
            with pytest.raises(AuditError):
                log.sync()
            assert _numbers(log) == list(range(1, int(str(entry["seq"])) + 1))
            assert log.verify() == []
            assert _on_disk(disk) == before
            kept = reserve.read_bytes().splitlines(keepends=True)
            assert reserve.stat().st_mode & 0o777 == 0o600
        last = log.append(Stopped(reason="last"))
        assert (log.trouble, reserve.exists()) == ("", False)
        assert _on_disk(disk)[len(before) : -1] == kept
        assert _numbers(log) == list(range(1, int(str(last["seq"])) + 1))
        assert log.verify() == []
        log.sync()


def test_the_next_guard_goes_on_after_what_was_kept(disk: Path, reserve: Path) -> None:
    with _opened(disk, reserve) as log:
        log.append(Stopped(reason="first"))
    with _read_only(disk):
        with _opened(disk, reserve) as log:
            assert log.trouble == "Read-only file system"
            assert log.append(Stopped(reason="second"), volatile=True)["seq"] == 2
        with _opened(disk, reserve) as log:
            assert _numbers(log) == [1, 2]
            assert log.append(Stopped(reason="third"), volatile=True)["seq"] == 3
            assert log.verify() == []
        assert len(_on_disk(disk)) == 1
    with _opened(disk, reserve) as log:
        assert (log.trouble, log.verify(), _numbers(log), reserve.exists()) == ("", [], [1, 2, 3], False)
    assert len(_on_disk(disk)) == 3


def test_what_was_on_the_disk_already_when_moving_broke_off_is_not_put_there_twice(disk: Path, reserve: Path) -> None:
    with _opened(disk, reserve) as log:
        log.append(Stopped(reason="first"))
    with _read_only(disk), _opened(disk, reserve) as log:
        for _ in range(3):
            log.append(Stopped(reason="kept"), volatile=True)
    shutil.copy(reserve, reserve.with_name("before"))
    with _opened(disk, reserve):
        pass
    (disk / "audit" / SEGMENT).write_bytes(b"".join(_on_disk(disk)[:3]))  # two of the four, and the head of the second
    head = json.loads(_on_disk(disk)[2])
    with _opened(disk, reserve) as log:
        log._chain.write_head(int(head["seq"]), str(head["hash"]))
    shutil.copy(reserve.with_name("before"), reserve)
    with _opened(disk, reserve) as log:
        assert (_numbers(log), log.verify()) == ([1, 2, 3, 4], [])


def test_a_kept_line_that_was_changed_is_found_out(disk: Path, reserve: Path) -> None:
    with _opened(disk, reserve) as log:
        log.append(Stopped(reason="first"))
    with _read_only(disk), _opened(disk, reserve) as log:
        log.append(Stopped(reason="second"), volatile=True)
    reserve.write_bytes(reserve.read_bytes().replace(b"second", b"forged"))
    with _opened(disk, reserve) as log:
        assert log.verify() == [f"{SEGMENT}:2: record 2 was altered"]


def test_lines_of_another_log_are_left_out(disk: Path, reserve: Path) -> None:
    with _opened(disk, reserve) as log:
        log.append(Stopped(reason="first"))
    with _read_only(disk), _opened(disk, reserve) as log:
        log.append(Stopped(reason="second"), volatile=True)
    shutil.rmtree(disk / "audit")
    (disk / "audit.head").unlink()
    with _opened(disk, reserve) as log:
        assert (_numbers(log), log.verify()) == ([], [])


def test_the_reserve_is_bounded(disk: Path, reserve: Path) -> None:
    with _opened(disk, reserve) as log:
        log.append(Stopped(reason="first"))
    with _read_only(disk), _opened(disk, reserve) as log:
        log.append(Stopped(reason="second"), volatile=True)
        os.truncate(reserve, 1024 * 1024)
        with pytest.raises(AuditError, match="nor kept in memory: No space left on device"):
            log.append(Stopped(reason="third"), volatile=True)
        assert _numbers(log) == [1, 2]
