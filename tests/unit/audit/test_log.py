"""The chained log: what was written is found again, and what was changed since is found out."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aiosd.audit.chain import Chain
from aiosd.audit.log import AuditError, AuditLog, Query
from aiosd.audit.records import Decided, Decision, Done, Outcome, Started, Stopped, digest_text
from aiosd.types import RunAs, Tier

DECIDED = Decided(
    session="s1",
    call="c1",
    uid=1000,
    user="ann",
    tool="bash",
    action="df -h",
    digest=digest_text("df -h"),
    cwd="/",
    run_as=RunAs.USER,
    tier=Tier.AUTO_ALLOW,
    decision=Decision.ALLOWED,
    confinement="sandbox 'read-only'",
    rules=("df",),
    reason="It only reads.",
)
DONE = Done(
    session="s1",
    call="c1",
    uid=1000,
    user="ann",
    tier=Tier.AUTO_ALLOW,
    outcome=Outcome.DONE,
    status=0,
    duration_ms=3,
    output_bytes=100,
    truncated=False,
)
SEGMENT = "audit-00000001.jsonl"


@contextmanager
def _opened(folder: Path) -> Iterator[AuditLog]:
    log = AuditLog(folder, folder.with_name("record.jsonl"))
    try:
        yield log
    finally:
        log.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a log of five records."""
    with _opened(tmp_path / "audit") as log:
        log.append(Started(version="0.1.0", mode="standalone"))
        log.append(DECIDED)
        log.append(DONE)
        log.append(replace(DECIDED, call="c2"))
        log.append(replace(DONE, call="c2"))
        log.sync()
    return tmp_path / "audit"


def _lines(folder: Path) -> list[bytes]:
    return (folder / SEGMENT).read_bytes().splitlines(keepends=True)


def _write(folder: Path, lines: list[bytes]) -> None:
    (folder / SEGMENT).write_bytes(b"".join(lines))


def _verify(folder: Path) -> list[str]:
    with _opened(folder) as log:
        return log.verify()


def test_a_whole_log_is_whole_also_after_a_restart(folder: Path) -> None:
    assert _verify(folder) == []
    with _opened(folder) as log:
        entry = log.append(Stopped(reason="signal"))
        assert (entry["seq"], entry["kind"], log.verify()) == (6, "stopped", [])
    assert [json.loads(line)["seq"] for line in _lines(folder)] == [1, 2, 3, 4, 5, 6]
    assert _verify(folder) == []


def test_every_record_carries_the_hash_of_the_one_before_it(folder: Path) -> None:
    entries = [json.loads(line) for line in _lines(folder)]
    assert [entry["prev"] for entry in entries] == ["0" * 64, *(entry["hash"] for entry in entries[:-1])]
    assert len({entry["hash"] for entry in entries}) == 5


def test_the_log_is_the_guards_alone(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / SEGMENT).stat().st_mode & 0o777 == 0o600


