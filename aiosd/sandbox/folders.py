"""What holds for a path under folder policies. Pure: no file is looked at, paths are resolved by the caller.

A fence is a policy's folders as plain tuples, so that the guard, the launcher and the worker read it with one piece of
code and no import: one tuple for each path, a parent before what lies in it. The most specific path decides, whatever
the order in which they were written; two entries for one path give the stricter of each.

Built-in modules only: it runs in the launcher and in the worker.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


# path, read, write, firm, execute, network (None: as the folder above), allowed and denied endings, largest file
Fenced = tuple[str, bool | None, bool | None, bool, bool | None, bool | None, tuple[str, ...], tuple[str, ...], int]
Fence = tuple[Fenced, ...]

NO_HOME = "/dev/null/no-home"  # which no path is
NOTHING = "/"  # an ending that no name has


class Hold:
    """What holds for one path. `write` is None where no entry speaks of it: then the profile decides."""

    __slots__ = ("allowed", "denied", "execute", "firm", "max_bytes", "network", "path", "read", "write")

    def __init__(self) -> None:
        self.path = ""  # of the most specific entry
        self.read = True
        self.write: bool | None = None
        self.firm = False
        self.execute = True
        self.network: bool | None = None
        self.allowed: tuple[str, ...] = ()
        self.denied: tuple[str, ...] = ()
        self.max_bytes = 0

    def enter(self, entry: Fenced) -> None:
        """Go down into the folder of `entry`."""
        path, read, write, firm, execute, network, allowed, denied, max_bytes = entry
        self.path = path
        self.read = self.read if read is None else read
        self.write = self.write if write is None else write
        self.firm = self.firm or firm  # no entry further down makes it writable again
        if self.firm or not self.read:
            self.write = False
        self.execute = self.execute if execute is None else execute
        self.network = self.network if network is None else network
        self.allowed = allowed or self.allowed
        self.denied = denied or self.denied
        self.max_bytes = min(max_bytes or self.max_bytes, self.max_bytes or max_bytes)

    @property
    def picks(self) -> bool:
        """Whether it tells files apart by the end of their names."""
        return bool(self.allowed or self.denied)

    def refuses(self, name: str) -> bool:
        """Whether a file of that name (or path) is one of those it does not give."""
        low = name.rpartition("/")[2].lower()
        if any(low.endswith(ending) for ending in self.denied):
            return True
        return bool(self.allowed) and not any(low.endswith(ending) for ending in self.allowed)


def find_hold(fence: Fence, path: str) -> Hold:
    """What holds for `path`, which is resolved and absolute."""
    hold = Hold()
    for entry in fence:
        if is_within(path, entry[0]):
            hold.enter(entry)
    return hold


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it, by whole names."""
    return folder in (path, "/") or path.startswith(folder + "/")


def expand_home(path: str, home: str) -> str:
    """`path` with the home folder for a leading `~`; one that no path is, where there is no home folder."""
    if path[0] != "~":
        return path
    return home.rstrip("/") + path[1:] if home.startswith("/") and home != "/" else NO_HOME


def make_fence(entries: Iterable[Fenced]) -> Fence:
    """One entry for each path, a parent before what lies in it."""
    merged: dict[str, Fenced] = {}
    for entry in entries:
        merged[entry[0]] = _stricter(merged[entry[0]], entry) if entry[0] in merged else entry
    return tuple(merged[path] for path in sorted(merged, key=lambda path: (path.rstrip("/").count("/"), path)))


def _stricter(one: Fenced, other: Fenced) -> Fenced:
    allowed = one[6] or other[6]
    if one[6] and other[6]:
        allowed = tuple(ending for ending in one[6] if ending in other[6]) or (NOTHING,)
    return (
        one[0],
        _least(one[1], other[1]),
        _least(one[2], other[2]),
        one[3] or other[3],
        _least(one[4], other[4]),
        _least(one[5], other[5]),
        allowed,
        tuple(dict.fromkeys((*one[7], *other[7]))),
        min(one[8] or other[8], other[8] or one[8]),
    )


def _least(one: bool | None, other: bool | None) -> bool | None:
    said = [value for value in (one, other) if value is not None]
    return all(said) if said else None
