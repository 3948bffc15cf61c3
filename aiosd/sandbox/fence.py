"""Making a fence hold: mounts over what must not be read, written or executed, put up by the launcher for bubblewrap.

Each path is resolved as the user, opened without following a link, and mounted upon by its descriptor: what is covered
is the file that was meant, whatever is renamed or linked meanwhile, and a change in between ends the launcher. What is
denied becomes an empty place that nobody may enter; where something below it is given again, only the way there is
left. A folder that gives files by the end of their names has the others covered one by one, and commands cannot write
in it, as no wall of the kernel knows names; the file tools do, under the worker's eye.

Built-in modules and ctypes only; runs in the launcher, which may mount, in mounts of its own.

Source: open_tree(2), move_mount(2), mount_setattr(2), fsopen(2), openat2(2), setfsuid(2).
"""

from __future__ import annotations

import ctypes
import os
import stat

from aiosd.sandbox.folders import find_hold, is_within, make_fence
from aiosd.sandbox.protect import find_protected, hold_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiosd.sandbox.folders import Fence, Hold

_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 437, 442
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE, _CLONE = -100, 0x1000, 0x8000, 1
_MOVE_BY_DESCRIPTORS = 0x4 | 0x40
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_NO_LINKS = 0x04 | 0x02  # RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS
_SET_STRING, _CREATE = 1, 6
_MAX_PICKED = 1000  # files covered one by one; a folder with more is covered whole
_MAX_WALKED = 20_000
_TRIES = 8


class FenceError(Exception):
    """The fence cannot be put up; nothing may run."""


class Plan:
    """What to mount where. `writable` are the resolved folders in which something can be written.

    `watched` are the folders in which a change may call for another fence, `max_bytes` the largest file a command may
    make, 0 for any size.
    """

    def __init__(self) -> None:
        self.fence: Fence = ()
        self.covered: list[str] = []
        self.attributes: dict[str, int] = {}
        self.watched: dict[str, None] = {}
        self.writable: list[str] = []
        self.max_bytes = 0
        self.network: bool | None = None  # of the working directory
        self.texts: dict[str, str] = {}  # what a file reads as, instead
        self.places: list[tuple[str, int]] = []  # that hold a name while the sandbox lives, each with its lock


class User:
    """Whose eyes paths are resolved with: file access as them, mounts with the launcher's rights."""

    def __init__(self, libc: ctypes.CDLL, uid: int, gid: int) -> None:
        self._libc = libc
        self._ids = (uid, gid)
        self._own = (os.getuid(), os.getgid())

    def __enter__(self) -> None:
        self._become(*self._ids)

    def __exit__(self, *_exc: object) -> None:
        self._become(*self._own)

    def _become(self, uid: int, gid: int) -> None:
        if self._own == self._ids:
            return
        self._libc.setfsgid(gid)
        self._libc.setfsuid(uid)
        now = tuple(change(-1) & 0xFFFFFFFF for change in (self._libc.setfsuid, self._libc.setfsgid))
        if now != (uid, gid):
            raise FenceError("file access as the user is not possible")


