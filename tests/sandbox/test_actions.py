"""What an action does in a sandbox: the statuses, pipes, redirections and errors that bash would give; its limits."""

import asyncio
import errno
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aiosd.guard.stages import render_stages
from aiosd.policy.program import Program
from aiosd.policy.recogniser import recognise
from aiosd.sandbox.link import WorkingDirectoryError
from aiosd.sandbox.profile import HostFacts
from tests.daemon.people import IS_ROOT, default_person
from tests.sandbox.box import READ_ONLY, USER, Box, command, make_identity, opened

# Lines of one pipeline that the recogniser takes; bash (with pipefail) is asked what they give.
LINES = r"""
true
false
echo a b
echo 'a  b' "c" d\ e
printf '%s\n' '' x
cat numbers
cat < numbers
cat 0< numbers
cat numbers | sort -n | head -n 2
cat numbers | wc -l
yes | head -n 1
seq 100000 | head -n 1
false | true
true | false
false | true | false
exit3 | true
exit3 | false
true | exit3 | true
cat absent | cat
cat absent 2>/dev/null | cat
cat absent 2>&1 | cat
cat absent |& cat
cat absent &>/dev/null
cat absent >/dev/null 2>&1 | wc -c
cat absent 2>&1 >/dev/null | wc -c
echo x >&2 | cat
echo x 2>/dev/null
sh -c 'echo out; echo err >&2' 2>&1 >/dev/null
sh -c 'echo out; echo err >&2' >/dev/null 2>&1
cat < absent
cat < absent | cat
cat < numbers < other
cat < 'with blank'
cat < .
absent-command
absent-command | cat
./absent
./plain
./folder
./script a 'b c'
./no-interpreter
folder/nothing
sh -c 'kill -TERM $$'
sh -c 'kill -KILL $$'
sh -c 'kill -SEGV $$' | cat
sh -c 'exit 255'
sh -c 'exit 256'
sh -c 'exit 300' | cat
timeout 0.01 sleep 5
sh -c 'trap'
echo *
echo *.txt
echo ~
echo ~/x
echo none*
echo '*' \*
ls -d .*
printf '[%s]' * | od -c
head -c 200000 /dev/zero | tail -c 100000 | wc -c
seq 50000 | sort -rn | uniq | tail -n 1
test -t 0
test -t 1
""".strip().splitlines()


@pytest.fixture
def folder(place: Path) -> Path:
    for name, text in {
        "numbers": "3\n1\n2\n",
        "other": "other\n",
        "with blank": "b\n",
        "日本.txt": "",
        "b.txt": "",
    }.items():
        (place / name).write_text(text, encoding="utf-8")
    for name, text in {
        "plain": "echo no\n",
        "script": '#!/bin/sh\nfor each in "$@"; do echo "<$each>"; done; exit 7\n',
        "no-interpreter": "#!/nonexistent/sh\n",
        "exit3": "#!/bin/sh\nexit 3\n",
    }.items():
        (place / name).write_text(text, encoding="utf-8")
        (place / name).chmod(0o644 if name == "plain" else 0o755)
    (place / "folder").mkdir()
    return place


def environment(box: Box, folder: Path) -> dict[str, str]:
    values = dict(box.environment())
    return {**values, "HOME": str(folder), "PATH": f"{values['PATH']}:{folder}"}


async def run_line(box: Box, line: str, folder: Path) -> tuple[int, bytes]:
    program = recognise(line)
    assert isinstance(program, Program), program
    (pipeline,) = program.pipelines
    packet = ("run", render_stages(pipeline), str(folder), tuple(environment(box, folder).items()))
    said = await box.send(packet)
    return said.status, said.out


