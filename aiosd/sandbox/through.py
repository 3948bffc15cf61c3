"""`python3 -I -S through.py HOST PORT`: standard input and output through the sandbox's proxy, for ssh.

It runs inside, as the command does, and has no more rights than that. Built-in modules only.
"""

from __future__ import annotations

import _socket
import posix
import select
import sys

_PROXY = ("127.0.0.1", 3128)
_PIECE = 65536


def main() -> None:
    """Connect, and move bytes until both sides have ended. Status 1 with the proxy's words where it refuses."""
    host, port = sys.argv[1:3]
    there = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    there.connect(_PROXY)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    there.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = there.recv(1)
        if not piece:
            break
        head += piece
    if b" 200 " not in head.partition(b"\r\n")[0]:
        posix.write(2, there.recv(_PIECE))
        sys.exit(1)
    open_ends = {0, there.fileno()}
    while there.fileno() in open_ends:
        for ready in select.select(open_ends, [], [])[0]:
            data = posix.read(0, _PIECE) if ready == 0 else there.recv(_PIECE)
            if not data:
                open_ends.discard(ready)
                if ready == 0:
                    there.shutdown(_socket.SHUT_WR)
            elif ready == 0:
                there.sendall(data)
            else:
                while data:
                    data = data[posix.write(1, data) :]


if __name__ == "__main__":
    main()
