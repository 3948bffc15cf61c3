"""Variables that a session's commands are given: set once, kept from command to command, seen on every card."""

from collections.abc import Iterator

import pytest

from tests.daemon.asking import asking
from tests.daemon.cards import answered, card_of, own_folder
from tests.daemon.conftest import running
from tests.daemon.harness import Daemon, read_replies, send_call

POLICY = """\
[[rule]]
pattern = ["touch *"]
tier = "notify"
writes = ["."]
match = ["touch x"]
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon whose administrator lets `touch` be announced."""
    with running(policy=POLICY) as made:
        yield made


def printed(daemon: Daemon, line: str, session: str = "") -> str:
    """What a command line puts out, in a session."""
    events = daemon.ask(f"run `{line}`", session=session)
    return "".join(event["text"] for event in events if event["type"] == "output")


def test_what_is_exported_reaches_the_sessions_later_commands_and_no_others(daemon: Daemon) -> None:
    events = daemon.ask("run `export GREETING='good day'`")
    (done,) = [event for event in events if event["type"] == "call_done"]
    assert (done["outcome"], done["reason"]) == ("done", "from here on commands are given GREETING")
    session = events[0]["session"]
    assert printed(daemon, "printenv GREETING", session) == "good day\n"
    assert printed(daemon, "export GREETING=hello && printenv GREETING", session) == "hello\n"
    assert printed(daemon, "printenv GREETING") == ""
    decided = [each for each in daemon.records(session=session) if each["kind"] == "decided"]
    assert [each["action"] for each in decided] == ["true", "printenv GREETING", "printenv GREETING"]
    assert decided[1]["confinement"].endswith(", given GREETING='good day'")
    assert decided[1]["digest"] != decided[2]["digest"]
    assert "from here on commands are given no variables of yours" in str(
        daemon.ask("run `unset GREETING`", session=session)
    )
    assert printed(daemon, "printenv GREETING", session) == ""


def test_a_command_that_is_given_some_is_asked_about_and_its_card_says_which(daemon: Daemon) -> None:
    place = own_folder(daemon, "given")
    line = f"touch {place}/announced"
    plain = daemon.ask(f"run `{line}`", cwd=str(place))
    assert [event["type"] for event in plain if event["type"] == "approval_needed"] == []
    session = daemon.ask("run `export A=1`")[0]["session"]
    with asking(daemon, f"run `touch {place}/asked`", session=session, cwd=str(place)) as stream:
        card = card_of(daemon, stream.until("approval_needed")["approval"])
        assert card["confinement"].endswith(", given A=1")
        assert "A=1" in card["environment"]
        assert not card["leasable"]
        assert answered(daemon, card) == {}
        assert stream.until("call_done")["outcome"] == "done"
    assert sorted(each.name for each in place.iterdir()) == ["announced", "asked"]


def test_a_name_that_decides_what_runs_is_refused_and_nothing_is_kept(daemon: Daemon) -> None:
    events = daemon.ask("run `export LD_PRELOAD=/tmp/x.so`")
    (done,) = [event for event in events if event["type"] == "call_done"]
    assert done["outcome"] == "denied"
    assert "names that decide what code runs are kept for no command" in done["reason"]
    assert printed(daemon, "printenv LD_PRELOAD", events[0]["session"]) == ""
    opened = daemon.guard("OpenSession")["session"]
    call = {"session": opened, "call": "c", "command": "true", "cwd": "/"}
    for variables in ({"PATH": "/x"}, {"A": 1}, ["A"], {"A": "\u001b"}):
        with daemon.connect(path=daemon.guard_path) as connection:
            send_call(connection, "Execute", {**call, "variables": variables}, more=True)
            refused = next(read_replies(connection))
        assert refused["error"] == "org.varlink.service.InvalidParameter"
