"""What stays as it is in folders that may be written: files that other programs trust and run later, outside.

What is there is mounted upon, read-only. What is not there must not come into being either, so an empty place that
nobody may open holds its name while the sandbox lives; a keeper, a process of its own outside the sandbox, takes it
away again when the sandbox has ended, however that was. A place that a keeper lost (the machine went down) looks like
nothing that somebody made, and the next keeper takes it away. Inside, it is an empty folder, which what packs or lists
files passes over; or an empty file in a home, where programs read files of such names without asking what they are.

Built-in modules only; runs in the launcher, as the user.

Source: flock(2), pidfd_open(2), rmdir(2), unlink(2).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal itself, without the enums that cost 2 ms
import ctypes
import fcntl
import os
import select
import stat

from aiosd.sandbox.folders import find_hold, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiosd.sandbox.folders import Fence

# In every folder that may be written, and in repositories a few folders below it.
_OF_FOLDERS = (
    ".git/config", ".git/hooks", ".git/info", ".envrc", ".direnv", ".vscode", ".idea", ".mcp.json",
)  # fmt: skip
# Where the folder is a home.
_FILES_OF_HOMES = (
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshrc", ".zshenv",
    ".zprofile", ".zlogin", ".zlogout", ".inputrc", ".gitconfig", ".ripgreprc", ".npmrc", ".pypirc", ".vimrc",
    ".tmux.conf", ".pam_environment", ".xprofile", ".xinitrc", ".xsession",
)  # fmt: skip
_OF_HOMES = (
    *_FILES_OF_HOMES, ".ssh", ".gnupg", ".config/systemd", ".config/autostart", ".config/environment.d",
    ".config/fish", ".config/git", ".config/nvim", ".config/aios", ".local/bin", ".local/share/systemd",
)  # fmt: skip
_MAX_DEPTH, _MAX_FOLDERS = 3, 2000
_TRIES = 8
_CLONE_NEWNS = 0x00020000
_SIGHUP, _SIGTERM = 1, 15


def find_protected(writable: list[str], home: str, fence: Fence) -> tuple[list[str], list[str]]:
    """The paths to protect in these folders: those that are there, and those that are not.

    A path that a folder policy of its own opens for writing is not among them.
    """
    present: dict[str, None] = {}
    absent: dict[str, None] = {}
    for folder in writable:
        if not os.path.isdir(folder):
            continue
        names = (*_OF_FOLDERS, *(_OF_HOMES if folder == home else ()))
        wanted = [f"{folder.rstrip('/')}/{name}" for name in names]
        if home != folder and is_within(home, folder) and os.path.isdir(home):
            wanted += [f"{home}/{name}" for name in (*_OF_FOLDERS, *_OF_HOMES)]
        for repository in _repositories(folder):
            wanted += [f"{repository}/{name}" for name in _OF_FOLDERS[:3]]
        for path in wanted:
            hold = find_hold(fence, path)
            if hold.write and hold.path == path:
                continue
            (present if os.path.lexists(path) and not is_place(path) else absent)[path] = None
    return list(present), list(dict.fromkeys(map(_first_absent, absent)))


def _repositories(folder: str) -> Iterator[str]:
    """Folders below `folder`, not far down, that hold a `.git` folder."""
    stack, seen = [(folder, 0)], 0
    while stack and seen < _MAX_FOLDERS:
        where, depth = stack.pop()
        seen += 1
        try:
            with os.scandir(where) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name == ".git" and where != folder:
                            yield where
                        elif depth < _MAX_DEPTH and entry.name != ".git":
                            stack.append((entry.path, depth + 1))
        except OSError:
            continue


def _first_absent(path: str) -> str:
    while not os.path.lexists(os.path.dirname(path)) or is_place(os.path.dirname(path)):
        path = os.path.dirname(path)
    return f"{os.path.realpath(os.path.dirname(path)).rstrip('/')}/{os.path.basename(path)}"


def is_place(path: str) -> bool:
    """Whether what is at `path` only holds its name."""
    try:
        return _holds_name(os.lstat(path))
    except OSError:
        return False


def _holds_name(status: os.stat_result) -> bool:
    kind = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_size == 0)
    return kind and stat.S_IMODE(status.st_mode) == 0 and status.st_mtime_ns == 1


def hold_place(path: str) -> int:
    """Let an empty place hold the name `path`: a descriptor, locked, that keeps it; -1 where it cannot be held.

    Nobody can make it then who has this user's rights in that folder, which is why it could not be held.
    """
    for _ in range(_TRIES):
        try:
            if os.path.basename(path) in _FILES_OF_HOMES:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400))
            else:
                os.mkdir(path, 0o400)
        except FileExistsError:
            pass
        except OSError:
            return -1
        try:
            if is_place(path):
                os.chmod(path, 0o400)
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        fcntl.flock(fd, fcntl.LOCK_SH)
        os.utime(fd, ns=(1, 1))
        os.fchmod(fd, 0)
        here = os.fstat(fd)
        try:
            if os.path.samestat(here, os.lstat(path)):
                return fd
        except OSError:
            pass
        os.close(fd)
    return -1


def keep(libc: ctypes.CDLL, places: list[tuple[str, int]], uid: int, gid: int) -> None:
    """Fork the keeper of these places, which ends when this process (which becomes bubblewrap) has ended.

    It has mounts of its own, from before they are mounted upon: what is a mount point cannot be taken away.
    """
    watched = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        _pid, raw = os.waitpid(child, 0)
        os.close(watched)
        if raw:
            raise OSError("no keeper of protected places can be started")
        return
    status = 1
    try:
        if libc.unshare(_CLONE_NEWNS) == 0:
            status = 0
            if os.fork():
                os._exit(0)
            os.setsid()
            os.chdir("/")
            for number in (_SIGTERM, _SIGHUP):  # a unit whose first process has ended is told to end as a whole
                _signal.signal(number, _signal.SIG_IGN)
            if os.geteuid() != uid:
                os.setgroups([])
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
            kept = {watched, 2, *(fd for _path, fd in places)}
            for fd in range(256):
                if fd not in kept:
                    try:
                        os.close(fd)
                    except OSError:
                        continue
            select.select([watched], [], [])
            for path, fd in reversed(places):
                _give_back(path, fd)
    finally:
        os._exit(status)


def _give_back(path: str, fd: int) -> None:
    """Take a place away, unless another sandbox still needs it or somebody has made something of it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(fd)
        if _holds_name(status) and os.path.samestat(status, os.lstat(path)):
            (os.rmdir if stat.S_ISDIR(status.st_mode) else os.unlink)(path)
    except OSError:
        return
