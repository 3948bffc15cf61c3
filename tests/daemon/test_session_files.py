"""What a session keeps: files that come with a question, files that its commands make, and nothing of any other."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from tests.daemon.asking import LINES, asking
from tests.daemon.cards import answered, card_of, own_folder
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.daemon.people import IS_ROOT, PERSON, default_person
from tests.doubles.provider import Call, Say, ScriptedProvider

BINARY = b"\x7fELF\0\xff\n"
OUTPUTS = "/dev/session/outputs"


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _daemon(make_daemon: MakeDaemon, provider: ScriptedProvider, **fields: Any) -> Daemon:
    guard = fields.pop("guard", "")
    table = f'[models.mine]\nmodel = "m-1"\nbase_url = "{provider.url}"\n'
    return make_daemon(config=f'[agent]\nmodel = "mine"\n{table}{guard}', **fields)


def _run(provider: ScriptedProvider, *commands: str) -> None:
    """The model proposes these, each in a step of its own, and answers."""
    provider.says(
        *(
            Say(calls=(Call(id=f"c{at}", tool="bash", arguments={"command": each}),))
            for at, each in enumerate(commands)
        ),
        Say(text="Done."),
    )


def _seen(provider: ScriptedProvider) -> list[str]:
    """What the last turn's commands printed, without the marks around it."""
    results = [each["content"] for each in provider.asked[-1].body["messages"] if each["role"] == "tool"]
    return ["\n".join(each.splitlines()[1:-1]).strip() for each in results]


def _names(daemon: Daemon, session: str) -> dict[str, int]:
    return {each["path"]: each["bytes"] for each in daemon.api("GET", f"/v1/sessions/{session}").json["files"]}


