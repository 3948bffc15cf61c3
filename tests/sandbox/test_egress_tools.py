"""Programs that people use, in a sandbox with a network: each reaches the host that was granted, and no other."""

import base64
import functools
import gzip
import hashlib
import http.server
import io
import json
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aiosd.sandbox.profile import HostFacts
from tests.doubles.certificate import make_certificate
from tests.sandbox.test_egress import _Quiet, reaching
from tests.sandbox.test_folders import own

_WHO = ["-c", "user.name=x", "-c", "user.email=x@y.z"]
_APT = (
    "mkdir -p apt/lists/partial apt/cache/archives/partial && : > apt/status && "
    "echo 'deb [trusted=yes] http://{site}/apt ./' > apt/sources.list && "
    "apt-get -q -o Dir::Etc::sourcelist=$PWD/apt/sources.list -o Dir::Etc::sourceparts=/dev/null "
    "-o Dir::Etc::main=/dev/null -o Dir::Etc::parts=/dev/null -o Dir::State=$PWD/apt "
    "-o Dir::State::status=$PWD/apt/status -o Dir::Cache=$PWD/apt/cache -o Acquire::Languages=none "
    "-o Acquire::Retries=0 -o APT::Update::Error-Mode=any update && ls apt/lists"
)
_PACMAN = (
    "mkdir -p db root && printf '[options]\nArchitecture = auto\nSigLevel = Never\n' > pacman.conf && "
    "printf '[test]\nServer = http://{site}/pacman\n' >> pacman.conf && "
    "fakeroot pacman -Sy --noconfirm --disable-download-timeout --root $PWD/root --dbpath $PWD/db "
    "--config $PWD/pacman.conf --logfile /dev/null && pacman -Sl --dbpath $PWD/db --config $PWD/pacman.conf"
)
_SLOW = ("pip", "npm")


@dataclass(frozen=True, slots=True)
class Program:
    """A line, what it needs to be there, what it says where it worked, and whether it asks by TLS."""

    needs: tuple[str, ...]
    line: str
    says: bytes
    tls: bool = False


PROGRAMS = {
    "curl": Program(("curl",), "curl -sSf http://{site}/hello", b"hello"),
    "curl https": Program(("curl",), "curl -sSf --cacert {trust} https://{site}/hello", b"hello", tls=True),
    "wget": Program(("wget",), "wget -q -T 20 -t 1 -O - http://{site}/hello", b"hello"),
    "git": Program(("git",), "git clone -q http://{site}/repo.git new && git -C new log --oneline", b" one"),
    "git https": Program(
        ("git",),
        "git -c http.sslCAInfo={trust} clone -q https://{site}/repo.git new && git -C new log --oneline",
        b" one",
        tls=True,
    ),
    "pip": Program(
        ("python3", "pip"),
        "HOME=$PWD python3 -m pip --isolated --disable-pip-version-check --no-cache-dir --retries 0 "
        "download -q --no-deps --index-url http://{site}/simple --trusted-host 127.0.0.1 -d new tiny && ls new",
        b"tiny-1.0-py3-none-any.whl",
    ),
    "npm": Program(
        ("npm",),
        "npm pack --silent --registry http://{site}/npm/ --cache $PWD/cache --userconfig /dev/null "
        "--fetch-retries 0 --no-update-notifier tiny && ls",
        b"tiny-1.0.0.tgz",
    ),
    "apt": Program(("apt-get",), _APT, b"_apt_._Packages"),
    "pacman": Program(("pacman", "fakeroot"), _PACMAN, b"test tiny 1.0-1"),
}


