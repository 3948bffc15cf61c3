"""Files that others trust stay as they are in folders that may be written, whether or not they are there; no ghosts."""

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.profile import HostFacts, Profile, ProfileName
from aiosd.sandbox.protect import is_place
from tests.daemon.people import default_person
from tests.sandbox.box import Box, make_identity, opened
from tests.sandbox.test_folders import WRITE, Tree, own, rule

PRESENT = (".git/config", ".git/hooks/pre-commit", ".envrc", "sub/deep/.git/config")
ABSENT = (".git/info/attributes", ".vscode/tasks.json", ".idea", ".mcp.json")
OF_HOME = (".bashrc", ".profile", ".ssh/authorized_keys", ".config/systemd/user/x.service", ".local/bin/ls")


def workspace(*writes: Path) -> Profile:
    return Profile(name=ProfileName.WORKSPACE, writes=tuple(map(str, writes)))


@pytest.fixture
def project(place: Path) -> Path:
    for name in (*PRESENT, "free", ".git/index"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("kept\n", encoding="utf-8")
    own(place)
    return place


def look(top: Path) -> dict[str, str]:
    """Every file below, with its text."""
    return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}


def folders(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_dir()}


async def write_all(box: Box, top: Path, *names: str) -> list[str]:
    """Which of these can be written, made or replaced, by whatever way."""
    made = []
    for name in names:
        path = f"{top}/{name}"
        line = (
            f"mkdir -p $(dirname {path}); echo bad >{path} || {{ rm -rf {path}; echo bad >{path}; }} || "
            f"{{ mv {top}/.git {top}/git-away; mkdir -p $(dirname {path}); echo bad >{path}; }} || "
            f"{{ echo bad >{top}/tmp-x; mv -f {top}/tmp-x {path}; }} || ln -sf /etc/passwd {path} && echo written"
        )
        said = await box.shell(line)
        if b"written" in said.out:
            made.append(name)
    return made


async def test_what_others_trust_cannot_be_written_and_the_rest_can(host: HostFacts, project: Path) -> None:
    before, before_folders = look(project), folders(project)
    async with opened(workspace(project), host) as box:
        assert await write_all(box, project, *PRESENT, *ABSENT) == []
        assert await write_all(box, project, "free", "new", ".git/index", "sub/new") == [
            "free",
            "new",
            ".git/index",
            "sub/new",
        ]
    changed = {"free", "new", ".git/index", "sub/new"}
    after = look(project)
    assert {name: after[name] for name in before if name not in changed} == {
        name: text for name, text in before.items() if name not in changed
    }
    assert set(after) - set(before) <= {"new", "sub/new", "tmp-x"}
    assert folders(project) == before_folders  # no ghosts


async def test_a_home_keeps_what_its_shells_and_services_start_from(host: HostFacts, place: Path) -> None:
    who = make_identity(home=str(place))
    (place / ".bashrc").write_text("kept\n")
    own(place)
    async with opened(workspace(place), host, who=who) as box:
        assert await write_all(box, place, *OF_HOME) == []
        assert await write_all(box, place, "notes", "work/.bashrc") == ["notes", "work/.bashrc"]
    assert look(place) == {".bashrc": "kept\n", "notes": "bad\n", "work/.bashrc": "bad\n"} | {
        name: text for name, text in look(place).items() if name == "tmp-x"
    }


async def test_a_rule_of_its_own_opens_a_trusted_file(host: HostFacts, project: Path) -> None:
    fence = Tree(project).fence((rule(".git/config", WRITE),))
    async with opened(workspace(project), host, fence=fence) as box:
        assert await write_all(box, project, ".git/config") == [".git/config"]
        assert await write_all(box, project, ".envrc") == []


async def test_names_stay_held_while_any_sandbox_needs_them(host: HostFacts, project: Path) -> None:
    async with opened(workspace(project), host) as second:
        async with opened(workspace(project), host) as first:
            assert await write_all(first, project, ".idea") == []
            assert is_place(f"{project}/.idea")
        assert is_place(f"{project}/.idea")
        assert await write_all(second, project, ".idea", ".mcp.json") == []
    assert not {".idea", ".mcp.json", ".vscode"} & set(os.listdir(project))


async def test_a_sandbox_that_is_killed_leaves_no_name_held(host: HostFacts, project: Path) -> None:
    async with opened(workspace(project), host) as box:
        assert is_place(f"{project}/.idea")
        assert box.link._launched is not None
        box.link._launched.kill()
        async with asyncio.timeout(20):
            while is_place(f"{project}/.idea"):  # noqa: ASYNC110 - the keeper tells nobody
                await asyncio.sleep(0.01)
    assert ".idea" not in os.listdir(project)


async def test_a_name_that_a_lost_keeper_held_is_given_back_and_a_file_of_somebody_is_not(
    host: HostFacts, project: Path
) -> None:
    (project / ".mcp.json").mkdir()
    (project / ".mcp.json").chmod(0)
    os.utime(project / ".mcp.json", ns=(1, 1))
    (project / ".envrc").write_text("")
    own(project)
    assert is_place(f"{project}/.mcp.json")
    async with opened(workspace(project), host) as box:
        assert await write_all(box, project, ".mcp.json") == []
        (project / ".vscode").chmod(0o700)
        (project / ".vscode/mine").write_text("mine\n")  # a person, outside, takes the name meanwhile
    assert (project / ".vscode/mine").read_text() == "mine\n"
    assert (project / ".envrc").exists()
    assert ".mcp.json" not in os.listdir(project)


async def test_git_works_in_a_workspace(host: HostFacts, project: Path) -> None:
    subprocess.run(["rm", "-rf", f"{project}/.git", f"{project}/sub"], check=True)
    words: dict[str, Any] = {"user": default_person(), "group": default_person()} if os.geteuid() == 0 else {}
    subprocess.run(["git", "init", "-q", str(project)], check=True, env={"PATH": "/usr/bin", "HOME": "/x"}, **words)
    line = (
        "git add -A && git -c user.name=x -c user.email=x@y.z commit -qm one && git status --short && git log --oneline"
    )
    async with opened(workspace(project), host, who=replace(make_identity(), home=str(project / "none"))) as box:
        said = await box.shell(line, cwd=str(project))
    assert said.status == 0, said
    assert (said.out[-5:], said.out.count(b"\n"), said.err) == (b" one\n", 1, b"")
