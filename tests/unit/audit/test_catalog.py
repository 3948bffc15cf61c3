"""The journal's catalog explains every kind of record, in the record's own fields, and nothing else."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from aiosd.audit.records import Connected, Decided, Done, Kind, Lapsed, Ordered, Packages, Started, Stopped

_CATALOG = Path(__file__).resolve().parents[3] / "packaging/catalog/aios.catalog"
_RECORDS = {record.kind: record for record in (Started, Stopped, Decided, Done, Connected, Packages, Ordered, Lapsed)}


def _entries() -> dict[str, str]:
    pieces = re.split(r"^-- ([0-9a-f]{32})\n", _CATALOG.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert pieces[0] == ""
    assert len(pieces) % 2 == 1
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_each_kind_of_record_has_an_entry_and_each_entry_a_kind() -> None:
    assert sorted(_entries()) == sorted(kind.message_id for kind in Kind)
    assert set(_RECORDS) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_an_entry_has_what_journalctl_shows_and_names_fields_of_its_record(kind: Kind) -> None:
    head, _, text = _entries()[kind.message_id].partition("\n\n")
    assert [line.partition(":")[0] for line in head.splitlines()] == ["Subject", "Defined-By", "Support"]
    assert text.strip()
    named = set(re.findall(r"@(\w+)@", head + text))
    assert named
    assert named <= {f"AIOS_{field.name.upper()}" for field in fields(_RECORDS[kind])}
