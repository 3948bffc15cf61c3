"""Secrets that stay outside: a command works with placeholders, the host gets the value, and nobody else sees it."""

import functools
import http.server
import os
import re
import subprocess
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
    folder = tmp_path_factory.mktemp("tls")
    context, trust = make_certificate(folder)
    heard: list[str] = []
    _make_repository(folder)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            if self.path.startswith("/repo.git/") and heard[-1] == f"Bearer {CANARY}":
                super().do_GET()
                return
            if self.path != "/":
                self.send_error(401)
                return
            body = f"hello {heard[-1]}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield Forge(port=server.server_address[1], trust=trust, heard=heard)
    server.shutdown()
    serving.join()
    server.server_close()


def _make_repository(folder: Path) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@y.z"]
    for words in (
        ["init", "-q", "-b", "main", f"{folder}/work"],
        ["-C", f"{folder}/work", *who, "commit", "-q", "--allow-empty", "-m", "one"],
        ["clone", "-q", "--bare", f"{folder}/work", f"{folder}/repo.git"],
        ["-C", f"{folder}/repo.git", "update-server-info"],
    ):
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *words], check=True, env=environment)


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
    there = rf"^ok +secret forge: is put in for 127.0.0.1:{forge.port}$"
    assert re.search(there, daemon.aios("doctor").out, re.MULTILINE)
    (daemon.folder / "etc" / "credentials" / "forge-token").unlink()
    said = daemon.aios("doctor").out
    assert re.search("^MISSING +secret forge: there is no key forge-token", said, re.MULTILINE), said
    assert "there is no key forge-token" in str(daemon.ask(f"$ python3 {place}/talk.py"))
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


@pytest.mark.parametrize("named", [True, False])
def test_git_fetches_by_its_usual_address_with_a_secret_that_it_never_has(
    make_daemon: MakeDaemon, forge: Forge, place: Path, named: bool
) -> None:
    """Its environment turns the address; without that it would ask by TLS of its own, and be known as nobody."""
    subprocess.run(["git", "init", "-q", f"{place}/repo"], check=True)
    remote = (
        f'[remote "origin"]\nurl = https://127.0.0.1:{forge.port}/repo.git\nfetch = +refs/heads/*:refs/remotes/o/*\n'
    )
    with (place / "repo/.git/config").open("a") as file:
        file.write(f"[http]\nextraHeader = Authorization: Bearer aios-secret-forge\n{remote}")
    for each in (place / "repo", *(place / "repo").rglob("*")):
        os.chown(each, place.stat().st_uid, place.stat().st_gid)
    line = f"git -C {place}/repo fetch -q"
    rule = f'[[rule]]\npattern = ["{line}"]\ntier = "notify"\nnetwork = ["*"]\nwrites = ["{place}"]\n'
    daemon = make(make_daemon, forge, place, folders=rule, users="any" if named else "somebody-else")
    (done,) = [event for event in daemon.ask(f"$ {line}") if event["type"] == "call_done"]
    there = (place / "repo/.git/refs/remotes/o/main").exists()
    assert (done["outcome"], there) == (("done", True) if named else ("failed", False)), done
    assert set(forge.heard) == ({f"Bearer {CANARY}"} if named else set())
    assert _files_with(place / "repo", CANARY) == []
