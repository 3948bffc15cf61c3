"""requests over a Unix socket, as a person: for tools that speak HTTP through it."""

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from tests.daemon.harness import Daemon


class _Connection(HTTPConnection):
    def __init__(self, daemon: Daemon) -> None:
        super().__init__("aios")
        self._daemon = daemon

    def _new_conn(self) -> socket.socket:
        return self._daemon.connect()


class _Pool(HTTPConnectionPool):
    def __init__(self, daemon: Daemon) -> None:
        super().__init__("aios")
        self._daemon = daemon

    def _new_conn(self) -> Any:
        return _Connection(self._daemon)


class _Adapter(HTTPAdapter):
    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self._pool = _Pool(daemon)

    def get_connection_with_tls_context(self, *_args: object, **_options: object) -> HTTPConnectionPool:
        """The one pool there is."""
        return self._pool

    def close(self) -> None:
        """Close what it keeps."""
        self._pool.close()
        super().close()


def session_for(daemon: Daemon) -> requests.Session:
    """A session whose every request goes to the daemon."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _Adapter(daemon))
    return session