def make_plan(
    fence: Fence,
    *,
    open_base: bool,
    writes: tuple[str, ...],
    tool: bool,
    cwd: str,
    protect: str = "",
    texts: tuple[tuple[str, str], ...] = (),
) -> Plan:
    """Resolve `fence` and plan its mounts. Run as the user.

    `open_base` says that what no entry speaks of may be written; else only what lies below one of `writes`, and where
    there are none bubblewrap makes all read-only. `tool` says that a file tool is to run, which tells names and sizes
    apart by itself. `texts` are files of the fence that read as something else.
    """
    plan = Plan()
    plan.texts = {real: text for path, text in texts if (real := _resolve(path, plan)) and os.path.isfile(real)}
    closed = not open_base and not writes
    resolved = [(_resolve(entry[0], plan), *entry[1:]) for entry in fence]
    plan.fence = make_fence(entry for entry in resolved if entry[0])
    plan.network = find_hold(plan.fence, os.path.realpath(cwd)).network
    holes = [path for path in (_resolve(write, plan) for write in writes) if path]
    places = sorted({"/", *holes, *(entry[0] for entry in plan.fence)}, key=lambda path: (path.count("/"), path))
    states: dict[str, tuple[bool, int]] = {}
    for path in places:
        hold = find_hold(plan.fence, path)
        write = hold.write is not False and (open_base or any(is_within(path, hole) for hole in holes))
        if (hold.picks or (hold.max_bytes and open_base)) and not tool:
            write = False
        above = states[_nearest(path, states)] if states else (True, 0)
        states[path] = hold.read, (0 if write or closed else _RDONLY) | (0 if hold.execute else _NOEXEC)
        if not hold.read and above[0]:
            plan.covered.append(path)
        elif hold.read and states[path] != above:
            plan.attributes[path] = states[path][1]
        if write and hold.read and path != "/":
            plan.writable.append(path)
    _cover_picked(plan, states)
    if protect:
        _protect(plan, states, protect)
    if not closed:
        _pin(plan, states)
    if not tool and not open_base and plan.writable:
        sizes = [find_hold(plan.fence, path).max_bytes for path in plan.writable]
        plan.max_bytes = min(sizes) if all(sizes) else 0
        if (
            any(sizes) and not plan.max_bytes
        ):  # one limit for all that a process writes: where it cannot hold, no writing
            for path, size in zip(list(plan.writable), sizes, strict=True):
                if size:
                    plan.attributes[path] = states[path][1] | _RDONLY
                    plan.writable.remove(path)
    return plan


def put_up(libc: ctypes.CDLL, plan: Plan, user: User) -> None:
    """Mount as planned. FenceError where anything was exchanged meanwhile or the kernel cannot."""
    mounts = _Mounts(libc, user)
    base = plan.attributes.pop("/", 0)
    paths = sorted({*plan.covered, *plan.attributes, *plan.texts}, key=lambda path: (path.count("/"), path))
    places = {path: mounts.open(path) for path in paths}
    trees = {path: mounts.clone(places[path]) for path in plan.attributes}
    for path, tree in trees.items():
        mounts.set_attributes(tree, plan.attributes[path])
    if base:
        own = mounts.clone(mounts.open("/proc"))  # bubblewrap has to write there before it closes it
        mounts.set_attributes(mounts.open("/"), base)
        mounts.attach(own, "/proc", None)
    trees |= {path: mounts.make_text(text) for path, text in plan.texts.items()}
    for path in paths:
        if path in trees:
            below_cover = any(is_within(path, cover) for cover in plan.covered if cover != path)
            mounts.attach(trees[path], path, None if below_cover else os.fstat(places[path]))
        else:
            given = [other for other in trees if is_within(other, path)]
            mounts.attach(mounts.make_cover(path, places, given), path, os.fstat(places[path]))
    for path, held in plan.places:
        mounts.attach(mounts.make_blank(held), path, os.fstat(held))
    mounts.close()


def _resolve(path: str, plan: Plan) -> str:
    """Where `path` leads; "" where nothing is there. What could make it lead elsewhere is watched."""
    for _ in range(_TRIES):
        real = os.path.realpath(path)
        if real != path or not os.path.lexists(real):
            plan.watched |= dict.fromkeys((_last_folder(path), _last_folder(real)))
        try:
            status = os.lstat(real)
        except OSError:  # it is not there, or not within this user's reach
            return ""
        if not stat.S_ISLNK(status.st_mode):
            return real
    raise FenceError(f"{path} changes all the time")


def _last_folder(path: str) -> str:
    folder = os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _protect(plan: Plan, states: dict[str, tuple[bool, int]], home: str) -> None:
    """Close what is trusted in the folders that may be written, and let a place hold the name of what is not there."""
    present, absent = find_protected(plan.writable, os.path.realpath(home), plan.fence)
    for path in [*(os.path.realpath(path) for path in present), *absent]:
        read, flags = states[_nearest(path, states)]
        if not read or flags & _RDONLY or path in plan.covered:
            continue
        if path not in absent:
            plan.attributes[path] = flags | _RDONLY
        elif (held := hold_place(path)) >= 0:
            plan.places.append((path, held))


