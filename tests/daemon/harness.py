"""A real daemon in a folder of its own, with its guard; clients of any uid; everything ended at the end."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.daemon.people import acting_as, default_person

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0
_AIOS = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from aiosd.cli.main import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def events(self) -> list[dict[str, Any]]:
        """The body as JSON lines."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A client command that ended."""

    status: int
    out: str
    err: str


@dataclass(slots=True)
class Daemon:
    """A standalone daemon. `environment` goes to it, `config` is its configuration file's text.

    `patches` are assignments to make before it begins (`aiosd.api.app._WRITE_DEADLINE_S = 0.5`), of times that nobody
    may configure and no test can wait for. `within` is the command that starts it, where it is to be in namespaces.
    `passed` are descriptors that it inherits under their numbers.
    """

    folder: Path
    uid: int = field(default_factory=os.geteuid)
    config: str = ""
    policy: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    patches: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    passed: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    openapi: dict[str, Any] | None = None

    @property
    def run_dir(self) -> Path:
        """Its run-time folder."""
        return self.folder / "run" / "aios"

    @property
    def socket_path(self) -> str:
        """The API's socket."""
        return str(self.run_dir / "aiosd.sock")

    @property
    def guard_path(self) -> str:
        """The guard's socket."""
        return str(self.run_dir / "guard.sock")

    @property
    def state(self) -> Path:
        """Its state folder."""
        return self.folder / "state" / "aios"

    @property
    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def variables(self) -> dict[str, str]:
        """The environment it is started with: nothing of ours leaks in."""
        return {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "AIOS_CONFIG_DIR": str(self.folder / "etc"),
            **self.environment,
        }

    def write_config(self) -> None:
        """Write configuration and policy as they stand."""
        etc = self.folder / "etc"
        (etc / "policy.d").mkdir(parents=True, exist_ok=True)
        text = self.config
        if self.policy:
            (etc / "policy.d" / "50-test.toml").write_text(self.policy, encoding="utf-8")
        if "policy_dirs" not in text:
            section = "[guard]\n" if "[guard]" not in text else ""
            line = f'policy_dirs = ["{etc / "policy.d"}"]\n'
            text = text.replace("[guard]\n", f"[guard]\n{line}") if not section else f"{text}\n{section}{line}"
        (etc / "config.toml").write_text(text, encoding="utf-8")
        if self.uid != os.geteuid():  # in a user namespace of its own root's files are nobody's
            for each in (etc, *etc.rglob("*")):
                os.chown(each, self.uid, self.uid)

    def command(self, *options: str) -> list[str]:
        """The command line that starts it."""
        modules = dict.fromkeys(patch.partition(" = ")[0].rpartition(".")[0] for patch in self.patches)
        lines = [f"import sys; sys.path.insert(0, {str(ROOT)!r})", *(f"import {module}" for module in modules)]
        lines += [*self.patches, "from aiosd.__main__ import main", "main()"]
        return [sys.executable, "-I", "-c", "\n".join(lines), *options]

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        self.launch(*options)
        self.await_answer()

    def launch(self, *options: str) -> None:
        """Start it and wait for nothing."""
        self.write_config()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.within, *self.command("--standalone", *options)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.variables(),
                cwd="/",
                pass_fds=self.passed,
                **_becoming(self.uid),
            )

    def await_answer(self) -> None:
        """Wait until it answers, and its guard does."""
        wait_until(self._answers, f"the daemon to answer; its log: {self.log}")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}: {self.log}")
        try:
            return bool(self.api("GET", "/v1/status", uid=self.uid).json["guard"] == "ok")
        except (OSError, IndexError):  # nobody there yet, or no answer as it is ending
            return False

    def stop(self, number: int = signal.SIGTERM, *, deadline_s: float = DEADLINE_S) -> int:
        """End it by a signal and wait; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(deadline_s)
        self.process = None
        return status

    def api(  # noqa: PLR0917 - it reads as a request line
        self,
        method: str,
        path: str,
        body: Any = None,
        accept: str = "application/json",
        uid: int | None = None,
        content_type: str = "application/json",
    ) -> Response:
        """One request as `uid`; the answer is checked against the daemon's own OpenAPI document."""
        connection = self.connect(uid)
        with connection:
            content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
            head = f"{method} {path} HTTP/1.1\r\nHost: aios\r\nAccept: {accept}\r\n"
            if content or method == "POST":
                head += f"Content-Type: {content_type}\r\nContent-Length: {len(content)}\r\n"
            with suppress(BrokenPipeError, ConnectionResetError):  # when it is turned away before it has asked
                connection.sendall(head.encode() + b"\r\n" + content)
            response = read_response(connection)
        if path != "/v1/openapi.json":
            self.check(method, path, response)
        return response

    def ask(self, prompt: str, *, uid: int | None = None, **fields: Any) -> list[dict[str, Any]]:
        """One turn to its end: its events."""
        response = self.api("POST", "/v1/ask", {"prompt": prompt, **fields}, "application/x-ndjson", uid)
        assert response.status == 200, response.text
        return response.events()

    def connect(self, uid: int | None = None, path: str = "") -> socket.socket:
        """A connection to the API (or another socket) as `uid`."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(DEADLINE_S)
        with acting_as(default_person() if uid is None and self.uid == 0 else self.uid if uid is None else uid):
            try:
                connection.connect(path or self.socket_path)
            except OSError:
                connection.close()
                raise
        return connection

    def guard(self, method: str, parameters: dict[str, Any] | None = None, *, uid: int | None = None) -> dict[str, Any]:
        """One call of the guard as `uid`; its parameters, or `{"error": name, ...}`."""
        with self.connect(uid, self.guard_path) as connection:
            send_call(connection, method, parameters or {})
            return next(read_replies(connection))

    @contextmanager
    def guard_stream(
        self, method: str, parameters: dict[str, Any], *, uid: int | None = None
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """A streaming call of the guard as `uid`: its replies, as they come."""
        with self.connect(uid, self.guard_path) as connection:
            send_call(connection, method, parameters, more=True)
            yield read_replies(connection)

    def records(self, uid: int = 0, **query: Any) -> list[dict[str, Any]]:
        """The guard's records."""
        answer = self.guard("Records", query, uid=uid if os.geteuid() == 0 else None)
        records: list[dict[str, Any]] = answer["records"]
        return records

    def aios(
        self,
        *words: str,
        uid: int | None = None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        cwd: str = "/",
    ) -> Ran:
        """The thin client as `uid`, without a terminal."""
        who = (default_person() if self.uid == 0 else self.uid) if uid is None else uid
        ran = subprocess.run(
            [*client_command(), *words],
            input=stdin,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
            cwd=cwd,
            start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "AIOS_SOCKET": self.socket_path, "LANG": "C.UTF-8", **(environment or {})},
            **_becoming(who),
        )
        return Ran(status=ran.returncode, out=ran.stdout.decode(), err=ran.stderr.decode())

    def check(self, method: str, path: str, response: Response) -> None:
        """The answer is one that the OpenAPI document describes."""
        if self.openapi is None:
            self.openapi = self.api("GET", "/v1/openapi.json", uid=self.uid).json
        described = find_operation(self.openapi, method, path.partition("?")[0])
        if described is None:
            assert response.status in {403, 404, 405}, (method, path, response.status)
            described = {"responses": {str(response.status): _PROBLEM}}
        assert str(response.status) in described["responses"], (method, path, response.status, response.text)
        content = described["responses"][str(response.status)]["content"]
        media = response.headers["content-type"].partition(";")[0]
        assert media in content, (method, path, media)
        schema = content[media].get("schema", {})
        bodies = response.events() if media == "application/x-ndjson" else []
        if media.endswith("json") and media != "application/x-ndjson":
            bodies = [response.json]
        for body in bodies:
            validator_for(self.openapi, schema).validate(body)


_PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def client_command() -> list[str]:
    """How to start the thin client."""
    return [os.path.realpath(getattr(sys, "_base_executable", sys.executable)), "-I", "-S", "-c", _AIOS]


def validator_for(openapi: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """A validator of a schema inside the document."""
    resource: Any = Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **openapi})
    registry: Any = Registry().with_resource("urn:openapi", resource)
    fixed = json.loads(json.dumps(schema).replace('"#/components', '"urn:openapi#/components'))
    return Draft202012Validator(fixed, registry=registry)


def find_operation(openapi: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """The described operation of a path, with its templates."""
    for template, operations in openapi["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


def read_response(connection: socket.socket) -> Response:
    """One HTTP answer to its end. Where the daemon did not read all of the question, that end is a reset."""
    data = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunk(body)
    return Response(status=int(lines[0].split()[1]), headers=headers, body=body)


def _unchunk(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        count = int(size, 16)
        if count == 0:
            break
        out += rest[:count]
        body = rest[count + 2 :]
    return out


def send_call(connection: socket.socket, method: str, parameters: dict[str, Any], *, more: bool = False) -> None:
    """Send one Varlink call."""
    name = method if "." in method else f"io.aios.Guard.{method}"
    connection.sendall(json.dumps({"method": name, "parameters": parameters, "more": more}).encode() + b"\0")


def read_replies(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Replies until the connection ends: the parameters, with `error` where it is one."""
    buffer = b""
    while True:
        while b"\0" not in buffer:
            piece = connection.recv(65536)
            if not piece:
                return
            buffer += piece
        message, _, buffer = buffer.partition(b"\0")
        reply = json.loads(message)
        yield {**reply.get("parameters", {}), **({"error": reply["error"]} if "error" in reply else {})}


def wait_until(condition: Callable[[], bool], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Return when `condition` holds; a failure that says what was waited for, after the deadline."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def processes_with(text: str) -> list[int]:
    """The pids of processes whose command line holds `text`, this one's own family left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in command.replace(b"\0", b" "):
                found.append(int(entry.name))
    return found


def guard_pid(daemon: Daemon) -> int:
    """The pid of a standalone daemon's guard."""
    assert daemon.process is not None
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text(encoding="ascii")
    own = set(map(int, children.split()))
    (pid,) = own.intersection(processes_with("aiosd.guard.__main__"))
    return pid


def make_folder() -> Path:
    """A folder that others may look into, with a short path (a socket's is at most 107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix=f"aios-{os.getpid()}-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "run").mkdir()
    (folder / "state").mkdir()
    return folder


@contextmanager
def activation(daemon: Daemon, *names: str) -> Iterator[None]:
    """Sockets for `daemon` that outlive it, as a service manager has them, passed under `names`; its own is last."""
    daemon.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in names]
        for name, listener in zip(names, listeners, strict=True):
            listener.bind(daemon.socket_path if listener is listeners[-1] else str(daemon.run_dir / name))
            listener.listen(64)
        os.chmod(daemon.socket_path, 0o666)
        daemon.passed = tuple(listener.fileno() for listener in listeners)
        away = " ".join(f"{90 + index}<&{fd} {fd}<&-" for index, fd in enumerate(daemon.passed))
        moves = " ".join(f"{3 + index}<&{90 + index} {90 + index}<&-" for index in range(len(names)))
        variables = f"LISTEN_PID=$$ LISTEN_FDS={len(names)} LISTEN_FDNAMES={':'.join(names)}"
        script = f'exec {away}; exec {moves}; exec env {variables} "$@"'
        daemon.within = ("/bin/bash", "--norc", "-c", script, "bash")
        yield


def remove_folder(folder: Path) -> None:
    """Remove it."""
    shutil.rmtree(folder)


def _becoming(uid: int) -> dict[str, Any]:
    return {"user": uid, "group": uid, "extra_groups": []} if uid != os.geteuid() else {}