def _rehash(line: bytes, **changed: object) -> bytes:
    """A line as a careful forger would write it: changed, and with an HMAC that fits, but by another key."""
    entry = {**json.loads(line), **changed}
    del entry["hash"]
    text = json.dumps(entry, separators=(",", ":"))
    digest = hmac.new(b"k" * 32, text.encode(), hashlib.sha256).hexdigest()
    return json.dumps({**entry, "hash": digest}, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda lines: [*lines[:1], lines[1].replace(b"df -h", b"ls -h"), *lines[2:]],
            [f"{SEGMENT}:2: record 2 was altered"],
        ),
        (lambda lines: [*lines[:2], *lines[3:]], [f"{SEGMENT}:3: record 4 does not follow record 2"]),
        (lambda lines: lines[1:], [f"{SEGMENT}:1: record 2 does not follow record 0"]),
        (
            lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
            [
                f"{SEGMENT}:2: record 3 does not follow record 1",
                f"{SEGMENT}:3: record 2 does not follow record 3",
                f"{SEGMENT}:4: record 4 does not follow record 2",
            ],
        ),
        (
            lambda lines: [*lines[:3], lines[2], *lines[3:]],
            [f"{SEGMENT}:4: record 3 does not follow record 3"],
        ),
        (
            lambda lines: [lines[0], _rehash(lines[1], action="ls"), *lines[2:]],
            [f"{SEGMENT}:2: record 2 was altered", f"{SEGMENT}:3: record 3 does not follow record 2"],
        ),
        (
            lambda lines: [lines[0], b"\n", *lines[1:]],
            [f"{SEGMENT}:2: not a record (torn by a crash, or altered)"],
        ),
        (
            lambda lines: [lines[0], b"\xff\xfe\n", *lines[1:]],
            [f"{SEGMENT}:2: not a record (torn by a crash, or altered)"],
        ),
        (
            lambda lines: [lines[0], b"[" * 100_000 + b"\n", *lines[1:]],
            [f"{SEGMENT}:2: not a record (torn by a crash, or altered)"],
        ),
        (
            lambda lines: [*lines[:2], lines[2].replace(b'"seq":3', b'"seq":"x"'), *lines[3:]],
            [
                f"{SEGMENT}:3: not a record (torn by a crash, or altered)",
                f"{SEGMENT}:4: record 4 does not follow record 2",
            ],
        ),
    ],
    ids=["altered", "taken out", "first taken out", "swapped", "doubled", "forged", "blank", "bytes", "nested", "seq"],
)  # fmt: skip
def test_what_was_changed_is_found_and_where(
    folder: Path, change: Callable[[list[bytes]], list[bytes]], found: list[str]
) -> None:
    _write(folder, change(_lines(folder)))
    assert _verify(folder) == found


def test_what_was_cut_off_under_a_running_guard_is_found(folder: Path) -> None:
    with _opened(folder) as log:
        _write(folder, _lines(folder)[:3])
        assert log.verify() == ["the end is missing: the newest record is 3, 5 were written"]
        log.append(Stopped(reason="signal"))
        assert log.verify() == [f"{SEGMENT}:4: record 6 does not follow record 3"]


def test_what_was_cut_off_while_no_guard_ran_is_found_and_stays_found(folder: Path) -> None:
    _write(folder, _lines(folder)[:3])
    with _opened(folder) as log:
        assert log.verify() == ["the end is missing: the newest record is 3, 5 were written"]
        assert log.append(Stopped(reason="signal"))["seq"] == 6
    assert _verify(folder) == [f"{SEGMENT}:4: record 6 does not follow record 3"]


def test_a_whole_segment_taken_away_is_found(folder: Path) -> None:
    (folder / SEGMENT).unlink()
    assert _verify(folder) == ["the end is missing: the newest record is 0, 5 were written"]


def test_a_head_that_somebody_else_wrote_says_nothing(folder: Path) -> None:
    head = folder.with_name("audit.head")
    assert head.stat().st_mode & 0o777 == 0o600
    head.write_text(f"{99:020d} {'0' * 64} {'0' * 64}\n", encoding="ascii")
    assert _verify(folder) == []
    head.write_bytes(b"\xff" * 200)
    assert _verify(folder) == []


def test_a_log_by_another_key_is_altered_from_its_first_line_on(folder: Path) -> None:
    key = folder.with_name("audit.key")
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    whole = key.read_bytes()
    key.write_bytes(b"k" * 32)
    assert _verify(folder) == [f"{SEGMENT}:{at}: record {at} was altered" for at in range(1, 6)]
    key.write_bytes(b"short")
    with pytest.raises(AuditError, match="fewer than 32 bytes"):
        AuditLog(folder, folder.with_name("record.jsonl"))
    key.write_bytes(whole)
    assert _verify(folder) == []


def test_a_disk_that_is_full_when_the_key_is_made_leaves_no_half_of_it(tmp_path: Path) -> None:
    # A file size of 0 refuses the write as a full disk does.
    script = (
        "import resource, signal, sys; from pathlib import Path; from aiosd.audit.log import AuditLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "AuditLog(Path(sys.argv[1]), Path(sys.argv[1] + '.r'))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "audit")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "File too large" in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "audit.key").exists()
    with _opened(tmp_path / "audit") as log:
        log.append(Stopped(reason="signal"))
        assert log.verify() == []
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "audit.key.new").exists()


