"""Sockets from a service manager, by name; what is said to it; ending when idle, and being started again."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import Stream, asking, send_question
from tests.daemon.cards import own_folder, said
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import DEADLINE_S, ROOT, Daemon, activation, processes_with, wait_until

QUESTION = "how much memory is free?"


class Notified:
    """A service manager's end of sd_notify(3): what a daemon told it, one entry a datagram, names to values."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self._socket.settimeout(DEADLINE_S)

    def next(self) -> dict[str, str]:
        """The next datagram."""
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def until(self, name: str) -> dict[str, str]:
        """The next datagram with this name in it."""
        while name not in (told := self.next()):
            pass
        return told

    def close(self) -> None:
        self._socket.close()


@contextmanager
def _notified(daemon: Daemon, **environment: str) -> Iterator[Notified]:
    notified = Notified(daemon.folder)
    daemon.environment.update({"NOTIFY_SOCKET": notified.path, **environment})
    try:
        yield notified
    finally:
        notified.close()


def _ended(daemon: Daemon, deadline_s: float = DEADLINE_S) -> int:
    """The status of a daemon that ends by itself, with all that it had started."""
    assert daemon.process is not None
    status = daemon.process.wait(deadline_s)
    daemon.process = None
    wait_until(lambda: not processes_with(str(daemon.run_dir)), "its guard to end")
    return status


# By name --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["--fdname=api", "--fdname=guard", ""])
def test_systemd_socket_activate_starts_it_by_the_sockets_name(make_daemon: MakeDaemon, name: str) -> None:
    daemon = make_daemon(start=False)
    daemon.run_dir.mkdir(parents=True)
    variables = [f"--setenv={each}={value}" for each, value in daemon.variables().items()]
    activate = ["/usr/bin/systemd-socket-activate", f"--listen={daemon.socket_path}", *variables]
    daemon.within = (*activate, *([name] if name else []))
    daemon.launch()
    wait_until(lambda: os.path.exists(daemon.socket_path), "the socket")
    if name == "--fdname=guard":
        with daemon.connect(0 if os.geteuid() == 0 else None) as connection:
            connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: aios\r\n\r\n")
            assert _ended(daemon) == 78
        assert daemon.log.endswith(
            "aiosd: no socket named api was passed, only guard; set FileDescriptorName=api in the socket unit\n"
        )
        return
    os.chmod(daemon.socket_path, 0o666)
    daemon.await_answer()
    assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
    assert daemon.stop() == 0
    assert os.path.exists(daemon.socket_path)  # it is not the daemon's to remove


def test_of_several_sockets_it_takes_the_one_that_is_named(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    with activation(daemon, "other", "api"):
        daemon.start()
        assert daemon.ask(QUESTION)[-1]["exit_status"] == 0
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("names", "said_of_it"),
    [(("guard",), "only guard"), (("metrics", "apis"), "only metrics, apis")],
)
def test_a_socket_of_another_name_is_not_taken(
    make_daemon: MakeDaemon, names: tuple[str, ...], said_of_it: str
) -> None:
    daemon = make_daemon(start=False)
    with activation(daemon, *names):
        daemon.launch()
        assert _ended(daemon) == 78
    assert daemon.log == (
        f"aiosd: no socket named api was passed, {said_of_it}; set FileDescriptorName=api in the socket unit\n"
    )
    assert not daemon.state.exists()


def test_without_a_socket_a_system_daemon_says_what_to_do(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    daemon.write_config()
    for variables in ({}, {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "api"}):
        ran = subprocess.run(
            daemon.command(), capture_output=True, env={**daemon.variables(), **variables}, check=False, timeout=60
        )
        assert (ran.returncode, ran.stdout) == (78, b"")
        assert ran.stderr == b"aiosd: no socket was passed; start aiosd.socket by systemd, or use aiosd --standalone\n"


def _guard_code(*assignments: str) -> list[str]:
    lines = [f"import sys; sys.path.insert(0, {str(ROOT)!r})", "import aiosd.guard.life", *assignments]
    return [sys.executable, "-I", "-S", "-c", "\n".join([*lines, "from aiosd.guard.__main__ import main", "main()"])]


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ("", "no socket was passed: start it by its socket unit, or through aiosd --standalone"),
        ("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=api", "no socket named guard was passed"),
        ("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=api:x", "no socket named guard was passed"),
        ("LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=guard", "no socket was passed: "),
        ("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=guard", "descriptor 3 is no socket"),
    ],
    ids=["none", "another", "others", "another's", "no socket"],
)
def test_a_guard_takes_the_socket_that_is_named_for_it_or_none(
    make_daemon: MakeDaemon, variables: str, reason: str
) -> None:
    daemon = make_daemon(start=False)
    daemon.write_config()
    script = f'exec 3</dev/null; exec env {variables} "$@"'
    options = ["--standalone", "--run-dir", str(daemon.run_dir), "--state-dir", str(daemon.state / "guard")]
    ran = subprocess.run(
        ["/bin/bash", "--norc", "-c", script, "bash", *_guard_code(), *options],
        capture_output=True,
        env=daemon.variables(),
        check=False,
        timeout=60,
    )
    assert ran.returncode == 78
    assert ran.stderr.decode().startswith(f"aios-guard: {reason}")
    assert not (daemon.state / "guard" / "audit").exists()


# What the manager hears -----------------------------------------------------------------------------------------------


