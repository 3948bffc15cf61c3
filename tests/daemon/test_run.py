"""`aios run` and rules that let write, by a real daemon: what a person runs, how it is confined, what is recorded."""

import base64
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiosd.sandbox.landlock import read_abi
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon, processes_with, wait_until
from tests.daemon.people import OTHER, default_person, needs_root

POLICY = """
[[rule]]
pattern = ["tee", "touch*", "mkdir*"]
tier = "notify"
writes = ["."]

[[rule]]
pattern = ["cp"]
tier = "notify"
writes = ["/etc"]

[[rule]]
tool = "write_file"
tier = "notify"
writes = ["."]

[folders]
deny_read = ["FOLDER/secret"]
deny_write = ["FOLDER/kept"]
"""


@pytest.fixture
def work() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="aios-", dir="/tmp"))
    place.chmod(0o755)
    for name in ("secret", "kept", "free"):
        (place / name).mkdir()
        (place / name / "f").write_text(f"{name}\n")
    for path in (place, *place.rglob("*")):
        os.chown(path, default_person(), default_person())
    yield place
    shutil.rmtree(place)


@pytest.fixture
def daemon(make_daemon: MakeDaemon, work: Path) -> Daemon:
    return make_daemon(policy=POLICY.replace("FOLDER", str(work)))