def _nearest(path: str, states: dict[str, tuple[bool, int]]) -> str:
    return max((known for known in states if is_within(path, known)), key=len)


def _pin(plan: Plan, states: dict[str, tuple[bool, int]]) -> None:
    """Keep each folder above a restriction where it is: one that was moved away would be another path next time."""
    restricted = [
        *plan.covered,
        *plan.texts,
        *(path for path, _held in plan.places),
        *(path for path, flags in plan.attributes.items() if flags),
    ]
    for path in restricted:
        folder = os.path.dirname(path)
        while folder != "/" and folder not in plan.covered:
            if folder not in plan.attributes and os.access(os.path.dirname(folder), os.W_OK):
                read, flags = states[_nearest(folder, states)]
                if read:
                    plan.attributes[folder] = flags
            folder = os.path.dirname(folder)


def _cover_picked(plan: Plan, states: dict[str, tuple[bool, int]]) -> None:
    """Cover the files that a folder with endings does not give, or the whole folder where they are too many."""
    for entry in plan.fence:
        hold = find_hold(plan.fence, entry[0])
        if not hold.picks or not states[entry[0]][0]:
            continue
        refused: list[str] = []
        walked = 0
        for folder, names in _walk(entry[0], plan):
            plan.watched[folder] = None
            walked += len(names) + 1
            refused += [path for path in names if _hold_at(plan, path).refuses(path)]
            if walked > _MAX_WALKED or len(refused) > _MAX_PICKED:
                refused = [entry[0]]
                plan.attributes = {
                    path: value for path, value in plan.attributes.items() if not is_within(path, entry[0])
                }
                break
        plan.covered += [path for path in refused if path not in plan.covered]


def _hold_at(plan: Plan, path: str) -> Hold:
    return find_hold(plan.fence, path)


