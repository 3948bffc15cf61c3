"""The journal's own protocol, read by a reader of its own; and what happens without a journal."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aiosd.audit.journal import JournalSink, render_entry
from aiosd.audit.records import Kind
from aiosd.types import JsonObject

_WHO: JsonObject = {"uid": 1000, "user": "安", "tier": "deny"}
MESSAGE_ID = "6d2a3c1f9e8b4f0fa7c5b1e2d3f40103"


def _read(datagram: bytes) -> list[tuple[str, bytes]]:
    """The fields of an entry, by the specification: `NAME=value\\n`, or `NAME\\n`, eight bytes of size, the value."""
    fields = []
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size :]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        fields.append((name.decode("ascii"), value))
        datagram = rest
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a journal listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.settimeout(10)
        yield listener


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[JournalSink]:
    """A sink that sends there."""
    with closing(JournalSink(str(tmp_path / "journal"))) as made:
        yield made


def test_every_value_is_a_field_of_its_own(journal: socket.socket, sink: JournalSink) -> None:
    sink.send(Kind.DECIDED, {**_WHO, "kind": "decided", "decision": "denied", "rules": ["a", "b"]})
    fields = dict(_read(journal.recv(1 << 20)))
    assert fields == {
        "MESSAGE": "An action was decided: denied (安, deny)".encode(),
        "MESSAGE_ID": MESSAGE_ID.encode(),
        "PRIORITY": b"4",
        "SYSLOG_IDENTIFIER": b"aios",
        "AIOS_KIND": b"decided",
        "AIOS_DECISION": b"denied",
        "AIOS_UID": b"1000",
        "AIOS_RULES": b'["a", "b"]',
        "AIOS_USER": "安".encode(),
        "AIOS_TIER": b"deny",
    }
    assert sink.missed == 0


@pytest.mark.parametrize(
    "value", ["two\nPRIORITY=0\nlines", "a=b", "", "\n", "\x00\x01", "MESSAGE\n\x05\0\0\0\0\0\0\0false\n", "\udcff"]
)
def test_no_value_makes_a_field(journal: socket.socket, sink: JournalSink, value: str) -> None:
    sink.send(Kind.DECIDED, {"action": value, "reason": "last"})
    fields = _read(journal.recv(1 << 20))
    names = [name for name, _value in fields]
    assert names == ["MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "AIOS_ACTION", "AIOS_REASON"]
    assert dict(fields)["AIOS_ACTION"] == value.encode("utf-8", "surrogateescape")
    assert dict(fields)["MESSAGE"] == b"An action was decided"


def test_half_of_a_surrogate_pair_is_sent_too(journal: socket.socket, sink: JournalSink) -> None:
    sink.send(Kind.DECIDED, {"action": "a\ud800b"})
    assert dict(_read(journal.recv(1 << 20)))["AIOS_ACTION"] == b"a\xed\xa0\x80b"


def test_a_name_that_is_more_than_a_name_is_not_in_the_message() -> None:
    entry = render_entry(Kind.DONE, {**_WHO, "user": "ann (root)\n", "outcome": "done"})
    assert dict(_read(entry))["MESSAGE"] == b"An action ended: done (1000, deny)"


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.value != "packages"])
def test_each_kind_has_its_message_id(kind: Kind) -> None:
    assert dict(_read(render_entry(kind, {})))["MESSAGE_ID"] == kind.message_id.encode()


@pytest.mark.parametrize(
    ("outcome", "priority"),
    [("denied", b"4"), ("unanswered", b"4"), ("refused", b"4"), ("lost", b"3"), ("allowed", b"5"), ("done", b"5")],
)
def test_what_went_wrong_stands_out(outcome: str, priority: bytes) -> None:
    assert dict(_read(render_entry(Kind.DONE, {**_WHO, "outcome": outcome})))["PRIORITY"] == priority


def test_a_large_value_goes_in_one_piece(journal: socket.socket, sink: JournalSink) -> None:
    sink.send(Kind.DONE, {"reason": "x" * 100_000})
    assert dict(_read(journal.recv(1 << 20)))["AIOS_REASON"] == b"x" * 100_000


def test_without_a_journal_nothing_is_sent_and_nothing_is_missed(tmp_path: Path) -> None:
    with closing(JournalSink(str(tmp_path / "none"))) as sink:
        sink.send(Kind.DECIDED, {**_WHO, "decision": "allowed"})
        assert sink.missed == 0


@pytest.mark.parametrize("how", ["nobody listens", "it is full", "too large for it"])
def test_what_the_journal_does_not_take_is_counted_and_stops_nothing(
    tmp_path: Path, journal: socket.socket, sink: JournalSink, how: str
) -> None:
    record = {"reason": "x" * 20_000_000 if how == "too large for it" else "short"}
    if how == "nobody listens":
        journal.close()
    for _ in range(10_000 if how == "it is full" else 1):
        sink.send(Kind.DONE, dict(record))
        if sink.missed:
            break
    assert sink.missed == 1