def run(daemon: Daemon, work: Path, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    ran = daemon.aios("run", *words, cwd=str(work), stdin=stdin)
    return ran.status, ran.out, ran.err


def test_a_rule_that_writes_gives_the_folder_it_names_and_no_other(daemon: Daemon, work: Path) -> None:
    status, out, err = run(daemon, work, "--", "touch", "made", "kept/f2", "/tmp/aios-stray")
    assert status == 1
    assert out == ""
    assert sorted(path.name for path in work.iterdir()) == ["free", "kept", "made", "secret"]
    assert not Path("/tmp/aios-stray").exists()
    assert not (work / "kept/f2").exists()
    assert err.startswith(f"› sandbox 'workspace': writes below {work} only, no network")
    assert "aios: failed: sandbox 'workspace' does not let it write to /tmp/aios-stray" in err
    decided, done = sorted(daemon.records(), key=lambda record: record["seq"])[-2:]
    assert (decided["tier"], decided["decision"]) == ("notify", "allowed")
    assert decided["confinement"].startswith(f"sandbox 'workspace': writes below {work} only")
    assert (done["outcome"], done["status"]) == ("failed", 1)
    assert done["reason"].startswith("sandbox 'workspace' does not let it write to /tmp/aios-stray")


def test_a_folder_policy_is_named_where_it_was_the_wall(daemon: Daemon, work: Path) -> None:
    status, _out, err = run(daemon, work, "--", "touch", "kept/f")
    assert (status, f"a folder policy for {work}/kept does not let it write to {work}/kept/f" in err) == (1, True)
    status, out, err = run(daemon, work, "--", "cat", "secret/f")
    assert (status, out) == (1, "")
    assert f"a folder policy for {work}/secret denies {work}/secret/f; an administrator can change that" in err
    assert run(daemon, work, "--", "cat", "free/f")[:2] == (0, "free\n")


@needs_root
def test_a_rule_gives_no_right_that_its_user_has_not(daemon: Daemon, work: Path) -> None:
    assert run(daemon, work, "--", "cp", "free/f", "/etc/aios-stray")[0] == 1
    assert not Path("/etc/aios-stray").exists()


def test_read_only_runs_unasked_whatever_the_policy_would_ask(daemon: Daemon, work: Path) -> None:
    line = "for i in 1 2; do echo $i; done; rm -rf free; echo x >made"
    status, out, _err = run(daemon, work, "--profile", "read-only", "--", line)
    assert (status, out) == (1, "1\n2\n")
    assert sorted(path.name for path in work.iterdir()) == ["free", "kept", "secret"]
    assert [record["rules"] for record in daemon.records() if "rules" in record] == [["--profile read-only"]]


def test_workspace_writes_here_and_nowhere_else(daemon: Daemon, work: Path) -> None:
    line = "echo x >made && cat made; echo y >../beside; mkdir -p .git/hooks; curl -s http://127.0.0.1:1/; ls secret"
    status, out, _err = run(daemon, work, "-p", "workspace", "--", line)
    assert (status, out) == (2, "x\n")
    assert sorted(path.name for path in work.iterdir()) == ["free", "kept", "made", "secret"]
    assert not (work.parent / "beside").exists()


def test_what_is_denied_stays_denied_in_every_profile(daemon: Daemon, work: Path) -> None:
    for profile in ("read-only", "workspace"):
        status, out, err = run(daemon, work, "-p", profile, "--", "rm", "-rf", "/")
        assert (status, out) == (77, "")
        assert "aios: denied: " in err
    assert run(daemon, work, "-p", "user", "--", "true")[0] == 64


def test_standard_input_is_closed_or_given(daemon: Daemon, work: Path) -> None:
    assert run(daemon, work, "--", "cat", stdin=b"said\n")[:2] == (0, "")
    assert run(daemon, work, "-i", "--", "wc", "-c", stdin=b"said\n\xff\n")[:2] == (0, "7\n")
    assert run(daemon, work, "--stdin", "--", "tee", "made", stdin=b"said\n")[:2] == (0, "said\n")
    assert (work / "made").read_text() == "said\n"


def test_a_time_that_runs_out_ends_it(daemon: Daemon, work: Path) -> None:
    status, _out, err = run(daemon, work, "-t", "1", "--", "sleep", "60")
    assert (status, err) == (124, "aios: timed_out: ended after 1 s\n")


def test_what_is_asked_about_names_its_approval_and_runs_when_it_is_given(daemon: Daemon, work: Path) -> None:
    session = daemon.guard("OpenSession")["session"]
    proposal = {"session": session, "call": "c", "command": "rm free/f", "cwd": str(work)}
    with daemon.guard_stream("Execute", proposal) as events:
        for event in events:
            if event["event"] == "approval":
                approved = daemon.aios("approve", "--yes", event["approval"])
                assert approved.status == 0, approved
            if event["event"] == "done":
                assert event["outcome"] == "done"
                break
    assert not (work / "free/f").exists()


def test_what_a_command_reaches_is_granted_by_its_rule_and_recorded(make_daemon: MakeDaemon) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        port = server.server_address[1]
        rule = '[[rule]]\npattern = ["curl*"]\ntier = "notify"\nnetwork = ["*"]\n'
        daemon = make_daemon(policy=rule, config=f'[egress]\nallow = ["127.0.0.1:{port} the site"]\n')
        events = daemon.ask(f"$ curl -s http://127.0.0.1:{port}/")
        assert "hello" in "".join(event["text"] for event in events if event["type"] == "output")
        (done,) = [event for event in events if event["type"] == "call_done"]
        assert (done["outcome"], done["reason"]) == ("done", "")
        (decision,) = [event for event in events if event["type"] == "decision"]
        assert "network to * only" in decision["verdict"]["confinement"]
        refused = daemon.ask("$ curl -sf http://example.org/")
        (done,) = [event for event in refused if event["type"] == "call_done"]
        assert done["outcome"] == "failed"
        assert "example.org:80 is not in egress.allow, where an administrator can add it" in done["reason"]
        told = [record for record in daemon.records() if record["kind"] == "connected"]
        shown = daemon.aios("ask", "$ curl -s http://example.org/")  # which takes the proxy's words for an answer
        assert (shown.status, "  the network: example.org:80 is not in egress.allow, where" in shown.err) == (0, True)
        assert [(each["host"], each["port"], each["address"], bool(each["reason"])) for each in told] == [
            ("127.0.0.1", port, "127.0.0.1", False),
            ("example.org", 80, "", True),
        ]
        assert "reached example.org:80: example.org:80 is not in egress.allow" in daemon.aios("log").out
        japanese = daemon.aios("log", environment={"LC_MESSAGES": "ja_JP.UTF-8"}).out
        assert "接続先 example.org:80: example.org:80 は egress.allow にありません。管理者は追加できます\n" in japanese
        alone = daemon.aios("run", "curl", "-sS", f"http://127.0.0.1:{port}/")  # nobody is there to serve it
        assert (alone.out, "the network is served in turns alone" in alone.err) == ("", True)
        assert daemon.guard("Verify", uid=0 if os.geteuid() == 0 else None) == {"problems": []}
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_a_command_reaches_the_socket_that_its_rule_names(make_daemon: MakeDaemon) -> None:
    agent = Path(tempfile.mkdtemp(prefix="aios-", dir="/tmp")) / "agent"
    os.chown(agent.parent, default_person(), -1)
    rule = f'[[rule]]\npattern = ["ssh-add -l"]\ntier = "notify"\nsockets = ["SSH_AUTH_SOCK={agent}"]\n'
    words, who = ["ssh-agent", "-D", "-a", str(agent)], default_person() if os.geteuid() == 0 else None
    with subprocess.Popen(words, stdout=subprocess.PIPE, user=who) as serving:
        assert serving.stdout is not None
        try:
            serving.stdout.readline()
            other, named = (make_daemon(policy=text) for text in ('[permissions]\nnotify = ["ssh-add -l"]\n', rule))
            without, events = other.ask("$ ssh-add -l"), named.ask("$ ssh-add -l")
        finally:
            serving.terminate()
            shutil.rmtree(agent.parent)
    (decision,) = [event for event in events if event["type"] == "decision"]
    assert f", Unix sockets {agent} only" in decision["verdict"]["confinement"]
    (record,) = [record for record in named.records() if record["kind"] == "decided"]
    assert record["confinement"] == decision["verdict"]["confinement"]
    assert "The agent has no identities." in "".join(event["text"] for event in events if event["type"] == "output")
    (done,) = [event for event in without if event["type"] == "call_done"]
    assert 'reaches no Unix socket; a rule with sockets = ["PATH"] names one' in done["reason"]


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Say hello."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def test_a_list_of_hosts_that_holds_none_is_refused_with_its_place(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(config='[egress]\nallow = ["*.com"]\n', start=False)
    daemon.write_config()
    ran = subprocess.run(
        daemon.command("--show-config", "--standalone"),
        env=daemon.variables(),
        capture_output=True,
        check=False,
        text=True,
    )
    assert ran.returncode == 78
    assert f"{daemon.folder}/etc/config.toml: egress.allow: '*.com' is too wide; name a domain" in ran.stderr


@pytest.mark.parametrize(("least", "runs"), [(99, False), (0, True)])
def test_below_the_landlock_that_is_asked_for_nothing_runs(make_daemon: MakeDaemon, least: int, runs: bool) -> None:
    daemon = make_daemon(config=f"[guard]\nleast_landlock = {least}\n")
    ran = daemon.aios("run", "echo", "ran")
    assert (ran.out == "ran\n") is runs
    if not runs:
        assert "guard.least_landlock asks for 99" in ran.err
        assert "guard.least_landlock asks for 99" in daemon.aios("doctor").out
    else:
        (decided,) = [record for record in daemon.records() if record["kind"] == "decided"]
        assert decided["landlock"] == read_abi()


def test_a_session_stays_where_its_command_went(daemon: Daemon, work: Path) -> None:
    session = daemon.guard("OpenSession")["session"]

    def execute(command: str, cwd: str) -> dict[str, Any]:
        proposal = {"session": session, "call": "c", "command": command, "cwd": cwd}
        with daemon.guard_stream("Execute", proposal) as events:
            said = b""
            for event in events:
                if event["event"] == "output":
                    said += base64.b64decode(event["data"])
                if event["event"] == "done":
                    return {**event, "said": said.decode()}
        raise AssertionError("no end")

    went = execute("cd free && cat f", str(work))
    assert (went["outcome"], went["said"], went["cwd"]) == ("done", "free\n", f"{work}/free")
    only = execute("cd ../kept", went["cwd"])
    assert (only["outcome"], only["said"], only["cwd"]) == ("done", "", f"{work}/kept")
    nowhere = execute("cd absent && ls", str(work))
    assert (nowhere["outcome"], nowhere["cwd"]) == ("refused", "")
    assert "cannot be entered" in nowhere["reason"]
    assert execute("cd secret && ls", str(work))["outcome"] == "refused"  # denied by a folder policy
    decided = [record for record in daemon.records(session=session) if record["kind"] == "decided"]
    assert sorted((record["action"], record["cwd"]) for record in decided)[:2] == [
        ("cat f", f"{work}/free"),
        ("ls", f"{work}/absent"),
    ]


def test_a_model_goes_on_where_its_last_command_went(daemon: Daemon, work: Path) -> None:
    events = daemon.ask("$ cd free && cat f", cwd=str(work))
    assert "free\n" in [event["text"] for event in events if event["type"] == "output"]


@pytest.mark.parametrize(
    ("words", "watched"),
    [(("cat", "free/f"), True), (("ls", "/etc"), False), (("ls", "-d", "kept/../free"), True), (("true",), False)],
)
def test_what_is_done_in_an_audited_folder_is_marked(
    make_daemon: MakeDaemon, work: Path, words: tuple[str, ...], watched: bool
) -> None:
    daemon = make_daemon(policy=f'[[folder]]\npath = "{work}/free"\naudit = true\nname = "books"\n')
    assert run(daemon, work, "--", *words)[0] == 0
    (decided,) = [record for record in daemon.records() if record["kind"] == "decided"]
    marked = [rule for rule in decided["rules"] if rule.startswith("audit ")]
    assert len(marked) == watched
    assert all(rule.endswith(f":1 folder {work}/free (books)") for rule in marked)


def test_a_job_goes_on_after_who_began_it_and_is_read_waited_for_and_ended(daemon: Daemon, work: Path) -> None:
    loud = "echo first; echo second >&2; until test -e $PWD/free/go; do sleep 0.05; done; seq 3; exit 5"
    status, job, _err = run(daemon, work, "-b", "-p", "read-only", "--", loud)
    job = job.strip()
    assert (status, len(job)) == (0, 8)
    assert daemon.aios("run", "echo", "meanwhile").out == "meanwhile\n"
    wait_until(lambda: "second" in daemon.aios("job", "output", job).out, "its first words")
    assert daemon.aios("jobs").out.split()[:3:2] == [job, "running"]
    assert daemon.aios("job", "wait", "-t", "0", job).status == 124
    (work / "free/go").touch()
    waited = daemon.aios("job", "wait", job)
    assert (waited.status, waited.err) == (5, "failed (5)\n")
    assert sorted(daemon.aios("job", "output", job).out.split()) == ["1", "2", "3", "first", "second"]
    assert daemon.aios("job", "output", "--grep", "con", job).out in ("1:second\n", "2:second\n")
    assert daemon.aios("job", "output", "--grep", "absent", job).status == 1
    done = [record for record in daemon.records() if record["kind"] == "done" and record["status"] == 5]
    assert len(done) == 1


def test_a_job_is_ended_by_its_owner_and_by_nobody_else(daemon: Daemon, work: Path) -> None:
    mark = "54321.6"
    job = run(daemon, work, "-b", "--", "sleep", mark)[1].strip()
    wait_until(lambda: len(processes_with(mark)) == 1, "it to run")
    if os.geteuid() == 0:
        for words in (("kill", job), ("output", job), ("wait", job)):
            refused = daemon.aios("job", *words, uid=OTHER)
            assert (refused.status, refused.err) == (65, f"aios: there is no job {job} of yours\n")
        assert daemon.aios("jobs", uid=OTHER).out == ""
    assert len(processes_with(mark)) == 1
    assert daemon.aios("job", "kill", job).err == "cancelled: ended by a person\n"
    assert processes_with(mark) == []
    assert "cancelled" in daemon.aios("jobs").out


def test_a_job_that_is_denied_is_none(daemon: Daemon, work: Path) -> None:
    status, out, err = run(daemon, work, "-b", "--", "rm", "-rf", "/")
    assert (status, out) == (77, "")
    assert "aios: denied: " in err


def test_no_more_jobs_run_than_may(daemon: Daemon, work: Path) -> None:
    jobs = [run(daemon, work, "-b", "--", "sleep", "600") for _ in range(17)]
    assert [status for status, _out, _err in jobs] == [0] * 16 + [77]
    assert "16 jobs of yours run already" in jobs[-1][2]
    assert daemon.aios("job", "kill", jobs[0][1].strip()).status == 0
    assert run(daemon, work, "-b", "--", "sleep", "600")[0] == 0


def test_guard_job_s_is_how_long_a_job_takes_at_most(make_daemon: MakeDaemon, work: Path) -> None:
    daemon = make_daemon(config="[guard]\njob_s = 1\n")
    job = run(daemon, work, "-b", "--", "sleep", "600")[1].strip()
    assert daemon.aios("job", "wait", job).err == "timed_out: ended after 1 s\n"


def test_the_guards_keys_are_the_limits_of_a_command(make_daemon: MakeDaemon) -> None:
    keys = {"memory_mib": 200, "processes": 99, "cpu_s": 33, "file_mib": 3, "open_files": 77}
    daemon = make_daemon(config="[guard]\n" + "".join(f"command_{name} = {value}\n" for name, value in keys.items()))
    ran = daemon.aios("run", "-p", "read-only", "--", "ulimit -d; ulimit -u; ulimit -t; ulimit -f; ulimit -n")
    assert ran.out.split() == [str(200 * 1024), "99", "33", str(3 * 1024), "77"]
    assert ran.out.split() != make_daemon().aios("run", "-p", "read-only", "--", "ulimit -d; ulimit -u").out.split()


def test_of_programs_a_listed_one_runs_and_of_another_it_is_told_who_may_list_it(
    make_daemon: MakeDaemon, work: Path
) -> None:
    if not read_abi():
        pytest.skip("this kernel has no Landlock")
    daemon = make_daemon(policy='only_programs = ["/usr/bin/id"]\n')
    assert run(daemon, work, "--", "id", "-u") == (0, f"{default_person()}\n", "")
    status, out, err = run(daemon, work, "--", "uname")
    assert (status, out) == (126, "")
    told = (
        "the policy's only_programs does not let it start uname; an administrator can change that in /etc/aios/policy.d"
    )
    assert told in err
    (done,) = [record for record in daemon.records() if record["kind"] == "done" and record["status"] == 126]
    assert done["reason"] == told


def test_a_system_call_that_is_refused_is_told_by_its_name(daemon: Daemon, work: Path) -> None:
    status, out, err = run(daemon, work, "--", "unshare", "-m", "true")
    assert (status, out) == (1, "")
    assert "the system-call filter refused unshare, which no setting gives a sandbox" in err
