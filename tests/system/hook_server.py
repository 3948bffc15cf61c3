"""hook_server.py flood|count: a daemon's stand-in at its socket, that floods, or counts in /run/asked who came."""

import os
import socket
import struct
import sys

PATH = "/run/aios/aiosd.sock"
NOTICE = b"\x1b[2J\x07evil\xe2\x80\xae\n" * 2


def main() -> None:
    os.umask(0)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(PATH)
    listener.listen(64)
    while True:
        connection, _address = listener.accept()
        with connection:
            try:
                if sys.argv[1] == "flood":
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n"
                    )
                    while True:
                        connection.sendall(NOTICE * 1000)
                asked = connection.recv(4096).split(b"\r\n")[0].decode()
                _pid, uid, gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                with open("/run/asked", "a", encoding="ascii") as file:
                    file.write(f"{uid} {gid} {asked}\n")
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(NOTICE)
                connection.sendall(head + NOTICE)
            except OSError:
                continue


if __name__ == "__main__":
    main()
