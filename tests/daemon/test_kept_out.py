"""Secrets that stay outside: a command works with placeholders, the host gets the value, and nobody else sees it."""

import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.daemon.cards import answered, own_folder, proposed
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.doubles.certificate import make_certificate

CANARY = "canary-of-the-forge-5f1d3a"
_POLICY = '[[rule]]\npattern = ["python3 {place}/talk.py"]\ntier = "notify"\nnetwork = ["*"]\n'
_SCRIPT = """
import os, urllib.request
token = os.environ.get("FORGE_TOKEN", "none")
kept = open({file!r}).read() if os.access({file!r}, os.R_OK) else "hidden"
print("sees", token, kept.split()[-1])
print([line for line in os.environ.items() if "canary" in str(line)])
request = urllib.request.Request("http://127.0.0.1:{port}/", headers={{"Authorization": "Bearer " + token}})
print(urllib.request.urlopen(request).read().decode())
"""


@dataclass(slots=True)
class Forge:
    """A host by TLS that says back who it was told is there."""

    port: int
    trust: Path
    heard: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    context, trust = make_certificate(tmp_path_factory.mktemp("tls"))
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            body = f"hello {heard[-1]}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield Forge(port=server.server_address[1], trust=trust, heard=heard)
    server.shutdown()
    serving.join()
    server.server_close()


def make(make_daemon: MakeDaemon, forge: Forge, place: Path, *, users: str = "any", folders: str = "") -> Daemon:
    forge.heard.clear()
    daemon = make_daemon(
        policy=_POLICY.format(place=place) + folders,
        config=f'[egress]\nallow = ["127.0.0.1:{forge.port}"]\n'
        f'[secrets.forge]\ncredential = "forge-token"\nhosts = ["127.0.0.1:{forge.port}"]\nusers = ["{users}"]\n'
        f'variable = "FORGE_TOKEN"\nfile = "{place}/login"\ntext = "machine forge password {{}}"\n',
        environment={"SSL_CERT_FILE": str(forge.trust)},
        start=False,
    )
    daemon.write_config()
    folder = daemon.folder / "etc" / "credentials"
    folder.mkdir()
    (folder / "forge-token").write_text(f"{CANARY}\n")
    (folder / "forge-token").chmod(0o600)
    daemon.start()
    return daemon


@pytest.fixture
def place(make_daemon: MakeDaemon, forge: Forge) -> Path:
    """A folder of the person's, with the script and the real file."""
    folder = own_folder(make_daemon(start=False), "work")
    (folder / "login").write_text(f"machine forge password {CANARY}\n")
    (folder / "talk.py").write_text(_SCRIPT.format(file=f"{folder}/login", port=forge.port))
    for each in folder.iterdir():
        os.chown(each, folder.stat().st_uid, folder.stat().st_gid)
        each.chmod(0o600)
    return folder


def _output(events: list[dict[str, str]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "output")


def _files_with(folder: Path, text: str) -> list[str]:
    """The files below that hold it, but for where it is kept."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes()
    ]


def test_the_host_gets_the_value_and_no_other_place_has_it(make_daemon: MakeDaemon, forge: Forge, place: Path) -> None:
    daemon = make(make_daemon, forge, place)
    events = daemon.ask(f"$ python3 {place}/talk.py")
    said = _output(events)
    assert "sees aios-secret-forge aios-secret-forge\n[]\n" in said
    assert f"hello Bearer {'*' * len(CANARY)}\n" in said
    assert forge.heard == [f"Bearer {CANARY}"]
    assert [each["kind"] for each in daemon.records()].count("connected") == 1
    assert _files_with(daemon.folder, CANARY) == [f"{daemon.folder}/etc/credentials/forge-token"]
    shown = [str(events), str(daemon.records()), daemon.log, *(daemon.aios(*words).out for words in _VERBS)]
    assert [text for text in shown if CANARY in text] == []
    assert "aios-secret-forge" in str(events)


_VERBS = (("log",), ("config", "show"), ("log", "--sent"), ("session", "export", "--format", "json"))


def test_a_file_that_holds_one_is_hidden_but_from_what_a_person_approved(
    make_daemon: MakeDaemon, forge: Forge, place: Path
) -> None:
    daemon = make(make_daemon, forge, place)
    assert CANARY not in str(daemon.ask(f"$ cat {place}/login"))
    assert "import os" in _output(daemon.ask(f"$ head -c 200 {place}/talk.py"))
    with proposed(daemon, f"cp {place}/login {place}/copy") as (stream, card):
        assert answered(daemon, card) == {}
        stream.until("turn_done")
    assert CANARY in (place / "copy").read_text()


def test_whose_it_is_not_has_neither_placeholder_nor_value(make_daemon: MakeDaemon, forge: Forge, place: Path) -> None:
    daemon = make(make_daemon, forge, place, users="somebody-else")
    said = _output(daemon.ask(f"$ python3 {place}/talk.py"))
    assert "sees none hidden\n" in said
    assert forge.heard == []


def test_a_placeholder_is_read_even_in_a_folder_that_is_closed(
    make_daemon: MakeDaemon, forge: Forge, place: Path
) -> None:
    vault = (
        f'[[folder]]\npath = "{place}"\naccess = "deny"\n[[folder]]\npath = "{place}/talk.py"\naccess = "read-only"\n'
    )
    daemon = make(make_daemon, forge, place, folders=vault)
    assert "sees aios-secret-forge aios-secret-forge\n" in _output(daemon.ask(f"$ python3 {place}/talk.py"))
    assert CANARY not in str(daemon.ask(f"$ cat {place}/login"))