def test_files_come_with_a_question_go_on_with_the_session_and_end_with_it(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    daemon = _daemon(make_daemon, provider)
    place = own_folder(daemon, "place")
    (place / "a.log").write_text("first\n")
    (place / "b.bin").write_bytes(BINARY)
    _run(
        provider,
        "od -An -tx1 /dev/session/uploads/b.bin",
        f"for n in 1 2; do echo $n; done > {OUTPUTS}/numbers; echo x > /dev/session/other",
        f"cat {OUTPUTS}/numbers /dev/session/uploads/a.log",
    )
    files = [word for name in ("a.log", "b.bin") for word in ("-a", f"{place}/{name}")]
    ran = daemon.aios("ask", *files, "--name", "drafts", "count")
    assert (ran.status, ran.out) == (0, "Done.\n")
    assert "kept with the session: outputs/numbers" in ran.err
    said = provider.asked[0].body["messages"][-1]["content"]
    assert said.endswith("[attached: /dev/session/uploads/a.log (6 bytes); /dev/session/uploads/b.bin (7 bytes)]")
    assert f"--- {place}/a.log\nfirst\n" in said
    assert _seen(provider) == ["7f 45 4c 46 00 ff 0a", "", "1\n2\nfirst"]

    daemon.stop()
    daemon.start()
    _run(provider, "ls -R /dev/session", f"echo x > {OUTPUTS}/y")
    assert daemon.ask("and now?", session="drafts")[-1]["exit_status"] == 0
    listed = "/dev/session:\noutputs\nuploads\n\n/dev/session/outputs:\nnumbers\n\n/dev/session/uploads:\na.log\nb.bin"
    assert _seen(provider)[-2] == listed
    kept = {"outputs/numbers": 4, "outputs/y": 2, "uploads/a.log": 6, "uploads/b.bin": 7}
    assert _names(daemon, "drafts") == kept
    for words in (("sessions", "drafts"), ("session", "export", "drafts")):
        assert all(path in daemon.aios(*words).out for path in kept)
    exported = json.loads(daemon.aios("session", "export", "drafts", "--json").out)
    assert {each["path"] for each in exported["files"]} == set(kept)
    assert daemon.aios("session", "file", "drafts", "outputs/y").out == "x\n"
    assert daemon.aios("session", "file", "drafts", "outputs/y", "-o", f"{place}/y").status == 0
    assert (place / "y").read_text() == "x\n"
    missing = daemon.aios("session", "file", "drafts", "outputs/other")
    assert missing.status != 0
    assert "the session keeps no file outputs/other" in missing.err
    assert daemon.api("GET", "/v1/sessions/drafts/files?path=uploads/b.bin").body == BINARY
    if IS_ROOT:
        assert daemon.api("GET", "/v1/sessions/drafts/files?path=uploads/b.bin", uid=PERSON + 1).status == 404

    _run(provider, "ls -R /dev/session")
    daemon.ask("another", name="other")
    assert _seen(provider) == ["/dev/session:\noutputs\nuploads\n\n/dev/session/outputs:\n\n/dev/session/uploads:"]
    _run(provider, f"cat {OUTPUTS}/y")
    daemon.ask("a copy", session="drafts", fork=True, name="copy")
    assert _seen(provider)[-1] == "x"
    assert daemon.aios("session", "delete", "drafts").status == 0
    assert daemon.api("GET", "/v1/sessions/drafts/files?path=uploads/b.bin").status == 404
    assert _names(daemon, "copy") == kept
    (database,) = Path(daemon.state).rglob(f"{default_person() if IS_ROOT else daemon.uid}.db")
    with closing(connect(database)) as rows:
        assert rows.execute("SELECT count(*) FROM files").fetchone() == (1,)


def test_what_a_session_keeps_is_bounded(make_daemon: MakeDaemon, provider: ScriptedProvider) -> None:
    limits = "[limits]\nbody_bytes = 8000000\n[guard]\nsession_files_mib = 1\n"
    daemon = _daemon(make_daemon, provider, guard=limits)
    fill = f"printf %%0%dd 0 > {OUTPUTS}/zeros"
    _run(provider, fill % 1_000_000, fill % 1_100_000)
    events = daemon.ask("fill it", name="drafts")
    assert [each["reason"] for each in events if each["type"] == "call_done"] == [
        "",
        "what is new in outputs is not kept: outputs holds over 1 MiB",
    ]
    assert "[done: what is new in outputs is not kept" in _seen(provider)[-1]
    assert _names(daemon, "drafts") == {"outputs/zeros": 1_000_000}

    def given(size: int) -> dict[str, Any]:
        return {"files": [{"name": "/a/b/z", "data": base64.b64encode(b"z" * size).decode()}]}

    too_much = daemon.api("POST", "/v1/ask", {"prompt": "x", "session": "drafts", **given(1_100_000)}, LINES)
    assert (too_much.status, too_much.json["code"]) == (413, "too_large"), too_much.text
    for _ in range(2):
        provider.says(Say(text="Seen."))
        daemon.ask("x", session="drafts", **given(400_000))
    assert _names(daemon, "drafts") == {"outputs/zeros": 1_000_000, "uploads/z": 400_000, "uploads/z-2": 400_000}
    no_base64 = {"prompt": "x", "files": [{"name": "a", "data": "?"}]}
    assert daemon.api("POST", "/v1/ask", no_base64, LINES).status == 400


def test_a_file_tool_writes_there_unasked_and_an_approved_command_finds_it(
    make_daemon: MakeDaemon, provider: ScriptedProvider
) -> None:
    daemon = _daemon(make_daemon, provider)
    place = own_folder(daemon, "place")

    def write(path: str) -> Call:
        return Call(id="w", tool="write_file", arguments={"path": path, "content": "made\n"})

    provider.says(Say(calls=(write(f"{OUTPUTS}/made"),)), Say(text="Done."))
    events = daemon.ask("make it", name="drafts")
    assert [each["verdict"]["tier"] for each in events if each["type"] == "decision"] == ["auto_allow"]
    assert _names(daemon, "drafts") == {"outputs/made": 5}
    copy = Call(id="m", tool="bash", arguments={"command": f"cp {OUTPUTS}/made {place}/made"})
    provider.says(Say(calls=(copy,)), Say(text="Done."))
    with asking(daemon, "copy it", session="drafts") as stream:
        answered(daemon, card_of(daemon, stream.until("approval_needed")["approval"]))
        assert stream.until("call_done")["outcome"] == "done"
        stream.until("turn_done")
    assert (place / "made").read_text() == "made\n"
    provider.says(Say(calls=(write(f"{place}/asked"),)), Say(text="Done."))
    with asking(daemon, "write it", session="drafts") as stream:
        answered(daemon, card_of(daemon, stream.until("approval_needed")["approval"]), approve=False)
        stream.until("turn_done")
    assert not (place / "asked").exists()
