"""Auditing with journalctl: docs/journal.md is true; entries are explained, bounded, and the same as the record."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiosd.audit.records import Kind
from tests.system.guest import REPOSITORY, Guest, Testbed
from tests.system.packages import install
from tests.system.transcript import normalised, replay

_PAGE = REPOSITORY / "docs/journal.md"
_WIDE = "日本語の引数"
_MAX_ENTRY = 4096


@pytest.fixture(scope="module")
def asked(testbed: Testbed, package: Path) -> Iterator[Guest]:
    """A machine that only this module asks."""
    with testbed.boot() as guest:
        install(guest, package)
        guest.enter(["systemctl", "enable", "--now", "--quiet", "aiosd.socket"])
        yield guest


def test_the_page_says_what_the_commands_print(asked: Guest) -> None:
    for step, output in replay(_PAGE, asked):
        assert normalised(output) == normalised(step.output), step.command


def _make_every_kind(guest: Guest) -> None:
    """A connection, as aiosd tells of it, an order, a lease that ends, and a line with bytes that cannot be shown."""

    def call(method: str, *, user: str = "aios", **parameters: object) -> dict[str, Any]:
        words = ["varlinkctl", "call", "-j", "/run/aios/guard.sock", f"io.aios.Guard.{method}", json.dumps(parameters)]
        said: dict[str, Any] = json.loads(guest.enter(["runuser", "-u", user, "--", *words]).stdout or "{}")
        return said

    session = call("OpenSession")["session"]
    call("Connected", session=session, call="c", host="example.org", port=443, refused="it is not granted")
    with guest.start(["sh", "-c", "aios ask 'run: touch leased' </dev/null"], user="bob"):
        (card,) = guest.wait_for(lambda: call("ListPending", user="bob").get("approvals", []), deadline_s=60)
        given = {"id": card["id"], "digest": card["digest"], "decision": "approve", "lease": {}}
        call("RevokeLease", user="bob", id=call("Answer", user="bob", **given)["lease"])
        guest.wait_for(lambda: guest.journal("AIOS_KIND=lapsed"))
    guest.enter(["aios", "stop"])
    guest.enter(["aios", "thaw"])
    guest.run(["aios", "ask", "--wait", "1", "$ echo '\x1b'"], user="bob", check=False)


def test_each_field_is_described_and_each_description_is_of_a_field(asked: Guest) -> None:
    _make_every_kind(asked)
    described = set(re.findall(r"`(AIOS_\w+)`", _PAGE.read_text(encoding="utf-8").partition("## Fields")[2]))
    found = {name for entry in asked.journal("-t", "aios") for name in entry if name.startswith("AIOS_")}
    assert found - described == set()
    # Nothing here was reached, ordered, installed, or had bytes that are not shown.
    elsewhere = "ADDRESS HOST PORT SENT_BYTES RECEIVED_BYTES ORDER COUNT PACKAGES RAW TRUNCATED APPROVER"
    assert described - found <= {f"AIOS_{name}" for name in elsewhere.split()}


def test_every_kind_of_entry_is_explained(asked: Guest) -> None:
    _make_every_kind(asked)
    asked.enter(["systemctl", "stop", "aios-guard.service"])
    asked.run(["aios", "ask", "which services failed?"], user="bob")
    entries = asked.journal("-t", "aios")
    assert {entry["MESSAGE_ID"] for entry in entries if entry["_UID"] == "0"} == {kind.message_id for kind in Kind}
    for kind in Kind:
        said = asked.enter(["journalctl", "-x", "-n", "1", "--no-pager", f"MESSAGE_ID={kind.message_id}"]).stdout
        assert "░░ Defined-By: aiosd\n" in said
        assert "@AIOS_" not in said


def test_the_record_and_the_journal_say_the_same(asked: Guest) -> None:
    record = [json.loads(line) for line in asked.enter(["aios", "log", "--json", "-n", "1000"]).stdout.splitlines()]
    entries = asked.journal("_SYSTEMD_UNIT=aios-guard.service", "SYSLOG_IDENTIFIER=aios")
    told = [{name: _as_text(value) for name, value in entry.items()} for entry in record]
    heard = [
        {name.removeprefix("AIOS_").lower(): value for name, value in entry.items() if name.startswith("AIOS_")}
        for entry in entries
    ]
    assert len(told) > 6
    assert told == heard
    assert [entry["MESSAGE_ID"] for entry in entries] == [Kind(entry["kind"]).message_id for entry in told]


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def test_people_without_the_right_to_the_journal_read_their_own_record(asked: Guest) -> None:
    assert "systemctl list-units" in asked.run(["aios", "log"], user="bob").stdout
    assert asked.run(["journalctl", "-q", "-u", "aios-guard"], user="bob", check=False).stdout == ""
    assert "An action was decided" in asked.run(["journalctl", "-q", "-u", "aios-guard"], user="alice").stdout


@pytest.mark.parametrize("word", ["x" * 60_000, _WIDE * 3_000, "\x01\x1b[31m" * 2_000])
def test_an_entry_is_bounded_and_its_text_cannot_pretend(asked: Guest, word: str) -> None:
    before = len(asked.journal("-u", "aios-guard", "-t", "aios"))
    line = f"$ printf %s '{word}'"
    asked.run(["aios", "ask", "--wait", "1"], user="bob", stdin=line, check=False)
    asked.run(["aios", "ask", "--wait", "1", f"$ sort /nowhere-{word[:4000]}"], user="bob", check=False)
    entries = asked.journal("-u", "aios-guard", "-t", "aios")[before:]
    assert 2 <= len(entries) <= 4
    for entry in entries:
        ours = {name: value for name, value in entry.items() if name.startswith("AIOS_")}
        assert sum(len(name) + len(value.encode()) for name, value in ours.items()) <= _MAX_ENTRY
        assert entry["MESSAGE"].isascii()
        assert "x" * 40 not in entry["MESSAGE"]


def test_many_commands_all_arrive_and_cost_two_entries_each(asked: Guest) -> None:
    before = len(asked.journal("-u", "aios-guard", "-t", "aios"))
    asked.run(["sh", "-c", "seq 20 | xargs -P 4 -I{} aios ask '$ id'"], user="bob")
    after = asked.journal("-u", "aios-guard", "-t", "aios")
    assert len(after) - before == 40
    assert asked.unit("aios-guard.service")["LogRateLimitIntervalUSec"] == "0"