def test_the_service_manager_hears_ready_reloading_stopping_and_that_it_lives(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    with _notified(daemon, WATCHDOG_USEC="400000") as notified:
        daemon.start()
        assert daemon.process is not None
        assert notified.until("READY") == {"READY": "1", "STATUS": "ready"}
        for _ in range(3):
            assert notified.until("WATCHDOG") == {"WATCHDOG": "1"}
        daemon.process.send_signal(1)
        reloading = notified.until("RELOADING")
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert notified.until("READY") == {"READY": "1", "STATUS": "ready, configuration reloaded"}
        assert daemon.stop() == 0
        assert notified.until("STOPPING") == {"STOPPING": "1"}


def test_a_manager_that_asks_for_no_sign_of_life_hears_none(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False)
    with _notified(daemon, WATCHDOG_USEC="400000", WATCHDOG_PID="1") as notified:
        daemon.start()
        assert daemon.ask("run `sleep 0.5`")[-1]["exit_status"] == 0
        assert daemon.stop() == 0
        told = [notified.next() for _ in range(2)]
        assert [next(iter(each)) for each in told] == ["READY", "STOPPING"]


# Idle -----------------------------------------------------------------------------------------------------------------


def _ask_on(connection: socket.socket, prompt: str, **fields: Any) -> list[dict[str, Any]]:
    send_question(connection, prompt, **fields)
    return list(Stream(connection))


def test_it_ends_when_idle_and_the_next_connection_starts_it_again_with_nothing_lost(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False, config="[daemon]\nidle_exit_s = 1\n")
    with activation(daemon, "api"), _notified(daemon) as notified:
        daemon.start()
        first = daemon.ask(QUESTION)
        session = first[0]["session"]
        assert _ended(daemon) == 0
        assert notified.until("STOPPING") == {"STOPPING": "1"}
        assert "idle for 1 s, ending" in daemon.log
        with daemon.connect() as connection:  # to nobody: it waits in the socket
            daemon.launch()
            again = _ask_on(connection, QUESTION, session=session)
        assert again[-1]["exit_status"] == 0
        assert (again[0]["turn"], again[0]["seq"]) == (2, first[-1]["seq"] + 1)
        detail = daemon.api("GET", f"/v1/sessions/{session}").json
        assert [turn["state"] for turn in detail["turns"]] == ["done", "done"]
        assert daemon.guard("Verify", uid=os.geteuid()) == {"problems": []}
        assert _ended(daemon) == 0


def test_it_does_not_end_with_a_turn_running_though_nobody_listens(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False, config="[daemon]\nidle_exit_s = 1\n")
    with activation(daemon, "api"):
        daemon.start()
        place = own_folder(daemon, "place")
        with asking(daemon, "run `sleep 2.5`") as stream:
            session = stream.until("session_started")["session"]
            stream.until("decision")
        assert daemon.process is not None
        assert _ended(daemon) == 0
        daemon.start()
        events = daemon.api("GET", f"/v1/sessions/{session}/events", accept="application/x-ndjson").events()
        assert (events[-1]["type"], events[-1]["exit_status"]) == ("turn_done", 0)
        assert said(events)
        (done,) = (event for event in events if event["type"] == "call_done")
        assert (done["outcome"], done["status"]) == ("done", 0)
        assert list(place.iterdir()) == []
        assert _ended(daemon) == 0


def test_it_does_not_end_while_somebody_is_connected(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(start=False, config="[daemon]\nidle_exit_s = 1\n[limits]\nrequest_s = 3\n")
    with activation(daemon, "api"):
        daemon.start()
        assert daemon.process is not None
        with daemon.connect() as connection:
            with pytest.raises(subprocess.TimeoutExpired):
                daemon.process.wait(2)
            connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: aios\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        assert _ended(daemon) == 0


def test_a_guard_of_the_system_ends_when_nobody_needs_it(make_daemon: MakeDaemon) -> None:
    """One without a lifeline to an aiosd of its own: its socket's unit starts it again."""
    daemon = make_daemon(start=False, config="[guard]\nidle_exit_s = 1\n")
    daemon.write_config()
    daemon.run_dir.mkdir(parents=True)
    options = ["--standalone", "--listen-fd", "3", "--run-dir", str(daemon.run_dir), "--api-socket", daemon.socket_path]
    options += ["--state-dir", str(daemon.state / "guard")]
    code = [*_guard_code("aiosd.guard.life._SWEEP_S = 0.2"), *options]
    with _notified(daemon, WATCHDOG_USEC="400000") as notified, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(daemon.guard_path)
        os.chmod(daemon.guard_path, 0o666)
        listener.listen(8)
        for _ in range(2):
            guard = subprocess.Popen(
                ["/bin/bash", "--norc", "-c", f'exec 3<&{listener.fileno()}; exec "$@"', "bash", *code],
                env=daemon.variables(),
                pass_fds=(listener.fileno(),),
            )
            session = daemon.guard("OpenSession")["session"]
            parameters = {"session": session, "call": "call-1", "command": "sleep 1.5", "cwd": "/"}
            with daemon.guard_stream("Execute", parameters) as replies:
                assert next(replies)["event"] == "decision"
                assert next(replies)["outcome"] == "done"
            assert notified.until("READY")["STATUS"] == "0 running, 0 waiting for an answer"
            assert notified.until("WATCHDOG") == {"WATCHDOG": "1"}
            while "1 running" not in notified.until("STATUS")["STATUS"]:
                pass
            assert notified.until("STOPPING") == {"STOPPING": "1"}
            assert guard.wait(DEADLINE_S) == 0
        wait_until(lambda: not processes_with(str(daemon.run_dir)), "the guard to end")
