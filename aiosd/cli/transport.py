"""HTTP/1.1 over the daemon's Unix socket, with the interpreter's own socket module and nothing else.

One request a connection. Answers come as pieces of bytes, chunked or not; errors as problems (RFC 9457), which are told
on standard error with what to do.
"""

from aiosd.cli.reach import NoDaemonError, connect, maybe_japanese, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Iterator

_PIECE = 65536


class Answer:
    """An answer: its status, its headers (lower case), its body piece by piece."""

    def __init__(self, connection: "_socket.socket") -> None:
        self.connection = connection
        self.waiting: Callable[[_socket.socket], None] | None = None  # called before it waits for more
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        protocol, _, rest = lines[0].partition(b" ")
        if not protocol.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise NoDaemonError("what answers there is not aiosd")
        self.status = int(rest[:3])
        pairs = (line.partition(b":") for line in lines[1:])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}

    def pieces(self) -> "Iterator[bytes]":
        """The body."""
        if self.headers.get(b"transfer-encoding") == b"chunked":
            yield from self._chunks()
            return
        length = int(self.headers.get(b"content-length", b"0"))
        while length > 0:
            if not self._buffer:
                self._more()
            piece, self._buffer = self._buffer[:length], self._buffer[length:]
            length -= len(piece)
            yield piece

    def whole(self) -> bytes:
        """The body at once."""
        return b"".join(self.pieces())

    def _chunks(self) -> "Iterator[bytes]":
        while True:
            while b"\r\n" not in self._buffer:
                self._more()
            size, _, self._buffer = self._buffer.partition(b"\r\n")
            left = int(size.partition(b";")[0], 16)
            if not left:
                return
            while left:
                if not self._buffer:
                    self._more()
                piece, self._buffer = self._buffer[:left], self._buffer[left:]
                left -= len(piece)
                yield piece
            while len(self._buffer) < 2:
                self._more()
            self._buffer = self._buffer[2:]

    def _more(self) -> None:
        if self.waiting:
            self.waiting(self.connection)
        try:
            data = self.connection.recv(_PIECE)
        except ConnectionError:
            data = b""
        except TimeoutError:
            raise NoDaemonError("the daemon does not answer; sessions go by their ids then: aios log") from None
        if not data:
            raise NoDaemonError("the daemon ended in the middle of its answer\n  what was done is in: aios log")
        self._buffer += data


def request(
    method: str,
    path: str,
    *,
    accept: str,
    content_type: str = "",
    body: bytes = b"",
    patience_s: float | None = None,
) -> Answer:
    """Send one request; its answer, of which the head has been read. `patience_s`: how long each piece may take."""
    connection, _path = connect()
    connection.settimeout(patience_s)
    head = f"{method} {path} HTTP/1.1\r\nHost: aios\r\nAccept: {accept}\r\nConnection: close\r\n"
    if content_type:
        head += f"Content-Type: {content_type}\r\n"
    if body or method == "POST":
        head += f"Content-Length: {len(body)}\r\n"
    try:
        connection.sendall(head.encode() + b"\r\n" + body)
    except ConnectionError:
        pass  # turned away before it was read: the answer says why
    return Answer(connection)


def fetch(method: str, path: str, *, content_type: str = "", body: bytes = b"") -> int:
    """One request whose answer is text to print; the exit status."""
    answer = request(method, path, accept="text/plain", content_type=content_type, body=body)
    if answer.status != 200:
        return complain(answer)
    for piece in answer.pieces():
        write_all(1, piece)
    return int(answer.headers.get(b"aios-exit", b"0"))


def fetch_told(method: str, path: str, *, content_type: str = "", body: bytes = b"") -> int:
    """As `fetch`, of an answer that is all our words: it is told in the person's language."""
    if not maybe_japanese():
        return fetch(method, path, content_type=content_type, body=body)
    answer = request(method, path, accept="text/plain", content_type=content_type, body=body)
    if answer.status != 200:
        return complain(answer)
    tell(1, answer.whole().decode("utf-8", "surrogateescape"))
    return int(answer.headers.get(b"aios-exit", b"0"))


def complain(answer: Answer) -> int:
    """Tell of a problem on standard error; the exit status it deserves."""
    import json

    from aiosd import exits
    from aiosd.cli.show import escape

    try:
        problem = json.loads(answer.whole())
        detail, hint = str(problem["detail"]), str(problem["hint"])
        status = int(problem["exit_status"])
    except (ValueError, KeyError, TypeError):
        detail, hint, status = f"the daemon answered {answer.status}", "", exits.INTERNAL
    tell(2, f"aios: {escape(detail)}\n{f'  {escape(hint)}{chr(10)}' if hint else ''}")
    return status


def explain(exc: BaseException) -> int:
    """Tell why a command line came to nothing; the exit status that deserves."""
    from aiosd import exits

    if isinstance(exc, NoDaemonError):
        tell(2, f"aios: {exc}\n")
        return exits.UNREACHABLE
    if isinstance(exc, KeyboardInterrupt):
        write_all(2, b"\n")
        return exits.INTERRUPTED
    if isinstance(exc, OSError) and not isinstance(exc, BrokenPipeError):  # else whoever read our output has gone
        tell(2, f"aios: {exc.strerror or exc}\n")
    return exits.FAILED


def tell(fd: int, text: str) -> None:
    """Write words of ours, in the person's language."""
    from aiosd.words import retell

    write_all(fd, retell(text).encode(errors="surrogateescape" if fd == 1 else "backslashreplace"))