def test_the_key_is_the_credential_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "aios.audit-key").write_bytes(b"c" * 32)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    with _opened(tmp_path / "audit") as log:
        log.append(Stopped(reason="signal"))
        assert log.verify() == []
    assert not (tmp_path / "audit.key").exists()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert _verify(tmp_path / "audit") == [f"{SEGMENT}:1: record 1 was altered"]


def test_a_line_torn_by_a_crash_stays_as_evidence_and_the_next_record_vouches_for_it(folder: Path) -> None:
    whole = _lines(folder)
    _write(folder, [*whole[:4], whole[4][:40]])
    chain = Chain(folder, "b1")  # a crash in the middle of a line comes before its head is kept
    chain.write_head(4, json.loads(whole[3])["hash"])
    chain.close()
    with _opened(folder) as log:
        entry = log.append(Stopped(reason="signal"))
        assert (entry["seq"], entry["prev"]) == (5, json.loads(whole[3])["hash"])
        assert [each["seq"] for each in log.read(Query())] == [1, 2, 3, 4, 5]
    assert _lines(folder)[4:5] == [whole[4][:40] + b"\n"]
    lines = _lines(folder)
    assert json.loads(lines[5])["torn"] == hashlib.sha256(whole[4][:40]).hexdigest()
    assert _verify(folder) == []
    assert [b"torn" in line for line in _lines(folder)] == [False] * 5 + [True]  # and no start adds to it
    _write(folder, [*lines[:4], whole[4][:39] + b"\n", *lines[5:]])
    altered = [f"{SEGMENT}:5: not a record (torn by a crash, or altered)", f"{SEGMENT}:6: what a crash tore is gone"]
    assert _verify(folder) == altered
    _write(folder, [*lines[:4], *lines[5:]])
    assert _verify(folder) == [f"{SEGMENT}:5: what a crash tore is gone"]


def _boot_anew(folder: Path, synced: int) -> None:
    """Have the head say that it was written in another boot, when so many records were on the disk for sure."""
    head = folder.with_name("audit.head")
    newest = json.loads(_lines(folder)[-1])
    head.unlink()
    chain = Chain(folder, "another")
    chain.write_head(newest["seq"], newest["hash"])
    chain.note_synced(synced)
    chain.close()


def test_what_a_power_cut_took_is_counted_by_the_next_record_and_nothing_else_is_missing(folder: Path) -> None:
    whole = _lines(folder)
    _boot_anew(folder, synced=3)
    _write(folder, whole[:3])
    with _opened(folder) as log:
        assert log.verify() == []
        entry = log.append(Stopped(reason="signal"))
        assert (entry["seq"], entry["lost"], entry["prev"]) == (6, 2, json.loads(whole[4])["hash"])
        assert "lost" not in log.append(Stopped(reason="signal"))
        assert log.verify() == []
    assert _verify(folder) == []
    _write(folder, [*whole[:2], *_lines(folder)[3:]])
    assert _verify(folder) == [f"{SEGMENT}:3: record 6 does not follow record 2"]


@pytest.mark.parametrize(("synced", "another"), [(4, True), (0, False)], ids=["it was on the disk", "no new boot"])
def test_what_no_power_cut_can_have_taken_is_missing(folder: Path, synced: int, another: bool) -> None:
    whole = _lines(folder)
    if another:
        _boot_anew(folder, synced)
    _write(folder, whole[:3])
    assert _verify(folder) == ["the end is missing: the newest record is 3, 5 were written"]
    with _opened(folder) as log:
        assert "lost" not in log.append(Stopped(reason="signal"))
        assert log.verify() == [f"{SEGMENT}:4: record 6 does not follow record 3"]


@pytest.mark.parametrize("last", [b'{"seq":"x","hash":"h","at":"now"}\n', b"null\n", b"\x00" * 4096, b"[" * 100_000])
def test_whatever_stands_last_the_log_goes_on_from_the_last_record(folder: Path, last: bytes) -> None:
    _write(folder, [*_lines(folder), last])
    with _opened(folder) as log:
        assert log.append(Stopped(reason="signal"))["seq"] == 6
        assert len(log.verify()) == last.endswith(b"\n")  # what has no end may have been torn by a crash


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "elsewhere").write_text("precious", encoding="utf-8")
    (tmp_path / "audit" / SEGMENT).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditError):
        AuditLog(tmp_path / "audit", tmp_path / "record.jsonl")
    assert (tmp_path / "elsewhere").read_text(encoding="utf-8") == "precious"


