"""Where the policy lists programs, nothing else is started: not by name, not by a listed one, not in any profile."""

from dataclasses import replace
from pathlib import Path

import pytest

from aiosd.sandbox.profile import HostFacts, Profile, ProfileName
from tests.sandbox.box import BOTH, READ_ONLY, USER, opened
from tests.sandbox.test_folders import own

_LISTED = ("/usr/bin/env", "/usr/bin/id", "/nowhere/at/all")
_PROFILES = {"read-only": READ_ONLY, "user": USER, "facets": BOTH, "workspace": Profile(name=ProfileName.WORKSPACE)}


@pytest.mark.parametrize("name", _PROFILES)
async def test_only_what_is_listed_is_started(host: HostFacts, name: str) -> None:
    if not host.landlock:
        pytest.skip("this kernel has no Landlock")
    profile = _PROFILES[name]
    async with opened(replace(profile, programs=_LISTED), host) as box:
        for argv in (("id", "-u"), ("env", "id", "-u")):
            said = await box.run(*argv)
            assert (said.status, said.out.strip().isdigit()) == (0, True), said
        for other in (["uname"], ["env", "uname"], ["/bin/uname"]):
            said = await box.run(*other)
            assert (said.status, said.out) == (126, b""), said
            assert b"Permission denied" in said.err
    async with opened(profile, host) as box:
        assert (await box.run("env", "uname")).out == b"Linux\n"


async def test_a_folder_is_listed_with_all_that_is_in_it_and_an_empty_list_starts_nothing(host: HostFacts) -> None:
    if not host.landlock:
        pytest.skip("this kernel has no Landlock")
    async with opened(replace(READ_ONLY, programs=("/usr/bin",)), host) as box:
        assert (await box.shell("env uname")).out == b"Linux\n"
    async with opened(replace(READ_ONLY, programs=()), host) as box:
        assert (await box.run("true")).status == 126


async def test_what_an_approved_command_may_do_with_files_stays(host: HostFacts, place: Path) -> None:
    """A file moves from folder to folder by its inode, with the list as without."""
    (place / "one").mkdir()
    (place / "two").mkdir()
    (place / "one" / "file").write_text("x")
    own(place)
    before = (place / "one" / "file").stat().st_ino
    async with opened(replace(USER, programs=("/usr/bin/mv",)), host) as box:
        moved = await box.run("mv", f"{place}/one/file", f"{place}/two/file")
    assert moved.status == 0, moved
    assert not (place / "one" / "file").exists()
    assert host.landlock < 2 or (place / "two" / "file").stat().st_ino == before
