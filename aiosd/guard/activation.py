"""Sockets from systemd and notifications to it, in the standard library: the guard's small twin of aiosd's library.

Source: sd_listen_fds(3), sd_notify(3).
"""

import logging
import os
import socket

_LOG = logging.getLogger(__name__)
_NAMELESS = ("", "unknown")
_PATIENCE_S = 1.0  # with a service manager that does not read: nothing else goes on here meanwhile


class ActivationError(Exception):
    """There is no usable socket to serve."""


def take_listener(descriptor: int, *, name: str) -> socket.socket:
    """The listening socket: `descriptor` where one is given, else the one systemd passed under `name`."""
    if descriptor < 0:
        descriptor = _find_passed(name)
    try:
        listener = socket.socket(fileno=descriptor)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as exc:
        raise ActivationError(f"descriptor {descriptor} is no socket: {exc.strerror}") from exc
    if listener.family != socket.AF_UNIX or not listening:
        raise ActivationError(f"descriptor {descriptor} is no listening Unix socket")
    os.set_inheritable(descriptor, False)
    listener.setblocking(False)
    return listener


def take_passed(prefix: str) -> list[tuple[str, int]]:
    """The descriptors that systemd passed under names that begin so; they are the caller's."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    found = [
        (name, 3 + at)
        for at, name in enumerate(os.environ.get("LISTEN_FDNAMES", "").split(":"))
        if name[: len(prefix)] == prefix
    ]
    for _, descriptor in found:
        os.set_inheritable(descriptor, False)
    return found


def notify(state: str, *descriptors: int) -> None:
    """Tell the service manager, and hand it descriptors to keep; nothing where there is none.

    One that cannot be told is a line in the log: what it will do about the silence is its own affair.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(_PATIENCE_S)
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            socket.send_fds(channel, [state.encode()], list(descriptors))
    except OSError as exc:
        _LOG.warning("the service manager was not told %r: %s", state, exc.strerror or exc)


def _find_passed(name: str) -> int:
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise ActivationError("no socket was passed: start it by its socket unit, or through aiosd --standalone")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    for index in range(count):
        given = names[index] if index < len(names) else ""
        if given == name or (count == 1 and given in _NAMELESS):
            return 3 + index
    raise ActivationError(f"no socket named {name} was passed")
