"""The login hook: tells the daemon that somebody logged in, and shows in a few lines what waits for them.

pam_exec starts it as root in the middle of a login, so it promises the login: it always exits 0, within `HARD_S`
seconds, whatever hangs, floods or is missing. A child does all that can block, after it has become the person, so the
daemon knows them by the kernel's word; this process only waits for it, with a deadline. It imports next to nothing.

Of its environment it reads PAM_TYPE and PAM_USER. Source: pam_exec(8), pam_open_session(3).
"""

import _socket
import posix
import pwd
import select
import stat
import time

SOCKET = "/run/aios/aiosd.sock"
TALK_S = 0.22  # a healthy daemon answers in a few milliseconds; one that has to be started is not waited for
HARD_S = 0.7  # everything, the user database included; then the login goes on
_MOST_READ = 8192
_MOST_TEXT = 1024
_MOST_LINES = 4
_MOST_COLUMNS = 200
_HIDDEN = "/dev/null"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Tell and show, as far as that is possible; then end with 0."""
    try:
        _login(time.monotonic() + HARD_S)
    finally:  # whatever it was, it is no reason to spoil a login
        posix._exit(0)


def _login(until: float) -> None:
    name = posix.environ.get(b"PAM_USER", b"")
    if posix.environ.get(b"PAM_TYPE") != b"open_session" or not name:
        return
    nothing = posix.open(_HIDDEN, posix.O_RDWR | posix.O_CLOEXEC)
    posix.dup2(nothing, 2)  # pam_exec shows what comes there too
    shows, seen = _find_reader()
    source, sink = posix.pipe2(posix.O_CLOEXEC)
    child = posix.fork()
    if child == 0:
        try:
            posix.dup2(nothing, 0)
            posix.dup2(nothing, 1)  # pam_exec waits for the last holder of its pipe
            posix.close(source)
            become(name.decode())
            posix.write(sink, ask(SOCKET, shown=seen)[:_MOST_TEXT])
        finally:
            posix._exit(0)
    posix.close(sink)
    try:
        text = _read(source, until)
    finally:
        posix.kill(child, 9)  # not waited for: it may be in the middle of what cannot be interrupted
    if shows and text:
        posix.write(1, clean(text))


def _find_reader() -> tuple[bool, bool]:
    """Whether to show anything, and whether somebody will surely see it.

    Our own output is a pipe to pam_exec in any case, so the login's tells: a terminal (login, su); nothing at all
    (sshd, which keeps what it is told for a terminal, if there will be one); else a file or program that expects no
    words of ours.
    """
    try:
        output = posix.stat(f"/proc/{posix.getppid()}/fd/1")
        shows = stat.S_ISCHR(output.st_mode)
        return shows, shows and output.st_rdev != posix.stat(_HIDDEN).st_rdev
    except OSError:
        return False, False


def become(name: str) -> None:
    """Take the groups, group and user id of a user, for good. KeyError or OSError where that is not possible."""
    person = pwd.getpwnam(name)
    posix.initgroups(person.pw_name, person.pw_gid)
    posix.setresgid(person.pw_gid, person.pw_gid, person.pw_gid)
    posix.setresuid(person.pw_uid, person.pw_uid, person.pw_uid)
    posix.chdir("/")


def ask(path: str, *, shown: bool) -> bytes:
    """Tell the daemon at `path` of the login; the lines it has for the person. Over within `TALK_S` seconds."""
    until = time.monotonic() + TALK_S
    request = (
        f"POST /v1/login?shown={'true' if shown else 'false'} HTTP/1.1\r\nHost: aios\r\nAccept: text/plain\r\n"
        "Connection: close\r\nContent-Length: 0\r\n\r\n"
    )
    answer = b""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(TALK_S)
        connection.connect(path)
        connection.send(request.encode())
        while len(answer) < _MOST_READ and not _is_whole(answer):
            left = until - time.monotonic()
            if left <= 0:
                break
            connection.settimeout(left)
            piece = connection.recv(_MOST_READ - len(answer))
            if not piece:
                break
            answer += piece
    except OSError:
        return b""  # nobody there, or not in time
    finally:
        connection.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    told = head.startswith(b"HTTP/1.1 200 ") and b"\r\ncontent-type: text/plain" in head.lower()
    return body[: _length(head)] if told and _is_whole(answer) else b""


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= _length(head)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return 0


def clean(text: bytes) -> bytes:
    """A few lines of printable ASCII that a terminal takes for nothing else, each begun with our name."""
    lines = [line for line in text[:_MOST_TEXT].split(b"\n") if line.strip()][:_MOST_LINES]
    return b"".join(
        b"aios: " + bytes(byte if 32 <= byte < 127 else 63 for byte in line[:_MOST_COLUMNS]) + b"\n" for line in lines
    )


def _read(source: int, until: float) -> bytes:
    """What the child found, to its end or the deadline."""
    poll = select.poll()
    poll.register(source, select.POLLIN | select.POLLHUP)
    text = b""
    while len(text) < _MOST_TEXT:
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            break
        piece = posix.read(source, _MOST_TEXT)
        if not piece:
            break
        text += piece
    return text
