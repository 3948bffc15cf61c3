"""Accepting connections, but not with the last descriptors: those are for serving whoever is in."""

import errno
import fcntl
import os
import resource
import socket

_SPARE = 64  # descriptors; a command that is started takes about twenty


def accept(listener: socket.socket) -> socket.socket:
    """The next connection of a listener. OSError EMFILE, before anything is accepted, where descriptors run low."""
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 0)
    os.close(lowest_free)
    if lowest_free >= most - min(_SPARE, most // 4):
        raise OSError(errno.EMFILE, "few descriptors are left")
    return listener.accept()[0]