def _walk(top: str, plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """Every folder from `top` down that may be read, with the paths of the files in it."""
    if not os.path.isdir(top):
        yield os.path.dirname(top), [top]
        return
    stack = [top]
    while stack:
        folder = stack.pop()
        names: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = f"{folder.rstrip('/')}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if _hold_at(plan, path).read:
                            stack.append(path)
                    elif not entry.is_symlink():
                        names.append(path)
        except OSError:
            pass
        yield folder, names


class _Mounts:
    """The system calls, on descriptors."""

    def __init__(self, libc: ctypes.CDLL, user: User) -> None:
        self._libc = libc
        self._user = user
        self._fds: list[int] = []
        self._nothing = -1

    def open(self, path: str) -> int:
        """The file at `path`, with no link on the way to it."""
        how = b"".join(
            value.to_bytes(8, "little") for value in (os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, 0, _NO_LINKS)
        )
        with self._user:
            return self._call("opened", path, _OPENAT2, _AT_FDCWD, os.fsencode(path), how, len(how))

    def clone(self, place: int) -> int:
        """What is mounted at and below `place`, once more."""
        flags = _CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE
        return self._call("copied", "", _OPEN_TREE, place, b"", flags)

    def set_attributes(self, tree: int, attributes: int) -> None:
        """Make everything from `tree` down read-only, not executable, or both."""
        if attributes:
            what = b"".join(value.to_bytes(8, "little") for value in (attributes, 0, 0, 0))
            flags = _AT_EMPTY_PATH | _AT_RECURSIVE
            self._call("restricted", "", _MOUNT_SETATTR, tree, b"", flags, what, len(what), keep=False)

    def attach(self, tree: int, path: str, expected: os.stat_result | None) -> None:
        """Put `tree` over what is at `path`, which must be the file `expected`."""
        place = self.open(path)
        found = os.fstat(place)
        if expected is not None and (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino):
            raise FenceError(f"{path} was exchanged while it was being closed off")
        self._call("closed off", path, _MOVE_MOUNT, tree, b"", place, b"", _MOVE_BY_DESCRIPTORS, keep=False)

    def make_cover(self, path: str, places: dict[str, int], given: list[str]) -> int:
        """Something that nobody may enter; with the way to each of `given`, which lie below `path`."""
        if given:
            top = self._make_tmpfs()
            os.fchmod(self._reopen(top), 0o111)
            for other in sorted(given):
                is_folder = stat.S_ISDIR(os.fstat(places[other]).st_mode)
                self._make_way(top, other[len(path.rstrip("/")) + 1 :].split("/"), is_folder=is_folder)
            self.set_attributes(top, _RDONLY | _NOSUID | _NODEV | _NOEXEC)
            return top
        name = b"folder" if stat.S_ISDIR(os.fstat(places[path]).st_mode) else b"file"
        return self._call("covered", path, _OPEN_TREE, self._find_nothing(), name, _CLONE | os.O_CLOEXEC)

    def make_blank(self, held: int) -> int:
        """Something empty, for a name that is held."""
        name = b"empty" if stat.S_ISDIR(os.fstat(held).st_mode) else b"blank"
        return self._call("held", "", _OPEN_TREE, self._find_nothing(), name, _CLONE | os.O_CLOEXEC)

    def make_text(self, text: str) -> int:
        """A file that holds `text` and that nobody can change."""
        top = self._make_tmpfs()
        fd = os.open("text", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444, dir_fd=top)
        os.fchmod(fd, 0o444)
        os.write(fd, text.encode())
        os.close(fd)
        self.set_attributes(top, _RDONLY | _NOSUID | _NODEV | _NOEXEC)
        return self._call("covered", "", _OPEN_TREE, top, b"text", _CLONE | os.O_CLOEXEC)

    def _find_nothing(self) -> int:
        if self._nothing < 0:
            self._nothing = self._make_tmpfs()
            os.mkdir("folder", 0, dir_fd=self._nothing)
            os.mkdir("empty", dir_fd=self._nothing)
            os.chmod("empty", 0o555, dir_fd=self._nothing)  # noqa: S103 - anybody may see that nothing is in it
            for name, mode in (("file", 0), ("blank", 0o444)):
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=self._nothing))
                os.chmod(name, mode, dir_fd=self._nothing)
            self.set_attributes(self._nothing, _RDONLY | _NOSUID | _NODEV | _NOEXEC)
        return self._nothing

    def _make_way(self, top: int, names: list[str], *, is_folder: bool) -> None:
        folder = top
        for at, name in enumerate(names):
            try:
                if at < len(names) - 1 or is_folder:
                    os.mkdir(name, dir_fd=folder)
                    os.chmod(name, 0o111, dir_fd=folder)  # noqa: S103 - it is the way through, and no more
                else:
                    os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0, dir_fd=folder))
            except FileExistsError:
                pass
            if at < len(names) - 1:
                folder = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=folder)
                self._fds.append(folder)

    def _make_tmpfs(self) -> int:
        context = self._call("made", "", _FSOPEN, b"tmpfs", 1)
        for key, value in ((b"size", b"1m"), (b"mode", b"0755")):
            self._call("made", "", _FSCONFIG, context, _SET_STRING, key, value, 0, keep=False)
        self._call("made", "", _FSCONFIG, context, _CREATE, None, None, 0, keep=False)
        return self._call("made", "", _FSMOUNT, context, 1, 0)

    def _reopen(self, fd: int) -> int:
        self._fds.append(os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd))
        return self._fds[-1]

    def _call(self, did: str, path: str, number: int, *arguments: object, keep: bool = True) -> int:
        sized = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
        value = int(self._libc.syscall(ctypes.c_long(number), *sized))
        if value < 0:
            raise FenceError(f"{path or 'a mount'} cannot be {did}: {os.strerror(ctypes.get_errno())}")
        if keep:
            self._fds.append(value)
        return value

    def close(self) -> None:
        """Let go of every descriptor."""
        while self._fds:
            os.close(self._fds.pop())