def run_in_bash(box: Box, line: str, folder: Path) -> tuple[int, bytes]:
    person: dict[str, Any] = (
        {"user": default_person(), "group": default_person(), "extra_groups": []} if IS_ROOT else {}
    )
    with open(os.memfd_create("out"), "rb+", buffering=0) as out:  # no pipe: as in the sandbox
        ran = subprocess.run(
            ["/bin/bash", "--norc", "--noprofile", "-o", "pipefail", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd=folder,
            env=environment(box, folder),
            **person,
        )
        out.seek(0)
        return (ran.returncode if ran.returncode >= 0 else 128 - ran.returncode), out.read()


async def test_a_pipeline_gives_what_bash_gives(host: HostFacts, folder: Path) -> None:
    async with opened(READ_ONLY, host) as box:
        ours = {line: await run_line(box, line, folder) for line in LINES}
        bash = {line: run_in_bash(box, line, folder) for line in LINES}
    # Wanted: bash starts to read the folder, and cat fails; here only a regular file is read from.
    assert (ours.pop("cat < ."), bash.pop("cat < .")) == ((1, b""), (1, b""))
    assert ours == bash


async def test_every_way_a_command_can_end_is_its_status(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        for number in (0, 1, 2, 77, 126, 127, 128, 255):
            assert (await box.run("sh", "-c", f"exit {number}")).status == number
        for kill in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGPIPE, signal.SIGTERM, signal.SIGUSR1):
            assert (await box.run("sh", "-c", f"kill -{int(kill)} $$")).status == 128 + kill


async def test_a_command_that_cannot_start_says_why(host: HostFacts, folder: Path) -> None:
    async with opened(READ_ONLY, host) as box:
        said = {
            name: await box.run(name, cwd=str(folder))
            for name in ("absent-command", "./absent", "./plain", "./folder", "./no-interpreter", "", "plain/x")
        }
        assert {name: (each.status, each.out, each.err.decode()) for name, each in said.items()} == {
            "absent-command": (127, b"", "aios: absent-command: command not found\n"),
            "./absent": (127, b"", "aios: ./absent: No such file or directory\n"),
            "./plain": (126, b"", "aios: ./plain: Permission denied\n"),
            "./folder": (126, b"", "aios: ./folder: Permission denied\n"),
            "./no-interpreter": (127, b"", "aios: ./no-interpreter: No such file or directory\n"),
            "": (127, b"", "aios: : command not found\n"),
            "plain/x": (127, b"", "aios: plain/x: No such file or directory\n"),
        }
        long = await box.run("echo", "x" * 200_000)
        assert (long.status, long.err) == (126, b"aios: echo: Argument list too long\n")


async def test_reading_from_what_is_no_regular_file_is_refused(host: HostFacts, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    async with opened(READ_ONLY, host) as box:
        for name, why in {
            "pipe": "not a regular file",
            "absent": os.strerror(errno.ENOENT),
            "*.txt": "ambiguous redirect",
        }.items():
            pattern = name if "*" in name else None
            stage = command("cat", redirects=(("read", 0, (name, pattern, False)),))
            said = await box.pipe(stage, cwd=str(folder))
            assert (said.status, said.err.decode()) == (1, f"aios: {name}: {why}\n")


@pytest.mark.parametrize("profile", [READ_ONLY, USER], ids=["read-only", "user"])
async def test_a_folder_that_cannot_be_entered_is_an_error_of_its_own(
    host: HostFacts, folder: Path, profile: Any
) -> None:
    (folder / "shut").mkdir(0o700)
    if IS_ROOT:
        os.chown(folder / "shut", 0, 0)
    else:
        (folder / "shut").chmod(0)
    async with opened(profile, host) as box:
        for name, number in {"absent": errno.ENOENT, "numbers": errno.ENOTDIR, "shut": errno.EACCES}.items():
            with pytest.raises(WorkingDirectoryError, match=os.strerror(number)):
                await box.run("touch", "never", cwd=f"{folder}/{name}")
        assert (await box.run("pwd", cwd=f"{folder}/folder")).out.decode() == f"{folder}/folder\n"
    (folder / "shut").chmod(0o755)


async def test_a_stage_that_cannot_start_leaves_the_others_running(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        said = await box.pipe(command("echo", "x"), command("absent-command"), command("wc", "-c"))
        assert (said.status, said.out) == (127, b"0\n")


async def test_a_reader_that_leaves_early_ends_the_writer(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        said = await box.pipe(command("yes"), command("head", "-n", "1"))
        assert (said.status, said.out) == (128 + signal.SIGPIPE, b"y\n")


async def test_a_long_pipeline_runs(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        said = await box.pipe(command("seq", "1000"), *[command("cat")] * 100, command("tail", "-n", "1"))
        assert (said.status, said.out) == (0, b"1000\n")


@pytest.mark.parametrize("size", [1_000, 100_000, 260_000, 1_000_000])
async def test_a_packet_of_any_size_arrives(host: HostFacts, place: Path, size: int) -> None:
    async with opened(USER, host) as box:
        words = [f"{number:0{size // 5000}}" for number in range(5000)]
        said = await box.run("sh", "-c", 'echo $# "$2"', "sh", *words)
        assert (said.status, said.out.decode()) == (0, f"5000 {words[1]}\n")
        made = await box.tool("write_file", path=str(place / "f"), content=b"old")
        assert made.status == 0
        edited = await box.tool("edit_file", path=str(place / "f"), old="old", new="y" * size)
        assert (edited.status, (place / "f").stat().st_size) == (0, size)


async def test_an_action_after_a_failed_one_is_served(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        with pytest.raises(WorkingDirectoryError):
            await box.run("true", cwd="/absent")
        assert (await box.run("absent-command")).status == 127
        assert (await box.tool("read_file", path="/absent")).status == 1
        assert (await box.run("echo", "fine")).out == b"fine\n"


async def test_a_tool_obeys_the_mounts_and_the_user(host: HostFacts, folder: Path) -> None:
    async with opened(READ_ONLY, host) as box:
        refused = await box.tool("write_file", path=str(folder / "made"), content=b"x")
        assert (refused.status, refused.err.decode()) == (1, f"{folder}/made: Read-only file system\n")
        shadow = await box.tool("read_file", path="/etc/shadow")
        assert (shadow.status, shadow.err) == (1, b"/etc/shadow: Permission denied\n")
        assert (await box.tool("read_file", path=f"{folder}/other")).out == b"other\n"
    async with opened(USER, host) as box:
        made = await box.tool("write_file", path=str(folder / "made"), content=b"x")
        assert (made.status, made.err) == (0, b"")
    status = (folder / "made").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (default_person(), 0o644)


async def test_a_worker_is_done_with_one_action_before_the_next(host: HostFacts) -> None:
    async with opened(READ_ONLY, host) as box:
        statuses = [(await box.run("sh", "-c", f"exit {number}")).status for number in range(50)]
        assert statuses == list(range(50))


async def test_an_identity_without_a_home_is_confined_too(host: HostFacts) -> None:
    async with opened(READ_ONLY, host, who=make_identity(home="/")) as box, asyncio.timeout(20):
        assert (await box.run("echo", "fine")).out == b"fine\n"
