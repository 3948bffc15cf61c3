"""The hook's line in the files of a PAM folder: in, out to the byte, and not where it could do harm."""

import os
import stat
from pathlib import Path

import pytest

from aiosd.login.pam import LINE, Pam, PamError, check_hook, insert, remove

LOGIN = b"auth required pam_unix.so\n@include common-session\n-session optional pam_keyinit.so revoke\n"
COMMON = b"session\trequired pam_unix.so\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like Debian's, with Arch's way of taking in."""
    files = {
        "login": LOGIN,
        "sshd": b"auth include remote\nsession include remote\n",
        "remote": b"session substack common-session\n",
        "common-session": COMMON,
        "su": COMMON,
        "su-l": b"auth include su\nsession optional pam_keyinit.so\nsession include su\n",
        "chpasswd": b"password required pam_unix.so\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    "content",
    [
        LOGIN,
        COMMON,
        b"session required x.so",
        b"session required x.so\n\n\n",
        b"session required x.so\r\n",
        b"session required \\\n  x.so\n# end",
        b"# caf\xe9\nSESSION required x.so\n",
    ],
)
def test_out_again_is_as_before_to_the_byte(content: bytes) -> None:
    changed = insert(content)
    assert changed != content
    assert changed.endswith(f"{LINE}\n".encode())
    assert remove(changed) == content


@pytest.mark.parametrize("content", [b"session required x.so\n", b"session required x.so"])
def test_what_else_was_changed_meanwhile_stays(content: bytes) -> None:
    changed = insert(content).replace(b"x.so", b"y.so") + b"session optional z.so\n"
    assert remove(changed) == content.replace(b"x.so", b"y.so") + b"session optional z.so\n"


def test_a_line_is_put_in_once_and_taken_out_once(folder: Path) -> None:
    pam, path = Pam(folder), folder / "login"
    assert pam.enable("login") is True
    once = path.read_bytes()
    assert pam.enable("login") is False
    assert path.read_bytes() == once
    assert once.count(LINE.encode()) == 1
    assert pam.hooked() == ["login"]
    assert pam.disable("login") is True
    assert pam.disable("login") is False
    assert path.read_bytes() == LOGIN
    assert pam.hooked() == []


def test_owner_mode_and_attributes_stay_and_nothing_is_left_beside(folder: Path) -> None:
    path, pam = folder / "login", Pam(folder)
    path.chmod(0o640)
    attributes = {}
    try:
        os.setxattr(path, "user.note", b"ours")
        attributes["user.note"] = b"ours"
    except OSError:
        pass  # a file system without them
    if os.geteuid() == 0:
        os.chown(path, 0, 12)
    before = path.stat()
    names = sorted(os.listdir(folder))
    (folder / ".login.aios-new").write_text("left by one that was killed", encoding="utf-8")
    pam.enable("login")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert {name: os.getxattr(path, name) for name in attributes} == attributes
    assert sorted(os.listdir(folder)) == names


@pytest.mark.parametrize("service", ["login", "sshd", "remote", "common-session", "su", "su-l"])
def test_a_session_stack_may_be_taken_in(folder: Path, service: str) -> None:
    assert Pam(folder).enable(service) is True


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("chpasswd", "has no session stack"),
        ("nothing", "there is no "),
        ("link", "Too many levels of symbolic links"),
        ("folder", "is not a plain file"),
        ("open", "can be changed by others than root"),
        ("broken", "its last line goes on after its end"),
        ("binary", "is not a list of PAM modules"),
        ("huge", "is not a list of PAM modules"),
        ("../login", "is no name of a service"),
        (".hidden", "is no name of a service"),
        ("", "is no name of a service"),
        ("byhand", "in a line that is not ours"),
    ],
)
def test_what_could_do_harm_is_refused_and_changes_nothing(folder: Path, service: str, reason: str) -> None:
    (folder / "link").symlink_to("login")
    (folder / "folder").mkdir()
    (folder / "open").write_bytes(COMMON)
    (folder / "open").chmod(0o666)
    (folder / "broken").write_bytes(COMMON + b"session required \\\n")
    (folder / "binary").write_bytes(COMMON + b"\0")
    (folder / "huge").write_bytes(COMMON * 4000)
    (folder / "byhand").write_bytes(COMMON + b"session optional pam_exec.so /usr/lib/aios/login-hook\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(PamError, match=reason) as raised:
        Pam(folder).enable(service)
    assert raised.value.hint
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_line_changed_by_hand_is_not_taken_out(folder: Path) -> None:
    pam, path = Pam(folder), folder / "login"
    pam.enable("login")
    changed = path.read_bytes().replace(b"quiet stdout", b"quiet")
    path.write_bytes(changed)
    with pytest.raises(PamError, match="not as it was put in"):
        pam.disable("login")
    assert path.read_bytes() == changed


def test_it_never_runs_twice_in_one_login(folder: Path) -> None:
    pam = Pam(folder)
    assert pam.ordered(["su-l", "su", "su-l"]) == ["su", "su-l"]
    pam.enable("su-l")
    with pytest.raises(PamError, match="it would run twice there"):
        pam.enable("su")
    pam.disable("su-l")
    pam.enable("su")
    assert pam.through("su-l") == "su"
    assert pam.through("login") == ""
    pam.disable("su")
    pam.enable("common-session")
    assert (pam.through("sshd"), pam.through("login")) == ("common-session", "common-session")


def test_files_that_take_each_other_in_end(folder: Path) -> None:
    (folder / "one").write_bytes(b"session include two\n")
    (folder / "two").write_bytes(b"session include one\n")
    with pytest.raises(PamError, match="has no session stack"):
        Pam(folder).enable("one")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: whose file it is")
def test_the_hook_must_be_roots_and_pam_exec_there(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "pam_exec.so").touch()
    check_hook("/usr/bin/env", (str(modules),))  # a program of root's in folders of root's
    for path, reason in (
        ("/nonexistent/hook", "No such file"),
        ("/etc/passwd", "is not a program"),
        ("/usr/bin", "is not a program"),
    ):
        with pytest.raises(PamError, match=reason):
            check_hook(path, (str(modules),))
    theirs = tmp_path / "hook"
    theirs.write_text("#!/bin/sh\n", encoding="utf-8")
    theirs.chmod(0o755)
    os.chown(theirs, 65534, 65534)
    with pytest.raises(PamError, match="can be changed by others than root"):
        check_hook(str(theirs), (str(modules),))
