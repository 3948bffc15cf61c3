"""`aios model add`: says what will be sent to whom, asks a real question there, stores the table and the key apart.

The key is read from a terminal or a file, never from the command line; it goes into a systemd credential, encrypted
where this host can, or for a standalone daemon into a file that only its user can read.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import struct
import subprocess
import sys

from aiosd import exits
from aiosd.cli.parse import UsageError
from aiosd.cli.reach import NoDaemonError, connect, environment, write_all
from aiosd.cli.show import escape, wrap
from aiosd.cli.transport import tell
from aiosd.words import retell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_HOMES = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
_CREDENTIALS = "/etc/credstore.encrypted"
_PLAIN_CREDENTIALS = "/etc/credstore"
_DEADLINE_S = 300.0
_COLUMNS = 79


def add(options: dict[str, str], name: str) -> int:
    """Add the model `name`; the exit status."""
    if not _NAME.fullmatch(name) or name == "builtin":
        raise UsageError("a model's name is small letters, digits and -, and not builtin", "model add")
    asked = "yes" not in options
    table = _read_table(options, name)
    key = _read_key(options, table["provider"]) if "no-key" not in options else ""
    if key:
        table["key"] = name
    where = table.get("base_url") or _HOMES[table["provider"]]
    _say(f"{name} is {table['model']} at {where}.")
    _say(
        "What you ask and what tools answered goes there with each request, and facts about this machine; keys, tokens "
        f"and passwords are taken out before. It is listed by: aios log --sent.{' The key goes along.' if key else ''}"
    )
    if asked and not _agreed("Ask a test question there, and store this? [y/N] "):
        _say("nothing was sent, nothing was stored")
        return exits.DENIED
    tried = _try(name, table, key)
    if "error" in tried:
        tell(2, f"aios: {escape(str(tried['error']))}\n  {escape(str(tried['hint']))}\n")
        _say("nothing was stored")
        return int(tried["exit_status"])
    _say(f"It answered in {tried['ms']} ms: {escape(str(tried['answer']))}")
    try:
        _store(name, table, key, default="default" in options)
    except OSError as exc:
        write_all(
            2,
            f"aios: {escape(str(exc.filename))}: {exc.strerror}\n  a model of the service is added by root\n".encode(),
        )
        return exits.BROKEN
    return exits.OK


def _store(name: str, table: dict[str, str], key: str, *, default: bool) -> None:
    folder, service = _find_place()
    if key:
        _say(f"The key is in {_store_key(name, key, folder, service=service)}.")
    path = os.path.join(folder, "config.d", f"60-model-{name}.toml")
    _write(path, _render(name, table, default=default), mode=0o644)
    _say(f"The model is in {path}.")
    _say(_apply(service=service))


def _read_table(options: dict[str, str], name: str) -> dict[str, str]:
    provider = options.get("provider") or _ask("Provider, anthropic or openai (any server of that protocol): ")
    if provider not in _HOMES:
        raise UsageError("--provider is anthropic or openai", "model add")
    table = {"provider": provider, "model": options.get("server-name") or _ask(f"Its name there ({name}): ") or name}
    if not table["model"].isprintable() or " " in table["model"]:
        raise UsageError("a model's name there is printable and has no blanks", "model add")
    base_url = options.get("base-url", "")
    if "base-url" not in options and "provider" not in options:
        base_url = _ask(f"Address ({_HOMES[provider]}): ")
    return {**table, "base_url": base_url} if base_url else table


def _read_key(options: dict[str, str], provider: str) -> str:
    if "key-file" in options:
        try:
            with open(0 if options["key-file"] == "-" else options["key-file"], encoding="utf-8") as file:
                return file.read(8192).strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise UsageError(f"the key cannot be read: {exc}", "model add") from exc
    import getpass

    _need_terminal("--key-file FILE or --no-key")
    return getpass.getpass(f"Key of {provider} (not shown; empty for none): ").strip()


def _try(name: str, table: dict[str, str], key: str) -> dict[str, Any]:
    """The answer of `aiosd --try-model`, which runs as the service's user where we are root."""
    daemon = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "aiosd")
    given = json.dumps({"name": name, "table": table, "key": key}).encode()
    try:
        ran = subprocess.run(
            [daemon, "--try-model"],
            input=given,
            stdout=subprocess.PIPE,
            timeout=_DEADLINE_S,
            check=False,
            user=_service_user(),
            extra_groups=[] if os.geteuid() == 0 else None,
            cwd="/",
        )
        answer: dict[str, Any] = json.loads(ran.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
        hint = "is it installed whole?"
        return {"error": f"the test could not be made: {exc}", "hint": hint, "exit_status": exits.BROKEN}
    return answer


def _service_user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("aios").pw_name
    except KeyError:
        return "nobody"


def _find_place() -> tuple[str, bool]:
    """The folder of the configuration, and whether it is the service's."""
    if environment("AIOS_CONFIG_DIR"):
        return environment("AIOS_CONFIG_DIR"), False
    if os.geteuid() == 0:
        return "/etc/aios", os.path.isdir("/run/systemd/system")
    home = environment("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "aios"), False


def _store_key(name: str, key: str, folder: str, *, service: bool) -> str:
    """Store the key; a sentence's end that says where."""
    if not service:
        path = os.path.join(folder, "credentials", name)
        _write(path, f"{key}\n", mode=0o600, folder_mode=0o700)
        return f"{path}, which only you can read"
    path = f"{_CREDENTIALS}/aios.{name}"
    os.makedirs(_CREDENTIALS, mode=0o700, exist_ok=True)
    words = ["systemd-creds", "encrypt", f"--name=aios.{name}", "-", path]
    try:
        ran = subprocess.run(words, input=key.encode(), capture_output=True, check=False, timeout=60)
        if ran.returncode == 0:
            return f"{path}, encrypted for this machine"
    except OSError:
        pass
    path = f"{_PLAIN_CREDENTIALS}/aios.{name}"
    _write(path, key, mode=0o600, folder_mode=0o700)
    return f"{path}, which only root can read (this host cannot encrypt it)"


def _write(path: str, text: str, *, mode: int, folder_mode: int = 0o755) -> None:
    """Write a whole file, or leave what was there."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=folder_mode, exist_ok=True)
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    os.replace(new, path)


def _render(name: str, table: dict[str, str], *, default: bool) -> str:
    """The table as TOML; JSON's strings are TOML's."""
    lines = [f'[agent]\nmodel = "{name}"\n\n'] if default else []
    lines += [f"[models.{name}]\n", *(f"{key} = {json.dumps(value)}\n" for key, value in table.items())]
    return "".join(lines)


def _apply(*, service: bool) -> str:
    """Have the daemon read it; a sentence that says what was done."""
    if service:
        done = subprocess.run(["systemctl", "try-restart", "aiosd.service"], check=False).returncode == 0
        return "aiosd has read it." if done else "Start aiosd anew: systemctl restart aiosd"
    try:
        connection, _path = connect()
    except NoDaemonError:
        return "No daemon runs; the next one reads it."
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    connection.close()
    pid, uid, _gid = struct.unpack("iII", credentials)
    if uid != os.geteuid():
        return "The daemon that answers is another user's, and reads another configuration."
    os.kill(pid, signal.SIGHUP)
    return "The daemon reads it now: aios models"


def _ask(question: str) -> str:
    _need_terminal("--provider, --server-name and --base-url")
    tell(1, question)
    return sys.stdin.readline().strip()


def _agreed(question: str) -> bool:
    _need_terminal("--yes")
    tell(1, question)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _need_terminal(instead: str) -> None:
    if not os.isatty(0):
        raise UsageError(f"there is no terminal to ask at; say it with {instead}", "model add")


def _say(text: str) -> None:
    lines = wrap(retell(text), _COLUMNS) if os.isatty(1) else [retell(text)]
    write_all(1, "".join(f"{line.rstrip()}\n" for line in lines).encode(errors="surrogateescape"))
