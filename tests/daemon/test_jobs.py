"""Jobs as a model has them: begun, read, searched, waited for and ended by one tool, each begun under the policy."""

from collections.abc import Iterator

import pytest

from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon, processes_with, wait_until
from tests.doubles.provider import Call, Say, ScriptedProvider

RULES = '[permissions]\nnotify = ["sleep*", "sed*"]\ndeny = ["shred"]\n'


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


@pytest.fixture
def daemon(make_daemon: MakeDaemon, provider: ScriptedProvider) -> Daemon:
    """A daemon whose model is the provider's."""
    agent = '[agent]\nmodel = "m"\n[models.m]\nprovider = "openai"\nmodel = "m-1"\n'
    return make_daemon(policy=RULES, config=f'{agent}base_url = "{provider.url}"\nretries = 0\n')


def _says(daemon: Daemon, provider: ScriptedProvider, command: str, job: str) -> str:
    """What the model gets for one call."""
    provider.says(Say(calls=(Call(tool="bash", arguments={"command": command, "job": job}),)), Say(text="So."))
    before = len(provider.asked)
    daemon.ask("go on")
    (result,) = provider.asked[before + 1].results.values()
    return result


def test_a_model_begins_a_job_reads_it_and_waits_for_its_end(daemon: Daemon, provider: ScriptedProvider) -> None:
    began = _says(daemon, provider, "sed -n '1,3p' /etc/passwd", "new")
    job = daemon.aios("jobs").out.split()[0]
    assert f"[done: job {job} runs in the background]" in began
    assert f"job {job} done, " in _says(daemon, provider, "wait 20", job)
    with open("/etc/passwd", encoding="utf-8") as file:
        lines = [next(file) for _ in range(3)]
    assert "".join(lines) in _says(daemon, provider, "output", job)
    assert f"{lines[0][5:]}{lines[1]}" in _says(daemon, provider, "output 5", job)
    assert f"\n1:{lines[0]}\n[job {job} done, " in _says(daemon, provider, "grep root:", job)
    assert "no job of yours" in _says(daemon, provider, "", "list")  # it was another session's
    kinds = [record["kind"] for record in daemon.records() if record["kind"] in ("decided", "done")]
    assert kinds == ["decided", "done"]  # asking after it decides nothing


def test_a_model_ends_a_job_of_its_own(daemon: Daemon, provider: ScriptedProvider) -> None:
    _says(daemon, provider, "sleep 54321", "new")
    wait_until(lambda: bool(processes_with("54321")), "the job")
    job = daemon.aios("jobs").out.split()[0]
    assert f"job {job} running, 0 bytes: sleep 54321" in _says(daemon, provider, "wait 1", job)
    assert f"job {job} cancelled: ended by a person" in _says(daemon, provider, "kill", job)
    assert processes_with("54321") == []


def test_a_session_lists_its_jobs(daemon: Daemon, provider: ScriptedProvider) -> None:
    begin, ask = ({"command": "sleep 54322", "job": "new"}, {"command": "", "job": "list"})
    calls = [Say(calls=(Call(tool="bash", arguments=each, id=f"call_{at}"),)) for at, each in enumerate((begin, ask))]
    provider.says(*calls, Say(text="One."))
    daemon.ask("begin")
    job = daemon.aios("jobs").out.split()[0]
    assert f"job {job} running, 0 bytes: sleep 54322" in provider.asked[2].results["call_1"]
    assert daemon.aios("job", "kill", job).status == 0


def test_what_is_no_job_and_what_is_denied_is_said(daemon: Daemon, provider: ScriptedProvider) -> None:
    assert "there is no job 00000000 of yours; with job=ID the command is" in _says(
        daemon, provider, "output", "00000000"
    )
    assert "with job=ID the command is: output [OFFSET], grep TEXT" in _says(daemon, provider, "rm -rf /", "00000000")
    assert "[denied: " in _says(daemon, provider, "shred x", "new")
    assert daemon.aios("jobs").out.count("running") == 0
