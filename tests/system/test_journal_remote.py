"""What the AI did, off the machine: by systemd-journal-upload to systemd-journal-remote on another, over TLS."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.guest import REPOSITORY, Guest, Testbed

_KEYS = "/etc/ssl/journal"
_REMOTE = "/var/log/journal/remote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A machine with the AI and one that collects, with a cable between them."""

    source: Guest
    collector: Guest


@pytest.fixture(scope="module")
def pair(testbed: Testbed, layer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("keys")
    _authority(folder)
    with testbed.boot(layer=layer) as source, testbed.boot() as collector:
        _connect(source, collector)
        for guest, name in ((source, "source"), (collector, "collector")):
            _put_keys(guest, folder, name)
        collector.put("/etc/systemd/journal-remote.conf", _configuration("Remote"))
        collector.enter(["systemctl", "enable", "--now", "--quiet", "systemd-journal-remote.socket"])
        source.put("/etc/systemd/journal-upload.conf", _configuration("Upload"))
        yield Pair(source=source, collector=collector)


def _configuration(section: str) -> str:
    """What docs/journal.md shows for this side."""
    page = (REPOSITORY / "docs/journal.md").read_text(encoding="utf-8")
    (found,) = [block for block in page.split("```ini\n")[1:] if block.startswith(f"[{section}]")]
    return found.partition("```")[0]


def _authority(folder: Path) -> None:
    """A certificate authority, and a key signed by it for each of the two."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=the authority")
    for name in ("source", "collector"):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "30", "-extfile", "names", "-out", f"{name}.pem",
        )  # fmt: skip


def _put_keys(guest: Guest, folder: Path, name: str) -> None:
    guest.put(f"{_KEYS}/ca.pem", (folder / "ca.pem").read_bytes())
    guest.put(f"{_KEYS}/cert.pem", (folder / f"{name}.pem").read_bytes())
    # The uploading service has a dynamic user: a group that it is in reads its key.
    group = {"source": "systemd-journal", "collector": "systemd-journal-remote"}[name]
    guest.put(f"{_KEYS}/key.pem", (folder / f"{name}.key").read_bytes(), mode=0o640, owner=f"root:{group}")


def _connect(source: Guest, collector: Guest) -> None:
    """A veth pair, one end in each machine."""
    one, two = ((guest.folder / "run" / guest.name / "leader").read_text().split()[0] for guest in (source, collector))
    # By the process of the other machine, as the kernel of both knows it.
    cable = ["ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", two]
    subprocess.run(["nsenter", "-t", one, "-n", *cable], check=True, timeout=30)
    for guest, address in ((source, "10.0.0.1/24"), (collector, "10.0.0.2/24")):
        guest.enter(["ip", "address", "add", address, "dev", "cable"])
        guest.enter(["ip", "link", "set", "cable", "up"])
        hosts = guest.read("/etc/hosts") if guest.exists("/etc/hosts") else "127.0.0.1 localhost\n"
        guest.put("/etc/hosts", f"{hosts}10.0.0.1 source\n10.0.0.2 collector\n")


def _collected(collector: Guest, *matches: str) -> list[dict[str, str]]:
    command = ["journalctl", f"--directory={_REMOTE}", "--output=json", "--all", "--no-pager", *matches]
    return [json.loads(line) for line in collector.enter(command, check=False).stdout.splitlines()]


def test_what_the_guard_wrote_is_on_the_other_machine_field_by_field(pair: Pair) -> None:
    pair.source.run(["aios", "ask", "which services failed?"], user="bob")
    pair.source.run(["aios", "ask", "$ rm -rf /"], user="bob", check=False)
    pair.source.enter(["systemctl", "enable", "--now", "--quiet", "systemd-journal-upload.service"])
    ours = ("_SYSTEMD_UNIT=aios-guard.service", "SYSLOG_IDENTIFIER=aios")
    here = pair.source.journal(*ours)
    assert len(here) >= 4
    there = pair.collector.wait_for(
        lambda: found if len(found := _collected(pair.collector, *ours)) >= len(here) else None
    )
    assert there is not None
    kept = ("AIOS_", "MESSAGE", "PRIORITY", "_UID", "_SYSTEMD_UNIT", "_MACHINE_ID", "_BOOT_ID")
    assert [{name: value for name, value in entry.items() if name.startswith(kept)} for entry in there] == [
        {name: value for name, value in entry.items() if name.startswith(kept)} for entry in here
    ]
    (denied,) = _collected(pair.collector, "_SYSTEMD_UNIT=aios-guard.service", "AIOS_TIER=deny")
    assert denied["AIOS_ACTION"] == "rm -rf /"
    assert denied["_MACHINE_ID"] == pair.source.read("/etc/machine-id").strip()


def test_what_comes_later_follows_by_itself_and_the_chain_is_whole(pair: Pair) -> None:
    pair.source.run(["aios", "ask", "$ id"], user="carol")
    pair.collector.wait_for(lambda: len(_collected(pair.collector, "AIOS_USER=carol")) == 2)
    chain = _collected(pair.collector, "_SYSTEMD_UNIT=aios-guard.service", "SYSLOG_IDENTIFIER=aios")
    for before, after in itertools.pairwise(chain):
        assert after["AIOS_PREV"] == before["AIOS_HASH"]


def test_nothing_is_sent_to_who_only_pretends_to_be_the_collector(pair: Pair, tmp_path: Path) -> None:
    _authority(tmp_path)  # another one
    before = len(_collected(pair.collector))
    pair.source.put("/root/other.pem", (tmp_path / "ca.pem").read_bytes())
    pair.source.enter(["rm", "/etc/systemd/journal-upload.conf"])  # options cannot be given twice
    upload = [
        "/usr/lib/systemd/systemd-journal-upload", "--url=https://collector:19532", f"--key={_KEYS}/key.pem",
        f"--cert={_KEYS}/cert.pem", "--directory=/var/log/journal", "--follow=no",
    ]  # fmt: skip
    refused = pair.source.enter([*upload, "--trust=/root/other.pem"], check=False)
    assert refused.status != 0
    assert "certificate" in refused.stderr
    assert len(_collected(pair.collector)) == before
    assert pair.source.enter([*upload, f"--trust={_KEYS}/ca.pem"]).status == 0
    assert len(_collected(pair.collector)) > before
