"""docs/install.md is what a machine prints, from pacman -U to journalctl. AIOS_WRITE_DOCS=1 writes it anew."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.guest import REPOSITORY, Guest, Testbed
from tests.system.transcript import normalised, read_steps, replay

_PAGE = REPOSITORY / "docs/install.md"


@pytest.fixture(scope="module")
def fresh(testbed: Testbed, package: Path) -> Iterator[Guest]:
    """A machine that has the package file, and nothing of it."""
    with testbed.boot() as guest:
        guest.put(f"/root/{package.name}", package.read_bytes())
        yield guest


def test_the_page_is_what_the_machine_prints(fresh: Guest) -> None:
    for step, output in replay(_PAGE, fresh):
        assert normalised(output) == normalised(step.output), step.command


def test_the_page_goes_the_whole_way() -> None:
    commands = [step.command for step in read_steps(_PAGE)]
    assert commands[0].startswith("pacman -U aios-")
    assert commands[1] == "systemctl enable --now aiosd.socket"
    assert [
        word for word in ("aios ask", "journalctl", "pacman -R") if not any(word in line for line in commands)
    ] == []
    assert not any(step.output == "" for step in read_steps(_PAGE) if "aios ask" in step.command)