def _pack(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def _fill_python(folder: Path) -> None:
    data = io.BytesIO()
    about = "tiny-1.0.dist-info"
    with zipfile.ZipFile(data, "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    name = "tiny-1.0-py3-none-any.whl"
    place = folder / "simple" / "tiny"
    place.mkdir(parents=True)
    (place / name).write_bytes(data.getvalue())
    (place / "index.html").write_text(f'<a href="{name}">{name}</a>\n')


def _fill_npm(folder: Path, site: str) -> None:
    package = _pack({"package/package.json": b'{"name": "tiny", "version": "1.0.0"}'})
    place = folder / "npm"
    place.mkdir()
    (place / "tiny.tgz").write_bytes(package)
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(package).digest()).decode()}"
    version = {
        "name": "tiny",
        "version": "1.0.0",
        "dist": {"tarball": f"http://{site}/npm/tiny.tgz", "integrity": integrity},
    }
    answer = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    (place / "tiny").write_text(json.dumps(answer))


def _fill_distributions(folder: Path) -> None:
    (folder / "apt").mkdir()
    packages = (
        b"Package: tiny\nVersion: 1.0\nArchitecture: all\nFilename: ./tiny.deb\nSize: 1\nMD5sum: 0\nDescription: x\n"
    )
    (folder / "apt" / "Packages").write_bytes(packages)
    (folder / "apt" / "Packages.gz").write_bytes(gzip.compress(packages))
    (folder / "pacman").mkdir()
    (folder / "pacman" / "test.db").write_bytes(
        _pack({"tiny-1.0-1/desc": b"%FILENAME%\ntiny-1.0-1-any.pkg.tar.zst\n\n%NAME%\ntiny\n\n%VERSION%\n1.0-1\n\n"})
    )


def _fill_git(folder: Path) -> None:
    for words in (
        ["init", "-q", "-b", "main", f"{folder}/work"],
        ["-C", f"{folder}/work", *_WHO, "commit", "-q", "--allow-empty", "-m", "one"],
        ["clone", "-q", "--bare", f"{folder}/work", f"{folder}/repo.git"],
        ["-C", f"{folder}/repo.git", "update-server-info"],
    ):
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *words], check=True, env=environment)


@dataclass(frozen=True, slots=True)
class Sites:
    """The same folder, by http and by https, and whom to trust for the latter."""

    plain: str
    tls: str
    trust: Path


def _serve(folder: Path, context: ssl.SSLContext | None) -> tuple[http.server.ThreadingHTTPServer, threading.Thread]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    return server, serving


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    folder = Path(tempfile.mkdtemp(prefix="aios-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "hello").write_text("hello\n")
    context, trust = make_certificate(folder)
    served = [_serve(folder, None), _serve(folder, context)]
    plain, tls = (f"127.0.0.1:{server.server_address[1]}" for server, _thread in served)
    _fill_python(folder)
    _fill_npm(folder, plain)
    _fill_distributions(folder)
    _fill_git(folder)
    yield Sites(plain, tls, trust)
    for server, thread in served:
        server.shutdown()
        thread.join()
        server.server_close()
    shutil.rmtree(folder)


def _require(needs: tuple[str, ...]) -> None:
    for name in needs:
        if name == "pip":
            found = subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True, check=False)
            there = found.returncode == 0
        else:
            there = shutil.which(name, path="/usr/bin:/bin") is not None
        if not there:
            pytest.skip(f"this machine has no {name}")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] if name in _SLOW else []) for name in PROGRAMS]
)
async def test_a_program_gets_what_it_asks_for_where_that_was_granted(
    host: HostFacts, place: Path, sites: Sites, name: str
) -> None:
    own(place)
    program = PROGRAMS[name]
    _require(program.needs)
    site = sites.tls if program.tls else sites.plain
    line = program.line.replace("{site}", site).replace("{trust}", str(sites.trust))
    async with reaching(host, place, "elsewhere.example") as there:
        said = await there.box.shell(line, cwd=str(place))
        assert said.status != 0, said
        assert program.says not in said.out
    assert set(there.told) == {(site, False)}
    for each in place.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    async with reaching(host, place, site) as there:
        said = await there.box.shell(line, cwd=str(place))
        assert (said.status, program.says in said.out) == (0, True), (said.out + said.err).decode()
    assert set(there.told) == {(site, True)}