def test_what_cannot_be_written_is_said_and_leaves_nothing_half_written(folder: Path) -> None:
    with _opened(folder) as log:
        before = _lines(folder)
        limit = (folder / SEGMENT).stat().st_size + 10
        child = os.fork()
        if child == 0:
            os._exit(_append_with_little_room(log, limit))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert _lines(folder) == before
        assert log.append(Stopped(reason="signal"))["seq"] == 6
        assert log.verify() == []


def _append_with_little_room(log: AuditLog, limit: int) -> int:
    """0 when an append past the size a file may have raises AuditError; in a process of its own."""
    import resource  # noqa: PLC0415
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        log.append(Stopped(reason="signal"))
    except AuditError:
        return 0
    return 1


def test_a_full_segment_is_followed_by_the_next_and_the_chain_spans_both(
    folder: Path,
) -> None:
    with open(folder / SEGMENT, "ab") as file:
        file.truncate(16 * 1024 * 1024)  # as if 16 MiB had been written
    with _opened(folder) as log:
        log.append(Stopped(reason="one"))
        log.append(Stopped(reason="two"))
        assert [each["seq"] for each in log.read(Query())] == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(path.name for path in folder.iterdir()) == [SEGMENT, "audit-00000002.jsonl"]
    with _opened(folder) as log:
        assert log.append(Stopped(reason="three"))["seq"] == 8
        assert log.verify() == []  # the hole may have been torn by a crash


# Reading --------------------------------------------------------------------------------------------------------------


def test_records_are_found_by_what_is_asked(folder: Path) -> None:
    with _opened(folder) as log:
        log.append(replace(DECIDED, session="s2", uid=1001, tier=Tier.DENY, decision=Decision.DENIED))
        every = log.read(Query())
        assert [each["seq"] for each in every] == [1, 2, 3, 4, 5, 6]
        assert log.read(Query(session="s2")) == every[5:]
        assert log.read(Query(tier="deny")) == every[5:]
        assert log.read(Query(uid=1000)) == every[1:5]
        assert log.read(Query(uid=0)) == []
        assert log.read(Query(limit=2)) == every[4:]
        at = str(every[3]["at"])
        assert log.read(Query(since=at)) == [each for each in every if str(each["at"]) >= at]
        assert log.read(Query(until=at)) == [each for each in every if str(each["at"]) <= at]
        assert log.read(Query(since="9999")) == log.read(Query(until="0000")) == []


def test_what_was_allowed_and_never_ended_is_known_at_the_next_start(folder: Path) -> None:
    with _opened(folder) as log:
        log.append(replace(DECIDED, call="c3"))
        log.append(replace(DECIDED, call="c4", decision=Decision.APPROVED, tier=Tier.REQUIRE_APPROVAL))
        log.append(replace(DECIDED, call="c5", decision=Decision.DENIED, tier=Tier.DENY))
    with _opened(folder) as log:
        assert [entry["call"] for entry in log.unfinished()] == ["c3", "c4"]
        log.append(Started(version="0.1.0", mode="standalone"))
        assert log.unfinished() == []


def test_what_went_on_over_a_start_and_never_ended_is_known_after_any_number_of_them(folder: Path) -> None:
    def calls(log: AuditLog) -> list[str]:
        return [str(entry["call"]) for entry in log.unfinished()]

    kept = tuple(f"{DECIDED.session}/{call}" for call in ("c4", "c5"))
    with _opened(folder) as log:
        for call in ("c3", "c4", "c5"):
            log.append(replace(DECIDED, call=call))
        log.append(replace(DONE, call="c3"))
        log.append(Started(version="0.1.0", mode="system", kept=kept))
        assert calls(log) == ["c4", "c5"]
        log.append(replace(DECIDED, call="c6"))
        log.append(Started(version="0.1.0", mode="system", kept=kept))
        assert calls(log) == ["c4", "c5"]
        log.append(replace(DONE, call="c5"))
        log.append(replace(DECIDED, call="c7"))
        assert calls(log) == ["c4", "c7"]
        log.append(Started(version="0.1.0", mode="system"))
        assert calls(log) == []
