"""Our package: built by makepkg in a guest as an ordinary user, and kept beside the root until its content changes."""

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.system.command import PATIENCE_S, bounded
from tests.system.guest import REPOSITORY, Guest, Testbed

__all__ = [
    "HOME",
    "Source",
    "bare_package",
    "build",
    "built_package",
    "content_key",
    "copy_tree",
    "fetch",
    "install",
    "installed_layer",
    "make_source",
    "source_of",
    "stored_package",
]

HOME = "/home/builder/build"
_NOT_CONTENT = ("tests/", "bench/")  # in the tarball, for check(), but not in the package
_KEPT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What makepkg takes, in a folder: PKGBUILD, tarballs, scriptlet; `epoch` is its SOURCE_DATE_EPOCH."""

    folder: Path
    version: str
    epoch: int


def make_source(folder: Path, commit: str = "--worktree", *, repository: Path = REPOSITORY) -> Source:
    """Put the source of a commit, or of the files as they lie there, into `folder`."""
    script = [str(repository / "packaging/source"), str(folder), commit]
    version, epoch = bounded(script, timeout_s=PATIENCE_S).checked().stdout.split()
    return Source(folder=folder, version=version, epoch=int(epoch))


def build(
    guest: Guest,
    source: Source,
    *options: str,
    folder: str = HOME,
    environment: Mapping[str, str] | None = None,
    umask: str = "022",
    timeout_s: float = 3 * PATIENCE_S,
) -> str:
    """Run makepkg in the guest as `builder`; the path there of the package."""
    guest.enter(["rm", "-rf", folder])
    guest.put_tree(source.folder, folder)
    guest.enter(["chown", "-R", "builder:", folder])
    script = f'umask {umask}; cd "$0" && exec makepkg --force --cleanbuild --noconfirm --noprogressbar "$@"'
    variables = {"SOURCE_DATE_EPOCH": str(source.epoch), "PKGDEST": folder, **(environment or {})}
    guest.run(["sh", "-c", script, folder, *options], user="builder", env=variables, timeout_s=timeout_s)
    (made,) = guest.enter(["sh", "-c", 'ls "$0"/*.pkg.tar.*', folder]).stdout.split()
    return made


def fetch(guest: Guest, path: str) -> bytes:
    """A file of the guest, byte for byte."""
    return base64.b64decode(guest.enter(["base64", path]).stdout)


def install(guest: Guest, package: Path, *options: str) -> str:
    """`pacman -U` of a package of this machine; what pacman said."""
    there = f"/root/{package.name}"
    guest.put(there, package.read_bytes())
    return guest.enter(["pacman", "-U", "--noconfirm", "--noprogressbar", *options, there]).stdout


def bare_package(guest: Guest, name: str, version: str, path: str) -> None:
    """Make a package there, of one file named after itself, without makepkg."""
    facts = f"pkgname = {name}\npkgbase = {name}\npkgver = {version}\narch = any\nbuilddate = 1\nsize = 0\n"
    guest.put("/tmp/bare/.PKGINFO", facts)
    guest.put(f"/tmp/bare/usr/share/bare/{name}", "")
    script = 'cd /tmp/bare && bsdtar --zstd -cf "$0" .PKGINFO usr && rm -r /tmp/bare'
    guest.enter(["sh", "-c", script, path])


def content_key(repository: Path = REPOSITORY) -> str:
    """A hash of all that the package is made of, as it lies there."""
    total = hashlib.sha256()
    for name in _names(repository):
        if name.startswith(_NOT_CONTENT):
            continue
        path = repository / name
        inside = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name} {os.access(path, os.X_OK)} {inside}\n".encode())
    return total.hexdigest()[:16]


def built_package(testbed: Testbed, folder: Path) -> Path:
    """The package of the working tree, from the store or built now; without check(), which has a test of its own.

    `folder` is for work. `source_of` gives what it was built of.
    """
    return stored_package(testbed, content_key(), lambda: make_source(folder))


def stored_package(testbed: Testbed, key: str, make: Callable[[], Source]) -> Path:
    """The package of this key, from the store or built now. Runs that want the same at once build it once."""
    store = testbed.folder / "builds"
    store.mkdir(exist_ok=True)
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = store / key
        if not place.is_dir():
            source = make()
            with testbed.boot() as guest:
                there = build(guest, source, "--nocheck")
                content = fetch(guest, there)
                guest.enter(["zstd", "-q", "-d", there, "-o", "/root/opened.tar"])
                opened = fetch(guest, "/root/opened.tar")
            new = store / "new"
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(source.folder, new / "source")
            (new / "epoch").write_text(f"{source.version} {source.epoch}")
            (new / Path(there).name).write_bytes(content)
            (new / "opened.tar").write_bytes(opened)
            new.rename(place)
            _forget_old(store)
        os.utime(place)
        (package,) = place.glob("*.pkg.tar.*")
        return package


def installed_layer(testbed: Testbed, package: Path) -> Path:
    """What installing a package of the store and enabling its socket changes on a machine; kept beside the packages."""
    store = testbed.folder / "layers"
    store.mkdir(exist_ok=True)
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = store / f"{testbed.stamp()}-{package.parent.name}"
        if not place.is_dir():
            testbed.make_layer(place, lambda guest: _install_for_good(guest, package))
            _forget_old(store)
        os.utime(place)
        return place


def _install_for_good(guest: Guest, package: Path) -> None:
    install(guest, package)
    guest.enter(["systemctl", "enable", "--quiet", "aiosd.socket"])
    guest.enter(["sh", "-c", "rm -f /root/*.pkg.tar.*"])


def source_of(package: Path) -> Source:
    """What a package of the store was built of."""
    version, epoch = (package.parent / "epoch").read_text().split()
    return Source(folder=package.parent / "source", version=version, epoch=int(epoch))


def _forget_old(store: Path) -> None:
    places = sorted((path for path in store.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for place in places[:-_KEPT]:
        shutil.rmtree(place)


def copy_tree(repository: Path, folder: Path) -> None:
    """The files of a repository as they lie there, without its history and what it ignores."""
    for name in _names(repository):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, folder / name, follow_symlinks=False)


def _names(repository: Path) -> list[str]:
    listing = ["git", "-C", str(repository), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True, timeout=60).stdout.split("\0")
    return sorted(name for name in names if name and (repository / name).is_file())  # some may be removed by now
