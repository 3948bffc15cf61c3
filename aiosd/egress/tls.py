"""The server's name in the first message of TLS, which must be the one that was asked for. Pure.

Source: RFC 8446 (ClientHello), RFC 6066 (server_name), RFC 9849 (encrypted client hello).
"""

from typing import Final

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME: Final = 0
RECORD_HEAD: Final = 5
_MAX_HELLO: Final = 16 * 1024
HELLO_BYTES: Final = RECORD_HEAD + _MAX_HELLO


def is_tls(data: bytes) -> bool:
    """Whether a connection that begins so is TLS."""
    return data[:1] == bytes([_HANDSHAKE])


def hello_length(data: bytes) -> int:
    """How many bytes hold the whole first record."""
    return RECORD_HEAD + int.from_bytes(data[3:5], "big") if len(data) >= RECORD_HEAD else RECORD_HEAD


def read_server_name(data: bytes) -> str:
    """The name that the client asks for, in small letters; "" where it asks for none. ValueError for no ClientHello."""
    reader = _Reader(data[RECORD_HEAD : hello_length(data)])
    if reader.number(1) != _CLIENT_HELLO:
        raise ValueError("not a ClientHello")
    reader = _Reader(reader.block(3))
    reader.skip(2 + 32)  # version, random
    reader.block(1)  # session
    reader.block(2)  # ciphers
    reader.block(1)  # compression
    if reader.empty:
        return ""
    extensions = _Reader(reader.block(2))
    while not extensions.empty:
        kind, content = extensions.number(2), extensions.block(2)
        if kind == _SERVER_NAME:
            names = _Reader(_Reader(content).block(2))
            while not names.empty:
                name_kind, name = names.number(1), names.block(2)
                if name_kind == 0:
                    return name.decode("ascii").lower().removesuffix(".")
    return ""


class _Reader:
    """Takes numbers and counted blocks from bytes; ValueError where there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def empty(self) -> bool:
        return self._at >= len(self._data)

    def skip(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError("it is cut off")
        self._at += count
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.skip(size), "big")

    def block(self, size: int) -> bytes:
        return self.skip(self.number(size))
