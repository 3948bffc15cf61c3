"""Files of others: told by their owner and by who may write them, in every view, for commands and file tools."""

import os
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.file_tools import FOREIGN
from aiosd.sandbox.profile import HostFacts
from tests.daemon.people import IS_ROOT, default_person
from tests.sandbox.box import READ_ONLY, USER, command, opened

OTHER = 4242


@pytest.fixture
def files(place: Path) -> Path:
    """A file of the person's, one of root's, one that everybody may write, one of somebody else's."""
    for name, owner, mode in (
        ("mine", default_person(), 0o600),
        ("roots", 0, 0o644),
        ("open", default_person(), 0o646),
        ("theirs", OTHER, 0o644),
    ):
        (place / name).write_text("text\n")
        (place / name).chmod(mode)
        if IS_ROOT:
            os.chown(place / name, owner, owner)
    return place


_LINES = [
    (("cat", "{0}/mine", "{0}/roots", "/etc/passwd", "/dev/null"), False),
    (("cat", "/proc/self/status"), False),
    (("echo", "theirs"), False),
    (("cat", "{0}/open"), True),
    (("cat", "{0}/theirs"), True),
    (("grep", "--file={0}/theirs", "x"), True),
    (("bash", "-c", "wc -l <'{0}/theirs'"), True),
    (("ls", "/tmp"), True),
]


@pytest.mark.parametrize("view", ["read-only", "user"])
@pytest.mark.parametrize(("words", "foreign"), _LINES)
async def test_a_command_that_is_given_files_of_others_says_so(
    host: HostFacts, files: Path, view: str, words: tuple[str, ...], foreign: bool
) -> None:
    if not IS_ROOT and "theirs" in "".join(words[1:]) and foreign:
        pytest.skip("only root gives files to others")
    async with opened(READ_ONLY if view == "read-only" else USER, host) as box:
        for _ in range(2):
            await box.run(*(word.format(files) for word in words))
            assert box.link.foreign is foreign
        await box.run("true")
        assert not box.link.foreign
        name = "theirs" if IS_ROOT else "open"
        await box.pipe(command("cat", redirects=(("read", 0, (f"{files}/{name}", None, False)),)))
        assert box.link.foreign


@pytest.mark.parametrize(
    ("tool", "arguments", "status"),
    [
        ("read_file", {"path": "{0}/mine"}, 0),
        ("read_file", {"path": "{0}/open"}, FOREIGN),
        ("grep", {"pattern": "text", "path": "{0}/mine"}, 0),
        ("grep", {"pattern": "text", "path": "{0}"}, FOREIGN),
        ("grep", {"pattern": "nowhere", "path": "{0}"}, 0),
        ("read_file", {"path": "{0}/none"}, 1),
    ],
)
async def test_a_file_tool_that_shows_files_of_others_says_so(
    host: HostFacts, files: Path, tool: str, arguments: dict[str, str], status: int
) -> None:
    async with opened(READ_ONLY, host) as box:
        given: dict[str, Any] = {name: value.format(files) for name, value in arguments.items()}
        said = await box.tool(tool, **given)
    assert said.status == status, said
