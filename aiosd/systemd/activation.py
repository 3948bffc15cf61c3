"""Sockets that systemd passes, by name; or one of our own in a folder of the user's (standalone).

Source: sd_listen_fds_with_names(3), by systemd-python.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Mapping

from aiosd.errors import ConfigError

_NAMELESS = ("", "unknown")  # what sd_listen_fds_with_names(3) calls those that were passed without
_MODE = 0o666  # who may do what is decided by uid, on each request


def take_passed(name: str) -> socket.socket | None:
    """The socket passed under `name`, or the only one, if it has no name; None when nothing was passed to us."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    from systemd.daemon import listen_fds_with_names  # noqa: PLC0415 - 6 ms, and only under activation

    passed = listen_fds_with_names()
    for descriptor, given in passed.items():
        if given == name or (len(passed) == 1 and given in _NAMELESS):
            found = socket.socket(fileno=descriptor)
            found.setblocking(False)
            return found
    raise ConfigError(
        f"no socket named {name} was passed, only {', '.join(passed.values())}",
        hint=f"set FileDescriptorName={name} in the socket unit",
    )


def make_listener(path: str, *, patience_s: float = 0.0) -> socket.socket:
    """A listening socket at `path`, whose folder is made 0755; what a dead daemon left there is replaced.

    A live one has `patience_s` seconds to end; ConfigError when it does not.
    """
    make_folder(os.path.dirname(path))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    if _serves(path, patience_s):
        raise ConfigError(f"another daemon serves {path}", hint="stop it, or set XDG_RUNTIME_DIR to another folder")
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    try:
        listener.bind(path)
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}", hint="is the folder yours to write?") from exc
    os.chmod(path, _MODE)
    listener.listen(512)
    listener.setblocking(False)
    return listener


def make_folder(path: str) -> None:
    """A folder that others may look into and only we may change, whatever the umask says."""
    try:
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)  # noqa: S103 - sockets in it are for everybody to connect to
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}", hint="set XDG_RUNTIME_DIR to a folder of yours") from exc


def runtime_folder(environment: Mapping[str, str]) -> str:
    """Where a standalone daemon's sockets go: $XDG_RUNTIME_DIR/aios, /run/aios for root, else a folder in /tmp."""
    base = environment.get("XDG_RUNTIME_DIR")
    if base:
        return os.path.join(base, "aios")
    if os.geteuid() == 0:
        return "/run/aios"
    fallback = f"/tmp/aios-{os.geteuid()}"
    os.makedirs(fallback, mode=0o700, exist_ok=True)
    status = os.lstat(fallback)
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise ConfigError(f"{fallback} is not a folder of yours alone", hint="set XDG_RUNTIME_DIR")
    return fallback


def _serves(path: str, patience_s: float) -> bool:
    """Whether somebody serves `path`, and still does after `patience_s` seconds without ending."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(max(patience_s, 1.0))
        try:
            probe.connect(path)
            return not patience_s or bool(probe.recv(1))
        except TimeoutError:
            return True
        except OSError:
            return False
