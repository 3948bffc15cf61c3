"""The way to the daemon's Unix socket, and the shortest question there: all that the commonest verbs import."""

import _socket
import posix
import sys

_SYSTEM = "/run/aios/aiosd.sock"
_PIECE = 65536
_TEXT = b"text/plain"
START_HINT = "start it with: systemctl enable --now aiosd.socket  (or, without the service: aiosd --standalone)"


class NoDaemonError(Exception):
    """Nobody answers at the socket, or in the middle of an answer nobody any more."""


def environment(name: str) -> str:
    """A variable, "" where it is not set."""
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def socket_paths() -> list[str]:
    """Where the daemon may be: $AIOS_SOCKET, else the system's, then the user's own."""
    wanted = environment("AIOS_SOCKET")
    if wanted:
        return [wanted]
    runtime = environment("XDG_RUNTIME_DIR") or f"/tmp/aios-{posix.geteuid()}"
    return [_SYSTEM, f"{runtime}/aios/aiosd.sock", f"/tmp/aios-{posix.geteuid()}/aiosd.sock"]


def connect() -> tuple[_socket.socket, str]:
    """A connection to the daemon, and the path it was found at."""
    reason = "there is no such socket"
    wanted, paths = environment("AIOS_SOCKET"), socket_paths()
    for path in paths:
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            connection.connect(path)
        except OSError as exc:
            connection.close()
            if exc.errno != 2:
                reason = exc.strerror or str(exc)
        else:
            if path in (wanted, _SYSTEM) or _is_ours(connection):
                return connection, path
            connection.close()
            reason = f"{path} is somebody else's"
    from aiosd.words import say  # not needed where all is well

    text = say("no daemon answers at {path} ({why})", path=paths[0], why=reason)
    raise NoDaemonError(f"{text}\n  {say(START_HINT)}")


def _is_ours(connection: _socket.socket) -> bool:
    """Whether root or this user listens there: in /tmp anybody can. Source: unix(7), SO_PEERCRED."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder) in (0, posix.geteuid())


def maybe_japanese() -> bool:
    """Whether the words might have to be told in Japanese: who wants English pays for no catalogue."""
    return any(posix.environ.get(name, b"")[:2] == b"ja" for name in (b"LC_ALL", b"LC_MESSAGES", b"LANG"))


def fetch_plain(path: str) -> int | None:
    """Ask for a text and print it: the exit status, None where the answer is anything else and nothing was printed."""
    connection, _path = connect()
    data = b""
    try:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: aios\r\nAccept: %s\r\n\r\n" % (path.encode(), _TEXT))
        while b"\r\n\r\n" not in data:
            if not (piece := connection.recv(_PIECE)):
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = head.partition(b"\r\nContent-Length: ")[2].partition(b"\r")[0]
        if head[:13] != b"HTTP/1.1 200 " or not length.isdigit():
            return None
        while len(body) < int(length):
            if not (piece := connection.recv(_PIECE)):
                return None
            body += piece
    except ConnectionError:
        return None
    write_all(1, body)
    return int(head.partition(b"\r\nAios-Exit: ")[2].partition(b"\r")[0] or 0)


def write_all(fd: int, data: bytes) -> None:
    """Write everything."""
    while data:
        data = data[posix.write(fd, data) :]
